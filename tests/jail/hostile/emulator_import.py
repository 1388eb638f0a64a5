# expect: error|died|timeout|ok


class Policy:
    def act(self, obs):
        try:
            import ale_py; print('PWNED')
        except Exception as error:
            print('refused', type(error).__name__)
        try:
            import gymnasium; print('PWNED')
        except Exception as error:
            print('refused', type(error).__name__)
        try:
            import ocatari; print('PWNED')
        except Exception as error:
            print('refused', type(error).__name__)
        try:
            import gco_agent.evaluation.episode; print('PWNED')
        except Exception as error:
            print('refused', type(error).__name__)
        try:
            import importlib.machinery as m; print('PWNED', m.PathFinder.find_spec('ale_py', ['@CANARY@', '/usr/lib']).origin)
        except Exception as error:
            print('refused', type(error).__name__)
        return 0
