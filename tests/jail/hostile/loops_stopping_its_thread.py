# expect: timeout|ok|error
import ctypes
import os


class Policy:
    def act(self, obs):
        if ctypes.CDLL(None).syscall(234, os.getpid(), os.getpid(), 19) == 0:
            print('PWNED')
        return 0
