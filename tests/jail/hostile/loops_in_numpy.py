# expect: timeout


class Policy:
    def act(self, obs):
        import numpy as np
        np.linalg.svd(np.random.rand(3000, 3000))
        return 0
