"""What a run may use: iterations, wall time, emulator frames. Limits bind; paid work is kept."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gco_agent.core.errors import BudgetSpent
from gco_agent.core.statistics import INTERIM_ANALYSES, RACE_CPU_S

if TYPE_CHECKING:
    from gco_agent.llm.asking import Spending

_MIN_SLICE_S = 5.0
"""Least time that an iteration needs; the first one is always begun."""
_SETTLING_S = 2.0
"""Time for the last commits, and for workers that wait for the longest episode."""
_MARGIN = 1.3
"""Safety factor: the final policy may play longer episodes than the present one."""
_ENOUGH_STEPS, _ENOUGH_SLOW_STEPS, _SLOW_S = 1_000, 20, 5.0
"""Least steps to estimate the pace from; the second if they took this many seconds."""
_USUAL_PAIRS = INTERIM_ANALYSES[1]
"""Pairs after which most races are decided."""
_LEAST_SHARE = 4
"""An iteration is begun with at least one in so many of the steps that the last proposals took."""
_RACE_SHARE, _LONG_RACE = 3, 2
"""A race may use one in so many of the steps that are left, or those of so many usual races."""
_FEWEST = 2
"""Least episodes of a report: fewer have no standard error."""
_MOST_KEPT = 1 / 3
"""Largest share of the time that is reserved for the report, whose duration is only estimated."""
_SURE = 0.5
"""Share of the episodes that seem to fit which is begun at once; the pace may change."""


DEFAULT_S = 300.0
"""Wall time of a run without any limit, in seconds."""


@dataclass
class Budget:
    """Limits of one command; None means none.

    Attributes:
        seconds: Wall time of this command, with what comes after the last iteration.
        frames: Emulator frames of the whole run, earlier commands included, without reports.
        usd: US dollars of the whole run for language models, earlier commands included.
        tokens: Tokens of the whole run, sent and received, earlier commands included.
        reserve_s: Time kept for what comes after the last iteration.
        simplify_s: Time kept for simplifying the last policy.
        race_s: Time kept for racing the last candidate.
        race_steps: Steps kept for racing the last candidate.
        steps_left: Steps that the frames allow from the start of the iteration; None: no limit.
        least_steps: Steps without which no iteration is begun but the first of the run.
        race_cpu_s: Processor seconds that a slow candidate may use in its race.
        spending: Account of language models, once opened.
    """

    iterations: int | None = None
    seconds: float | None = None
    frames: int | None = None
    usd: float | None = None
    tokens: int | None = None
    report_episodes: int = 0
    started: float = field(default_factory=time.perf_counter)
    reserve_s: float = 0.0
    simplify_s: float = 0.0
    race_s: float = 0.0
    race_steps: int = 0
    steps_left: int | None = None
    least_steps: int = 0
    race_cpu_s: float | None = RACE_CPU_S
    spending: Spending | None = None
    _least_s: float = 0.0
    _played: tuple[float, float] = (0.0, 0.0)
    _done: int = 0
    _begun: float = float("-inf")

    def or_default(self) -> Budget:
        """Return this budget, with a default time if it has no limit."""
        limits = (self.iterations, self.seconds, self.frames, self.usd, self.tokens)
        is_limited = any(limit is not None for limit in limits)
        return self if is_limited else replace(self, seconds=DEFAULT_S)

    @property
    def deadline(self) -> float:
        """`time.perf_counter` value by which the last iteration must be over."""
        if self.seconds is None:
            return float("inf")
        return self.started + self.seconds - self.reserve_s - self.simplify_s

    @property
    def start_by(self) -> float | None:
        """`time.perf_counter` value after which no more of the initial policy is played."""
        if self.seconds is None:
            return None
        return self.started + max(_MIN_SLICE_S, _MOST_KEPT * self.seconds)

    @property
    def answer_by(self) -> float:
        """`time.perf_counter` value by which an optimizer must have proposed."""
        usual = min(self.deadline, self.race_by) - self.race_s
        return usual if self._done else max(usual, self._begun + _MIN_SLICE_S)

    @property
    def race_by(self) -> float:
        """`time.perf_counter` value at which an undecided race is lost.

        The first race may also use most of the time of the report.
        """
        return self.deadline if self._done else self.deadline + self.reserve_s - self._least_s

    def note_play(self, n_steps: int, seconds: float) -> None:
        """Update the pace of the judge; recent play has the largest weight."""
        enough = _ENOUGH_SLOW_STEPS if seconds >= _SLOW_S else _ENOUGH_STEPS
        if n_steps >= enough and seconds > 0:
            self._played = (self._played[0] / 2 + n_steps, self._played[1] / 2 + seconds)

    def reserve(
        self, lengths: Sequence[int], report_lengths: Sequence[int], proposal_steps: int = 0
    ) -> None:
        """Reserve time or frames for a race, and time for the report, before every iteration.

        Args:
            lengths: Steps of the known episodes of the policy.
            report_lengths: The same, as expected in the report.
            proposal_steps: Steps that the last proposals took.
        """
        self.race_s = 2 * _USUAL_PAIRS * self._episode_s(lengths)
        episode_steps = math.ceil(statistics.fmean(lengths)) if lengths else 0
        self.race_steps = 2 * _USUAL_PAIRS * episode_steps
        to_propose = max(proposal_steps // _LEAST_SHARE, _USUAL_PAIRS * episode_steps)
        self.least_steps = self.race_steps + to_propose
        if not self.report_episodes or self.seconds is None:
            return
        episode_s = self._episode_s(report_lengths)
        least = _SETTLING_S + _MARGIN * _FEWEST * episode_s
        self._least_s = min(_MOST_KEPT * self.seconds, least)
        wanted = _SETTLING_S + _MARGIN * self.report_episodes * episode_s
        self.reserve_s = min(wanted, _MOST_KEPT * self.seconds)
        if not self._done:
            spare = self.started + self.seconds - time.perf_counter() - self.race_s - _MIN_SLICE_S
            self.reserve_s = max(0.0, min(self.reserve_s, spare))

    def report_block(self, n_played: int, seconds: float, n_workers: int) -> int:
        """Return how many episodes of the report to play next; 0 when it is over.

        The first block shows the pace. Then all remaining episodes are played if they surely fit,
        else some of those that fit.

        Args:
            seconds: Wall time of the episodes played so far.
        """
        wanted = self.report_episodes - n_played
        if self.seconds is None or wanted <= 0:
            return max(0, wanted)
        at_once = max(_FEWEST, n_workers)
        if not n_played:
            return min(wanted, at_once)
        left = self.started + self.seconds - _SETTLING_S / 2 - time.perf_counter()
        episode_s = seconds / n_played
        if wanted * episode_s * _MARGIN <= left:
            return wanted
        n_fit = int(left / episode_s) if episode_s else wanted
        return min(wanted, max(at_once, int(_SURE * n_fit))) if n_fit >= at_once else 0

    def _episode_s(self, lengths: Sequence[int]) -> float:
        """Return the wall time of one episode; 0 while the pace is unknown."""
        n_steps, seconds = self._played
        return statistics.fmean(lengths) * seconds / n_steps if n_steps and lengths else 0.0

    def require(self, frames_used: int, frame_skip: int = 1, *, is_first: bool = False) -> None:
        """Raise `BudgetSpent` unless one more iteration fits; for time, the first always does.

        Args:
            is_first: First iteration of the run, made however few frames are left.
        """
        if self.iterations is not None and self._done >= self.iterations:
            raise BudgetSpent(f"{self.iterations} iteration{'s' * (self.iterations != 1)}")
        if self.frames is not None:
            self.steps_left = (self.frames - frames_used) // frame_skip
            is_short = not is_first and self.steps_left < self.least_steps
            if frames_used >= self.frames or is_short:
                raise BudgetSpent(f"{self.frames:,} frames")
        if not self._done:
            self._begun = time.perf_counter()
        elif self.is_late:
            raise BudgetSpent(f"{self.seconds:.0f} s")

    def steps_to_race(self, used: int) -> int | None:
        """Return the steps of a race after ``used`` to propose; None: no limit."""
        left = self.steps_left
        if left is None:
            return None
        return min(left - used, max(_LONG_RACE * self.race_steps, left // _RACE_SHARE))

    @property
    def proposal_steps(self) -> int | None:
        """Steps to propose with: a usual race is left, but a third is given; None: no limit."""
        left = self.steps_left
        return None if left is None else max(left - self.race_steps, left // 3)

    @property
    def is_late(self) -> bool:
        """Whether there is no time for another iteration."""
        return time.perf_counter() + _MIN_SLICE_S > self.answer_by

    def note_iteration(self) -> None:
        """Count an iteration."""
        self._done += 1
