# expect: ok|error|died|timeout


class Policy:
    def act(self, obs):
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        call = libc.syscall
        call.restype = ctypes.c_long

        for family in (1, 2, 10, 16, 17, 31, 38, 40, 44):
            for kind in (1, 2, 3, 5):
                if call(41, family, kind, 0) >= 0 or call(53, family, kind, 0, (ctypes.c_int * 2)()) >= 0:
                    print('PWNED', family, kind)
        for n, a in ((42, (0, b'x', 16)), (43, (0, 0, 0)), (46, (4, ctypes.create_string_buffer(64), 0)), (307, (4, ctypes.create_string_buffer(64), 1, 0)), (290, (0, 0)), (291, (0,)), (213, (1,)), (7, (ctypes.create_string_buffer(8), 1, 0)), (23, (1, 0, 0, 0, 0))):
            if call(n, *a) >= 0:
                print('PWNED', n)
        return 0
