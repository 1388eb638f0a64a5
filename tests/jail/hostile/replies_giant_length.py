# expect: ok|error|died|timeout


class Policy:
    def act(self, obs):
        import os, struct
        os.write(4, struct.pack('<BBHI', 13, 255, 65535, 3))
        return 0
