# expect: timeout|ok|error
import os


class Policy:
    def act(self, obs):
        os.kill(os.getpid(), 19)
        return 0
