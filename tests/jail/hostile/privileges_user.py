# expect: error|died|timeout|ok
import ctypes, os


class Policy:
    def act(self, obs):
        try:
            os.setuid(0); print('PWNED')
        except Exception as error:
            print('refused', type(error).__name__)
        try:
            os.setresgid(0, 0, 0); print('PWNED')
        except Exception as error:
            print('refused', type(error).__name__)
        try:
            os.setgroups([0]); print('PWNED')
        except Exception as error:
            print('refused', type(error).__name__)
        try:
            r = ctypes.CDLL(None).prctl(4, 1, 0, 0, 0); print('PWNED' if r == 0 else 'refused')
        except Exception as error:
            print('refused', type(error).__name__)
        try:
            os.nice(-5); print('PWNED')
        except Exception as error:
            print('refused', type(error).__name__)
        return 0
