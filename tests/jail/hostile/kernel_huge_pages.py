# expect: ok|error|died|timeout


class Policy:
    def act(self, obs):
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        call = libc.syscall
        call.restype = ctypes.c_long

        libc.mmap.restype = ctypes.c_void_p
        got = 0
        for _ in range(64):
            p = libc.mmap(None, 2 << 20, 3, 0x40022, -1, 0)
            if p not in (None, 2**64 - 1):
                got += 1
        if got:
            print('PWNED huge pages', got)
        return 0
