# expect: error|died|timeout|ok


class Policy:
    def act(self, obs):
        try:
            import os; print('PWNED', os.stat('@CANARY@/secret.txt'))
        except Exception as error:
            print('refused', type(error).__name__)
        try:
            import os; print('PWNED', os.getcwd())
        except Exception as error:
            print('refused', type(error).__name__)
        try:
            import os; print('PWNED', os.access('/', 0)) if os.access('/', 0) else None
        except Exception as error:
            print('refused', type(error).__name__)
        try:
            import os; print('PWNED', os.statvfs('/'))
        except Exception as error:
            print('refused', type(error).__name__)
        return 0
