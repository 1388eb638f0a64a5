"""What an optimizer may play in one go: steps first, and a clock for slow machines."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Self

_USUAL_PACE = 800
"""Steps a second of one worker, in the jail; measured 700 to 1,600 on two cores of 2026."""


@dataclass
class Purse:
    """Steps, and a time.

    Attributes:
        n_steps: Steps that may be played.
        deadline: `time.perf_counter` value after which no batch is begun.
        used: Steps played so far.
        begun: Where time is shared out as the steps are: `time.perf_counter` value from which it
            counts. None where only the end of it matters, so that a machine that is fast enough
            always does the same.
    """

    n_steps: int
    deadline: float
    used: int = 0
    begun: float | None = None

    @classmethod
    def for_time(cls, seconds: float, n_workers: int, n_steps: int | None = None) -> Self:
        """A purse for ``seconds`` from now; steps as many as they usually allow, if not given."""
        now = time.perf_counter()
        affordable = n_steps or max(1, round(seconds * n_workers * _USUAL_PACE))
        return cls(affordable, now + seconds, begun=now)

    @property
    def left(self) -> int:
        """Steps that may still be played; never negative."""
        return max(0, self.n_steps - self.used)

    def share(self, part: float) -> bool:
        """Whether ``part`` (0 to 1) of the purse is still not used up."""
        now = time.perf_counter()
        end = self.deadline
        if self.begun is not None:
            end = self.begun + part * (end - self.begun)
        return now < end and self.used < self.n_steps * part
