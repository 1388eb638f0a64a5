"""One episode, moment by moment: the same episode that the judge scores on that seed."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gco_agent.core.observation import Row
from gco_agent.core.records import ComponentCall, EpisodeResult, PlayProtocol
from gco_agent.envs.environment import open_environment, spec_of
from gco_agent.envs.extraction import RamState
from gco_agent.envs.generic import Action, PlainEnvironment
from gco_agent.envs.objects import ObjectObservation, Screen
from gco_agent.evaluation.episode import Lane, Rollout, ask, ask_recorded, make_jail
from gco_agent.games import is_atari
from gco_agent.jail import JailLevel, JailLimits, PolicyFailure
from gco_agent.jail.recording import RecordingJail
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
    env = _open(protocol)
    names = _names(env, protocol)
    lane = Lane(0, seed, env)
    lane.begin()
    task = Rollout(source, (seed,), protocol, require, limits or JailLimits())
    jail = make_jail(RecordingJail, task, env)
    calls: tuple[ComponentCall, ...] = ()
    try:
        jail.start()
        jail.reset(0)
        while True:
            answer, calls = _ask(jail, lane, is_recorded=is_recorded)
            if isinstance(answer, PolicyFailure):
                raise answer
            named = _name_of(answer, names)
            yield replace(_moment(lane), action=named, played=answer, calls=calls)
            calls = ()
            result = lane.play(answer, protocol.max_steps)
            lane.look()
            if result is not None:
                yield replace(_moment(lane), result=result)
                return
    except PolicyFailure as failure:
        result = lane.result(failure.outcome, failure.detail)
        yield replace(_moment(lane), calls=calls, result=result)
    finally:
        jail.close()
        env.close()


def _open(protocol: PlayProtocol) -> ObjectObservation | PlainEnvironment:
    """The environment, such that it can be seen."""
    if is_atari(protocol.env_id):
        return open_environment(protocol)
    spec_of(protocol)  # makes an id of somebody's own module known
    prepare_for_no_screen()
    return PlainEnvironment(protocol.env_id, is_seen=True)


def _names(env: ObjectObservation | PlainEnvironment, protocol: PlayProtocol) -> Sequence[str]:
    if isinstance(env, ObjectObservation):
        return env.action_names
    return list(spec_of(protocol).actions)


def _name_of(action: Action, names: Sequence[str]) -> str:
    if isinstance(action, tuple):
        return " ".join(f"{number:+.2f}" for number in action)
    return names[action] if action < len(names) else str(action)


def _ask(
    jail: RecordingJail, lane: Lane, *, is_recorded: bool
) -> tuple[Any, tuple[ComponentCall, ...]]:
    """The policy's action, or its failure; and the calls, if they are recorded."""
    if is_recorded:
        answer, recording = ask_recorded(jail, lane)
        return answer, recording.calls
    return ask(jail, [lane])[0], ()


def _moment(lane: Lane) -> Moment:
    env = lane.env
    if isinstance(env, PlainEnvironment):
        return Moment(lane.seed, lane.n_steps, env.picture(), {}, 0, lane.total, seen=lane.seen)
    return Moment(
        lane.seed, lane.n_steps, env.screen, lane.seen, lane.lives, lane.total, ram=env.ram
    )
