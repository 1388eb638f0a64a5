# expect: timeout
import re
re.match('(a+)+$', 'a' * 60 + 'b')


def act(obs):
    return 0
