# expect: died


class Policy:
    def act(self, obs):
        import ctypes, os
        libc = ctypes.CDLL(None)
        local = ctypes.create_string_buffer(64)
        vector = (ctypes.c_uint64 * 2)(ctypes.addressof(local), 64)
        remote = (ctypes.c_uint64 * 2)(id(local), 64)
        if libc.process_vm_readv(os.getppid(), vector, 1, remote, 1, 0) > 0:
            print('PWNED')
        return 0
