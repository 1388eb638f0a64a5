# expect: ok|error|died|timeout
import builtins, ctypes, os, sys

# what an earlier worker of the same zygote left must not be here
if hasattr(builtins, 'left_behind') or getattr(os, 'left_behind', 0):
    print('PWNED')
builtins.left_behind = os.left_behind = True
print(ctypes.CDLL(None).setenv(b'left_behind', b'1', 1))


def act(obs):
    return 0
