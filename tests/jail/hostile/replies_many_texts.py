# expect: died|error|ok|timeout


class Policy:
    def act(self, obs):
        import os, struct
        os.write(4, struct.pack('<BBHIi', 13, 255, 1, 3, 1) + struct.pack('<BxHI', 22, 0, 1 << 31))
        return 0
