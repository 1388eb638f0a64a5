# expect: error|died|timeout|ok
import ctypes, os


class Policy:
    def act(self, obs):
        try:
            os.kill(os.getppid(), 0); print('PWNED')
        except Exception as error:
            print('refused', type(error).__name__)
        try:
            os.kill(-1, 0); print('PWNED')
        except Exception as error:
            print('refused', type(error).__name__)
        try:
            os.killpg(0, 0); print('PWNED')
        except Exception as error:
            print('refused', type(error).__name__)
        try:
            r = ctypes.CDLL(None).syscall(234, os.getppid(), os.getppid(), 0); print('PWNED' if r >= 0 else 'refused')
        except Exception as error:
            print('refused', type(error).__name__)
        try:
            r = ctypes.CDLL(None).pidfd_open(os.getppid(), 0); print('PWNED' if r >= 0 else 'refused')
        except Exception as error:
            print('refused', type(error).__name__)
        return 0
