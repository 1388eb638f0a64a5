"""Breakout's objects from RAM."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from gco_agent.core.observation import Row, Still
from gco_agent.envs.readers.base import NOWHERE, Place, Reader, Rows

_WALL = slice(36)
_PADDLE_X, _BALL_X, _BALL_Y = 72, 99, 101
_LOWEST_PX = 196
_FIRST_BLOCK_X = 8
_REMEMBERED = 4096
_RED = (200, 72, 72)


class BreakoutReader(Reader):
    """The paddle, the ball, and a wall that is a function of 36 bytes.

    OCAtari decodes the wall by way of strings and numpy, which would take a third of a step; here
    each wall is decoded once, by that same code.
    """

    MODULE = "breakout"
    MEMORY: ClassVar = ("_player", "_ball", "_is_first")

    def __init__(self, *, raw: bool = False) -> None:
        super().__init__(raw=raw)
        self._walls: dict[bytes, Still] = {}

    def _begin(self) -> None:
        self._player: Place = (99, 189)
        self._ball: Place | None = NOWHERE
        self._is_first = True

    def _read(self, ram: bytes) -> Rows:
        was, self._player = self._player, (ram[_PADDLE_X] - 47, 189)
        rows: Rows = {"Player": [self._row(self._player, (16, 4), was, _RED)]}
        before, y = self._ball, ram[_BALL_Y] + 9
        if y <= _LOWEST_PX and ram[_BALL_Y]:
            ball = self._ball = ram[_BALL_X] - 49, y
            rows["Ball"] = [self._row(ball, (2, 4), before, _RED)]
        else:
            self._ball = None
        wall = ram[_WALL]
        blocks: list[Row] = self._walls.get(wall) or self._decode(wall)
        if self._is_first:
            self._is_first = False
            blocks = [_flown_in(row) for row in blocks]
        if blocks:
            rows["Block"] = blocks
        return rows

    def _decode(self, wall: bytes) -> Still:
        if len(self._walls) >= _REMEMBERED:
            self._walls.clear()
        decoded = self._module._calculate_blocks(np.frombuffer(wall, np.uint8))  # noqa: SLF001
        blocks = Still(
            (*map(int, block.xywh), 0, 0, None, tuple(block.rgb), None)  # type: ignore[misc]
            for row in decoded
            for block in row
        )
        self._walls[wall] = blocks
        return blocks


def _flown_in(row: Row) -> Row:
    """A block in the first step: those at the left were OCAtari's from the start, at (0, 0)."""
    return (*row[:4], *row[:2], *row[6:]) if row[0] == _FIRST_BLOCK_X else row
