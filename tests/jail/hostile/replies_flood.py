# expect: died|timeout|error


class Policy:
    def act(self, obs):
        import os
        while True:
            os.write(4, b'z' * 65536)
        return 0
