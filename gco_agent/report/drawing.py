"""Draw a moment of an episode: the screen with overlays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

from gco_agent.core.observation import Row
from gco_agent.core.text import clean_line
from gco_agent.report.film import Moment

Colour = tuple[int, int, int]

PAPER, INK, FAINT = (16, 18, 22), (240, 240, 240), (150, 158, 168)
COLOURS: Sequence[Colour] = (
    *((86, 180, 233), (230, 159, 0), (0, 200, 140), (240, 228, 66)),
    *((213, 94, 0), (204, 121, 167), (150, 150, 255), (120, 220, 120)),
)  # Okabe and Ito 2008, lightened for dark screens

_STRIP_PX, _FONT_PX, _GAP_PX = 22, 13, 8
_ACTION_PX = 130
"""Room for the longest action, DOWNRIGHTFIRE."""
_AHEAD_STEPS = 4
_MOST_LABELLED = 8
"""Larger categories, such as a wall of bricks, have boxes without labels."""


@dataclass(frozen=True, slots=True)
class Overlay:
    """What to draw over the screen and below it.

    Attributes:
        objects: Boxes of the objects that the policy sees, with their categories.
        velocities: Where each object will be in four steps at its present velocity.
        status: A strip below the screen: action, step, lives and return.
    """

    objects: bool = False
    velocities: bool = False
    status: bool = True
    scale: int = 3


def draw(moment: Moment, overlay: Overlay, title: str = "") -> Image.Image:
    """Return the picture of a moment with a title above, of one even size for the episode."""
    scale = overlay.scale
    screen = Image.fromarray(moment.frame)
    screen = screen.resize((screen.width * scale, screen.height * scale), Image.Resampling.NEAREST)
    _draw_objects(screen, moment, overlay)
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


# -- small parts -----------------------------------------------------------------------------------


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
