# expect: ok|error|died|timeout


class Policy:
    def act(self, obs):
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        call = libc.syscall
        call.restype = ctypes.c_long

        # the file that holds the prints, mapped: can the past be rewritten, or the file be enlarged
        os.write(1, b'x' * 8192)
        libc.mmap.restype = ctypes.c_void_p
        for fd in (1, 5, 0, 3, 4):
            p = libc.mmap(None, 1 << 16, 3, 1, fd, 0)
            if p not in (None, 2**64 - 1):
                print('mapped', fd)
                try:
                    ctypes.memset(p, 0x1b, 4096)
                except Exception:
                    pass
        return 0
