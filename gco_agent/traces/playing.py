"""Play an episode for a trace: recorded in some of its steps, with what was seen on the way."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gco_agent.core.observation import ObjectBox, Row, build_observation
from gco_agent.core.records import EpisodeResult, Plain, PlayProtocol, Shown
from gco_agent.envs.environment import spec_of
from gco_agent.envs.gymnasium_env import Action
from gco_agent.evaluation.episode import (
    Episode,
    RecordedPlayer,
    Rollout,
    begin_episode,
    open_jail,
    play_steps,
    start_policy,
)
from gco_agent.jail.host import Jail, PolicyFailure
from gco_agent.jail.recording import Recording
from gco_agent.traces.records import TracedStep

_OBSERVATION = "obs"
_MOST_NUMBERS = 400
_MOST_PARTS = 8
_MOST_TEXT = 60

Rows = Mapping[str, tuple[Row, ...]]


@dataclass(frozen=True, slots=True)
class Seen:
    """What a policy sees in one step.

    Attributes:
        objects: Category to rows, of an environment made of objects.
        values: What an observation of another kind holds, by the words to write for it.
        lives: Lives left; 0 where the game has none.
    """

    objects: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, Plain] = field(default_factory=dict)
    lives: int = 0

    def boxes(self) -> Mapping[str, tuple[ObjectBox, ...]]:
        """The objects as the policy reads them."""
        built = build_observation(self.objects, self.lives)
        return {name: tuple(boxes) for name, boxes in built.items()}


def _look(episode: Episode) -> Seen:
    if episode.env.has_objects:
        return Seen(episode.seen, lives=episode.lives)
    return Seen(values=values_of(episode.seen))


def _action_names(episode: Episode, protocol: PlayProtocol) -> tuple[str, ...]:
    env = episode.env
    names = env.action_names if env.has_objects else tuple(spec_of(protocol).actions)
    return names if len(names) == env.n_actions else env.action_names


def _name_of(action: Action, names: Sequence[str]) -> str:
    if isinstance(action, int):
        return names[action]
    return " ".join(f"{number:.3g}" for number in action)


def field_names(protocol: PlayProtocol) -> dict[str, str]:
    """The words for a number of an observation, as `values_of` has them, to its name."""
    fields = spec_of(protocol).fields
    named = {f"{_OBSERVATION}[{n}]": part.name for n, part in enumerate(fields)}
    return {words: name for words, name in named.items() if name != words}


def values_of(obs: object) -> dict[str, Plain]:
    """What an observation that is not made of objects holds: short, plain data, by name."""
    shape = getattr(obs, "shape", None)
    if shape is not None:
        numbers = obs.tolist() if _size(shape) <= _MOST_NUMBERS else None  # type: ignore[attr-defined]
        if len(shape) == 1 and numbers is not None:
            return {f"{_OBSERVATION}[{n}]": _short(number) for n, number in enumerate(numbers)}
        return {_OBSERVATION: Shown(f"<array {' x '.join(map(str, shape))}>")}
    if isinstance(obs, dict):
        return dict(itertools.islice(_parts(obs, _OBSERVATION), _MOST_NUMBERS))
    if isinstance(obs, tuple | list):
        shown = list(obs)[:_MOST_NUMBERS]
        return {f"{_OBSERVATION}[{n}]": _short(part) for n, part in enumerate(shown)}
    return {_OBSERVATION: _short(obs)}


def _parts(obs: Mapping[Any, Any], path: str) -> Iterator[tuple[str, Plain]]:
    for key, part in obs.items():
        name = f"{path}[{key!r}]"
        if isinstance(part, dict):
            yield from _parts(part, name)
        else:
            yield name[:_MOST_TEXT], _short(part)


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for length in shape:
        size *= length
    return size


def _short(value: Any) -> Plain:  # noqa: ANN401 - whatever an environment gives
    if type(value).__module__ == "numpy":
        value = value.tolist()
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return value[:_MOST_TEXT]
    if isinstance(value, tuple | list):
        flat = all(isinstance(part, bool | int | float) for part in value)
        if flat and len(value) <= _MOST_PARTS:
            return tuple(value)
        return Shown(f"<{len(value)} parts>")
    return Shown(f"<{type(value).__name__}>")


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
class Trajectory:
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

    def course(self, result: EpisodeResult, actions: bytes) -> Trajectory:
        return Trajectory(
            result,
            tuple(self.rewards),
            tuple(self.lives),
            self.ranges,
            actions,
            tuple(self.recorded),
            self.n_left_out,
            self.extents,
        )


def follow(replay: Replay) -> Trajectory:
    """Play the episode; the same request gives the same course, recorded or not.

    What a policy does wrong is the outcome, never an exception.

    Raises:
        JailError: The jail cannot be built, or not as good as required.
    """
    task = replay.task
    [seed] = task.seeds
    episode = begin_episode(task.protocol, seed)
    notes, level = _Notes(), ""
    try:
        with open_jail(task, [episode]) as jail:
            level = jail.level.word
            start_policy(jail, [episode])
            _play(episode, _SpanPlayer(jail, replay.spans), notes, replay)
    except PolicyFailure as failure:
        episode.end(failure.outcome, failure.detail)
    assert episode.result is not None
    return notes.course(replace(episode.result, jail=level), bytes(episode.actions))


class _SpanPlayer(RecordedPlayer):
    """Records the steps of some spans."""

    def __init__(self, jail: Jail, spans: Sequence[tuple[int, int]]) -> None:
        super().__init__(jail)
        self._wanted = frozenset(step for first, end in spans for step in range(first, end))

    def is_wanted(self, step: int) -> bool:
        """Return whether the step is in one of the spans."""
        return step in self._wanted


def _play(episode: Episode, player: _SpanPlayer, notes: _Notes, replay: Replay) -> None:
    names = _action_names(episode, replay.task.protocol)
    if episode.result is not None:  # the policy failed at its start
        return
    step, seen = 0, _look(episode)
    notes.see(step, seen)
    for _ in play_steps(player, [episode], replay.n_steps):
        if isinstance(episode.answer, PolicyFailure):
            notes.keep(player.recording, step, seen)
            return
        action = episode.answer, _name_of(episode.answer, names)
        notes.keep(player.recording, step, seen, action, episode.reward)
        if episode.reward:
            notes.rewards.append((step, episode.reward))
        if episode.result is None:
            step, seen = episode.n_steps, _look(episode)
            notes.see(step, seen)


def _widen(ranges: Ranges, category: str, members: Sequence[Row]) -> None:
    left, right, top, bottom = ranges.get(category, (1 << 30, -1 << 30, 1 << 30, -1 << 30))
    for row in members:
        x, y = row[0], row[1]
        left, right = min(left, x), max(right, x)
        top, bottom = min(top, y), max(bottom, y)
    if members:
        ranges[category] = (left, right, top, bottom)


def merge_ranges(courses: Sequence[Trajectory]) -> Ranges:
    """How far things got in any of several episodes."""
    merged: Ranges = {}
    for course in courses:
        for category, (left, right, top, bottom) in course.ranges.items():
            a, b, c, d = merged.get(category, (left, right, top, bottom))
            merged[category] = (min(a, left), max(b, right), min(c, top), max(d, bottom))
    return merged


def merge_extents(courses: Sequence[Trajectory]) -> dict[str, Extent]:
    """Least and largest value of the numbers of an observation in any of several episodes."""
    merged: dict[str, Extent] = {}
    for course in courses:
        for name, (low, high) in course.extents.items():
            a, b = merged.get(name, (low, high))
            merged[name] = (min(a, low), max(b, high))
    return merged
