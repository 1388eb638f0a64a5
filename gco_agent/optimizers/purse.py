"""What an optimizer may play in one go: steps first, and a clock for slow machines."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass
class Purse:
    """Steps, and a time.

    Attributes:
        n_steps: Steps that may be played.
        deadline: `time.perf_counter` value after which no batch is begun.
        used: Steps played so far.
        cut_by_clock: The deadline came before the steps were used up.
    """

    n_steps: int
    deadline: float
    used: int = 0
    cut_by_clock: bool = False

    @property
    def left(self) -> int:
        """Steps that may still be played; never negative."""
        return max(0, self.n_steps - self.used)

    def share(self, part: float) -> bool:
        """Whether ``part`` (0 to 1) of the purse is still not used up."""
        if time.perf_counter() >= self.deadline:
            self.cut_by_clock = True
            return False
        return self.used < self.n_steps * part
