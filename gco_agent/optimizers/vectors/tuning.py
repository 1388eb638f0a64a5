"""CMA-ES over the weights of a program, gone on with from slice to slice.

Between slices the strategy is plain numbers: where it is, how wide it searches, and the shape of
its search. Within a slice the library sees coordinates in which that shape is round.
"""

from __future__ import annotations

import statistics
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from gco_agent.optimizers.vectors.program import FAMILIES, Family, VectorProgram, finite_number

_FIRST_WIDTH = 0.5
_SIZE = 1.0
"""Programs in a generation, in multiples of what the library takes."""
_MOST_SHAPED = 150
"""Weights up to which their dependence on each other is learned."""
_DIGITS = 6

Rate = Callable[[Sequence[VectorProgram]], list[float]]
"""Mean returns of a generation's programs, all on the same new seeds."""


@dataclass
class Arm:
    """One family of programs under search.

    Attributes:
        family: Which one.
        mean: The program in the middle.
        width: Standard deviation of the search along its widest axis.
        shape: Square root of its covariance, by rows; empty for round.
        score: Mean return of the last generation.
        generations: How many there have been.
    """

    family: Family
    mean: list[float]
    width: float = _FIRST_WIDTH
    shape: list[list[float]] = field(default_factory=list)
    score: float = float("-inf")
    generations: int = 0

    @property
    def program(self) -> VectorProgram:
        """The program in the middle."""
        return VectorProgram(self.family, tuple(self.mean))

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "family": self.family,
            "mean": self.mean,
            "width": self.width,
            "shape": self.shape,
            "score": self.score if self.generations else None,
            "generations": self.generations,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Arm:
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
        )
        if arm.width <= 0:
            raise ValueError(f"the width {arm.width!r} is not above 0")
        return arm


def tune(arm: Arm, rate: Rate, go_on: Callable[[], bool], rng_seed: int) -> VectorProgram:
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
    options: dict[str, Any] = {"verbose": -9, "seed": rng_seed, "CMA_diagonal": n > _MOST_SHAPED}
    options["popsize"] = int(_SIZE * (4 + int(3 * np.log(n))))
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
        scores = rate(programs)
        strategy.tell(points, [-score for score in scores])
        best = programs[max(range(len(scores)), key=scores.__getitem__)]
        arm.score = statistics.fmean(scores)
        arm.generations += 1
    arm.mean = at(strategy.mean)
    arm.width = float(f"{strategy.sigma:.{_DIGITS}g}")
    if n <= _MOST_SHAPED:
        arm.shape = _root(np.asarray(strategy.C), shape)
    return best


def _root(covariance: npt.NDArray[np.float64], before: Any) -> list[list[float]]:  # noqa: ANN401
    """The square root of the covariance in the outer coordinates."""
    values, vectors = np.linalg.eigh(covariance)
    inner = vectors @ np.diag(np.sqrt(np.maximum(values, 1e-12))) @ vectors.T
    outer = inner if before is None else before @ inner
    return [[float(f"{number:.{_DIGITS}g}") for number in row] for row in outer]
