"""Where programs are rated, and what has been spent on it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gco_agent.core.records import PlayProtocol
from gco_agent.evaluation.workers import WorkerPool
from gco_agent.optimizers.vectors.play import Episodes, play
from gco_agent.optimizers.vectors.program import Task, VectorProgram, render

_BATCH_SHARE = 0.06
"""Of a slice, that one generation may use up; a program plays two episodes at least."""
_PACE_STEPS = 1_000
"""Steps after which its pace can be told."""
_PART = 4
"""Episodes in one order to a worker: all workers are to be done at about the same time."""

Row = tuple[float, ...]
"""Returns of one program, an episode each."""


def _nobody(leader: VectorProgram) -> None:
    """The progress that nobody watches."""
    del leader


@dataclass
class Table:
    """Plays programs on feedback seeds, each batch on new ones.

    Attributes:
        pool: Where to.
        protocol: Rules of play.
        task: What programs have to know.
        seeds: Feedback seeds of this slice; from the first again when all were played.
        next_seed: Index of the first that was not played yet.
        n_steps: Steps that the slice may play.
        deadline: `time.perf_counter` value after which it ends all the same.
        used: Steps played.
        episodes: Episodes played.
        begun: `time.perf_counter` value of the beginning.
        on_batch: Told the best of every batch.
    """

    pool: WorkerPool
    protocol: PlayProtocol
    task: Task
    seeds: range
    n_steps: int
    deadline: float
    next_seed: int = 0
    used: int = 0
    episodes: int = 0
    begun: float = field(default_factory=time.perf_counter)
    on_batch: Callable[[VectorProgram], None] = _nobody

    def rate(self, programs: Sequence[VectorProgram], n_seeds: int) -> list[Row]:
        """The returns of each program, all on the same new seeds."""
        first, self.next_seed = self.next_seed, self.next_seed + n_seeds
        parts = [
            tuple(
                self.seeds[i % len(self.seeds)]
                for i in range(start, min(start + _PART, first + n_seeds))
            )
            for start in range(first, first + n_seeds, _PART)
        ]
        texts = [render(self.task, program) for program in programs]
        results = self.pool.map(
            play, [Episodes(self.protocol, text, seeds) for text in texts for seeds in parts]
        )
        self.used += sum(played.n_steps for played in results)
        self.episodes += n_seeds * len(programs)
        rows = [
            tuple(x for played in results[i : i + len(parts)] for x in played.returns)
            for i in range(0, len(results), len(parts))
        ]
        means = [statistics.fmean(row) for row in rows]
        self.on_batch(programs[means.index(max(means))])
        return rows

    def rate_within(
        self, programs: Sequence[VectorProgram], n_seeds: int, share: float = _BATCH_SHARE
    ) -> list[Row]:
        """As `rate`, on fewer seeds where so many would take more than ``share`` of the slice."""
        usual = self.used / max(1, self.episodes)
        affordable = share * self._reach() / max(1.0, usual * len(programs))
        return self.rate(programs, max(2, min(n_seeds, int(affordable))))

    @property
    def done(self) -> float:
        """The share of the slice that is used up, from 0 to 1."""
        return min(1.0, self.used / self._reach())

    def is_within(self, share: float) -> bool:
        """Whether less than ``share`` of the slice is used up."""
        return self.used < share * self._reach() and time.perf_counter() < self.deadline

    def _reach(self) -> float:
        """Steps that the slice will have played in the end: at its pace, if the clock cuts it."""
        spent = time.perf_counter() - self.begun
        if self.used < _PACE_STEPS or spent <= 0:
            return self.n_steps
        return min(self.n_steps, self.used / spent * (self.deadline - self.begun))
