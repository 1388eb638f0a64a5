"""What numbers may be said of returns: intervals, paired gains, and when a race is decided.

The only module that imports scipy, lazily.
"""

from __future__ import annotations

import enum
import functools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

LOOKS: tuple[int, ...] = (4, 8, 12, 16)
"""Pairs after which a race is looked at; at the first it can only be given up."""
CHEAP_LOOKS: tuple[int, ...] = (8, 16, 32, 64)
"""The same where a step costs little: enough for gains that are small beside the spread."""
NO_WORSE_LOOKS: tuple[int, ...] = (8, 16, 32)
"""The same for a race that is to show that nothing was lost, which takes more pairs."""
ALPHA = 0.10
"""Chance to accept a child that is no better, over all looks together (Bonferroni), where the mean
of the differences is about normal. Where a child gains a little on most seeds and loses much on a
few, it is higher: docs/method.md has the table, tests/unit/test_statistics.py makes it."""
_SHARES = (0.0, 0.1, 0.3, 0.6)
"""How much of `ALPHA` each of `LOOKS` may use. Four pairs seldom hold a loss that comes on one seed
in ten, and eight do not always; so the later the look, the more it may use."""
_LOWER_BOUND = 0.80
"""Two-sided level of the interval whose lower end two winners are compared by."""
_HOPELESS = 0.20
"""A child that is worse with this significance at any look is not raced on."""
_MARGIN_SPREAD, _MARGIN_MEAN = 0.5, 0.02
_ROUNDING = 1e-9
"""Differences that vary by less than this, relative to their mean, are the same."""


class Verdict(enum.Enum):
    """What a race says so far."""

    BETTER = "better"
    NOT_BETTER = "not better"
    NO_WORSE = "no worse"
    MAYBE_WORSE = "maybe worse"
    UNDECIDED = "undecided"

    @property
    def is_won(self) -> bool:
        """Whether the child may take its parent's place."""
        return self in (Verdict.BETTER, Verdict.NO_WORSE)


class Aim(enum.Enum):
    """What a child has to show in a race."""

    BETTER = "better"
    """A gain."""
    NO_WORSE = "no worse"
    """That it loses less than a margin: for a child that is simpler, and wants to be no more."""

    @property
    def looks(self) -> tuple[int, ...]:
        """Pairs after which such a race is looked at."""
        return LOOKS if self is Aim.BETTER else NO_WORSE_LOOKS

    def asked(
        self, n_pairs: int, alpha: float = ALPHA, looks: Sequence[int] | None = None
    ) -> float:
        """The p value that wins after ``n_pairs``, one of ``looks``; 0 where none does.

        Args:
            n_pairs: Pairs played.
            alpha: Chance of a mistake that all looks share.
            looks: Where the race is not looked at as usual.
        """
        if self is Aim.BETTER:
            return alpha * _SHARES[(looks or LOOKS).index(n_pairs)]
        return alpha / len(NO_WORSE_LOOKS)


@dataclass(frozen=True, slots=True)
class Gain:
    """Difference of returns, child minus parent, paired by seed.

    Attributes:
        mean: Points an episode; positive when the child is better.
        standard_error: Of that mean; None below two pairs.
        n_pairs: Seeds that both played.
        p_value: Chance of a gain this large if the child were no better (one-sided).
    """

    mean: float
    standard_error: float | None
    n_pairs: int
    p_value: float

    @property
    def lower_bound(self) -> float:
        """What the true gain is above with a confidence of 0.9; minus infinity for one pair."""
        if self.standard_error is None:
            return float("-inf")
        return self.mean - half_width(self.standard_error, self.n_pairs, _LOWER_BOUND)


def confidence_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float] | None:
    """Student's interval for the mean; None below two values."""
    if len(values) <= 1:
        return None
    mean = statistics.fmean(values)
    half = half_width(_standard_error(values), len(values), level)
    return mean - half, mean + half


def half_width(standard_error: float, n: int, level: float = 0.95) -> float:
    """Half of Student's interval for a mean of ``n`` values, two or more."""
    return _student(n - 1, level) * standard_error


@functools.lru_cache(maxsize=256)
def _student(freedom: int, level: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.5 + level / 2))


def paired_gain(child: Sequence[float], parent: Sequence[float]) -> Gain:
    """Gain of ``child`` over ``parent``, returns on the same seeds in the same order.

    Where every difference is the same there is nothing to divide by, and the sign test takes the
    place of Student's.

    Raises:
        ValueError: The lists differ in length, or are empty.
    """
    differences = [a - b for a, b in zip(child, parent, strict=True)]
    if not differences:
        raise ValueError("no pairs to compare")
    mean = statistics.fmean(differences)
    n = len(differences)
    if n == 1:
        return Gain(mean, None, 1, 0.5)
    error = _standard_error(differences)
    if error <= _ROUNDING * abs(mean):
        p_value = 0.5**n if mean > 0 else 1.0
        return Gain(mean, 0.0, n, p_value)
    from scipy.special import stdtr

    return Gain(mean, error, n, float(stdtr(n - 1, -mean / error)))


def judge_race(gain: Gain, alpha: float = ALPHA, looks: Sequence[int] = LOOKS) -> Verdict:
    """What can be said after ``gain.n_pairs`` pairs, one of ``looks``.

    Better: significant at the share of ``alpha`` that this look has. Not better: worse with
    significance 0.2, or not ahead after half of the looks, or not better at the last.
    """
    if gain.mean > 0 and gain.p_value <= Aim.BETTER.asked(gain.n_pairs, alpha, looks):
        return Verdict.BETTER
    if gain.n_pairs >= looks[-1]:
        return Verdict.NOT_BETTER
    is_behind = gain.mean <= 0 and gain.n_pairs >= looks[len(looks) // 2 - 1]
    if is_behind or gain.p_value >= 1 - _HOPELESS:
        return Verdict.NOT_BETTER
    return Verdict.UNDECIDED


def loss_margin(parent: Sequence[float]) -> float:
    """The loss, in points an episode, that a simpler child may turn out to have.

    Half a standard deviation of the parent's returns, or 2 % of their mean if that is more. It is
    what can be told apart with a few dozen episodes; a child that acts the same loses nothing.
    """
    spread = statistics.stdev(parent) if len(parent) > 1 else 0.0
    return max(_MARGIN_SPREAD * spread, _MARGIN_MEAN * abs(statistics.fmean(parent)))


def no_worse_p_value(gain: Gain, margin: float) -> float:
    """Chance of such a gain or a higher one, if the child lost ``margin`` an episode (one-sided).

    Student's test, shifted by the margin (non-inferiority). Where every difference is the same,
    the sign test: each pair that loses less than the margin counts for one half.
    """
    shifted = gain.mean + margin
    if gain.standard_error is None:
        return 0.5
    if gain.standard_error <= _ROUNDING * abs(gain.mean):
        return 0.5**gain.n_pairs if shifted > 0 or gain.mean == 0 else 1.0
    from scipy.special import stdtr

    return float(stdtr(gain.n_pairs - 1, -shifted / gain.standard_error))


def judge_no_worse(gain: Gain, margin: float, alpha: float = ALPHA) -> Verdict:
    """What can be said of "loses less than ``margin``" after ``gain.n_pairs`` pairs.

    No worse: significant at ``alpha`` shared over the looks (Bonferroni). Maybe worse: worse than
    the parent with significance 0.2 and by more than half of the margin, or not shown at the last
    look.
    """
    if no_worse_p_value(gain, margin) <= Aim.NO_WORSE.asked(gain.n_pairs, alpha):
        return Verdict.NO_WORSE
    is_hopeless = gain.p_value >= 1 - _HOPELESS and gain.mean < -margin / 2
    if gain.n_pairs >= NO_WORSE_LOOKS[-1] or is_hopeless:
        return Verdict.MAYBE_WORSE
    return Verdict.UNDECIDED


def judge_survivor(
    gain: Gain | None, margin: float, n_seeds: int, asked: float, looks: Sequence[int] = LOOKS
) -> Verdict:
    """What can be said of a child that finishes every episode, where its parent fails in some.

    To play to the end counts for the child and excuses no bad play: on the seeds that the parent
    finished it must not be worse. Not better: worse there with significance 0.2, or by more than
    ``margin`` at the last look. Better: shown to lose less than ``margin``, or neither at the last
    look. Where the parent finished nothing, the child has to finish the seeds of two looks.

    Args:
        gain: On the seeds that the parent finished; None if there is no such seed.
        margin: As `loss_margin` of the parent has it.
        n_seeds: Seeds that the child finished.
        asked: The p value that wins at this look; 0 where none does.
        looks: Pairs after which the race is looked at.
    """
    is_last = n_seeds >= looks[-1]
    if gain is None:
        return Verdict.BETTER if n_seeds >= looks[1] else Verdict.UNDECIDED
    if gain.mean < 0 and (gain.p_value >= 1 - _HOPELESS or (is_last and gain.mean < -margin)):
        return Verdict.NOT_BETTER
    if is_last or no_worse_p_value(gain, margin) <= asked:
        return Verdict.BETTER
    return Verdict.UNDECIDED


def _standard_error(values: Sequence[float]) -> float:
    return statistics.stdev(values) / math.sqrt(len(values))
