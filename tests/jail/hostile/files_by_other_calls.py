# expect: ok|died|error


class Policy:
    def act(self, obs):
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        call = libc.syscall
        call.restype = ctypes.c_long

        how = (ctypes.c_ulong * 3)(0, 0, 0)
        for n, a in ((437, (-100, b'@CANARY@/secret.txt', how, 24)), (2, (b'@CANARY@/secret.txt', 0)), (85, (b'@CANARY@/drop/x', 0o644)), (428, (-100, b'/', 0x80000)), (430, (b'tmpfs', 0)), (303, (-100, b'@CANARY@/secret.txt', ctypes.create_string_buffer(128), ctypes.byref(ctypes.c_int()), 0)), (254, (3, b'@CANARY@', 0xfff)), (253, ()), (300, (0, 0)), (89, (b'/proc/self/exe', ctypes.create_string_buffer(99), 99)), (79, (ctypes.create_string_buffer(99), 99)), (21, (b'@CANARY@/secret.txt', 0)), (4, (b'/', ctypes.create_string_buffer(256))), (332, (-100, b'/', 0, 0xfff, ctypes.create_string_buffer(512))), (191, (b'@CANARY@/secret.txt', b'user.x', 0, 0)), (188, (b'@CANARY@/secret.txt', b'user.x', b'1', 1, 0)), (80, (b'/tmp',)), (137, (b'/', ctypes.create_string_buffer(256))), (206, (1, ctypes.byref(ctypes.c_ulong()))),):
            if call(n, *a) >= 0:
                print('PWNED', n)
        return 0
