"""An episode played fast, with what costs next to nothing to note; and again, recorded in parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from gco_agent.envs.plain import Action
from gco_agent.jail.limits import PolicyFailure
from gco_agent.jail.recording import Recording
from gco_agent.observation import Row
from gco_agent.records import EpisodeResult
from gco_agent.rollout import Rollout
from gco_agent.traces.playing import Game, Seen
from gco_agent.traces.records import TracedStep

Extent = tuple[float, float]
"""Least and largest value."""
Ranges = dict[str, tuple[int, int, int, int]]
"""Category to smallest and largest x, then y, of its objects' top left corners."""

_FEW = 6
_STEADY = 0.6
"""A category of one object belongs to the play, as a player or a ball does, if the object is there
in this share of the steps since it was first seen, and in half of that of all steps."""
_PAUSE, _RESUMED = 3, 8
"""Play pauses when for so many steps nothing moves, or something is missing that belongs to it; and
has begun again so many steps after the pause."""
_SELDOM = 16
"""Of what there are more than a few at once, positions are noted every so many steps."""


@dataclass(frozen=True, slots=True)
class Course:
    """How one episode went.

    Attributes:
        result: What it came to.
        rewards: Step and reward, where there was one.
        lives: Step, lives left, and the last step before it in which there was play, at the start
            and wherever the number became another. Games count a lost life up to thirty steps
            late: until then what was hit is gone, or everything stands still.
        ranges: How far things got.
        actions: The action of each step, as the digest of an episode takes it in.
        recorded: The steps that were recorded, if any were.
        n_left_out: Calls made in them that were not recorded.
        extents: How far the numbers went of an observation that is not made of objects.
    """

    result: EpisodeResult
    rewards: tuple[tuple[int, float], ...]
    lives: tuple[tuple[int, int, int], ...]
    ranges: Mapping[str, tuple[int, int, int, int]]
    actions: bytes = b""
    recorded: tuple[TracedStep, ...] = ()
    n_left_out: int = 0
    extents: Mapping[str, Extent] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Replay:
    """A request to play an episode, recorded in some of its steps.

    Attributes:
        task: The policy, one seed and the rules.
        spans: First step, and the step after the last.
        to_the_end: Play the rest of the episode after the last of them, too.
    """

    task: Rollout
    spans: tuple[tuple[int, int], ...] = ()
    to_the_end: bool = True

    @property
    def n_steps(self) -> int:
        """Steps to play at most."""
        longest = self.task.protocol.max_steps
        return longest if self.to_the_end else min(longest, max(end for _, end in self.spans))


@dataclass(slots=True)
class _Notes:
    """What is known of an episode under way."""

    rewards: list[tuple[int, float]] = field(default_factory=list)
    lives: list[tuple[int, int, int]] = field(default_factory=list)
    ranges: Ranges = field(default_factory=dict)
    alone: Counter[str] = field(default_factory=Counter)
    first_seen: dict[str, int] = field(default_factory=dict)
    n_quiet: int = 0
    n_lively: int = _RESUMED
    in_play: int = 0
    recorded: list[TracedStep] = field(default_factory=list)
    n_left_out: int = 0
    extents: dict[str, Extent] = field(default_factory=dict)

    def see(self, step: int, seen: Seen) -> None:
        rows, lives = seen.objects, seen.lives
        for name, value in seen.values.items():
            if isinstance(value, int | float):
                low, high = self.extents.get(name, (value, value))
                self.extents[name] = (min(low, value), max(high, value))
        if not self.lives or self.lives[-1][1] != lives:
            self.lives.append((step, lives, self.in_play))
        is_moving = False
        for category, members in rows.items():
            if len(members) <= _FEW or step % _SELDOM == 0:
                _widen(self.ranges, category, members)
            if len(members) == 1:
                self.alone[category] += 1
                self.first_seen.setdefault(category, step)
            is_moving = is_moving or any(row[4] or row[5] for row in members)
        self._note_play(step, rows, is_lively=is_moving)

    def _note_play(self, step: int, rows: Mapping[str, Sequence[Row]], *, is_lively: bool) -> None:
        """Keep `in_play` at the last step before a pause until play has been resumed."""
        for category, n in self.alone.items():
            since = step + 1 - self.first_seen[category]
            if n >= _STEADY * max(since, step / 2) and not rows.get(category):
                is_lively = False
        self.n_quiet = 0 if is_lively else self.n_quiet + 1
        self.n_lively = self.n_lively + 1 if self.n_quiet < _PAUSE else 0
        if is_lively and self.n_lively > _RESUMED:
            self.in_play = step

    def keep(
        self,
        recording: Recording | None,
        step: int,
        seen: Seen,
        action: tuple[Action, str] | None = None,
        reward: float = 0.0,
    ) -> None:
        """Keep a step, if it was recorded; without an action the policy failed in it."""
        if recording is None:
            return
        played, name = action or (None, "")
        self.n_left_out += recording.n_left_out
        calls = recording.calls
        self.recorded.append(
            TracedStep(step, seen.boxes(), seen.lives, calls, played, name, reward, seen.values)
        )

    def course(self, result: EpisodeResult, actions: bytes) -> Course:
        return Course(
            result,
            tuple(self.rewards),
            tuple(self.lives),
            self.ranges,
            actions,
            tuple(self.recorded),
            self.n_left_out,
            self.extents,
        )


def follow(replay: Replay) -> Course:
    """Play the episode; the same request gives the same course, recorded or not.

    What a policy does wrong is the outcome, never an exception.

    Raises:
        JailError: The jail cannot be built, or not as good as required.
    """
    game = Game(replay.task)
    notes, level = _Notes(), ""
    try:
        game.jail.start()
        level = game.jail.level.word
        game.jail.reset(0)
        wanted = frozenset(step for first, end in replay.spans for step in range(first, end))
        result = _play(game, notes, wanted, replay.n_steps)
    except PolicyFailure as failure:
        result = game.lane.result(failure.outcome, failure.detail)
    finally:
        game.jail.close()
    return notes.course(replace(result, jail=level), bytes(game.lane.actions))


def _play(game: Game, notes: _Notes, wanted: frozenset[int], max_steps: int) -> EpisodeResult:
    """Play to the end of the episode, or to where the policy fails in a way that can be told."""
    game.begin()
    while True:
        step, seen = game.lane.n_steps, game.seen
        notes.see(step, seen)
        answer, recording = game.ask(recorded=step in wanted)
        result = game.play(answer, max_steps)
        if isinstance(answer, PolicyFailure):
            notes.keep(recording, step, seen)
        else:
            reward = game.lane.reward
            notes.keep(recording, step, seen, (answer, game.name_of(answer)), reward)
            if reward:
                notes.rewards.append((step, reward))
        if result is not None:
            return result


def _widen(ranges: Ranges, category: str, members: Sequence[Row]) -> None:
    left, right, top, bottom = ranges.get(category, (1 << 30, -1 << 30, 1 << 30, -1 << 30))
    for row in members:
        x, y = row[0], row[1]
        left, right = min(left, x), max(right, x)
        top, bottom = min(top, y), max(bottom, y)
    if members:
        ranges[category] = (left, right, top, bottom)


def merge_ranges(courses: Sequence[Course]) -> Ranges:
    """How far things got in any of several episodes."""
    merged: Ranges = {}
    for course in courses:
        for category, (left, right, top, bottom) in course.ranges.items():
            a, b, c, d = merged.get(category, (left, right, top, bottom))
            merged[category] = (min(a, left), max(b, right), min(c, top), max(d, bottom))
    return merged


def merge_extents(courses: Sequence[Course]) -> dict[str, Extent]:
    """Least and largest value of the numbers of an observation in any of several episodes."""
    merged: dict[str, Extent] = {}
    for course in courses:
        for name, (low, high) in course.extents.items():
            a, b = merged.get(name, (low, high))
            merged[name] = (min(a, low), max(b, high))
    return merged
