"""The eight games, and how the tests play them."""

from __future__ import annotations

import random

from gco_agent.games.registry import GAMES
from gco_agent.games.spec import GameSpec

SPECS: tuple[GameSpec, ...] = tuple(GAMES.values())
NAMES = tuple(GAMES)


def actions(seed: int, n_actions: int, n_steps: int) -> list[int]:
    """Random actions, each held for a few steps, as play has it."""
    rng = random.Random(seed)
    chosen: list[int] = []
    while len(chosen) < n_steps:
        chosen += [rng.randrange(n_actions)] * rng.randrange(1, 6)
    return chosen[:n_steps]
