"""CMA-ES, for whoever has numbers to move: the only module that imports cma.

Source: Hansen 2016, arXiv:1604.00772; the package cma.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

FLOOR = 0.02
"""Smallest standard deviation that a number begins with, in units of its scale."""

Point = npt.NDArray[np.float64]


class Evolution:
    """A distribution of points around an origin, moved towards those that lose least.

    Coordinates are in units of each number's scale, so that one spread fits all of them. What is
    asked for depends on the seed and on what was told alone.

    Args:
        origin: The numbers to begin with.
        scale: How far a typical change of each goes.
        spread: Standard deviation of each, in units of its scale.
        rng_seed: Positive.
    """

    def __init__(
        self,
        origin: Sequence[float],
        scale: Sequence[float],
        spread: Sequence[float],
        rng_seed: int,
    ) -> None:
        import cma

        self._origin, self._scale = np.array(origin), np.array(scale)
        stds = np.maximum(np.array(spread), FLOOR)
        options = {"verbose": -9, "seed": rng_seed, "CMA_stds": stds}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # cma warns of one dimension, which works
            self._strategy: Any = cma.CMAEvolutionStrategy(np.zeros(len(origin)), 1.0, options)
        self._asked: list[Any] = []

    @property
    def size(self) -> int:
        """Points in a generation."""
        return int(self._strategy.popsize)

    def ask(self) -> list[Point]:
        """The next generation."""
        self._asked = self._strategy.ask()
        return [self._at(point) for point in self._asked]

    def tell(self, losses: Sequence[float]) -> None:
        """What the points of the last generation lost, in their order; less is better."""
        self._strategy.tell(self._asked, losses)

    @property
    def mean(self) -> Point:
        """The point in the middle."""
        return self._at(self._strategy.mean)

    @property
    def spread(self) -> list[float]:
        """Standard deviations now, in units of the scales."""
        return [round(float(s), 4) for s in self._strategy.stds]

    def _at(self, point: npt.ArrayLike) -> Point:
        numbers: Point = self._origin + np.asarray(point, dtype=np.float64) * self._scale
        return numbers
