"""How returns are written: short, never as 0.00 where they are not zero, never 31 digits long."""

from __future__ import annotations

import math

_LARGE, _TINY = 1e9, 1e-6
"""From here on, up and down, numbers have an exponent."""
_SMALL = 0.1
_DIGITS = 3


def format_points(value: float, sign: str = "-", decimals: int | None = None) -> str:
    """Format a return: at least three significant digits, two of a number below 0.1.

    Args:
        value: The number.
        sign: "+" shows the sign of positive numbers, too.
        decimals: Digits behind the point, if they are given by another number.
    """
    if not math.isfinite(value) or abs(value) >= _LARGE or 0 < abs(value) < _TINY:
        return f"{value:{sign}.3g}"
    return f"{value:{sign}.{decimals_of(value) if decimals is None else decimals}f}"


def format_score(mean: float | None, error: float | None, sign: str = "-", least: int = 0) -> str:
    """Format a mean and its standard error: "6.05 ± 0.80"; an en dash where there is no mean.

    Args:
        mean: The mean.
        error: Its standard error; None leaves it out.
        sign: As of `format_points`.
        least: Digits behind the point, at least.
    """
    if mean is None:
        return "–"
    if error is None or not math.isfinite(error):
        return format_points(mean, sign, max(least, decimals_of(mean)))
    if max(abs(mean), error) >= _LARGE or 0 < max(abs(mean), error) < _TINY:
        return f"{mean:{sign}.3g} ± {error:.2g}"
    decimals = max(least, decimals_of(max(abs(mean), error)))
    if 0 < error < 0.5 * 10**-decimals:  # it would read as none
        decimals = min(-math.floor(math.log10(error)), 9)
    return f"{mean:{sign}.{decimals}f} ± {error:.{decimals}f}"


def decimals_of(value: float) -> int:
    """Return how many digits behind the point `format_points` gives a number."""
    if value == 0 or not math.isfinite(value):
        return _DIGITS - 1
    if abs(value) < _SMALL:
        return min(1 - math.floor(math.log10(abs(value))), 9)
    return max(0, _DIGITS - len(f"{abs(value):.0f}"))
