# expect: ok|error|died|timeout


class Policy:
    def act(self, obs):
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        call = libc.syscall
        call.restype = ctypes.c_long

        # shared pages: merging (KSM) and paging out are ways to learn what others have
        libc.mmap.restype = ctypes.c_void_p
        page = libc.mmap(None, 1 << 16, 3, 0x22, -1, 0)
        ctypes.memset(page, 7, 1 << 16)
        for advice, name in ((12, 'mergeable'), (21, 'pageout'), (20, 'cold'), (9, 'remove'), (10, 'dontfork'), (18, 'wipeonfork'), (25, 'collapse'), (102, 'guard'), (3, 'willneed'), (22, 'populate')):
            if call(28, ctypes.c_void_p(page), 1 << 16, advice) == 0:
                print('PWNED', name)
        # libc's own pages, which all processes share
        base = ctypes.cast(libc.getenv, ctypes.c_void_p).value & ~0xfff
        if call(28, ctypes.c_void_p(base), 4096, 21) == 0:
            print('PWNED libc paged out')
        return 0
