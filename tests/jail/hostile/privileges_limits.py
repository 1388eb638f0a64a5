# expect: error|died|timeout|ok
import os, resource


class Policy:
    def act(self, obs):
        try:
            resource.setrlimit(resource.RLIMIT_AS, (-1, -1)); print('PWNED')
        except Exception as error:
            print('refused', type(error).__name__)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)); print('PWNED')
        except Exception as error:
            print('refused', type(error).__name__)
        try:
            resource.prlimit(os.getppid(), resource.RLIMIT_CPU); print('PWNED')
        except Exception as error:
            print('refused', type(error).__name__)
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)); print('PWNED')
        except Exception as error:
            print('refused', type(error).__name__)
        return 0
