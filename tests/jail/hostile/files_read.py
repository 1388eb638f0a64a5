# expect: error|died|timeout|ok


class Policy:
    def act(self, obs):
        try:
            print('PWNED', open('@CANARY@/secret.txt').read())
        except Exception as error:
            print('refused', type(error).__name__)
        try:
            import pathlib; print('PWNED', pathlib.Path('@CANARY@/secret.txt').read_bytes())
        except Exception as error:
            print('refused', type(error).__name__)
        try:
            import linecache; print('PWNED', linecache.getlines('/proc/self/status')[0])
        except Exception as error:
            print('refused', type(error).__name__)
        try:
            import os; print('PWNED', os.open('/', os.O_PATH))
        except Exception as error:
            print('refused', type(error).__name__)
        return 0
