# expect: error|died|timeout|ok
import os


class Policy:
    def act(self, obs):
        try:
            print('PWNED', open('/proc/%d/cmdline' % os.getppid()).read())
        except Exception as error:
            print('refused', type(error).__name__)
        try:
            print('PWNED', open('/proc/self/environ').read())
        except Exception as error:
            print('refused', type(error).__name__)
        try:
            print('PWNED', os.listdir('/proc'))
        except Exception as error:
            print('refused', type(error).__name__)
        return 0
