# expect: error|died|timeout|ok
import ctypes, mmap


class Policy:
    def act(self, obs):
        try:
            mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC); print('PWNED')
        except Exception as error:
            print('refused', type(error).__name__)
        try:
            mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC); print('PWNED')
        except Exception as error:
            print('refused', type(error).__name__)
        try:
            r = ctypes.CDLL(None).mprotect(ctypes.c_void_p(id(self) & ~4095), 4096, 7); print('PWNED' if r == 0 else 'refused')
        except Exception as error:
            print('refused', type(error).__name__)
        try:
            r = ctypes.CDLL(None).pkey_mprotect(ctypes.c_void_p(id(self) & ~4095), 4096, 7, -1); print('PWNED' if r == 0 else 'refused')
        except Exception as error:
            print('refused', type(error).__name__)
        return 0
