"""What the search found out about a game by playing it: who is moved, how, and where things go.

System identification without names: the object whose displacement depends most on the action
(largest share of variance explained, eta squared) is the player.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gco_agent.core.observation import Row

Range = tuple[float, float, float, float]
"""Where centres were seen: least x, largest x, least y, largest y, in pixels."""
SCREEN: Range = (0.0, 160.0, 0.0, 210.0)
"""Where things are taken to go that have no place on the screen."""
Displacements = dict[tuple[str, int], dict[int, list[tuple[int, int]]]]
"""(category, index) to action to what it moved by, in pixels a step."""

_PRESENCE = 0.4
"""The player is on the screen at least this share of the time of what is there longest."""
_CLEAR = 1.6
"""An action moves one way if it does so this many times as often as the other way,"""
_OFTEN = 0.12
"""and in more than this share of its steps."""
BEYOND_PX = 20
"""How far past the places where the player was seen a plan may go: there may be more."""
_NEAR_PX = 2
"""Boxes that are no farther apart touch."""
_REWARD_WITHIN, _LOST_WITHIN = 3, 60
"""Steps within which a reward, and the loss of a life, is taken to follow from contact."""


@dataclass(frozen=True, slots=True)
class Contact:
    """What followed contacts of the player with a category.

    Attributes:
        n: Contacts that began.
        n_rewarded: Rewards that came while there was contact, or just after.
        reward: Their sum.
        n_lost: Lives lost after it, with no contact with another category between.
    """

    n: int = 0
    n_rewarded: int = 0
    reward: float = 0.0
    n_lost: int = 0

    def __add__(self, other: Contact) -> Contact:
        return Contact(
            self.n + other.n,
            self.n_rewarded + other.n_rewarded,
            self.reward + other.reward,
            self.n_lost + other.n_lost,
        )


@dataclass(frozen=True, slots=True)
class World:
    """The facts that programs are written against.

    Attributes:
        action_names: Of the environment, in the order of the indices.
        player: Category of what the actions move.
        player_index: Which one of that category.
        axes: Those it can be moved on, of "x" and "y".
        signs: For each action the way it moves the player on x and y: -1, 0 or 1.
        ranges: Category to where its centres were seen.
        most: Category to the largest number of it that was seen at once.
        values: Category to the least and the largest number that one of it was seen to show, where
            that is not always the same.
        strides: For x and y, the mean and the most frequent distance that actions move the player
            in a step, in pixels.
        contacts: Category to what followed contact with it.
    """

    action_names: tuple[str, ...]
    player: str
    player_index: int
    axes: tuple[str, ...]
    signs: tuple[tuple[int, int], ...]
    ranges: Mapping[str, Range]
    most: Mapping[str, int]
    values: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    strides: tuple[tuple[float, float], ...] = ()
    contacts: Mapping[str, Contact] = field(default_factory=dict)

    @property
    def categories(self) -> tuple[str, ...]:
        """What there is besides the player."""
        return tuple(sorted(c for c in self.ranges if c != self.player))

    @property
    def has_fire(self) -> bool:
        """Whether any action presses the button."""
        return any("FIRE" in name for name in self.action_names)

    def action_for(self, move_x: int, move_y: int, *, fire: bool) -> int:
        """The action that best moves so, each -1, 0 or 1, and presses the button or not."""

        def fit(action: int) -> tuple[float, int]:
            sign_x, sign_y = self.signs[action]
            match = 2 * (sign_x == move_x) - 2 * (sign_x * move_x < 0)
            match += 2 * (sign_y == move_y) - 2 * (sign_y * move_y < 0)
            return match + 1.5 * (("FIRE" in self.action_names[action]) == fire), -action

        return max(range(len(self.action_names)), key=fit)

    def after(self, sightings: Iterable[Sightings]) -> World:
        """The same world after more was seen of it; the order of the sightings does not matter."""
        merged = Sightings(
            dict(self.ranges), dict(self.most), dict(self.values), contacts=dict(self.contacts)
        )
        for part in sightings:
            merged.merge(part)
        return dataclasses.replace(
            self,
            ranges=dict(sorted(merged.ranges.items())),
            most=dict(sorted(merged.most.items())),
            values={c: pair for c, pair in sorted(merged.values.items()) if pair[0] < pair[1]},
            contacts=dict(sorted(merged.contacts.items())),
        )

    def to_json(self) -> dict[str, Any]:
        """As JSON data; `gco_agent.optimizers.search.memory` reads them back."""
        return {
            "action_names": list(self.action_names),
            "player": self.player,
            "player_index": self.player_index,
            "axes": list(self.axes),
            "signs": [list(sign) for sign in self.signs],
            "ranges": {category: list(r) for category, r in sorted(self.ranges.items())},
            "most": dict(sorted(self.most.items())),
            "values": {category: list(pair) for category, pair in sorted(self.values.items())},
            "strides": [list(pair) for pair in self.strides],
            "contacts": {
                category: [known.n, known.n_rewarded, known.reward, known.n_lost]
                for category, known in sorted(self.contacts.items())
            },
        }


@dataclass(slots=True)
class Sightings:
    """Where the objects of each category were seen, how many at once, and what they showed."""

    ranges: dict[str, Range] = field(default_factory=dict)
    most: dict[str, int] = field(default_factory=dict)
    values: dict[str, tuple[int, int]] = field(default_factory=dict)
    contacts: dict[str, Contact] = field(default_factory=dict)

    def note(self, rows: Mapping[str, Sequence[Row]]) -> None:
        """Take in what ``rows`` show."""
        ranges, most = self.ranges, self.most
        for category, members in rows.items():
            if members and members[0][6] is not None:
                self._note_values(category, members)
            if members and not members[0][2]:
                continue  # a gauge without a place on the screen
            if len(members) > most.get(category, 0):
                most[category] = len(members)
            for row in members:
                x, y = row[0] + row[2] / 2, row[1] + row[3] / 2
                known = ranges.get(category)
                if known is None:
                    ranges[category] = (x, x, y, y)
                elif x < known[0] or x > known[1] or y < known[2] or y > known[3]:
                    ranges[category] = _around(known, (x, x, y, y))

    def _note_values(self, category: str, members: Sequence[Row]) -> None:
        shown = [row[6] for row in members if row[6] is not None]
        low, high = self.values.get(category, (shown[0], shown[0]))
        self.values[category] = min(low, *shown), max(high, *shown)

    def merge(self, other: Sightings) -> None:
        """Take in what was noted elsewhere."""
        for category, seen in other.ranges.items():
            self.ranges[category] = _around(self.ranges.get(category, seen), seen)
        for category, count in other.most.items():
            self.most[category] = max(count, self.most.get(category, 0))
        for category, (low, high) in other.values.items():
            first, last = self.values.get(category, (low, high))
            self.values[category] = min(low, first), max(high, last)
        for category, contact in other.contacts.items():
            self.contacts[category] = self.contacts.get(category, Contact()) + contact


class ContactWatch:
    """Notes what follows when the player touches something, step by step."""

    def __init__(self, player: str, index: int = 0) -> None:
        self._player, self._index = player, index
        self._t = 0
        self._last: dict[str, int] = {}
        self.contacts: dict[str, Contact] = {}

    def step(self, rows: Mapping[str, Sequence[Row]], reward: float, *, is_lost: bool) -> None:
        """Take in what a step led to.

        Args:
            rows: What is seen after it.
            reward: Of the step.
            is_lost: A life was lost, or the episode ended.
        """
        self._t += 1
        t, last = self._t, self._last
        self._credit(reward, is_lost=is_lost)
        mine = rows.get(self._player, ())
        if len(mine) <= self._index:
            return
        me = mine[self._index]
        for category, members in rows.items():
            if category != self._player and any(_touch(me, row) for row in members):
                if last.get(category, -2) < t - 1:
                    self._add(category, Contact(n=1))
                last[category] = t

    def _credit(self, reward: float, *, is_lost: bool) -> None:
        """Attribute a reward to all recent contacts, and a lost life to the latest."""
        t, last = self._t, self._last
        if reward:
            for category, at in last.items():
                if t - at <= _REWARD_WITHIN:
                    self._add(category, Contact(0, 1, reward, 0))
        if is_lost:
            if last:
                category, at = max(last.items(), key=lambda pair: (pair[1], pair[0]))
                if t - at <= _LOST_WITHIN:
                    self._add(category, Contact(n_lost=1))
            last.clear()

    def _add(self, category: str, more: Contact) -> None:
        self.contacts[category] = self.contacts.get(category, Contact()) + more


def _touch(me: Row, row: Row) -> bool:
    """Return whether two boxes touch; a gauge, which has no width, touches nothing."""
    x, y, w, h = me[:4]
    return bool(
        row[2]
        and row[0] + row[2] - x > -_NEAR_PX
        and row[0] - x < w + _NEAR_PX
        and row[1] + row[3] - y > -_NEAR_PX
        and row[1] - y < h + _NEAR_PX
    )


def _around(a: Range, b: Range) -> Range:
    return min(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), max(a[3], b[3])


def identify(
    action_names: Sequence[str], moved: Displacements, sightings: Sequence[Sightings]
) -> World:
    """Name the player, the axes it moves on, and what each action does to it."""
    times = {key: sum(map(len, per_action.values())) for key, per_action in moved.items()}
    lasting = [key for key in moved if times[key] >= _PRESENCE * max(times.values())]
    player = max(lasting, key=lambda key: (_eta_squared(moved[key]), key), default=None)
    if player is None:
        blank = World(tuple(action_names), "", 0, (), ((0, 0),) * len(action_names), {}, {})
        return blank.after(sightings)
    per_action = moved[player]
    signs = [
        [_direction(per_action.get(action, []), axis) for action in range(len(action_names))]
        for axis in (0, 1)
    ]
    axes = tuple(name for name, ways in zip("xy", signs, strict=True) if {-1, 1} <= set(ways))
    for name, ways in zip("xy", signs, strict=True):
        if name not in axes:
            ways[:] = [0] * len(ways)
    pairs = tuple(zip(signs[0], signs[1], strict=True))
    strides = tuple(_stride(per_action, ways, axis) for axis, ways in enumerate(signs))
    world = World(tuple(action_names), *player, axes, pairs, {}, {}, strides=strides)
    return world.after(sightings)


def _stride(
    per_action: Mapping[int, Sequence[tuple[int, int]]], ways: Sequence[int], axis: int
) -> tuple[float, float]:
    """Mean and most frequent distance that the actions for an axis move the player in a step."""
    moved = [
        abs(move[axis])
        for action, moves in per_action.items()
        for move in moves
        if ways[action] and move[axis] * ways[action] >= 0
    ]
    far = [distance for distance in moved if distance]
    if not far:
        return 0.0, 0.0
    return round(statistics.fmean(moved), 2), float(statistics.mode(sorted(far)))


def _eta_squared(per_action: Mapping[int, Sequence[tuple[int, int]]]) -> float:
    """Share of the variance of the displacement that the action explains; of the better axis."""
    best = 0.0
    for axis in (0, 1):
        groups = [[move[axis] for move in moves] for moves in per_action.values() if moves]
        values = [value for group in groups for value in group]
        mean = sum(values) / len(values)
        total = sum((value - mean) ** 2 for value in values)
        if total < 1e-6 * len(values):
            continue
        between = sum(len(group) * (sum(group) / len(group) - mean) ** 2 for group in groups)
        best = max(best, between / total)
    return best


def _direction(moves: Sequence[tuple[int, int]], axis: int) -> int:
    if not moves:
        return 0
    forward = sum(move[axis] > 0 for move in moves) / len(moves)
    back = sum(move[axis] < 0 for move in moves) / len(moves)
    if forward > _CLEAR * back and forward > _OFTEN:
        return 1
    if back > _CLEAR * forward and back > _OFTEN:
        return -1
    return 0
