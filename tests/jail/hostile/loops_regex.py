# expect: timeout


class Policy:
    def act(self, obs):
        import re
        re.match(r'(a|a|b?)+$', 'a' * 40 + 'c')
        return 0
