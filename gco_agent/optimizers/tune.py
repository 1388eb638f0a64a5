"""Tune the constants of any policy by CMA-ES.

Every generation plays fresh feedback seeds, the same for all of its members, truncated at a
horizon. New constants are proposed only if they beat the old ones on separate seeds; then they are
raced as any candidate.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from gco_agent.core.errors import ProposalError
from gco_agent.core.records import EpisodeResult
from gco_agent.core.seeds import seed_of_chance, trial_seeds
from gco_agent.optimizers.base import Capabilities, Optimizer, Proposal, Request, Tools, Unusable
from gco_agent.optimizers.cma import Evolution
from gco_agent.optimizers.trials import Trials, fails_already, trials_of
from gco_agent.policy.constants import TunableConstant, tunable_constants, with_constants
from gco_agent.policy.source import PolicySource, format_policy

MOST_CONSTANTS = 12
"""More are not tuned at a time: there was no significant gain on 18 to 19 of them in five minutes,
and clear ones on up to six."""
_SPREAD = 0.6
"""Standard deviation in the first generation, in units of `TunableConstant.scale`."""
_SEEDS_A_GENERATION = 2
_HORIZONS = (600, 1_800)
"""Steps an episode of a generation has at least and at most."""
_POINTS = 10
"""Points that the policy should win or lose in an episode, for its return to mean something."""
_GENERATIONS = 8
"""As many should fit into the budget; the horizon is shorter otherwise,"""
_SHORTEST = 150
"""and so many steps at least."""
_SCREEN_STEPS = 500
_FAILED = 1.0
"""What a failed member loses more than the worst that did not fail."""
_FINAL_SEEDS, _FINAL_SHARE = 8, 0.75
_SURVIVAL = 1e-5
"""Worth of one more step played, so that equal returns are not equal losses."""


@dataclass(frozen=True, slots=True)
class Move:
    """A constant before and after."""

    name: str
    before: float
    after: float

    def __str__(self) -> str:
        return f"{self.name} {self.before:g} → {self.after:g}"


@dataclass(frozen=True, slots=True)
class Tuned:
    """The result of tuning a policy.

    Attributes:
        source: The policy with its new constants, every other byte as before; the policy itself
            where nothing better was found.
    """

    source: PolicySource
    moves: tuple[Move, ...]
    constants: tuple[str, ...]
    generations: int


class RandomPoints(Evolution):
    """Points drawn from the first distribution of CMA-ES, which never learns."""

    def tell(self, losses: Sequence[float]) -> None:
        """Ignore what the points lost."""


def tune_policy(
    source: PolicySource, trials: Trials, seeds: range, *, rng_seed: int,
    method: type[Evolution] = Evolution,
) -> Tuned:  # fmt: skip
    """Tune the constants of ``source`` until the budget of ``trials`` is used up.

    Args:
        seeds: Feedback seeds; the first of them are kept for the final comparison.
    """
    found = tunable_constants(source)
    if not found:
        raise ProposalError(
            "the policy has no numeric constants to tune: give the distances, times and factors "
            "it decides by names at the top of the module"
        )
    tuner = _Tuner(source, trials, seeds)
    tuner.set_horizon()
    tuner.constants = constants = tuner.that_matter(found)
    if not constants:
        names = ", ".join(constant.name for constant in found)
        raise ProposalError(f"no constant of the policy changes what it does ({names})")
    own = [constant.value for constant in constants]
    evolution = method(own, [c.scale for c in constants], [_SPREAD] * len(own), rng_seed)
    best_seen = tuner.run(evolution)
    chosen = tuner.choose([own, list(map(float, evolution.mean)), best_seen])
    moves = (
        Move(c.name, c.sign * c.value, c.sign * c.fitted(value))
        for c, value in zip(constants, chosen, strict=True)
    )
    return Tuned(
        with_constants(source, constants, chosen),
        tuple(move for move in moves if move.before != move.after),
        tuple(c.name for c in constants),
        tuner.generations,
    )


class _Tuner:
    def __init__(self, source: PolicySource, trials: Trials, seeds: range) -> None:
        self._source, self._trials = source, trials
        self._final_seeds, self._seeds = seeds[:_FINAL_SEEDS], seeds[_FINAL_SEEDS:]
        self._horizon = _HORIZONS[0]
        self.constants: list[TunableConstant] = []
        self.generations = 0

    def set_horizon(self) -> None:
        """Choose a horizon in which the policy sees enough of the game."""
        least, longest = _HORIZONS
        seeds = self._seeds[:_SEEDS_A_GENERATION]
        (played,) = self._trials.play([self._source.text], seeds, longest)
        for episode in played:
            if not episode.outcome.is_scored:
                why = f"{episode.outcome.value}, {episode.detail}"
                raise fails_already(episode.seed, episode.n_steps, why)
        points = sum(abs(e.episode_return) for e in played)
        wanted = _POINTS * sum(e.n_steps for e in played) / max(1.0, points)
        self._horizon = round(min(longest, max(least, wanted)))

    def that_matter(self, found: Sequence[TunableConstant]) -> list[TunableConstant]:
        """Return the constants whose change changes an action; named ones first, not too many."""
        horizon = min(_SCREEN_STEPS, self._horizon)
        recorded = self._trials.record(self._source.text, self._seeds[:1], horizon)
        matter: list[TunableConstant] = []
        for first in range(0, len(found), MOST_CONSTANTS):
            batch = found[first : first + MOST_CONSTANTS]
            texts = [
                with_constants(self._source, [c], [c.value + sign * 1.5 * c.scale]).text
                for sign in (1, -1)
                for c in batch
            ]
            same = self._trials.acts_the_same(texts, recorded, horizon)
            pairs = zip(same, same[len(batch) :], strict=False)
            matter += [c for c, pair in zip(batch, pairs, strict=True) if not all(pair)]
            if len(matter) >= MOST_CONSTANTS:
                break
        return matter[:MOST_CONSTANTS]

    def run(self, evolution: Evolution) -> list[float]:
        """Play generations while the budget lasts, at least one; return the best member."""
        budget, n_episodes = self._trials.budget, evolution.size * _SEEDS_A_GENERATION
        affordable = int(budget.left * _FINAL_SHARE) // (_GENERATIONS * n_episodes)
        self._horizon = max(_SHORTEST, min(self._horizon, affordable))
        best: tuple[float, list[float]] = (float("inf"), [])
        while self.generations == 0 or budget.share(_FINAL_SHARE):
            first = 1 + self.generations * _SEEDS_A_GENERATION
            seeds = [self._seeds[(first + i) % len(self._seeds)] for i in range(2)]
            points = [list(map(float, point)) for point in evolution.ask()]
            losses = _losses(self._play(points, seeds, self._horizon))
            evolution.tell(losses)
            best = min(best, *zip(losses, points, strict=True))
            self.generations += 1
            self._trials.tell("tune: generations")
        return best[1]

    def choose(self, offered: Sequence[list[float]]) -> list[float]:
        """Return which values do best on seeds that no generation played; the first of equals."""
        budget = self._trials.budget
        n_seeds = max(3, min(_FINAL_SEEDS, budget.left // (len(offered) * self._horizon)))
        horizon = max(self._horizon, budget.left // (len(offered) * n_seeds))
        self._trials.tell("tune: compare")
        means = list(map(_mean, self._play(offered, self._final_seeds[:n_seeds], horizon)))
        return offered[means.index(max(means))]

    def _play(
        self, points: Sequence[list[float]], seeds: Sequence[int], horizon: int
    ) -> list[tuple[EpisodeResult, ...]]:
        texts = [with_constants(self._source, self.constants, point).text for point in points]
        return self._trials.play(texts, seeds, horizon)


def _losses(played: Sequence[Sequence[EpisodeResult]]) -> list[float]:
    """Return the negated means; members with a failed episode lose more than all the others."""
    means = [_mean(episodes) for episodes in played]
    worst = max((-mean for mean in means if mean > -math.inf), default=0.0) + _FAILED
    return [worst if mean == -math.inf else -mean for mean in means]


def _mean(episodes: Sequence[EpisodeResult]) -> float:
    """Return the mean return and a little for every step survived; of a failure, minus infinity."""
    if not all(episode.outcome.is_scored for episode in episodes):
        return -math.inf
    return statistics.fmean(e.episode_return + _SURVIVAL * e.n_steps for e in episodes)


class TuneOptimizer(Optimizer):
    """Tunes the constants of the run's policy."""

    name = "tune"
    capabilities = Capabilities(one_candidate=True)
    method, method_name = Evolution, "CMA-ES"

    def __init__(self, tools: Tools, seconds: float | None = None) -> None:
        self._tools, self._seconds = tools, seconds

    @classmethod
    def create(cls, tools: Tools) -> TuneOptimizer:
        """Create the optimizer with the time of a slice for each proposal."""
        return cls(tools)

    def propose(self, request: Request) -> Proposal:
        """Tune for a slice."""
        trials = trials_of(request, self._tools, self._seconds)
        rng_seed = seed_of_chance(request.config.seed * 1_000 + request.iteration)
        seeds = trial_seeds(request.iteration)
        tuned = tune_policy(request.parent, trials, seeds, rng_seed=rng_seed, method=self.method)
        n_steps = trials.budget.used
        if not tuned.moves:
            raise Unusable(
                f"{tuned.generations} generations on {', '.join(tuned.constants)} found nothing "
                "better than the present constants",
                kind="no gain",
                n_steps=n_steps,
            )
        moves = "\n".join(f"- {move}" for move in tuned.moves)
        return Proposal(
            PolicySource(format_policy(tuned.source.text)),
            f"tune {', '.join(move.name for move in tuned.moves)}",
            f"{self.method_name} tuned constants over {tuned.generations} generations, in "
            f"{n_steps:,} steps on feedback seeds:\n\n{moves}",
            n_steps=n_steps,
        )


class RandomSearch(TuneOptimizer):
    """Baseline: constants drawn at random around the present ones; a control of CMA-ES."""

    name = "random-search"
    method, method_name = RandomPoints, "Random search"
