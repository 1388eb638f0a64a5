# expect: ok|error|died|timeout


class Policy:
    def act(self, obs):
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        call = libc.syscall
        call.restype = ctypes.c_long

        for n, a in ((434, (os.getppid(), 0)), (424, (3, 9, 0, 0)), (61, (-1, 0, 0, 0)), (247, (0, -1, 0, 4, 0)), (448, (0, 0))):
            if call(n, *a) >= 0:
                print('PWNED', n)
        return 0
