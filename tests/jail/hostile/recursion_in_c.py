# expect: died|error|timeout


class Policy:
    def act(self, obs):
        import sys
        sys.setrecursionlimit(10**9)
        nest = ()
        for _ in range(3 * 10**5):
            nest = (nest,)
        hash(nest)
        return 0
