# expect: ok|error|died|timeout


class Policy:
    def act(self, obs):
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        call = libc.syscall
        call.restype = ctypes.c_long

        # a page made writable that was executable, and the other way round
        libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        at = ctypes.cast(libc.getenv, ctypes.c_void_p).value & ~0xfff
        if libc.mprotect(at, 4096, 7) == 0 or libc.mprotect(at, 4096, 5) == 0:
            print('PWNED executable')
        if call(329, ctypes.c_void_p(at), 4096, 7, -1) == 0:
            print('PWNED pkey')
        return 0
