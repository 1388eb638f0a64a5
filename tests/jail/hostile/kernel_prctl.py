# expect: ok|error|died|timeout


class Policy:
    def act(self, obs):
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        call = libc.syscall
        call.restype = ctypes.c_long

        buf = ctypes.create_string_buffer(4096)
        for option in (1, 3, 4, 7, 8, 15, 16, 22, 23, 24, 27, 28, 35, 36, 38, 39, 40, 53, 59, 62, 65, 0x59616d61, 0x53564d41):
            if call(157, option, buf, 0, 0, 0) >= 0:
                print('PWNED prctl', option)
        return 0
