# expect: timeout


class Policy:
    def act(self, obs):
        class K:
            def __lt__(self, other):
                while True:
                    pass
        sorted([K(), K()])
        return 0
