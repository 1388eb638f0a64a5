# expect: ok|error|died|timeout


class Policy:
    def act(self, obs):
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        call = libc.syscall
        call.restype = ctypes.c_long

        # O_ASYNC: the kernel would send SIGIO to the judge when the pipe moves
        for fd in (3, 4):
            if call(72, fd, 8, os.getppid()) == 0 or call(72, fd, 4, 0o20000) == 0 or call(16, fd, 0x8901, ctypes.byref(ctypes.c_int(os.getppid()))) == 0:
                print('PWNED')
        return 0
