"""Freeway's objects from RAM."""

from __future__ import annotations

from typing import ClassVar

from gco_agent.envs.readers.base import NOWHERE, Reader, Rows

_CHICKENS = 14
_CARS = slice(117, 107, -1)
"""Cells of the ten cars, the highest lane first."""
_LANES = (
    (27, (167, 26, 26)),
    (43, (180, 231, 117)),
    (59, (105, 105, 15)),
    (75, (228, 111, 111)),
    (91, (24, 26, 167)),
    (107, (162, 98, 33)),
    (123, (84, 92, 214)),
    (139, (184, 50, 50)),
    (155, (135, 183, 84)),
    (171, (210, 210, 64)),
)
"""Top edge and colour of a lane's car."""
_YELLOW = (252, 252, 84)
_CHICKEN = (6, 8)


class FreewayReader(Reader):
    """Two chickens and ten cars, all of them always there."""

    MODULE = "freeway"
    MEMORY: ClassVar = ("_places", "_cars")

    def _begin(self) -> None:
        self._places = [NOWHERE, NOWHERE]
        self._cars = bytes([3]) * len(_LANES)  # their x is the cell less 3

    def _read(self, ram: bytes) -> Rows:
        left, right = self._places
        places = self._places = [
            (44, 193 - ram[_CHICKENS]),
            (108, 193 - ram[_CHICKENS + 1]),
        ]
        cars, before, most = ram[_CARS], self._cars, self._most_px
        self._cars = cars
        return {
            "Chicken": [
                self._row(places[0], _CHICKEN, left, _YELLOW),
                self._row(places[1], _CHICKEN, right, _YELLOW),
            ],
            "Car": [
                (
                    *(x - 3, y, 8, 10),
                    dx if -most <= (dx := x - was) <= most else 0,
                    *(0, None, rgb, None),
                )
                for x, was, (y, rgb) in zip(cars, before, _LANES, strict=True)
            ],
        }
