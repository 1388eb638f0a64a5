"""Worlds and programs for the tests of the search."""

from __future__ import annotations

import random

from gco_agent.optimizers.search.genome import Program
from gco_agent.optimizers.search.grammar import Grammar
from gco_agent.optimizers.search.memory import Names
from gco_agent.optimizers.search.world import World

PONG = World(
    ("NOOP", "FIRE", "RIGHT", "LEFT", "RIGHTFIRE", "LEFTFIRE"),
    "Player",
    0,
    ("y",),
    ((0, 0), (0, 0), (0, -1), (0, 1), (0, -1), (0, 1)),
    {
        "Ball": (22.0, 157.0, 34.0, 194.0),
        "Enemy": (18.0, 18.0, 36.0, 192.0),
        "Player": (142.0, 142.0, 36.0, 192.0),
    },
    {"Ball": 1, "Enemy": 1, "Player": 1},
)
MAZE = World(
    ("NOOP", "UP", "RIGHT", "LEFT", "DOWN"),
    "Chicken",
    1,
    ("x", "y"),
    ((0, 0), (0, -1), (1, 0), (-1, 0), (0, 1)),
    {
        "Car": (0.0, 160.0, 20.0, 180.0),
        "Chicken": (44.0, 108.0, 14.0, 190.0),
        "GoldBar": (3.0, 9.0, 3.0, 9.0),
    },
    {"Car": 10, "Chicken": 2, "GoldBar": 4},
)
FROZEN = World(
    ("NOOP", "FIRE"),
    "Player",
    0,
    (),
    ((0, 0), (0, 0)),
    {"Player": (1.0, 1.0, 2.0, 2.0)},
    {"Player": 1},
)
GAUGED = World(
    ("NOOP", "FIRE", "UP", "RIGHT", "LEFT", "DOWN"),
    "Player",
    0,
    ("x", "y"),
    ((0, 0), (0, 0), (0, -1), (1, 0), (-1, 0), (0, 1)),
    {
        "Air": (49.0, 49.0, 170.0, 170.0),
        "Cube": (20.0, 140.0, 30.0, 180.0),
        "Player": (10.0, 150.0, 46.0, 141.0),
    },
    {"Air": 1, "Cube": 21, "Player": 1},
    {"Air": (0, 64), "Cube": (0, 2), "Speed": (0, 12)},
)
WORLDS = (PONG, MAZE, FROZEN, GAUGED)


def names_in(world: World) -> Names:
    """What an environment would call things that looks like ``world``."""
    return Names(world.action_names, tuple({**world.ranges, **world.values}))


def programs(world: World, seed: int, n: int) -> list[Program]:
    """Random programs, half of them mutants of the one before."""
    grammar = Grammar(world, random.Random(seed))
    made = [grammar.program()]
    while len(made) < n:
        fresh = grammar.program()
        made.append(grammar.mutate(made[-1], fresh) if len(made) % 2 else fresh)
    return made
