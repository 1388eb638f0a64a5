# expect: error|died|ok|timeout


class Policy:
    def act(self, obs):
        import sys
        for name, module in list(sys.modules.items()):
            if name.startswith('gco_agent'):
                for key in list(vars(module)):
                    if key.isupper():
                        setattr(module, key, 99)
        for module in list(sys.modules.values()):
            if getattr(module, 'Worker', None):
                module.Worker._checked = lambda self, action: 10**6
                module.send = lambda *a: None
        return 'up'
        return 0
