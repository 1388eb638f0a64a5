# expect: ok|error|died|timeout


class Policy:
    def act(self, obs):
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        call = libc.syscall
        call.restype = ctypes.c_long

        buf = ctypes.create_string_buffer(b'x' * 64)
        iov = (ctypes.c_ulong * 2)(ctypes.addressof(buf), 64)
        for fd in (0, 1, 3, 4, 5):
            for n, a in ((20, (fd, iov, 1)), (18, (fd, buf, 64, 0)), (296, (fd, iov, 1, 0, 0)), (278, (fd, iov, 1, 0)), (44, (fd, buf, 64, 0, 0, 0)), (77, (fd, 1 << 16)), (285, (fd, 0, 0, 1 << 16)), (74, (fd,)), (73, (fd, 2))):
                if call(n, *a) >= 0:
                    print('PWNED write', n, fd)
        for fd in (0, 3, 6, 7, 8):
            if call(1, fd, buf, 1) >= 0:
                print('PWNED write to', fd)
        return 0
