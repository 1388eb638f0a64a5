# expect: error


class Policy:
    def act(self, obs):
        raise ValueError('a' + '\u0301\u0489' * 190)
        return 0
