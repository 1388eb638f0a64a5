# expect: ok|error|died|timeout


class Policy:
    def act(self, obs):
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        call = libc.syscall
        call.restype = ctypes.c_long

        import errno
        # PI futexes name their owner by thread id: the kernel tells whether such a thread exists
        found = []
        for pid in range(1, 60):
            word = ctypes.c_uint32(pid)
            ctypes.set_errno(0)
            call(202, ctypes.byref(word), 8 | 128, 0, None)   # FUTEX_TRYLOCK_PI
            if ctypes.get_errno() == errno.EAGAIN or (word.value & 0x80000000):
                found.append(pid)
            if ctypes.get_errno() not in (errno.EPERM, errno.ENOSYS, errno.ESRCH, 0):
                found.append((pid, ctypes.get_errno()))
        if found:
            print('PWNED processes', found[:5])
        return 0
