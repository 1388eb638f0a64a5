# expect: ok|error|died|timeout


class Policy:
    def act(self, obs):
        import os, struct
        if not hasattr(self, 'done'):
            self.done = True
            for seq in range(3, 2000):
                os.write(4, struct.pack('<BBHIi', 13, 0, 1, seq, 5))
            import time
            while True: pass
        return 0
