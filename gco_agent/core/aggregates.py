"""Aggregate scores of several runs of several games, after Agarwal et al. 2021 (arXiv:2108.13264).

The definitions are those of the package rliable, which is not a dependency as it brings pandas,
seaborn and statsmodels. Scores are given by game: a score for each run.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from gco_agent.core.statistics import FEWEST_FOR_INTERVAL, sign_flip_p

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Arrays: TypeAlias = Sequence[npt.NDArray[np.float64]]

Scores: TypeAlias = Mapping[str, Sequence[float]]
_N_RESAMPLES, _LEVEL = 2_000, 0.95
_FEWEST_OF_A_GAME = 3
_LEAST_TAU, _MOST_TAU, _N_TAUS = 0.0, 2.0, 41


@dataclass(frozen=True, slots=True)
class Estimate:
    """An aggregate, and the ends of its 95 % interval; None where there are too few runs."""

    value: float
    low: float | None = None
    high: float | None = None


def iqm(arrays: Arrays) -> npt.NDArray[np.float64]:
    """Return the mean of the middle half of all scores."""
    import numpy as np
    from scipy.stats import trim_mean

    return np.asarray(trim_mean(np.concatenate(arrays, axis=-1), 0.25, axis=-1))


def mean(arrays: Arrays) -> npt.NDArray[np.float64]:
    """Return the mean over games of the mean over runs."""
    import numpy as np

    return np.asarray(np.mean([each.mean(axis=-1) for each in arrays], axis=0))


def median(arrays: Arrays) -> npt.NDArray[np.float64]:
    """Return the median over games of the mean over runs; of one game, the median over its runs."""
    import numpy as np

    if len(arrays) == 1:
        return np.asarray(np.median(arrays[0], axis=-1))
    return np.asarray(np.median([each.mean(axis=-1) for each in arrays], axis=0))


def optimality_gap(arrays: Arrays) -> npt.NDArray[np.float64]:
    """Return by how much scores miss 1 on average, where a score above 1 counts as 1."""
    import numpy as np

    return np.asarray(1 - np.minimum(np.concatenate(arrays, axis=-1), 1).mean(axis=-1))


AGGREGATES: dict[str, Callable[[Arrays], npt.NDArray[np.float64]]] = {
    "iqm": iqm,
    "median": median,
    "mean": mean,
    "optimality_gap": optimality_gap,
}


def estimate(statistic: Callable[[Arrays], npt.NDArray[np.float64]], scores: Scores) -> Estimate:
    """Return a statistic with its stratified bootstrap interval: runs are drawn for each game.

    There is none with fewer than five runs in all, or, of several games, fewer than three of one.
    """
    import numpy as np

    arrays = [np.asarray(values, dtype=np.float64) for values in scores.values()]
    value = float(statistic(arrays))
    if not _is_enough(scores):
        return Estimate(value)
    rng = np.random.default_rng(len(arrays))
    drawn = [each[rng.integers(0, len(each), (_N_RESAMPLES, len(each)))] for each in arrays]
    low, high = np.quantile(statistic(drawn), [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return Estimate(value, float(low), float(high))


def _is_enough(scores: Scores) -> bool:
    sizes = [len(values) for values in scores.values()]
    return sum(sizes) >= FEWEST_FOR_INTERVAL and (
        len(sizes) == 1 or min(sizes) >= _FEWEST_OF_A_GAME
    )


def performance_profile(scores: Scores, thresholds: Sequence[float]) -> list[Estimate]:
    """Return for each threshold the share of runs that score above it, averaged over games."""

    def above(threshold: float, arrays: Arrays) -> npt.NDArray[np.float64]:
        import numpy as np

        return np.asarray(np.mean([(each > threshold).mean(axis=-1) for each in arrays], axis=0))

    return [estimate(functools.partial(above, tau), scores) for tau in thresholds]


def thresholds_of(scores: Sequence[float], *, is_normalized: bool) -> list[float]:
    """Return thresholds for a profile: 0 to 2 or more, or the range of the scores and a margin."""
    least = min([*scores, _LEAST_TAU] if is_normalized else scores)
    most = max([*scores, _MOST_TAU] if is_normalized else scores)
    if not is_normalized:  # a margin where every run is above
        least -= (most - least) / 20 or max(abs(most), 1.0) / 20
    step = (most - least) / (_N_TAUS - 1)
    return [least + i * step for i in range(_N_TAUS)]


def probability_of_improvement(x: Scores, y: Scores) -> Estimate | None:
    """Return how probably a run of ``x`` beats one of ``y``, averaged over games that both have.

    A tie counts half. None without a game in common.
    """
    import numpy as np

    games = [game for game in x if game in y]
    if not games:
        return None

    def beats(arrays: Arrays) -> npt.NDArray[np.float64]:
        pairs = zip(arrays[::2], arrays[1::2], strict=True)
        beaten = [
            (np.sign(a[..., :, None] - b[..., None, :]) / 2 + 0.5).mean(axis=(-2, -1))
            for a, b in pairs
        ]
        return np.asarray(np.mean(beaten, axis=0))

    both = {f"{game} {i}": of[game] for game in games for i, of in enumerate((x, y))}
    if not all(_is_enough({game: of[game] for game in games}) for of in (x, y)):
        arrays = [np.asarray(values, dtype=np.float64) for values in both.values()]
        return Estimate(float(beats(arrays)))
    return estimate(beats, both)


def two_sided_p(differences: Sequence[float]) -> float:
    """Test that paired differences are symmetric about 0 (sign-flip test, two-sided)."""
    smaller = min(sign_flip_p(differences), sign_flip_p([-each for each in differences]))
    return min(1.0, 2 * smaller)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number (Holm's method)."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    raised = [min(1.0, (len(order) - k) * p_values[i]) for k, i in enumerate(order)]
    found = dict(zip(order, itertools.accumulate(raised, max), strict=True))
    return [found[i] for i in range(len(p_values))]
