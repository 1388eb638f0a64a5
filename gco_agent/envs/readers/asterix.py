"""Asterix' objects from RAM."""

from __future__ import annotations

from typing import ClassVar

from gco_agent.core.observation import Row
from gco_agent.envs.readers.base import NOWHERE, Reader, Rows

_PLAYER_X, _PLAYER_LANE, _WHO, _DYING = 41, 39, 54, 71
_EMPTY, _N_LANES = 11, 8
_KINDS, _REWARDS, _XS = slice(29, 37), slice(73, 81), slice(42, 50)
_GONE = slice(18, 10, -1)
"""Of each lane, the highest first: whether an enemy runs there, a reward lies there, where, and
whether nothing does."""
_GREY, _PINK, _YELLOW = (200, 200, 200), (228, 111, 111), (187, 187, 53)
_NOTHING, _REWARD, _ENEMY, _CONSUMABLE = range(4)
_NEW_PX = 16
"""What is farther than this from where its lane's last thing was is another one."""
_FIRST_Y, _LANE_PX = 26, 16


class AsterixReader(Reader):
    """The player and one thing a lane.

    OCAtari makes each enemy and each consumable anew every step, so that they never move there;
    but one thing at a time is in a lane, and what it moved by is seen from the lane alone.
    """

    MODULE = "asterix"
    MEMORY: ClassVar = ("_player", "_lanes")

    def _begin(self) -> None:
        self._player = NOWHERE
        self._lanes = [(_NOTHING, 0)] * _N_LANES

    def _read(self, ram: bytes) -> Rows:
        was, self._player = self._player, (ram[_PLAYER_X], _FIRST_Y + ram[_PLAYER_LANE] * _LANE_PX)
        w = 16 if ram[_DYING] >= 82 else 8 if ram[_WHO] < 5 else 6  # noqa: PLR2004
        rewards: list[Row] = []
        enemies: list[Row] = []
        consumables: list[Row] = []
        y, lanes = _FIRST_Y, []
        for before, gone, reward, kind, x in zip(
            self._lanes, ram[_GONE], ram[_REWARDS], ram[_KINDS], ram[_XS], strict=True
        ):
            lane = before if gone == _EMPTY else _seen(reward, kind, x)
            if gone == _EMPTY and lane[0] == _REWARD:  # anything else stays where it was last
                lane = (_NOTHING, 0)
            lanes.append(lane)
            now = lane[0]
            if now == _ENEMY:
                dx = self._way(lane, before)
                enemies.append((lane[1], y, 7, 11, dx, 0, None, _PINK, None))
            elif now == _CONSUMABLE:
                dx = self._way(lane, before)
                consumables.append((lane[1], y + 1, 7, 11, dx, 0, None, _GREY, None))
            elif now == _REWARD:
                last = (before[1], y) if before[0] == _REWARD else None
                rewards.append(self._row((lane[1], y), (8, 11), last, _GREY))
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
        """Pixels that an enemy or a consumable moved by."""
        if self._raw or lane[0] != before[0]:
            return 0
        moved = lane[1] - before[1]
        return moved if -_NEW_PX <= moved <= _NEW_PX else 0


def _seen(reward: int, kind: int, x: int) -> tuple[int, int]:
    if reward:
        return (_REWARD, x)
    return (_ENEMY, x) if kind & 1 else (_CONSUMABLE, x + 1)
