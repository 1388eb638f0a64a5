# expect: ok|error|died|timeout


class Policy:
    def act(self, obs):
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        call = libc.syscall
        call.restype = ctypes.c_long

        for n in (57, 58, 56, 435):
            r = call(n, 17, 0, 0, 0, 0) if n == 56 else call(n, ctypes.create_string_buffer(88), 88)
            if r == 0:
                print('PWNED child'); os._exit(0)
            if r > 0:
                print('PWNED', n)
        return 0
