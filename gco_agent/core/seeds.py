"""Seeds in three named streams that never meet.

* feedback: what an optimizer may see and play on as it likes.
* selection: what the judge decides on whether a candidate is better than its parent.
* report: for numbers and plays that are shown. Sealed: no optimizer and no race draws them, only
  the end of a run, `eval`, `card`, `enjoy`, `export`, `publish` and ``--seeds``.

A seed is the argument of ``env.reset(seed=...)``, so anyone can play the same episodes.
"""

from __future__ import annotations

import enum
import re

from gco_agent.core.errors import UsageError

_RANGE = re.compile(r"(?:(feedback|selection|report) )?([0-9]{1,10}):([0-9]{1,10})")
HIGHEST_SEED = 2**32 - 1
"""The largest ``seed`` of a run, as numpy's generators have it."""
_HIGHEST = 2**31
STREAM_LENGTH = 100_000_000
MOST_EPISODES = 100_000
"""Upper bound of the episodes that a command, a file or a commit may ask for."""
FEEDBACK_EPISODES = 8
"""Feedback seeds whose results optimizers see, the same in every iteration, to be comparable."""
_PROBES_BEGIN = 600_000
_TRIALS_BEGIN, _TRIALS_LENGTH = 20_000_000, 10_000


class Stream(enum.Enum):
    """A stream; the value is its first seed."""

    FEEDBACK = 1_000_000_000
    SELECTION = 1_100_000_000
    REPORT = 1_200_000_000

    def seeds(self, first: int, end: int) -> range:
        """Return the seeds ``first`` up to but not including ``end`` of this stream."""
        if not 0 <= first <= end <= STREAM_LENGTH:
            raise ValueError(f"{self.label(first, end)}: a stream has seeds 0:{STREAM_LENGTH}")
        return range(self.value + first, self.value + end)

    def cycle(self, first: int, n: int) -> range:
        """Return ``n`` seeds of this stream from ``first`` on; after its end it begins again."""
        start = first % (STREAM_LENGTH - n + 1) if 0 <= n <= STREAM_LENGTH else first
        return self.seeds(start, start + n)

    def place(self, number: int, n: int) -> int:
        """Return an even place in the stream, chosen by ``number``, with ``n`` seeds after it."""
        return 2 * (number % ((STREAM_LENGTH - n) // 2))

    def label(self, first: int, end: int) -> str:
        """Return a label such as "selection 0:16"."""
        return f"{self.name.lower()} {first}:{end}"


def trial_seeds(iteration: int) -> range:
    """Return the feedback seeds that `tune` and `simplify` play in one iteration alone."""
    return Stream.FEEDBACK.cycle(_TRIALS_BEGIN + _TRIALS_LENGTH * iteration, _TRIALS_LENGTH)


def probe_seeds(n: int) -> range:
    """Return ``n`` feedback seeds on which random play shows what actions do."""
    return Stream.FEEDBACK.seeds(_PROBES_BEGIN, _PROBES_BEGIN + 100 * n)[::100]


def seed_of_chance(number: int) -> int:
    """Return a positive 32-bit seed for a generator of numpy."""
    return 1 + number % (HIGHEST_SEED - 1_000)  # leaves room for adding small numbers


def parse_seed_range(text: str) -> range:
    """Parse "A:B", or "report A:B" and the like: A up to but not including B."""
    match = _RANGE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"seeds are given as A:B, such as 0:30; got {text!r}")
    stream = Stream[match[1].upper()] if match[1] else None
    first, end = int(match[2]), int(match[3])
    highest = STREAM_LENGTH if stream else _HIGHEST
    if not first < end <= highest:
        raise UsageError(f"seeds {text} hold nothing, or pass {highest}: A must be below B")
    return stream.seeds(first, end) if stream else range(first, end)


def format_seeds(seeds: range) -> str:
    """Format seeds for `parse_seed_range`, with the stream if all are of one."""
    for stream in Stream:
        first, end = seeds.start - stream.value, seeds.stop - stream.value
        if 0 <= first <= end <= STREAM_LENGTH:
            return stream.label(first, end)
    return f"{seeds.start}:{seeds.stop}"
