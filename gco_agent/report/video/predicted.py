"""What the components of a policy came to in a step: as text, and as places on the screen. Pure."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gco_agent.core.records import ComponentCall, Plain, Shown
from gco_agent.traces.render import show

_ENTRY = "act"
_AXIS = re.compile(r"(?:^|_)([xy])(?:$|_)")
_AIMS = re.compile(r"predict|target|landing|cross|intercept|aim|arriv|trajectory|goal")
_BOX = frozenset(("x", "y", "w", "h", "dx", "dy"))
_PAIR = 2
_WIDTH, _HEIGHT = 160, 210
_MOST_TOLD = 12
_VALUE_CHARS = 44


@dataclass(frozen=True, slots=True)
class Told:
    """A component's name and what it returned, in words."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class CliContext:
    """Where a component says that something is or will be, in pixels of the screen.

    Attributes:
        name: Of the component.
        x: None where it speaks of a row.
        y: None where it speaks of a column.
        size: Width and height of an object that it chose; None for a point or a line.
    """

    name: str
    x: float | None
    y: float | None
    size: tuple[float, float] | None = None


def component_names(source: str) -> list[str]:
    """The functions of a policy but ``act``, as they stand in its text; none if it cannot be read.

    The number of a component in this list gives it a colour that stays the same in a film.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return []
    names = [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return [name for name in dict.fromkeys(names) if name != _ENTRY and not name.startswith("__")]


def told_by(calls: Sequence[ComponentCall]) -> list[Told]:
    """What each component returned last in a step; of one that raised, that."""
    last: dict[str, str] = {}
    for call in calls:
        if call.name != _ENTRY:
            value = f"raised {call.error}" if call.error else show(call.output, _VALUE_CHARS)
            last[call.name] = value[:_VALUE_CHARS]
    return [Told(name, value) for name, value in last.items()][:_MOST_TOLD]


def places_of(calls: Sequence[ComponentCall], axis: str = "") -> list[CliContext]:
    """The places that the outputs of components name, and the inputs that are called targets.

    A number is a place where its name ends in ``_x`` or ``_y`` or has these as a word; or where it
    is called a target, a prediction or the like, and the player moves along ``axis`` alone.

    Args:
        calls: Of one step.
        axis: "x" or "y", the axis of the player; "" where there is none or more than one.
    """
    found: dict[str, CliContext] = {}
    for call in calls:
        for parameter, value in call.inputs.items():
            if _AIMS.search(parameter) and (place := _place(parameter, value, axis)):
                found.setdefault(parameter, place)
        if call.name != _ENTRY and (place := _place(call.name, call.output, axis)):
            found[call.name] = place
    places = list(found.values())
    returned = {call.name for call in calls}
    return [
        place
        for place in places
        if place.name in returned or not any(_is_same(place, other) for other in places)
    ]


def _is_same(place: CliContext, other: CliContext) -> bool:
    return other.name != place.name and (place.x, place.y) == (other.x, other.y)


def _place(name: str, value: Plain, axis: str) -> CliContext | None:
    """The place that a value of that name stands for, if it stands for one."""
    if isinstance(value, dict):
        return _place_of_mapping(name, value)
    if isinstance(value, tuple) and len(value) == _PAIR and _AIMS.search(name):
        x, y = (_number(part) for part in value)
        return CliContext(name, x, y) if x is not None and y is not None else None
    number = _number(value)
    if number is None:
        return None
    named = _AXIS.search(name)
    along = named[1] if named else axis if _AIMS.search(name) else ""
    if along == "x" and 0 <= number <= _WIDTH:
        return CliContext(name, number, None)
    if along == "y" and 0 <= number <= _HEIGHT:
        return CliContext(name, None, number)
    return None


def _place_of_mapping(name: str, value: Mapping[str, Plain]) -> CliContext | None:
    x, y = _number(value.get("x")), _number(value.get("y"))
    if x is None or y is None:
        return None
    if value.keys() >= _BOX:
        w, h = _number(value["w"]) or 0.0, _number(value["h"]) or 0.0
        return CliContext(name, x, y, (w, h))
    return CliContext(name, x, y)


def _number(value: Plain | Shown) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    number = float(value)
    return number if abs(number) <= _HEIGHT else None
