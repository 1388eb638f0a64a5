"""A model of the game, learned by playing: who is moved and how, and what contact leads to.

System identification without names: the object whose displacement depends most on the action
(largest share of variance explained, eta squared) is the player.
"""

from __future__ import annotations

import copy
import dataclasses
import itertools
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Self, TypeVar

from gco_agent.core.observation import Row
from gco_agent.optimizers.search.genome import Axis

Rows = Mapping[str, Sequence[Row]]
Sign = Literal[-1, 0, 1]
Way = tuple[Sign, Sign]
"""Where an action moves the player, on x and y."""
Range = tuple[float, float, float, float]
"""Where centres were seen: least x, largest x, least y, largest y, in pixels."""
SCREEN: Range = (0.0, 160.0, 0.0, 210.0)
"""Assumed range of things that have no place on the screen."""
BEYOND_PX = 20
"""How far past the places where the player was seen a plan may go: there may be more."""

_PRESENCE = 0.4
"""The player is visible for at least this share of the time of the most persistent object."""
_FEW = 2
"""Categories with more objects at once are not considered as the player."""
_WOBBLE_PX = 0.3
"""Smallest movement in a step on an axis that can be steered."""
_CLEAR, _OFTEN = 1.6, 0.12
"""An action moves one way if it does so this many times as often as the other way, and in more
than this share of its steps."""
_NEAR_PX, _BORN_PX = 2, 12
"""Boxes that are no farther apart touch; a shot that appears no farther off is the player's."""
_REWARD_WITHIN, _SET_BACK_WITHIN, _LOST_WITHIN, _SHOT_WITHIN = 3, 3, 60, 3
"""Steps within which a reward, a set-back and the loss of a life are attributed to contact, and
the appearance of a shot to the button.
"""
_BEYOND_CHANCE = 1.5
"""Rewards are due to contact if they are at least this many times as frequent as in all steps."""
_USUAL_SHOT = 0.3
"""Share of the most frequent shot from which another one is not chance."""
_SET_BACK, _FALL = 0.15, 0.5
"""Share of contacts after which the player is set back for it to be their doing; share of what a
gauge showed that has to be lost at once for that.
"""
_HOPS, _HOPS_SEEN, _HOP_STEPS, _HOP_PX = 6, 12, 5, (8, 60)
"""Fewest hops to believe in them, movements of their size after which it is decided, steps of the
shortest, and least and most pixels of one.
"""
_ALIKE_PX, _ALIKE_STEPS, _ALIKE, _OBEYED, _ALONE = 5, 2, 0.7, 0.75, 2
"""Pixels and steps by which hops may differ; share of the movements of their size that have to be
alike; share of them in the direction of their action; steps that they last without it.
"""
_GROUND = 0.8
"""Share of hops that have to end on the ground."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts and sums that can be added up."""

    def __add__(self, other: Self) -> Self:
        """Add field by field."""
        names = [part.name for part in dataclasses.fields(self)]
        return type(self)(*(getattr(self, name) + getattr(other, name) for name in names))


AnyTally = TypeVar("AnyTally", bound=Tally)


@dataclass(frozen=True, slots=True)
class Contact(Tally):
    """What followed contacts with a category.

    Attributes:
        n_steps: Steps in which a reward is attributed to it: those of contact, and just after.
        n_rewarded: Rewards that came in these steps.
        n_lost: Lives lost after it, with no contact with another category between.
        n_set_back: Contacts after which the player moved against its actions, or a gauge lost most
            of what it showed.
    """

    n: int = 0
    n_rewarded: int = 0
    reward: float = 0.0
    n_lost: int = 0
    n_set_back: int = 0
    n_steps: int = 0

    @property
    def sets_back(self) -> bool:
        """Whether the player is often set back, and not just while it is rewarded."""
        return self.n_set_back > max(_SET_BACK * self.n, self.n_rewarded / 2)


@dataclass(frozen=True, slots=True)
class Shot(Tally):
    """Objects of a category that appeared beside the player after the button.

    Attributes:
        dx: Sum of their horizontal displacements without sign, in pixels.
        dy: The same of the vertical ones.
    """

    n: int = 0
    n_steps: int = 0
    dx: float = 0.0
    dy: float = 0.0


@dataclass(frozen=True, slots=True)
class Place(Tally):
    """Where the player was when something happened: a number of times, and sums of centres."""

    n: int = 0
    sum_x: float = 0.0
    sum_y: float = 0.0

    @property
    def x(self) -> float:
        """Mean, in pixels from the left."""
        return self.sum_x / self.n

    @property
    def y(self) -> float:
        """Mean, in pixels from the top."""
        return self.sum_y / self.n


@dataclass(slots=True)
class Sightings:
    """What was seen while playing.

    Attributes:
        ranges: Category to where its centres were seen.
        most: Category to the largest number of it that was seen at once.
        values: Category to the least and the largest number that one of it was seen to show.
        contacts: Category to what followed contact of the player with it; "" to what followed any
            step, to compare with.
        shots: Categories that appear when the button is pressed.
        hits: Category to what followed contact of such a shot with it.
        places: Gauge to where the player was when it rose; "" to where the player was when a
            reward came without contact.
        gaps: Category to how far off its nearest was then, centre to centre and without sign.
    """

    ranges: dict[str, Range] = field(default_factory=dict)
    most: dict[str, int] = field(default_factory=dict)
    values: dict[str, tuple[int, int]] = field(default_factory=dict)
    contacts: dict[str, Contact] = field(default_factory=dict)
    shots: dict[str, Shot] = field(default_factory=dict)
    hits: dict[str, Contact] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)
    gaps: dict[str, Place] = field(default_factory=dict)

    def note(self, rows: Rows) -> None:
        """Take in where things are and what they show."""
        for category, members in rows.items():
            if not members:
                continue
            shown = [row[6] for row in members if row[6] is not None]
            if shown:
                self._widen_values(category, min(shown), max(shown))
            if not members[0][2]:
                continue  # a gauge without a place on the screen
            self.most[category] = max(len(members), self.most.get(category, 0))
            xs, ys = [r[0] + r[2] / 2 for r in members], [r[1] + r[3] / 2 for r in members]
            self._widen(category, (min(xs), max(xs), min(ys), max(ys)))

    def _widen(self, category: str, seen: Range) -> None:
        a = self.ranges.get(category, seen)
        low_x, low_y = min(a[0], seen[0]), min(a[2], seen[2])
        self.ranges[category] = (low_x, max(a[1], seen[1]), low_y, max(a[3], seen[3]))

    def _widen_values(self, category: str, low: int, high: int) -> None:
        known = self.values.get(category, (low, high))
        self.values[category] = min(low, known[0]), max(high, known[1])

    def merge(self, other: Sightings) -> None:
        """Take in what was noted elsewhere."""
        for category, seen in other.ranges.items():
            self._widen(category, seen)
        for category, count in other.most.items():
            self.most[category] = max(count, self.most.get(category, 0))
        for category, pair in other.values.items():
            self._widen_values(category, *pair)
        _add(self.contacts, other.contacts)
        _add(self.shots, other.shots)
        _add(self.hits, other.hits)
        _add(self.places, other.places)
        _add(self.gaps, other.gaps)


def _add(sums: dict[str, AnyTally], more: Mapping[str, AnyTally]) -> None:
    for category, tally in more.items():
        sums[category] = sums[category] + tally if category in sums else tally


@dataclass(slots=True, kw_only=True)
class World(Sightings):
    """The facts that programs are written against.

    Attributes:
        action_names: Of the environment, in the order of the indices.
        player: Category of what the actions move; "" if nothing was found.
        signs: For each action the way it moves the player on x and y.
        strides: For x and y, the mean and the most frequent distance that actions move the player
            in a step, in pixels.
        hop: Where the player moves in hops that cannot be interrupted: their width and height in
            pixels, and their steps.
        ground: What the player stands on after a hop, or "".
    """

    action_names: tuple[str, ...]
    player: str
    player_index: int
    axes: tuple[Axis, ...]
    signs: tuple[Way, ...]
    strides: tuple[tuple[float, float], ...] = ()
    hop: tuple[float, float, float] | None = None
    ground: str = ""

    @property
    def categories(self) -> tuple[str, ...]:
        """All categories besides the player."""
        return tuple(sorted(c for c in self.ranges if c != self.player))

    @property
    def gauges(self) -> tuple[str, ...]:
        """Categories of which one thing at most shows a number that changes."""
        return tuple(sorted(c for c in self.values if self.most.get(c, 0) <= 1))

    @property
    def has_fire(self) -> bool:
        """Whether any action presses the button."""
        return any("FIRE" in name for name in self.action_names)

    @property
    def unit(self) -> float:
        """A usual reward of this game, or 1 where none was seen."""
        told = [*(known for c, known in self.contacts.items() if c), *self.hits.values()]
        rewards = [abs(c.reward) / c.n_rewarded for c in told if c.n_rewarded and c.reward]
        return max(1.0, min(rewards, default=1.0))

    @property
    def bullet(self) -> str:
        """Category of the player's own shots; "" if it makes none."""
        moving = [c for c, shot in self.shots.items() if shot.n_steps and shot.dx + shot.dy]
        return max(moving, key=lambda category: self.shots[category].n, default="")

    @property
    def shot(self) -> tuple[Axis, float] | None:
        """The axis to be level on for a shot to hit, and its speed in pixels a step."""
        shot = self.shots.get(self.bullet)
        if shot is None:
            return None
        flies_up = shot.dy > shot.dx
        return ("x" if flies_up else "y"), (shot.dy if flies_up else shot.dx) / shot.n_steps

    def pays(self, known: Contact | None) -> bool:
        """Return whether rewards follow a contact more often than by chance."""
        if known is None or known.reward <= 0:
            return False
        usual = self.contacts.get("", Contact())
        by_chance = usual.n_rewarded * known.n_steps / max(1, usual.n_steps)
        return known.n_rewarded > _BEYOND_CHANCE * by_chance

    def tells(self, category: str) -> bool:
        """Return whether anything is known to follow contact with a category."""
        if category == self.bullet:
            return False
        told = (self.contacts.get(category), self.hits.get(category))
        return any(
            known is not None and (known.n_lost or known.sets_back or self.pays(known))
            for known in told
        )

    def extent(self, axis: Axis, category: str = "", beyond: float = 0) -> tuple[float, float]:
        """Return between which pixels a category, or else anything, was seen on an axis."""
        ranges = [self.ranges.get(category, SCREEN)] if category else list(self.ranges.values())
        first = 0 if axis == "x" else 2
        lows, highs = [r[first] for r in ranges], [r[first + 1] for r in ranges]
        return min(lows, default=0.0) - beyond, max(highs, default=160.0) + beyond

    def moves(self) -> list[tuple[int, int]]:
        """Return the moves that some action makes, on x and y; staying first."""
        return [(0, 0), *sorted({sign for sign in self.signs if sign != (0, 0)})]

    def action_for(self, move_x: int, move_y: int, *, fire: bool) -> int:
        """Return the action that best moves so, each -1, 0 or 1, and presses the button or not."""

        def fit(action: int) -> tuple[float, int]:
            sign_x, sign_y = self.signs[action]
            match = 2 * (sign_x == move_x) - 2 * (sign_x * move_x < 0)
            match += 2 * (sign_y == move_y) - 2 * (sign_y * move_y < 0)
            return match + 1.5 * (("FIRE" in self.action_names[action]) == fire), -action

        return max(range(len(self.action_names)), key=fit)

    def after(self, sightings: Iterable[Sightings]) -> World:
        """Return the same world after more was seen of it."""
        world = copy.deepcopy(self)
        for part in sightings:
            world.merge(part)
        for name in (part.name for part in dataclasses.fields(Sightings)):
            setattr(world, name, dict(sorted(getattr(world, name).items())))
        world.values = {c: pair for c, pair in world.values.items() if pair[0] < pair[1]}
        return world

    def told(self) -> list[str]:
        """Return what was learned, a sentence a line, for people to read."""
        if not self.player:
            return ["Nothing was found that the actions move."]
        lines = [f"The actions move {self.player} on {' and '.join(self.axes) or 'neither axis'}."]
        if self.hop:
            x, y, steps = self.hop
            onto = f" from {self.ground} to {self.ground}" if self.ground else ""
            lines.append(f"{self.player} hops{onto}, {x:g} by {y:g} pixels in {steps:g} steps.")
        for category, known in self.contacts.items():
            if category:
                lines += _contact_line(f"contact with {category}", known, pays=self.pays(known))
        most = max((shot.n for shot in self.shots.values()), default=0)
        for category, shot in self.shots.items():
            if shot.n_steps and shot.n >= _USUAL_SHOT * most:
                x, y = shot.dx / shot.n_steps, shot.dy / shot.n_steps
                lines.append(f"The button makes {category}, {x:.1f} by {y:.1f} pixels a step.")
        for category, known in self.hits.items():
            lines += _contact_line(f"a shot at {category}", known, pays=self.pays(known))
        for gauge, place in self.places.items():
            what = f"{gauge} rises" if gauge else "a reward comes without contact"
            lines.append(f"{what}: {self.player} at x {place.x:.0f}, y {place.y:.0f} on average.")
        for category, gap in self.gaps.items():
            where = f"{gap.x:.0f} px beside and {gap.y:.0f} px above or below {self.player}"
            lines.append(f"then {category} is {where} on average, of {gap.n} times.")
        return [line[0].upper() + line[1:] for line in lines]


def _contact_line(what: str, known: Contact, *, pays: bool) -> Iterator[str]:
    if not known.n:
        return
    parts = []
    if known.n_rewarded and known.reward:
        is_once = known.n_rewarded <= known.n
        often = f"{known.n_rewarded} of {known.n} times" if is_once else "often more than once"
        often += "" if pays or known.reward < 0 else ", as by chance"
        parts.append(f"reward {known.reward / known.n_rewarded:+.3g}, {often}")
    if known.sets_back:
        parts.append(f"set back, {known.n_set_back} of {known.n} times")
    if known.n_lost:
        parts.append(f"a life lost, {min(known.n_lost, known.n)} of {known.n} times")
    yield f"{what}: {'; '.join(parts) or f'nothing, {known.n} times'}."


class Watch:
    """Notes what follows when the player, or a shot of it, touches something, step by step."""

    def __init__(self, player: str, index: int = 0) -> None:
        self._player, self._index = player, index
        self._t = self._fired = 0
        self._way: Way = (0, 0)
        self._set_back_by: set[str] = set()
        self._touched: dict[str, int] = {}
        self._hit: dict[str, int] = {}
        self._before: Rows = {}
        self._me: Row | None = None
        self.seen = Sightings()

    def step(
        self, rows: Rows, reward: float, way: Way = (0, 0), *, fires: bool = False, is_lost: bool
    ) -> None:
        """Take in what a step led to.

        Args:
            way: Where its action moves the player, on x and y.
            fires: The action presses the button.
        """
        self._t += 1
        if fires:
            self._fired = self._t
        touched = self._credit(self._touched, self.seen.contacts, reward)
        touched = self._credit(self._hit, self.seen.hits, reward) or touched
        if reward > 0 and not touched and self._me is not None:
            self._note_place("", self._me)
            self._note_gaps(self._me)
        if is_lost:
            self._blame()
        mine = rows.get(self._player, ())
        former = self._me
        self._me = me = mine[self._index] if len(mine) > self._index else None
        if me is not None and former is not None and not is_lost:
            self._note_push(me[0] - former[0], me[1] - former[1], way)
        self._way = way
        if me is not None:
            self._note_touch(me, rows, {self._player}, self._touched, self.seen.contacts)
            self._note_shots(me, rows)
            self._note_gauges(me, rows, rises=not reward, falls=not is_lost)
        self._before = rows

    @property
    def at(self) -> tuple[float, float] | None:
        """Centre of the player now; None if it is not there."""
        me = self._me
        return None if me is None else (me[0] + me[2] / 2, me[1] + me[3] / 2)

    def _credit(self, last: Mapping[str, int], sums: dict[str, Contact], reward: float) -> bool:
        """Attribute a reward to all recent contacts."""
        recent = [c for c, at in last.items() if self._t - at <= _REWARD_WITHIN]
        once = Contact(n_rewarded=int(reward != 0), reward=reward, n_steps=1)
        _add(sums, dict.fromkeys(recent, once))
        if sums is self.seen.contacts:
            _add(sums, {"": once})
        return bool(recent)

    def _note_push(self, dx: int, dy: int, way: Way) -> None:
        """Notice a movement against the action, which was held."""
        if way == self._way and (dx * way[0] < 0 or dy * way[1] < 0):
            self._set_back()

    def _set_back(self) -> None:
        """Attribute a set-back to all recent contacts."""
        for category, at in self._touched.items():
            if self._t - at <= _SET_BACK_WITHIN and category not in self._set_back_by:
                self._set_back_by.add(category)
                _add(self.seen.contacts, {category: Contact(n_set_back=1)})

    def _blame(self) -> None:
        """Attribute a lost life to the latest contact."""
        if self._touched:
            category, at = max(self._touched.items(), key=lambda pair: (pair[1], pair[0]))
            if self._t - at <= _LOST_WITHIN:
                _add(self.seen.contacts, {category: Contact(n_lost=1)})
        self._touched.clear()

    def _note_touch(
        self,
        me: Row,
        rows: Rows,
        own: set[str],
        last: dict[str, int],
        sums: dict[str, Contact],
    ) -> None:
        reach_x, reach_y = _NEAR_PX, _NEAR_PX
        if sums is self.seen.hits:  # a fast shot is never seen where it hits
            reach_x, reach_y = reach_x + abs(me[4]), reach_y + abs(me[5])
        for category, members in rows.items():
            if category not in own and any(_touch(me, row, reach_x, reach_y) for row in members):
                if last.get(category, -2) < self._t - 1:
                    _add(sums, {category: Contact(n=1)})
                    self._set_back_by.discard(category)
                last[category] = self._t

    def _note_shots(self, me: Row, rows: Rows) -> None:
        shots = self.seen.shots
        if self._fired and self._t - self._fired < _SHOT_WITHIN:
            for category, members in rows.items():
                is_new = len(members) > len(self._before.get(category, ()))
                if is_new and category != self._player:
                    born = any(_touch(me, row, _BORN_PX, _BORN_PX) for row in members)
                    _add(shots, {category: Shot(n=1)} if born else {})
        # what appears more rarely than the most frequent is there by chance
        category = max(shots, key=lambda c: (shots[c].n, c), default="")
        if category and shots[category].n > 1:
            for row in rows.get(category, ()):
                if row[4] or row[5]:
                    _add(shots, {category: Shot(0, 1, abs(row[4]), abs(row[5]))})
                self._note_touch(row, rows, {self._player, category}, self._hit, self.seen.hits)

    def _note_gauges(self, me: Row, rows: Rows, *, rises: bool, falls: bool) -> None:
        for category, members in rows.items():
            before = self._before.get(category, ())
            if len(members) == len(before) == 1:
                now, then = members[0][6] or 0, before[0][6] or 0
                if now > then and rises:
                    self._note_place(category, me)
                if 0 < now < (1 - _FALL) * then and falls:
                    self._set_back()

    def _note_gaps(self, me: Row) -> None:
        x, y = me[0] + me[2] / 2, me[1] + me[3] / 2
        for category, members in self._before.items():
            gaps = [(abs(r[0] + r[2] / 2 - x), abs(r[1] + r[3] / 2 - y)) for r in members if r[2]]
            if gaps and category != self._player:
                near = min(gaps, key=sum)
                _add(self.seen.gaps, {category: Place(1, *near)})

    def _note_place(self, what: str, me: Row) -> None:
        _add(self.seen.places, {what: Place(1, me[0] + me[2] / 2, me[1] + me[3] / 2)})


def _touch(me: Row, row: Row, reach_x: float, reach_y: float) -> bool:
    """Return whether two boxes touch; a gauge, which has no width, touches nothing."""
    x, y, w, h = me[:4]
    return bool(
        row[2]
        and row[0] + row[2] - x > -reach_x
        and row[0] - x < w + reach_x
        and row[1] + row[3] - y > -reach_y
        and row[1] - y < h + reach_y
    )


class Step(NamedTuple):
    """One step of random play.

    Attributes:
        is_held: The same action was played before, so that this one is surely its own doing.
    """

    rows: Rows
    action: int
    is_held: bool
    reward: float
    is_lost: bool


def identify(
    action_names: Sequence[str],
    played: Sequence[Sequence[Step]],
    rested: Iterable[Sequence[Step]] = (),
) -> World:
    """Name the player, the axes it moves on, what each action does to it, and what it meets.

    Args:
        rested: More, with rests between the actions, which show hops; no more are taken than it
            takes to see enough movements of the size of one.
    """
    moved = _displacements(itertools.chain(*played))
    times = {key: sum(map(len, per_action.values())) for key, per_action in moved.items()}
    lasting = [key for key in moved if times[key] >= _PRESENCE * max(times.values())]
    player, index = max(lasting, key=lambda key: (_eta_squared(moved[key]), key), default=("", 0))
    per_action = moved.get((player, index), {})
    ways: list[list[Sign]] = [
        [_direction(per_action.get(action, []), axis) for action in range(len(action_names))]
        for axis in (0, 1)
    ]
    seen: list[_Hop] = []
    for steps in rested:
        seen += _hops(steps, player, index)
        if sum(hop.is_large for hop in seen) >= _HOPS_SEEN:
            break
    hops = _alike(seen)
    if hops:
        moved_by = [[(h.dx, h.dy) for h in hops if h.action == a] for a in range(len(action_names))]
        ways = [[_direction(moves, axis) for moves in moved_by] for axis in (0, 1)]
    strides = tuple(_stride(per_action, signs, axis) for axis, signs in enumerate(ways))
    both: tuple[Axis, ...] = ("x", "y")
    axes = tuple(
        name
        for name, signs, stride in zip(both, ways, strides, strict=True)
        if {-1, 1} <= set(signs) and (hops or stride[0] > _WOBBLE_PX)
    )
    ways = [s if name in axes else [0] * len(s) for name, s in zip(both, ways, strict=True)]
    sightings = []
    for steps in played:
        watch = Watch(player, index)
        for step in steps:
            watch.seen.note(step.rows)
            fires = "FIRE" in action_names[step.action]
            way = (ways[0][step.action], ways[1][step.action])
            watch.step(step.rows, step.reward, way, fires=fires, is_lost=step.is_lost)
        sightings.append(watch.seen)
    world = World(
        action_names=tuple(action_names),
        player=player,
        player_index=index,
        axes=axes,
        signs=tuple(zip(*ways, strict=True)),
        strides=strides,
        hop=_size(hops),
        ground=_ground(hops),
    )
    return world.after(sightings)


Moves = list[tuple[int, int]]
"""Displacements in pixels a step."""


def _displacements(steps: Iterable[Step]) -> dict[tuple[str, int], dict[int, Moves]]:
    """Return how each object, by category and index, moved under which action."""
    moved: dict[tuple[str, int], dict[int, Moves]] = defaultdict(lambda: defaultdict(list))
    for step in steps:
        for category, members in step.rows.items() if step.is_held else ():
            for index, row in enumerate(members if len(members) <= _FEW else ()):
                moved[category, index][step.action].append((row[4], row[5]))
    return moved


class _Hop(NamedTuple):
    """A movement from rest to rest.

    Attributes:
        touched: Categories in contact with the player at its end.
    """

    dx: int
    dy: int
    n_steps: int
    action: int
    n_alone: int
    touched: set[str]

    @property
    def is_large(self) -> bool:
        """Whether it is as long and as far as a hop."""
        least, most = _HOP_PX
        return self.n_steps >= _HOP_STEPS and least <= abs(self.dx) + abs(self.dy) <= most


def _hops(steps: Sequence[Step], player: str, index: int) -> Iterator[_Hop]:
    """Return every movement of the player from rest to rest."""
    start = before = None
    n_steps = action = n_alone = 0
    for step in steps:
        mine = step.rows.get(player, ())
        me = mine[index] if len(mine) > index and not step.is_lost else None
        if me is None or before is None:
            start, n_steps = None, 0
        elif me[:2] != before[:2]:
            if start is None:
                start, action, n_alone = before, step.action or action, 0
            n_steps, n_alone = n_steps + 1, n_alone + (step.action != action)
        elif start is not None:
            near = {
                category
                for category, rows in step.rows.items()
                if any(_touch(me, row, _NEAR_PX, _NEAR_PX) for row in rows)
            }
            dx, dy = me[0] - start[0], me[1] - start[1]
            yield _Hop(dx, dy, n_steps, action, n_alone, near - {player})
            start, n_steps = None, 0
        else:
            action = step.action or action
        before = me


def _alike(hops: Sequence[_Hop]) -> list[_Hop]:
    """Return the largest group of hops of about one size and duration, if it is large enough."""

    def like(one: _Hop) -> list[_Hop]:
        return [
            hop
            for hop in hops
            if abs(abs(hop.dx) - abs(one.dx)) <= _ALIKE_PX
            and abs(abs(hop.dy) - abs(one.dy)) <= _ALIKE_PX
            and abs(hop.n_steps - one.n_steps) <= _ALIKE_STEPS
        ]

    fitting = [hop for hop in hops if hop.is_large]
    group = max((like(hop) for hop in fitting), key=len, default=[])
    if len(group) < max(_HOPS, _ALIKE * len(fitting)):
        return []
    if statistics.median(hop.n_alone for hop in group) < _ALONE:
        return []  # it ends when the action does
    ways = Counter((hop.action, _sign(hop.dx), _sign(hop.dy)) for hop in group)
    usual = {action: 0 for action, _, _ in ways}
    for (action, _, _), n in ways.items():
        usual[action] = max(usual[action], n)
    return group if sum(usual.values()) >= _OBEYED * len(group) else []


def _sign(number: float) -> Sign:
    return 1 if number > 0 else -1 if number < 0 else 0


def _size(hops: Sequence[_Hop]) -> tuple[float, float, float] | None:
    """Return width, height and steps of a hop, until the next can begin; None for none."""
    if not hops:
        return None
    width = statistics.median(abs(hop.dx) for hop in hops)
    height = statistics.median(abs(hop.dy) for hop in hops)
    return float(width), float(height), statistics.median(h.n_steps for h in hops) + 1.0


def _ground(hops: Sequence[_Hop]) -> str:
    """Return what the player stands on after nearly every hop; "" for nothing."""
    counts = Counter(category for hop in hops for category in hop.touched)
    ground, n = max(counts.items(), key=lambda pair: (pair[1], pair[0]), default=("", 0))
    return ground if n >= _GROUND * len(hops) else ""


def _stride(per_action: Mapping[int, Moves], ways: Sequence[int], axis: int) -> tuple[float, float]:
    """Return the mean and most frequent distance that the actions of an axis move the player."""
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


def _eta_squared(per_action: Mapping[int, Moves]) -> float:
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


def _direction(moves: Moves, axis: int) -> Sign:
    if not moves:
        return 0
    forward = sum(move[axis] > 0 for move in moves) / len(moves)
    back = sum(move[axis] < 0 for move in moves) / len(moves)
    if forward > _CLEAR * back and forward > _OFTEN:
        return 1
    return -1 if back > _CLEAR * forward and back > _OFTEN else 0
