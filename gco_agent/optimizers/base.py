"""What an optimizer is: something that proposes the next candidate of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gco_agent.config import RunConfig
from gco_agent.errors import UsageError
from gco_agent.policy import PolicySource
from gco_agent.progress import Progress, silent
from gco_agent.records import Evaluation
from gco_agent.workers import WorkerPool


@dataclass(frozen=True, slots=True)
class Attempt:
    """What an earlier iteration of the run came to."""

    iteration: int
    verdict: str
    summary: str
    gain: float | None


@dataclass(frozen=True, slots=True)
class Request:
    """Everything an optimizer is given.

    Attributes:
        parent: The run's policy.
        evaluation: What is known of it, on seeds that the optimizer may see.
        iteration: Number of the iteration under way, from 1.
        config: The run's configuration.
        attempts: The iterations before, oldest first.
        recall: Text that this optimizer left under a name in the last iteration that has it.
        deadline: `time.perf_counter` value by which to answer.
        progress: Told how things stand.
    """

    parent: PolicySource
    evaluation: Evaluation
    iteration: int
    config: RunConfig
    attempts: Sequence[Attempt]
    recall: Callable[[str], str | None]
    deadline: float
    progress: Progress = silent


@dataclass(frozen=True, slots=True)
class Proposal:
    """A candidate before it is judged.

    Attributes:
        source: The whole policy text.
        summary: What is new in it, in a few words; the subject of the commit.
        reason: Why, in one or a few paragraphs; its body.
        files: Evidence to be kept with the iteration, name to text; `Request.recall` finds it.
        n_steps: Steps played to find it.
    """

    source: PolicySource
    summary: str
    reason: str
    files: Mapping[str, str] = field(default_factory=dict)
    n_steps: int = 0


class Optimizer(Protocol):
    """Proposes candidates; one instance serves one process of one run."""

    name: str

    def propose(self, request: Request) -> Proposal:
        """Propose the next candidate.

        Never mutates the request. What it needs to remember beyond the process it leaves in the
        proposal's files, so that a killed run goes on as if nothing had been.

        Raises:
            ProposalError: There is nothing to propose.
        """


def make_optimizer(name: str, pool: WorkerPool) -> Optimizer:
    """The optimizer called ``name``.

    Raises:
        UsageError: There is none.
    """
    if name == "search":
        from gco_agent.optimizers.search.optimizer import SearchOptimizer

        return SearchOptimizer(pool)
    raise UsageError(f"no optimizer is called {name!r}; there is: search")
