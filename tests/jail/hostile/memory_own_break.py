# expect: ok|error|died|timeout


class Policy:
    def act(self, obs):
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        call = libc.syscall
        call.restype = ctypes.c_long

        got = 0
        now = call(12, 0)
        while call(12, now + (64 << 20)) == now + (64 << 20):
            now += 64 << 20
            got += 64
            if got > 4096:
                print('PWNED', got, 'MB'); break
        return 0
