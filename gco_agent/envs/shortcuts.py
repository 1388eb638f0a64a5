"""The same objects as OCAtari's functions find, for the games where lists of ints will not do.

Each shortcut is put into a module of OCAtari's that `extraction` has loaded: Breakout's wall, where
displays are read too, and Enduro as OCAtari alone sees it. All else is read by `readers`. That
nothing else comes out is checked frame by frame against OCAtari's environment
(tests/ale/test_extraction.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

Detect = Callable[[list[Any], Sequence[int], bool], object]
"""As OCAtari's ``_detect_objects_ram``: brings a list of objects up to the RAM."""

_FIRST_CAR, _N_CARS = 1, 7
_NOBODY = 1000
"""What it costs OCAtari to match a car with an empty slot; a car costs its distance in pixels."""


def take_shortcuts(module: ModuleType, name: str) -> None:
    """Put the shortcuts of a game, if there are any, into its module."""
    if name == "breakout":
        vars(module)["_calculate_blocks"] = _decode_lists(module)
    elif name == "enduro":
        vars(module)["_detect_objects_ram"] = _drive_without_numpy(module)


def _decode_lists(module: ModuleType) -> Callable[[Sequence[int]], object]:
    """Breakout's decoder of the wall wants an array; here it is given a list."""
    decode: Callable[[npt.NDArray[np.uint8]], object] = module._calculate_blocks  # noqa: SLF001

    def calculate_blocks(ram: Sequence[int]) -> object:
        return decode(np.array(ram, np.uint8))

    return calculate_blocks


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
