# expect: ok|error|died|timeout
import gco_agent.core.observation as o


class Policy:
    def act(self, obs):
        obs.clear()
        obs['x'] = obs
        for name in dir(o):
            v = getattr(o, name)
            if isinstance(v, (dict, list)):
                v.clear()
        return 0
