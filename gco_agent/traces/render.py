"""A trace as text for a prompt, within a budget of tokens.

In the order of the file: the estimate of tokens, values in a few characters, landings of one thing
on the player, the table of a window, and the whole text.
"""

from __future__ import annotations

import itertools
import re
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from gco_agent.core.observation import ObjectBox
from gco_agent.core.records import ComponentCall, Plain, Shown
from gco_agent.core.text import escape, escape_lines
from gco_agent.jail.reports import lines_of
from gco_agent.traces.records import ExecutionTrace, TracedStep, Window

_PIECES = re.compile(r"[^\W\d_]+|\d+|\s+|[^\w\s]|_", re.ASCII)
_LETTERS_A_TOKEN = 6
_DIGITS_A_TOKEN = 2
_ENDS_LINE = "\n"


def estimate_tokens(text: str) -> int:
    """Return an upper estimate of the tokens of ``text``; most tokenizers stay below it.

    Counts a token for every six letters of a word, every two digits of a number, every mark of
    punctuation, every line end, and every space that no word follows; other scripts count their
    bytes.
    """
    return sum(_tokens(piece) for piece in _PIECES.findall(text)) + _foreign_bytes(text)


def _tokens(piece: str) -> int:
    if piece[0].isdigit():
        return -(-len(piece) // _DIGITS_A_TOKEN)
    if piece[0].isspace():
        return piece.count(_ENDS_LINE) or int(len(piece) > 1)
    return -(-len(piece) // _LETTERS_A_TOKEN)


def _foreign_bytes(text: str) -> int:
    return len(text.encode("utf-8", "replace")) - len(text)


MISSING = "-"
_MOST_NUMBERS = 20
"""Columns of numbers, the first ones that change."""
_MOST_EXTENTS = 24
_MOST_CELL = 40


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the table of a window."""

    heading: str
    cells: tuple[str, ...]


def number_columns(
    steps: Sequence[TracedStep], names: Mapping[str, str]
) -> tuple[list[Column], list[str]]:
    """Return a column for each number that changes, and a phrase for each that does not.

    Args:
        steps: Those of a window.
        names: What a number is called, by the words for it.
    """
    columns: list[Column] = []
    constant: list[str] = []
    n_more = 0
    for words in dict.fromkeys(words for step in steps for words in step.values):
        cells = tuple(
            tell_value(step.values[words]) if words in step.values else MISSING for step in steps
        )
        heading = named(words, names)
        if len(set(cells)) == 1 and len(steps) > 1:
            constant.append(f"{heading} is {cells[0]}")
        elif len(columns) < _MOST_NUMBERS:
            columns.append(Column(heading, cells))
        else:
            n_more += 1
    if len(constant) > _MOST_NUMBERS:
        constant[_MOST_NUMBERS:] = [f"{len(constant) - _MOST_NUMBERS} more numbers do not change"]
    if n_more:
        constant.append(f"{n_more} more numbers change and are not shown")
    return columns, constant


def named(words: str, names: Mapping[str, str]) -> str:
    """Return an expression with its name: "obs[2] angle"."""
    name = names.get(words)
    text = words if name is None else f"{words} {name}"
    return text.replace("|", "\\x7c").replace("`", "\\x60")


def tell_value(value: Plain) -> str:
    """Return a value in a few characters, a number with three digits."""
    if value is None or isinstance(value, Shown | bool):
        text = str(value)
    elif isinstance(value, float):
        text = f"{value:.3g}"
    elif isinstance(value, tuple):
        text = "(" + ", ".join(tell_value(part) for part in value) + ")"
    else:
        text = repr(value) if isinstance(value, str) else str(value)
    text = text.replace("|", "\\x7c").replace("`", "\\x60").replace("\n", " ")
    return text if len(text) <= _MOST_CELL else text[: _MOST_CELL - 3] + "..."


def describe_extents(trace: ExecutionTrace) -> str:
    """Return the extents of the numbers of the observation; empty if there are none."""
    if not trace.extents:
        return ""
    told = [
        f"{named(words, trace.names)} {low:.3g} to {high:.3g}"
        for words, (low, high) in list(trace.extents.items())[:_MOST_EXTENTS]
    ]
    n_more = len(trace.extents) - len(told)
    more = f"; {n_more} more are left out" if n_more > 0 else ""
    return f"What was seen in all of these episodes: {'; '.join(told)}{more}."


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
    """Find where a thing lands on the player in some windows; None if nothing does."""
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
    """Return the output of a call if it is a number."""
    output = call.output
    if isinstance(output, bool) or not isinstance(output, int | float):
        return None
    return float(output) if abs(output) < _BIG else None  # NaN is not, either


def _extent(
    steps: Sequence[TracedStep], categories: Sequence[str], axis: Axis
) -> tuple[float, float]:
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
    """Return the categories with one object most of the time, the steadiest first."""
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
    """Return the player and the one axis that it moves along."""
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
    """Return for each step the place of the next landing, if the window has it."""
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
    """Return the pixels between the two along an axis; None if one is missing."""
    if box is None or player is None:
        return None
    near, far = getattr(box, axis), getattr(box, axis) + getattr(box, _SIZE[axis])
    start, end = getattr(player, axis), getattr(player, axis) + getattr(player, _SIZE[axis])
    return int(max(start - far, near - end, 0))


def _lands(
    boxes: Sequence[ObjectBox | None], gaps: Sequence[int | None], index: int, axis: Axis
) -> bool:
    """Return whether it touches now, or would before the next step, or turns round."""
    gap, before = gaps[index], gaps[index - 1] if index else None
    after = gaps[index + 1] if index + 1 < len(gaps) else None
    if gap is None or before is None or before <= gap:
        return False  # it does not come nearer
    speed = _speed(boxes, index, axis)
    if gap == 0 or gap < speed:
        return before >= speed  # else it landed in the step before
    return after is not None and after > gap and gap <= _CLOSE * speed


def _speed(boxes: Sequence[ObjectBox | None], index: int, axis: Axis) -> float:
    """Return pixels a step along an axis over the last few steps."""
    places = [getattr(box, axis) for box in boxes[max(0, index - 3) : index + 1] if box]
    moves = [abs(b - a) for a, b in itertools.pairwise(places)]
    return float(statistics.median_high(moves)) if moves else 0.0


def _place(
    boxes: Sequence[ObjectBox | None], gap: int | None, index: int, axis: Axis
) -> float | None:
    """Return the centre on the axis at the moment of touching, between two steps."""
    box, before = boxes[index], boxes[index - 1] if index else None
    if box is None or gap is None:
        return None
    centre = box.cx if axis == "x" else box.cy
    speed = _speed(boxes, index, _OTHER[axis])
    if before is None or not speed:
        return centre
    drift = getattr(box, axis) - getattr(before, axis)
    return float(centre + drift * min(1.0, gap / speed))


ENTRY = "act"
SAME = '"'
"""In place of a long cell that is the same as in the row above."""
_FEW = 3
"""Of so many things of a category, each is shown; of more, what changed, and the nearest."""
_NEAREST = 2
_MOST_WIDTH = 64
_SHORT = 5
"""Cells that are no longer are repeated."""
_MOST_VALUE = 40
_MOST_BRIEF = 24
_MOST_COLUMNS = 14
_MOST_OTHERS = 3
"""Columns of outputs that are no scalars."""


@dataclass(frozen=True, slots=True)
class Table:
    """A window as columns, and what is the same in all of its rows.

    Attributes:
        constant: A phrase each.
        columns: In the order of reading.
    """

    constant: tuple[str, ...]
    columns: tuple[Column, ...]


def make_table(
    window: Window, arrivals: Arrivals | None, names: Mapping[str, str] | None = None
) -> Table:
    """Return the table of the steps of a window.

    Columns beyond the most are left out: first outputs of components that are no scalars, then
    categories of objects, the most crowded first.

    Args:
        window: Its steps.
        arrivals: Where things really landed, if anything does.
        names: Names of the numbers of an observation, by expression.
    """
    steps = window.steps
    numbers, constant = number_columns(steps, names or {})
    objects: list[Column] = []
    categories = _categories(steps)
    for category in categories:
        column, phrase = _describe_category(steps, category, categories[0])
        constant += [phrase] if phrase else []
        objects += [column] if column else []
    scalars, others, phrases = _component_columns(steps)
    constant += phrases
    if arrivals is not None and (scalars or others or phrases):
        cells = tuple(_centre(arrivals, window.seed, step.step) for step in steps)
        if set(cells) != {MISSING}:
            scalars.append(Column(arrival_heading(arrivals), cells))
    outcome = [Column("action", tuple(step.action_name or "FAILED" for step in steps))]
    rewards, phrase = _rewards(steps)
    outcome += rewards
    if len({step.lives for step in steps}) > 1:
        outcome.append(Column("lives", tuple(str(step.lives) for step in steps)))
    constant += [phrase] if phrase else []
    room = _MOST_COLUMNS - 1 - len(outcome) - len(scalars)
    left_out = [column.heading for column in objects[max(0, room) :]]
    objects = objects[: max(0, room)]
    room = min(_MOST_OTHERS, room - len(objects))
    left_out += [column.heading for column in others[max(0, room) :]]
    if left_out:
        constant.append(f"without columns for {', '.join(left_out)}")
    first = Column("step", tuple(str(step.step) for step in steps))
    columns = (first, *numbers, *objects, *scalars, *others[: max(0, room)], *outcome)
    return Table(tuple(constant), columns)


def arrival_heading(arrivals: Arrivals) -> str:
    """Return the heading of the column of true landings."""
    return f"{arrivals.category}@{arrivals.player} {arrivals.axis}"


def predictions(window: Window, arrivals: Arrivals) -> Mapping[str, list[float]]:
    """Return the errors in pixels of the components that predict where the thing lands."""
    errors: dict[str, list[float]] = {}
    for step in window.steps:
        truth = arrivals.centres.get((window.seed, step.step))
        for call in step.calls:
            output = number_of(call)
            if truth is None or output is None or call.name == ENTRY or output == step.action:
                continue
            if call.name in arrivals.predictors:
                errors.setdefault(call.name, []).append(output - truth)
    return errors


def show(value: Plain, limit: int = _MOST_VALUE) -> str:
    """Return a recorded value in a few characters; text of a policy stays in quotes."""
    return cut(_show(value), limit)


def cut(text: str, limit: int) -> str:
    """Return ``text``, or its beginning and an ellipsis."""
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _show(value: Plain) -> str:
    if isinstance(value, Shown):
        return plain_name(value)
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, float):
        form = ".3g" if 0 < abs(value) < 1 else ".1f" if abs(value) < _BIG else "g"
        return format(value, form)
    if isinstance(value, str):
        return plain_name(repr(value))
    if isinstance(value, tuple):
        return "[" + ", ".join(_show(part) for part in value) + "]"
    if isinstance(value, dict):
        if set(value) == {"x", "y", "w", "h", "dx", "dy"}:
            return plain_name("{x},{y} {w}x{h} dx {dx} dy {dy}".format(**value))
        return "{" + ", ".join(f"{plain_name(k)}: {_show(v)}" for k, v in value.items()) + "}"
    return str(value)


def plain_name(name: str) -> str:
    """Escape what would end a cell of a table or a block of code."""
    return name.replace("|", "\\x7c").replace("`", "\\x60")


def _categories(steps: Sequence[TracedStep]) -> list[str]:
    """Return the categories of a window, those with few objects first."""
    most: dict[str, int] = {}
    for step in steps:
        for category, members in step.objects.items():
            most[category] = max(most.get(category, 0), len(members))
    return sorted((c for c, n in most.items() if n), key=lambda c: (most[c] > _FEW, c != "Player"))


def _describe_category(
    steps: Sequence[TracedStep], category: str, player: str
) -> tuple[Column | None, str]:
    """Return a column for the category, and what is constant about it; either may be missing."""
    rows = [step.objects.get(category, ()) for step in steps]
    boxes = [box for row in rows for box in row]
    tell = _teller(boxes, is_alone=max(map(len, rows)) == 1)
    if all(row == rows[0] for row in rows[1:]) or len({_still(row) for row in rows}) == 1:
        return None, f"{category} {_where(rows[0])}"
    sizes = {(box.w, box.h) for box in boxes}
    phrase = f"{category} is {boxes[0].w}x{boxes[0].h}" if len(sizes) == 1 else f"{category} is"
    if max(map(len, rows)) <= _FEW:
        phrase += _fixed_axis(boxes, is_alone=max(map(len, rows)) == 1)
        cells = [" ".join(tell(box) for box in row) or MISSING for row in rows]
        if len(set(cells)) == 1:  # nothing changes but a colour that flickers
            return None, f"{category} {_where(rows[0])}"
        heading = category + _axes(boxes, is_alone=max(map(len, rows)) == 1)
    else:
        near = [_middle(step.objects.get(player, ())) for step in steps]
        cells = [
            _crowd_cell(rows[i - 1] if i else None, row, near[i], tell)
            for i, row in enumerate(rows)
        ]
        heading = f"{category} n: nearest, or changes"
    phrase = "" if phrase.endswith(" is") else phrase
    return Column(heading, tuple(_with_dittos(cells, 2 * _SHORT))), phrase


def _still(row: Sequence[ObjectBox]) -> tuple[ObjectBox, ...]:
    return tuple(box._replace(dx=0, dy=0) for box in row)


def _where(row: Sequence[ObjectBox]) -> str:
    if len(row) <= 2 * _FEW:
        told = " ".join(f"{b.x},{b.y} {b.w}x{b.h}" + _extras(b) for b in row)
        return f"at {told} throughout"
    left, right = min(b.x for b in row), max(b.x + b.w for b in row)
    top, bottom = min(b.y for b in row), max(b.y + b.h for b in row)
    return f"{len(row)} in x {left}-{right}, y {top}-{bottom} throughout"


def _extras(box: ObjectBox) -> str:
    return (f" ={box.value}" if box.value is not None else "") + (
        f" @{box.orientation}" if box.orientation is not None else ""
    )


def _axes(boxes: Sequence[ObjectBox], *, is_alone: bool) -> str:
    varying = [axis for axis in ("x", "y") if len({getattr(box, axis) for box in boxes}) > 1]
    return " " + (",".join(varying) if is_alone and varying else "x,y")


def _fixed_axis(boxes: Sequence[ObjectBox], *, is_alone: bool) -> str:
    fixed = [
        f"{axis} {getattr(boxes[0], axis)}"
        for axis in ("x", "y")
        if len({getattr(box, axis) for box in boxes}) == 1
    ]
    return f" at {fixed[0]}" if is_alone and len(fixed) == 1 else ""


def _teller(boxes: Sequence[ObjectBox], *, is_alone: bool) -> Callable[[ObjectBox], str]:
    """Return a function that formats an object: only what differs within the window."""
    moving = [axis for axis in ("x", "y") if len({getattr(box, axis) for box in boxes}) > 1]
    axes = moving if is_alone and moving else ["x", "y"]
    has_sizes = len({(box.w, box.h) for box in boxes}) > 1
    has_values = any(box.value is not None for box in boxes)
    has_sides = len({box.orientation for box in boxes}) > 1
    n_places = len({(box.x, box.y) for box in boxes})
    n_colours = len({(box.x, box.y, box.rgb) for box in boxes})
    has_colours = n_places < n_colours <= 2 * n_places  # some change, and it is no flicker

    def tell(box: ObjectBox) -> str:
        text = ",".join(str(getattr(box, axis)) for axis in axes)
        text += f" {box.w}x{box.h}" if has_sizes else ""
        text += f" ={box.value}" if has_values else ""
        text += f" @{box.orientation}" if has_sides else ""
        return text + (f" #{bytes(box.rgb).hex()}" if has_colours and box.rgb else "")

    return tell


def _crowd_cell(
    before: Sequence[ObjectBox] | None,
    row: Sequence[ObjectBox],
    near: tuple[float, float] | None,
    tell: Callable[[ObjectBox], str],
) -> str:
    """Return many things in one cell: what came and went if that is little, else the nearest."""
    if before is not None:
        gone = [tell(box) for box in _still(before) if box not in _still(row)]
        new = [tell(box) for box in _still(row) if box not in _still(before)]
        if not gone and not new:
            return f"{len(row)}"
        if len(gone) + len(new) <= _FEW:
            changes = [f"gone {text}" for text in gone] + [f"new {text}" for text in new]
            return f"{len(row)}: " + " ".join(changes)
    if near is None or not row:
        return f"{len(row)}"
    ordered = sorted(row, key=lambda box: (box.cx - near[0]) ** 2 + (box.cy - near[1]) ** 2)
    return f"{len(row)}: " + " ".join(tell(box) for box in ordered[:_NEAREST])


def _middle(row: Sequence[ObjectBox]) -> tuple[float, float] | None:
    return (row[0].cx, row[0].cy) if row else None


def _component_columns(
    steps: Sequence[TracedStep],
) -> tuple[list[Column], list[Column], list[str]]:
    """Return columns of scalar outputs of components, columns of others, and constant phrases."""
    scalars: list[Column] = []
    others: list[Column] = []
    constant: list[str] = []
    actions = [None if step.action is None else _brief(step.action) for step in steps]
    names = dict.fromkeys(call.name for step in steps for call in step.calls)
    for name in names:
        if name == ENTRY:
            continue
        calls = [[call for call in step.calls if call.name == name] for step in steps]
        cells = [" ".join(map(_output, made)) or MISSING for made in calls]
        is_scalar = all(_is_scalar(call.output) for made in calls for call in made)
        if cells == actions:
            constant.append(f"{plain_name(name)} returns the action")
        elif len(set(cells)) == 1 and len(steps) > 1:
            constant.append(f"{plain_name(name)} returns {cells[0]}")
        elif is_scalar:
            scalars.append(Column(plain_name(name), tuple(_with_dittos(cells))))
        else:
            cells = [cut(cell, _MOST_BRIEF) for cell in cells]
            others.append(Column(plain_name(name), tuple(_with_dittos(cells))))
    return scalars, others, constant


def _output(call: ComponentCall) -> str:
    if call.error:
        return plain_name(f"!{call.error.partition(':')[0]}")
    return _brief(call.output)


def _is_scalar(output: Plain) -> bool:
    if isinstance(output, tuple):
        return len(output) <= _FEW and all(_is_scalar(part) for part in output)
    return not isinstance(output, dict | Shown)


def _brief(output: Plain) -> str:
    """Return an output in a cell: of a long one, the number of its parts."""
    shown = show(output, _MOST_WIDTH)
    if len(shown) > _MOST_BRIEF and isinstance(output, tuple | dict):
        return f"[{len(output)} items]" if isinstance(output, tuple) else f"{{{len(output)} items}}"
    return cut(shown, _MOST_VALUE)


def _with_dittos(cells: Sequence[str], least: int = _SHORT) -> list[str]:
    """Cut cells, and replace those that are longer than ``least`` and equal the one above."""
    shown = [cut(cell, _MOST_WIDTH) for cell in cells]
    return [
        SAME if i and cell == shown[i - 1] and len(cell) > least else cell
        for i, cell in enumerate(shown)
    ]


def _centre(arrivals: Arrivals, seed: int, step: int) -> str:
    centre = arrivals.centres.get((seed, step))
    return MISSING if centre is None else f"{centre:.1f}"


def _rewards(steps: Sequence[TracedStep]) -> tuple[list[Column], str]:
    """Return a column of the rewards, or a phrase where every step brings the same."""
    if not any(step.reward for step in steps):
        return [], ""
    told = tuple(f"{step.reward:+.4g}" if step.reward else "" for step in steps)
    if len(set(told)) == 1 and len(told) > 1:
        return [], f"every step brings {told[0]}"
    return [Column("reward", told)], ""


DEFAULT_TOKENS = 6_000
_LENGTHS = (1000, 32, 28)
"""Steps a window, tried in this order before a window is dropped: fewer do not show how a thing
came to be where it was."""
_SHORT_LENGTHS = (*_LENGTHS, 24, 18, 12, 8, 4)
"""As before, for the last window left."""
_MOST_LINES = 24
_MOST_LINE = 100
_MOST_CALLS = 12
_MOST_FAILURE = 1500
_POSITIONS = (
    "Positions are x,y of the top left corner, in pixels from the top left of the screen; an "
    "object's dx and dy are the differences between rows. "
)
_LEGEND = (
    "A row is what the policy saw in a step, "
    "what its components then returned, the action, and the reward that the action brought. "
    '"-" means nothing, a quotation mark alone the same as above.'
)


@dataclass(frozen=True, slots=True)
class Rendered:
    """A trace as text.

    Attributes:
        text: Lines without Markdown structure but headings and code blocks.
        n_tokens: As `estimate_tokens` estimates it; never above the budget, unless even the list
            of what is left out is.
        left_out: What is missing, a sentence each; in the text too.
    """

    text: str
    n_tokens: int
    left_out: tuple[str, ...]


def render_trace(
    trace: ExecutionTrace, source: str = "", max_tokens: int = DEFAULT_TOKENS
) -> Rendered:
    """Render ``trace`` within ``max_tokens`` estimated tokens.

    Windows are shortened at their beginning, then dropped, the last ones first. How the worst
    episode ended is never dropped, and only shortened when nothing else is left.

    Args:
        trace: What to show.
        source: The policy's text, to quote the lines that ran.
        max_tokens: The budget.
    """
    lines = lines_of(source)
    arrivals = find_arrivals(trace.windows)
    rendered = _compose(trace, [], arrivals, lines)
    for windows in _selections(trace.windows):
        rendered = _compose(trace, windows, arrivals, lines)
        if rendered.n_tokens <= max_tokens:
            break
    return rendered


def _selections(windows: Sequence[Window]) -> Iterator[list[Window]]:
    """Yield what may be shown, from all of it to the least."""
    shown = list(windows)
    while shown:
        others = [window for window in shown if not window.is_ending]
        for length in _LENGTHS if len(shown) > 1 else _SHORT_LENGTHS:
            yield [_shortened(w, length) if not (w.is_ending and others) else w for w in shown]
        if not others:
            return
        shown.remove(others[-1])
    yield []


def _shortened(window: Window, length: int) -> Window:
    return replace(window, steps=window.steps[-length:])


def _compose(
    trace: ExecutionTrace,
    windows: Sequence[Window],
    arrivals: Arrivals | None,
    lines: Sequence[str],
) -> Rendered:
    left_out = tuple(_left_out(trace, windows))
    parts = [*trace.notes, _ranges(trace), describe_extents(trace)]
    if windows:
        has_places = any(step.objects for window in windows for step in window.steps)
        parts.append(_POSITIONS + _LEGEND if has_places else _LEGEND)
    parts.append(_landing_words(arrivals))
    for number, window in enumerate(windows, start=1):
        parts.append(_render_window(number, window, arrivals, (lines, trace.names)))
    if left_out:
        parts.append("Left out: " + " ".join(left_out))
    text = "\n\n".join(part for part in parts if part) + "\n"
    return Rendered(text, estimate_tokens(text), left_out)


def _left_out(trace: ExecutionTrace, windows: Sequence[Window]) -> Iterator[str]:
    steps = {(w.seed, w.event, w.title): len(w.steps) for w in trace.windows}
    for number, window in enumerate(windows, start=1):
        n_steps = steps[window.seed, window.event, window.title]
        n_dropped = n_steps - len(window.steps)
        if n_dropped:
            yield f"the first {n_dropped} of the {n_steps} steps of moment {number};"
    shown = [(window.seed, window.event, window.title) for window in windows]
    dropped = [w for w in trace.windows if (w.seed, w.event, w.title) not in shown]
    if dropped:
        titles = ", ".join(map(_title, dropped))
        yield f"{len(dropped)} of {len(trace.windows)} recorded moments ({titles});"
    if trace.windows:
        yield "all other steps of these episodes."


def _ranges(trace: ExecutionTrace) -> str:
    if not trace.ranges:
        return ""
    told = [
        f"{category} x {left} to {right}, y {top} to {bottom}"
        for category, (left, right, top, bottom) in sorted(trace.ranges.items())
    ]
    return "Where things were in all of these episodes: " + "; ".join(told) + "."


def _landing_words(arrivals: Arrivals | None) -> str:
    if arrivals is None:
        return ""
    place = "row" if arrivals.axis == "x" else "column"
    return (
        f"{arrival_heading(arrivals)} is where the centre of {arrivals.category} really was when "
        f"it next reached the {place} of {arrivals.player}: what a prediction should have said."
    )


def _render_window(
    number: int,
    window: Window,
    arrivals: Arrivals | None,
    quoted: tuple[Sequence[str], Mapping[str, str]],
) -> str:
    """Render a window; ``quoted`` is the lines of the policy and the names of numbers."""
    lines, names = quoted
    kind = {True: " (good)", False: " (bad)", None: ""}[window.is_good]
    heading = (
        f"### Moment {number}{kind}: {_title(window)}\n\n"
        f"Seed {window.seed}, in step {window.event} of {window.n_steps}; "
        f"the episode's return is {window.episode_return:g}."
    )
    if not window.steps:
        failure = escape_lines(window.failure, _MOST_FAILURE)
        return heading + (f"\n\n{_block(failure)}" if failure else " No step was recorded.")
    table = make_table(window, arrivals, names)
    rows = ["|".join(cells) for cells in zip(*(c.cells for c in table.columns), strict=True)]
    parts = [heading]
    if table.constant:
        parts.append("; ".join(table.constant) + ".")
    parts.append(_block("\n".join(["|".join(c.heading for c in table.columns), *rows])))
    parts += _accuracy(window, arrivals)
    parts.append(_in_full(_telling_step(window, arrivals), lines))
    if window.failure:
        parts.append(_block(escape_lines(window.failure, _MOST_FAILURE)))
    return "\n\n".join(part for part in parts if part)


def _title(window: Window) -> str:
    """Return the title, which is partly the policy's text if it failed."""
    return plain_name(escape(window.title, _MOST_LINE))


def _accuracy(window: Window, arrivals: Arrivals | None) -> list[str]:
    """Return how far predictions were from where the thing landed."""
    if arrivals is None:
        return []
    told = [
        f"{plain_name(name)} minus {arrival_heading(arrivals)}: "
        f"{statistics.fmean(errors):+.1f} px on average, {statistics.fmean(map(abs, errors)):.1f} "
        f"px without the sign, over {len(errors)} steps."
        for name, errors in predictions(window, arrivals).items()
    ]
    return ["\n".join(told)] if told else []


def _telling_step(window: Window, arrivals: Arrivals | None) -> TracedStep:
    """Return the step to show in full.

    The one that failed; or the last up to the event from which something landed on the player, or
    else in which most was to be seen.
    """
    failed = [step for step in window.steps if step.action is None]
    if failed:
        return failed[-1]
    before = [step for step in window.steps if step.step <= window.event] or [*window.steps]
    if arrivals is not None:
        landed = [step for step in before if (window.seed, step.step) in arrivals.centres]
        before = landed or before
    seen = [sum(1 for members in step.objects.values() if members) for step in before]
    return [step for step, n in zip(before, seen, strict=True) if n == max(seen)][-1]


def _in_full(step: TracedStep, lines: Sequence[str]) -> str:
    """Return the calls of a step with inputs, outputs and the lines that ran."""
    if not step.calls:
        return ""
    told = [_describe_call(call) for call in step.calls[:_MOST_CALLS]]
    if len(step.calls) > _MOST_CALLS:
        told.append(f"and {len(step.calls) - _MOST_CALLS} more calls")
    ran = sorted({line for call in step.calls for line in call.lines})
    quoted = [
        f"{number:4} {escape(lines[number - 1].rstrip(), _MOST_LINE)}"
        for number in ran
        if number <= len(lines)
    ]
    if len(quoted) > _MOST_LINES:
        quoted[_MOST_LINES:] = [f"     and {len(quoted) - _MOST_LINES} more lines"]
    body = "\n".join([*told, *quoted])
    return (
        f"Step {step.step} in full, and the lines of the policy that ran in it:\n\n{_block(body)}"
    )


def _describe_call(call: ComponentCall) -> str:
    inputs = ", ".join(f"{plain_name(k)}={show(v, 80)}" for k, v in call.inputs.items())
    result = f"raised {escape(call.error, 100)}" if call.error else f"-> {show(call.output, 120)}"
    indent = "  " * min(call.depth, 8)
    name = plain_name(call.name) if call.name != ENTRY else ENTRY
    return cut(f"{indent}{name}({inputs}) {result}", 240)


def _block(text: str) -> str:
    """Return a code block that nothing in it can close."""
    return "```\n" + text.replace("```", "'''") + "\n```"
