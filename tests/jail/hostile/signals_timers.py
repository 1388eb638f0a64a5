# expect: ok|error|died|timeout


class Policy:
    def act(self, obs):
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        call = libc.syscall
        call.restype = ctypes.c_long

        sigev = (ctypes.c_int * 16)(0, 10, 4, os.getppid())
        tid = ctypes.c_int()
        for n, a in ((222, (0, sigev, ctypes.byref(tid))), (38, (0, (ctypes.c_long*4)(0,1,0,1), 0)), (37, (1,)), (283, (1, 0)), (282, (-1, ctypes.byref(ctypes.c_ulong(0)), 8, 0)), (289, (-1, ctypes.byref(ctypes.c_ulong(0)), 8, 0))):
            if call(n, *a) >= 0:
                print('PWNED', n)
        return 0
