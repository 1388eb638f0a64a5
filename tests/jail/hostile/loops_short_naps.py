# expect: timeout


class Policy:
    def act(self, obs):
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        call = libc.syscall
        call.restype = ctypes.c_long

        # awake for a moment, asleep for a moment: never asleep when looked at, never at the limit
        word = ctypes.c_uint32(0)
        nap = (ctypes.c_long * 2)(0, 200_000)
        while True:
            for _ in range(2000): pass
            call(202, ctypes.byref(word), 128, 0, nap, None, 0)
        return 0
