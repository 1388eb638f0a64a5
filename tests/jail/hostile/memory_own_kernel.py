# expect: error|died|timeout


class Policy:
    def act(self, obs):
        import mmap
        keep = []
        while True:
            keep.append(mmap.mmap(-1, 1 << 30))
        return 0
