# expect: ok|error


class Policy:
    def act(self, obs):
        import ctypes
        libc = ctypes.CDLL(None)
        there = (ctypes.c_int64 * 2)()
        for pid in range(1, 40):
            if libc.clock_gettime((~pid << 3) | 2, there) == 0:
                print('PWNED: process', pid, 'has used', there[0], there[1])
        return 0
