# expect: error|died|timeout|ok
import ctypes


class Policy:
    def act(self, obs):
        try:
            r = ctypes.CDLL(None).socket(2, 2, 0); print('PWNED' if r >= 0 else 'refused')
        except Exception as error:
            print('refused', type(error).__name__)
        try:
            r = ctypes.CDLL(None).socketpair(1, 1, 0, (ctypes.c_int * 2)()); print('PWNED' if r >= 0 else 'refused')
        except Exception as error:
            print('refused', type(error).__name__)
        return 0
