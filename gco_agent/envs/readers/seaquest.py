"""Seaquest's objects from RAM."""

from __future__ import annotations

from typing import ClassVar

from gco_agent.core.observation import Row
from gco_agent.envs.readers.base import NOWHERE, Place, Reader, Rows

_X, _DEPTH, _FACING, _CRASH, _SHOT, _AIR, _SAVED = 70, 97, 86, 105, 103, 102, 62
_LATE, _SURFACE_X, _FLOAT = 60, 118, 93
_FORMATIONS, _FLEETS, _KINDS, _SLOW = slice(36, 40), slice(30, 34), slice(89, 93), slice(71, 75)
"""Of the four lanes, the lowest first: which of three places are taken, where the first of them
is, who is there, and where the diver or the missile is."""
_N_LANES, _N_PLACES, _LANE_PX, _LOWEST_PX = 4, 3, 24, 141
_RIGHTMOST, _GONE = 165, 160
_START: Place = (76, 46)
_N_DIVERS = 6
_YELLOW, _GREEN, _GREY = (187, 187, 53), (92, 186, 92), (170, 170, 170)
_BLUE, _WHITE, _DARK = (66, 72, 200), (214, 214, 214), (24, 26, 167)
_KEPT_DIVERS: list[list[Row]] = [
    [(58 + 8 * number, 178, 8, 9, 0, 0, None, _DARK, None) for number in range(count)]
    for count in range(_N_DIVERS + 1)
]
_TAKEN = [tuple(place for place in range(3) if cell >> 2 - place & 1) for cell in range(256)]
"""Which of the three places of a lane are taken, by the cell that says so."""


class SeaquestReader(Reader):
    """The player's boat, who crosses its way in four lanes, and two gauges.

    A lane's sharks and its submarines have slots of their own at OCAtari, and so have divers and
    missiles; what a slot held stays where it was until something says that it is empty.
    """

    MODULE = "seaquest"
    MEMORY: ClassVar = (
        *("_player", "_sharks", "_boats", "_divers", "_missiles"),
        *("_surface", "_shot", "_collected"),
    )

    def _begin(self) -> None:
        self._player: Place | None = _START
        slots = _N_LANES * _N_PLACES
        self._sharks: list[Place | None] = [None] * slots
        self._boats: list[Place | None] = [None] * slots
        self._divers: list[Place | None] = [None] * _N_LANES
        self._missiles: list[Place | None] = [None] * _N_LANES
        self._surface: Place | None = None
        self._shot: Place | None = None
        self._collected: list[Place | None] = [NOWHERE] * _N_DIVERS

    def _read(self, ram: bytes) -> Rows:
        rows: Rows = {}
        self._read_player(ram, rows)
        are_boats = [3 < kind & 7 < 7 for kind in ram[_KINDS]]  # noqa: PLR2004 - as OCAtari has it
        self._read_fleets(ram, are_boats, rows)
        self._read_slow(ram, are_boats, rows)
        before, x = self._surface, ram[_SURFACE_X]
        self._surface = None
        if ram[_LATE] >= 2 and x < _GONE:  # noqa: PLR2004 - only late in the game
            self._surface = (x, 45)
            rows["SurfaceSubmarine"] = [self._row(self._surface, (8, 11), before, _GREY)]
        before, x = self._shot, ram[_SHOT]
        self._shot = None
        if 0 < x < _GONE:
            self._shot = (x, ram[_DEPTH] + 40)
            rows["PlayerMissile"] = [self._row(self._shot, (8, 1), before, _YELLOW)]
        air = ram[_AIR]
        if air:
            rows["OxygenBar"] = [(49, 170, min(air, 63), 5, 0, 0, air, _WHITE, None)]
        self._read_collected(ram[_SAVED], rows)
        return rows

    def _read_player(self, ram: bytes, rows: Rows) -> None:
        was = self._player
        if 0 < ram[_CRASH] < 15:  # noqa: PLR2004 - while it explodes
            self._player = None
            return
        facing = "E"
        if was is None:  # OCAtari's new one is at its start for a step
            self._player = _START
        else:
            self._player = ram[_X], ram[_DEPTH] + 33
            facing = "E" if ram[_FACING] == 0 else "W"
        row = self._row(self._player, (16, 11), was, _YELLOW)
        rows["Player"] = [(*row[:8], facing)]

    def _read_fleets(self, ram: bytes, are_boats: list[bool], rows: Rows) -> None:
        shark_places, boat_places = self._sharks, self._boats
        sharks: list[Place | None] = [None] * len(shark_places)
        boats: list[Place | None] = [None] * len(boat_places)
        found_sharks: list[Row] = []
        found_boats: list[Row] = []
        row = self._row
        y, floating = _LOWEST_PX, ram[_FLOAT] - 4
        for lane, (cell, first) in enumerate(zip(ram[_FORMATIONS], ram[_FLEETS], strict=True)):
            for place in _TAKEN[cell]:
                x = first + 16 * place & 255
                if x > _RIGHTMOST:
                    continue
                slot = lane * _N_PLACES + place
                boat, shark = boat_places[slot], shark_places[slot]
                if are_boats[lane]:
                    boats[slot], sharks[slot] = (x, y), shark
                else:
                    boats[slot], sharks[slot] = boat, (x, y + floating)
                if (here := boats[slot]) is not None:
                    found_boats.append(row(here, (8, 11), boat, _GREY))
                if (here := sharks[slot]) is not None:
                    found_sharks.append(row(here, (8, 7), shark, _GREEN))
            y -= _LANE_PX
        self._sharks, self._boats = sharks, boats
        if found_sharks:
            rows["Shark"] = found_sharks
        if found_boats:
            rows["Submarine"] = found_boats

    def _read_slow(self, ram: bytes, are_boats: list[bool], rows: Rows) -> None:
        """Divers, and the missiles that share their cells."""
        diver_places, missile_places = self._divers, self._missiles
        if not (any(ram[_SLOW]) or any(diver_places) or any(missile_places)):
            return
        divers, missiles = [*diver_places], [*missile_places]
        for lane, x in enumerate(ram[_SLOW]):
            slot = _N_LANES - 1 - lane
            is_there = 0 < x < _GONE
            if are_boats[lane]:
                missiles[slot] = (x + 3, 145 - lane * _LANE_PX) if is_there else None
                if is_there:
                    divers[slot] = None
            else:
                divers[slot] = (x, _LOWEST_PX - lane * _LANE_PX) if is_there else None
                if is_there:
                    missiles[slot] = None
        self._divers, self._missiles = divers, missiles
        row = self._row
        for name, size, now, before in (
            ("Diver", (8, 11), divers, diver_places),
            ("EnemyMissile", (6, 4), missiles, missile_places),
        ):
            found = [
                row(here, size, was, _BLUE)
                for here, was in zip(now, before, strict=True)
                if here is not None
            ]
            if found:
                rows[name] = found

    def _read_collected(self, count: int, rows: Rows) -> None:
        count = min(count, _N_DIVERS)
        collected = self._collected
        if collected.count(None) != _N_DIVERS - count or NOWHERE in collected:
            self._collected = collected = [
                (was or (58 + 8 * number, 178)) if number < count else None
                for number, was in enumerate(collected)
            ]
        if not count:
            return
        if NOWHERE in collected:
            rows["CollectedDiver"] = [
                (*place, 8, 9, 0, 0, None, _DARK, None) for place in collected if place is not None
            ]
        else:
            rows["CollectedDiver"] = _KEPT_DIVERS[count]
