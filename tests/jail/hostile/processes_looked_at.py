# expect: ok|error|died|timeout


class Policy:
    def act(self, obs):
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        call = libc.syscall
        call.restype = ctypes.c_long

        for name, args in {140: (0, 1), 145: (1,), 121: (1,), 124: (1,), 252: (1, 1), 97: (0, ctypes.create_string_buffer(16)), 302: (1, 0, 0, ctypes.create_string_buffer(16)), 204: (1, 128, ctypes.create_string_buffer(128)), 98: (0, ctypes.create_string_buffer(256)), 99: (ctypes.create_string_buffer(256),)}.items():
            if call(name, *args) >= 0:
                print('PWNED', name)
        return 0
