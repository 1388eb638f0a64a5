# expect: ok|error|died|timeout


class Policy:
    def act(self, obs):
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        call = libc.syscall
        call.restype = ctypes.c_long

        libc.mmap.restype = ctypes.c_void_p
        got = 0
        while True:
            p = libc.mmap(None, 32 << 20, 3, 0x21, -1, 0)
            if p in (None, 2**64 - 1):
                break
            ctypes.memset(p, 1, 32 << 20)
            got += 32
            if got > 2048:
                print('PWNED', got); break
        return 0
