"""Play an episode for a trace: recorded in some of its steps, with what was seen on the way."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gco_agent.core.observation import Row, build_observation
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
    with_jail,
)
from gco_agent.jail.host import Jail, PolicyFailure
from gco_agent.jail.reports import Recording
from gco_agent.traces.records import Ending, TracedStep

_OBSERVATION = "obs"
_MOST_NUMBERS = 400
_MOST_PARTS = 8
_MOST_TEXT = 60


def _action_names(episode: Episode, protocol: PlayProtocol) -> tuple[str, ...]:
    env = episode.env
    spec = spec_of(protocol)
    if env.has_objects:
        return spec.words_for(env.action_names)
    return tuple(spec.actions) if len(spec.actions) == env.n_actions else env.action_names


def _name_of(action: Action, names: Sequence[str]) -> str:
    if isinstance(action, int):
        return names[action]
    return " ".join(f"{number:.3g}" for number in action)


def field_names(protocol: PlayProtocol) -> dict[str, str]:
    """Return the names of an observation's numbers, by the keys of `values_of`."""
    fields = spec_of(protocol).fields
    named = {f"{_OBSERVATION}[{n}]": part.name for n, part in enumerate(fields)}
    return {words: name for words, name in named.items() if name != words}


def values_of(obs: object) -> dict[str, Plain]:
    """Return the values of an observation without objects by expression, "obs[2]"; cut short."""
    shape = getattr(obs, "shape", None)
    if shape is not None:
        numbers = obs.tolist() if math.prod(shape) <= _MOST_NUMBERS else None  # type: ignore[attr-defined]
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
_PAUSED_AT_MOST = 60
"""Steps that a game may show the end of before it is over."""
_SELDOM = 16
"""Of what there are more than a few at once, positions are noted every so many steps."""


@dataclass(frozen=True, slots=True)
class Trajectory:
    """How one episode went.

    Attributes:
        result: Its result.
        rewards: Step and reward, where it is not 0.
        lives: Step, lives left, and the last step before it in which there was play; at the start
            and at each change. Games count a lost life up to thirty steps late: until then what
            was hit is gone, or everything stands still.
        ranges: Smallest and largest positions of objects.
        actions: As `EpisodeResult.digest` is made of.
        recorded: The recorded steps.
        n_left_out: Calls in them that were not recorded.
        extents: Smallest and largest numbers of an observation without objects.
        lives_left: Lives at the end; 0 where the game has none.
        in_play: The last step in which there was play.
    """

    result: EpisodeResult
    rewards: tuple[tuple[int, float], ...]
    lives: tuple[tuple[int, int, int], ...]
    ranges: Mapping[str, tuple[int, int, int, int]]
    actions: bytes = b""
    recorded: tuple[TracedStep, ...] = ()
    n_left_out: int = 0
    extents: Mapping[str, Extent] = field(default_factory=dict)
    lives_left: int = 0
    in_play: int | None = None

    @property
    def deaths(self) -> tuple[int, ...]:
        """Steps in which a life was lost, the last one included where it ended the game."""
        lost = [b[2] for a, b in itertools.pairwise(self.lives) if b[1] < a[1]]
        if self.lives and self.lives_left < self.lives[-1][1]:
            lost.append(self.last_step)
        return tuple(lost)

    @property
    def last_step(self) -> int:
        """The last step in which there was play, if that was shortly before the end."""
        last = max(0, self.result.n_steps - 1)
        is_near = self.in_play is not None and last - self.in_play <= _PAUSED_AT_MOST
        return self.in_play if is_near and self.in_play is not None else last

    @property
    def ending(self) -> Ending:
        """How the episode ended."""
        result = self.result
        has_lives = any(lives for _, lives, _ in self.lives)
        lives = self.lives_left if has_lives else None
        told = result.seed, result.episode_return, result.n_steps, result.outcome
        return Ending(*told, lives, self.deaths if has_lives else ())


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

    names: Sequence[str]
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

    def see(self, episode: Episode) -> None:
        """Note what the policy sees next."""
        step, lives = episode.n_steps, episode.lives
        if not self.lives or self.lives[-1][1] != lives:
            self.lives.append((step, lives, self.in_play))
        if not episode.env.has_objects:
            for name, value in values_of(episode.seen).items():
                if isinstance(value, int | float):
                    low, high = self.extents.get(name, (value, value))
                    self.extents[name] = (min(low, value), max(high, value))
            return
        is_moving = False
        for category, members in episode.seen.items():
            if len(members) <= _FEW or step % _SELDOM == 0:
                _widen(self.ranges, category, members)
            if len(members) == 1:
                self.alone[category] += 1
                self.first_seen.setdefault(category, step)
            is_moving = is_moving or any(row[4] or row[5] for row in members)
        self._note_play(step, episode.seen, is_lively=is_moving)

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

    def look(self, episode: Episode) -> TracedStep:
        """Return the step to come, without calls and action."""
        if not episode.env.has_objects:
            return TracedStep(episode.n_steps, {}, 0, (), None, "", 0.0, values_of(episode.seen))
        built = build_observation(episode.seen, episode.lives)
        objects = {name: tuple(boxes) for name, boxes in built.items()}
        return TracedStep(episode.n_steps, objects, episode.lives, (), None, "", 0.0)

    def keep(self, before: TracedStep, recording: Recording, episode: Episode) -> None:
        """Keep a recorded step; without an action the policy failed in it."""
        self.n_left_out += recording.n_left_out
        step, answer = replace(before, calls=recording.calls), episode.answer
        if not isinstance(answer, PolicyFailure):
            name = _name_of(answer, self.names)
            step = replace(step, action=answer, action_name=name, reward=episode.reward)
        self.recorded.append(step)


def follow(replay: Replay) -> Trajectory:
    """Play the episode; the same request gives the same trajectory, recorded or not.

    What a policy does wrong is the outcome, never an exception.

    Raises:
        JailError: The jail cannot be built, or not as good as required.
    """
    task = replay.task
    [seed] = task.seeds
    episode = begin_episode(task.protocol, seed)
    notes = _Notes(_action_names(episode, task.protocol))
    jail, level = None, ""
    try:
        with open_jail(task, [episode]) as jail:
            level = jail.level.word
            start_policy(jail, [episode])
            _play(episode, _SpanPlayer(jail, replay.spans), notes, replay.n_steps)
    except PolicyFailure as failure:
        episode.end(failure.outcome, failure.detail)
    result = episode.result
    assert result is not None
    return Trajectory(
        with_jail(result, jail, episode.lane, level) if jail is not None else result,
        tuple(notes.rewards),
        tuple(notes.lives),
        notes.ranges,
        bytes(episode.actions),
        tuple(notes.recorded),
        notes.n_left_out,
        notes.extents,
        episode.lives,
        notes.in_play if episode.env.has_objects else None,
    )


class _SpanPlayer(RecordedPlayer):
    """Records the steps of some spans."""

    def __init__(self, jail: Jail, spans: Sequence[tuple[int, int]]) -> None:
        super().__init__(jail)
        self._wanted = frozenset(step for first, end in spans for step in range(first, end))

    def is_wanted(self, step: int) -> bool:
        """Return whether the step is in one of the spans."""
        return step in self._wanted


def _play(episode: Episode, player: _SpanPlayer, notes: _Notes, max_steps: int) -> None:
    if episode.result is not None:  # the policy failed at its start
        return
    step = 0
    notes.see(episode)
    before = notes.look(episode) if player.is_wanted(step) else None
    for _ in play_steps(player, [episode], max_steps):
        if player.recording is not None and before is not None:
            notes.keep(before, player.recording, episode)
        if isinstance(episode.answer, PolicyFailure):
            return
        if episode.reward:
            notes.rewards.append((step, episode.reward))
        if episode.result is None:
            step = episode.n_steps
            notes.see(episode)
            before = notes.look(episode) if player.is_wanted(step) else None


def _widen(ranges: Ranges, category: str, members: Sequence[Row]) -> None:
    left, right, top, bottom = ranges.get(category, (1 << 30, -1 << 30, 1 << 30, -1 << 30))
    for row in members:
        x, y = row[0], row[1]
        left, right = min(left, x), max(right, x)
        top, bottom = min(top, y), max(bottom, y)
    if members:
        ranges[category] = (left, right, top, bottom)


def merge_ranges(courses: Sequence[Trajectory]) -> Ranges:
    """Merge the ranges of several episodes."""
    merged: Ranges = {}
    for course in courses:
        for category, (left, right, top, bottom) in course.ranges.items():
            a, b, c, d = merged.get(category, (left, right, top, bottom))
            merged[category] = (min(a, left), max(b, right), min(c, top), max(d, bottom))
    return merged


def merge_extents(courses: Sequence[Trajectory]) -> dict[str, Extent]:
    """Merge the extents of several episodes."""
    merged: dict[str, Extent] = {}
    for course in courses:
        for name, (low, high) in course.extents.items():
            a, b = merged.get(name, (low, high))
            merged[name] = (min(a, low), max(b, high))
    return merged
