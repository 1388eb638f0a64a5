"""Where a moving thing then really was when it reached the player: what predictions aim at. Pure.

Nothing here knows a game. The player is the category that people call so, or else the one thing
that keeps to a row or a column; what comes to it is whatever else there is one of, and moves.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from gco_agent.calls import ComponentCall
from gco_agent.observation import ObjectBox
from gco_agent.traces.records import TracedStep, Window

Axis = Literal["x", "y"]
_PLAYER = "Player"
_OTHER: Mapping[Axis, Axis] = {"x": "y", "y": "x"}
_SIZE = {"x": "w", "y": "h"}
_MOSTLY = 0.6
"""Share of the steps that a thing must be there in, alone of its kind."""
_BIG = 1000
"""Numbers beyond are no places on any screen."""
_FAR = 2
"""Sizes of the player: an offset or a direction seldom is more, and a place nearly always."""
_CLOSE = 1.5
"""Steps of travel within which a thing that turns round has reached what it turned at."""


@dataclass(frozen=True, slots=True)
class Arrivals:
    """The landings of one thing.

    Attributes:
        category: Of the thing.
        player: Category of what it came to.
        axis: Along which the place of a landing is told; the player moves along it.
        centres: Seed and step to where the centre of the thing was, in pixels on that axis, the
            next time it reached the player; a step after which it did not is missing.
        predictors: Components whose numbers can be places on that axis: most of them are where
            the thing or the player was seen, and some are larger than directions and offsets
            usually are.
    """

    category: str
    player: str
    axis: Axis
    centres: Mapping[tuple[int, int], float]
    predictors: frozenset[str] = frozenset()


def find_arrivals(windows: Sequence[Window]) -> Arrivals | None:
    """The landings in all of some windows; None where nothing lands on anything."""
    steps = [step for window in windows for step in window.steps]
    singles = _singles(steps)
    found = _player(steps, singles)
    if found is None:
        return None
    player, axis = found
    for category in singles:
        if category == player or not _moves(steps, category, _OTHER[axis]):
            continue
        centres: dict[tuple[int, int], float] = {}
        for window in windows:
            landings = _landings(window.steps, category, player, axis)
            centres.update({(window.seed, step): place for step, place in landings.items()})
        if centres:
            seen = _extent(steps, (category, player), axis)
            far = _FAR * max(getattr(box, _SIZE[axis]) for box in _boxes(steps, (player,)))
            return Arrivals(category, player, axis, centres, _predictors(steps, seen, far))
    return None


def number_of(call: ComponentCall) -> float | None:
    """The output of a call, if it is one number."""
    output = call.output
    if isinstance(output, bool) or not isinstance(output, int | float):
        return None
    return float(output) if abs(output) < _BIG else None  # NaN is not, either


def _extent(
    steps: Sequence[TracedStep], categories: Sequence[str], axis: Axis
) -> tuple[float, float]:
    """From where to where things of some categories were seen on an axis."""
    boxes = _boxes(steps, categories)
    ends = [getattr(box, axis) + getattr(box, _SIZE[axis]) for box in boxes]
    return min(getattr(box, axis) for box in boxes), max(ends)


def _boxes(steps: Sequence[TracedStep], categories: Sequence[str]) -> list[ObjectBox]:
    return [box for step in steps for name in categories for box in step.objects.get(name, ())]


def _predictors(
    steps: Sequence[TracedStep], seen: tuple[float, float], far: float
) -> frozenset[str]:
    numbers: dict[str, list[float]] = {}
    for call in (call for step in steps for call in step.calls):
        if (number := number_of(call)) is not None:
            numbers.setdefault(call.name, []).append(number)
    low, high = seen
    return frozenset(
        name
        for name, told in numbers.items()
        if 2 * sum(low <= n <= high for n in told) >= len(told) and max(told) >= far
    )


def _singles(steps: Sequence[TracedStep]) -> list[str]:
    """Categories of which there is one and no more, most of the time; the steadiest first."""
    counts: dict[str, int] = {}
    many: set[str] = set()
    for step in steps:
        for category, members in step.objects.items():
            if len(members) > 1:
                many.add(category)
            elif members:
                counts[category] = counts.get(category, 0) + 1
    often = [c for c, n in counts.items() if n >= _MOSTLY * len(steps) and c not in many]
    return sorted(often, key=lambda category: -counts[category])


def _player(steps: Sequence[TracedStep], singles: Sequence[str]) -> tuple[str, Axis] | None:
    """The player and the one axis that it moves along."""
    axes: tuple[Axis, ...] = ("x", "y")
    for category in sorted(singles, key=lambda name: name != _PLAYER):
        moving = [axis for axis in axes if _moves(steps, category, axis)]
        if len(moving) == 1:
            return category, moving[0]
        if category == _PLAYER:
            return None
    return None


def _moves(steps: Sequence[TracedStep], category: str, axis: Axis) -> bool:
    places = {getattr(box, axis) for step in steps if (box := _one(step, category)) is not None}
    return len(places) > 1


def _one(step: TracedStep, category: str) -> ObjectBox | None:
    members = step.objects.get(category, ())
    return members[0] if len(members) == 1 else None


def _landings(
    steps: Sequence[TracedStep], category: str, player: str, axis: Axis
) -> dict[int, float]:
    """For each step of a window, the place of the next landing, if the window has it."""
    across = _OTHER[axis]
    boxes = [_one(step, category) for step in steps]
    gaps = [_gap(box, _one(step, player), across) for step, box in zip(steps, boxes, strict=True)]
    found: dict[int, float] = {}
    landing: float | None = None
    for index in range(len(steps) - 1, -1, -1):
        if gaps[index] is None:
            landing = None
        elif _lands(boxes, gaps, index, across):
            landing = _place(boxes, gaps[index], index, axis)
        elif gaps[index] == 0:
            landing = None  # it has landed, and has not left yet
        if landing is not None:
            found[steps[index].step] = landing
    return found


def _gap(box: ObjectBox | None, player: ObjectBox | None, axis: Axis) -> int | None:
    """Pixels between the two along an axis; None if one of them is not there."""
    if box is None or player is None:
        return None
    near, far = getattr(box, axis), getattr(box, axis) + getattr(box, _SIZE[axis])
    start, end = getattr(player, axis), getattr(player, axis) + getattr(player, _SIZE[axis])
    return int(max(start - far, near - end, 0))


def _lands(
    boxes: Sequence[ObjectBox | None], gaps: Sequence[int | None], index: int, axis: Axis
) -> bool:
    """Whether it comes in and touches now, or would before the next step, or turns round."""
    gap, before = gaps[index], gaps[index - 1] if index else None
    after = gaps[index + 1] if index + 1 < len(gaps) else None
    if gap is None or before is None or before <= gap:
        return False  # it does not come nearer
    speed = _speed(boxes, index, axis)
    if gap == 0 or gap < speed:
        return before >= speed  # else it landed in the step before
    return after is not None and after > gap and gap <= _CLOSE * speed


def _speed(boxes: Sequence[ObjectBox | None], index: int, axis: Axis) -> float:
    """Pixels a step along an axis, as of the last few steps."""
    places = [getattr(box, axis) for box in boxes[max(0, index - 3) : index + 1] if box]
    moves = [abs(b - a) for a, b in itertools.pairwise(places)]
    return float(statistics.median_high(moves)) if moves else 0.0


def _place(
    boxes: Sequence[ObjectBox | None], gap: int | None, index: int, axis: Axis
) -> float | None:
    """Centre on the axis at the moment of touching, between two steps."""
    box, before = boxes[index], boxes[index - 1] if index else None
    if box is None or gap is None:
        return None
    centre = box.cx if axis == "x" else box.cy
    speed = _speed(boxes, index, _OTHER[axis])
    if before is None or not speed:
        return centre
    drift = getattr(box, axis) - getattr(before, axis)
    return float(centre + drift * min(1.0, gap / speed))
