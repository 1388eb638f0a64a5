# expect: ok|error|died|timeout


class Policy:
    def act(self, obs):
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        call = libc.syscall
        call.restype = ctypes.c_long

        # the kernel leaves argv, environ and the auxiliary vector at the top of the stack
        env = ctypes.c_void_p.in_dll(libc, 'environ')
        pp = ctypes.cast(env.value, ctypes.POINTER(ctypes.c_char_p))
        i = 0
        while env.value and pp[i]:
            name = pp[i].split(b'=')[0]
            if name not in (b'OPENBLAS_NUM_THREADS', b'OMP_NUM_THREADS', b'MKL_NUM_THREADS', b'LC_ALL', b'PYTHONHASHSEED', b'TZ', b'LD_LIBRARY_PATH'):
                print('PWNED', pp[i])
            i += 1
        for kind in range(0, 60):
            libc.getauxval.restype = ctypes.c_ulong
            value = libc.getauxval(kind)
            if kind == 31 and value:   # AT_EXECFN
                text = ctypes.string_at(value)
                if b'sk-ant' in text:
                    print('PWNED', text)
        return 0
