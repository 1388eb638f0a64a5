"""What a slice does: begin arms, tune them, compare what comes of them, end the worse ones."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gco_agent.core.codec import finite_number
from gco_agent.optimizers.vectors.program import Task, VectorProgram, size
from gco_agent.optimizers.vectors.table import Row, Table
from gco_agent.optimizers.vectors.tuning import TuningRun, tune

_FEWEST_ARMS = 2
"""To begin with; one of each family if there are more families."""
_TWINS_FOR, _ALL_FOR = 2, 3
"""Slices after which one arm of a family is left, and one in all."""
_SCREENED = 12
"""Random programs in a batch."""
_SCREENING_SEEDS, _LIKELY_SEEDS = 2, 8
_LOOK_SEEDS, _FINAL_SEEDS, _FINALISTS = 20, 50, 2
"""Episodes that every finalist is rated on; and the best few of them after that."""
_PRUNING_SEEDS, _PRUNING_SHARE = 40, 0.02
_SCREENING_SHARE, _TUNING_SHARE = 0.12, 0.88
_SAME = 0.5
"""A program with fewer weights may be worse by so many standard errors of the full one's mean."""
_CLEARLY = 2.0
"""Standard errors of a paired difference that chance does not explain."""
_SCHEMA = 3


@dataclass
class State:
    """What the search remembers between slices.

    Attributes:
        scale: As of `Task`.
        is_vector: As of `Task`.
        arms: Those in the running.
        begun: How many there have been.
        slices: How many have been played.
        best: The best program so far.
        proposed: Digests of the texts that became candidates, with the iteration in which they did.
    """

    scale: tuple[float, ...]
    is_vector: bool
    arms: list[TuningRun] = field(default_factory=list)
    begun: int = 0
    slices: int = 0
    best: VectorProgram | None = None
    proposed: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "schema": _SCHEMA,
            "scale": list(self.scale),
            "is_vector": self.is_vector,
            "arms": [arm.to_json() for arm in self.arms],
            "begun": self.begun,
            "slices": self.slices,
            "best": self.best.to_json() if self.best else None,
            "proposed": self.proposed,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> State:
        """Inverse of `to_json`.

        Raises:
            ValueError: Another version wrote it, whose search cannot be gone on with, or somebody
                who is not of this program.
        """
        if data.get("schema") != _SCHEMA:
            raise ValueError(f"search state of schema {data.get('schema')!r}; this reads {_SCHEMA}")
        scale = tuple(finite_number(width) for width in data["scale"])
        if min(scale, default=1.0) <= 0:
            raise ValueError("a scale is not above 0")
        return cls(
            scale,
            bool(data["is_vector"]),
            [TuningRun.from_json(arm) for arm in data["arms"]],
            int(data["begun"]),
            int(data["slices"]),
            VectorProgram.from_json(data["best"]) if data["best"] else None,
            {str(known): int(iteration) for known, iteration in data["proposed"].items()},
        )


def require_sizes(task: Task, state: State) -> None:
    """Refuse a state of another task.

    Raises:
        ValueError: Its programs have more or fewer weights than those of ``task``.
    """
    for arm in state.arms:
        n = size(task, arm.family)
        sizes = [len(arm.mean), *(len(row) for row in arm.shape)]
        if set(sizes) != {n} or len(arm.shape) not in (0, n):
            raise ValueError(f"an arm has {sizes} numbers, and {n} are needed")
    best = state.best
    if best is not None and len(best.weights) != size(task, best.family):
        raise ValueError(f"the best program has {len(best.weights)} numbers")


@dataclass(frozen=True, slots=True)
class Rated:
    """A program and its returns, on the same seeds as those it is compared with.

    Attributes:
        program: Which.
        arm: Place in `State.arms` of the one it came from; -1 for none.
        returns: An episode each.
    """

    program: VectorProgram
    arm: int
    returns: Row

    @property
    def mean(self) -> float:
        """Mean return."""
        return statistics.fmean(self.returns)


def screen(table: Table, state: State, rng: random.Random) -> None:
    """Begin arms where none is left, each at the best of many random programs.

    The families take turns, the simplest first.
    """
    if state.arms:
        return
    families = table.task.families()
    n_wanted = 1 if state.begun else max(_FEWEST_ARMS, len(families))
    for number in range(n_wanted):
        family = families[state.begun % len(families)]
        n = size(table.task, family)
        found: list[tuple[float, VectorProgram]] = []
        while not found or table.is_within(_SCREENING_SHARE * (number + 1) / n_wanted):
            batch = [
                VectorProgram(family, tuple(round(rng.gauss(0, 1), 4) for _ in range(n)))
                for _ in range(_SCREENED)
            ]
            rows = table.rate(batch, _SCREENING_SEEDS)
            found += zip(map(statistics.fmean, rows), batch, strict=True)
        found.sort(key=lambda pair: -pair[0])
        likely = [program for _, program in found[:_LIKELY_SEEDS]]
        scores = [statistics.fmean(row) for row in table.rate_within(likely, _LIKELY_SEEDS)]
        start = likely[scores.index(max(scores))]
        state.arms.append(TuningRun(family, list(start.weights), score=max(scores)))
        state.begun += 1


def tune_all(table: Table, state: State, rng_seed: int) -> list[tuple[int, VectorProgram]]:
    """Tune every arm for an equal share of what is left; the middle of each, and its last best."""
    state.slices += 1
    begun = min(_TUNING_SHARE, table.done)
    candidates = []
    for number, arm in enumerate(state.arms):
        if number and not table.is_within(1.0):  # the first has used up the time
            candidates.append((number, arm.program))
            continue
        share = begun + (_TUNING_SHARE - begun) * (number + 1) / len(state.arms)

        def go_on(arm: TuningRun = arm, share: float = share) -> bool:
            return not arm.is_spent and table.is_within(share)

        best = tune(arm, table.rate_within, go_on, rng_seed + number)
        candidates += [(number, arm.program), (number, best)]
    return candidates


def choose(table: Table, candidates: Sequence[tuple[int, VectorProgram]]) -> list[Rated]:
    """The candidates, the best first; the first few on more seeds than the others."""
    arms = {program: arm for arm, program in reversed(candidates)}
    programs = list(arms)
    rows = table.rate_within(programs, _LOOK_SEEDS)
    ranking = [Rated(p, arms[p], row) for p, row in zip(programs, rows, strict=True)]
    ranking.sort(key=lambda rated: -rated.mean)
    first, rest = ranking[:_FINALISTS], ranking[_FINALISTS:]
    more = table.rate_within([rated.program for rated in first], _FINAL_SEEDS)
    first = [
        replace(rated, returns=rated.returns + row) for rated, row in zip(first, more, strict=True)
    ]
    return [*sorted(first, key=lambda rated: -rated.mean), *rest]


def thin(state: State, ranking: Sequence[Rated]) -> None:
    """End the arms that are spent, those clearly behind, and in time all but the best.

    More weights take longer to tune: an arm is behind only what has as many, until all that have
    fewer had their time.
    """
    leaders: dict[int, Rated] = {}
    for rated in ranking:
        leaders.setdefault(rated.arm, rated)
    leaders.pop(-1, None)
    kept = [
        number
        for number, rated in leaders.items()
        if not state.arms[number].is_spent
        and not any(
            len(other.program.weights) >= len(rated.program.weights) and _is_behind(rated, other)
            for other in ranking
        )
    ]
    if state.slices >= _TWINS_FOR:
        best_of = {state.arms[number].family: number for number in reversed(kept)}
        kept = [number for number in kept if number in best_of.values()]
    if state.slices >= _ALL_FOR:
        kept = kept[:1]
    state.arms = [state.arms[number] for number in kept]


def _is_behind(rated: Rated, best: Rated) -> bool:
    """Whether chance does not explain how much worse it did on the seeds that both played."""
    if rated is best:
        return False
    gaps = [a - b for a, b in zip(best.returns, rated.returns, strict=False)]
    error = statistics.stdev(gaps) / math.sqrt(len(gaps))
    return statistics.fmean(gaps) > _CLEARLY * error


def prune(table: Table, program: VectorProgram) -> VectorProgram:
    """The same program without the weights that do nothing for it: half of them, then halves."""
    order = sorted(range(len(program.weights)), key=lambda i: abs(program.weights[i]))
    kept, n_dropped, step = program, 0, len(order) // 2
    first = table.next_seed
    (whole_row,) = table.rate_within([program], _PRUNING_SEEDS, _PRUNING_SHARE)
    n_seeds = len(whole_row)
    enough = statistics.fmean(whole_row) - _SAME * statistics.stdev(whole_row) / math.sqrt(n_seeds)
    while step and table.is_within(1.0):
        table.next_seed = first  # the same episodes for all
        dropped = set(order[: n_dropped + step])
        weights = tuple(0.0 if i in dropped else w for i, w in enumerate(program.weights))
        smaller = replace(program, weights=weights)
        (row,) = table.rate([smaller], n_seeds)
        if statistics.fmean(row) >= enough:
            kept, n_dropped = smaller, n_dropped + step
        step //= 2
    return kept
