# expect: ok|error|died|timeout


class Policy:
    def act(self, obs):
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        call = libc.syscall
        call.restype = ctypes.c_long

        t = (ctypes.c_long * 2)()
        for fd in range(0, 8):
            for kind in (3, 2, 6):
                if libc.clock_gettime(ctypes.c_int((~fd << 3) | kind), t) == 0:
                    print('PWNED clock', fd, kind)
        for n, a in ((230, (0, 0, (ctypes.c_long*2)(0, 1000), 0)), (159, (ctypes.create_string_buffer(256),)), (35, ((ctypes.c_long*2)(0, 10), 0))):
            if call(n, *a) == 0:
                print('PWNED', n)
        return 0
