# expect: died|ok


class Policy:
    def act(self, obs):
        import os, struct
        for sequence in range(1, 50):
            os.write(4, struct.pack('<BBHIi', 13, 0, 1, sequence, 3))
        return 0
