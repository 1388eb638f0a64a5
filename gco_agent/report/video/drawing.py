"""A moment as a picture: the screen, and over it what is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

from gco_agent.core.observation import Row
from gco_agent.core.text import clean_line
from gco_agent.report.video.film import Moment
from gco_agent.report.video.predicted import places_of

_STRIP_PX = 22
_FONT_PX = 13
_GAP_PX = 8
_ACTION_PX = 130
"""Where the step stands: beside the longest action, DOWNRIGHTFIRE."""
_AHEAD_STEPS = 4
_PLAYER = "Player"
_DIAMOND_PX = 6
_MOST_LABELLED = 8
"""Of a category with more members, such as a wall of bricks, only the boxes are drawn."""
PAPER, INK, FAINT = (16, 18, 22), (240, 240, 240), (150, 158, 168)
COLOURS = (
    *((86, 180, 233), (230, 159, 0), (0, 200, 140), (240, 228, 66)),
    *((213, 94, 0), (204, 121, 167), (150, 150, 255), (120, 220, 120)),
)  # Okabe and Ito 2008, lightened for dark screens


@dataclass(frozen=True, slots=True)
class Overlay:
    """What is drawn over the screen, and beside it.

    Attributes:
        objects: Boxes of the objects that the policy sees, with their categories.
        velocities: Where each object will be in four steps, if it goes on as it goes.
        status: A strip below the screen: the action, the step, the lives and the return.
        places: What the components say of places, where they say it; of a recorded film.
        scale: Picture pixels a pixel of the screen.
        axis: Along which the player moves: "x" or "y", or "" if along both or nobody knows.
        components: Names of the policy's components, in the order of their colours.
    """

    objects: bool = False
    velocities: bool = False
    status: bool = True
    places: bool = False
    scale: int = 3
    axis: str = ""
    components: tuple[str, ...] = ()


def draw(moment: Moment, overlay: Overlay, title: str = "") -> Image.Image:
    """The picture of a moment; of the same size for the whole episode, both sides even.

    Args:
        moment: What to draw.
        overlay: What to draw over it.
        title: A line above, such as the name of the policy.
    """
    scale = overlay.scale
    screen = Image.fromarray(moment.frame)
    screen = screen.resize((screen.width * scale, screen.height * scale), Image.Resampling.NEAREST)
    if overlay.objects or overlay.velocities:
        _draw_objects(screen, moment, overlay)
    if overlay.places:
        draw_places(screen, moment, overlay)
    above = _STRIP_PX if title else 0
    below = _STRIP_PX if overlay.status else 0
    size = (even(screen.width), even(screen.height + above + below))
    picture = Image.new("RGB", size, PAPER)
    picture.paste(screen, (0, above))
    pen = ImageDraw.Draw(picture)
    if title:
        pen.text((6, 3), _fitting(title, picture.width), fill=INK, font=_font())
    if overlay.status:
        _draw_status(pen, moment, picture.width, above + screen.height + 3)
    return picture


def beside(pictures: Sequence[Image.Image]) -> Image.Image:
    """Pictures of one height side by side."""
    if len(pictures) == 1:
        return pictures[0]
    width = sum(picture.width for picture in pictures) + _GAP_PX * (len(pictures) - 1)
    whole = Image.new("RGB", (even(width), max(p.height for p in pictures)), PAPER)
    x = 0
    for picture in pictures:
        whole.paste(picture, (x, 0))
        x += picture.width + _GAP_PX
    return whole


def _draw_objects(screen: Image.Image, moment: Moment, overlay: Overlay) -> None:
    pen = ImageDraw.Draw(screen)
    for number, (category, members) in enumerate(sorted(moment.rows.items())):
        colour = COLOURS[number % len(COLOURS)]
        for row in members:
            if overlay.objects:
                label = category if len(members) <= _MOST_LABELLED else ""
                _draw_box(pen, row, overlay.scale, colour, label)
            if overlay.velocities:
                _draw_velocity(pen, row, overlay.scale, colour)


def _draw_box(
    pen: ImageDraw.ImageDraw, row: Row, scale: int, colour: tuple[int, int, int], label: str
) -> None:
    x, y, w, h = (value * scale for value in row[:4])
    pen.rectangle((x - 1, y - 1, x + max(1, w), y + max(1, h)), outline=colour)
    if label:
        top = y - _FONT_PX - 2
        at = (x, top if top >= 0 else y + h + 1)
        pen.text(at, label, fill=colour, font=_font(), stroke_width=1, stroke_fill=PAPER)


def _draw_velocity(
    pen: ImageDraw.ImageDraw, row: Row, scale: int, colour: tuple[int, int, int]
) -> None:
    x, y, w, h, dx, dy = row[:6]
    if not dx and not dy:
        return
    begin = (x + w / 2) * scale, (y + h / 2) * scale
    end = begin[0] + dx * _AHEAD_STEPS * scale, begin[1] + dy * _AHEAD_STEPS * scale
    pen.line((*begin, *end), fill=colour, width=2)
    pen.ellipse((end[0] - 3, end[1] - 3, end[0] + 3, end[1] + 3), fill=colour)


def draw_places(screen: Image.Image, moment: Moment, overlay: Overlay) -> None:
    """Draw where components say that things are or will be.

    A number on one axis is a thin line over the screen, and a diamond level with the player.
    """
    pen = ImageDraw.Draw(screen)
    player = _middle_of(moment.rows.get(_PLAYER, ()))
    for place in places_of(moment.calls, overlay.axis):
        colour = colour_of(place.name, overlay.components)
        x, y = (None if v is None else v * overlay.scale for v in (place.x, place.y))
        if place.size is not None and x is not None and y is not None:
            w, h = (v * overlay.scale for v in place.size)
            pen.rectangle((x - 3, y - 3, x + w + 2, y + h + 2), outline=colour, width=2)
            continue
        if x is None and y is not None:
            pen.line((0, y, screen.width, y), fill=colour)
            x = player[0] * overlay.scale if player else None
        elif y is None and x is not None:
            pen.line((x, 0, x, screen.height), fill=colour)
            y = player[1] * overlay.scale if player else None
        if x is not None and y is not None:
            r = _DIAMOND_PX
            corners = [(x - r, y), (x, y - r), (x + r, y), (x, y + r)]
            pen.polygon(corners, fill=colour, outline=PAPER)


def colour_of(name: str, names: Sequence[str]) -> tuple[int, int, int]:
    """The colour of a component, the same for the whole film."""
    return COLOURS[list(names).index(name) % len(COLOURS)] if name in names else INK


def _middle_of(members: Sequence[Row]) -> tuple[float, float] | None:
    if not members:
        return None
    x, y, w, h = members[0][:4]
    return x + w / 2, y + h / 2


def _draw_status(pen: ImageDraw.ImageDraw, moment: Moment, width: int, y: int) -> None:
    """Action and step on the left, seed, lives and return on the right."""
    result = moment.result
    if result is None:
        left, colour = moment.action, INK
        pen.text((_ACTION_PX, y), f"step {moment.step}", fill=FAINT, font=_font())
    else:
        left = f"{result.outcome.value}, {result.n_steps} steps"
        colour = COLOURS[2] if result.outcome.is_scored else COLOURS[4]
    lives = f"lives {moment.lives}  " if moment.lives else ""
    right = f"{lives}return {moment.total:g}"
    x = width - 6 - pen.textlength(right, font=_font())
    pen.text((x, y), right, fill=INK, font=_font())
    pen.text((6, y), _fitting(left, int(x) - 6), fill=colour, font=_font())


def _fitting(text: str, width: int) -> str:
    """The text on one line, cut in the middle where it would not fit."""
    line = clean_line(text)
    if _font().getlength(line) <= width - 12:
        return line
    half = len(line) // 2
    while half > 1 and _font().getlength(f"{line[:half]}…{line[-half:]}") > width - 12:
        half -= 1
    return f"{line[:half]}…{line[-half:]}"


@lru_cache(maxsize=1)
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(_FONT_PX)


def even(n: int) -> int:
    """The next even number: video codecs store colour for two pixels at a time."""
    return n + n % 2
