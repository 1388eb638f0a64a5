# expect: died|error|ok


class Policy:
    def act(self, obs):
        import os, struct
        os.write(4, struct.pack('<BBHIi', 13, 0, 1, 5, 10**6))
        os.write(4, struct.pack('<BBHIi', 13, 0, 1, 6, -7))
        return 0
