"""The same objects as OCAtari's functions find, sooner, for the games where that takes long.

Each shortcut is put into a module of OCAtari's that `extraction` has loaded. What it relies on of
the module's way to work stands beside it; that nothing else comes out is checked frame by frame
against OCAtari's environment (tests/ale/test_extraction.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

Detect = Callable[[list[Any], Sequence[int], bool], object]
"""As OCAtari's ``_detect_objects_ram``: brings a list of objects up to the RAM."""
Box = tuple[tuple[int, int], tuple[int, int]]
"""Position, and width and height, in pixels."""

_REMEMBERED = 4096
_N_WALL, _WALL = 36, slice(36)
_N_BULLETS, _FIRST_BULLET, _SATELLITE, _FIRST_ALIEN = 3, 4, 7, 8
_ALIEN_BYTES = (16, *range(18, 24), 26)
"""How far down the aliens are, which of them live, and how far to the right they are."""
_SHIELD_BYTES = slice(43, 70)
_BULLET_X, _BULLET_Y = (83, 84, 87), (81, 82, 85)
_HIGHEST_PX, _GROUND_PX = 20, 195
_FIRST_CAR, _N_CARS = 1, 7
_NOBODY = 1000
"""What it costs OCAtari to match a car with an empty slot; a car costs its distance in pixels."""
_SETTLED = 2
"""After so many steps with the same bytes no alien changes: a new one gets its place in the
second."""


def take_shortcuts(module: ModuleType, name: str) -> None:
    """Put the shortcuts of a game, if there are any, into its module."""
    if name == "breakout":
        vars(module)["_calculate_blocks"] = _remember_walls(module)
        vars(module)["_detect_objects_ram"] = _skip_same_wall(module)
    elif name == "spaceinvaders":
        vars(module)["_detect_objects_ram"] = _skip_same_aliens(module)
    elif name in ("asterix", "seaquest"):
        _share_no_object(module)
    elif name == "enduro":
        vars(module)["_detect_objects_ram"] = _drive_without_numpy(module)


def _skip_same_wall(module: ModuleType) -> Detect:
    """Breakout's 108 slots of bricks depend on 36 bytes alone, which seldom change."""
    real: Detect = module._detect_objects_ram  # noqa: SLF001 - its public face
    ball_kind, no_object = module.Ball, module.NoObject

    def detect(objects: list[Any], ram: Sequence[int], hud: bool = False) -> None:  # noqa: FBT001, FBT002
        player = objects[0]
        wall = bytes(ram[_WALL])
        if hud or vars(player).get("wall") != wall:
            real(objects, ram, hud)
            player.wall = wall  # on the object, to be saved with it
            return
        player._xy = ram[72] - 47, 189  # noqa: SLF001 - the property costs five times as much
        x, y = ram[99] - 49, ram[101] + 9
        if ram[101] == 0 or y > 196:  # noqa: PLR2004 - below the screen
            objects[1] = no_object()
            return
        if type(objects[1]) is no_object:
            objects[1] = ball_kind()
        objects[1]._xy = x, y  # noqa: SLF001

    return detect


def _remember_walls(module: ModuleType) -> Callable[[Sequence[int]], list[list[Any]]]:
    """Breakout's wall is a function of 36 bytes: decode each wall once, with OCAtari's own code.

    Its decoder goes by way of strings and numpy and would take a third of a step.
    """
    decode: Callable[[npt.NDArray[np.uint8]], list[list[Any]]] = module._calculate_blocks  # noqa: SLF001
    block = module.Block
    walls: dict[bytes, list[list[Mapping[str, Any]]]] = {}

    def calculate_blocks(ram: Sequence[int]) -> list[list[Any]]:
        key = bytes(ram[:_N_WALL])
        wall = walls.get(key)
        if wall is None:
            if len(walls) >= _REMEMBERED:
                walls.clear()
            rows = decode(np.frombuffer(key, np.uint8))
            wall = walls[key] = [
                [{**vars(brick), "_rgb": tuple(brick.rgb)} for brick in row] for row in rows
            ]
        fresh = []
        for row in wall:
            bricks = []
            for state in row:
                brick = object.__new__(block)
                brick.__dict__.update(state)
                bricks.append(brick)
            fresh.append(bricks)
        return fresh

    return calculate_blocks


def _skip_same_aliens(module: ModuleType) -> Detect:
    """Space Invaders' aliens move together every few steps; in between only the rest is read.

    That rest: the player; the shields, a function of 27 bytes; three bullets; the satellite. A
    bullet's slot is filled or emptied one step after its object was there or gone, by the position
    that the slot's object, even an empty one, had got the step before.
    """
    real: Detect = module._detect_objects_ram  # noqa: SLF001 - its public face
    bullet, satellite, no_object = module.Bullet, module.Satellite, module.NoObject
    shields: dict[bytes, list[Box]] = {}

    def detect(objects: list[Any], ram: Sequence[int], hud: bool = False) -> None:  # noqa: FBT001, FBT002
        player = objects[0]
        aliens = bytes([ram[at] for at in _ALIEN_BYTES])
        n_same = player.n_same + 1 if vars(player).get("aliens") == aliens else 0
        player.aliens, player.n_same = aliens, n_same  # on the object, to be saved with it
        key = bytes(ram[_SHIELD_BYTES])
        boxes = shields.get(key)
        if hud or n_same < _SETTLED or boxes is None:
            real(objects, ram, hud)
            if len(shields) >= _REMEMBERED:
                shields.clear()
            shields[key] = [(s._xy, s.wh) for s in objects[1:_FIRST_BULLET]]  # noqa: SLF001
            return
        player._xy = ram[28] - 1, 185  # noqa: SLF001 - the property costs five times as much
        for shield, box in zip(objects[1:_FIRST_BULLET], boxes, strict=True):
            shield._xy, shield.wh = box  # noqa: SLF001
        for number in range(_N_BULLETS):
            _move_bullet(objects, number, ram, bullet, no_object)
        if ram[30] in (0, 180):
            objects[_SATELLITE] = no_object()
        else:
            if not objects[_SATELLITE]:
                objects[_SATELLITE] = satellite()
            objects[_SATELLITE]._xy = ram[30] - 1, 12  # noqa: SLF001

    return detect


def _move_bullet(
    objects: list[Any],
    number: int,
    ram: Sequence[int],
    bullet: Callable[[], object],
    no_object: Callable[[], object],
) -> None:
    """The slot of one bullet; the third is the player's own."""
    slot = _FIRST_BULLET + number
    thing = objects[slot]
    if _HIGHEST_PX < thing._xy[1] < _GROUND_PX:  # noqa: SLF001
        if not thing:
            objects[slot] = thing = bullet()
    elif thing:
        objects[slot] = no_object()
        return
    y = 2 * ram[_BULLET_Y[number]] + 3
    thing._xy = ram[_BULLET_X[number]] - 2, y  # noqa: SLF001
    if number < _N_BULLETS - 1 and y < _GROUND_PX - 1:
        w, h = thing.wh
        thing.wh = (w, _GROUND_PX - 1 - y) if y + h > _GROUND_PX else (1, 10)


def _share_no_object(module: ModuleType) -> None:
    """Asterix and Seaquest make dozens of empty objects a step, and ask them only what they are."""
    kind: type[Any] = module.NoObject
    shared = kind()

    def make(cls: type[Any], nslen: int = 2) -> Any:  # noqa: ANN401, ARG001 - as the class
        return shared if cls is cheap else object.__new__(cls)

    def leave(self: Any, nslen: int = 2) -> None:  # noqa: ANN401 - it is made already
        """Nothing to set."""

    cheap = type("NoObject", (kind,), {"__new__": make, "__init__": leave})
    shared.__class__ = cheap
    vars(module)["NoObject"] = cheap


def _drive_without_numpy(module: ModuleType) -> Detect:
    """Enduro's places are sums of bytes, some of them signed, which OCAtari leaves to numpy.

    It then matches the cars to those of the step before at the least total distance, by scipy.
    Where every car has a nearest one of its own, that is the answer.
    """
    real: Detect = module._detect_objects_ram  # noqa: SLF001 - its public face

    def detect(objects: list[Any], ram: Sequence[int], hud: bool = False) -> None:  # noqa: FBT001, FBT002
        if hud:
            with np.errstate(over="ignore"):  # wrapping round is meant
                real(objects, np.array(ram, np.uint8), hud)  # type: ignore[arg-type]
            return
        steering = ram[46] - 256 if ram[46] & 128 else ram[46]
        x = 77 + ((255 - ram[46]) >> 1) + 2 if steering < 0 else 77 - (steering >> 1)
        objects[0].xy = x, (89 + ram[52]) % 256
        cars = []
        for number in range(_N_CARS):
            lane = ram[27 + number]
            if not lane:
                continue
            near = (ram[59] >> 3) * (0.9**number)
            y = 150 - int(1.2 * ((18 - number) * number) + near)
            if not lane & 16:
                x = 87
            elif lane & 1:
                x = int((2192 + 7 * y) / 30) + steering
            else:
                x = int((6498 - 23 * y) / 60 + steering)
            cars.append((x, y, 16, 10))
        if not _match_nearest(objects, cars, module):
            module.match_objects(objects, cars, _FIRST_CAR, _N_CARS, module.Car)

    return detect


def _match_nearest(
    objects: list[Any], cars: Sequence[tuple[int, int, int, int]], module: ModuleType
) -> bool:
    """Move each car that was there to the nearest place; false, and nothing done, if unclear.

    It is clear if each place has one nearest car, and no car has two places: then no other way to
    match them has a total as low.
    """
    slots = objects[_FIRST_CAR : _FIRST_CAR + _N_CARS]
    if not any(slots):
        return False
    chosen: dict[int, tuple[int, int, int, int]] = {}
    for car in cars:
        costs = [
            abs(thing._xy[0] - car[0]) + abs(thing._xy[1] - car[1]) if thing else _NOBODY  # noqa: SLF001
            for thing in slots
        ]
        least = min(costs)
        slot = costs.index(least)
        if costs.count(least) > 1 or slot in chosen or least >= _NOBODY:
            return False
        chosen[slot] = car
    for slot, thing in enumerate(slots):
        if slot in chosen:
            thing.xywh = chosen[slot]
        elif thing:
            objects[_FIRST_CAR + slot] = module.NoObject()
    return True
