# expect: timeout|ok|error


class Policy:
    def act(self, obs):
        import ctypes
        ctypes.CDLL(None).pause()
        ctypes.CDLL(None).usleep(900000)
        lock = __import__('_thread').allocate_lock()
        lock.acquire()
        while True:
            lock.acquire(timeout=0.01)
        return 0
