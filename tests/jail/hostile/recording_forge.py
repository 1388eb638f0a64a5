# expect: died|error|ok


class Policy:
    def act(self, obs):
        import os, struct
        for sequence in range(1, 50):
            os.write(4, struct.pack('<BBHIi', 13, 1, 1, sequence, 3)
                     + struct.pack('<BxHI', 24, 0, 40) + b'{"calls": [["act", 0, [], 1, [1], null]]' )
        return 0
