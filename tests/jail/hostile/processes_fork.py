# expect: error|died|timeout|ok
import ctypes, os


class Policy:
    def act(self, obs):
        try:
            pid = os.fork(); print('PWNED') if pid else os._exit(0)
        except Exception as error:
            print('refused', type(error).__name__)
        try:
            pid = os.forkpty()[0]; print('PWNED') if pid else os._exit(0)
        except Exception as error:
            print('refused', type(error).__name__)
        try:
            pid = ctypes.CDLL(None).syscall(57); print('PWNED') if pid > 0 else os._exit(0) if pid == 0 else print('refused')
        except Exception as error:
            print('refused', type(error).__name__)
        try:
            pid = ctypes.CDLL(None).vfork(); print('PWNED') if pid > 0 else os._exit(0) if pid == 0 else print('refused')
        except Exception as error:
            print('refused', type(error).__name__)
        return 0
