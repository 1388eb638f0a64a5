"""Draw a moment of an episode: the screen with overlays, and a panel with the policy's code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from gco_agent.core.observation import Row
from gco_agent.core.records import ComponentCall, Plain, Shown
from gco_agent.core.text import clean_line, escape
from gco_agent.report.film import Moment
from gco_agent.traces.render import show

Colour = tuple[int, int, int]

PAPER, INK, FAINT = (16, 18, 22), (240, 240, 240), (150, 158, 168)
COLOURS: Sequence[Colour] = (
    *((86, 180, 233), (230, 159, 0), (0, 200, 140), (240, 228, 66)),
    *((213, 94, 0), (204, 121, 167), (150, 150, 255), (120, 220, 120)),
)  # Okabe and Ito 2008, lightened for dark screens
_RAN = (44, 62, 38)

_STRIP_PX, _FONT_PX, _GAP_PX = 22, 13, 8
_ACTION_PX = 130
"""Room for the longest action, DOWNRIGHTFIRE."""
_AHEAD_STEPS = 4
_DIAMOND_PX = 6
_MOST_LABELLED = 8
"""Larger categories, such as a wall of bricks, have boxes without labels."""
_CODE_FONT_PX, _LINE_PX, _MARGIN_PX = 11, 14, 8
_CODE_COLUMNS, _NUMBER_COLUMNS, _VALUE_COLUMNS = 92, 5, 56
_MOST_VALUES_BELOW_CODE, _MOST_VALUES = 8, 12
_VALUE_CHARS = 44

_ENTRY = "act"
_AXIS = re.compile(r"(?:^|_)([xy])(?:$|_)")
_AIMS = re.compile(r"predict|target|landing|cross|intercept|aim|arriv|trajectory|goal")
_BOX = frozenset(("x", "y", "w", "h", "dx", "dy"))
_SCREEN = {"x": 160, "y": 210}


@dataclass(frozen=True, slots=True)
class Overlay:
    """What to draw over the screen and beside it.

    Attributes:
        objects: Boxes of the objects that the policy sees, with their categories.
        velocities: Where each object will be in four steps at its present velocity.
        status: A strip below the screen: action, step, lives and return.
        places: Places that components of the policy return; needs a recorded film.
        axis: Axis along which the player moves: "x" or "y"; "" for both or unknown.
        components: Names of the policy's components, in the order of their colours.
    """

    objects: bool = False
    velocities: bool = False
    status: bool = True
    places: bool = False
    scale: int = 3
    axis: str = ""
    components: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """A place that a component returned, in pixels of the screen.

    Attributes:
        x: None if it is a row.
        y: None if it is a column.
        size: Width and height of an object; None for a point or a line.
    """

    name: str
    x: float | None
    y: float | None
    size: tuple[float, float] | None = None


def draw(moment: Moment, overlay: Overlay, title: str = "") -> Image.Image:
    """Return the picture of a moment with a title above, of one even size for the episode."""
    scale = overlay.scale
    screen = Image.fromarray(moment.frame)
    screen = screen.resize((screen.width * scale, screen.height * scale), Image.Resampling.NEAREST)
    _draw_objects(screen, moment, overlay)
    if overlay.places:
        _draw_places(screen, moment, overlay)
    above = _STRIP_PX if title else 0
    below = _STRIP_PX if overlay.status else 0
    size = (_even(screen.width), _even(screen.height + above + below))
    picture = Image.new("RGB", size, PAPER)
    picture.paste(screen, (0, above))
    pen = ImageDraw.Draw(picture)
    if title:
        pen.text((6, 3), _fitting(title, picture.width), fill=INK, font=_font())
    if overlay.status:
        _draw_status(pen, moment, picture.width, above + screen.height + 3)
    return picture


def beside(pictures: Sequence[Image.Image]) -> Image.Image:
    """Return pictures of one height side by side."""
    if len(pictures) == 1:
        return pictures[0]
    width = sum(picture.width for picture in pictures) + _GAP_PX * (len(pictures) - 1)
    whole = Image.new("RGB", (_even(width), max(p.height for p in pictures)), PAPER)
    x = 0
    for picture in pictures:
        whole.paste(picture, (x, 0))
        x += picture.width + _GAP_PX
    return whole


# -- the screen ------------------------------------------------------------------------------------


def _draw_objects(screen: Image.Image, moment: Moment, overlay: Overlay) -> None:
    pen = ImageDraw.Draw(screen)
    for number, (category, members) in enumerate(sorted(moment.rows.items())):
        colour = COLOURS[number % len(COLOURS)]
        label = category if len(members) <= _MOST_LABELLED else ""
        for row in members:
            if overlay.objects:
                _draw_box(pen, row, overlay.scale, colour, label)
            if overlay.velocities:
                _draw_velocity(pen, row, overlay.scale, colour)


def _draw_box(pen: ImageDraw.ImageDraw, row: Row, scale: int, colour: Colour, label: str) -> None:
    x, y, w, h = (value * scale for value in row[:4])
    pen.rectangle((x - 1, y - 1, x + max(1, w), y + max(1, h)), outline=colour)
    if label:
        top = y - _FONT_PX - 2
        at = (x, top if top >= 0 else y + h + 1)
        pen.text(at, label, fill=colour, font=_font(), stroke_width=1, stroke_fill=PAPER)


def _draw_velocity(pen: ImageDraw.ImageDraw, row: Row, scale: int, colour: Colour) -> None:
    x, y, w, h, dx, dy = (value * scale for value in row[:6])
    if dx or dy:
        begin = x + w / 2, y + h / 2
        end = begin[0] + dx * _AHEAD_STEPS, begin[1] + dy * _AHEAD_STEPS
        pen.line((*begin, *end), fill=colour, width=2)
        pen.ellipse((end[0] - 3, end[1] - 3, end[0] + 3, end[1] + 3), fill=colour)


def _draw_places(screen: Image.Image, moment: Moment, overlay: Overlay) -> None:
    """Draw the places of components: a frame, a point, or a line with a mark at the player."""
    pen = ImageDraw.Draw(screen)
    players = moment.rows.get("Player", ())
    middle: tuple[float | None, float | None] = (None, None)
    if players:
        x, y, width, height = (value * overlay.scale for value in players[0][:4])
        middle = x + width / 2, y + height / 2
    for place in places_of(moment.calls, overlay.axis):
        colour = _colour_of(place.name, overlay.components)
        left, top = (None if v is None else v * overlay.scale for v in (place.x, place.y))
        if place.size is not None and left is not None and top is not None:
            w, h = (v * overlay.scale for v in place.size)
            pen.rectangle((left - 3, top - 3, left + w + 2, top + h + 2), outline=colour, width=2)
            continue
        if left is None and top is not None:
            pen.line((0, top, screen.width, top), fill=colour)
            left = middle[0]
        elif top is None and left is not None:
            pen.line((left, 0, left, screen.height), fill=colour)
            top = middle[1]
        if left is not None and top is not None:
            r = _DIAMOND_PX
            corners = [(left - r, top), (left, top - r), (left + r, top), (left, top + r)]
            pen.polygon(corners, fill=colour, outline=PAPER)


def _draw_status(pen: ImageDraw.ImageDraw, moment: Moment, width: int, y: int) -> None:
    """Draw action and step on the left, lives and return on the right."""
    result = moment.result
    if result is None:
        left, colour = moment.action, INK
        pen.text((_ACTION_PX, y), f"step {moment.step}", fill=FAINT, font=_font())
    else:
        left = f"{result.outcome.word}, {result.n_steps} steps"
        colour = COLOURS[2] if result.outcome.is_scored else COLOURS[4]
    lives = f"lives {moment.lives}  " if moment.lives else ""
    right = f"{lives}return {moment.total:g}"
    x = width - 6 - pen.textlength(right, font=_font())
    pen.text((x, y), right, fill=INK, font=_font())
    pen.text((6, y), _fitting(left, int(x) - 6), fill=colour, font=_font())


# -- the panel -------------------------------------------------------------------------------------


class SidePanel:
    """A panel with the policy's code and the values of its components, for one film.

    Args:
        has_code: Show the code; if it does not fit, it is scrolled to the lines that ran.
    """

    def __init__(self, source: str, height: int, *, has_code: bool, has_values: bool) -> None:
        self._height = height
        self._names = component_names(source)
        n_rows = (height - 2 * _MARGIN_PX) // _LINE_PX
        n_values = min(len(self._names), _MOST_VALUES_BELOW_CODE) if has_code else n_rows - 1
        self._n_values = n_values + 1 if has_values else 0
        self._lines = _code_lines(source) if has_code else []
        self._n_lines = min(len(self._lines), max(1, n_rows - self._n_values))
        self._top = 0
        columns = _CODE_COLUMNS + _NUMBER_COLUMNS if has_code else _VALUE_COLUMNS
        self._width = _even(round(columns * _code_font().getlength("x")) + 2 * _MARGIN_PX)

    def draw(self, moment: Moment) -> Image.Image:
        """Return the panel at a moment, of the same size for the whole film."""
        picture = Image.new("RGB", (self._width, self._height), PAPER)
        pen = ImageDraw.Draw(picture)
        ran = {line for call in moment.calls for line in call.lines}
        self._scroll(ran)
        shown = self._lines[self._top : self._top + self._n_lines]
        rows = [(_MARGIN_PX + row * _LINE_PX, *line) for row, line in enumerate(shown)]
        for y, number, _ in rows:  # before any text: an underscore reaches into the next row
            if number in ran:
                pen.rectangle((0, y - 1, self._width, y + _LINE_PX - 2), fill=_RAN)
        for y, number, text in rows:
            line = f"{number:>{_NUMBER_COLUMNS - 1}} {text}"
            colour = INK if number in ran else FAINT
            pen.text((_MARGIN_PX, y), line, fill=colour, font=_code_font())
        if self._n_values:
            self._draw_values(pen, self._height - _MARGIN_PX - self._n_values * _LINE_PX, moment)
        return picture

    def _scroll(self, ran: set[int]) -> None:
        """Show as many of the lines that ran as possible, moving as little as possible."""
        last = len(self._lines) - self._n_lines
        if last <= 0 or not ran:
            return
        has_run = [number in ran for number, _ in self._lines]
        seen = [sum(has_run[top : top + self._n_lines]) for top in range(last + 1)]
        if seen[self._top] < max(seen):
            best = [top for top, n in enumerate(seen) if n == max(seen)]
            self._top = min(best, key=lambda top: abs(top - self._top))

    def _draw_values(self, pen: ImageDraw.ImageDraw, y: int, moment: Moment) -> None:
        pen.text((_MARGIN_PX, y), "components in this step", fill=FAINT, font=_code_font())
        for name, value in returned_values(moment.calls)[: self._n_values - 1]:
            y += _LINE_PX
            text = f"{escape(name, _VALUE_COLUMNS // 2)} -> {escape(value, _VALUE_COLUMNS)}"
            colour = _colour_of(name, self._names)
            pen.text((_MARGIN_PX, y), text, fill=colour, font=_code_font())


def _code_lines(source: str) -> list[tuple[int, str]]:
    """Return numbered lines without docstrings and without repeated blank lines."""
    tree = _parse(source)
    hidden: set[int] = set()
    for node in ast.walk(tree) if tree else ():
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            continue
        has_more = len(node.body) > 1 or isinstance(node, ast.Module)
        if has_more and ast.get_docstring(node, clean=False) is not None:
            first = node.body[0]
            hidden |= set(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    shown: list[tuple[int, str]] = []
    for number, line in enumerate(source.rstrip().splitlines(), 1):
        if number not in hidden and (line.strip() or (shown and shown[-1][1].strip())):
            shown.append((number, escape(line, _CODE_COLUMNS)))
    return shown


# -- values and places -----------------------------------------------------------------------------


def component_names(source: str) -> list[str]:
    """Return the functions of a policy but ``act``, in order; empty if it cannot be parsed."""
    tree = _parse(source)
    nodes = ast.walk(tree) if tree else ()
    names = [node.name for node in nodes if isinstance(node, ast.FunctionDef)]
    return [name for name in dict.fromkeys(names) if name != _ENTRY and not name.startswith("__")]


def returned_values(calls: Sequence[ComponentCall]) -> list[tuple[str, str]]:
    """Return each component's name and its last value in a step, or the error that it raised."""
    last: dict[str, str] = {}
    for call in calls:
        if call.name != _ENTRY:
            value = f"raised {call.error}" if call.error else show(call.output, _VALUE_CHARS)
            last[call.name] = value[:_VALUE_CHARS]
    return list(last.items())[:_MOST_VALUES]


def places_of(calls: Sequence[ComponentCall], axis: str = "") -> list[Place]:
    """Return the places among the outputs of components and among inputs named as targets.

    A number is a place if its name ends in ``_x`` or ``_y`` or has these as a word; or if it is
    named as a target or a prediction, and the player moves along ``axis`` only.

    Args:
        axis: "x" or "y", the axis of the player; "" if there is none or both.
    """
    found: dict[str, Place] = {}
    for call in calls:
        for parameter, value in call.inputs.items():
            if _AIMS.search(parameter) and (place := _place(parameter, value, axis)):
                found.setdefault(parameter, place)
        if call.name != _ENTRY and (place := _place(call.name, call.output, axis)):
            found[call.name] = place
    returned = {call.name for call in calls}
    return [p for p in found.values() if p.name in returned or not _is_double(p, found.values())]


def _is_double(place: Place, others: Iterable[Place]) -> bool:
    return any(p.name != place.name and (p.x, p.y) == (place.x, place.y) for p in others)


def _place(name: str, value: Plain, axis: str) -> Place | None:
    """Return the place that a value of that name stands for, if any."""
    is_aim = _AIMS.search(name) is not None
    if isinstance(value, dict):
        x, y = _number(value.get("x")), _number(value.get("y"))
        size = (_number(value.get("w")) or 0.0, _number(value.get("h")) or 0.0)
        is_box = value.keys() >= _BOX
        return None if x is None or y is None else Place(name, x, y, size if is_box else None)
    if isinstance(value, tuple):
        x, y = map(_number, value) if is_aim and len(value) == len(_SCREEN) else (None, None)
        return None if x is None or y is None else Place(name, x, y)
    number = _number(value)
    named = _AXIS.search(name)
    along = named[1] if named else axis if is_aim else ""
    if number is None or not along or not 0 <= number <= _SCREEN[along]:
        return None
    return Place(name, number, None) if along == "x" else Place(name, None, number)


def _number(value: Plain | Shown) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) <= max(_SCREEN.values()) else None


# -- small parts -----------------------------------------------------------------------------------


def _parse(source: str) -> ast.Module | None:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return None


def _colour_of(name: str, names: Sequence[str]) -> Colour:
    return COLOURS[list(names).index(name) % len(COLOURS)] if name in names else INK


def _fitting(text: str, width: int) -> str:
    """Return ``text`` on one line, cut in the middle if it is wider than ``width``."""
    line = clean_line(text)
    shown, half = line, len(line) // 2
    while half > 1 and _font().getlength(shown) > width - 12:
        shown, half = f"{line[:half]}…{line[-half:]}", half - 1
    return shown


def _even(n: int) -> int:
    """Round up to an even number: video codecs store colour for two pixels at a time."""
    return n + n % 2


@lru_cache(maxsize=1)
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(_FONT_PX)


@lru_cache(maxsize=1)
def _code_font() -> ImageFont.FreeTypeFont:
    from matplotlib import get_data_path

    path = Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSansMono.ttf"
    return ImageFont.truetype(str(path), _CODE_FONT_PX)
