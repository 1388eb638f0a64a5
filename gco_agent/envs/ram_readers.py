"""Objects read from RAM without OCAtari's objects in between: four games for which that pays.

Asterix, Q*bert and Space Invaders read what OCAtari reads, its mistakes included, 10 to 15 % of a
step faster; tests/ale/test_readers.py compares them with OCAtari. Where OCAtari lacks something
(velocities in Asterix, the values of Q*bert's cubes, most of Enduro), a reader adds it unless it
is ``raw``.
"""

from __future__ import annotations

import copy
import functools
import itertools
from abc import abstractmethod
from collections.abc import Sequence
from operator import itemgetter
from typing import ClassVar

from gco_agent.core.observation import Colour, Row, Still
from gco_agent.envs.extraction import ObjectExtractor, RamState, Rows, SavedObjects

Place = tuple[int, int]
"""Left and top edge, in pixels."""
_NOWHERE: Place = (0, 0)
"""Where OCAtari's objects are until they are seen."""


def make_extractor(
    game: str, *, hud: bool = False, is_completed: bool = True, unseen: Sequence[str] = ()
) -> ObjectExtractor:
    """Return what reads the objects of ``game``.

    Args:
        is_completed: Add what OCAtari lacks, and correct velocities where they are wrong.
        unseen: Categories of OCAtari's to leave out; then nothing is completed.
    """
    module = game.replace("_", "")
    reader = READERS.get(module)
    raw = bool(unseen) or not is_completed
    if reader is None or unseen or (raw and (hud or reader is EnduroReader)):
        return ObjectExtractor(module, hud=hud, raw=raw, unseen=unseen)
    return reader(hud=hud, raw=raw)


class Reader(ObjectExtractor):
    """Read the objects of one game.

    Lists of rows that were returned are never changed; an unchanged list may be returned again.
    Displays come from OCAtari's functions.
    """

    MODULE: ClassVar[str]
    MEMORY: ClassVar[tuple[str, ...]]
    """Attributes that the next step depends on: plain data."""

    def __init__(self, *, hud: bool = False, raw: bool = False) -> None:
        super().__init__(self.MODULE, hud=hud, raw=raw)
        objects = getattr(self._module, "MAX_NB_OBJECTS", ())
        self._displays = [c for c in super().categories if hud and c not in objects]
        self._begin()

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories that can be observed."""
        objects = getattr(self._module, "MAX_NB_OBJECTS", ())
        return (*objects, *self._displays)

    def reset(self, ram: RamState) -> Rows:
        """Return the first objects of an episode; nothing moves yet."""
        self._begin()
        rows = self._read(ram.tobytes())
        if self._hud:
            rows |= self._only_displays(super().reset(ram))
        if self._raw:
            return rows
        return {
            category: [(*row[:4], 0, 0, *row[6:]) for row in members]
            for category, members in rows.items()
        }

    def step(self, ram: RamState) -> Rows:
        """Return the objects after one more step, in OCAtari's order."""
        rows = self._read(ram.tobytes())
        if self._hud:
            rows |= self._only_displays(super().step(ram))
        return rows

    def save(self) -> SavedObjects:
        """Return all that the next step depends on, as plain data."""
        things, kept = super().save()
        memory = {name: copy.deepcopy(getattr(self, name)) for name in self.MEMORY}
        return things, {"module": kept, "memory": memory}

    def restore(self, saved: SavedObjects) -> None:
        """Continue from `save`, of this reader or another one of the same game."""
        things, kept = saved
        super().restore((things, kept["module"]))
        self._begin()
        for name, value in copy.deepcopy(kept["memory"]).items():
            setattr(self, name, value)

    def _only_displays(self, rows: Rows) -> Rows:
        return {category: rows[category] for category in self._displays if category in rows}

    @abstractmethod
    def _begin(self) -> None:
        """Forget the last episode."""

    @abstractmethod
    def _read(self, ram: bytes) -> Rows:
        """Return the objects of the next step."""

    def _row(self, here: Place, size: Place, was: Place | None, rgb: Colour) -> Row:
        """Return an object that was at ``was`` a step ago; one that is new does not move."""
        x, y = here
        w, h = size
        if was is None or was is here:
            return (x, y, w, h, 0, 0, None, rgb, None)
        dx, dy, most = x - was[0], y - was[1], self._most_px
        if -most <= dx <= most and -most <= dy <= most:
            return (x, y, w, h, dx, dy, None, rgb, None)
        return (x, y, w, h, 0, 0, None, rgb, None)


_ASTERIX_X, _PLAYER_LANE, _WHO, _DYING = 41, 39, 54, 71
_EMPTY, _N_LANES = 11, 8
_KINDS, _REWARDS, _XS = slice(29, 37), slice(73, 81), slice(42, 50)
_GONE = slice(18, 10, -1)
"""Of each lane, the highest first: kind, reward, x, and whether it is empty."""
_LIGHT_GREY, _PINK, _YELLOW = (200, 200, 200), (228, 111, 111), (187, 187, 53)
_NOTHING, _REWARD, _ENEMY, _CONSUMABLE = range(4)
_NEW_PX = 16
"""A larger displacement in a lane is another object."""
_FIRST_Y, _LANE_PX = 26, 16


class AsterixReader(Reader):
    """Read Asterix: the player and one object a lane.

    OCAtari creates new enemies and consumables in every step, so they never move. There is one
    object in a lane at a time, so its velocity follows from the lane.
    """

    MODULE = "asterix"
    MEMORY: ClassVar = ("_player", "_lanes")

    def _begin(self) -> None:
        self._player = _NOWHERE
        self._lanes = [(_NOTHING, 0)] * _N_LANES

    def _read(self, ram: bytes) -> Rows:
        was, self._player = self._player, (ram[_ASTERIX_X], _FIRST_Y + ram[_PLAYER_LANE] * _LANE_PX)
        w = 16 if ram[_DYING] >= 82 else 8 if ram[_WHO] < 5 else 6  # noqa: PLR2004
        rewards: list[Row] = []
        enemies: list[Row] = []
        consumables: list[Row] = []
        y, lanes = _FIRST_Y, []
        for before, gone, reward, kind, x in zip(
            self._lanes, ram[_GONE], ram[_REWARDS], ram[_KINDS], ram[_XS], strict=True
        ):
            lane = before if gone == _EMPTY else _seen(reward, kind, x)
            if gone == _EMPTY and lane[0] == _REWARD:  # other objects stay where they were
                lane = (_NOTHING, 0)
            lanes.append(lane)
            now = lane[0]
            if now == _ENEMY:
                dx = self._way(lane, before)
                enemies.append((lane[1], y, 7, 11, dx, 0, None, _PINK, None))
            elif now == _CONSUMABLE:
                dx = self._way(lane, before)
                consumables.append((lane[1], y + 1, 7, 11, dx, 0, None, _LIGHT_GREY, None))
            elif now == _REWARD:
                last = (before[1], y) if before[0] == _REWARD else None
                rewards.append(self._row((lane[1], y), (8, 11), last, _LIGHT_GREY))
            y += _LANE_PX
        self._lanes = lanes
        rows: Rows = {"Player": [self._row(self._player, (w, 11), was, _YELLOW)]}
        if rewards:
            rows["Reward"] = rewards
        if enemies:
            rows["Enemy"] = enemies
        if consumables:
            rows["Consumable"] = consumables
        return rows

    def _way(self, lane: tuple[int, int], before: tuple[int, int]) -> int:
        if self._raw or lane[0] != before[0]:
            return 0
        moved = lane[1] - before[1]
        return moved if -_NEW_PX <= moved <= _NEW_PX else 0


def _seen(reward: int, kind: int, x: int) -> tuple[int, int]:
    if reward:
        return (_REWARD, x)
    return (_ENEMY, x) if kind & 1 else (_CONSUMABLE, x + 1)


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
"""Left edge of an enemy, by the value of its cell."""


class QbertReader(Reader):
    """Read Q*bert: the pyramid, and what hops on it.

    RAM has the columns that balls and Sam take, not where they are: OCAtari counts their hops (-1:
    not there), and so does this.
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
        """Return the cubes, valued by how often they changed since the round began.

        RAM has their colours and not which one is wanted; the order in which colours appear in a
        round tells.
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
        """Read Coily; its column changes too early in RAM, so it is read when the row changes."""
        before, level = self._coily, ram[_COILY_Y]
        if level == 255:  # noqa: PLR2004 - not there
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
            if ram[_GREEN_SIGN] == 17:  # noqa: PLR2004 - it appears
                count = 0
        elif count > _LAST_ROW:
            count = -1
        if 0 <= count <= _LAST_ROW:
            if _meet(player, _COLUMNS[ram[_FLIGHT + count]], 37 + 29 * count, 9):
                self._sam = None  # instead of the ball: OCAtari's mistake
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
        """Move Sam; ``sam`` is where it was, even if a ball has just removed it."""
        signs, count = self._signs, self._hops["sam"]
        if signs[_SAM_SIGN] != ram[_SAM_SIGN]:
            signs[_SAM_SIGN] = ram[_SAM_SIGN]
            if ram[_SAM_SIGN] == 6:  # noqa: PLR2004 - it appears
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
    """Return where a ball is after ``count`` hops, and its height: it is flat when it lands."""
    above, h = (53, 6) if ram[_PHASE] < 7 else (39, 9)  # noqa: PLR2004
    return (_COLUMNS[ram[_FLIGHT + count]] + 1, 29 * count + above), h


def _meet(player: Place | None, x: int, y: int, near: int) -> bool:
    return player is not None and abs(x - player[0]) < near and abs(y - player[1]) < near


_ALIENS, _ALIEN_Y, _ALIEN_X, _CANNON_X, _SATELLITE = slice(18, 24), 16, 26, 28, 30
_SHIELDS = slice(43, 70)
_BULLETS = ((83, 81), (84, 82), (87, 85))
"""Cells of each bullet's place; the third is the player's."""
_SIDE, _N_ALIENS = 6, 36
_ALL_ALIVE = 378
"""Sum of their six bytes when all aliens live."""
_LANDED_PX, _HIGHEST_PX, _GROUND_PX = 157, 20, 195
_LEAST_Y = 31
_N_SHIELDS, _SHIELD_BYTES = 3, 9
_REMEMBERED = 4096
_NONE_THERE = (0, 180)
_CANNON_GREEN, _OLIVE, _SATELLITE_PURPLE = (92, 186, 92), (134, 134, 29), (151, 25, 122)
_BULLET_GREY = (142, 142, 142)
Bullet = tuple[bool, Place, int]
"""Whether it is visible, the place of its slot, and its height."""
Shields = tuple[tuple[Place, ...], tuple[Place, ...], Still]
"""Places, sizes, and their rows while they do not move."""


class SpaceInvadersReader(Reader):
    """Read Space Invaders.

    As in OCAtari, bullets appear and disappear one step late, a new alien is at (0, 0) for a step,
    and aliens that come down hide the shields.
    """

    MODULE = "spaceinvaders"
    MEMORY: ClassVar = (
        *("_player", "_bullets", "_satellite", "_aliens"),
        *("_shields", "_shields_were", "_are_shields_seen"),
    )

    def __init__(self, *, hud: bool = False, raw: bool = False) -> None:
        super().__init__(hud=hud, raw=raw)
        self._known_shields: dict[bytes, Shields] = {}

    def _begin(self) -> None:
        self._player: Place = (0, 185)
        self._bullets: list[Bullet] = [(True, _NOWHERE, 10)] * len(_BULLETS)
        self._satellite: Place | None = None
        self._aliens: list[Place | None] = [_NOWHERE] * _N_ALIENS
        self._shields: tuple[Place, ...] = ((42, 157), (74, 157), (106, 157))
        self._shields_were: tuple[Place, ...] = self._shields
        self._are_shields_seen = True
        self._settled = b""
        self._alien_rows: list[Row] = []

    def _read(self, ram: bytes) -> Rows:
        was, self._player = self._player, (ram[_CANNON_X] - 1, 185)
        rows: Rows = {"Player": [self._row(self._player, (7, 10), was, _CANNON_GREEN)]}
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
            rows["Satellite"] = [self._row(self._satellite, (7, 8), before, _SATELLITE_PURPLE)]
        if self._alien_rows:
            rows["Alien"] = self._alien_rows
        return rows

    def _move_aliens(self, cells: bytes) -> None:
        """Move the aliens, and hide or show the shields."""
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
            if was is not None:  # one that was just hit may still hide the shields
                lowest = here[1]
            if not is_alive:
                aliens.append(None)
                continue
            if was is None:
                aliens.append(_NOWHERE)
                rows.append((*_NOWHERE, 8, 10, 0, 0, None, _OLIVE, None))
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
                    self._bullets[number] = (False, _NOWHERE, 0)
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
                found.append(self._row(here, (1, h), was if is_there else None, _BULLET_GREY))
        if found:
            rows["Bullet"] = found


@functools.lru_cache(_REMEMBERED)
def _parse_aliens(cells: bytes) -> tuple[tuple[bool, ...], int]:
    """Return which slots hold an alien, and how many columns at the right are empty."""
    n_empty = _SIDE - max(cells).bit_length()
    bits = [format(cell, "06b")[n_empty:] + "0" * n_empty for cell in cells]
    flags = [bits[row][column] == "1" for row in range(_SIDE) for column in range(_SIDE)]
    return tuple(flags[::-1]), n_empty


def _parse_shields(cells: bytes) -> Shields:
    """Cut each shield to what is left; one that is gone as the one before: OCAtari's mistake."""
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


_Car = tuple[int, int, int]
"""Lane, left edge and top edge."""
_SPEED, _CARS, _CURVE, _LEFT_BCD, _LEFT_HUNDREDS, _DRIFT, _RISE, _PROGRESS = (
    *(22, 27, 34, 43, 44, 46, 52, 59),
)
"""RAM cells: speed; seven cars, the nearest first; bend of the road, signed; cars left to pass, as
two decimal digits and hundreds; shift of the road at the car, signed; height of the car; progress
of the seven distances towards the next, 0 to 127."""

_TOPS = (155, 134, 113, 97, 85, 75, 68, 63)
"""Top edge of a car at each of the seven distances, the nearest first, and beyond the last."""
_SIZES = ((14, 11), (12, 8), (7, 6), (5, 4), (3, 3), (3, 2), (2, 1))
"""Width and height of a car at each distance."""
_CAR_TOPS = tuple(
    tuple(round(near + (far - near) * progress / 16) for progress in range(32))
    for near, far in itertools.pairwise(_TOPS)
)
"""Top edge at each distance, by progress."""
_HORIZON, _HALF_AT_HORIZON, _STRAIGHT_BELOW = 60, 3.5, 150
_MIDDLE = 87.5
_LANE = 0.54
"""Distance of an outer lane from the middle of the road, in half widths."""
_ROAD_ROWS = (60, 80, 100, 120, 140)
_ROAD_WIDTHS = tuple(round(2 * (_HALF_AT_HORIZON + (y - _HORIZON) / 2)) for y in _ROAD_ROWS)
_ONE_STEP_PX = 22
_CAR_GREY: Colour = (192, 192, 192)
_MOST_JUMP = 40


class EnduroReader(Reader):
    """Read Enduro: OCAtari has no road and no speed, and cars as if every road were straight.

    Places are those of the picture, to a few pixels. Measured: tests/ale/test_supplements.py.
    """

    MODULE = "enduro"
    MEMORY: ClassVar = ("_road", "_cars", "_player")

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories that can be observed."""
        return ("Player", "Car", "Road", "Speed", "CarsToPass", *self._displays)

    def _begin(self) -> None:
        self._road: tuple[int, ...] = ()
        self._cars: tuple[_Car, ...] = ()
        self._player: Place | None = None

    def _read(self, ram: bytes) -> Rows:
        rows = {
            "Player": [self._player_row(ram)],
            "Road": self._road_rows(ram),
            "Speed": [_gauge(ram[_SPEED])],
            "CarsToPass": [_gauge(100 * ram[_LEFT_HUNDREDS] + _decimal(ram[_LEFT_BCD]))],
        }
        cars = self._car_rows(ram)
        if cars:
            rows["Car"] = cars
        return rows

    def _player_row(self, cells: Sequence[int]) -> Row:
        drift = _signed(cells[_DRIFT])
        x = 77 - (drift >> 1) if drift >= 0 else 79 + (-drift - 1 >> 1)
        y = 89 + cells[_RISE]
        before = self._player or (x, y)
        self._player = (x, y)
        return (x, y, 16, 11, x - before[0], y - before[1], None, _CAR_GREY, None)

    def _road_rows(self, cells: Sequence[int]) -> list[Row]:
        edges = _road_edges(cells[_CURVE], cells[_DRIFT])
        before = self._road or edges
        self._road = edges
        if before is edges:
            return [
                (x, y, w, 1, 0, 0, None, None, None)
                for x, y, w in zip(edges, _ROAD_ROWS, _ROAD_WIDTHS, strict=True)
            ]
        return [
            (x, y, w, 1, _believable(x - was), 0, None, None, None)
            for x, was, y, w in zip(edges, before, _ROAD_ROWS, _ROAD_WIDTHS, strict=True)
        ]

    def _car_rows(self, cells: Sequence[int]) -> list[Row]:
        cars: list[_Car] = []
        rows: list[Row] = []
        if not any(cells[_CARS : _CARS + len(_SIZES)]):
            self._cars = ()
            return rows
        progress = cells[_PROGRESS] >> 3
        for distance, (w, h) in enumerate(_SIZES):
            cell = cells[_CARS + distance]
            if not cell:
                continue
            lane = (1 if cell & 1 else -1) if cell & 16 else 0
            y = _CAR_TOPS[distance][progress]
            at = y + h / 2
            x = round(_middle(cells[_CURVE], cells[_DRIFT], at) + lane * _LANE * _half(at) - w / 2)
            dx, dy = self._car_move(lane, x, y) if self._cars else (0, 0)
            cars.append((lane, x, y))
            rows.append((x, y, w, h, dx, dy, None, _CAR_GREY, None))
        self._cars = tuple(cars)
        return rows

    def _car_move(self, lane: int, x: int, y: int) -> tuple[int, int]:
        """Return the displacement from the nearest car of that lane a step before."""
        near = [car for car in self._cars if car[0] == lane and abs(y - car[2]) <= _ONE_STEP_PX]
        if not near:
            return 0, 0
        _, was_x, was_y = min(near, key=lambda car: abs(y - car[2]))
        return x - was_x, y - was_y


@functools.cache  # of two bytes
def _road_edges(curve: int, drift: int) -> tuple[int, ...]:
    return tuple(round(_middle(curve, drift, y) - _half(y)) for y in _ROAD_ROWS)


def _middle(curve: int, drift: int, y: float) -> float:
    """Return the middle of the road at height ``y``; bends grow with the distance squared."""
    return _MIDDLE + _signed(drift) + _signed(curve) * ((_STRAIGHT_BELOW - y) / 100) ** 2


def _half(y: float) -> float:
    return _HALF_AT_HORIZON + (y - _HORIZON) / 2


def _gauge(value: int) -> Row:
    return (0, 0, 0, 0, 0, 0, value, None, None)


def _signed(cell: int) -> int:
    return (cell ^ 128) - 128


def _decimal(cell: int) -> int:
    return 10 * (cell >> 4) + (cell & 15)


def _believable(moved: int) -> int:
    return moved if abs(moved) <= _MOST_JUMP else 0


READERS: dict[str, type[Reader]] = {
    reader.MODULE: reader
    for reader in (AsterixReader, EnduroReader, QbertReader, SpaceInvadersReader)
}
"""Readers by the name of OCAtari's module."""
