"""Ask an optimizer within an iteration, and collect its answers.

Nothing that was paid for is lost: every answer, an error included, becomes a `Candidate` with its
evidence and its usage, and is kept beside the run until the iteration is committed.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gco_agent.core import codec
from gco_agent.core.errors import (
    BudgetSpent,
    ContractViolation,
    GcoError,
    ModelError,
    ProposalError,
    StoreError,
)
from gco_agent.core.events import Progress, silent
from gco_agent.core.records import EpisodeResult, Usage
from gco_agent.core.seeds import FEEDBACK_EPISODES, Stream
from gco_agent.core.statistics import Aim
from gco_agent.core.text import format_score
from gco_agent.evaluation.judge import Judge
from gco_agent.llm.asking import Spending
from gco_agent.llm.base import Exchange, format_exchanges, scrub, scrubbed
from gco_agent.loop.budget import Budget
from gco_agent.loop.candidate import Candidate, StoredCandidate, store_candidate
from gco_agent.loop.recording import EPISODES
from gco_agent.loop.selection import REVISIT, Archive, race_judge
from gco_agent.optimizers.base import (
    EXCHANGE_FILE,
    NOTE_FILE,
    PROMPT_FILE,
    REPLY_FILE,
    Optimizer,
    PastIteration,
    Proposal,
    Request,
    Unusable,
)
from gco_agent.optimizers.feedback import Feedback, collect_feedback, format_note
from gco_agent.optimizers.questions import Interview
from gco_agent.policy.contract import check_policy
from gco_agent.policy.source import PolicySource, with_environment
from gco_agent.store.config import RunConfig
from gco_agent.store.control import read_notes
from gco_agent.store.entries import edit_of
from gco_agent.store.evidence import parse_evidence
from gco_agent.store.run import Run
from gco_agent.store.view import FEEDBACK_FILE, RunView, Step

JOURNAL = "tries.json"
"""File with the answers of an iteration until it is committed."""
REPEATED = "repeated"
"""Kind of error of a candidate with the text of an earlier one of its iteration."""
_AGAIN = "this is the text of an earlier candidate of this iteration again; no more were asked for"
_log = logging.getLogger(__name__)


class ProposalSession:
    """The requests of one iteration, and their answers.

    Args:
        edited: Digest of the request's policy where it is not the one in force.

    Attributes:
        stopped_by: What ended the asking; to be raised when the iteration is committed.
    """

    def __init__(
        self, run: Run, judge: Judge, optimizer: Optimizer, request: Request, spending: Spending,
        edited: str = "",
    ) -> None:  # fmt: skip
        self.answers: list[Candidate] = []
        self.stopped_by: BudgetSpent | ModelError | None = None
        self.n_judged = 0
        self._run, self._judge, self._optimizer = run, judge, optimizer
        self._request = dataclasses.replace(request, feedback=self._feedback_once, budget=spending)
        self._spending, self._edited = spending, edited
        self._compose = request.feedback
        self._feedback: Feedback | None = None
        self._found = _read_journal(run, request)
        self._noted: set[Path] = set()

    def ask(self, n_candidates: int) -> list[Candidate]:
        """Ask for candidates, as many as the optimizer has to offer and ``n_candidates`` at most.

        An optimizer that repeats the text of an earlier candidate is not asked further.
        """
        if self._optimizer.capabilities.one_candidate:
            n_candidates = 1
        for _ in range(n_candidates):
            self._ask(siblings=[c.proposal for c in self.answers if c.proposal and not c.error])
            if self.stopped_by is not None or self.answers[-1].kind == REPEATED:
                break
        return list(self.answers)

    def repair(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Ask once more if no candidate could be scored and the optimizer answers errors."""
        may_repair = self._optimizer.capabilities.repairs and self.stopped_by is None
        if not may_repair or any(each.is_scored for each in candidates):
            return []
        failed, before = candidates[-1], len(self.answers)
        tried = failed.proposal.source.text if failed.proposal else failed.files.get(REPLY_FILE)
        self._ask(repair=failed.result, tried=tried)
        return self.answers[before:]

    def close(self) -> None:
        """Delete the journal and the notes that were shown: the iteration is committed."""
        self._write_journal(None)
        for path in self._noted:
            path.unlink(missing_ok=True)

    def _shown_notes(self, files: Mapping[str, str]) -> dict[str, str]:
        """Return the evidence of notes in the feedback or the prompt, and take these as shown."""
        told = self._feedback.text if self._feedback else files.get(PROMPT_FILE, "")
        notes = {path: format_note(text) for path, text in read_notes(self._run).items()}
        shown = {path: note for path, note in notes.items() if note in told}
        self._noted |= set(shown)
        return {NOTE_FILE: "\n\n".join(shown.values()) + "\n"} if shown else {}

    def _ask(self, **changes: Any) -> None:  # noqa: ANN401 - fields of `Request`
        """Add an answer, from the journal of a killed command if it has one."""
        if len(self._found) > len(self.answers):
            self.answers.append(self._found[len(self.answers)])
            return
        request = dataclasses.replace(self._request, number=len(self.answers) + 1, **changes)
        proposal: Proposal | None = None
        error: Exception | None = None
        before = self._judge.n_steps
        try:
            proposal = _without_keys(self._optimizer.propose(request))
            check_policy(proposal.source)
            source = with_environment(proposal.source, request.config.protocol.env_id)
            aim = Aim.BETTER if self._edited else proposal.aim
            proposal = dataclasses.replace(proposal, source=source, aim=aim)
            if any(proposal.source == sibling.source for sibling in request.siblings):
                raise Unusable(_AGAIN, kind=REPEATED)
        except (ProposalError, ContractViolation) as failure:
            error = failure
        except (BudgetSpent, ModelError) as stop:
            self.stopped_by = error = stop
        exchanges = self._spending.take_exchanges()
        if self.stopped_by is not None and not any(map(_was_paid, exchanges)):
            if not self.answers:
                raise self.stopped_by
            return
        is_repair, n_judged = request.repair is not None, self._judge.n_steps - before
        self.n_judged += n_judged
        self._add(self._candidate(proposal, error, exchanges, n_judged, is_repair=is_repair))

    def _candidate(
        self,
        proposal: Proposal | None,
        error: Exception | None,
        exchanges: Sequence[Exchange],
        n_judged: int,
        *,
        is_repair: bool,
    ) -> Candidate:
        answer = error if proposal is None else proposal  # of the errors, `Unusable` tells as much
        files = dict(getattr(answer, "files", {}))
        files |= self._shown_notes(files)
        usage, n_steps = getattr(answer, "usage", None), getattr(answer, "n_steps", 0)
        if self._feedback is not None:
            files.setdefault(FEEDBACK_FILE, self._feedback.text + "\n")
        if exchanges:
            usage = sum((exchange.usage for exchange in exchanges), Usage())
            files = {**_conversation(exchanges[-1]), **files}
            files[EXCHANGE_FILE] = format_exchanges(exchanges)
        kind = getattr(error, "kind", type(error).__name__) if error else ""
        return Candidate(
            self._optimizer.name,
            proposal,
            scrub(str(error or "")),
            kind,
            scrubbed(files),
            usage,
            n_steps + n_judged,
            is_repair,
            self._edited,
        )

    def _add(self, candidate: Candidate) -> None:
        self.answers.append(candidate)
        if candidate.usage is not None:
            stored = [store_candidate(each, with_files=True) for each in self.answers]
            request = self._request
            self._write_journal(_Journal(request.iteration, request.parent.digest, stored))

    def _feedback_once(self) -> Feedback:
        if self._feedback is None:
            self._feedback = self._compose()
        return self._feedback

    def _write_journal(self, journal: _Journal | None) -> None:
        try:
            self._run.put_aside(JOURNAL, None if journal is None else codec.dumps(journal))
        except StoreError as error:  # the journal only saves money
            _log.warning("%s; what was asked is paid for again if this command is killed", error)


@dataclasses.dataclass(frozen=True, slots=True)
class _Journal:
    """The answers of an iteration that is not committed yet."""

    iteration: int
    parent: str
    tries: list[StoredCandidate]


def _read_journal(run: Run, request: Request) -> list[Candidate]:
    """Return what a killed command was answered in this iteration."""
    text = run.set_aside(JOURNAL)
    if text is None:
        return []
    try:
        journal = codec.loads(_Journal, text, JOURNAL)
        if (journal.iteration, journal.parent) != (request.iteration, request.parent.digest):
            return []
        return [stored.restore() for stored in journal.tries]
    except GcoError:
        return []  # half written, or by another version: it only saves money


def _without_keys(proposal: Proposal) -> Proposal:
    """Remove what looks like a key: all of a proposal is committed."""
    text = scrub(proposal.source.text)
    return dataclasses.replace(
        proposal,
        source=proposal.source if text == proposal.source.text else PolicySource(text),
        summary=scrub(proposal.summary),
        reason=scrub(proposal.reason),
        files=scrubbed(dict(proposal.files)),
    )


def _was_paid(exchange: Exchange) -> bool:
    return bool(exchange.usage.total_tokens or exchange.at_risk.total_tokens)


def _conversation(exchange: Exchange) -> dict[str, str]:
    """Return prompt and reply as files that people read."""
    asked = exchange.request
    parts = [part for part in (asked.system, asked.cached, asked.user) if part]
    files = {PROMPT_FILE: "\n\n".join(parts) + "\n"}
    answer = exchange.completion
    if answer is not None and answer.tool_input is not None:
        fields = (f"## {name}\n\n{value}" for name, value in answer.tool_input.items())
        files[REPLY_FILE] = "\n\n".join(filter(None, [answer.text, *fields])) + "\n"
    else:
        files[REPLY_FILE] = answer.text if answer is not None else exchange.partial
    return {name: text for name, text in files.items() if text}


# -- the request ----------------------------------------------------------------------------------

_MOST_SOURCES = 12
"""Past iterations, the newest, whose policies are read;"""
_MOST_RACES = 4
"""and those whose races are."""


def compose_request(
    archive: Archive,
    judge: Judge,
    config: RunConfig,
    budget: Budget,
    progress: Progress = silent,
    *,
    parent: PolicySource | None = None,
) -> Request:
    """Return the request for the optimizer of the next iteration.

    Nothing is played unless `Request.feedback` is called. The parent is by default the one that
    `Revisit` chooses.
    """
    run, parent = archive.run, parent or REVISIT.parents(archive)[0]
    judge = race_judge(archive, config, judge)
    attempts = list(_past_iterations(run, archive.history))
    most = config.slice_steps if budget.proposal_steps is None else budget.proposal_steps
    return Request(
        parent=parent,
        evaluation=judge.cached(parent, Stream.FEEDBACK.seeds(0, FEEDBACK_EPISODES)),
        iteration=run.last_iteration + 1,
        config=dataclasses.replace(config, slice_steps=max(1, min(config.slice_steps, most))),
        attempts=attempts,
        recall=_recaller(run, archive.history),
        deadline=budget.answer_by,
        most_steps=budget.proposal_steps,
        progress=progress,
        feedback=lambda: _with_notes(
            [*_describe_parent(archive, parent), *map(format_note, read_notes(run).values())],
            collect_feedback(judge, parent, attempts, config, progress),
        ),
        answer=Interview(
            judge, parent, attempts, budget.answer_by, progress, config.hints, budget.proposal_steps
        ).answer,
        tip=run.tip,
    )


def _describe_parent(archive: Archive, parent: PolicySource) -> Iterator[str]:
    """Describe the policy to edit, if it is not the one in force."""
    for step, source in archive.inconclusive if parent != archive.champion else ():
        if source == parent and step.facts is not None:
            gain = format_score(step.facts.gain, step.facts.gain_se, "+", least=2)
            yield (
                "This policy is not the one in force. It is the inconclusive candidate of "
                f"iteration {step.facts.iteration}: a gain of {gain} over the policy in force, "
                f"after {step.facts.pairs} pairs, which may be luck. Improve it: your version is "
                "raced against the policy in force."
            )


def _with_notes(notes: Sequence[str], feedback: Feedback) -> Feedback:
    return dataclasses.replace(feedback, text="\n\n".join([*notes, feedback.text]))


def read_attempts(run: RunView) -> list[PastIteration]:
    """Return the past iterations of a run, oldest first, one record a candidate."""
    return list(_past_iterations(run, run.history()))


def _past_iterations(run: RunView, history: Sequence[Step]) -> Iterator[PastIteration]:
    for number, step in enumerate(history):
        if step.facts is None:
            continue
        with_source = number == 0 or number >= len(history) - _MOST_SOURCES
        is_kept = step.facts.verdict.is_kept
        candidates = (step,) if is_kept or not step.candidates else step.candidates
        for index, candidate in enumerate(candidates):
            facts = candidate.facts or step.facts
            text = _own_policy(run, candidate) if with_source else None
            has_race = text is not None and not is_kept and number >= len(history) - _MOST_RACES
            yield PastIteration(
                step.facts.iteration,
                facts.verdict.value,
                edit_of(step.subject if len(step.candidates) <= 1 else candidate.subject),
                facts.gain,
                facts.optimizer,
                candidate.body,
                text,
                _race(run, step, index, PolicySource(text)) if has_race and text else (),
            )


def _race(
    run: RunView, step: Step, candidate: int, source: PolicySource
) -> tuple[tuple[EpisodeResult, EpisodeResult | None], ...]:
    """Return a candidate's episodes beside those of the policy in force, seed by seed."""
    text = run.evidence(step, EPISODES, candidate=candidate)
    try:
        evidence = parse_evidence(text or "", EPISODES)
    except StoreError:
        return ()  # there is none, or somebody edited it
    others = {
        e.seed: e
        for digest, episodes in evidence.policies.items()
        if digest != source.digest
        for e in episodes
    }
    return tuple((episode, others.get(episode.seed)) for episode in evidence.of(source))


def _own_policy(run: RunView, step: Step) -> str | None:
    """Return the policy that a commit made; None if it has that of the commit before."""
    text = run.policy(step.commit)
    if step.facts is not None and step.facts.verdict.is_kept:
        return text
    before = run.policy(step.parents[0]) if step.parents else None
    return None if text == before else text


def _recaller(run: RunView, history: Sequence[Step]) -> Callable[[str], str | None]:
    def recall(name: str) -> str | None:
        for step in reversed(history):
            for candidate in range(-1, -1 - max(1, len(step.candidates)), -1):
                text = run.evidence(step, name, candidate=candidate)
                if text is not None:
                    return text
        return None

    return recall
