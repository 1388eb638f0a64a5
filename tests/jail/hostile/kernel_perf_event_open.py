# expect: died|error|ok


class Policy:
    def act(self, obs):
        import ctypes
        import os
        if os.uname and ctypes.CDLL(None).syscall(298, 0, 0, -1, -1, 0) >= 0:
            print('PWNED')
        return 0
