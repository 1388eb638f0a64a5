# expect: ok


class Policy:
    def helper(self, text):
        return [text] * 1000

    def act(self, obs):
        for _ in range(300):
            self.helper('x' * 10**5)
        return 0
