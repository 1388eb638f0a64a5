"""Decide races between two policies, and put intervals on mean returns.

The only module that imports scipy; it and numpy are imported where they are used.
docs/method.md says what the rules promise, and how often they keep it.
"""

from __future__ import annotations

import enum
import functools
import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

INTERIM_ANALYSES: tuple[int, ...] = (4, 10, 16, 24, 32, 48, 64)
"""Numbers of pairs after which a race is analysed."""
RACE_CPU_S = 1_200.0
"""Seconds of processor time that the candidate may use in a race, if it is slow."""
CHEAP_INTERIM_ANALYSES: tuple[int, ...] = (*INTERIM_ANALYSES, 96, 128)
"""The same where a step costs little."""
CLEAR_INTERIM_ANALYSES: tuple[int, ...] = (96, 128)
"""Further analyses where the gain is significant, and only rare losses are left to rule out."""
NO_WORSE_INTERIM_ANALYSES: tuple[int, ...] = (8, 16, 32, 64)
"""The same where a candidate only has to lose less than a margin."""
ALPHA = 0.007
"""Error rate of a race, over all its analyses: 1 - 0.993**15 = 0.10 for a run of 15 iterations."""
RARE_LOSS_ALPHA = 0.008
"""Error rate against candidates that gain on most seeds and lose it all on a few."""
NO_WORSE_ALPHA, NO_WORSE_RARE_LOSS_ALPHA = 0.10, 0.20
"""The same where a candidate only has to lose less than a margin."""
POWER = 0.80
"""Power that `Gain.n_more_pairs` is planned for."""

_FIRST_SHARE = 2 / 7
"""Part of `ALPHA` that is spent at the first analysis; the others share the rest,"""
_EARLY = 16
"""and those after at most this many pairs get twice as much each as the later ones."""
_GIVE_UP_Z, _GIVE_UP_NO_WORSE_Z = -0.7, -1.0
_FUTILE = 2.5
"""A race is given up if it would need more than this many times the pairs that are left."""
_STAKES = ((0.25, 0.1), (0.5, 0.15), (0.9, 0.25), (1.0, 0.5))
"""Bets of `rare_loss_p`: the part of its wealth that a bet stakes on each pair, in units of the
largest possible loss, and the wealth that it starts with. The full stake gets half, as it grows
fastest while no pair has lost everything."""
_UNKNOWN_LOSS = 10.0
"""Largest possible loss, in gains, where the parent's returns are all 0 and nothing is known."""
_MARGIN_SPREAD, _MARGIN_MEAN = 0.5, 0.05
_LARGEST_ENUMERATION, _MOST_RESAMPLED, _N_RESAMPLES = 12, 1_000, 4_999
_N_FLIPS, _MOST_SIGNS = 19_999, 4_000_000
FEWEST_FOR_INTERVAL = 5
"""Fewest values for an interval."""
_LOWER_BOUND = 0.80
_MOST_DOUBLINGS, _GAIN_PRECISION = 20, 0.01
_RACED_ON = 2 / 3
"""Part of its pairs that the power of a race is estimated for, as many races end early."""
_ROUNDING = 1e-9
"""Differences that vary by less than this, relative to their mean, are the same."""


class Verdict(enum.Enum):
    """Outcome of a race, so far or at its end."""

    BETTER = "better"
    NOT_BETTER = "not better"
    INCONCLUSIVE = "inconclusive"
    """Ahead of its parent, but not by enough to tell with the pairs that were played."""
    NO_WORSE = "no worse"
    MAYBE_WORSE = "maybe worse"
    UNDECIDED = "undecided"

    @property
    def is_won(self) -> bool:
        """Whether the candidate may take its parent's place."""
        return self in (Verdict.BETTER, Verdict.NO_WORSE)


class Aim(enum.Enum):
    """What a candidate has to show in a race."""

    BETTER = "better"
    NO_WORSE = "no worse"
    """A loss below a margin: for a candidate that is simpler."""

    @property
    def interim_analyses(self) -> tuple[int, ...]:
        """Numbers of pairs after which such a race is analysed."""
        return INTERIM_ANALYSES if self is Aim.BETTER else NO_WORSE_INTERIM_ANALYSES

    def critical_p(
        self, n_pairs: int, n_rivals: int = 1, analyses: Sequence[int] | None = None
    ) -> float:
        """Return the largest p-value that wins after ``n_pairs``, one of ``analyses`` or beyond.

        Args:
            analyses: Where they differ from `interim_analyses`.
        """
        analyses = analyses or self.interim_analyses
        n_pairs = min(n_pairs, analyses[-1])
        index = analyses.index(n_pairs)
        if self is Aim.NO_WORSE:
            return NO_WORSE_ALPHA / n_rivals / len(analyses)
        if index == 0:
            return ALPHA / n_rivals * _FIRST_SHARE
        return ALPHA / n_rivals * (1 - _FIRST_SHARE) * _later_share(n_pairs, analyses)


def _later_share(n_pairs: int, analyses: Sequence[int]) -> float:
    """Return the part of an error rate, shared by all but the first analysis, that one gets."""
    weights = {n: 2 if n <= _EARLY else 1 for n in analyses[1:]}
    return weights[n_pairs] / sum(weights.values())


@dataclass(frozen=True, slots=True)
class Gain:
    """Difference of returns, candidate minus parent, paired by seed.

    Attributes:
        mean: Points an episode; positive when the candidate is better.
        standard_error: Of that mean; None below two pairs.
        p_value: One-sided, of "no gain", or of "a loss of at least the margin".
        rare_loss_p: The same if the candidate may lose everything on seeds not yet seen.
        n_more_pairs: Unless significant by now: pairs to go until a gain of this size would be,
            with power 0.8; None if there is no gain.
    """

    mean: float
    standard_error: float | None
    n_pairs: int
    p_value: float
    rare_loss_p: float = 1.0
    n_more_pairs: int | None = None

    @property
    def z(self) -> float:
        """Mean in standard errors; 0 for one pair, infinite where all differences are the same."""
        if self.standard_error is None or not self.mean:
            return 0.0
        if not self.standard_error:
            return math.copysign(math.inf, self.mean)
        return self.mean / self.standard_error

    @property
    def lower_bound(self) -> float:
        """Lower 0.9 confidence bound (Student's), to rank winners; -inf for one pair."""
        if self.standard_error is None:
            return -math.inf
        return self.mean - half_width(self.standard_error, self.n_pairs, _LOWER_BOUND)


def paired_gain(
    child: Sequence[float],
    parent: Sequence[float],
    *,
    low: float | None = None,
    margin: float | None = None,
    is_same_play: bool = False,
) -> Gain:
    """Compare returns on the same seeds, in the same order.

    Args:
        low: Least return the game has, if known. It bounds what the candidate may lose.
        margin: Test that the loss is below this, instead of that there is a gain.
        is_same_play: Both took the same actions on every seed, so that with a margin no rare loss
            is looked for.
    """
    differences = [a - b for a, b in zip(child, parent, strict=True)]
    if not differences:
        raise ValueError("no pairs to compare")
    n, mean = len(differences), statistics.fmean(differences)
    error = statistics.stdev(differences) / math.sqrt(n) if n > 1 else None
    if error is not None and error <= _ROUNDING * abs(mean):
        error = 0.0
    shifted = [difference + (margin or 0.0) for difference in differences]
    if margin is not None and (is_same_play or not any(shifted)):  # there was nothing to lose
        return Gain(mean, error, n, 0.5**n, 0.0, 0)
    unit = _largest_loss(differences, parent, low)
    relative = [difference / unit for difference in shifted]
    p_value = min(sign_flip_p(shifted), overwhelming_p(relative))
    more = _more_pairs(relative, is_margin=margin is not None)
    return Gain(mean, error, n, p_value, rare_loss_p(relative), more)


def sign_flip_p(differences: Sequence[float]) -> float:
    """Test that paired differences are symmetric about 0, against a positive mean (one-sided).

    All sign patterns are enumerated for up to 12 pairs. Above that 19,999 are drawn (fewer above
    200 pairs), the same ones in every process.
    """
    import numpy as np

    n = len(differences)
    signs = _sign_patterns(n)
    values = np.asarray(differences, dtype=np.float64)
    tolerance = _ROUNDING * float(np.abs(values).sum())
    n_extreme = int((signs @ values >= values.sum() - tolerance).sum())
    is_drawn = n > _LARGEST_ENUMERATION  # the observed pattern counts as one of those drawn
    return (n_extreme + is_drawn) / (len(signs) + is_drawn)


@functools.lru_cache(maxsize=8)
def _sign_patterns(n: int) -> npt.NDArray[np.float64]:
    import numpy as np

    if n > _LARGEST_ENUMERATION:
        drawn = np.random.default_rng(n).integers(0, 2, (min(_N_FLIPS, _MOST_SIGNS // n), n))
    else:
        drawn = np.arange(2**n)[:, None] >> np.arange(n) & 1
    return 1.0 - 2.0 * drawn


def overwhelming_p(relative: Sequence[float]) -> float:
    """Bound the chance that every pair gains this much, for a mean of 0 (Markov's inequality).

    Args:
        relative: Differences, in units of the largest possible loss. Where the mean is 0, a gain of
            g or more comes in a share of 1 / (1 + g) of the pairs at most.
    """
    return float((1 + max(0.0, min(relative))) ** -len(relative))


def rare_loss_p(relative: Sequence[float]) -> float:
    """Test by betting that differences which are at least -1 have a mean above 0 (one-sided).

    If the mean is 0 or less, a wealth of 1, of which fixed parts are staked on every pair, is not
    expected to grow, for any distribution. It reaches 1 / p with probability p at most, at any
    analysis (Ville's inequality; Waudby-Smith and Ramdas 2024).
    """
    wealth = sum(
        start * math.prod(max(0.0, 1 + stake * gain) for gain in relative)
        for stake, start in _STAKES
    )
    return 1 / max(1.0, wealth)


def _largest_loss(
    differences: Sequence[float], parent: Sequence[float], low: float | None
) -> float:
    """Return what the candidate may lose on a seed: the parent's best return down to ``low``.

    Without ``low``: as much as the parent's returns are away from 0.
    """
    reach = max(map(abs, parent)) if low is None else max(parent) - low
    if reach <= 0:
        reach = max(map(abs, differences)) * (_UNKNOWN_LOSS if low is None else 1.0) or 1.0
    return max(reach, -min(differences))


def visible_gain(returns: Sequence[float], n_pairs: int, *, low: float | None) -> float | None:
    """Estimate the smallest gain that a race finds in about four of five cases.

    Args:
        returns: Of the parent. The candidate's are assumed to vary alike, independently.
        n_pairs: Pairs that a race with a clear gain may play.

    Returns:
        Points an episode; None where returns do not vary, or no gain is large enough.
    """
    pairs = [a - b for a, b in itertools.permutations(returns, 2)]
    below, gain = 0.0, max(pairs, default=0.0)
    if gain <= 0:
        return None

    def is_found(gain: float) -> bool:
        differences = [gain + pair for pair in pairs]
        unit = _largest_loss(differences, returns, low)
        needed = _pairs_needed([one / unit for one in differences], is_margin=False)
        return needed is not None and needed <= _RACED_ON * n_pairs

    for _ in range(_MOST_DOUBLINGS):
        if is_found(gain):
            break
        below, gain = gain, 2 * gain
    else:
        return None
    while gain - below > _GAIN_PRECISION * gain:
        middle = (below + gain) / 2
        below, gain = (below, middle) if is_found(middle) else (middle, gain)
    return gain


def _more_pairs(relative: Sequence[float], *, is_margin: bool) -> int | None:
    """Estimate the number of further pairs until these differences are significant."""
    needed = _pairs_needed(relative, is_margin=is_margin)
    return None if needed is None else max(1, needed - len(relative))


def _pairs_needed(relative: Sequence[float], *, is_margin: bool) -> int | None:
    """Estimate how many pairs that are spread like these are significant; None if none are."""
    mean = statistics.fmean(relative)
    if len(relative) == 1 or mean <= 0:
        return None
    if is_margin:
        alpha = NO_WORSE_ALPHA / len(NO_WORSE_INTERIM_ANALYSES)
        rare_alpha = NO_WORSE_RARE_LOSS_ALPHA
    else:
        alpha, rare_alpha = ALPHA / len(INTERIM_ANALYSES), RARE_LOSS_ALPHA
    normal = statistics.NormalDist()
    z_power = normal.inv_cdf(POWER)
    effect = mean / max(statistics.stdev(relative), _ROUNDING)
    by_signs = max(math.log2(1 / alpha), ((z_power - normal.inv_cdf(alpha)) / effect) ** 2)
    by_bets = [
        n
        for stake, start in _STAKES
        if (n := _bets_needed(relative, stake, -math.log(start * rare_alpha))) is not None
    ]
    return math.ceil(max(by_signs, min(by_bets))) if by_bets else None


def _bets_needed(relative: Sequence[float], stake: float, reach: float) -> float | None:
    """Estimate after how many pairs the log of one bet's wealth has grown by ``reach``."""
    logs = [math.log1p(max(stake * value, _ROUNDING - 1)) for value in relative]
    growth = statistics.fmean(logs)
    if growth <= 0:
        return None
    spread = statistics.NormalDist().inv_cdf(POWER) * statistics.stdev(logs)
    # n growth - spread sqrt(n) = reach
    return ((spread + math.sqrt(spread**2 + 4 * growth * reach)) / (2 * growth)) ** 2


def judge_race(
    gain: Gain,
    n_rivals: int = 1,
    analyses: Sequence[int] = INTERIM_ANALYSES,
    *,
    ends_at: int | None = None,
) -> Verdict:
    """Judge a race for a gain after ``gain.n_pairs`` pairs, one of ``analyses`` or beyond.

    Better: both p-values are significant. Not better: 0.7 standard errors or more behind; not ahead
    at the second analysis or after; not ahead at the end. Inconclusive: ahead at the end; or from
    the second analysis on, where more than 2.5 times the pairs left would be needed. A race whose
    gain is significant goes on to `CLEAR_INTERIM_ANALYSES` until rare losses are ruled out.

    Args:
        n_rivals: Candidates that share the error rate.
        ends_at: Pairs after which it ends, if that is before the last analysis.
    """
    critical_p = Aim.BETTER.critical_p(gain.n_pairs, n_rivals, analyses)
    is_clear = gain.mean > 0 and gain.p_value <= critical_p
    if is_clear and gain.rare_loss_p <= RARE_LOSS_ALPHA / n_rivals:
        return Verdict.BETTER
    last = CLEAR_INTERIM_ANALYSES[-1] if is_clear else analyses[-1]
    n_left = (ends_at or last) - gain.n_pairs
    is_first = gain.n_pairs < analyses[1] and n_left > 0
    if gain.z <= _GIVE_UP_Z or (gain.mean <= 0 and not is_first):
        return Verdict.NOT_BETTER
    is_futile = gain.n_more_pairs is None or gain.n_more_pairs > _FUTILE * n_left
    if n_left <= 0 or (is_futile and not is_first):
        return Verdict.INCONCLUSIVE
    return Verdict.UNDECIDED


def loss_margin(parent: Sequence[float]) -> float:
    """Return the loss, in points an episode, that a simpler candidate may turn out to have.

    Half a standard deviation of the parent's returns, or 5 % of their mean if that is more.
    """
    spread = statistics.stdev(parent) if len(parent) > 1 else 0.0
    return max(_MARGIN_SPREAD * spread, _MARGIN_MEAN * abs(statistics.fmean(parent)))


def judge_no_worse(
    gain: Gain, margin: float, n_rivals: int = 1, *, ends_at: int | None = None
) -> Verdict:
    """Judge a race for a loss below ``margin`` after ``gain.n_pairs`` pairs.

    No worse: both p-values are significant. Maybe worse: a standard error or more behind, and by
    more than half of the margin; or not shown at the end.
    """
    critical_p = Aim.NO_WORSE.critical_p(gain.n_pairs, n_rivals)
    if gain.p_value <= critical_p and gain.rare_loss_p <= NO_WORSE_RARE_LOSS_ALPHA / n_rivals:
        return Verdict.NO_WORSE
    is_last = gain.n_pairs >= (ends_at or NO_WORSE_INTERIM_ANALYSES[-1])
    is_behind = gain.z <= _GIVE_UP_NO_WORSE_Z and gain.mean < -margin / 2
    return Verdict.MAYBE_WORSE if is_last or is_behind else Verdict.UNDECIDED


def judge_survivor(
    gain: Gain | None,
    n_seeds: int,
    n_rivals: int = 1,
    analyses: Sequence[int] = INTERIM_ANALYSES,
    *,
    ends_at: int | None = None,
) -> Verdict:
    """Judge a candidate that finishes every episode, where its parent fails in some.

    Playing to the end counts for the candidate and excuses no bad play. Better: shown to lose less
    than a margin on the seeds that the parent finished; or, if there are none, after the second
    analysis. Not better: a standard error or more behind on those seeds. Inconclusive: neither, at
    the end.

    Args:
        gain: From `paired_gain` with `loss_margin`, on the seeds that the parent finished, if any.
    """
    is_first = n_seeds < analyses[1]
    if gain is not None and gain.z <= _GIVE_UP_NO_WORSE_Z:
        return Verdict.NOT_BETTER
    critical_p = 0.0 if is_first else NO_WORSE_ALPHA / n_rivals * _later_share(n_seeds, analyses)
    if gain.p_value <= critical_p if gain is not None else not is_first:
        return Verdict.BETTER
    is_last = n_seeds >= (ends_at or analyses[-1])
    return Verdict.INCONCLUSIVE if is_last else Verdict.UNDECIDED


def confidence_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float] | None:
    """Return the bootstrap interval (BCa) of the mean; None below five values.

    Of more than a thousand values it is Student's, which is as good then and takes no memory. It
    lies between the least and the greatest value. The level is expanded as Student's interval is
    wider than the normal one, since resamples of a few values vary too little (Hesterberg 2015).
    """
    n, mean = len(values), statistics.fmean(values) if values else 0.0
    if n < FEWEST_FOR_INTERVAL:
        return None
    if (deviation := statistics.stdev(values)) <= _ROUNDING * abs(mean):
        return mean, mean
    if n > _MOST_RESAMPLED:
        half = half_width(deviation / math.sqrt(n), n, level)
        return max(mean - half, min(values)), min(mean + half, max(values))
    import numpy as np
    from scipy.stats import bootstrap

    wider = math.sqrt(n / (n - 1)) * _student(n - 1, level)
    drawn = bootstrap(
        (np.asarray(values, dtype=np.float64),),
        np.mean,
        n_resamples=_N_RESAMPLES,
        confidence_level=2 * statistics.NormalDist().cdf(wider) - 1,
        method="BCa",
        random_state=np.random.default_rng(n),
    )
    lower, upper = map(float, drawn.confidence_interval)
    return lower, upper


def half_width(standard_error: float, n: int, level: float = 0.95) -> float:
    """Return half of Student's interval for a mean of ``n`` values, two or more."""
    return _student(n - 1, level) * standard_error


@functools.lru_cache(maxsize=256)
def _student(freedom: int, level: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.5 + level / 2))
