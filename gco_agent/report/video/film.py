"""One episode, moment by moment: the same episode that the judge scores on that seed."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace

from gco_agent.core.observation import Row
from gco_agent.core.records import ComponentCall, EpisodeResult, PlayProtocol
from gco_agent.envs.environment import open_environment, spec_of
from gco_agent.envs.extraction import RamState
from gco_agent.envs.gymnasium_env import Action
from gco_agent.envs.objects import Screen
from gco_agent.evaluation.episode import (
    Episode,
    JailedPlayer,
    Player,
    RecordedPlayer,
    Rollout,
    open_jail,
    play_steps,
    start_policy,
)
from gco_agent.jail import JailLevel, JailLimits, PolicyFailure
from gco_agent.report.video.window import prepare_for_no_screen


@dataclass(frozen=True, slots=True)
class Moment:
    """What there is between two steps, and what the policy makes of it.

    Attributes:
        seed: Of the episode.
        step: Steps played before.
        frame: The picture: of an Atari game the screen, 210 x 160 pixels.
        rows: The objects that the policy sees on it; none where it sees no objects.
        lives: Lives left.
        total: Sum of rewards so far.
        ram: The console's 128 bytes; None where there is no console.
        seen: What the policy sees, where it sees no objects.
        action: Name of the action that the policy chooses now; "" at the end.
        played: That action; None at the end.
        calls: What the policy called to choose it, if the film was recorded.
        result: What the episode came to, at its end.
    """

    seed: int
    step: int
    frame: Screen
    rows: Mapping[str, Sequence[Row]]
    lives: int
    total: float
    ram: RamState | None = None
    seen: object = None
    action: str = ""
    played: Action | None = None
    calls: tuple[ComponentCall, ...] = ()
    result: EpisodeResult | None = None


def film(
    source: str,
    protocol: PlayProtocol,
    seed: int,
    *,
    require: JailLevel = JailLevel.NONE,
    limits: JailLimits | None = None,
    is_recorded: bool = False,
) -> Generator[Moment, None, None]:
    """Play an episode and yield each moment of it; the last has the result.

    The result equals what `gco_agent.evaluation.episode.play_episodes` gives, digest of the actions
    included, whether the film is recorded or not.

    Args:
        source: The policy's text. It never runs in this process.
        protocol: The rules of play.
        seed: For the environment.
        require: The jail must be at least this good.
        limits: What the policy may use.
        is_recorded: Note what the policy calls in every step, which takes it many times as long.

    Raises:
        JailError: The jail cannot be built, or not as good as required.
        UsageError: The environment draws no pictures.
    """
    if not protocol.has_objects:
        prepare_for_no_screen()
    env = open_environment(protocol, is_seen=True)
    spec = spec_of(protocol)
    names = spec.words_for(env.action_names) if protocol.has_objects else spec.actions
    episode = Episode(env, seed)
    task = Rollout(source, (seed,), protocol, require, limits or JailLimits())
    with contextlib.closing(env):
        episode.begin()
        moment = _moment(episode)
        calls: tuple[ComponentCall, ...] = ()
        try:
            with open_jail(task, [episode]) as jail:
                start_policy(jail, [episode])
                player: Player = RecordedPlayer(jail) if is_recorded else JailedPlayer(jail)
                for _ in play_steps(player, [episode], protocol.max_steps):
                    calls = _calls(player)
                    if episode.n_steps > moment.step:
                        name = _name_of(episode.answer, list(names))
                        yield replace(moment, action=name, played=episode.answer, calls=calls)
                        moment, calls = _moment(episode), ()
        except PolicyFailure as failure:
            episode.end(failure.outcome, failure.detail)
    yield replace(moment, calls=calls, result=episode.result)


def _calls(player: Player) -> tuple[ComponentCall, ...]:
    recording = player.recording if isinstance(player, RecordedPlayer) else None
    return recording.calls if recording is not None else ()


def _name_of(action: Action, names: Sequence[str]) -> str:
    if isinstance(action, tuple):
        return " ".join(f"{number:+.2f}" for number in action)
    return names[action] if action < len(names) else str(action)


def _moment(episode: Episode) -> Moment:
    env, step, total = episode.env, episode.n_steps, episode.total
    if not env.has_objects:
        return Moment(episode.seed, step, env.picture(), {}, 0, total, seen=episode.seen)
    ram: RamState = env.ram  # type: ignore[attr-defined] # Atari's
    return Moment(episode.seed, step, env.picture(), episode.seen, episode.lives, total, ram=ram)
