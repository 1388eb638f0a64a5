# expect: timeout|ok
class Policy:
    def act(self, obs):
        class Late:
            def __del__(self):
                while True:
                    pass
        Late()
        return 0
