# expect: timeout


class Policy:
    def act(self, obs):
        while True:
            try:
                while True:
                    pass
            except BaseException:
                pass
        return 0
