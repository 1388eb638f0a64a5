"""Episodes: the emulator and the score on this side, the policy in the jail on the other."""

from __future__ import annotations

import functools
import struct
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from gco_agent.core.records import (
    EpisodeResult,
    Outcome,
    PlayProtocol,
    digest_actions,
    pack_actions,
    unpack_actions,
)
from gco_agent.envs.environment import Environment, open_environment
from gco_agent.envs.generic import Action, PlainEnvironment
from gco_agent.jail.host import Jail, JailLevel, JailLimits, PolicyFailure

if TYPE_CHECKING:
    from gco_agent.jail.recording import Recording, RecordingJail

AnyJail = TypeVar("AnyJail", bound=Jail)

_HUGE = 1e100
"""No return is as large; squares of such would be infinite, and nothing can be said of them."""
_one_at_a_time = threading.Lock()
"""Environments are kept by the process, not by the thread; another pool may have threads."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """A request to play one policy on some seeds, in lock step, in one jail.

    Attributes:
        source: The policy's text.
        seeds: One lane each.
        protocol: The rules of play.
        require: The jail must be at least this good.
        limits: What the policy may use.
    """

    source: str
    seeds: tuple[int, ...]
    protocol: PlayProtocol
    require: JailLevel = JailLevel.NONE
    limits: JailLimits = field(default_factory=JailLimits)


@dataclass(frozen=True, slots=True)
class RolledOut:
    """What became of a `Rollout`: its episodes in the order of the seeds."""

    episodes: tuple[EpisodeResult, ...]


@dataclass(slots=True)
class Lane:
    """One episode under way: what the judge holds of it."""

    number: int
    seed: int
    env: Environment
    seen: Any = None
    lives: int = 0
    reward: float = 0.0
    total: float = 0.0
    n_steps: int = 0
    actions: bytearray = field(default_factory=bytearray)

    def begin(self) -> None:
        """Start the episode."""
        if isinstance(self.env, PlainEnvironment):
            self.seen = self.env.reset(self.seed)
        else:
            self.seen, self.lives = self.env.reset_rows(self.seed)

    def play(self, answer: Action | PolicyFailure, max_steps: int) -> EpisodeResult | None:
        """Play what the policy answered; the result if the episode ends with it.

        If it does not, `look` comes next: after all emulators where several lanes play, for which
        `ObjectObservation.advance` has the reason.

        Args:
            answer: Of `ask`.
            max_steps: Steps after which the episode is cut.
        """
        if isinstance(answer, PolicyFailure):
            return self.result(answer.outcome, answer.detail)
        before = self.total
        terminated, truncated = self._advance(answer)
        if not abs(self.total) < _HUGE:  # also if it is no number
            why = f"the reward of this action takes the return from {before:g} to {self.total:g}"
            self.total = before
            return self.result(Outcome.BAD_ACTION, why)
        if terminated:
            return self.result(Outcome.GAME_OVER)
        if truncated or self.n_steps >= max_steps:
            return self.result(Outcome.HORIZON)
        return None

    def _advance(self, action: Action) -> tuple[bool, bool]:
        """Play a step and keep the account; whether that was the end, and whether a cut."""
        if isinstance(self.env, PlainEnvironment):
            self.seen, self.reward, terminated, truncated = self.env.step(action)
        else:
            assert isinstance(action, int), action
            self.reward, terminated, truncated = self.env.advance(action)
        self.total += self.reward
        self.n_steps += 1
        self.actions += action_bytes(action)
        return terminated, truncated

    def look(self) -> None:
        """See what the step led to."""
        if not isinstance(self.env, PlainEnvironment):
            self.seen, self.lives = self.env.observe()

    def result(self, outcome: Outcome, detail: str = "") -> EpisodeResult:
        """What the episode came to, if it ends here."""
        return EpisodeResult(
            self.seed,
            self.total,
            self.n_steps,
            outcome,
            detail,
            digest_actions(self.actions),
            pack_actions(self.actions),
        )


def play_episodes(task: Rollout) -> RolledOut:
    """Play an episode on every seed; what a policy does wrong is an outcome, never an exception.

    The result depends on the task alone: the same seeds side by side, in the same order, give the
    same episodes. That of a seed depends on the others for no policy that goes by what it sees; one
    that goes by the addresses of objects may act otherwise beside another lane, which shares its
    process. So whoever needs the same episode again asks for the same seeds, as the judge does.
    Where one lane takes the whole process down, the others are played again, each in a jail of its
    own. There they must do again what they had done: else a policy could end the process whenever
    its episodes go badly, and play them in another way.

    Raises:
        JailError: The jail cannot be built, or not as good as required.
    """
    with _one_at_a_time:
        results, begun = _play_lanes(task)
        for number, seed in enumerate(task.seeds):
            if number not in results:
                alone, _ = _play_lanes(replace(task, seeds=(seed,)))
                results[number] = _held_to(begun[number], alone[0])
    return RolledOut(tuple(results[number] for number in range(len(task.seeds))))


def _held_to(begun: bytes, alone: EpisodeResult) -> EpisodeResult:
    """An episode that was played again, unless it did not begin with the actions of before."""
    if not alone.outcome.is_scored or unpack_actions(alone.actions).startswith(begun):
        return alone
    return replace(
        alone,
        outcome=Outcome.DIED,
        detail="the policy's process ended in the middle of the episode, and when that was played "
        "again, in a jail of its own, the policy acted otherwise from the beginning",
    )


def _play_lanes(task: Rollout) -> tuple[dict[int, EpisodeResult], dict[int, bytes]]:
    """Results by lane, each with the jail's level; what lanes lost with another one had done."""
    lanes = [begin_lane(task.protocol, number, seed) for number, seed in enumerate(task.seeds)]
    jail = make_jail(Jail, task, lanes[0].env, len(lanes))
    results: dict[int, EpisodeResult] = {}
    level = ""
    try:
        jail.start()
        level = jail.level.word
        _reset_all(jail, lanes, results)
        _play_all(jail, lanes, results, task.protocol.max_steps)
    except PolicyFailure as failure:
        lost = [lane for lane in lanes if lane.number not in results]
        if not level or len(lanes) == 1:  # a text that does not load does so for every lane
            for lane in lost:
                results[lane.number] = lane.result(failure.outcome, failure.detail)
    finally:
        jail.close()
    begun = {n: bytes(lane.actions) for n, lane in enumerate(lanes) if n not in results}
    return {number: replace(result, jail=level) for number, result in results.items()}, begun


def begin_lane(protocol: PlayProtocol, number: int, seed: int) -> Lane:
    """An episode at its start; its environment is the process's one for that lane."""
    lane = Lane(number, seed, _environment(protocol, number))
    lane.begin()
    return lane


def make_jail(kind: type[AnyJail], task: Rollout, env: Environment, n_lanes: int = 1) -> AnyJail:
    """The jail that ``task`` asks for, for policies of ``env``; not started yet."""
    limits, n_floats = task.limits, 0
    if isinstance(env, PlainEnvironment):
        n_actions, n_floats = env.n_actions, env.n_floats
        limits = replace(limits, with_numpy=True)
    else:
        n_actions = len(env.action_names)
    return kind(
        task.source,
        n_actions=n_actions,
        n_floats=n_floats,
        n_lanes=n_lanes,
        limits=limits,
        require=task.require,
    )


def action_bytes(action: Action) -> bytes:
    """An action as the digest of an episode takes it in."""
    if isinstance(action, int):
        return action.to_bytes(1 if action < 256 else 4, "little")  # noqa: PLR2004 - a byte
    return struct.pack(f"<{len(action)}d", *action)


@functools.lru_cache(maxsize=32)
def _environment(protocol: PlayProtocol, number: int) -> Environment:
    del number  # one environment for each lane, kept for the next task
    return open_environment(protocol)


def _reset_all(jail: Jail, lanes: Sequence[Lane], results: dict[int, EpisodeResult]) -> None:
    for lane in lanes:
        try:
            jail.reset(lane.number)
        except PolicyFailure as failure:
            if failure.lane is None:
                raise
            results[lane.number] = lane.result(failure.outcome, failure.detail)


def _play_all(
    jail: Jail, lanes: Sequence[Lane], results: dict[int, EpisodeResult], max_steps: int
) -> None:
    """Step every lane that still plays until none does."""
    while playing := [lane for lane in lanes if lane.number not in results]:
        results.update(step_lanes(jail, playing, max_steps))


def step_lanes(jail: Jail, playing: Sequence[Lane], max_steps: int) -> dict[int, EpisodeResult]:
    """Play one step of every lane, all with one message; the results of those that end with it.

    Raises:
        PolicyFailure: The jail is lost, and every lane with it.
    """
    ended: dict[int, EpisodeResult] = {}
    going: list[Lane] = []
    for lane, answer in zip(playing, ask(jail, playing), strict=True):
        result = lane.play(answer, max_steps)
        if result is None:
            going.append(lane)
        else:
            ended[lane.number] = result
    for lane in going:
        lane.look()
    return ended


def ask(jail: Jail, playing: Sequence[Lane]) -> list[Any]:
    """What the policy does in every lane, asked with one message: an action, or its failure.

    Raises:
        PolicyFailure: The jail is lost, and every lane with it.
    """
    if isinstance(playing[0].env, PlainEnvironment):
        answers = jail.act_plain([(lane.number, lane.seen) for lane in playing])
        return [_checked(lane, answer) for lane, answer in zip(playing, answers, strict=True)]
    return jail.act([(lane.number, lane.lives, lane.seen) for lane in playing])


def ask_recorded(jail: RecordingJail, lane: Lane) -> tuple[Any, Recording]:
    """As `ask`, of one lane, and with the calls that the policy made."""
    if isinstance(lane.env, PlainEnvironment):
        answer, recording = jail.act_plain_recorded(lane.number, lane.seen)
        return _checked(lane, answer), recording
    return jail.act_recorded((lane.number, lane.lives, lane.seen))


def _checked(lane: Lane, answer: Action | PolicyFailure) -> Action | PolicyFailure:
    """A failure in place of what is no action of an environment that is not made of objects."""
    if isinstance(lane.env, PlainEnvironment) and not isinstance(answer, PolicyFailure):
        why = lane.env.complaint(answer)
        if why:
            return PolicyFailure(Outcome.BAD_ACTION, why)
    return answer
