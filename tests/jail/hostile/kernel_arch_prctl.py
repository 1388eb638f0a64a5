# expect: ok|error|died|timeout


class Policy:
    def act(self, obs):
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        call = libc.syscall
        call.restype = ctypes.c_long

        buf = ctypes.c_ulong()
        for option in (0x1001, 0x1002, 0x1003, 0x1011, 0x1012, 0x1021, 0x1022, 0x3001, 0x5001, 0x5003):
            if call(158, option, ctypes.byref(buf)) >= 0:
                print('PWNED arch_prctl', hex(option))
        return 0
