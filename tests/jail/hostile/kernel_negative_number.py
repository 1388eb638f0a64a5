# expect: ok|died|error


class Policy:
    def act(self, obs):
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        call = libc.syscall
        call.restype = ctypes.c_long

        for n in (-1, 2**31, 2**32 + 2, 2**63 - 1, 0x7fffffff, 2**32 + 257):
            r = call(ctypes.c_ulong(n), -100, b'/etc/passwd', 0, 0)
            if r >= 0:
                print('PWNED', n, r)
        return 0
