# expect: error|died|timeout|ok


class Policy:
    def act(self, obs):
        try:
            import os; os.unlink('@CANARY@/victim.txt'); print('PWNED')
        except Exception as error:
            print('refused', type(error).__name__)
        try:
            import os; os.symlink('/', '@CANARY@/drop/link'); print('PWNED')
        except Exception as error:
            print('refused', type(error).__name__)
        try:
            import os; os.utime('@CANARY@/victim.txt'); print('PWNED')
        except Exception as error:
            print('refused', type(error).__name__)
        try:
            import os; os.setxattr('@CANARY@/victim.txt', 'user.x', b'1'); print('PWNED')
        except Exception as error:
            print('refused', type(error).__name__)
        try:
            import os; os.link('@CANARY@/victim.txt', '@CANARY@/drop/hard'); print('PWNED')
        except Exception as error:
            print('refused', type(error).__name__)
        return 0
