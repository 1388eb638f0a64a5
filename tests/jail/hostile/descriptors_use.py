# expect: error|died|timeout|ok
import os


class Policy:
    def act(self, obs):
        try:
            [os.dup(fd) for fd in range(8)] and print('PWNED')
        except Exception as error:
            print('refused', type(error).__name__)
        try:
            print('PWNED', os.read(3, 10))
        except Exception as error:
            print('refused', type(error).__name__)
        try:
            print('PWNED', os.pipe())
        except Exception as error:
            print('refused', type(error).__name__)
        try:
            print('PWNED', os.memfd_create('x'))
        except Exception as error:
            print('refused', type(error).__name__)
        try:
            print('PWNED', os.lseek(1, 0, 0))
        except Exception as error:
            print('refused', type(error).__name__)
        try:
            print('PWNED', os.pread(1, 100, 0))
        except Exception as error:
            print('refused', type(error).__name__)
        try:
            os.closerange(0, 64)
        except Exception as error:
            print('refused', type(error).__name__)
        return 0
