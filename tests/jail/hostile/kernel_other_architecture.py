# expect: died


class Policy:
    def act(self, obs):
        import ctypes
        # getpid by the 32-bit table, through the x32 bit of the call's number.
        if ctypes.CDLL(None).syscall(0x40000000 | 39) > 0:
            print('PWNED')
        raise SystemExit
        return 0
