"""What OCAtari's extraction leaves out and a game is decided by, read from RAM or from memory.

A supplement changes the rows of a step in place. It keeps what it must remember in plain data, so
that a moment of an episode can be saved and gone on with.
Evidence for every byte that is read here: tests/ale/test_supplements.py.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

from gco_agent.envs.extraction import ObjectExtractor, RamState, SavedObjects
from gco_agent.envs.readers import READERS
from gco_agent.observation import Colour, Row

Rows = dict[str, list[Row]]

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
        from gco_agent.envs.enduro import EnduroExtractor

        return EnduroExtractor(hud=hud)
    supplement = _SUPPLEMENTS.get(module)
    if supplement is None:
        return ObjectExtractor(module, hud=hud)
    return CompletedExtractor(module, supplement(), hud=hud)
