"""Pong's objects from RAM."""

from __future__ import annotations

from typing import ClassVar

from gco_agent.envs.readers.base import NOWHERE, Place, Reader, Rows

_ENEMY_Y, _PLAYER_Y, _BALL_X, _BALL_Y = 50, 51, 49, 54
_TOP = 34
_GREEN, _WHITE, _ORANGE = (92, 186, 92), (236, 236, 236), (213, 130, 74)


class PongReader(Reader):
    """Two paddles, cut where they leave the field, and the ball."""

    MODULE = "pong"
    MEMORY: ClassVar = ("_player", "_size", "_ball", "_enemy")

    def _begin(self) -> None:
        self._player, self._size = NOWHERE, (4, 15)
        self._ball: Place | None = NOWHERE
        self._enemy: Place | None = NOWHERE

    def _read(self, ram: bytes) -> Rows:
        was, y = self._player, ram[_PLAYER_Y]
        if y > 13:  # noqa: PLR2004 - else it stays where it was
            if y < 47:  # noqa: PLR2004
                self._player, self._size = (140, _TOP), (4, y - 33)
            else:
                self._player, self._size = (140, y - 13), (4, min(15, 207 - y))
        rows: Rows = {"Player": [self._row(self._player, self._size, was, _GREEN)]}
        x, y, before = ram[_BALL_X], ram[_BALL_Y], self._ball
        if y and x > 49:  # noqa: PLR2004 - left of the screen
            ball = self._ball = x - 49, y - 14
            rows["Ball"] = [self._row(ball, (2, 4), before, _WHITE)]
        else:
            self._ball = None
        y, before = ram[_ENEMY_Y], self._enemy
        if y > 33:  # noqa: PLR2004 - above the field
            if y < 49:  # noqa: PLR2004
                enemy, h = (16, _TOP), y - 33
            else:
                enemy, h = (16, y - 15), min(15, 209 - y)
            self._enemy = enemy
            rows["Enemy"] = [self._row(enemy, (4, h), before, _ORANGE)]
        else:
            self._enemy = None
        return rows
