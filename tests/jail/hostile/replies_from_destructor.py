# expect: ok|error|died|timeout
import gc, sys, marshal


class Late:
    def __del__(self):
        import os
        os.write(4, b'\x0d\x00\x01\x00\x03\x00\x00\x00\x11\x00\x00\x00')


class Policy:
    def act(self, obs):
        Late()
        return 0
