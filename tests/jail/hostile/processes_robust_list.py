# expect: ok|error|died|timeout


class Policy:
    def act(self, obs):
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        call = libc.syscall
        call.restype = ctypes.c_long

        head, size = ctypes.c_void_p(), ctypes.c_size_t()
        for pid in (1, os.getppid(), 0):
            if call(274, pid, ctypes.byref(head), ctypes.byref(size)) == 0:
                print('PWNED robust list of', pid, head.value)
        return 0
