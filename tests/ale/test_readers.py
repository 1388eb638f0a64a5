"""Objects that are read by hand are those that OCAtari's functions make of the same RAM."""

from __future__ import annotations

import pickle
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from gco_agent.envs.extraction import ObjectExtractor
from gco_agent.envs.readers import READERS
from gco_agent.envs.supplements import (
    AsterixVelocities,
    CompletedExtractor,
    QbertCubes,
    make_extractor,
)

N_EPISODES, N_STEPS = 60, 40
TELLING = (
    *(*range(9), 11, 13, 14, 15, 17, 20, 33, 34, 46, 47, 48, 49, 50, 63, 69, 70, 82, 99, 100),
    *(159, 160, 180, 187, 188, 192, 193, 194, 195, 209, 210, 255),
)
"""Bytes at which some rule of some game changes."""
RARE: dict[str, tuple[str, ...]] = {
    "asterix": ("Reward", "Enemy", "Consumable"),
    "breakout": ("Ball",),
    "freeway": (),
    "pong": ("Ball", "Enemy"),
    "qbert": ("Coily", "PurpleBall", "GreenBall", "Sam", "Disk", "Player"),
    "seaquest": ("SurfaceSubmarine", "Submarine", "Shark", "EnemyMissile", "Diver", "Player"),
    "spaceinvaders": ("Satellite", "Shield", "Bullet"),
}
"""What must have been there in some steps and not in others, or the test proves little."""


def theirs(module: str, *, raw: bool) -> ObjectExtractor:
    """OCAtari's own functions, with what we complete."""
    if raw or module not in ("asterix", "qbert"):
        return ObjectExtractor(module, raw=raw)
    supplement: Any = AsterixVelocities() if module == "asterix" else QbertCubes()
    return CompletedExtractor(module, supplement)


def possible(module: str, ram: Any, rng: random.Random) -> Any:
    """RAM that OCAtari can read: some cells hold few bits only."""
    if module == "spaceinvaders":
        ram[18:24] %= 64
        ram[16] %= 80
        if rng.random() < 0.1:
            ram[18:24] = 63  # a new wave
    elif module == "asterix":
        ram[rng.sample(range(73, 81), 6)] = 0
    elif module == "breakout":
        ram[:6] %= 64
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
@pytest.mark.parametrize("module", READERS)
def test_any_memory_is_read_as_ocatari_reads_it(module: str, *, raw: bool) -> None:
    reader, real = READERS[module](raw=raw), theirs(module, raw=raw)
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


def test_all_games_but_enduro_are_read_by_hand_unless_displays_are_wanted() -> None:
    assert sorted(READERS) == sorted(RARE)
    assert type(make_extractor("space_invaders")) is READERS["spaceinvaders"]
    assert type(make_extractor("pong", hud=True)) is ObjectExtractor
    assert type(make_extractor("frogger")) is ObjectExtractor
