# expect: ok|error|died|timeout


class Policy:
    def act(self, obs):
        import os, struct
        os.write(4, struct.pack('<BBHIi', 13, 1, 1, 3, -1) + struct.pack('<BxHI', 22, 0, 0xffffffff) + b'x' * 4000)
        return 0
