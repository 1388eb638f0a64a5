# expect: timeout


class Policy:
    def act(self, obs):
        import _thread
        lock = _thread.allocate_lock()
        lock.acquire()
        lock.acquire()
        return 0
