# expect: ok|error


class Policy:
    def act(self, obs):
        import gc
        if any(type(o).__name__ in ('ALEInterface', 'AtariEnv', 'Jail') for o in gc.get_objects()):
            print('PWNED')
        return 0
