"""Numbers and times as people read them, and the way to stderr."""

from __future__ import annotations

import itertools
import shutil
import statistics
import sys
import textwrap
from collections.abc import Sequence
from typing import TextIO

from gco_agent.core.formatting import format_points
from gco_agent.core.statistics import Gain
from gco_agent.core.text import clean_line

_BARS = "▁▂▃▄▅▆▇█"


def number_with_error(value: float | None, error: float | None, sign: str = "-") -> str:
    """A return and its standard error: "6.05 ± 0.80"; an en dash where there is none."""
    if value is None:
        return "–"
    text = format_points(value, sign)
    if error is None:
        return text
    decimals = len(text.partition(".")[2])
    return f"{text} ± {error:.{decimals}f}"


def gain_in_words(gain: Gain | None) -> str:
    """A gain and its standard error: "+1.25 ± 0.30"; nothing where there is none."""
    return "" if gain is None else number_with_error(gain.mean, gain.standard_error, "+")


def duration(seconds: float) -> str:
    """Write a time: "45 s", "3 min 12 s", "1 h 2 min"."""
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def clock(seconds: float) -> str:
    """Write a time that changes while one looks at it: "3:12", "1:02:05"."""
    whole = max(0, int(seconds))
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def count(n: int, noun: str) -> str:
    """Write a number of things: "1 iteration", "21,000 steps"."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def sparkline(values: Sequence[float], width: int = 60) -> str:
    """Bars of one line, from the lowest value to the highest; at most ``width`` of them.

    Where there are more values than bars, a bar is the mean of those it stands for.
    """
    if not values:
        return ""
    n_bars = min(len(values), width)
    edges = [i * len(values) // n_bars for i in range(n_bars + 1)]
    bars = [statistics.fmean(values[a:b]) for a, b in itertools.pairwise(edges)]
    low, high = min(bars), max(bars)
    span = (high - low) or 1.0
    return "".join(_BARS[min(len(_BARS) - 1, int((v - low) / span * len(_BARS)))] for v in bars)


def one_line(text: str) -> str:
    """Text of a policy, a model or a commit, fit for a terminal."""
    return clean_line(text)


def columns_of(stream: TextIO) -> int | None:
    """Columns of the terminal that a stream is shown on; None where it is none."""
    return shutil.get_terminal_size().columns if stream.isatty() else None


def fit(text: str, stream: TextIO | None = None) -> str:
    """Lines broken between words, where a terminal would break them anywhere.

    Args:
        text: Any number of lines; what a line goes on with is indented two columns more.
        stream: What shows it; by default standard output. On none that is a terminal, lines stay.
    """
    columns = columns_of(stream or sys.stdout)
    if columns is None:
        return text
    return "\n".join(piece for line in text.split("\n") for piece in _broken(line, columns))


def _broken(line: str, columns: int) -> list[str]:
    indent = " " * (len(line) - len(line.lstrip(" ")) + 2)
    pieces = textwrap.wrap(
        line,
        columns,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
        replace_whitespace=False,
    )
    return pieces or [""]


def tell(text: str) -> None:
    """Write lines to stderr; where something moves on the terminal, they go above it.

    `click.echo` would write past the redirection that makes this possible.
    """
    sys.stderr.write(f"{fit(text, sys.stderr)}\n")
    sys.stderr.flush()
