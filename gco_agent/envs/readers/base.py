"""What the readers of single games share.

A reader makes rows of the console's RAM without OCAtari's objects in between. It keeps what
OCAtari's function keeps from one step to the next, its mistakes included, so that nothing else
comes out: compared field by field with OCAtari's environment in tests/ale/test_extraction.py.
Displays are not read.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from typing import ClassVar

from gco_agent.core.observation import Colour, Row
from gco_agent.envs.extraction import ObjectExtractor, RamState, SavedObjects

Rows = dict[str, list[Row]]
Place = tuple[int, int]
"""Left and top edge, in pixels."""
NOWHERE: Place = (0, 0)
"""Where OCAtari's objects are until they are seen."""


class Reader(ObjectExtractor):
    """As `ObjectExtractor`, for one game and without displays.

    A list of rows that was given out is never changed, and is given out again where nothing in it
    did.

    Args:
        raw: As `ObjectExtractor`; then nothing is completed either.
    """

    MODULE: ClassVar[str]
    MEMORY: ClassVar[tuple[str, ...]]
    """Attributes that the next step depends on: plain data."""

    def __init__(self, *, raw: bool = False) -> None:
        super().__init__(self.MODULE, raw=raw)
        self._begin()

    def reset(self, ram: RamState) -> Rows:
        """Forget the last episode and read the first objects of a new one; nothing moves yet."""
        self._begin()
        rows = self._read(ram.tobytes())
        if self._raw:
            return rows
        return {
            category: [(*row[:4], 0, 0, *row[6:]) for row in members]
            for category, members in rows.items()
        }

    def step(self, ram: RamState) -> Rows:
        """The objects after one more step: category to rows, in OCAtari's order."""
        return self._read(ram.tobytes())

    def save(self) -> SavedObjects:
        """Everything that the next step depends on, as plain data that pickles."""
        return [], {name: copy.deepcopy(getattr(self, name)) for name in self.MEMORY}

    def restore(self, saved: SavedObjects) -> None:
        """Go on from where `save` was called, in this reader or another of the same game."""
        self._begin()
        for name, value in copy.deepcopy(saved[1]).items():
            setattr(self, name, value)

    @abstractmethod
    def _begin(self) -> None:
        """Remember what OCAtari's objects are before the first step."""

    @abstractmethod
    def _read(self, ram: bytes) -> Rows:
        """The objects of the next step."""

    def _row(self, here: Place, size: Place, was: Place | None, rgb: Colour) -> Row:
        """An object here that was there a step ago; one that has just come does not move."""
        x, y = here
        w, h = size
        if was is None or was is here:
            return (x, y, w, h, 0, 0, None, rgb, None)
        dx, dy, most = x - was[0], y - was[1], self._most_px
        if -most <= dx <= most and -most <= dy <= most:
            return (x, y, w, h, dx, dy, None, rgb, None)
        return (x, y, w, h, 0, 0, None, rgb, None)
