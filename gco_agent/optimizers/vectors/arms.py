"""Searches over the weights of a program side by side: begun, tuned by CMA-ES, compared, ended.

Between slices an arm is plain numbers: where it is, how wide it searches, and the shape of its
search. How many episodes a program plays follows from how well two halves of them agree on the
order of a generation: few while programs differ much, many where chance hides the differences.
"""

from __future__ import annotations

import math
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from gco_agent.core.records import PlayProtocol
from gco_agent.evaluation.workers import WorkerPool
from gco_agent.optimizers.cma import Evolution, Point, StepBudget
from gco_agent.optimizers.vectors.play import Episodes, play
from gco_agent.optimizers.vectors.program import Family, Task, VectorProgram, render, size

_BATCH_SHARE = 0.06
"""Of a slice, that one generation may use up; a program plays two episodes at least."""
_PACE_STEPS = 1_000
"""Steps after which the pace of the machine is known."""
_PART = 4
"""Episodes in one order to a worker: all workers are to be done at about the same time."""
_GRACE_S = 2.0
"""Seconds after the deadline in which the last batches are played, where a step costs little."""
_FEWEST_ARMS = 2
"""To begin with; one of each family if there are more families."""
_MOST_ARMS = 64
_TWINS_FOR, _ALL_FOR = 2, 3
"""Slices after which one arm of a family is left, and one in all."""
_SCREENED = 12
_SCREENING_SEEDS, _LIKELY_SEEDS = 2, 8
_LOOK_SEEDS, _FINAL_SEEDS, _FINALISTS = 20, 50, 2
"""Episodes that every finalist is rated on; and the best few of them after that."""
_PRUNING_SEEDS, _PRUNING_SHARE = 40, 0.02
_SCREENING_SHARE, _TUNING_SHARE = 0.12, 0.88
_SAME = 0.5
"""Standard errors of the full program's mean by which one with fewer weights may be worse."""
_CLEARLY = 2.0
"""Standard errors of a paired difference that chance does not explain."""
_FIRST_WIDTH, _NARROW = 0.5, 0.005
"""Standard deviation that a search begins with, and below which nothing more is found."""
_MOST_SHAPED = 150
"""Weights up to which their dependence on each other is learned."""
_DIGITS = 6
_FEWEST_SEEDS, _MOST_SEEDS = 2, 64
_MORE, _LESS = 1.25, 0.8
_DOUBTFUL, _PLAIN = 0.12, 0.35
"""Rank correlation of the halves below which more episodes are played, above which fewer. Low: the
strategy averages over programs and generations, so that few episodes of many programs tell more
than many of few."""
_NEW = 0.2
"""Weight of the last generation's correlation in the running mean of it."""
_BLIND = 20
"""Generations in a row in which as much as can be played tells too little."""

Row = tuple[float, ...]
"""Returns of one program, an episode each."""


@dataclass
class Arm:
    """One family of programs under search.

    Attributes:
        width: Standard deviation of the search along its widest axis.
        shape: Square root of its covariance, by rows; empty for round.
        score: Mean return of the last generation; None before any.
        n_seeds: Episodes for each program of the next one.
        told: Running mean of the agreement of the halves.
        blind: Generations in a row with too little agreement.
    """

    family: Family
    mean: list[float]
    width: float = _FIRST_WIDTH
    shape: list[list[float]] = field(default_factory=list)
    score: float | None = None
    generations: int = 0
    n_seeds: int = _FEWEST_SEEDS
    told: float = _PLAIN
    blind: int = 0

    @property
    def program(self) -> VectorProgram:
        """The program in the middle."""
        return VectorProgram(self.family, tuple(self.mean))

    @property
    def is_spent(self) -> bool:
        """Whether going on with it would find nothing more."""
        widest = float(np.linalg.norm(np.array(self.shape), 2)) if self.shape else 1.0
        return self.blind >= _BLIND or self.width * widest < _NARROW


@dataclass
class State:
    """What the search remembers between slices.

    Attributes:
        proposed: Digests of the texts that became candidates, with the iteration in which they did.
    """

    schema: int
    scale: tuple[float, ...]
    is_vector: bool
    arms: list[Arm] = field(default_factory=list)
    begun: int = 0
    slices: int = 0
    best: VectorProgram | None = None
    proposed: dict[str, int] = field(default_factory=dict)

    def require_fits(self, task: Task) -> None:
        """Refuse a state of another task."""
        if len(self.arms) > _MOST_ARMS:
            raise ValueError(f"{len(self.arms):,} arms, of which {_MOST_ARMS} are possible")
        for arm in self.arms:
            if not 1 <= arm.n_seeds <= _MOST_SEEDS:
                raise ValueError(f"an arm plays {arm.n_seeds:,} episodes a program")
            n = size(task, arm.family)
            sizes = {len(arm.mean), *(len(row) for row in arm.shape)}
            if sizes != {n} or len(arm.shape) not in (0, n) or arm.width <= 0:
                raise ValueError(f"an arm has {sorted(sizes)} numbers, and {n} are needed")
        best = self.best
        if best is not None and len(best.weights) != size(task, best.family):
            raise ValueError(f"the best program has {len(best.weights)} numbers")


@dataclass
class Table:
    """Plays programs on feedback seeds, each batch on new ones.

    Attributes:
        seeds: Feedback seeds of this slice; from the first again when all were played.
    """

    pool: WorkerPool
    protocol: PlayProtocol
    task: Task
    seeds: range
    budget: StepBudget
    on_batch: Callable[[VectorProgram], None] = lambda _leader: None
    next_seed: int = 0
    episodes: int = 0
    last: Row = ()

    def rate(self, programs: Sequence[VectorProgram], n_seeds: int) -> list[Row]:
        """Return the returns of ``programs``, of all on the same new seeds.

        Programs that are not played in time count as the worst of those that are; where none is,
        as the last row that was played.
        """
        first, self.next_seed = self.next_seed, self.next_seed + n_seeds
        numbers = range(first, first + n_seeds)
        seeds = [self.seeds[i % len(self.seeds)] for i in numbers]
        parts = [tuple(seeds[i : i + _PART]) for i in range(0, n_seeds, _PART)]
        texts = [render(self.task, program) for program in programs]
        tasks = [Episodes(self.protocol, text, part) for text in texts for part in parts]
        deadline = self.budget.deadline + _GRACE_S
        results = list(self.pool.imap(play, tasks, deadline, least=0 if self.last else 1))
        n_whole = len(results) // len(parts)
        rows = [
            tuple(x for played in results[i : i + len(parts)] for x in played.returns)
            for i in range(0, n_whole * len(parts), len(parts))
        ]
        if not rows and results:
            self.last = results[0].returns
        rows = rows or [(statistics.fmean(self.last),) * n_seeds]
        self.last = rows[0]
        rows += [min(rows, key=statistics.fmean)] * (len(programs) - len(rows))
        self.budget.used += sum(played.n_steps for played in results)
        self.episodes += n_seeds * max(1, n_whole)
        means = [statistics.fmean(row) for row in rows]
        self.on_batch(programs[means.index(max(means))])
        return rows

    def rate_within(
        self, programs: Sequence[VectorProgram], n_seeds: int, share: float = _BATCH_SHARE
    ) -> list[Row]:
        """Rate as `rate` does, on fewer seeds if all would take more than ``share`` of a slice."""
        usual = self.budget.used / max(1, self.episodes)
        affordable = share * self._reach() / max(1.0, usual * len(programs))
        return self.rate(programs, max(2, min(n_seeds, int(affordable))))

    @property
    def done(self) -> float:
        """The share of the slice that is used up, from 0 to 1."""
        return min(1.0, self.budget.used / self._reach())

    def is_within(self, share: float) -> bool:
        """Return whether less than ``share`` of the slice is used up."""
        is_in_time = time.perf_counter() < self.budget.deadline
        return self.budget.used < share * self._reach() and is_in_time

    def _reach(self) -> float:
        """Total steps of the slice, as estimated from its pace if the clock cuts it."""
        budget = self.budget
        begun = budget.begun or 0.0
        spent = time.perf_counter() - begun
        if budget.used < _PACE_STEPS or spent <= 0:
            return budget.n_steps
        return min(budget.n_steps, budget.used / spent * (budget.deadline - begun))


@dataclass(frozen=True, slots=True)
class Rated:
    """A program and its returns, on the same seeds as those it is compared with.

    Attributes:
        arm: Place in `State.arms` of the one it came from; -1 for none.
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
        state.arms.append(Arm(family, list(start.weights), score=max(scores)))
        state.begun += 1


def tune_all(table: Table, state: State, rng_seed: int) -> list[tuple[int, VectorProgram]]:
    """Tune every arm for an equal share of the remaining time.

    Returns:
        The number of each arm with its middle, and with the best of its last generation.
    """
    state.slices += 1
    begun = min(_TUNING_SHARE, table.done)
    candidates = []
    for number, arm in enumerate(state.arms):
        if number and not table.is_within(1.0):  # the first has used up the time
            candidates.append((number, arm.program))
            continue
        share = begun + (_TUNING_SHARE - begun) * (number + 1) / len(state.arms)

        def go_on(arm: Arm = arm, share: float = share) -> bool:
            return not arm.is_spent and table.is_within(share)

        best = tune(arm, table.rate_within, go_on, rng_seed + number)
        candidates += [(number, arm.program), (number, best)]
    return candidates


def tune(
    arm: Arm,
    rate: Callable[[Sequence[VectorProgram], int], Sequence[Row]],
    go_on: Callable[[], bool],
    rng_seed: int,
) -> VectorProgram:
    """Move ``arm`` while ``go_on``; at least one generation.

    Args:
        rate: Plays a generation on this many new seeds, or on as many as it can.
    """
    n = len(arm.mean)
    scale = np.array(arm.shape) if arm.shape else np.ones(n)
    evolution = Evolution(arm.mean, scale, arm.width, rng_seed, is_diagonal=n > _MOST_SHAPED)
    best, is_first = arm.program, True
    while is_first or go_on():
        is_first = False
        programs = [VectorProgram(arm.family, tuple(_rounded(p))) for p in evolution.ask()]
        returns = rate(programs, arm.n_seeds)
        scores = [statistics.fmean(row) for row in returns]
        evolution.tell([-score for score in scores])
        best = programs[scores.index(max(scores))]
        arm.score = statistics.fmean(scores)
        arm.generations += 1
        _learn_noise(arm, returns)
    arm.mean = _rounded(evolution.mean)
    [arm.width] = _rounded([evolution.width])
    if n <= _MOST_SHAPED:
        arm.shape = [_rounded(row) for row in evolution.shape]
    return best


def _rounded(numbers: Point | Sequence[float]) -> list[float]:
    return [float(f"{number:.{_DIGITS}g}") for number in numbers]


def _learn_noise(arm: Arm, returns: Sequence[Row]) -> None:
    """Set the episodes of the next generation by the agreement of the last ones."""
    n = len(returns[0])
    arm.told = round((1 - _NEW) * arm.told + _NEW * agreement(returns), 4)
    is_doubtful, is_most = arm.told < _DOUBTFUL, n < arm.n_seeds or n >= _MOST_SEEDS
    arm.blind = arm.blind + 1 if is_doubtful and is_most else 0
    if is_doubtful:
        arm.n_seeds = min(_MOST_SEEDS, max(arm.n_seeds, round(n * _MORE + 0.5)))
    elif arm.told > _PLAIN:
        arm.n_seeds = max(_FEWEST_SEEDS, round(n * _LESS))


def agreement(returns: Sequence[Row]) -> float:
    """Return the rank correlation of the programs by every other episode and by the rest.

    1 where a half has all of them equal: more episodes would not tell them apart.
    """
    first = np.array([statistics.fmean(row[::2]) for row in returns])
    second = np.array([statistics.fmean(row[1::2] or row) for row in returns])
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 1.0
    return float(np.corrcoef(_ranks(first), _ranks(second))[0, 1])


def _ranks(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the rank of each value; equal values have the mean of theirs."""
    order = np.sort(values)
    below, up_to = np.searchsorted(order, values), np.searchsorted(order, values, "right")
    ranks: npt.NDArray[np.float64] = (below + up_to) / 2
    return ranks


def choose(table: Table, candidates: Sequence[tuple[int, VectorProgram]]) -> list[Rated]:
    """Return the candidates, the best first; the first few played on more seeds than the others."""
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
    """Return whether chance does not explain how much worse it did on the seeds of both."""
    if rated is best:
        return False
    gaps = [a - b for a, b in zip(best.returns, rated.returns, strict=False)]
    error = statistics.stdev(gaps) / math.sqrt(len(gaps))
    return statistics.fmean(gaps) > _CLEARLY * error


def prune(table: Table, program: VectorProgram) -> VectorProgram:
    """Return the program without the weights that do nothing: half of them, then halves."""
    order = sorted(range(len(program.weights)), key=lambda i: abs(program.weights[i]))
    kept, n_dropped, step = program, 0, len(order) // 2
    first = table.next_seed
    [whole_row] = table.rate_within([program], _PRUNING_SEEDS, _PRUNING_SHARE)
    n_seeds = len(whole_row)
    enough = statistics.fmean(whole_row) - _SAME * statistics.stdev(whole_row) / math.sqrt(n_seeds)
    while step and table.is_within(1.0):
        table.next_seed = first  # the same episodes for all
        dropped = set(order[: n_dropped + step])
        weights = tuple(0.0 if i in dropped else w for i, w in enumerate(program.weights))
        smaller = replace(program, weights=weights)
        [row] = table.rate([smaller], n_seeds)
        if statistics.fmean(row) >= enough:
            kept, n_dropped = smaller, n_dropped + step
        step //= 2
    return kept
