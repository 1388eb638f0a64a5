"""Episodes of the search's own policies, in worker processes.

The texts are the search's own, made by `program.render`, so they run in the worker itself; what
becomes a candidate is played again by the judge, in the jail.
"""

from __future__ import annotations

import functools
import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gco_agent.core.errors import UsageError
from gco_agent.core.records import PlayProtocol
from gco_agent.evaluation.episode import LocalPlayer, begin_episode, environment_of, play_steps

MOST_NUMBERS = 4_096
"""Observations with more numbers are not weighed."""


@dataclass(frozen=True, slots=True)
class Episodes:
    """A request to play ``text`` on ``seeds``, each up to the protocol's cap."""

    protocol: PlayProtocol
    text: str
    seeds: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Played:
    """The return of each episode, and the steps of all."""

    returns: tuple[float, ...]
    n_steps: int


@functools.lru_cache(maxsize=256)
def _compiled(text: str) -> Any:  # noqa: ANN401 - a class made from text
    scope: dict[str, Any] = {"__name__": "candidate"}
    exec(compile(text, "<candidate>", "exec"), scope)  # noqa: S102 - the search's own text
    return scope["Policy"]


def play(task: Episodes) -> Played:
    """Play the episodes; the result depends on the task alone."""
    returns, n_steps = [], 0
    for seed in task.seeds:
        episode = begin_episode(task.protocol, seed)
        act = _compiled(task.text)().act
        if episode.env.n_floats:
            act = _with_tuples(act)
        for _ in play_steps(LocalPlayer(act), [episode], task.protocol.max_steps):
            pass
        if episode.result is None or not episode.result.outcome.is_scored:
            why = episode.result.detail if episode.result is not None else ""
            raise UsageError(f"{task.protocol.env_id} gave no score: {why}")
        returns.append(episode.total)
        n_steps += episode.n_steps
    return Played(tuple(returns), n_steps)


def _with_tuples(act: Callable[[Any], Sequence[float]]) -> Callable[[Any], tuple[float, ...]]:
    return lambda obs: tuple(act(obs))


@dataclass(frozen=True, slots=True)
class Probe:
    """A request to play at random for ``n_steps``, or until ``deadline`` (`time.perf_counter`)."""

    protocol: PlayProtocol
    seed: int
    n_steps: int
    deadline: float = math.inf


@dataclass(frozen=True, slots=True)
class Probed:
    """What random play showed.

    Attributes:
        scale: Root mean square of each number of an observation, 1 where it is always 0.
    """

    scale: tuple[float, ...]
    is_vector: bool


def probe(task: Probe) -> Probed:
    """Play at random, each action held for a while; the result depends on the task alone."""
    env, rng = environment_of(task.protocol), random.Random(task.seed)  # noqa: S311 - no secret
    low, high = env.bounds
    seed, (obs, _) = task.seed, env.begin(task.seed)
    is_vector = getattr(obs, "ndim", 0) == 1
    squares = [0.0] * len(numbers(obs))
    n_steps = 0
    action: Any = 0
    for step in range(task.n_steps if len(squares) <= MOST_NUMBERS else 1):
        if step and time.perf_counter() >= task.deadline:
            break
        n_steps += 1
        if step % 8 == 0:
            action = (
                tuple(
                    rng.uniform(max(-1e3, a), min(1e3, b)) for a, b in zip(low, high, strict=True)
                )
                if env.n_floats
                else rng.randrange(env.n_actions)
            )
        for index, number in enumerate(numbers(obs)):
            squares[index] += number * number
        _, terminated, truncated = env.advance(action)
        obs, _ = env.observe()
        if terminated or truncated:
            seed += 1
            obs, _ = env.begin(seed)
    if not all(map(math.isfinite, squares)):
        number = next(i for i, total in enumerate(squares) if not math.isfinite(total))
        raise UsageError(
            f"{task.protocol.env_id} returned an observation whose number {number} is NaN or "
            "infinite, which no policy can weigh: mend that in the environment"
        )
    scale = (math.sqrt(total / n_steps) or 1.0 for total in squares)
    return Probed(tuple(float(f"{number:.3g}") for number in scale), is_vector)


def numbers(obs: Any) -> Sequence[float]:  # noqa: ANN401 - whatever an environment gives
    """Return every number in an observation, keys in alphabetical order, without text."""
    if isinstance(obs, str):
        return []
    if isinstance(obs, dict):
        return [n for key in sorted(obs) for n in numbers(obs[key])]
    if isinstance(obs, int | float):
        return [float(obs)]
    if getattr(obs, "ndim", None) == 0:
        return [float(obs)]
    return [n for part in obs for n in numbers(part)]
