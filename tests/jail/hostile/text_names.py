# expect: error


class Policy:
    def act(self, obs):
        namespace = {}
        exec(compile('def f():\n    raise KeyError\n', 'policy.py', 'exec'), namespace)
        f = namespace['f']
        f.__code__ = f.__code__.replace(co_name='\x1b[2J' * 10**4, co_firstlineno=10**6)
        f()
        return 0
