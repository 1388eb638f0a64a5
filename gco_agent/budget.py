"""What a run may use: iterations, wall time, emulator frames. Limits bind; paid work is kept."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gco_agent.errors import BudgetSpent
from gco_agent.statistics import LOOKS

if TYPE_CHECKING:
    from gco_agent.llm import Spending

_MIN_SLICE_S = 5.0
"""With less time than this left no iteration is begun."""
_SETTLING_S = 2.0
"""For what is not play: the last commits, and workers that wait for the longest episode."""
_MARGIN = 1.3
"""The policy that is reported may play longer episodes than the one there is now."""
_ENOUGH_STEPS = 1_000
"""Fewer steps than these say nothing of the pace."""
_USUAL_PAIRS = LOOKS[1]
"""Most races are decided after these; one that is not, with no time left, is lost."""
_FEWEST = 2
"""Episodes below which a report has no standard error."""


@dataclass
class Budget:
    """Limits of one command; None means none.

    Attributes:
        iterations: Iterations of this command.
        seconds: Wall time of this command, with what comes after the last iteration.
        frames: Emulator frames of the whole run, earlier commands included.
        usd: US dollars of the whole run for language models, earlier commands included.
        tokens: Tokens of the whole run, sent and received, earlier commands included.
        report_episodes: Episodes to be played after the last iteration.
        started: `time.perf_counter` value at which the time began.
        reserve_s: Of the time, what must be left after the last iteration.
        race_s: Of the time, what must be left to race the last candidate.
        spending: The account of what language models cost the run, once it has been opened.
    """

    iterations: int | None = None
    seconds: float | None = None
    frames: int | None = None
    usd: float | None = None
    tokens: int | None = None
    report_episodes: int = 0
    started: float = field(default_factory=time.perf_counter)
    reserve_s: float = 0.0
    race_s: float = 0.0
    spending: Spending | None = None
    _steps_per_second: float | None = None
    _done: int = 0

    @property
    def deadline(self) -> float:
        """`time.perf_counter` value by which the last iteration must be over."""
        if self.seconds is None:
            return float("inf")
        return self.started + self.seconds - self.reserve_s

    @property
    def answer_by(self) -> float:
        """`time.perf_counter` value by which an optimizer must have proposed."""
        return self.deadline - self.race_s

    def note_play(self, n_steps: int, seconds: float) -> None:
        """Learn the pace of the judge, all workers together, from what it played last."""
        if n_steps >= _ENOUGH_STEPS and seconds > 0:
            self._steps_per_second = n_steps / seconds

    def reserve(self, lengths: Sequence[int], report_lengths: Sequence[int]) -> None:
        """Keep time for a race and for the report, as the policy plays now.

        Called before every iteration, since a better policy may play longer episodes.

        Args:
            lengths: Steps of the episodes that are known of the policy.
            report_lengths: Steps that they would have in the report.
        """
        self.race_s = _USUAL_PAIRS * self._episode_s(lengths)
        if self.report_episodes:
            episode_s = self._episode_s(report_lengths)
            self.reserve_s = _SETTLING_S + _MARGIN * self.report_episodes * episode_s

    def affordable_report(self, lengths: Sequence[int]) -> int:
        """How many episodes of the report can be played in the time that is left; at least two."""
        episode_s = self._episode_s(lengths)
        if self.seconds is None or not episode_s:
            return self.report_episodes
        left = self.started + self.seconds - _SETTLING_S / 2 - time.perf_counter()
        return min(self.report_episodes, max(_FEWEST, int(left / episode_s)))

    def _episode_s(self, lengths: Sequence[int]) -> float:
        """Wall time of one episode among many; 0 while the pace is not known."""
        if self._steps_per_second is None or not lengths:
            return 0.0
        return statistics.fmean(lengths) / self._steps_per_second

    def require(self, frames_used: int) -> None:
        """Allow one more iteration.

        Raises:
            BudgetSpent: A limit is reached.
        """
        if self.iterations is not None and self._done >= self.iterations:
            raise BudgetSpent(f"{self.iterations} iteration{'s' * (self.iterations != 1)}")
        if self.frames is not None and frames_used >= self.frames:
            raise BudgetSpent(f"{self.frames:,} frames")
        if time.perf_counter() + _MIN_SLICE_S > self.answer_by:
            raise BudgetSpent(f"{self.seconds:.0f} s")

    @property
    def n_done(self) -> int:
        """Iterations of this command that are over."""
        return self._done

    def note_iteration(self) -> None:
        """Count an iteration."""
        self._done += 1
