"""Constants of programs moved by CMA-ES.

Constants, not structure, are what holds a young program back: two numbers of an interception are
worth ten points of Pong. Every generation plays fresh seeds, the same for all of its programs.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from gco_agent.optimizers.cma import Evolution, Point
from gco_agent.optimizers.search.arena import Arena, Individual
from gco_agent.optimizers.search.genome import Program, constants, with_values

_SEEDS_A_GENERATION = 2
_HORIZONS = (600, 1_800)
"""Steps an episode of tuning has at least and at most."""
_REWARDS = 10
"""Rewards that the leader should see in an episode, for what tuning measures to mean something."""
_FIRST_SPREAD = 0.36
"""Standard deviation of the first generation, in units of each constant's scale."""


@dataclass
class TuningRun:
    """One program under tuning, and what came of it.

    Attributes:
        leader: Where it started.
        spread: Standard deviation of each constant, in units of its scale; before and after.
        mean: The program in the middle of the last generation.
        score: Mean return of the whole last generation: noisy programs, averaged.
    """

    leader: Individual
    spread: list[float] | None = None
    mean: Program | None = None
    score: float = float("-inf")


def tune(arena: Arena, arms: Sequence[TuningRun], seeds: range, rng_seed: int) -> int:
    """Move the constants of each arm in turn while the purse lasts; arms share their seeds.

    Args:
        arms: Changed in place.
        seeds: What generations draw their seeds from, in order.
        rng_seed: Seeds CMA-ES; positive.

    Returns:
        How many generations were played.
    """
    tuners = [_Tuner(arm, rng_seed + i) for i, arm in enumerate(arms)]
    generation = 0
    n_episodes = _SEEDS_A_GENERATION * sum(tuner.size for tuner in tuners)
    paid_for = arena.purse.left // (2 * n_episodes)
    horizon = max(_HORIZONS[0] // 6, min(paid_for, _horizon(arena, arms[0].leader)))
    while generation == 0 or arena.purse.share(0.9):
        first = generation * _SEEDS_A_GENERATION
        drawn = [seeds[(first + i) % len(seeds)] for i in range(_SEEDS_A_GENERATION)]
        for tuner in tuners:
            tuner.generation(arena, drawn, horizon)
        generation += 1
    return generation


def _horizon(arena: Arena, leader: Individual) -> int:
    """Steps in which the leader sees enough rewards: a good defence makes them rare."""
    shortest, longest = _HORIZONS
    longest = max(shortest, min(longest, arena.purse.left // 10))
    played = arena.returns_of_many([leader.text], arena.seeds[:2], longest)[0]
    n_steps = sum(episode.n_steps for episode in played)
    n_rewards = sum(episode.n_rewards for episode in played)
    return round(min(longest, max(shortest, _REWARDS * n_steps / max(1, n_rewards))))


class _Tuner:
    def __init__(self, arm: TuningRun, rng_seed: int) -> None:
        found = list(constants(arm.leader.program))
        spread = [_FIRST_SPREAD] * len(found) if arm.spread is None else arm.spread
        self._arm = arm
        self._evolution = Evolution(
            [constant.value for constant in found],
            [max(constant.scale, 1e-3) for constant in found],
            spread,
            rng_seed,
        )

    @property
    def size(self) -> int:
        """Programs in a generation."""
        return self._evolution.size

    def _at(self, point: Point) -> Program:
        return with_values(self._arm.leader.program, list(point))

    def generation(self, arena: Arena, seeds: Sequence[int], horizon: int) -> None:
        programs = [self._at(point) for point in self._evolution.ask()]
        texts = [arena.individual(program).text for program in programs]
        played = arena.returns_of_many(texts, seeds, horizon)
        losses = [-statistics.fmean(e.total for e in episodes) for episodes in played]
        self._evolution.tell(losses)
        self._arm.score = -statistics.fmean(losses)
        self._arm.mean = self._at(self._evolution.mean)
        self._arm.spread = self._evolution.spread
