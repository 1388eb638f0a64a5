# expect: error
X = "abc d"
Y = 0


class Policy:
    def act(self, obs):
        raise KeyError  # this line
