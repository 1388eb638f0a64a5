# expect: ok


class Policy:
    def act(self, obs):
        obs['ram'][0] = 10**9
        obs['x'] = 'changed'
        obs.clear()
        self.kept = obs
        return 0
