"""Rules about what things show: a gauge that is low, the least valued of several, things carried.

Drawn only in a world where something shows a number that changes; in any other the grammar draws
what it would draw without this module.
"""

from __future__ import annotations

import random

from gco_agent.optimizers.search.genome import (
    Axis,
    Choice,
    Constant,
    Count,
    GoTo,
    Guard,
    Pick,
    Reading,
    Rule,
    Stay,
    Sweep,
    Target,
    Track,
)
from gco_agent.optimizers.search.world import SCREEN, World

SHARE = 0.25
"""Of new rules, and of new guards, in a world where something shows a number."""
_EVEN = 0.5
_BEYOND_PX = 8
"""Past an end, so that the dead zone does not stop the player before it."""


def rule(world: World, rng: random.Random, axis: Axis) -> Rule:
    """Go for the least or most valued of several things; or do something while a gauge is low."""
    category = rng.choice(sorted(world.values))
    if world.most.get(category, 0) > 1:
        choices: tuple[Choice, ...] = ("least", "most")
        return Rule(axis, Pick(category, rng.choice(choices)), (), Track(None, None))
    guards = (_reading(world, rng, category),)
    return Rule(axis, Pick(category, "nearest"), guards, _target(world, rng, axis))


def guard(world: World, rng: random.Random) -> Guard:
    """A condition on a gauge, or on how many there are of something."""
    gauges = [category for category in world.values if world.most.get(category, 0) <= 1]
    if gauges and rng.random() < _EVEN:
        return _reading(world, rng, rng.choice(gauges))
    category = rng.choice(world.categories or tuple(world.values))
    most = max(1, world.most.get(category, 1))
    return Count(category, rng.random() < _EVEN, Constant(float(rng.randint(1, most)), 1.5))


def _reading(world: World, rng: random.Random, gauge: str) -> Reading:
    low, high = world.values[gauge]
    limit = Constant(rng.uniform(low, high), (high - low) / 6)
    return Reading(gauge, rng.random() < _EVEN, limit)


def _target(world: World, rng: random.Random, axis: Axis) -> Target:
    """Mostly an end of the range that the player was seen in, or a place between."""
    left, right, top, bottom = world.ranges.get(world.player, SCREEN)
    low, high = (left, right) if axis == "x" else (top, bottom)
    place = rng.choice((low - _BEYOND_PX, high + _BEYOND_PX, rng.uniform(low, high)))
    to_place = GoTo(Constant(place, 20))
    sweep = Sweep(Constant(float(rng.choice((10, 20, 40, 80))), 15))
    return rng.choices((to_place, sweep, Stay()), (4, 1, 1))[0]
