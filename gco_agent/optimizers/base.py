"""The interface of optimizers: what proposes the next candidate of a run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from gco_agent.core.errors import ProposalError, UsageError
from gco_agent.core.events import Progress, silent
from gco_agent.core.records import EpisodeResult, Evaluation, Usage, Verdict
from gco_agent.core.statistics import Aim
from gco_agent.core.text import format_points
from gco_agent.evaluation.workers import WorkerPool
from gco_agent.jail.limits import JailLevel
from gco_agent.llm.asking import Spending
from gco_agent.llm.base import LanguageModel
from gco_agent.policy.source import PolicySource
from gco_agent.store.config import RunConfig
from gco_agent.store.view import FEEDBACK_FILE

if TYPE_CHECKING:
    from gco_agent.optimizers.exchange import Answer
    from gco_agent.optimizers.feedback import Feedback

PROMPT_FILE, REPLY_FILE = "prompt.md", "reply.md"
EXCHANGE_FILE = "exchange.json"
"""Request, reply and usage of a language model, as data."""
QUESTIONS_FILE = "questions.md"
"""Replies with questions, before the one that was the answer."""
NOTE_FILE = "note.md"
"""Notes from the user that a prompt showed."""
CANDIDATES_OWN = frozenset(
    {
        *(FEEDBACK_FILE, PROMPT_FILE, REPLY_FILE, EXCHANGE_FILE, NOTE_FILE, QUESTIONS_FILE),
        *("proposal.json", "evaluation.json"),
    }
)
"""Files about one candidate. Any other file of an optimizer is its memory."""


ROUNDS, MOST_AT_ONCE = 3, 4
"""Times that a model may ask questions in an iteration, and questions each time."""
MOST_QUESTIONS_S = 600.0
"""Wall time that the answers of an iteration may take: a policy may take minutes an episode."""
MOST_SHOWN, MOST_VALUES = 400, 6
"""Steps of an episode that an answer shows, and values of a constant that it tries."""
SHOWN_TOKENS = 4_000
"""Length of what an answer shows of an episode; of wide rows some 60 steps fit in."""


@dataclass(frozen=True, slots=True)
class PastIteration:
    """The result of an earlier iteration of the run.

    Attributes:
        verdict: A `Verdict`, or its word: "rejected".
        summary: The edit in a few words, or the subject of the commit.
        gain: Points an episode over the policy it was raced against; None if there was no race.
        optimizer: Name of the one that proposed it, if any did.
        reason: The rest of the commit message; its last paragraph tells the result.
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
        """Whether its policy came into force."""
        return Verdict(self.verdict).gives_policy

    @property
    def outcome(self) -> str:
        """The verdict, and the gain if there was a race."""
        if self.gain is None:
            return self.verdict
        return f"{self.verdict}, {format_points(self.gain, '+')} points an episode"


def turned_down_since(attempts: Sequence[PastIteration]) -> list[PastIteration]:
    """Return the candidates turned down since the present policy came into force."""
    since: list[PastIteration] = []
    for attempt in attempts:
        if Verdict(attempt.verdict).is_turned_down:
            since.append(attempt)
        elif attempt.verdict != Verdict.REPORTED:
            since.clear()
    return since


def _no_answer(reply: str, n_asked: int = 0) -> str | None:
    del reply, n_asked
    return None


def _no_feedback() -> Feedback:
    raise ProposalError("this request comes without feedback: nothing was played for it")


@dataclass(frozen=True, slots=True)
class Request:
    """Everything an optimizer is given.

    Attributes:
        parent: The policy to edit: that in force, or an inconclusive candidate.
        evaluation: Its episodes on feedback seeds, as far as they were played.
        attempts: The iterations before, oldest first.
        recall: Returns the file of that name in the last iteration that has it, or None.
        deadline: `time.perf_counter` value by which to answer.
        feedback: Composes the feedback for a language model. Plays at the first call, so an
            optimizer that has no use for it never calls it.
        answer: Answers the questions in a reply of a model that has asked so often before, as
            `questions.Interview.answer` does; None if there are none.
        budget: What may still be spent on language models; None where none was set up.
        repair: If this is the second and last try of the iteration: the errors of the first.
        tried: The policy text, or else the reply, of that first try.
        siblings: Proposals of this iteration made before this one, to differ from.
        number: Which request of the iteration this is, from 1; those without a result count.
        tip: Last commit of the run, or "" where there is no run.
        most_steps: Steps that may be played to propose, by the optimizer and for feedback; None: no
            limit.
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
    answer: Callable[[str, int], str | None] = _no_answer
    budget: Spending | None = None
    repair: str | None = None
    tried: str | None = None
    siblings: Sequence[Proposal] = ()
    number: int = 1
    tip: str = ""
    most_steps: int | None = None


@dataclass(frozen=True, slots=True)
class Proposal:
    """A candidate before it is judged.

    Attributes:
        source: The whole policy text.
        summary: What is new in it, in a few words; the subject of the commit.
        reason: Why, in one or a few paragraphs; its body.
        files: Evidence to be kept with the iteration, name to text; `Request.recall` finds it.
        n_steps: Steps played to find it.
        usage: Tokens and dollars spent on it; None where no language model was asked.
        aim: What the race has to show: that it is better, or, being simpler, no worse.
    """

    source: PolicySource
    summary: str
    reason: str
    files: Mapping[str, str] = field(default_factory=dict)
    n_steps: int = 0
    usage: Usage | None = None
    aim: Aim = Aim.BETTER


class Unusable(ProposalError):  # noqa: N818 - names the event
    """There was a reply, but it does not give a candidate.

    Attributes:
        kind: The kind of error in a word or two: "no code", "cut off".
        files: Evidence to be kept with the iteration, name to text.
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
        repairs: Proposes once more if it is given the error of its proposal: `Request.repair`.
        one_candidate: Would repeat itself, so it is asked once an iteration, however many
            candidates the run wants, and always edits the policy in force.
        uses_model: Asks a language model: needs one, and may spend money.
        may_tie: May improve a policy that already earns the highest possible return.
        uses_horizon: Reads the first `RunConfig.horizon` steps of an episode from its trace.
        is_repeatable: Proposes by its seed and by results alone, and cannot know a seed of a race:
            its races follow from the seed, too, so that the whole run can be repeated.
    """

    repairs: bool = False
    one_candidate: bool = False
    uses_model: bool = False
    may_tie: bool = False
    uses_horizon: bool = False
    is_repeatable: bool = False


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

        Must not change the request. What it has to remember between processes belongs in the files
        of the proposal, from which an interrupted run resumes. The same request and the same
        replies of models give the same proposal, which is never the parent's text.

        Raises:
            ProposalError: There is nothing to propose; `Unusable` if a reply is to blame.
            BudgetSpent: The next step would exceed a limit.
        """

    @classmethod
    def create(cls, tools: Tools) -> Optimizer:
        """Create an instance for a command; override it to use ``tools``."""
        del tools
        return cls()

    def next_optimizer(self, attempts: Sequence[PastIteration]) -> Optimizer:
        """Return the optimizer that proposes after ``attempts``: itself, unless it has members."""
        del attempts
        return self


@dataclass(frozen=True, slots=True)
class Tools:
    """What the factory of an optimizer may use.

    Attributes:
        open_models: Open the language models of the command; each raises a `GcoError` that says
            what is missing. With several, each gets its own optimizer, and these take turns.
        folder: Folder for files that people read and write; None if there is none.
        reply: An answer that is available already, to be used instead of asking.
        answer: Answers prompts that are files; None if somebody else does.
        require: The jail must be at least this good where an optimizer plays policies.
    """

    pool: WorkerPool
    open_models: Sequence[Callable[[], LanguageModel]] = ()
    folder: Path | None = None
    tell: Callable[[str], None] = lambda _: None
    reply: str | None = None
    answer: Answer | None = None
    require: JailLevel = JailLevel.NONE

    def model(self, optimizer: str) -> LanguageModel:
        """Open the language model for the optimizer of that name."""
        if not self.open_models:
            raise UsageError(f"{optimizer} needs a language model, and none was given")
        return self.open_models[0]()
