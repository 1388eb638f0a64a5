"""Objects that are read by hand are those that OCAtari's functions make of the same RAM."""

from __future__ import annotations

import pickle
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from gco_agent.envs.extraction import ObjectExtractor, Rows
from gco_agent.envs.ram_readers import READERS, make_extractor

N_EPISODES, N_STEPS = 60, 40
TELLING = (
    *(*range(9), 11, 13, 14, 15, 17, 20, 33, 34, 46, 47, 48, 49, 50, 63, 69, 70, 82, 99, 100),
    *(159, 160, 180, 187, 188, 192, 193, 194, 195, 209, 210, 255),
)
"""Bytes at which some rule of some game changes."""
RARE: dict[str, tuple[str, ...]] = {
    "asterix": ("Reward", "Enemy", "Consumable"),
    "qbert": ("Coily", "PurpleBall", "GreenBall", "Sam", "Disk", "Player"),
    "spaceinvaders": ("Satellite", "Shield", "Bullet"),
}
"""What must have been there in some steps and not in others, or the test proves little."""


class AsterixVelocities:
    """One object at a time is in a lane, so its displacement follows from the lane."""

    def __init__(self) -> None:
        self.places: dict[tuple[str, int], int] = {}

    def begin(self) -> None:
        self.places = {}

    def complete(self, rows: Rows) -> None:
        places: dict[tuple[str, int], int] = {}
        for kind in ("Enemy", "Consumable"):
            for number, row in enumerate(rows.get(kind, ())):
                x, lane = row[0], (kind, row[1])
                places[lane] = x
                moved = x - self.places.get(lane, x)
                if moved and abs(moved) <= 16:
                    rows[kind][number] = (*row[:4], moved, *row[5:])
        self.places = places


class QbertCubes:
    """The order in which colours appear in a round tells how far a cube is."""

    def __init__(self) -> None:
        self.known: list[Any] = []

    def begin(self) -> None:
        self.known = []

    def complete(self, rows: Rows) -> None:
        cubes = rows.get("Cube", [])
        colours = [row[7] for row in cubes]
        if len(set(colours)) == 1:
            self.known = colours[:1]
        for number, row in enumerate(cubes):
            if row[7] not in self.known:
                self.known.append(row[7])
            cubes[number] = (*row[:6], self.known.index(row[7]), *row[7:])


class Theirs:
    """OCAtari's own functions, and what we add."""

    def __init__(self, module: str, *, raw: bool) -> None:
        self._objects = ObjectExtractor(module, raw=raw)
        self._added: AsterixVelocities | QbertCubes | None = None
        if not raw and module != "spaceinvaders":
            self._added = AsterixVelocities() if module == "asterix" else QbertCubes()

    def reset(self, ram: Any) -> Rows:
        if self._added is not None:
            self._added.begin()
        return self._completed(self._objects.reset(ram))

    def step(self, ram: Any) -> Rows:
        return self._completed(self._objects.step(ram))

    def _completed(self, rows: Rows) -> Rows:
        if self._added is not None:
            self._added.complete(rows)
        return rows


def possible(module: str, ram: Any, rng: random.Random) -> Any:
    """RAM that OCAtari can read: some cells hold few bits only."""
    if module == "spaceinvaders":
        ram[18:24] %= 64
        ram[16] %= 80
        if rng.random() < 0.1:
            ram[18:24] = 63  # a new wave
    elif module == "asterix":
        ram[rng.sample(range(73, 81), 6)] = 0
    elif module == "qbert":
        ram[8] = 2 if rng.random() < 0.95 else 1
        for cell, other in ((39, 255), (119, 0), (103, 17), (105, 6), (112, 0), (122, 0)):
            if rng.random() < 0.3:
                ram[cell] = rng.choice((other, 5))
    return ram


def memories(module: str, seed: int) -> Iterator[Any]:
    """RAM of one made-up episode: what changes is a few bytes a step, or many, or none."""
    rng = random.Random(f"{module} {seed}")
    ram = np.array([rng.randrange(256) for _ in range(128)], np.uint8)
    for _ in range(N_STEPS):
        ram = possible(module, ram.copy(), rng)
        yield ram
        for _ in range(rng.choice((0, 0, 1, 8, 40))):
            cell, near = rng.randrange(128), rng.choice((-1, 1, 2, -3))
            told = rng.random() < 0.6
            ram[cell] = rng.choice(TELLING) if told else (int(ram[cell]) + near) % 256


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("module", RARE)
def test_any_memory_is_read_as_ocatari_reads_it(module: str, *, raw: bool) -> None:
    reader, real = READERS[module](raw=raw), Theirs(module, raw=raw)
    seen: Counter[str] = Counter()
    for episode in range(N_EPISODES):
        for step, ram in enumerate(memories(module, episode)):
            if step == 0:
                rows, expected = reader.reset(ram), real.reset(ram)
            else:
                rows, expected = reader.step(ram), real.step(ram)
            assert [*rows.items()] == [*expected.items()], (episode, step)
            seen.update(category for category in rows)
    for category in RARE[module]:
        assert seen[category] > 0, category
        assert seen[category] < N_EPISODES * N_STEPS, category


@pytest.mark.parametrize("module", READERS)
def test_a_moment_is_gone_on_with_by_another_reader(module: str) -> None:
    first, other = READERS[module](), READERS[module]()
    other.reset(next(memories(module, 99)))
    for step, ram in enumerate(memories(module, 1)):
        rows = first.reset(ram) if step == 0 else first.step(ram)
        if step % 3 == 2:
            kept = {category: [*members] for category, members in rows.items()}
            other.restore(pickle.loads(pickle.dumps(first.save())))
            first, other = other, first
            assert rows == kept, "what was given out is never changed"
        if step % 3 == 0 and step:
            assert rows == other.step(ram)


def test_displays_are_ocatari_s_beside_objects_that_are_read_by_hand() -> None:
    assert sorted(READERS) == sorted([*RARE, "enduro"])
    for module in RARE:
        plain, with_hud = READERS[module](), READERS[module](hud=True)
        theirs = ObjectExtractor(module, hud=True)
        displays = set(with_hud.categories) - set(plain.categories)
        assert displays
        for step, ram in enumerate(memories(module, 3)):
            name = "step" if step else "reset"
            rows, objects, their = (getattr(e, name)(ram) for e in (with_hud, plain, theirs))
            assert {k: v for k, v in rows.items() if k not in displays} == objects
            assert all(rows.get(k) == their.get(k) for k in displays), step
            assert displays & set(rows)
            if step == 20:
                again = READERS[module](hud=True)
                again.restore(pickle.loads(pickle.dumps(with_hud.save())))
                with_hud = again


def test_games_without_a_reader_are_read_by_ocatari_s_functions() -> None:
    assert type(make_extractor("space_invaders")) is READERS["spaceinvaders"]
    assert type(make_extractor("enduro", is_completed=False)) is ObjectExtractor
    assert type(make_extractor("pong")) is ObjectExtractor
