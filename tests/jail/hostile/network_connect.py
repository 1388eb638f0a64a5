# expect: error|died|timeout|ok


class Policy:
    def act(self, obs):
        try:
            import socket; socket.create_connection(('127.0.0.1', @TCP@)); print('PWNED')
        except Exception as error:
            print('refused', type(error).__name__)
        try:
            import socket; s = socket.socket(socket.AF_UNIX); s.connect('\0canary-canary'); print('PWNED')
        except Exception as error:
            print('refused', type(error).__name__)
        try:
            import socket; print('PWNED', socket.socket(socket.AF_NETLINK, socket.SOCK_RAW))
        except Exception as error:
            print('refused', type(error).__name__)
        try:
            import socket; print('PWNED', socket.gethostname())
        except Exception as error:
            print('refused', type(error).__name__)
        return 0
