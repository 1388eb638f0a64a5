"""Observations as a poorer eye has them: displaced, missing, or after a start that was slept over.

What happens depends on the seed of the episode alone, so that an episode can be played again.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from gco_agent.core.observation import Row
from gco_agent.core.records import PlayProtocol
from gco_agent.envs.generic import Action, PlainEnvironment
from gco_agent.envs.objects import ObjectObservation

_NOOP = 0
_SALT = "disturbed"


class DisturbedObservation(ObjectObservation):
    """An object environment whose rows are disturbed; what the console plays is not.

    Args:
        env: Made by `gco_agent.envs.objects.make_object_env`.
        rules: What disturbs.
    """

    def __init__(self, env: ObjectObservation, rules: PlayProtocol) -> None:
        super().__init__(env.env)
        self._variation = rules
        self._chance = random.Random()  # noqa: S311 - seeded, to be the same again
        self._moved: dict[tuple[str, int], tuple[int, int]] = {}

    def reset_rows(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, list[Row]], int]:
        """As of any object environment, after some frames of doing nothing."""
        rows, lives = super().reset_rows(seed, options)
        self._chance.seed(f"{_SALT} {seed}")
        self._moved = {}
        if self._variation.noop_frames:
            most = max(1, self._variation.noop_frames // self._variation.frame_skip)
            for _ in range(self._chance.randint(1, most)):
                self.advance(_NOOP)
                rows, lives = super().observe()
        return self._disturbed(rows), lives

    def observe(self) -> tuple[dict[str, list[Row]], int]:
        """As of any object environment."""
        rows, lives = super().observe()
        return self._disturbed(rows), lives

    def _disturbed(self, rows: dict[str, list[Row]]) -> dict[str, list[Row]]:
        if not (self._variation.noise_px or self._variation.dropout):
            return rows
        seen: dict[str, list[Row]] = {}
        moved: dict[tuple[str, int], tuple[int, int]] = {}
        for category, members in rows.items():
            left = []
            for number, row in enumerate(members):
                key = category, number
                moved[key] = self._displacement()
                if self._chance.random() >= self._variation.dropout:
                    left.append(_displaced(row, moved[key], self._moved.get(key, moved[key])))
            if left:
                seen[category] = left
        self._moved = moved
        return seen

    def _displacement(self) -> tuple[int, int]:
        noise = self._variation.noise_px
        if not noise:
            return 0, 0
        return round(self._chance.gauss(0, noise)), round(self._chance.gauss(0, noise))


class DisturbedPlain(PlainEnvironment):
    """Any Gymnasium environment with sticky actions, or with observations that are disturbed.

    Args:
        rules: Of play.
    """

    def __init__(self, rules: PlayProtocol) -> None:
        super().__init__(rules.env_id)
        self._sticky = rules.sticky
        self._noise = rules.noise_share
        self._dropout = rules.dropout
        self._chance = random.Random()  # noqa: S311 - seeded, to be the same again
        self._last: Action | None = None
        self._seen: object = None

    def reset(self, seed: int) -> object:
        """As of any environment; what disturbs it is decided by the seed, too."""
        self._chance.seed(f"{_SALT} {seed}")
        self._last = None
        self._seen = self._noisy(super().reset(seed))
        return self._seen

    def step(self, action: Action) -> tuple[object, float, bool, bool]:
        """As of any environment, with the action before where that one sticks."""
        if self._last is not None and self._chance.random() < self._sticky:
            action = self._last
        self._last = action
        obs, reward, terminated, truncated = super().step(action)
        if self._chance.random() >= self._dropout:
            self._seen = self._noisy(obs)
        return self._seen, reward, terminated, truncated

    def _noisy(self, obs: object) -> object:
        if not self._noise or not isinstance(obs, np.ndarray):
            return obs
        factors = [1 + self._chance.gauss(0, self._noise) for _ in range(obs.size)]
        return (obs * np.reshape(factors, obs.shape)).astype(obs.dtype)


def _displaced(row: Row, now: tuple[int, int], before: tuple[int, int]) -> Row:
    """A row at another place; its velocity is what two displaced places in a row would give."""
    x, y, w, h, dx, dy, *rest = row
    moved = (x + now[0], y + now[1], w, h, dx + now[0] - before[0], dy + now[1] - before[1])
    return (*moved, *rest)  # type: ignore[return-value]
