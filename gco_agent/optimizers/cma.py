"""CMA-ES, and the budget of steps that a search may play in one go."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

_USUAL_PACE = 800
"""Steps a second of one worker, in the jail; measured 700 to 1,600 on two cores of 2026."""


@dataclass
class StepBudget:
    """Steps that may be played, and the time for them.

    Attributes:
        deadline: `time.perf_counter` value after which no batch is begun.
        begun: `time.perf_counter` value from which time is shared out as the steps are. None where
            only the deadline matters, so that results do not depend on a machine that is fast
            enough.
    """

    n_steps: int
    deadline: float
    used: int = 0
    begun: float | None = None

    @classmethod
    def for_time(cls, seconds: float, n_workers: int, n_steps: int | None = None) -> Self:
        """Return a budget for ``seconds`` from now; the steps they usually allow, if not given."""
        now = time.perf_counter()
        affordable = n_steps or max(1, round(seconds * n_workers * _USUAL_PACE))
        return cls(affordable, now + seconds, begun=now)

    @property
    def left(self) -> int:
        """Steps that may still be played; never negative."""
        return max(0, self.n_steps - self.used)

    def share(self, part: float) -> bool:
        """Return whether less than ``part`` (0 to 1) of the budget is used up."""
        now = time.perf_counter()
        end = self.deadline
        if self.begun is not None:
            end = self.begun + part * (end - self.begun)
        return now < end and self.used < self.n_steps * part


FLOOR = 0.02
"""Smallest standard deviation that a number begins with, in units of its scale."""

Point = npt.NDArray[np.float64]


class Evolution:
    """A distribution of points around an origin, moved towards those that lose least.

    Coordinates are in units of each number's scale, so that one spread fits all of them. The points
    depend only on the seed and on the losses.

    Args:
        origin: The numbers to begin with, (n,).
        scale: How far a typical change of each goes, (n,); or the axes of the search as columns,
            (n, n).
        spread: Standard deviation of each, in units of its scale; or one for all.
        is_diagonal: Learn no dependence of the numbers on each other.
    """

    def __init__(
        self,
        origin: Sequence[float],
        scale: npt.ArrayLike,
        spread: Sequence[float] | float,
        rng_seed: int,
        *,
        is_diagonal: bool = False,
    ) -> None:
        import cma

        self._origin, self._scale = np.array(origin), np.array(scale)
        # Numbers of its own: cma would draw from NumPy's global generator, which others use too.
        randn = np.random.RandomState(rng_seed).randn
        options = {"verbose": -9, "randn": randn, "seed": None, "CMA_diagonal": is_diagonal}
        width = 1.0
        if isinstance(spread, Sequence):
            options["CMA_stds"] = np.maximum(np.array(spread), FLOOR)
        else:
            width = spread
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # cma warns of one dimension, which works
            self._strategy: Any = cma.CMAEvolutionStrategy(np.zeros(len(origin)), width, options)
        self._asked: list[Any] = []

    @property
    def size(self) -> int:
        """Points in a generation."""
        return int(self._strategy.popsize)

    def ask(self) -> list[Point]:
        """Return the next generation."""
        self._asked = self._strategy.ask()
        return [self._at(point) for point in self._asked]

    def tell(self, losses: Sequence[float]) -> None:
        """Take in what the points of the last generation lost, in their order; less is better."""
        self._strategy.tell(self._asked, losses)

    @property
    def mean(self) -> Point:
        """The point in the middle."""
        return self._at(self._strategy.mean)

    @property
    def spread(self) -> list[float]:
        """Standard deviations now, in units of the scales."""
        return [round(float(s), 4) for s in self._strategy.stds]

    @property
    def width(self) -> float:
        """Overall standard deviation, as a multiple of the shape."""
        return float(self._strategy.sigma)

    @property
    def shape(self) -> Point:
        """Square root of the covariance, (n, n): `scale` of one that continues this evolution."""
        values, vectors = np.linalg.eigh(np.asarray(self._strategy.C))
        root = vectors @ np.diag(np.sqrt(np.maximum(values, 1e-12))) @ vectors.T
        outer: Point = self._scale @ root if self._scale.ndim > 1 else self._scale[:, None] * root
        return outer

    def _at(self, point: npt.ArrayLike) -> Point:
        moved = np.asarray(point, dtype=np.float64)
        scaled = self._scale @ moved if self._scale.ndim > 1 else moved * self._scale
        numbers: Point = self._origin + scaled
        return numbers
