"""Disturbed observations: moved, missing or late, or after a start without acting.

What happens depends on the episode's seed alone, so that an episode can be played again.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np

from gco_agent.core.observation import Row
from gco_agent.core.records import PlayProtocol
from gco_agent.envs.extraction import Rows
from gco_agent.envs.gymnasium_env import Action

if TYPE_CHECKING:
    from gco_agent.envs.environment import Environment

_NOOP = 0


class DisturbedEnvironment:
    """Play an environment as its protocol disturbs it; see `environment.Environment`.

    Sticky actions are the emulator's where there is one, and this class's elsewhere.
    """

    def __init__(self, env: Environment, rules: PlayProtocol) -> None:
        self._env, self._rules = env, rules
        self._sticky = 0.0 if env.has_objects else rules.sticky
        self._chance = random.Random()  # noqa: S311 - seeded in `begin`
        self._last: Action | None = None
        self._seen: object = None
        self._moved: dict[tuple[str, int], tuple[int, int]] = {}

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - of the environment
        return getattr(self._env, name)

    def begin(self, seed: int) -> tuple[Any, int]:
        """Start an episode, with some frames of doing nothing if the protocol has them."""
        seen, lives = self._env.begin(seed)
        self._chance.seed(f"disturbed {seed}")
        self._last, self._moved = None, {}
        if self._rules.noop_frames:
            most = max(1, self._rules.noop_frames // self._rules.frame_skip)
            for _ in range(self._chance.randint(1, most)):
                self._env.advance(_NOOP)
                seen, lives = self._env.observe()
        self._seen = self._moved_rows(seen) if self._env.has_objects else self._noisy(seen)
        return self._seen, lives

    def advance(self, action: Action) -> tuple[float, bool, bool]:
        """Play one step, of the previous action where that one sticks."""
        if self._last is not None and self._chance.random() < self._sticky:
            action = self._last
        self._last = action
        return self._env.advance(action)

    def observe(self) -> tuple[Any, int]:
        """Return the disturbed observation, and the lives left."""
        seen, lives = self._env.observe()
        if self._env.has_objects:
            return self._moved_rows(seen), lives
        if self._chance.random() >= self._rules.dropout:
            self._seen = self._noisy(seen)
        return self._seen, lives

    def _moved_rows(self, rows: Rows) -> Rows:
        if not (self._rules.noise_px or self._rules.dropout):
            return rows
        seen: Rows = {}
        moved: dict[tuple[str, int], tuple[int, int]] = {}
        for category, members in rows.items():
            left = []
            for number, row in enumerate(members):
                key = category, number
                moved[key] = self._offset()
                if self._chance.random() >= self._rules.dropout:
                    left.append(_displace(row, moved[key], self._moved.get(key, moved[key])))
            if left:
                seen[category] = left
        self._moved = moved
        return seen

    def _offset(self) -> tuple[int, int]:
        noise = self._rules.noise_px
        if not noise:
            return 0, 0
        return round(self._chance.gauss(0, noise)), round(self._chance.gauss(0, noise))

    def _noisy(self, obs: object) -> object:
        if not self._rules.noise_share or not isinstance(obs, np.ndarray):
            return obs
        factors = [1 + self._chance.gauss(0, self._rules.noise_share) for _ in range(obs.size)]
        return (obs * np.reshape(factors, obs.shape)).astype(obs.dtype)


def _displace(row: Row, now: tuple[int, int], before: tuple[int, int]) -> Row:
    """Move a row; its velocity is the difference of two moved places."""
    x, y, w, h, dx, dy, *rest = row
    moved = (x + now[0], y + now[1], w, h, dx + now[0] - before[0], dy + now[1] - before[1])
    return (*moved, *rest)  # type: ignore[return-value]
