"""The loop that plays episodes: the environment and the score here, the policy in its jail."""

from __future__ import annotations

import atexit
import contextlib
import struct
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from gco_agent.core.observation import Row
from gco_agent.core.records import (
    EpisodeResult,
    Outcome,
    PlayProtocol,
    digest_actions,
    pack_actions,
    unpack_actions,
)
from gco_agent.envs.environment import Environment, open_environment
from gco_agent.envs.gymnasium_env import Action
from gco_agent.evaluation.workers import watch_for_hangs
from gco_agent.jail import Jail, JailLevel, JailLimits, ObjectRows, PolicyFailure
from gco_agent.jail.reports import Recording

_HUGE = 1e100
"""No return is larger: the squares of such returns would be infinite."""
_MOST_ENVIRONMENTS = 32
_environments: dict[tuple[PlayProtocol, int], Environment] = {}
_one_at_a_time = threading.Lock()
"""Environments belong to the process, and another executor may have threads."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """A request to play one policy on some seeds, in lock step, in one jail."""

    source: str
    seeds: tuple[int, ...]
    protocol: PlayProtocol
    require: JailLevel = JailLevel.NONE
    limits: JailLimits = field(default_factory=JailLimits)


@dataclass(slots=True)
class Episode:
    """One episode under way."""

    env: Environment
    seed: int
    lane: int = 0
    seen: Any = None
    lives: int = 0
    answer: Any = None
    reward: float = 0.0
    total: float = 0.0
    n_steps: int = 0
    actions: bytearray = field(default_factory=bytearray)
    result: EpisodeResult | None = None

    @property
    def observation(self) -> object:
        """What the jail is given."""
        return ObjectRows(self.seen, self.lives) if self.env.has_objects else self.seen

    @property
    def objects(self) -> Mapping[str, Sequence[Row]] | None:
        """The objects that the policy sees, by category; None where it sees something else."""
        return self.seen if self.env.has_objects else None

    def begin(self) -> None:
        """Start it."""
        self.seen, self.lives = self.env.begin(self.seed)

    def play(self, answer: Action | PolicyFailure, max_steps: int) -> bool:
        """Play what the policy answered; return whether a step was played."""
        self.answer = answer
        if not isinstance(answer, PolicyFailure) and (why := self.env.complaint(answer)):
            self.answer = answer = PolicyFailure(Outcome.BAD_ACTION, why)
        if isinstance(answer, PolicyFailure):
            self.end(answer.outcome, answer.detail)
            return False
        before = self.total
        self.reward, terminated, truncated = self.env.advance(answer)
        self.total += self.reward
        self.n_steps += 1
        self.actions += action_bytes(answer)
        if not abs(self.total) < _HUGE:  # also if it is NaN
            why = f"the reward of this action takes the return from {before:g} to {self.total:g}"
            self.total = before
            self.end(Outcome.BAD_ACTION, why)
        elif terminated:
            self.end(Outcome.GAME_OVER)
        elif truncated or self.n_steps >= max_steps:
            self.end(Outcome.TRUNCATED)
        return True

    def end(self, outcome: Outcome, detail: str = "") -> EpisodeResult:
        """Set the result and return it."""
        digest, packed = digest_actions(self.actions), pack_actions(self.actions)
        self.result = EpisodeResult(
            self.seed, self.total, self.n_steps, outcome, detail, digest, packed
        )
        return self.result


class Player(Protocol):
    """What chooses the actions: a policy in its jail, or one in this process."""

    def act(self, episodes: Sequence[Episode]) -> Sequence[Any]:
        """Return an action or a `PolicyFailure` for the observation of each episode.

        Raises:
            PolicyFailure: All episodes are lost.
        """


class JailedPlayer:
    """A policy in its jail, asked with one message for all episodes."""

    def __init__(self, jail: Jail) -> None:
        self.jail = jail

    def act(self, episodes: Sequence[Episode]) -> Sequence[Any]:
        """Return the policy's answers."""
        return self.jail.act([(e.lane, e.observation) for e in episodes])


class LocalPlayer:
    """A trusted policy in this process, of one episode; ``act`` gets `Episode.seen`."""

    def __init__(self, act: Callable[[Any], Any]) -> None:
        self._act = act

    def act(self, episodes: Sequence[Episode]) -> Sequence[Any]:
        """Return the policy's answer."""
        return [self._act(episodes[0].seen)]


class RecordedPlayer:
    """A policy of one episode whose calls are recorded.

    Attributes:
        recording: The calls of the last step, if they were recorded.
    """

    def __init__(self, jail: Jail) -> None:
        self.jail = jail
        self.recording: Recording | None = None

    def is_wanted(self, step: int) -> bool:
        """Return whether to record a step; each by default."""
        del step
        return True

    def act(self, episodes: Sequence[Episode]) -> Sequence[Any]:
        """Return the policy's answer."""
        [episode] = episodes
        self.recording = None
        if not self.is_wanted(episode.n_steps):
            return JailedPlayer(self.jail).act(episodes)
        answer, self.recording = self.jail.act_recorded(episode.lane, episode.observation)
        return [answer]


def play_steps(
    player: Player, episodes: Sequence[Episode], max_steps: int
) -> Iterator[Sequence[Episode]]:
    """Play all episodes side by side, and yield those that played after each step.

    All environments advance before any is observed: see `Environment`.
    """
    playing: Sequence[Episode] = [e for e in episodes if e.result is None]
    with watch_for_hangs() as alive:
        while playing:
            alive()
            answers = player.act(playing)
            stepped = [e for e, a in zip(playing, answers, strict=True) if e.play(a, max_steps)]
            for episode in stepped:
                episode.seen, episode.lives = episode.env.observe()
            yield playing
            playing = [e for e in playing if e.result is None]


def play_episodes(task: Rollout) -> tuple[EpisodeResult, ...]:
    """Play an episode on every seed, in order; what a policy does wrong is an outcome.

    The same task gives the same episodes. If one episode ends the policy's process, the others are
    played again, each in its own jail, and have to begin with the same actions: otherwise a policy
    could end the process whenever its episodes go badly, and play them differently.
    """
    with _one_at_a_time:
        episodes = _play_together(task)
        results = []
        for episode in episodes:
            result = episode.result
            if result is None:
                [alone] = _play_together(replace(task, seeds=(episode.seed,)))
                assert alone.result is not None
                result = _held_to(bytes(episode.actions), alone.result)
            results.append(result)
    return tuple(results)


def _held_to(begun: bytes, alone: EpisodeResult) -> EpisodeResult:
    """Return an episode that was played again, if it began with the same actions."""
    if not alone.outcome.is_scored or unpack_actions(alone.actions).startswith(begun):
        return alone
    return replace(
        alone,
        outcome=Outcome.DIED,
        detail="the policy's process ended in the middle of the episode, and when that was played "
        "again, in a jail of its own, the policy acted otherwise from the beginning",
    )


def _play_together(task: Rollout) -> list[Episode]:
    """Play side by side; return the episodes, without a result if they are lost."""
    episodes = [begin_episode(task.protocol, s, lane) for lane, s in enumerate(task.seeds)]
    jail, level = None, ""
    try:
        with open_jail(task, episodes) as jail:
            level = jail.level.word
            start_policy(jail, episodes)
            for _ in play_steps(JailedPlayer(jail), episodes, task.protocol.max_steps):
                pass
    except PolicyFailure as failure:
        if not level or len(episodes) == 1:  # a text that does not load fails all episodes
            for episode in episodes:
                if episode.result is None:
                    episode.end(failure.outcome, failure.detail)
    for episode in episodes:
        if jail is not None and episode.result is not None:
            episode.result = with_jail(episode.result, jail, episode.lane, level)
    return episodes


def with_jail(result: EpisodeResult, jail: Jail, lane: int, level: str) -> EpisodeResult:
    """Return the result with the level of the jail and the time that the policy used in it."""
    return replace(
        result,
        jail=level,
        cpu_seconds=jail.cpu_seconds(lane),
        slowest_step_seconds=jail.slowest_step_seconds(lane),
    )


def begin_episode(protocol: PlayProtocol, seed: int, lane: int = 0) -> Episode:
    """Start an episode in the environment that this process keeps for that lane."""
    episode = Episode(environment_of(protocol, lane), seed, lane)
    with watch_for_hangs():
        episode.begin()
    return episode


@contextlib.contextmanager
def open_jail(
    task: Rollout, episodes: Sequence[Episode], *, n_floats: int | None = None
) -> Iterator[Jail]:
    """Start a jail for the policy of ``task``, with a lane for each episode.

    Args:
        n_floats: Number of floats that it returns; by default those of an action.
    """
    env = episodes[0].env
    jail = Jail(
        task.source,
        n_actions=env.n_actions if n_floats is None else 0,
        n_floats=env.n_floats if n_floats is None else n_floats,
        n_lanes=len(episodes),
        limits=task.limits,
        require=task.require,
    )
    try:
        jail.start()
        yield jail
    finally:
        jail.close()


def start_policy(jail: Jail, episodes: Sequence[Episode]) -> None:
    """Start the policy of each episode; those whose start fails get their result."""
    for episode in episodes:
        try:
            jail.reset(episode.lane, episode.seed)
        except PolicyFailure as failure:
            if failure.lane is None:
                raise
            episode.end(failure.outcome, failure.detail)


def action_bytes(action: Action) -> bytes:
    """Return an action as `EpisodeResult.digest` takes it in."""
    if isinstance(action, int):
        return action.to_bytes(1 if action < 256 else 4, "little")  # noqa: PLR2004 - a byte
    return struct.pack(f"<{len(action)}d", *action)


def actions_of(data: bytes, n_floats: int) -> list[Action]:
    """Return the actions of which `action_bytes` made ``data``; integers of one byte each."""
    return list(struct.iter_unpack(f"<{n_floats}d", data)) if n_floats else list(data)


def environment_of(protocol: PlayProtocol, lane: int = 0) -> Environment:
    """Return this process's environment for a lane, which is kept for the next episode."""
    key = protocol, lane
    env = _environments.pop(key, None)
    if env is None:
        while len(_environments) >= _MOST_ENVIRONMENTS:
            _environments.pop(next(iter(_environments))).close()
        env = open_environment(protocol)
    _environments[key] = env
    return env


@atexit.register
def close_environments() -> None:
    """Close the environments that this process keeps."""
    while _environments:
        with contextlib.suppress(Exception):
            _environments.popitem()[1].close()
