# expect: ok|error


class Policy:
    def act(self, obs):
        import ctypes, os
        if any('KEY' in name or 'HOME' in name for name in os.environ):
            print('PWNED')
        list_ = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), 'environ')
        i = 0
        while list_ and list_[i]:
            if b'sk-ant' in list_[i] or b'HOME=' in list_[i]:
                print('PWNED')
            i += 1
        return 0
