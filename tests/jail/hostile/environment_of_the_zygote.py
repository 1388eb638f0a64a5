# expect: ok|error|died|timeout


class Policy:
    def act(self, obs):
        import gc, sys
        for o in gc.get_objects():
            n = type(o).__name__
            if n in ('Zygote', 'socket', 'Order', 'TextIOWrapper', 'FileIO', 'BufferedReader', 'poll'):
                print('found', n)
                if n == 'socket':
                    try:
                        o.send(b'x'); print('PWNED socket')
                    except OSError:
                        pass
        fr = sys._getframe()
        while fr:
            z = fr.f_locals.get('self')
            if type(z).__name__ == 'Zygote':
                try:
                    z._control.sendall(b'x' * 80); print('PWNED control')
                except OSError as e:
                    print('refused')
            fr = fr.f_back
        return 0
