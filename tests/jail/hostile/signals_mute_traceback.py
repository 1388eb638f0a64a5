# expect: timeout
import ctypes

class Policy:
    def act(self, obs):
        import faulthandler, signal
        faulthandler.unregister(signal.SIGUSR1)
        signal_set = ctypes.c_ulong(0xffffffffffffffff)
        ctypes.CDLL(None).syscall(14, 0, ctypes.byref(signal_set), 0, 8)
        while True:
            pass
        return 0
