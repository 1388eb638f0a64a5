"""Seeds in three named streams that never meet.

* feedback: what an optimizer may see and play on as it likes.
* selection: what the judge decides on whether a candidate is better than its parent.
* report: for numbers that are shown. Sealed: drawn by `eval`, `run` at its end, and `publish`.

A seed is what is given to ``env.reset(seed=...)``, so anybody can play the same episodes.
"""

from __future__ import annotations

import enum
import re

from gco_agent.errors import UsageError

_RANGE = re.compile(r"(\d+):(\d+)")
_HIGHEST = 2**31


class Stream(enum.Enum):
    """A stream; the value is its first seed."""

    FEEDBACK = 1_000_000_000
    SELECTION = 1_100_000_000
    REPORT = 1_200_000_000

    def seeds(self, first: int, end: int) -> range:
        """The seeds ``first`` up to but not including ``end`` of this stream."""
        return range(self.value + first, self.value + end)

    def label(self, first: int, end: int) -> str:
        """What people read: "selection 0:16"."""
        return f"{self.name.lower()} {first}:{end}"


def parse_seed_range(text: str) -> range:
    """Plain seeds from "A:B": A up to but not including B.

    Raises:
        UsageError: It is no such range, or holds nothing.
    """
    match = _RANGE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"seeds are given as A:B, such as 0:30; got {text!r}")
    first, end = int(match[1]), int(match[2])
    if not first < end <= _HIGHEST:
        raise UsageError(f"seeds {text} hold nothing, or pass {_HIGHEST}: A must be below B")
    return range(first, end)


def format_seeds(seeds: range) -> str:
    """Inverse of `parse_seed_range`, naming the stream where the seeds are of one."""
    for stream in Stream:
        if stream.value <= seeds.start < stream.value + 10**8:
            return stream.label(seeds.start - stream.value, seeds.stop - stream.value)
    return f"{seeds.start}:{seeds.stop}"
