"""Environments as libraries of reinforcement learning take them, under the same rules of play."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import GrayscaleObservation, ResizeObservation

from gco_agent.core.records import PlayProtocol
from gco_agent.envs.environment import open_environment

_SIDE = 84


class LearningEnv(gymnasium.Env[Any, Any]):
    """Play by the rules of a protocol, observed as numbers, or as pixels where there is a screen.

    Every episode has the next of the given seeds; the arguments of `reset` are ignored.
    """

    def __init__(self, rules: PlayProtocol, seeds: Iterator[int]) -> None:
        self._env = open_environment(rules)
        self._rules, self._seeds, self._n_steps = rules, seeds, 0
        low, high = (np.array(bound, np.float32) for bound in self._env.bounds)
        n_actions = self._env.n_actions
        self.action_space = spaces.Discrete(n_actions) if n_actions else spaces.Box(low, high)
        if rules.has_objects:
            self._env.begin(0)
            shape = self._env.picture().shape
            self.observation_space = spaces.Box(0, 255, shape, np.uint8)
        else:
            self._space = self._env.observation_space  # type: ignore[attr-defined]
            self.observation_space = spaces.flatten_space(self._space)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin the next episode."""
        super().reset(seed=seed, options=options)
        self._n_steps = 0
        self._env.begin(next(self._seeds))
        return self._seen(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:  # noqa: ANN401
        """Play one step of the protocol."""
        is_index = isinstance(self.action_space, spaces.Discrete)
        played = int(action) if is_index else tuple(map(float, action))
        reward, terminated, truncated = self._env.advance(played)
        self._n_steps += 1
        truncated = truncated or self._n_steps >= self._rules.max_steps
        return self._seen(), reward, terminated, truncated and not terminated, {}

    def close(self) -> None:
        """Release the environment."""
        self._env.close()

    def _seen(self) -> Any:  # noqa: ANN401 - an array
        if self._rules.has_objects:
            return self._env.picture()
        return spaces.flatten(self._space, self._env.raw_observation)  # type: ignore[attr-defined]


def make_learning_env(rules: PlayProtocol, seeds: Iterator[int]) -> gymnasium.Env[Any, Any]:
    """Return the environment; a screen is seen in grey, 84 pixels wide and high."""
    env: gymnasium.Env[Any, Any] = LearningEnv(rules, seeds)
    if rules.has_objects:
        env = GrayscaleObservation(ResizeObservation(env, (_SIDE, _SIDE)), keep_dim=True)
    return env
