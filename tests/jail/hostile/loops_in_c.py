# expect: timeout


class Policy:
    def act(self, obs):
        import itertools, collections
        collections.deque(itertools.count(), maxlen=0)
        return 0
