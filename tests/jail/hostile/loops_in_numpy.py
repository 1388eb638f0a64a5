# expect: timeout


class Policy:
    def act(self, obs):
        import numpy as np
        numbers = np.random.rand(1000, 1000)
        np.einsum("ij,jk,kl->il", numbers, numbers, numbers)  # 10^12 products in one loop of C
        return 0
