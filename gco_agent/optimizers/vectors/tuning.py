"""CMA-ES over the weights of a program, gone on with from slice to slice.

Between slices the strategy is plain numbers: where it is, how wide it searches, and the shape of
its search. Within a slice the library sees coordinates in which that shape is round.

How many episodes a program plays follows from how well two halves of them agree on the order of a
generation: few while programs differ much, many where chance hides the differences.
"""

from __future__ import annotations

import statistics
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from gco_agent.core.codec import finite_number
from gco_agent.optimizers.vectors.program import FAMILIES, Family, VectorProgram

_FIRST_WIDTH = 0.5
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
_NARROW = 0.005

Returns = Sequence[Sequence[float]]
"""Of each program, on the same seeds."""
Rate = Callable[[Sequence[VectorProgram], int], Returns]
"""Plays a generation on so many new seeds, or on as many as it can."""


@dataclass
class TuningRun:
    """One family of programs under search.

    Attributes:
        family: Which one.
        mean: The program in the middle.
        width: Standard deviation of the search along its widest axis.
        shape: Square root of its covariance, by rows; empty for round.
        score: Mean return of the last generation.
        generations: How many there have been.
        n_seeds: Episodes for each program of the next one.
        told: Running mean of how well the halves agreed.
        blind: Generations in a row that told too little.
    """

    family: Family
    mean: list[float]
    width: float = _FIRST_WIDTH
    shape: list[list[float]] = field(default_factory=list)
    score: float = float("-inf")
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

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "family": self.family,
            "mean": self.mean,
            "width": self.width,
            "shape": self.shape,
            "score": self.score if self.generations else None,
            "generations": self.generations,
            "n_seeds": self.n_seeds,
            "told": self.told,
            "blind": self.blind,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> TuningRun:
        """Inverse of `to_json`.

        Raises:
            ValueError: A number is none, or there is no such family.
        """
        if data["family"] not in FAMILIES:
            raise ValueError(f"there is no family {data['family']!r}")
        score = data["score"]
        arm = cls(
            data["family"],
            [finite_number(weight) for weight in data["mean"]],
            finite_number(data["width"]),
            [[finite_number(part) for part in row] for row in data["shape"]],
            float("-inf") if score is None else finite_number(score),
            int(data["generations"]),
            int(data["n_seeds"]),
            float(data["told"]),
            int(data["blind"]),
        )
        if arm.width <= 0:
            raise ValueError(f"the width {arm.width!r} is not above 0")
        return arm


def tune(arm: TuningRun, rate: Rate, go_on: Callable[[], bool], rng_seed: int) -> VectorProgram:
    """Move ``arm`` while ``go_on``; at least one generation.

    Args:
        arm: Changed in place.
        rate: Plays a generation.
        go_on: Asked before every generation but the first.
        rng_seed: Seeds the strategy; positive.

    Returns:
        The best program of the last generation.
    """
    import cma

    n = len(arm.mean)
    centre, shape = np.array(arm.mean), np.array(arm.shape) if arm.shape else None
    randn = np.random.RandomState(rng_seed).randn
    diagonal = n > _MOST_SHAPED
    options = {"verbose": -9, "randn": randn, "seed": None, "CMA_diagonal": diagonal}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # cma warns of one dimension, which works
        strategy: Any = cma.CMAEvolutionStrategy(np.zeros(n), arm.width, options)

    def at(point: npt.ArrayLike) -> list[float]:
        moved = np.asarray(point) if shape is None else shape @ np.asarray(point)
        return [float(f"{number:.{_DIGITS}g}") for number in centre + moved]

    best = arm.program
    is_first = True
    while is_first or go_on():
        is_first = False
        points = strategy.ask()
        programs = [VectorProgram(arm.family, tuple(at(point))) for point in points]
        returns = rate(programs, arm.n_seeds)
        scores = [statistics.fmean(row) for row in returns]
        strategy.tell(points, [-score for score in scores])
        best = programs[max(range(len(scores)), key=scores.__getitem__)]
        arm.score = statistics.fmean(scores)
        arm.generations += 1
        _learn_noise(arm, returns)
    arm.mean = at(strategy.mean)
    arm.width = float(f"{strategy.sigma:.{_DIGITS}g}")
    if n <= _MOST_SHAPED:
        arm.shape = _root(np.asarray(strategy.C), shape)
    return best


def _learn_noise(arm: TuningRun, returns: Returns) -> None:
    """Set how many episodes the next generation plays, by how much the last ones' told."""
    n = len(returns[0])
    arm.told = round((1 - _NEW) * arm.told + _NEW * agreement(returns), 4)
    is_doubtful, is_most = arm.told < _DOUBTFUL, n < arm.n_seeds or n >= _MOST_SEEDS
    arm.blind = arm.blind + 1 if is_doubtful and is_most else 0
    if is_doubtful:
        arm.n_seeds = min(_MOST_SEEDS, max(arm.n_seeds, round(n * _MORE + 0.5)))
    elif arm.told > _PLAIN:
        arm.n_seeds = max(_FEWEST_SEEDS, round(n * _LESS))


def agreement(returns: Returns) -> float:
    """Rank correlation of the programs by every other episode and by the rest.

    1 where a half has all of them equal: more episodes would not tell them apart.
    """
    first = np.array([statistics.fmean(row[::2]) for row in returns])
    second = np.array([statistics.fmean(row[1::2] or row) for row in returns])
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 1.0
    return float(np.corrcoef(_ranks(first), _ranks(second))[0, 1])


def _ranks(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The rank of each value; equal values have the mean of theirs."""
    order = np.sort(values)
    below, up_to = np.searchsorted(order, values), np.searchsorted(order, values, "right")
    ranks: npt.NDArray[np.float64] = (below + up_to) / 2
    return ranks


def _root(covariance: npt.NDArray[np.float64], before: Any) -> list[list[float]]:  # noqa: ANN401
    """The square root of the covariance in the outer coordinates."""
    values, vectors = np.linalg.eigh(covariance)
    inner = vectors @ np.diag(np.sqrt(np.maximum(values, 1e-12))) @ vectors.T
    outer = inner if before is None else before @ inner
    return [[float(f"{number:.{_DIGITS}g}") for number in row] for row in outer]
