# expect: ok
import numpy as np


def act(obs):
    weights = np.linalg.qr(np.random.default_rng(0).normal(size=(18, 18)))[0]
    return np.argmax(weights @ np.asarray(obs['ram'][:18], dtype=float))
