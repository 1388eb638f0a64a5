"""Constants of programs moved by CMA-ES; the only module that imports cma.

Constants, not structure, are what holds a young program back: two numbers of an interception are
worth ten points of Pong. Every generation plays fresh seeds, the same for all of its programs.
"""

from __future__ import annotations

import statistics
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from gco_agent.optimizers.search.arena import Arena, Individual
from gco_agent.optimizers.search.genome import Program, constants, with_values

_SEEDS_A_GENERATION = 2
_HORIZON = 600
_FIRST_SPREAD = 0.36
"""Standard deviation of the first generation, in units of each constant's scale."""
_FLOOR = 0.02


@dataclass
class Arm:
    """One program under tuning, and what came of it.

    Attributes:
        leader: Where it started.
        spread: Standard deviation of each constant, in units of its scale; before and after.
        mean: The program in the middle of the last generation.
        best: The best program of each generation.
    """

    leader: Individual
    spread: list[float] | None = None
    mean: Program | None = None
    best: list[Program] = field(default_factory=list)

    @property
    def programs(self) -> list[Program]:
        """What is worth rating: the mean, and the best of the last two generations."""
        return [self.mean, *self.best[:-3:-1]] if self.mean is not None else []


def tune(arena: Arena, arms: Sequence[Arm], seeds: range, rng_seed: int) -> int:
    """Move the constants of each arm in turn while three quarters of the purse last.

    Args:
        arms: Changed in place.
        seeds: What generations draw their seeds from, in order.
        rng_seed: Seeds CMA-ES; positive.

    Returns:
        How many generations were played.
    """
    tuners = [_Tuner(arm, rng_seed + i) for i, arm in enumerate(arms)]
    generation = 0
    while arena.purse.share(0.75):
        first = generation * _SEEDS_A_GENERATION
        drawn = [seeds[(first + i) % len(seeds)] for i in range(_SEEDS_A_GENERATION)]
        tuners[generation % len(tuners)].generation(arena, drawn)
        generation += 1
    return generation


class _Tuner:
    def __init__(self, arm: Arm, rng_seed: int) -> None:
        import cma

        found = list(constants(arm.leader.program))
        self._arm = arm
        self._origin = np.array([constant.value for constant in found])
        self._scale = np.array([max(constant.scale, 1e-3) for constant in found])
        spread = np.full(len(found), _FIRST_SPREAD) if arm.spread is None else np.array(arm.spread)
        options = {"verbose": -9, "seed": rng_seed, "CMA_stds": np.maximum(spread, _FLOOR)}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # cma warns of one dimension, which works
            self._strategy: Any = cma.CMAEvolutionStrategy(np.zeros(len(found)), 1.0, options)

    def _at(self, point: npt.ArrayLike) -> Program:
        return with_values(
            self._arm.leader.program, list(self._origin + np.asarray(point) * self._scale)
        )

    def generation(self, arena: Arena, seeds: Sequence[int]) -> None:
        points = self._strategy.ask()
        programs = [self._at(point) for point in points]
        texts = [arena.individual(program).text for program in programs]
        played = arena.returns_of_many(texts, seeds, _HORIZON)
        losses = [-statistics.fmean(e.total for e in episodes) for episodes in played]
        self._strategy.tell(points, losses)
        self._arm.best.append(programs[int(np.argmin(losses))])
        self._arm.mean = self._at(self._strategy.mean)
        self._arm.spread = [round(float(s), 4) for s in self._strategy.stds]
