"""Space Invaders' objects from RAM."""

from __future__ import annotations

import functools
from typing import ClassVar

from gco_agent.core.observation import Row, Still
from gco_agent.envs.readers.base import NOWHERE, Place, Reader, Rows

_ALIENS, _ALIEN_Y, _ALIEN_X, _PLAYER_X, _SATELLITE = slice(18, 24), 16, 26, 28, 30
_SHIELDS = slice(43, 70)
_BULLETS = ((83, 81), (84, 82), (87, 85))
"""Cells of where each bullet is; the third is the player's own."""
_SIDE, _N_ALIENS = 6, 36
_ALL_ALIVE = 378
"""Sum of the six bytes that say which aliens live, when all of them do."""
_LANDED_PX, _HIGHEST_PX, _GROUND_PX = 157, 20, 195
_LEAST_Y = 31
_N_SHIELDS, _SHIELD_BYTES = 3, 9
_REMEMBERED = 4096
_NONE_THERE = (0, 180)
_GREEN, _OLIVE, _PURPLE = (92, 186, 92), (134, 134, 29), (151, 25, 122)
_BROWN, _GREY = (181, 83, 40), (142, 142, 142)
Bullet = tuple[bool, Place, int]
"""Whether it is there, where its slot's object is, empty or not, and how high it is."""
Shields = tuple[tuple[Place, ...], tuple[Place, ...], Still]
"""Where they are, width and height of each, and their rows while they stand still."""


class SpaceInvadersReader(Reader):
    """Aliens that move together every few steps, three shields, and what flies.

    A bullet's slot is filled or emptied one step after its object was there or gone; an alien that
    is new is at (0, 0) for a step; aliens that come down hide the shields.
    """

    MODULE = "spaceinvaders"
    MEMORY: ClassVar = (
        *("_player", "_bullets", "_satellite", "_aliens"),
        *("_shields", "_shields_were", "_are_shields_seen"),
    )

    def __init__(self, *, raw: bool = False) -> None:
        super().__init__(raw=raw)
        self._known_shields: dict[bytes, Shields] = {}

    def _begin(self) -> None:
        self._player: Place = (0, 185)
        self._bullets: list[Bullet] = [(True, NOWHERE, 10)] * len(_BULLETS)
        self._satellite: Place | None = None
        self._aliens: list[Place | None] = [NOWHERE] * _N_ALIENS
        self._shields: tuple[Place, ...] = ((42, 157), (74, 157), (106, 157))
        self._shields_were: tuple[Place, ...] = self._shields
        self._are_shields_seen = True
        self._settled = b""
        self._alien_rows: list[Row] = []

    def _read(self, ram: bytes) -> Rows:
        was, self._player = self._player, (ram[_PLAYER_X] - 1, 185)
        rows: Rows = {"Player": [self._row(self._player, (7, 10), was, _GREEN)]}
        if self._are_shields_seen:
            self._shields_were = self._shields
        cells = ram[_ALIENS] + ram[_ALIEN_Y : _ALIEN_Y + 1] + ram[_ALIEN_X : _ALIEN_X + 1]
        if cells != self._settled:
            self._move_aliens(cells)
        shields = self._shield_rows(ram[_SHIELDS])
        if self._are_shields_seen:
            rows["Shield"] = shields
        self._read_bullets(ram, rows)
        before, x = self._satellite, ram[_SATELLITE]
        self._satellite = None
        if x not in _NONE_THERE:
            self._satellite = x - 1, 12
            rows["Satellite"] = [self._row(self._satellite, (7, 8), before, _PURPLE)]
        if self._alien_rows:
            rows["Alien"] = self._alien_rows
        return rows

    def _move_aliens(self, cells: bytes) -> None:
        """Move all of them, and hide or show the shields."""
        alive, n_empty = _parse_aliens(cells[:_SIDE])
        y, x = cells[_SIDE:]
        if sum(cells[:_SIDE]) == _ALL_ALIVE:
            self._are_shields_seen = True
        before, most = self._aliens, self._most_px
        aliens: list[Place | None] = []
        rows: list[Row] = []
        lowest = 0
        columns = [x - 1 + (number - n_empty) * 16 for number in range(_SIDE)]
        lines = range(_LEAST_Y + 2 * y, _LEAST_Y + 2 * y + _SIDE * 18, 18)
        places = [(column, line) for line in lines for column in columns]
        for here, was, is_alive in zip(places, before, alive, strict=True):
            if was is not None:  # also one that has just been hit: it may hide the shields still
                lowest = here[1]
            if not is_alive:
                aliens.append(None)
                continue
            if was is None:
                aliens.append(NOWHERE)
                rows.append((*NOWHERE, 8, 10, 0, 0, None, _OLIVE, None))
                continue
            aliens.append(here)
            dx, dy = here[0] - was[0], here[1] - was[1]
            if not (-most <= dx <= most and -most <= dy <= most):
                dx = dy = 0
            rows.append((*here, 8, 10, dx, dy, None, _OLIVE, None))
        if lowest + 10 >= _LANDED_PX:
            self._are_shields_seen = False
        is_settled = aliens == before
        self._settled = cells if is_settled else b""
        self._aliens, self._alien_rows = aliens, Still(rows) if is_settled else rows

    def _shield_rows(self, cells: bytes) -> list[Row]:
        """Rows of the shields, which are a function of 27 bytes."""
        known = self._known_shields.get(cells)
        if known is None:
            if len(self._known_shields) >= _REMEMBERED:
                self._known_shields.clear()
            known = self._known_shields[cells] = _parse_shields(cells)
        self._shields, sizes, still = known
        if self._shields == self._shields_were:
            return still
        return [
            self._row(here, size, was, _BROWN)
            for here, size, was in zip(self._shields, sizes, self._shields_were, strict=True)
        ]

    def _read_bullets(self, ram: bytes, rows: Rows) -> None:
        found: list[Row] = []
        for number, (is_there, was, height) in enumerate(self._bullets):
            h = height
            if not _HIGHEST_PX < was[1] < _GROUND_PX:
                if is_there:
                    self._bullets[number] = (False, NOWHERE, 0)
                    continue
                is_shown = False
            else:
                is_shown = True
                if not is_there:
                    h = 10
            at_x, at_y = _BULLETS[number]
            here = ram[at_x] - 2, 2 * ram[at_y] + 3
            if number < len(_BULLETS) - 1 and here[1] < _GROUND_PX - 1:
                h = _GROUND_PX - 1 - here[1] if here[1] + h > _GROUND_PX else 10
            self._bullets[number] = (is_shown, here, h)
            if is_shown:
                found.append(self._row(here, (1, h), was if is_there else None, _GREY))
        if found:
            rows["Bullet"] = found


@functools.lru_cache(_REMEMBERED)
def _parse_aliens(cells: bytes) -> tuple[tuple[bool, ...], int]:
    """Which slots have a living alien, and how many columns at the right are empty."""
    n_empty = _SIDE - max(cells).bit_length()
    bits = [format(cell, "06b")[n_empty:] + "0" * n_empty for cell in cells]
    flags = [bits[row][column] == "1" for row in range(_SIDE) for column in range(_SIDE)]
    return tuple(flags[::-1]), n_empty


def _parse_shields(cells: bytes) -> Shields:
    """Each shield is cut at the top and at the bottom to where something of it stands.

    One of which nothing stands is cut as the one before it, which is OCAtari's own mistake.
    """
    top, bottom = 0, 16
    places: list[Place] = []
    sizes: list[Place] = []
    for number in range(_N_SHIELDS):
        own = cells[number * _SHIELD_BYTES : (number + 1) * _SHIELD_BYTES]
        standing = [line for line, cell in enumerate(own) if cell]
        if standing:
            top, bottom = 2 * standing[0], 2 * (_SHIELD_BYTES - 1 - standing[-1])
        places.append((42 + number * 32, 157 + top))
        sizes.append((8, 18 - top - bottom))
    still = Still(
        (*place, *size, 0, 0, None, _BROWN, None) for place, size in zip(places, sizes, strict=True)
    )
    return tuple(places), tuple(sizes), still
