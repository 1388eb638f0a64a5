# expect: died|timeout


class Policy:
    def act(self, obs):
        import os
        import struct
        os.write(4, struct.pack('<BBHIi', 13, 255, 1, 3, 0))
        for _ in range(255):
            for byte in struct.pack('<BxHI', 22, 0, 1) + b'x':
                for _ in range(400_000):
                    pass
                os.write(4, bytes([byte]))
        return 0
