# expect: error|timeout|died


class Policy:
    def act(self, obs):
        import os
        for _ in range(1000):
            os.write(1, b'x' * 65536)
        print('PWNED')
        return 0
