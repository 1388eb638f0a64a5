# expect: error|died|timeout|ok
import ctypes


class Policy:
    def act(self, obs):
        try:
            open('/dev/shm/canary_drop', 'w').write('x'); print('PWNED')
        except Exception as error:
            print('refused', type(error).__name__)
        try:
            r = ctypes.CDLL(None).shmget(0x4711, 4096, 0o1600); print('PWNED' if r >= 0 else 'refused')
        except Exception as error:
            print('refused', type(error).__name__)
        try:
            r = ctypes.CDLL(None).semget(0x4711, 1, 0o1600); print('PWNED' if r >= 0 else 'refused')
        except Exception as error:
            print('refused', type(error).__name__)
        try:
            r = ctypes.CDLL(None).syscall(240, b'canary', 0o102, 0o600, 0); print('PWNED' if r >= 0 else 'refused')
        except Exception as error:
            print('refused', type(error).__name__)
        try:
            r = ctypes.CDLL(None).msgget(0x4711, 0o1600); print('PWNED' if r >= 0 else 'refused')
        except Exception as error:
            print('refused', type(error).__name__)
        return 0
