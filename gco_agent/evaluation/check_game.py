"""Check a game of a user's: its specification, its environment, and its initial policy."""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gco_agent.core.errors import ContractViolation, PolicyError, UsageError
from gco_agent.envs.environment import initial_policy, make_protocol
from gco_agent.envs.gymnasium_env import Action, GymnasiumEnvironment, stdout_to_stderr
from gco_agent.evaluation.episode import Rollout, play_episodes
from gco_agent.games.spec import GameSpec
from gco_agent.policy.contract import check_policy
from gco_agent.policy.source import PolicySource


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong."""

    about: str
    text: str

    def __str__(self) -> str:
        return f"{self.about}: {self.text}"


def check_game(spec: GameSpec, n_steps: int = 3_000, seed: int = 0) -> list[Finding]:
    """Return everything that is not as ``spec`` says; depends on ``seed`` alone."""
    if spec.has_objects:
        raise UsageError(
            f"check-game is for environments of your own; {spec.title} is an Atari game, whose "
            "specification comes with gco-agent"
        )
    with stdout_to_stderr():
        findings = _check_values(spec, n_steps, seed)
        if not any(finding.about in ("env_id", "environment") for finding in findings):
            findings += _check_start(spec)
    return findings


def _check_start(spec: GameSpec) -> Iterator[Finding]:
    """Check that the policy that a run starts from is valid, and plays in the jail."""
    rules = make_protocol("default", spec.env_id, 50)
    text = initial_policy(rules)
    try:
        check_policy(PolicySource(text))
    except (ContractViolation, PolicyError) as error:
        yield Finding("start", str(error))
        return
    (episode,) = play_episodes(Rollout(text, (1,), rules))
    if not episode.outcome.is_scored:
        yield Finding(
            "start", f"{episode.outcome.value} after {episode.n_steps} steps: {episode.detail}"
        )


def _check_values(spec: GameSpec, n_steps: int, seed: int) -> list[Finding]:
    try:
        with contextlib.closing(GymnasiumEnvironment(spec.env_id)) as env:
            return [*_check_words(spec, env), *_check_episodes(env, n_steps, seed)]
    except UsageError as error:
        return [Finding("env_id", str(error))]


def _check_words(spec: GameSpec, env: GymnasiumEnvironment) -> Iterator[Finding]:
    if spec.actions and len(spec.actions) != env.n_actions:
        there = f"{env.n_actions} actions" if env.n_actions else f"{env.n_floats} numbers an action"
        yield Finding("actions", f"there are {len(spec.actions)} words, and {there}")
    if spec.fields and len(spec.fields) != env.n_numbers:
        yield Finding(
            "fields", f"there are {len(spec.fields)}, and {env.n_numbers} numbers an observation"
        )
    counts = Counter(part.name for part in spec.fields)
    for name in (name for name, count in counts.items() if count > 1):
        yield Finding(f"field {name}", "is there more than once")


@dataclass(slots=True)
class _Played:
    """An episode of random play: what each step showed, its reward and end, and what was wrong."""

    observations: list[str] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    ends: list[tuple[bool, bool]] = field(default_factory=list)
    wrong: dict[str, str] = field(default_factory=dict)


def _check_episodes(env: GymnasiumEnvironment, n_steps: int, seed: int) -> Iterator[Finding]:
    """Compare episodes of the same seed, before and after another one, and check one of them."""
    try:
        first, *again, other, last = (_play(env, n_steps, s) for s in (seed, seed, seed + 1, seed))
    except UsageError as error:
        yield Finding("environment", str(error))
        return
    for about, text in first.wrong.items():
        yield Finding(about, text)
    for name in ("observations", "rewards", "ends"):
        if any(getattr(first, name) != getattr(played, name) for played in (*again, last)):
            yield Finding("seed", f"the same seed and actions give other {name}")
            break
    if first.observations == other.observations and len(first.observations) > 1:
        yield Finding("seed", "every seed gives the same episode: one is as good as thirty")


def _play(env: GymnasiumEnvironment, n_steps: int, seed: int) -> _Played:
    rng = random.Random(0)  # noqa: S311 - no secret
    played = _Played()
    obs, _ = env.begin(seed)
    is_over = False
    while not is_over and len(played.observations) < n_steps:
        played.observations.append(repr(obs))
        _check_observation(env, played.wrong)
        reward, *ends = env.advance(_random_action(env, rng))
        played.rewards.append(reward)
        played.ends.append((ends[0], ends[1]))
        obs, _ = env.observe()
        is_over = any(ends)
    return played


def _random_action(env: GymnasiumEnvironment, rng: random.Random) -> Action:
    if env.n_actions:
        return rng.randrange(env.n_actions)
    return tuple(rng.uniform(max(-1e3, a), min(1e3, b)) for a, b in zip(*env.bounds, strict=True))


def _check_observation(env: GymnasiumEnvironment, wrong: dict[str, str]) -> None:
    """Add what is wrong with the last observation, once for each kind."""
    obs = env.raw_observation
    for path, part in _parts(obs, "obs"):
        if type(part).__name__ == "MaskedArray":
            wrong.setdefault(path, "is a masked array; policies see what the mask hides")
        elif (n_nan := _n_nan(part)) > 0:
            wrong.setdefault(path, f"has NaN in {n_nan} of its numbers")
    if not wrong and not env.observation_space.contains(obs):
        shown = f"{obs!r:.200}"
        kinds = ", ".join(f"{path} is {_kind(part)}" for path, part in _parts(obs, "obs"))
        wrong["observation_space"] = f"{env.observation_space} does not hold {shown} ({kinds:.200})"


def _parts(obs: Any, path: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - anything
    if isinstance(obs, Mapping):
        for key, part in obs.items():
            yield from _parts(part, f"{path}[{key!r}]")
    elif isinstance(obs, tuple | list):
        for number, part in enumerate(obs):
            yield from _parts(part, f"{path}[{number}]")
    else:
        yield path, obs


def _kind(part: Any) -> str:  # noqa: ANN401 - anything
    shape = getattr(part, "shape", None)
    return type(part).__name__ if shape is None else f"{part.dtype} of shape {shape}"


def _n_nan(part: object) -> int:
    array = np.asarray(part)
    return int(np.isnan(array).sum()) if array.dtype.kind == "f" else 0
