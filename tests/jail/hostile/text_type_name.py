# expect: error


class Policy:
    def act(self, obs):
        raise type('\x1b]0;title\x07' + 'E' * 10**5, (Exception,), {})('x' * 10**6)
        return 0
