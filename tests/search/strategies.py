"""Worlds and programs for the tests of the search."""

from __future__ import annotations

import random

from gco_agent.optimizers.search.genome import Program
from gco_agent.optimizers.search.grammar import Grammar
from gco_agent.optimizers.search.play import Names
from gco_agent.optimizers.search.world import Contact, Place, Shot, World

PONG = World(
    action_names=("NOOP", "FIRE", "RIGHT", "LEFT", "RIGHTFIRE", "LEFTFIRE"),
    player="Player",
    player_index=0,
    axes=("y",),
    signs=((0, 0), (0, 0), (0, -1), (0, 1), (0, -1), (0, 1)),
    ranges={
        "Ball": (22.0, 157.0, 34.0, 194.0),
        "Enemy": (18.0, 18.0, 36.0, 192.0),
        "Player": (142.0, 142.0, 36.0, 192.0),
    },
    most={"Ball": 1, "Enemy": 1, "Player": 1},
)
MAZE = World(
    action_names=("NOOP", "UP", "RIGHT", "LEFT", "DOWN"),
    player="Chicken",
    player_index=1,
    axes=("x", "y"),
    signs=((0, 0), (0, -1), (1, 0), (-1, 0), (0, 1)),
    strides=((2.5, 4.0), (2.5, 4.0)),
    ranges={
        "Car": (0.0, 160.0, 20.0, 180.0),
        "Chicken": (44.0, 108.0, 14.0, 190.0),
        "GoldBar": (3.0, 9.0, 3.0, 9.0),
    },
    most={"Car": 10, "Chicken": 2, "GoldBar": 4},
    contacts={"Car": Contact(30, 0, 0.0, 12), "GoldBar": Contact(5, 4, 40.0, 0)},
)
FROZEN = World(
    action_names=("NOOP", "FIRE"),
    player="Player",
    player_index=0,
    axes=(),
    signs=((0, 0), (0, 0)),
    ranges={"Player": (1.0, 1.0, 2.0, 2.0)},
    most={"Player": 1},
)
GAUGED = World(
    action_names=("NOOP", "FIRE", "UP", "RIGHT", "LEFT", "DOWN"),
    player="Player",
    player_index=0,
    axes=("x", "y"),
    signs=((0, 0), (0, 0), (0, -1), (1, 0), (-1, 0), (0, 1)),
    strides=((2.0, 4.0), (2.0, 4.0)),
    hop=(12.0, 29.0, 8.0),
    ranges={
        "Air": (49.0, 49.0, 170.0, 170.0),
        "Cube": (20.0, 140.0, 30.0, 180.0),
        "Missile": (0.0, 160.0, 46.0, 141.0),
        "Player": (10.0, 150.0, 46.0, 141.0),
    },
    most={"Air": 1, "Cube": 21, "Missile": 1, "Player": 1},
    values={"Air": (0, 64), "Cube": (0, 2), "Speed": (0, 12)},
    shots={"Missile": Shot(9, 40, 400.0, 0.0)},
    hits={"Cube": Contact(9, 5, 100.0, 0)},
    places={"Air": Place(3, 240.0, 138.0), "": Place(1, 9.0, 9.0)},
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
