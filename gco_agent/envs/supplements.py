"""Enduro's objects, read from RAM by us: OCAtari's have no road, no speed, and cars beside it.

OCAtari 2.2.1 places cars as if every road were straight, and all of the middle lane at x = 87;
here a car is where the picture shows it, to a few pixels. Evidence: tests/ale/test_supplements.py.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

from gco_agent.core.observation import Colour, Row
from gco_agent.envs.extraction import ObjectExtractor, RamState, SavedObjects
from gco_agent.envs.readers import READERS

Rows = dict[str, list[Row]]
_Car = tuple[int, int, int]
"""Lane, left edge and top edge."""

_SPEED, _CARS, _CURVE, _LEFT_BCD, _LEFT_HUNDREDS, _DRIFT, _RISE, _PROGRESS = (
    *(22, 27, 34, 43, 44, 46, 52, 59),
)
"""RAM cells: speed; seven cars, the nearest first; bend of the road, signed; cars still to be
passed, as two decimal digits and hundreds; the road's shift beside the car, signed; how high the
car stands; and how far the seven distances have come towards the next, 0 to 127."""

_TOPS = (155, 134, 113, 97, 85, 75, 68, 63)
"""Top edge of a car at each of the seven distances, the nearest first, and beyond the last."""
_SIZES = ((14, 11), (12, 8), (7, 6), (5, 4), (3, 3), (3, 2), (2, 1))
"""Width and height of a car at each distance."""
_CAR_TOPS = tuple(
    tuple(round(near + (far - near) * progress / 16) for progress in range(32))
    for near, far in itertools.pairwise(_TOPS)
)
"""Top edge at each distance, by how far the distances have come."""
_HORIZON, _HALF_AT_HORIZON, _STRAIGHT_BELOW = 60, 3.5, 150
_MIDDLE = 87.5
_LANE = 0.54
"""How far the middle of an outer lane is from the middle of the road, in halves of its width."""
_ROAD_ROWS = (60, 80, 100, 120, 140)
_ROAD_WIDTHS = tuple(round(2 * (_HALF_AT_HORIZON + (y - _HORIZON) / 2)) for y in _ROAD_ROWS)
_ONE_STEP_PX = 22
_GREY: Colour = (192, 192, 192)
_MOST_JUMP = 40


class EnduroExtractor(ObjectExtractor):
    """As `ObjectExtractor`, for this one game; it reads no displays."""

    def __init__(self, *, hud: bool = False) -> None:
        super().__init__("enduro", hud=hud)
        self._road: tuple[int, ...] = ()
        self._known_roads: dict[tuple[int, int], tuple[int, ...]] = {}
        self._cars: tuple[_Car, ...] = ()
        self._player: tuple[int, int] | None = None

    @property
    def categories(self) -> tuple[str, ...]:
        """Those of this module."""
        return ("Player", "Car", "Road", "Speed", "CarsToPass")

    def reset(self, ram: RamState) -> Rows:
        """Forget the last episode; nothing moves in the first observation."""
        self._road, self._cars, self._player = (), (), None
        return self.step(ram)

    def step(self, ram: RamState) -> Rows:
        """The objects after one more step."""
        cells = ram.tobytes()
        rows = {
            "Player": [self._player_row(cells)],
            "Road": self._road_rows(cells),
            "Speed": [_gauge(cells[_SPEED])],
            "CarsToPass": [_gauge(100 * cells[_LEFT_HUNDREDS] + _decimal(cells[_LEFT_BCD]))],
        }
        cars = self._car_rows(cells)
        if cars:
            rows["Car"] = cars
        return rows

    def save(self) -> SavedObjects:
        """What the next step depends on: where things were."""
        return [], {"road": self._road, "cars": self._cars, "player": self._player}

    def restore(self, saved: SavedObjects) -> None:
        """Go on from where `save` was called."""
        kept = copy.deepcopy(saved[1])
        self._road, self._cars, self._player = kept["road"], kept["cars"], kept["player"]

    def _player_row(self, cells: Sequence[int]) -> Row:
        drift = _signed(cells[_DRIFT])
        x = 77 - (drift >> 1) if drift >= 0 else 79 + (-drift - 1 >> 1)
        y = 89 + cells[_RISE]
        before = self._player or (x, y)
        self._player = (x, y)
        return (x, y, 16, 11, x - before[0], y - before[1], None, _GREY, None)

    def _road_rows(self, cells: Sequence[int]) -> list[Row]:
        key = cells[_CURVE], cells[_DRIFT]
        edges = self._known_roads.get(key)
        if edges is None:  # at most 65,536, and far fewer in play
            edges = tuple(round(_middle(cells, y) - _half(y)) for y in _ROAD_ROWS)
            self._known_roads[key] = edges
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
            x = round(_middle(cells, at) + lane * _LANE * _half(at) - w / 2)
            dx, dy = self._car_move(lane, x, y) if self._cars else (0, 0)
            cars.append((lane, x, y))
            rows.append((x, y, w, h, dx, dy, None, _GREY, None))
        self._cars = tuple(cars)
        return rows

    def _car_move(self, lane: int, x: int, y: int) -> tuple[int, int]:
        """The way from the nearest car of that lane a step before; none if it has just come."""
        near = [car for car in self._cars if car[0] == lane and abs(y - car[2]) <= _ONE_STEP_PX]
        if not near:
            return 0, 0
        _, was_x, was_y = min(near, key=lambda car: abs(y - car[2]))
        return x - was_x, y - was_y


def _middle(cells: Sequence[int], y: float) -> float:
    """Middle of the road at the height ``y``: bends grow with the square of the distance."""
    bend = _signed(cells[_CURVE]) * ((_STRAIGHT_BELOW - y) / 100) ** 2
    return _MIDDLE + _signed(cells[_DRIFT]) + bend


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


_NEW_PX = 16
"""What is farther than this from where its lane's last thing was is another one."""


class Supplement(Protocol):
    """Completes the objects of one game.

    Attributes:
        memory: All that the next step depends on.
    """

    memory: Any

    def begin(self, rows: Rows) -> None:
        """Forget the last episode and complete the first objects of a new one."""

    def complete(self, rows: Rows) -> None:
        """Complete the objects of one more step."""


class AsterixVelocities:
    """Velocities of what crosses the screen: OCAtari makes each of them anew every step.

    One thing at a time is in a lane, so what it moved by is seen from the lane alone.
    """

    _KINDS: ClassVar = ("Enemy", "Consumable")

    def __init__(self) -> None:
        self.memory: dict[tuple[str, int], int] = {}

    def begin(self, rows: Rows) -> None:
        """Nothing moves in the first observation."""
        self.memory = {}
        self.complete(rows)

    def complete(self, rows: Rows) -> None:
        """Set dx to the way since the last step."""
        places: dict[tuple[str, int], int] = {}
        for kind in self._KINDS:
            for number, row in enumerate(rows.get(kind, ())):
                x, lane = row[0], (kind, row[1])
                places[lane] = x
                moved = x - self.memory.get(lane, x)
                if moved and abs(moved) <= _NEW_PX:
                    rows[kind][number] = (*row[:4], moved, *row[5:])
        self.memory = places


class QbertCubes:
    """How far each cube is from the colour that all of them began the round with.

    The console keeps the colours of the cubes and nothing that says which colour is wanted: the
    order in which colours turn up in a round tells it.
    """

    def __init__(self) -> None:
        self.memory: list[Colour] = []

    def begin(self, rows: Rows) -> None:
        """A round begins."""
        self.memory = []
        self.complete(rows)

    def complete(self, rows: Rows) -> None:
        """Give every cube its value."""
        cubes = rows.get("Cube", [])
        colours = [row[7] for row in cubes if row[7] is not None]
        if len(set(colours)) == 1:  # a new round, or the flashing at the end of one
            self.memory = colours[:1]
        known = self.memory
        for number, row in enumerate(cubes):
            colour = row[7]
            if colour is not None:
                if colour not in known:
                    known.append(colour)
                cubes[number] = (*row[:6], known.index(colour), *row[7:])


_SUPPLEMENTS: dict[str, type[Supplement]] = {"asterix": AsterixVelocities, "qbert": QbertCubes}


class CompletedExtractor(ObjectExtractor):
    """OCAtari's objects, completed by a supplement."""

    def __init__(self, module: str, supplement: Supplement, *, hud: bool = False) -> None:
        super().__init__(module, hud=hud)
        self._supplement = supplement

    def reset(self, ram: RamState) -> Rows:
        """As `ObjectExtractor.reset`."""
        rows = super().reset(ram)
        self._supplement.begin(rows)
        return rows

    def step(self, ram: RamState) -> Rows:
        """As `ObjectExtractor.step`."""
        rows = super().step(ram)
        self._supplement.complete(rows)
        return rows

    def save(self) -> SavedObjects:
        """As `ObjectExtractor.save`."""
        things, kept = super().save()
        return things, {"objects": kept, "supplement": copy.deepcopy(self._supplement.memory)}

    def restore(self, saved: SavedObjects) -> None:
        """As `ObjectExtractor.restore`."""
        things, kept = saved
        super().restore((things, kept["objects"]))
        self._supplement.memory = copy.deepcopy(kept["supplement"])


class PartialExtractor(ObjectExtractor):
    """OCAtari's objects without some categories of them."""

    def __init__(self, module: str, unseen: Sequence[str], *, hud: bool = False) -> None:
        super().__init__(module, hud=hud, raw=True)
        self._unseen = unseen

    @property
    def categories(self) -> tuple[str, ...]:
        """As `ObjectExtractor.categories`."""
        return tuple(name for name in super().categories if name not in self._unseen)

    def reset(self, ram: RamState) -> Rows:
        """As `ObjectExtractor.reset`."""
        return self._seen(super().reset(ram))

    def step(self, ram: RamState) -> Rows:
        """As `ObjectExtractor.step`."""
        return self._seen(super().step(ram))

    def _seen(self, rows: Rows) -> Rows:
        for name in self._unseen:
            rows.pop(name, None)
        return rows


def make_extractor(
    game: str, *, hud: bool = False, is_completed: bool = True, unseen: tuple[str, ...] = ()
) -> ObjectExtractor:
    """What reads the objects of ``game`` (the ROM in snake case).

    Args:
        game: Name of the ROM.
        hud: As `ObjectExtractor`.
        is_completed: Not only what OCAtari gives, nor its velocities where they are wrong.
        unseen: Of what OCAtari gives, the categories to leave out; nothing is completed then.
    """
    module = game.replace("_", "")
    if unseen:
        return PartialExtractor(module, unseen, hud=hud)
    reader = READERS.get(module)
    if reader is not None and not hud:
        return reader(raw=not is_completed)
    if not is_completed:
        return ObjectExtractor(module, hud=hud, raw=True)
    if module == "enduro":
        return EnduroExtractor(hud=hud)
    supplement = _SUPPLEMENTS.get(module)
    if supplement is None:
        return ObjectExtractor(module, hud=hud)
    return CompletedExtractor(module, supplement(), hud=hud)
