# expect: died


class Policy:
    def act(self, obs):
        import os
        os.execv('/bin/echo', ['echo', 'PWNED'])
        return 0
