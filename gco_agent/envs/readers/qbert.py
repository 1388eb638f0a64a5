"""Q*bert's objects from RAM."""

from __future__ import annotations

from operator import itemgetter
from typing import ClassVar

from gco_agent.core.observation import Colour, Row, Still
from gco_agent.envs.readers.base import Place, Reader, Rows

_CUBE_PLACES = (
    *((68, 34), (56, 62), (84, 62), (44, 91), (68, 91), (96, 91)),
    *((32, 120), (56, 120), (84, 120), (108, 120)),
    *((20, 149), (44, 149), (68, 149), (96, 149), (120, 149)),
    *((8, 178), (32, 178), (56, 178), (84, 178), (108, 178), (132, 178)),
)
_cube_cells = itemgetter(
    *(21, 52, 54, 83, 85, 87, 98, 100, 102, 104),
    *(1, 3, 5, 7, 9, 32, 34, 36, 38, 40, 42),
)
_DISKS = ((112, (12, 138)), (122, (140, 138)))
"""Cell and place of each."""
_X, _Y, _FALL_Y, _IS_FALLING, _LIVES, _PHASE, _FLIGHT = 43, 67, 33, 59, 8, 56, 75
_COILY_X, _COILY_Y, _NO_PURPLE, _ROUND, _GREEN_SIGN, _SAM_SIGN = 71, 39, 119, 74, 103, 105
_START: Place = (78, 103)
_BROWN, _PURPLE, _GREEN = (181, 83, 40), (146, 70, 192), (50, 132, 50)
_LAST_ROW = 4
_COLUMNS = tuple(
    13 * min(value + 1, 2) + 12 * max(value - 1, 0) + 4 * (value >= 6)  # noqa: PLR2004
    for value in range(256)
)
"""Left edge of an enemy in a column of the pyramid, by the cell that says which."""


class QbertReader(Reader):
    """The pyramid, and who hops on it.

    The console does not keep where balls and Sam are, only by which columns they come; OCAtari
    counts their hops, and so does this.

    Attributes of a hopper: how many hops it made, -1 for none; where it is; its height.
    """

    MODULE = "qbert"
    MEMORY: ClassVar = (
        *("_player", "_coily", "_coily_was", "_known", "_purple", "_green", "_sam"),
        *("_hops", "_signs"),
    )

    def _begin(self) -> None:
        self._player: Place | None = _START
        self._coily: Place | None = None
        self._coily_was: Place = (0, 0)
        self._known: list[Colour] = []
        self._cells: tuple[int, ...] = ()
        self._cubes = Still()
        self._purple: tuple[Place, int] | None = None
        self._green: tuple[Place, int] | None = None
        self._sam: Place | None = None
        self._hops = {"sam": -1, "purple": -1, "green": -1}
        self._signs = {_ROUND: 0, _LIVES: 2, _SAM_SIGN: 0, _GREEN_SIGN: 0}

    def _read(self, ram: bytes) -> Rows:
        rows: Rows = {}
        was = self._player
        self._player = player = _place_of_player(ram, was)
        if player is not None:
            rows["Player"] = [self._row(player, (8, 20), was, _BROWN)]
        cells = _cube_cells(ram)
        if cells != self._cells:
            self._cells, self._cubes = cells, self._paint(cells)
        rows["Cube"] = self._cubes
        disks: list[Row] = [
            (*place, 8, 2, 0, 0, None, self._colour(ram[cell]), None)
            for cell, place in _DISKS
            if ram[cell]
        ]
        if disks:
            rows["Disk"] = disks
        self._read_coily(ram, rows)
        before = self._purple, self._green, self._sam
        self._move_hoppers(ram, player or was)
        self._add_hoppers(before, rows)
        return rows

    def _paint(self, cells: tuple[int, ...]) -> Still:
        """The cubes; a cube's value is how far it is from the colour that a round begins with.

        The console keeps the colours of the cubes and nothing that says which colour is wanted:
        the order in which colours turn up in a round tells it.
        """
        colours = [self._colour(cell) for cell in cells]
        if self._raw:
            values: list[int | None] = [None] * len(colours)
        else:
            if len(set(colours)) == 1:  # a new round, or the flashing at the end of one
                self._known = []
            for colour in colours:
                if colour not in self._known:
                    self._known.append(colour)
            values = [self._known.index(colour) for colour in colours]
        return Still(
            (*place, 20, 5, 0, 0, value, colour, None)
            for place, value, colour in zip(_CUBE_PLACES, values, colours, strict=True)
        )

    def _colour(self, cell: int) -> Colour:
        colour: Colour = self._module._color_conversion[cell >> 1]  # noqa: SLF001 - OCAtari's table
        return colour

    def _read_coily(self, ram: bytes, rows: Rows) -> None:
        """Coily's column changes too early in RAM, so it is taken when the row changes."""
        before, level = self._coily, ram[_COILY_Y]
        if level == 255:  # noqa: PLR2004 - nobody
            self._coily, self._coily_was = None, (0, 0)
            return
        x, last = self._coily_was
        if last != level:
            x = _COLUMNS[ram[_COILY_X]]
        self._coily_was = x, level
        phase = ram[_PHASE]
        if phase > 8 or phase == 1:  # noqa: PLR2004
            above, h = 6, 21
        elif phase > 6 or phase <= 3:  # noqa: PLR2004
            above, h = 9, 18
        else:
            above, h = 11, 16
        here = self._coily = x, 30 * level + above
        rows["Coily"] = [self._row(here, (8, h), before, _PURPLE)]

    def _move_hoppers(self, ram: bytes, player: Place | None) -> None:
        """As OCAtari does it, with ``player`` where it was seen last."""
        signs, hops = self._signs, self._hops
        if signs[_LIVES] != ram[_LIVES]:
            signs[_LIVES], signs[_ROUND] = ram[_LIVES], ram[_ROUND]
            hops.update(sam=-1, purple=-1, green=-1)
            self._purple = self._green = self._sam = None
            return
        if not ram[_ROUND]:
            return
        if signs[_ROUND] != ram[_ROUND]:
            signs[_ROUND] = ram[_ROUND]
            for name, count in hops.items():
                if count >= 0:
                    hops[name] = count + 1
        sam = self._sam
        self._move_green(ram, player)
        self._move_purple(ram)
        self._move_sam(ram, player, sam)

    def _move_green(self, ram: bytes, player: Place | None) -> None:
        signs, count = self._signs, self._hops["green"]
        if signs[_GREEN_SIGN] != ram[_GREEN_SIGN]:
            signs[_GREEN_SIGN] = ram[_GREEN_SIGN]
            if ram[_GREEN_SIGN] == 17:  # noqa: PLR2004 - one comes
                count = 0
        elif count > _LAST_ROW:
            count = -1
        if 0 <= count <= _LAST_ROW:
            if _meet(player, _COLUMNS[ram[_FLIGHT + count]], 37 + 29 * count, 9):
                self._sam = None  # not the ball: OCAtari's own mistake
                count = -1
            self._green = _ball(ram, count)
        else:
            self._green = None
        self._hops["green"] = count

    def _move_purple(self, ram: bytes) -> None:
        count = self._hops["purple"]
        if ram[_NO_PURPLE]:
            count = -1
        elif count < 0 and self._coily is None:
            count = 0
        elif count > _LAST_ROW:
            count = -1
        if not 0 <= count <= _LAST_ROW:
            self._purple = None
        elif count == self._hops["green"]:
            count = -1
        else:
            self._purple = _ball(ram, count)
        self._hops["purple"] = count

    def _move_sam(self, ram: bytes, player: Place | None, sam: Place | None) -> None:
        """Move Sam; ``sam`` is where he was, even if a ball has just removed him."""
        signs, count = self._signs, self._hops["sam"]
        if signs[_SAM_SIGN] != ram[_SAM_SIGN]:
            signs[_SAM_SIGN] = ram[_SAM_SIGN]
            if ram[_SAM_SIGN] == 6:  # noqa: PLR2004 - he comes
                count = 0
        is_there = self._sam is not None or sam is None
        self._sam = None
        if 0 <= count <= _LAST_ROW:
            x, y = _COLUMNS[ram[_FLIGHT + count]], 42 + 29 * count
            if _meet(player, x, y, 7):
                count = -1
            elif is_there:
                self._sam = x, y
        self._hops["sam"] = -1 if count > _LAST_ROW else count

    def _add_hoppers(
        self,
        before: tuple[tuple[Place, int] | None, tuple[Place, int] | None, Place | None],
        rows: Rows,
    ) -> None:
        purple, green, sam = before
        for name, now, was, rgb in (
            ("PurpleBall", self._purple, purple, _PURPLE),
            ("GreenBall", self._green, green, _GREEN),
        ):
            if now is not None:
                rows[name] = [self._row(now[0], (7, now[1]), was and was[0], rgb)]
        if self._sam is not None:
            rows["Sam"] = [self._row(self._sam, (8, 18), sam, _GREEN)]


def _place_of_player(ram: bytes, was: Place | None) -> Place | None:
    y = ram[_Y]
    if not 16 < y < 210:  # noqa: PLR2004 - on the screen
        return None
    if ram[_IS_FALLING] == 255:  # noqa: PLR2004
        return (was or _START)[0], ram[_FALL_Y] - 52
    above = 8 if y < 70 else 7 if y < 100 else 6  # noqa: PLR2004
    return ram[_X] - 3, y - above


def _ball(ram: bytes, count: int) -> tuple[Place, int]:
    """Where a ball is after so many hops, and its height; it is flat when it lands."""
    above, h = (53, 6) if ram[_PHASE] < 7 else (39, 9)  # noqa: PLR2004
    return (_COLUMNS[ram[_FLIGHT + count]] + 1, 29 * count + above), h


def _meet(player: Place | None, x: int, y: int, near: int) -> bool:
    return player is not None and abs(x - player[0]) < near and abs(y - player[1]) < near
