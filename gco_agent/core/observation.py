"""Object observations: what a policy sees of an Atari game in one step.

Rows cross the process boundary; they become observations here, in the Gymnasium wrapper and inside
the jail alike. Standard library only, because the jail imports it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import NamedTuple

Colour = tuple[int, int, int]
Row = tuple[int, int, int, int, int, int, int | None, Colour | None, int | str | None]
"""One object as sent: the fields of `ObjectBox`, in order."""


class Still(list[Row]):
    """Rows of objects that stay the same for some steps; never changed.

    Attributes:
        packed: The rows as they are sent, packed once.
    """

    __slots__ = ("boxes", "packed")

    packed: bytes
    boxes: list[ObjectBox]


class ObjectBox(NamedTuple):
    """One object on the screen; immutable.

    Attributes:
        x: Left edge in pixels, 0 at the left of the screen.
        y: Top edge in pixels, 0 at the top of the screen; y grows downwards.
        w: Width in pixels.
        h: Height in pixels.
        dx: Pixels moved to the right since the last step (a step is ``frame_skip`` frames).
        dy: Pixels moved down since the last step.
        value: The number that the object shows (a score, a gauge), if OCAtari reads one.
        rgb: Its colour, three numbers from 0 to 255, if OCAtari knows it.
        orientation: The way it faces, if OCAtari knows it (game specific).
    """

    x: int
    y: int
    w: int
    h: int
    dx: int = 0
    dy: int = 0
    value: int | None = None
    rgb: Colour | None = None
    orientation: int | str | None = None

    @property
    def cx(self) -> float:
        """Centre, in pixels from the left of the screen."""
        return self.x + self.w / 2

    @property
    def cy(self) -> float:
        """Centre, in pixels from the top of the screen."""
        return self.y + self.h / 2


class Observation(dict[str, Sequence[ObjectBox]]):
    """Category to the objects of it; a category with nothing on the screen is an empty tuple.

    Attributes:
        lives: Lives left, 0 where the game has none.
    """

    __slots__ = ("lives",)

    def __init__(
        self, objects: Mapping[str, Sequence[ObjectBox]] | None = None, lives: int = 0
    ) -> None:
        super().__init__(objects or {})
        self.lives = lives

    def __missing__(self, category: str) -> Sequence[ObjectBox]:
        """Return an empty tuple: nothing of that category is on the screen."""
        return ()

    def copy(self) -> Observation:
        """Return a shallow copy; boxes are immutable."""
        return Observation(self, self.lives)


def build_observation(rows: Mapping[str, Sequence[Row]], lives: int) -> Observation:
    """Return the observation of ``rows``, by category; its lists may be changed by the policy."""
    new = tuple.__new__
    box = ObjectBox
    observation = Observation.__new__(Observation)
    observation.lives = lives
    for category, members in rows.items():
        if isinstance(members, Still):
            observation[category] = [*_boxes_of(members)]
        elif len(members) == 1:
            observation[category] = [new(box, members[0])]
        else:
            observation[category] = [*map(new, repeat(box), members)]
    return observation


def _boxes_of(still: Still) -> list[ObjectBox]:
    """Return the boxes of ``still``, which are built once."""
    try:
        return still.boxes
    except AttributeError:
        still.boxes = [*map(ObjectBox._make, still)]
        return still.boxes
