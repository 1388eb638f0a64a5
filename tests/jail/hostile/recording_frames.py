# expect: ok|error|died


class Policy:
    def act(self, obs):
        import sys
        frame = sys._getframe()
        while frame is not None:
            names = frame.f_locals
            for key in ('recorder', 'self', 'values', 'records'):
                if key in names:
                    thing = names[key]
                    if hasattr(thing, '_calls'):
                        thing._calls.extend([thing] * 10**4)
                    if isinstance(thing, list):
                        thing.append((24, 0, '{"calls": [], "left_out": 0}'))
            frame = frame.f_back
        return 0
