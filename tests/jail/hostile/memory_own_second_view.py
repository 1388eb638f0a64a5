# expect: ok|error|died|timeout


class Policy:
    def act(self, obs):
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        call = libc.syscall
        call.restype = ctypes.c_long

        # mremap with an old size of nothing makes a second view of shared memory
        libc.mmap.restype = ctypes.c_void_p
        libc.mremap.restype = ctypes.c_void_p
        p = libc.mmap(None, 16 << 20, 3, 0x21, -1, 0)
        n = 0
        while n < 400:
            q = libc.mremap(ctypes.c_void_p(p), 0, 16 << 20, 1)
            if q in (None, 2**64 - 1):
                break
            n += 1
        if n * 16 > 2048:
            print('PWNED', n * 16, 'MB of address space')
        return 0
