# expect: ok|error|died


class Policy:
    def act(self, obs):
        import sys
        sys.stdout.write('\x0d\x00\x01\x00' * 100)
        sys.__stdout__.write('action 5')
        sys.stderr.write('\x1b[31mred')
        print(sys.stdin)
        return 0
