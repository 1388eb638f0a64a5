# expect: error
class E(Exception):
    def __str__(self):
        return '\x1b]0;owned\x07' + '\u202e' + 'x' * 10**7 + '\n' * 10**5

    __repr__ = __str__


class Policy:
    def act(self, obs):
        try:
            raise E from E()
        except E as e:
            e.__traceback__ = None
            e.add_note('\x1b[31m' * 10**5)
            raise
