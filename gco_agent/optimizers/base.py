"""What an optimizer is: something that proposes the next candidate of a run."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from gco_agent.core.errors import BudgetSpent, ModelTimedOut, ProposalError, UsageError
from gco_agent.core.events import Progress, silent
from gco_agent.core.records import EpisodeResult, Evaluation
from gco_agent.core.statistics import Aim
from gco_agent.evaluation.workers import WorkerPool
from gco_agent.jail.limits import JailLevel
from gco_agent.llm import Completion, LanguageModel, ModelRequest, Patience, Spending, ask
from gco_agent.policy import PolicySource
from gco_agent.store.config import RunConfig

if TYPE_CHECKING:
    from gco_agent.llm import LanguageModel, Spending, Usage
    from gco_agent.optimizers.feedback import Feedback

FEEDBACK_FILE = "feedback.md"
"""What the optimizer was told of the results; kept with the iteration if it asked for that."""
PROMPT_FILE = "prompt.md"
"""What was asked of a language model or a person."""
REPLY_FILE = "reply.md"
"""What came back, to the letter."""
EXCHANGE_FILE = "exchange.json"
"""Request, reply and usage of a language model, as data."""
CANDIDATES_OWN = frozenset(
    {FEEDBACK_FILE, PROMPT_FILE, REPLY_FILE, EXCHANGE_FILE, "proposal.json", "evaluation.json"}
)
"""Files that speak of one candidate. Any other file that an optimizer leaves is its memory."""


@dataclass(frozen=True, slots=True)
class PastIteration:
    """What an earlier iteration of the run came to.

    Attributes:
        iteration: Its number.
        verdict: "accepted", "rejected", "failed", "initial", "reported", "rolled-back".
        summary: The edit in a few words, or the subject of the commit.
        gain: Points an episode over the policy it was raced against; None if there was no race.
        optimizer: Who proposed it, if anybody did.
        reason: Why it was proposed, and what came of it.
        source: Text of the candidate; None if there was none.
        race: Of the latest candidates: their episodes, and those of the policy in force on the same
            seeds where they were played.
    """

    iteration: int
    verdict: str
    summary: str
    gain: float | None
    optimizer: str | None = None
    reason: str = ""
    source: str | None = None
    race: tuple[tuple[EpisodeResult, EpisodeResult | None], ...] = ()

    @property
    def gave_policy(self) -> bool:
        """Whether the run went on with its text: that of a mere report is the one before."""
        return self.verdict in ("initial", "accepted", "rolled-back")


def _no_feedback() -> Feedback:
    raise ProposalError("this request comes without feedback: nothing was played for it")


@dataclass(frozen=True, slots=True)
class Request:
    """Everything an optimizer is given.

    Attributes:
        parent: The run's policy.
        evaluation: Its episodes on feedback seeds, as far as they were played; those of races are
            told as gains in `attempts`, and in no other way.
        iteration: Number of the iteration under way, from 1.
        config: The run's configuration.
        attempts: The iterations before, oldest first.
        recall: Text that this optimizer left under a name in the last iteration that has it.
        deadline: `time.perf_counter` value by which to answer.
        progress: Told how things stand.
        feedback: Composes what a language model is told of the results. Plays, so an optimizer
            that has no use for it never calls it; further calls cost nothing.
        budget: What may still be spent on language models; None where none was set up.
        repair: Where this is the second and last try of the iteration: what was wrong with the
            first, in sentences for its author.
        tried: The policy text, or else the reply, of that first try.
        siblings: Proposals of this iteration made before this one, to differ from.
        number: Which request of the iteration this is, from 1; those that came to nothing count.
        tip: Last commit of the run, or "" where there is no run.
    """

    parent: PolicySource
    evaluation: Evaluation
    iteration: int
    config: RunConfig
    attempts: Sequence[PastIteration]
    recall: Callable[[str], str | None]
    deadline: float
    progress: Progress = silent
    feedback: Callable[[], Feedback] = _no_feedback
    budget: Spending | None = None
    repair: str | None = None
    tried: str | None = None
    siblings: Sequence[Proposal] = ()
    number: int = 1
    tip: str = ""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A candidate before it is judged.

    Attributes:
        source: The whole policy text.
        summary: What is new in it, in a few words; the subject of the commit.
        reason: Why, in one or a few paragraphs; its body.
        files: Evidence to be kept with the iteration, name to text; `Request.recall` finds it.
        n_steps: Steps played to find it.
        usage: Tokens and dollars that it took; None where no language model was asked.
        aim: What it has to show in the race: that it is better, or, being simpler, no worse.
    """

    source: PolicySource
    summary: str
    reason: str
    files: Mapping[str, str] = field(default_factory=dict)
    n_steps: int = 0
    usage: Usage | None = None
    aim: Aim = Aim.BETTER


class Unusable(ProposalError):  # noqa: N818 - names the event
    """A reply came back, and no candidate could be made of it.

    Attributes:
        kind: Which of the known ways to go wrong it was, in a word or two: "no code", "cut off".
        files: Evidence to be kept with the iteration, name to text.
        usage: Tokens and dollars that the reply took.
        n_steps: Steps played for it.
    """

    def __init__(
        self,
        message: str,
        *,
        kind: str,
        files: Mapping[str, str] | None = None,
        usage: Usage | None = None,
        n_steps: int = 0,
    ) -> None:
        super().__init__(message)
        self.kind, self.files = kind, dict(files or {})
        self.usage, self.n_steps = usage, n_steps


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the loop and the command line have to know of an optimizer.

    Attributes:
        repairs: Takes the error of its proposal back and proposes once more; `Request.repair`.
        one_candidate: Would repeat itself, so it is asked once an iteration, however many
            candidates the run wants.
        uses_model: Asks a language model: needs one, and may spend money.
        may_tie: May improve a policy that already earns the highest possible return.
        uses_horizon: Reads the first `RunConfig.horizon` steps of an episode from its trace.
    """

    repairs: bool = False
    one_candidate: bool = False
    uses_model: bool = False
    may_tie: bool = False
    uses_horizon: bool = False


class Optimizer(ABC):
    """Proposes candidates; one instance serves one process of one run.

    `gco_agent.optimizers.testing` checks that an optimizer keeps to this contract.

    Attributes:
        name: Name in commits and on the command line.
        capabilities: What it can do and needs.
    """

    name: str
    capabilities: Capabilities = Capabilities()

    @abstractmethod
    def propose(self, request: Request) -> Proposal:
        """Propose the next candidate.

        Must not change the request. What it has to remember beyond the process goes into the
        files of the proposal, so that an interrupted run resumes from them. The same request and
        the same replies of models give the same proposal, which is never the parent's text.

        Raises:
            ProposalError: There is nothing to propose; `Unusable` if a reply is to blame.
            BudgetSpent: The next step would exceed a limit.
        """

    @classmethod
    def create(cls, tools: Tools) -> Optimizer:
        """Create an instance for a command; override it to use ``tools``.

        Raises:
            UsageError: Something that the optimizer needs is missing.
        """
        del tools
        return cls()

    def next_optimizer(self, attempts: Sequence[PastIteration]) -> Optimizer:
        """Return the optimizer that proposes after ``attempts``: itself, unless it has members."""
        del attempts
        return self


def _tell_nobody(text: str) -> None:
    del text


@dataclass(frozen=True, slots=True)
class Tools:
    """What the factory of an optimizer may use.

    Attributes:
        pool: Processes that play.
        open_model: The language model that the command was set up with; raises a `GcoError` that
            says what is missing.
        folder: Where files for people are put and looked for; None if there is no such place.
        tell: Told what a person has to know or do now, in lines.
        reply: An answer that is at hand already, to be used instead of asking.
        require: The jail must be at least this good where an optimizer plays policies.
    """

    pool: WorkerPool
    open_model: Callable[[], LanguageModel] | None = None
    folder: Path | None = None
    tell: Callable[[str], None] = _tell_nobody
    reply: str | None = None
    require: JailLevel = JailLevel.NONE

    def model(self, optimizer: str) -> LanguageModel:
        """Open the language model for the optimizer of that name.

        Raises:
            UsageError: The command was set up without one.
        """
        if self.open_model is None:
            raise UsageError(f"{optimizer} needs a language model, and none was given")
        return self.open_model()


LONGEST_S = 900.0
"""Wall time of a request, with its tries: a long answer streams for minutes."""
SHORTEST_S = 5.0
"""With less time than this left nothing is asked."""


def ask_in_time(
    model: LanguageModel, asked: ModelRequest, request: Request, patience: Patience
) -> Completion:
    """What the model answers in the time that is left.

    Args:
        model: Who is asked.
        asked: What; its time is set here.
        request: Of the iteration.
        patience: How often.

    Raises:
        BudgetSpent: There is no time for it, or the time was up before an answer came.
        ModelError: As `gco_agent.llm.ask`.
    """
    left_s = request.deadline - time.perf_counter()
    if left_s < SHORTEST_S:
        raise BudgetSpent("the time that a language model needs to answer")
    asked = replace(asked, seconds=min(left_s, LONGEST_S))
    try:
        return ask(model, asked, request.budget or Spending(), patience)
    except ModelTimedOut as error:
        if left_s < LONGEST_S:
            raise BudgetSpent(f"the time: {error.what}") from error
        raise
