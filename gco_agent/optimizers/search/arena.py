"""Programs measured against each other at rising cost, within a budget of steps.

A rating is the mean return over seeds that are the same for all, cut at a horizon, so that luck is
shared. Cheap ratings choose who gets dearer ones. Ratings of different levels are never compared,
nor ratings of different slices: every slice plays seeds of its own, or the luckiest of thousands
of programs would stay on top for good.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gco_agent.core.records import PlayProtocol
from gco_agent.evaluation.workers import WorkerPool
from gco_agent.optimizers.cma import StepBudget
from gco_agent.optimizers.search.genome import Program
from gco_agent.optimizers.search.play import Played, Segment, play
from gco_agent.optimizers.search.render import render
from gco_agent.optimizers.search.world import World

LEVELS: tuple[tuple[int, int], ...] = ((1, 300), (2, 500), (3, 900), (6, 2_000))
"""Episodes and steps of each level of rating. An episode is gone on with, not begun again, but for
the top level, whose seeds no cheaper rating has selected on."""
TOP = len(LEVELS) - 1
_TOP_SEEDS = 10
"""Index of the first seed of the top level."""
_SURVIVAL = 1e-5
"""Worth of one more step played, so that equal returns are not equal ratings."""


@dataclass(eq=False)
class Individual:
    """One program, its text, and its ratings by level."""

    program: Program
    text: str
    ratings: dict[int, float] = field(default_factory=dict)
    episodes: dict[int, Played] = field(default_factory=dict)

    @property
    def level(self) -> int:
        """The dearest level it was rated at; -1 before any."""
        return max(self.ratings, default=-1)


class Arena:
    """Rates individuals with a pool of workers; keeps the books on steps and on what was seen."""

    def __init__(
        self,
        pool: WorkerPool,
        protocol: PlayProtocol,
        world: World,
        seeds: Sequence[int],
        title: str,
        env_id: str,
    ) -> None:
        self.world = world
        self._pool = pool
        self._protocol = protocol
        self.seeds = seeds
        self._title = title
        self._env_id = env_id
        self.on_batch: Callable[[], None] = lambda: None
        self.purse = StepBudget(0, 0.0)

    def individual(self, program: Program) -> Individual:
        """``program`` as it would be played and committed, against the world as known now."""
        return Individual(program, render(program, self.world, self._title, self._env_id))

    def affordable(self, members: Sequence[Individual], level: int) -> list[Individual]:
        """The first of ``members`` that the purse can pay a rating at ``level``; one at least."""
        n_seeds, horizon = LEVELS[level]
        return list(members[: max(1, self.purse.left // (n_seeds * horizon))])

    def rate(self, members: Sequence[Individual], level: int) -> None:
        """Give every member its rating at ``level`` (an index of `LEVELS`)."""
        n_seeds, horizon = LEVELS[level]
        first = _TOP_SEEDS if level == TOP else 0
        seeds = self.seeds[first : first + n_seeds]
        wanted = [
            (member, seed)
            for member in members
            if level not in member.ratings
            for seed in seeds
            if not _has_reached(member.episodes.get(seed), horizon)
        ]
        tasks = [
            self._segment(member.text, seed, horizon, _checkpoint(member, seed))
            for member, seed in wanted
        ]
        for (member, seed), played in zip(wanted, self.play(tasks), strict=True):
            member.episodes[seed] = played
        for member in members:
            if level not in member.ratings:
                member.ratings[level] = _rating([member.episodes[seed] for seed in seeds])

    def returns_of_many(
        self, texts: Sequence[str], seeds: Sequence[int], horizon: int
    ) -> list[list[Played]]:
        """For each text its episodes on ``seeds``, from their start, cut at ``horizon``."""
        tasks = [self._segment(text, seed, horizon) for text in texts for seed in seeds]
        results = iter(self.play(tasks))
        return [[next(results) for _ in seeds] for _ in texts]

    def _segment(
        self, text: str, seed: int, horizon: int, checkpoint: bytes | None = None
    ) -> Segment:
        player = (self.world.player, self.world.player_index)
        return Segment(self._protocol, text, seed, horizon, checkpoint, player)

    def play(self, tasks: Sequence[Segment]) -> list[Played]:
        """Results in the order of the tasks; what they cost and showed is booked."""
        results = self._pool.map(play, tasks)
        self.purse.used += sum(played.n_new_steps for played in results)
        self.world = self.world.after(played.sightings for played in results)
        self.on_batch()
        return results


def _has_reached(played: Played | None, horizon: int) -> bool:
    return played is not None and (played.is_over or played.n_steps >= horizon)


def _checkpoint(member: Individual, seed: int) -> bytes | None:
    played = member.episodes.get(seed)
    return played.checkpoint if played is not None else None


def _rating(episodes: Sequence[Played]) -> float:
    survived = statistics.fmean(played.n_steps for played in episodes)
    return statistics.fmean(played.total for played in episodes) + _SURVIVAL * survived
