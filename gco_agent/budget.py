"""What a run may use: iterations, wall time, emulator frames. Limits bind; paid work is kept."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from gco_agent.errors import BudgetSpent

_MIN_SLICE_S = 5.0
"""With less time than this left no iteration is begun."""


@dataclass
class Budget:
    """Limits of one command; None means none.

    Attributes:
        iterations: Iterations of this command.
        seconds: Wall time of this command, with what comes after the last iteration.
        frames: Emulator frames of the whole run, earlier commands included.
        reserve_s: Of the time, what must be left after the last iteration.
        started: `time.perf_counter` value at which the time began.
    """

    iterations: int | None = None
    seconds: float | None = None
    frames: int | None = None
    reserve_s: float = 0.0
    started: float = field(default_factory=time.perf_counter)
    _done: int = 0

    @property
    def deadline(self) -> float:
        """`time.perf_counter` value by which the last iteration must be over."""
        if self.seconds is None:
            return float("inf")
        return self.started + self.seconds - self.reserve_s

    def require(self, frames_used: int) -> None:
        """Allow one more iteration.

        Raises:
            BudgetSpent: A limit is reached.
        """
        if self.iterations is not None and self._done >= self.iterations:
            raise BudgetSpent(f"{self.iterations} iterations")
        if self.frames is not None and frames_used >= self.frames:
            raise BudgetSpent(f"{self.frames:,} frames")
        if time.perf_counter() + _MIN_SLICE_S > self.deadline:
            raise BudgetSpent(f"{self.seconds:.0f} s")

    def note_iteration(self) -> None:
        """Count an iteration."""
        self._done += 1
