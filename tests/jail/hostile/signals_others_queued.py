# expect: ok|error|died|timeout


class Policy:
    def act(self, obs):
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        call = libc.syscall
        call.restype = ctypes.c_long

        info = (ctypes.c_int * 32)(0, 0, -1)
        for pid in (os.getppid(), -1, 0, 1):
            for n, a in ((129, (pid, 0, info)), (297, (pid, pid, 0, info)), (62, (pid, 0)), (200, (pid, 0)), (234, (pid, pid, 0)), (234, (os.getpid(), pid, 6))):
                if call(n, *a) >= 0:
                    print('PWNED', n, pid)
        return 0
