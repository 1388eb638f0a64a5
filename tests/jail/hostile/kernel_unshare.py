# expect: died|error|ok


class Policy:
    def act(self, obs):
        import ctypes
        import os
        if os.uname and ctypes.CDLL(None).syscall(272, 0x10000000) >= 0:
            print('PWNED')
        return 0
