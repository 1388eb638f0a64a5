# expect: error|died|timeout


class Policy:
    def act(self, obs):
        keep = []
        while True:
            keep.append(bytearray(1 << 26))
        return 0
