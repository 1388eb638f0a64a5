# expect: died|timeout


class Policy:
    def act(self, obs):
        import os, struct, _thread
        os.write(4, struct.pack('<BBHI', 13, 0, 1, 3))
        lock = _thread.allocate_lock()
        lock.acquire()
        lock.acquire()
        return 0
