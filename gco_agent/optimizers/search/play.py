"""How the search plays: stretches of episodes, in worker processes, that can be gone on with.

The programs are the search's own, made from `grammar` and rendered by `render`, so they run in
the worker itself; what becomes a candidate is played again by the judge, in the jail.
"""

from __future__ import annotations

import functools
import pickle
import random
import sys
import zlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from gco_agent.core.observation import Row, build_observation
from gco_agent.core.records import PlayProtocol
from gco_agent.envs.objects import ObjectObservation
from gco_agent.evaluation.episode import Episode, LocalPlayer, environment_of, play_steps
from gco_agent.optimizers.search.memory import Names
from gco_agent.optimizers.search.world import ContactWatch, Displacements, Sightings

_NOTE_EVERY = 8
"""Steps between two looks at where things are."""
_FEW = 2
"""Of what there are more at once, none is taken for what the player moves."""
_STALL_STEPS = 1500
"""Steps without any reward after which a stretch is over."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A request to play ``text`` from a seed, or from a checkpoint, up to step ``horizon``.

    The protocol's own cap on steps is not looked at.
    """

    protocol: PlayProtocol
    text: str
    seed: int
    horizon: int
    checkpoint: bytes | None = None
    player: tuple[str, int] = ("", 0)


@dataclass(frozen=True, slots=True)
class Played:
    """What a stretch came to, counted from the start of the episode.

    Attributes:
        total: Sum of rewards.
        n_rewards: Steps that had one.
        n_steps: Steps played.
        n_new_steps: Of these, the ones that this request played.
        is_over: The episode ended, or stalled.
        actions: Checksum of the actions.
        checkpoint: Where to go on, if it is not over.
        sightings: What was seen on the way.
    """

    total: float
    n_rewards: int
    n_steps: int
    n_new_steps: int
    is_over: bool
    actions: int
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


def play(task: Segment) -> Played:
    """Play one stretch; the result depends on the task alone."""
    env, policy, sightings = _env(task.protocol), _compiled(task.text)(), Sightings()
    episode = Episode(env, task.seed)
    n_rewards = last_reward = checksum = 0
    if task.checkpoint is None:
        episode.begin()
    else:
        moment, memory, account, n_rewards, last_reward, checksum = pickle.loads(  # noqa: S301 - ours
            task.checkpoint
        )
        env.restore(moment)
        vars(policy).update(memory)
        episode.seen, episode.lives, episode.total, episode.n_steps = account
    begun, is_over, lives = episode.n_steps, False, episode.lives
    watch = ContactWatch(*task.player)
    if begun < task.horizon:
        if begun % _NOTE_EVERY == 0:
            sightings.note(episode.seen)
        player = LocalPlayer(lambda rows: policy.act(build_observation(rows, episode.lives)))
        for _ in play_steps(player, [episode], sys.maxsize):
            if episode.reward:
                n_rewards += 1
                last_reward = episode.n_steps
            is_over = episode.result is not None
            is_lost = is_over or episode.lives < lives
            watch.step(episode.seen, episode.reward, is_lost=is_lost)
            lives = episode.lives
            is_over = is_over or episode.n_steps - last_reward > _STALL_STEPS
            if is_over or episode.n_steps >= task.horizon:
                break
            if episode.n_steps % _NOTE_EVERY == 0:
                sightings.note(episode.seen)
    sightings.contacts = watch.contacts
    checksum = zlib.crc32(episode.actions, checksum)
    checkpoint = None
    if not is_over:
        account = episode.seen, episode.lives, episode.total, episode.n_steps
        checkpoint = pickle.dumps(
            (env.save(), vars(policy), account, n_rewards, last_reward, checksum)
        )
    n_steps = episode.n_steps
    return Played(
        *(episode.total, n_rewards, n_steps, n_steps - begun),
        *(is_over, checksum, checkpoint, sightings),
    )


def names_of(protocol: PlayProtocol) -> Names:
    """What the environment calls its actions and its objects."""
    env = _env(protocol)
    return Names(tuple(env.action_names), tuple(env.categories))


@dataclass(frozen=True, slots=True)
class Probe:
    """A request to play at random for ``n_steps``, each action held for a while."""

    protocol: PlayProtocol
    seed: int
    n_steps: int


@dataclass(frozen=True, slots=True)
class Probed:
    """How things moved under which action, and where they were."""

    action_names: tuple[str, ...]
    moved: Displacements
    sightings: Sightings
    steps: Sequence[tuple[Mapping[str, Sequence[Row]], float, bool]] = ()


def probe(task: Probe) -> Probed:
    """Play at random and note displacements; the result depends on the task alone."""
    env, sightings = _env(task.protocol), Sightings()
    rng = random.Random(task.seed)  # noqa: S311 - no secret
    moved: Displacements = defaultdict(lambda: defaultdict(list))
    names = env.action_names
    seed, t = task.seed, 0
    steps: list[tuple[Mapping[str, Sequence[Row]], float, bool]] = []
    rows, lives = env.begin(seed)
    while t < task.n_steps:
        action, held = rng.randrange(len(names)), rng.choice((2, 4, 8, 12))
        for since in range(held):
            before = lives
            rows, lives, reward, terminated, truncated = env.step_rows(action)
            t += 1
            sightings.note(rows)
            steps.append((dict(rows), reward, lives < before or terminated))
            if since:  # the first step may still repeat the action before
                _note_moves(moved, rows, action)
            if terminated or truncated:
                seed += 1
                rows, lives = env.begin(seed)
                break
    plain = {key: dict(per_action) for key, per_action in moved.items()}
    return Probed(names, plain, sightings, steps)


def note_contacts(found: Sequence[Probed], player: str, index: int) -> None:
    """Add to the sightings of probes what followed contact with the player, now known."""
    for part in found:
        watch = ContactWatch(player, index)
        for rows, reward, is_lost in part.steps:
            watch.step(rows, reward, is_lost=is_lost)
        part.sightings.contacts = watch.contacts


def _note_moves(moved: Displacements, rows: Mapping[str, Sequence[Row]], action: int) -> None:
    for category, members in rows.items():
        if len(members) <= _FEW:
            for index, row in enumerate(members):
                moved[category, index][action].append((row[4], row[5]))


def all_moves(found: Sequence[Probed]) -> Displacements:
    """What the player's candidates moved by, over several probes."""
    merged: Displacements = {}
    for part in found:
        for key, per_action in part.moved.items():
            mine = merged.setdefault(key, {})
            for action, moves in per_action.items():
                mine.setdefault(action, []).extend(moves)
    return merged
