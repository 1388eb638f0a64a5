"""Play an episode and yield it moment by moment: the episode that the judge scores on that seed."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gco_agent.core.observation import Row
from gco_agent.core.records import EpisodeResult, PlayProtocol
from gco_agent.envs.environment import open_environment, spec_of
from gco_agent.envs.gymnasium_env import Action
from gco_agent.envs.objects import Screen
from gco_agent.evaluation.episode import (
    Episode,
    JailedPlayer,
    Rollout,
    open_jail,
    play_steps,
    start_policy,
)
from gco_agent.jail import JailLevel, JailLimits, PolicyFailure

_NO_PICTURE: Screen = np.zeros((0, 0, 3), np.uint8)


@dataclass(frozen=True, slots=True)
class Moment:
    """The state of an episode between two steps, and the policy's answer to it.

    Attributes:
        frame: The picture, uint8 of shape (height, width, 3), or (0, 0, 3) without pictures.
        rows: The objects that the policy sees; empty for environments without objects.
        raw: The observation without objects: of an Atari game the 128 bytes of RAM, otherwise
            what the environment returns.
        action: Name of the action that the policy chooses; "" at the end.
    """

    step: int
    frame: Screen
    rows: Mapping[str, Sequence[Row]]
    lives: int
    total: float
    raw: object = None
    action: str = ""
    played: Action | None = None
    result: EpisodeResult | None = None


def film(
    source: str,
    protocol: PlayProtocol,
    seed: int,
    *,
    require: JailLevel = JailLevel.NONE,
    limits: JailLimits | None = None,
    is_seen: bool = True,
) -> Generator[Moment, None, None]:
    """Play an episode and yield each moment of it; the last one has the result.

    The result equals that of `gco_agent.evaluation.episode.play_episodes`, digest of the actions
    included.

    Args:
        source: Text of the policy. It runs in the jail only.
    """
    if not protocol.has_objects and not has_screen():
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # pygame would print a warning
    env = open_environment(protocol, is_seen=is_seen)
    spec = spec_of(protocol)
    names = spec.words_for(env.action_names)
    episode = Episode(env, seed)
    task = Rollout(source, (seed,), protocol, require, limits or JailLimits())
    with contextlib.closing(env):
        episode.begin()
        moment = _moment(episode, is_seen=is_seen)
        try:
            with open_jail(task, [episode]) as jail:
                start_policy(jail, [episode])
                for _ in play_steps(JailedPlayer(jail), [episode], protocol.max_steps):
                    if episode.n_steps > moment.step:
                        name = _action_name(episode.answer, names)
                        yield replace(moment, action=name, played=episode.answer)
                        moment = _moment(episode, is_seen=is_seen)
        except PolicyFailure as failure:
            episode.end(failure.outcome, failure.detail)
    yield replace(moment, result=episode.result)


def play_together(films: Sequence[Iterator[Moment]]) -> Iterator[list[Moment]]:
    """Yield the moments of several films side by side; the last moment of each is held."""
    now = [next(each) for each in films]
    yield now
    while any(moment.result is None for moment in now):
        now = [
            next(each) if moment.result is None else moment
            for each, moment in zip(films, now, strict=True)
        ]
        yield now


def has_screen() -> bool:
    """Return whether this session can open a window."""
    if sys.platform in ("darwin", "win32"):
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def _action_name(action: Action, names: Sequence[str]) -> str:
    if isinstance(action, tuple):
        return " ".join(f"{number:+.2f}" for number in action)
    return names[action] if action < len(names) else str(action)


def _moment(episode: Episode, *, is_seen: bool) -> Moment:
    env, rows = episode.env, episode.objects
    return Moment(
        episode.n_steps,
        env.picture() if is_seen else _NO_PICTURE,
        rows or {},
        episode.lives,
        episode.total,
        episode.seen if rows is None else env.ram,  # type: ignore[attr-defined] # Atari's
    )
