# expect: timeout


class Policy:
    def act(self, obs):
        import signal
        try:
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)
            print('PWNED')
        except OSError:
            pass
        while True:
            pass
        return 0
