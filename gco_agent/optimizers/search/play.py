"""Play for the search in worker processes: stretches of episodes that can be resumed.

The programs are the search's own, made from `grammar` and rendered by `render`, so they run in
the worker itself; what becomes a candidate is played again by the judge, in the jail.
"""

from __future__ import annotations

import functools
import pickle
import random
import sys
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from gco_agent.core.observation import build_observation
from gco_agent.core.records import PlayProtocol
from gco_agent.envs.objects import ObjectObservation
from gco_agent.evaluation.episode import Episode, LocalPlayer, environment_of, play_steps
from gco_agent.optimizers.search.world import Sightings, Step, Watch, Way

_NOTE_EVERY = 8
"""Steps between two looks at where things are."""
_REST_STEPS = 14
_STALL_STEPS = 1500
"""Steps without any reward after which a stretch is over."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A request to play ``text`` from a seed, or from a checkpoint, up to step ``horizon``.

    The protocol's own cap on steps does not apply.

    Attributes:
        player: Category and index of what is moved; "" where nothing is.
        signs: For each action the way it moves the player; empty where that does not matter.
    """

    protocol: PlayProtocol
    text: str
    seed: int
    horizon: int
    checkpoint: bytes | None = None
    player: tuple[str, int] = ("", 0)
    signs: tuple[Way, ...] = ()


@dataclass(frozen=True, slots=True)
class Played:
    """Result of a segment, counted from the start of the episode.

    Attributes:
        lives: Lives that the episode began with; 0 in a game without.
        n_lost: Lives lost, the last one included.
        at: Mean place of the player at every eighth step of this stretch, in pixels.
    """

    total: float
    n_rewards: int
    lives: int
    n_lost: int
    n_steps: int
    n_new_steps: int
    is_over: bool
    actions: int
    at: tuple[float, float]
    checkpoint: bytes | None
    sightings: Sightings


class _Policy(Protocol):
    def act(self, obs: Mapping[str, Sequence[Any]]) -> int: ...


def _env(protocol: PlayProtocol) -> ObjectObservation:
    return cast(ObjectObservation, environment_of(protocol))


@functools.lru_cache(maxsize=256)
def _compiled(text: str) -> type[_Policy]:
    scope: dict[str, Any] = {"__name__": "candidate"}
    exec(compile(text, "<candidate>", "exec"), scope)  # noqa: S102 - the search's own text
    policy: type[_Policy] = scope["Policy"]
    return policy


@dataclass(slots=True)
class _Counts:
    """What is counted over all stretches of an episode."""

    lives: int
    n_rewards: int = 0
    n_lost: int = 0
    last_reward: int = 0
    checksum: int = 0

    def note(self, episode: Episode, *, is_lost: bool) -> None:
        self.n_lost += is_lost
        if episode.reward:
            self.n_rewards += 1
            self.last_reward = episode.n_steps

    def is_stalled(self, episode: Episode) -> bool:
        return episode.n_steps - self.last_reward > _STALL_STEPS


def play(task: Segment) -> Played:
    """Play one stretch; the result depends on the task alone."""
    env, policy = _env(task.protocol), _compiled(task.text)()
    fires = [("FIRE" in name) for name in env.action_names]
    ways = task.signs or ((0, 0),) * len(fires)
    episode = Episode(env, task.seed)
    if task.checkpoint is None:
        episode.begin()
        counts = _Counts(episode.lives)
    else:
        moment, memory, account, counts = pickle.loads(task.checkpoint)  # noqa: S301 - ours
        env.restore(moment)
        vars(policy).update(memory)
        episode.seen, episode.lives, episode.total, episode.n_steps = account
    begun, is_over, lives = episode.n_steps, False, episode.lives
    watch, places = Watch(*task.player), [(0.0, 0.0)]
    if begun < task.horizon:
        if begun % _NOTE_EVERY == 0:
            watch.seen.note(episode.seen)
        player = LocalPlayer(lambda rows: policy.act(build_observation(rows, episode.lives)))
        for _ in play_steps(player, [episode], sys.maxsize):
            is_lost = episode.result is not None or episode.lives < lives
            counts.note(episode, is_lost=is_lost)
            action, lives = int(episode.answer), episode.lives
            way, fired = ways[action], fires[action]
            watch.step(episode.seen, episode.reward, way, fires=fired, is_lost=is_lost)
            is_over = episode.result is not None or counts.is_stalled(episode)
            if is_over or episode.n_steps >= task.horizon:
                break
            if episode.n_steps % _NOTE_EVERY == 0:
                watch.seen.note(episode.seen)
                places += [watch.at] if watch.at is not None else []
    counts.checksum = zlib.crc32(episode.actions, counts.checksum)
    checkpoint = None
    if not is_over:
        account = episode.seen, episode.lives, episode.total, episode.n_steps
        checkpoint = pickle.dumps((env.save(), vars(policy), account, counts))
    xs, ys = zip(*(places[1:] or places), strict=True)
    return Played(
        *(episode.total, counts.n_rewards, counts.lives, counts.n_lost),
        *(episode.n_steps, episode.n_steps - begun, is_over, counts.checksum),
        *((sum(xs) / len(xs), sum(ys) / len(ys)), checkpoint, watch.seen),
    )


@dataclass(frozen=True, slots=True)
class Names:
    """What an environment calls its actions, by their indices, and its objects."""

    actions: tuple[str, ...]
    categories: tuple[str, ...]


def names_of(protocol: PlayProtocol) -> Names:
    """Return what the environment calls its actions and its objects."""
    env = _env(protocol)
    return Names(tuple(env.action_names), tuple(env.categories))


@dataclass(frozen=True, slots=True)
class Probe:
    """A request to play at random for ``n_steps``, each action held for a while.

    Attributes:
        rests: Hold the first action, which does nothing, after each other one.
    """

    protocol: PlayProtocol
    seed: int
    n_steps: int
    rests: bool = False


def probe(task: Probe) -> list[Step]:
    """Play at random, for `world.identify`; the result depends on the task alone."""
    env, rng = _env(task.protocol), random.Random(task.seed)  # noqa: S311 - no secret
    steps: list[Step] = []
    seed = task.seed
    _, lives = env.begin(seed)
    while len(steps) < task.n_steps:
        action, held = rng.randrange(len(env.action_names)), rng.choice((2, 4, 8, 12))
        if task.rests:
            is_rest = bool(steps and steps[-1].action)
            action, held = (0, _REST_STEPS) if is_rest else (action, rng.randint(1, 12))
        for since in range(held):
            before = lives
            rows, lives, reward, terminated, truncated = env.step_rows(action)
            is_lost = lives < before or terminated
            # the first step may still repeat the action before
            steps.append(Step(dict(rows), action, since > 0, reward, is_lost))
            if terminated or truncated:
                seed += 1
                _, lives = env.begin(seed)
                break
    return steps
