"""Beside the picture: the policy's text with the lines that ran, and what its components returned.

The only door to matplotlib's fonts: a monospaced one comes with it.
"""

from __future__ import annotations

import ast
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from gco_agent.core.text import escape
from gco_agent.report.video.drawing import FAINT, INK, PAPER, colour_of, even
from gco_agent.report.video.film import Moment
from gco_agent.report.video.predicted import component_names, told_by

_FONT_PX, _LINE_PX = 11, 14
_CODE_COLUMNS, _VALUE_COLUMNS = 92, 56
_GUTTER = 5
"""Columns of the line numbers."""
_MARGIN_PX = 8
_RAN = (44, 62, 38)
_ROOM_FOR_VALUES = 8
"""Components that have room below the code, if a policy has so many."""


class SidePanel:
    """A panel that is drawn anew for every moment of one policy's film.

    Args:
        source: The policy's text.
        height: Of the picture that it stands beside, in pixels.
        has_code: Show the text; what does not fit is scrolled to the lines that ran.
        has_values: Show what the components returned.
    """

    def __init__(self, source: str, height: int, *, has_code: bool, has_values: bool) -> None:
        self._height = height
        self._names = component_names(source)
        n_rows = (height - 2 * _MARGIN_PX) // _LINE_PX
        n_values = min(len(self._names), _ROOM_FOR_VALUES) if has_code else n_rows - 1
        self._n_values = n_values + 1 if has_values else 0
        self._lines = _lines(source) if has_code else []
        self._n_lines = min(len(self._lines), max(1, n_rows - self._n_values))
        self._top = 0
        columns = _CODE_COLUMNS + _GUTTER if has_code else _VALUE_COLUMNS
        self._width = even(round(columns * _font().getlength("x")) + 2 * _MARGIN_PX)

    def draw(self, moment: Moment) -> Image.Image:
        """The panel at a moment; of the same size for the whole film."""
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
            told = f"{number:>{_GUTTER - 1}} {text}"
            pen.text((_MARGIN_PX, y), told, fill=INK if number in ran else FAINT, font=_font())
        if self._n_values:
            self._draw_values(pen, self._height - _MARGIN_PX - self._n_values * _LINE_PX, moment)
        return picture

    def _scroll(self, ran: set[int]) -> None:
        """Show as many of the lines that ran as can be, and move no further than it takes."""
        last = len(self._lines) - self._n_lines
        if last <= 0 or not ran:
            return
        has_run = [number in ran for number, _ in self._lines]
        seen = [sum(has_run[top : top + self._n_lines]) for top in range(last + 1)]
        if seen[self._top] < max(seen):
            best = [top for top, n in enumerate(seen) if n == max(seen)]
            self._top = min(best, key=lambda top: abs(top - self._top))

    def _draw_values(self, pen: ImageDraw.ImageDraw, y: int, moment: Moment) -> None:
        pen.text((_MARGIN_PX, y), "components in this step", fill=FAINT, font=_font())
        for told in told_by(moment.calls)[: self._n_values - 1]:
            y += _LINE_PX
            name = escape(told.name, _VALUE_COLUMNS // 2)
            text = f"{name} -> {escape(told.value, _VALUE_COLUMNS)}"
            pen.text((_MARGIN_PX, y), text, fill=colour_of(told.name, self._names), font=_font())


def _lines(source: str) -> list[tuple[int, str]]:
    """The lines of a policy with their numbers, without docstrings and blank lines at the ends."""
    lines = [(n, escape(line, _CODE_COLUMNS)) for n, line in enumerate(source.splitlines(), 1)]
    hidden = _docstring_lines(source)
    kept = [(n, line) for n, line in lines if n not in hidden]
    shown: list[tuple[int, str]] = []
    for number, line in kept:
        if line.strip() or (shown and shown[-1][1].strip()):
            shown.append((number, line))
    while shown and not shown[-1][1].strip():
        shown.pop()
    return shown


def _docstring_lines(source: str) -> set[int]:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return set()
    hidden: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            first = node.body[0] if node.body else None
            has_more = len(node.body) > 1 or isinstance(node, ast.Module)
            if has_more and isinstance(first, ast.Expr) and _is_text(first.value):
                hidden |= set(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return hidden


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


@lru_cache(maxsize=1)
def _font() -> ImageFont.FreeTypeFont:
    from matplotlib import get_data_path

    path = Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSansMono.ttf"
    return ImageFont.truetype(str(path), _FONT_PX)
