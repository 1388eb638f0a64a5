"""The table of a window: one column for each thing that changes, the rest said once. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gco_agent.calls import Plain, Shown
from gco_agent.observation import ObjectBox
from gco_agent.traces.arrivals import Arrivals, number_of
from gco_agent.traces.numbers import Column, number_columns
from gco_agent.traces.records import TracedStep, Window

ENTRY = "act"
SAME = '"'
"""In place of a long output that is the same as in the row above."""
MISSING = "-"
_FEW = 3
"""Of so many things of a category, each is shown; of more, what changed, and the nearest."""
_NEAREST = 2
_MOST_CELL = 64
_MOST_VALUE = 40
_MOST_BRIEF = 24
_MOST_COLUMNS = 14
_BIG = 1000


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
    """The table of the steps of a window.

    Args:
        window: Which one.
        arrivals: Where things really landed, if anything does.
        names: What the numbers of an observation are called, by the words for them.
    """
    steps = window.steps
    columns = [Column("step", tuple(str(step.step) for step in steps))]
    numbers, constant = number_columns(steps, names or {})
    columns += numbers
    categories = _categories(steps)
    for category in categories:
        column, phrase = _describe_category(steps, category, categories[0])
        constant += [phrase] if phrase else []
        columns += [column] if column else []
    parts = _component_columns(steps)
    actions = tuple("" if step.action is None else _brief(step.action) for step in steps)
    for column in parts:
        if column.cells == actions:
            constant.append(f"{column.heading} returns the action")
        elif len(set(column.cells)) == 1 and len(steps) > 1:
            constant.append(f"{column.heading} returns {column.cells[0]}")
        else:
            columns.append(column)
    if arrivals is not None and parts:
        cells = tuple(_centre(arrivals, window.seed, step.step) for step in steps)
        if set(cells) != {MISSING}:
            columns.append(Column(arrival_heading(arrivals), cells))
    outcome = [Column("action", tuple(step.action_name or "FAILED" for step in steps))]
    rewards, phrase = _rewards(steps)
    outcome += rewards
    if len({step.lives for step in steps}) > 1:
        outcome.append(Column("lives", tuple(str(step.lives) for step in steps)))
    constant += [phrase] if phrase else []
    most = _MOST_COLUMNS + len(numbers) - len(outcome)
    return Table(tuple(constant), (*columns[:most], *outcome))


def arrival_heading(arrivals: Arrivals) -> str:
    """Heading of the column of true landings."""
    return f"{arrivals.category}@{arrivals.player} {arrivals.axis}"


def predictions(window: Window, arrivals: Arrivals) -> Mapping[str, list[float]]:
    """Component to its errors, output minus where the thing then really was, in pixels.

    Of those alone whose outputs can be places.
    """
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
    """A recorded value in a few characters; what a policy made of text stays in quotes."""
    return cut(_show(value), limit)


def cut(text: str, limit: int) -> str:
    """``text``, or its beginning and an ellipsis."""
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
    """A text of a policy's without what would end a cell of a table, or a block of code."""
    return name.replace("|", "\\x7c").replace("`", "\\x60")


def _categories(steps: Sequence[TracedStep]) -> list[str]:
    """The categories of a window, those with few objects first."""
    most: dict[str, int] = {}
    for step in steps:
        for category, members in step.objects.items():
            most[category] = max(most.get(category, 0), len(members))
    return sorted((c for c, n in most.items() if n), key=lambda c: (most[c] > _FEW, c != "Player"))


def _describe_category(
    steps: Sequence[TracedStep], category: str, player: str
) -> tuple[Column | None, str]:
    """A column for the category, and what is constant about it; either may be missing.

    Of what there is a crowd, what is nearest to the first of ``player`` is told.
    """
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
    return Column(heading, tuple(cut(cell, _MOST_CELL) for cell in cells)), phrase


def _still(row: Sequence[ObjectBox]) -> tuple[ObjectBox, ...]:
    """The row without velocities."""
    return tuple(box._replace(dx=0, dy=0) for box in row)


def _where(row: Sequence[ObjectBox]) -> str:
    """Where some things are that stay there."""
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
    """How to tell one object of a category: only what differs within the window."""
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
    """Many things in one cell: what came and went if that is little, else the nearest."""
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


def _component_columns(steps: Sequence[TracedStep]) -> list[Column]:
    """The outputs of every component but ``act``, in the order of their first calls."""
    names = dict.fromkeys(call.name for step in steps for call in step.calls)
    columns = []
    for name in names:
        if name == ENTRY:
            continue
        cells = [
            " ".join(
                plain_name(f"!{call.error.partition(':')[0]}")
                if call.error
                else _brief(call.output)
                for call in step.calls
                if call.name == name
            )
            or MISSING
            for step in steps
        ]
        columns.append(Column(plain_name(name), tuple(_with_dittos(cells))))
    return columns


def _brief(output: Plain) -> str:
    """An output in a cell: of one that is long, how many parts it has."""
    shown = show(output, _MOST_CELL)
    if len(shown) > _MOST_BRIEF and isinstance(output, tuple | dict):
        return f"[{len(output)} items]" if isinstance(output, tuple) else f"{{{len(output)} items}}"
    return cut(shown, _MOST_VALUE)


def _with_dittos(cells: Sequence[str]) -> list[str]:
    shown = [cut(cell, _MOST_CELL) for cell in cells]
    is_same = [a == b and len(a) > len("RIGHT") for a, b in zip(shown[1:], shown, strict=False)]
    return shown[:1] + [
        SAME if same else cell for cell, same in zip(shown[1:], is_same, strict=True)
    ]


def _centre(arrivals: Arrivals, seed: int, step: int) -> str:
    centre = arrivals.centres.get((seed, step))
    return MISSING if centre is None else f"{centre:.1f}"


def _rewards(steps: Sequence[TracedStep]) -> tuple[list[Column], str]:
    """A column of the rewards, or a phrase where every step brings the same."""
    if not any(step.reward for step in steps):
        return [], ""
    told = tuple(f"{step.reward:+.4g}" if step.reward else "" for step in steps)
    if len(set(told)) == 1 and len(told) > 1:
        return [], f"every step brings {told[0]}"
    return [Column("reward", told)], ""
