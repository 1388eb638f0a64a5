# expect: ok|error|died|timeout


class Policy:
    def act(self, obs):
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        call = libc.syscall
        call.restype = ctypes.c_long

        buf = ctypes.create_string_buffer(64)
        iov = (ctypes.c_ulong * 2)(ctypes.addressof(buf), 64)
        for fd in (0, 1, 2, 4, 5, 2**32 + 1, 2**32 + 5):
            for n, a in ((0, (fd, buf, 64)), (17, (fd, buf, 64, 0)), (295, (fd, iov, 1, 0, 0)), (327, (fd, iov, 1, 0, 0, 0)), (19, (fd, iov, 1)), (40, (4, fd, 0, 64)), (275, (fd, 0, 4, 0, 64, 0)), (276, (fd, 4, 64, 0)), (326, (fd, 0, 4, 0, 64, 0)), (45, (fd, buf, 64, 0, 0, 0))):
                if call(n, ctypes.c_ulong(a[0]), *a[1:]) >= 0:
                    print('PWNED read', n, fd)
        return 0
