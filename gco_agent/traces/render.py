"""A trace as text for a prompt, within a budget of tokens.

Each window is a table: a row a step, and a column for whatever changes within the window. What
stays the same is said in a sentence above it.
"""

from __future__ import annotations

import bisect
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from gco_agent.core.observation import ObjectBox
from gco_agent.core.records import ComponentCall, Plain, Shown
from gco_agent.core.text import escape, escape_lines, fence
from gco_agent.traces.records import (
    POINTS_STEPS,
    Ending,
    ExecutionTrace,
    Stall,
    TracedStep,
    Window,
)

DEFAULT_TOKENS = 6_000
ENTRY = "act"
MISSING = "-"
SAME = '"'
"""In place of a long cell that is the same as in the row above."""
_LENGTHS = ((1000, 1000), (1000, 28), (1000, 20), (28, 14), (20, 10))
"""Steps of the end of the worst episode, and of another window, tried in this order before a window
is dropped."""
_SHORT_LENGTHS = (*((n, n) for n in (1000, 32, 28, 24, 18, 12, 8, 4)),)
"""As before, for the last window left."""
_MOST_COLUMNS, _MOST_NUMBERS, _MOST_OBJECTS, _MOST_OTHERS = 13, 20, 7, 3
"""Columns: of all, of numbers, of categories of objects, of outputs that are no scalars."""
_MOST_EXTENTS = 32
_SPANS, _FEWEST_SPANS, _MOST_SPANS = (1, 2, 5, 10, 20, 50, 100, 200, 500), 4, 14
"""Hundreds of steps in a column of the table of points, and how many columns it has."""
_MOST_CELL, _MOST_BRIEF, _MOST_WIDTH, _MOST_LINE, _MOST_FAILURE = 40, 24, 64, 100, 1500
"""Characters."""
_LARGE = 1000
"""Numbers from here on have no decimals."""
_SHORT = 5
"""Cells that are no longer are repeated."""
_FEW, _NEAREST = 3, 2
"""Of so many things of a category, each is shown; of more, what changed, and the nearest."""
_POSITIONS = (
    "Positions are x,y of the top left corner, in pixels from the top left of the screen; an "
    "object's dx and dy are the differences between rows, its size that above the table unless "
    "another stands. "
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


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the table of a window."""

    heading: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A window as columns, and a phrase for each thing that is the same in all rows."""

    constant: tuple[str, ...]
    columns: tuple[Column, ...]


def render_trace(trace: ExecutionTrace, max_tokens: int = DEFAULT_TOKENS) -> Rendered:
    """Render ``trace`` within ``max_tokens`` estimated tokens.

    Windows are shortened at their beginning, then dropped, the last ones first. How the worst
    episode ended is never dropped, and only shortened when nothing else is left.
    """
    rendered = _compose(trace, [])
    for windows in _selections(trace.windows):
        rendered = _compose(trace, windows)
        if rendered.n_tokens <= max_tokens:
            break
    return rendered


def _selections(windows: Sequence[Window]) -> Iterator[list[Window]]:
    """Yield what may be shown, from all of it to the least."""
    shown = list(windows)
    while shown:
        others = [window for window in shown if not window.is_ending]
        for ending, other in _LENGTHS if len(shown) > 1 else _SHORT_LENGTHS:
            lengths = (ending if w.is_ending and others else other for w in shown)
            yield [replace(w, steps=w.steps[-n:]) for w, n in zip(shown, lengths, strict=True)]
        if not others:
            return
        shown.remove(others[-1])
    yield []


def _compose(trace: ExecutionTrace, windows: Sequence[Window]) -> Rendered:
    left_out = tuple(_left_out(trace, windows))
    parts = [*trace.notes, describe_extents(trace)]
    if windows:
        has_places = any(step.objects for window in windows for step in window.steps)
        parts.append(_POSITIONS + _LEGEND if has_places else _LEGEND)
    for number, window in enumerate(windows, start=1):
        parts.append(_render_window(number, window, trace.names))
    if left_out:
        parts.append("Left out: " + " ".join(left_out))
    text = "\n\n".join(part for part in parts if part) + "\n"
    return Rendered(text, estimate_tokens(text), left_out)


def _left_out(trace: ExecutionTrace, windows: Sequence[Window]) -> Iterator[str]:
    whole = {(w.seed, w.event, w.title): w for w in trace.windows}
    for number, window in enumerate(windows, start=1):
        n_steps = len(whole.pop((window.seed, window.event, window.title)).steps)
        if n_dropped := n_steps - len(window.steps):
            yield f"the first {n_dropped} of the {n_steps} steps of moment {number};"
    if whole:
        titles = ", ".join(map(_title, whole.values()))
        yield f"{len(whole)} of {len(trace.windows)} recorded moments ({titles});"
    if trace.windows:
        yield "all other steps of these episodes."


def describe_extents(trace: ExecutionTrace) -> str:
    """Return how far objects or numbers of the observation got; empty if nothing was seen."""
    told = [
        f"{_named(words, trace.names)} {low:.3g} to {high:.3g}"
        for words, (low, high) in itertools.islice(trace.extents.items(), _MOST_EXTENTS)
    ]
    n_more = len(trace.extents) - _MOST_EXTENTS
    more = f"; {n_more} more are left out" if n_more > 0 else ""
    return f"What was seen in all of these episodes: {'; '.join(told)}{more}." if told else ""


def fit_steps(
    steps: Sequence[TracedStep], names: Mapping[str, str], max_tokens: int, *, last: bool = False
) -> tuple[str, Sequence[TracedStep]]:
    """Render as many of the first (or last) steps as fit, one at least; return these, too."""

    def some(n: int) -> Sequence[TracedStep]:
        return steps[-n:] if last else steps[:n]

    n_fit = bisect.bisect_right(
        range(1, len(steps) + 1),
        max_tokens,
        key=lambda n: estimate_tokens(render_steps(some(n), names)),
    )
    shown = some(max(1, n_fit))
    return render_steps(shown, names), shown


def describe_points(endings: Sequence[Ending], most: int) -> str:
    """Return a table of the points over time of some episodes; "" if these are short."""
    longest = max((len(ending.points) for ending in endings), default=0)
    if longest < _FEWEST_SPANS:
        return ""
    width = next((n for n in _SPANS if longest <= _MOST_SPANS * n), longest)
    rows = [["episode", *(f"{POINTS_STEPS * n}-" for n in range(0, longest, width))]]
    for number, ending in enumerate(endings[:most]):
        points = ending.points
        sums = (sum(points[n : n + width]) for n in range(0, len(points), width))
        rows.append([str(number), *(f"{total:g}" for total in sums)])
    return (
        f"Points in each {POINTS_STEPS * width:,} steps; a column begins in the step at its top, "
        "and episode 0 is the first one above:\n\n" + fence("\n".join(map("|".join, rows)), "text")
    )


def describe_stalls(stalls: Sequence[Stall], most: int) -> str:
    """Return what the policy did in the longest of some stalls, and how many more there are."""
    lines = []
    for stall in stalls[:most]:
        n_steps, where = stall.end - stall.first, f"from step {stall.first:,} to {stall.end:,}"
        told = [f"Seed {stall.seed}: nothing is gained or lost {where} of {stall.n_steps:,}"]
        for what, counts in (("actions", stall.actions), ("in view", stall.view)):
            shares = ", ".join(f"{name} {n / n_steps:.0%}" for name, n in counts.items())
            told += [f"{what}: {shares}"] if shares else []
        lines.append("; ".join(told) + ".")
    if n_more := len(stalls) - len(lines):
        lines.append(f"{n_more} more episode{'s have' if n_more > 1 else ' has'} such a stretch.")
    return "\n".join(lines)


def _render_window(number: int, window: Window, names: Mapping[str, str]) -> str:
    kind = {True: " (good)", False: " (bad)", None: ""}[window.is_good]
    heading = (
        f"### Moment {number}{kind}: {_title(window)}\n\n"
        f"Seed {window.seed}, in step {window.event} of {window.n_steps}; "
        f"the episode's return is {window.episode_return:g}."
    )
    failure = _block(escape_lines(window.failure, _MOST_FAILURE)) if window.failure else ""
    if not window.steps:
        return f"{heading}\n\n{failure}" if failure else f"{heading} No step was recorded."
    parts = [heading, render_steps(window.steps, names)]
    return "\n\n".join([*parts, *([failure] if failure else [])])


def render_steps(steps: Sequence[TracedStep], names: Mapping[str, str]) -> str:
    """Return what is constant in some steps, and a table of the rest."""
    table = make_table(steps, names)
    rows = zip(*([column.heading, *column.cells] for column in table.columns), strict=True)
    constant = "; ".join(table.constant) + ".\n\n" if table.constant else ""
    return constant + _block("\n".join(map("|".join, rows)))


def _title(window: Window) -> str:
    """Return the title, which is partly the policy's text if it failed."""
    return _cell(escape(window.title, _MOST_LINE))


def _block(text: str) -> str:
    """Return a code block that nothing in it can close."""
    return "```\n" + text.replace("```", "'''") + "\n```"


def make_table(steps: Sequence[TracedStep], names: Mapping[str, str] | None = None) -> Table:
    """Return the table of the steps of a window.

    Columns beyond the most are left out: first the most crowded categories of objects, then outputs
    of components: of those that are called several times a step, those that are no scalars, and
    those called from the deepest functions.

    Args:
        names: Names of the numbers of an observation, by expression.
    """
    numbers, constant = number_columns(steps, names or {})
    objects, phrases = _object_columns(steps)
    components, returned = _component_columns(steps)
    constant += [*phrases, *returned]
    outcome = [Column("action", tuple(step.action_name or "FAILED" for step in steps))]
    rewards = tuple(f"{step.reward:+.4g}" if step.reward else "" for step in steps)
    if len(set(rewards)) == 1 and len(steps) > 1:
        constant += [f"every step brings {rewards[0]}"] if rewards[0] else []
    elif any(rewards):
        outcome.append(Column("reward", rewards))
    if len({step.lives for step in steps}) > 1:
        outcome.append(Column("lives", tuple(str(step.lives) for step in steps)))
    n_objects = min(len(objects), _MOST_OBJECTS)
    n_returned = max(0, _MOST_COLUMNS - 1 - len(outcome) - n_objects)
    if left_out := [column.heading for column in objects[n_objects:] + components[n_returned:]]:
        constant.append(f"without columns for {', '.join(left_out)}")
    first = Column("step", tuple(str(step.step) for step in steps))
    shown = (first, *numbers, *objects[:n_objects], *components[:n_returned], *outcome)
    return Table(tuple(constant), shown)


def number_columns(
    steps: Sequence[TracedStep], names: Mapping[str, str]
) -> tuple[list[Column], list[str]]:
    """Return a column for each number that changes, and a phrase for each that does not.

    Args:
        names: Names of the numbers, by expression.
    """
    columns: list[Column] = []
    constant: list[str] = []
    for words in dict.fromkeys(words for step in steps for words in step.values):
        seen = (step.values.get(words, Shown(MISSING)) for step in steps)
        cells = tuple(map(show_number, seen))
        if len(set(cells)) == 1 and len(steps) > 1:
            constant.append(f"{_named(words, names)} is {cells[0]}")
        else:
            columns.append(Column(_named(words, names), cells))
    for told, which in ((constant, "do not change"), (columns, "change and are not shown")):
        if (n_more := len(told) - _MOST_NUMBERS) > 0:
            del told[_MOST_NUMBERS:]
            constant.append(f"{n_more} more numbers {which}")
    return columns, constant


def _named(words: str, names: Mapping[str, str]) -> str:
    """Return an expression with its name: "obs[2] angle"."""
    return _cell(f"{words} {names[words]}" if words in names else words)


def _object_columns(steps: Sequence[TracedStep]) -> tuple[list[Column], list[str]]:
    """Return a column for each category that changes, those with few objects first."""
    most: dict[str, int] = {}
    for step in steps:
        for category, members in step.objects.items():
            most[category] = max(most.get(category, 0), len(members))
    categories = [category for category, n in most.items() if n]
    categories.sort(key=lambda name: (most[name] > _FEW, name != "Player"))
    columns: list[Column] = []
    constant: list[str] = []
    for category in categories:
        rows = [step.objects.get(category, ()) for step in steps]
        heading, cells, phrase = _describe_category(
            rows, [step.objects.get(categories[0], ()) for step in steps]
        )
        if cells:
            columns.append(Column(category + heading, tuple(_with_dittos(cells, 2 * _SHORT))))
        constant += [category + phrase] if phrase else []
    return columns, constant


_Boxes = Sequence[ObjectBox]


def _describe_category(
    rows: Sequence[_Boxes], near: Sequence[_Boxes]
) -> tuple[str, list[str], str]:
    """Return the end of the heading, the cells, and what is constant; each may be empty.

    Args:
        near: The player of each step.
    """
    most = max(map(len, rows))
    boxes = [box for row in rows for box in row]
    throughout = f" {_where(rows[0])} throughout"
    if len({_still(row) for row in rows}) == 1:
        return "", [], throughout
    moving = [axis for axis in ("x", "y") if len({getattr(box, axis) for box in boxes}) > 1]
    axes = moving if moving and most == 1 else ["x", "y"]
    [(usual, n_usual)] = Counter((box.w, box.h) for box in boxes).most_common(1)
    is_usual = 2 * n_usual > len(boxes)
    phrase = " is {}x{}".format(*usual) if is_usual else ""
    tell = _teller(boxes, axes, usual if is_usual else None)
    if most > _FEW:
        cells = [
            _crowd_cell(before, row, player, tell)
            for before, row, player in zip([None, *rows[:-1]], rows, near, strict=True)
        ]
        return " n: nearest, or changes", cells, phrase
    cells = [" ".join(map(tell, row)) or MISSING for row in rows]
    if len(set(cells)) == 1:  # nothing changes but a colour that flickers
        return "", [], throughout
    if len(axes) == 1:
        fixed = "y" if axes == ["x"] else "x"
        phrase = f"{phrase or ' is'} at {fixed} {getattr(boxes[0], fixed)}"
    return " " + ",".join(axes), cells, phrase


def _teller(
    boxes: _Boxes, axes: Sequence[str], usual: tuple[int, int] | None
) -> Callable[[ObjectBox], str]:
    """Return a function that formats an object: only what differs within the window."""
    has_sides = len({box.orientation for box in boxes}) > 1
    n_places = len({(box.x, box.y) for box in boxes})
    n_colours = len({(box.x, box.y, box.rgb) for box in boxes})
    has_colours = n_places < n_colours <= 2 * n_places  # some change, and it is no flicker

    def tell(box: ObjectBox) -> str:
        text = ",".join(str(getattr(box, axis)) for axis in axes)
        text += f" {box.w}x{box.h}" if (box.w, box.h) != usual else ""
        text += f" ={box.value}" if box.value is not None else ""
        text += f" @{box.orientation}" if has_sides else ""
        return text + (f" #{bytes(box.rgb).hex()}" if has_colours and box.rgb else "")

    return tell


def _where(row: _Boxes) -> str:
    if len(row) > 2 * _FEW:
        left, right = min(box.x for box in row), max(box.x + box.w for box in row)
        top, bottom = min(box.y for box in row), max(box.y + box.h for box in row)
        return f"{len(row)} in x {left}-{right}, y {top}-{bottom}"
    told = [
        f"{box.x},{box.y} {box.w}x{box.h}"
        + (f" ={box.value}" if box.value is not None else "")
        + (f" @{box.orientation}" if box.orientation is not None else "")
        for box in row
    ]
    return "at " + " ".join(told)


def _still(row: _Boxes) -> tuple[ObjectBox, ...]:
    return tuple(box._replace(dx=0, dy=0) for box in row)


def _crowd_cell(
    before: _Boxes | None, row: _Boxes, player: _Boxes, tell: Callable[[ObjectBox], str]
) -> str:
    """Return many things in one cell: what came and went if that is little, else the nearest."""
    shown: list[str] = []
    if before is not None:
        now, then = _still(row), _still(before)
        shown = [f"gone {tell(box)}" for box in then if box not in now]
        shown += [f"new {tell(box)}" for box in now if box not in then]
        if not shown:
            return f"{len(row)}"
    if before is None or len(shown) > _FEW:
        x, y = (player[0].cx, player[0].cy) if player else (0.0, 0.0)
        ordered = sorted(row, key=lambda box: (box.cx - x) ** 2 + (box.cy - y) ** 2)
        shown = [tell(box) for box in ordered[:_NEAREST]] if player else []
    return f"{len(row)}: " + " ".join(shown) if shown else f"{len(row)}"


def _component_columns(steps: Sequence[TracedStep]) -> tuple[list[Column], list[str]]:
    """Return columns of what components returned, the plainest first, and constant phrases."""
    columns: list[tuple[tuple[bool, bool, int], Column]] = []
    constant: list[str] = []
    actions = [None if step.action is None else _brief(step.action) for step in steps]
    for name in dict.fromkeys(call.name for step in steps for call in step.calls):
        calls = [[call for call in step.calls if call.name == name] for step in steps]
        cells = [" ".join(map(_output, made)) or MISSING for made in calls]
        if name == ENTRY:
            continue
        if cells == actions:
            constant.append(f"{_cell(name)} returns the action")
        elif len(set(cells)) == 1 and len(steps) > 1:
            constant.append(f"{_cell(name)} returns {cells[0]}")
        else:
            flat = [call for made in calls for call in made]
            is_scalar = all(_is_scalar(call.output) for call in flat)
            cells = cells if is_scalar else [cut(cell, _MOST_BRIEF) for cell in cells]
            rank = (max(map(len, calls)) > 1, not is_scalar, min(call.depth for call in flat))
            columns.append((rank, Column(_cell(name), tuple(_with_dittos(cells)))))
    columns.sort(key=lambda ranked: ranked[0])
    others = [column.heading for (_, is_other, _), column in columns if is_other][_MOST_OTHERS:]
    shown = [column for _, column in columns if column.heading not in others]
    return shown, [*constant, *(f"without a column for {name}" for name in others)]


def _output(call: ComponentCall) -> str:
    return _cell(f"!{call.error.partition(':')[0]}") if call.error else _brief(call.output)


def _is_scalar(output: Plain) -> bool:
    if isinstance(output, tuple):
        return len(output) <= _FEW and all(map(_is_scalar, output))
    return not isinstance(output, dict | Shown)


def _brief(output: Plain) -> str:
    """Return an output in a cell: of a long one, its beginning."""
    is_long = isinstance(output, tuple | dict)
    return cut(show(output, _MOST_WIDTH), _MOST_BRIEF if is_long else _MOST_CELL)


def _with_dittos(cells: Sequence[str], least: int = _SHORT) -> list[str]:
    """Cut cells, and replace those that are longer than ``least`` and equal the one above."""
    shown = [cut(cell, _MOST_WIDTH) for cell in cells]
    return [
        SAME if cell == above and len(cell) > least else cell
        for above, cell in zip(["", *shown[:-1]], shown, strict=True)
    ]


def show_number(value: Plain) -> str:
    """Return a value of an observation in a few characters, a number with three digits."""
    return f"{value:.3g}" if isinstance(value, float) else show(value)


def show(value: Plain, limit: int = _MOST_CELL) -> str:
    """Return a recorded value in a few characters; text of a policy stays in quotes."""
    return cut(_show(value), limit)


def _show(value: Plain) -> str:
    if isinstance(value, float):
        form = ".3g" if 0 < abs(value) < 1 else ".1f" if abs(value) < _LARGE else "g"
        return format(value, form)
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_show, value)) + "]"
    if isinstance(value, dict):
        if set(value) == {"x", "y", "w", "h", "dx", "dy"}:
            return _cell("{x},{y} {w}x{h} dx {dx} dy {dy}".format(**value))
        return "{" + ", ".join(f"{_cell(k)}: {_show(v)}" for k, v in value.items()) + "}"
    return _cell(repr(value))


def cut(text: str, limit: int) -> str:
    """Return ``text``, or its beginning and an ellipsis."""
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _cell(text: str) -> str:
    """Escape what would end a cell of a table or a block of code."""
    return text.replace("|", "\\x7c").replace("`", "\\x60")


_PIECES = re.compile(r"[^\W\d_]+|\d+|\s+|[^\w\s]|_", re.ASCII)
_LETTERS_A_TOKEN, _DIGITS_A_TOKEN = 6, 2


def estimate_tokens(text: str) -> int:
    """Return an upper estimate of the tokens of ``text``; most tokenizers stay below it.

    Counts a token for every six letters of a word, every two digits of a number, every mark of
    punctuation, every line end, and every space that no word follows; other scripts count their
    bytes.
    """
    foreign_bytes = len(text.encode("utf-8", "replace")) - len(text)
    return sum(map(_tokens, _PIECES.findall(text))) + foreign_bytes


def _tokens(piece: str) -> int:
    if piece[0].isdigit():
        return -(-len(piece) // _DIGITS_A_TOKEN)
    if piece[0].isspace():
        return piece.count("\n") or int(len(piece) > 1)
    return -(-len(piece) // _LETTERS_A_TOKEN)
