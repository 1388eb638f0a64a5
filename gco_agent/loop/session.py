"""Asking an optimizer within an iteration: several times, once more after an error, on the record.

Nothing that was paid for is lost: whatever comes back, an error included, becomes a
`ProposalRecord` with its evidence and its usage, and is kept beside the run until the iteration is
committed.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gco_agent.core.errors import (
    BudgetSpent,
    ContractViolation,
    ModelError,
    PolicyError,
    ProposalError,
    StoreError,
    UsageError,
)
from gco_agent.core.events import Playing, Progress, silent
from gco_agent.core.records import Evaluation, PlayProtocol
from gco_agent.core.seeds import FEEDBACK_EPISODES, Stream, format_seeds
from gco_agent.envs.environment import spec_of
from gco_agent.evaluation.episode import Rollout
from gco_agent.evaluation.judge import Judge
from gco_agent.jail.limits import weakest_jail
from gco_agent.llm import Exchange, Spending, Usage, format_exchanges, scrub, scrubbed
from gco_agent.loop.budget import Budget
from gco_agent.loop.proposals import (
    ProposalRecord,
    proposal_record_from_json,
    proposal_record_to_json,
)
from gco_agent.optimizers.base import (
    EXCHANGE_FILE,
    FEEDBACK_FILE,
    PROMPT_FILE,
    REPLY_FILE,
    Optimizer,
    PastIteration,
    Proposal,
    Request,
    Unusable,
)
from gco_agent.optimizers.feedback import Feedback, Results, compose_feedback
from gco_agent.policy import PolicySource, check_policy
from gco_agent.store.config import RunConfig
from gco_agent.store.run import Run
from gco_agent.store.view import RunView, Step
from gco_agent.traces.moments import capture
from gco_agent.traces.playing import Replay, follow
from gco_agent.traces.records import ExecutionTrace, Window

JOURNAL = "tries.json"
REPEATED = "repeated"
"""The kind of a try that has the text of an earlier one of its iteration."""
_AGAIN = "this is the text of an earlier candidate of this iteration again; no more were asked for"
_log = logging.getLogger(__name__)


@dataclass
class ProposalSession:
    """Where the proposals of one iteration are asked for.

    Attributes:
        run: Whose iteration it is.
        judge: Who plays for the feedback, which is counted.
        optimizer: Who is asked.
        request: What is asked, but for what changes from one try to the next.
        spending: What language models may cost, and have cost.
        tries: What was asked so far, and what came back.
        n_judged: Steps that the judge played for feedback.
        stopped_by: What ended the asking for good; to be raised when the iteration is committed.
    """

    run: Run
    judge: Judge
    optimizer: Optimizer
    request: Request
    spending: Spending
    tries: list[ProposalRecord] = field(default_factory=list)
    n_judged: int = 0
    stopped_by: BudgetSpent | ModelError | None = None

    def __post_init__(self) -> None:
        self._feedback: Feedback | None = None
        self._begun_at = self.judge.n_steps
        self._found = _read_journal(self.run, self.request)

    @property
    def may_repair(self) -> bool:
        """Whether the optimizer takes an error back, and nothing has ended the asking."""
        return self.stopped_by is None and self.optimizer.capabilities.repairs

    def ask(self, n_candidates: int) -> None:
        """Ask for so many candidates; every answer is among `tries` afterwards.

        An optimizer that answers with the text of an earlier candidate has no more to say, and is
        not asked further; one that would propose the same again is asked once.

        Raises:
            BudgetSpent: The first request would have passed a limit.
            ModelError: There was no answer to the first request, and nothing was paid for.
        """
        if self.optimizer.capabilities.one_candidate:
            n_candidates = 1
        for _ in range(n_candidates):
            made = [each.proposal for each in self.tries if each.proposal and not each.error]
            self._ask(siblings=made)
            if self.stopped_by is not None or self.tries[-1].kind == REPEATED:
                return

    def ask_again(self, failed: ProposalRecord, error: str) -> ProposalRecord | None:
        """Ask once more, now that a try has failed; None if nobody answers.

        Args:
            failed: Which one.
            error: What was wrong, for its author.
        """
        tried = failed.files.get(REPLY_FILE)
        if failed.proposal is not None:
            tried = failed.proposal.source.text
        before = len(self.tries)
        self._ask(repair=error, tried=tried)
        return self.tries[-1] if len(self.tries) > before else None

    def forget(self) -> None:
        """The iteration is committed: what was kept beside the run has its place there."""
        self._put_aside(None)

    def _ask(self, **changes: Any) -> None:  # noqa: ANN401 - parts of `Request`
        """Add a try, from the journal of a killed command if it has one."""
        if len(self._found) > len(self.tries):
            self.tries.append(self._found[len(self.tries)])
            return
        request = dataclasses.replace(
            self.request,
            feedback=self._remembered_feedback,
            budget=self.spending,
            number=len(self.tries) + 1,
            **changes,
        )
        proposal: Proposal | None = None
        self._begun_at = self.judge.n_steps
        try:
            proposal = _without_keys(self.optimizer.propose(request))
            check_policy(proposal.source)
            if any(proposal.source == sibling.source for sibling in request.siblings):
                raise Unusable(_AGAIN, kind=REPEATED)
        except (ProposalError, ContractViolation) as error:
            self._add(proposal, error, is_repair=request.repair is not None)
        except (BudgetSpent, ModelError) as stop:
            self.stopped_by = stop
            exchanges = self.spending.take_exchanges()
            if any(e.usage.total_tokens or e.at_risk.total_tokens for e in exchanges):
                self._add(None, stop, exchanges, is_repair=request.repair is not None)
            elif not self.tries:
                raise
        else:
            self._add(proposal, None, is_repair=request.repair is not None)

    def _add(
        self,
        proposal: Proposal | None,
        error: Exception | None,
        exchanges: Sequence[Exchange] = (),
        *,
        is_repair: bool,
    ) -> None:
        exchanges = [*exchanges, *self.spending.take_exchanges()]
        files = dict(getattr(error, "files", {}) if proposal is None else proposal.files)
        if self._feedback is not None:
            files.setdefault(FEEDBACK_FILE, self._feedback.text + "\n")
        if exchanges:
            files = {**_conversation(exchanges[-1]), **files}
            files[EXCHANGE_FILE] = format_exchanges(exchanges)
        told = getattr(error, "usage", None) if proposal is None else proposal.usage
        usage = _used(exchanges) if exchanges else told
        kind = getattr(error, "kind", type(error).__name__) if error else ""
        told_steps = getattr(error, "n_steps", 0) if proposal is None else proposal.n_steps
        n_judged = self.judge.n_steps - self._begun_at
        self.n_judged += n_judged
        name, n_steps = self.optimizer.name, told_steps + n_judged
        words, files = scrub(str(error or "")), scrubbed(files)
        self.tries.append(
            ProposalRecord(name, proposal, words, kind, files, usage, n_steps, is_repair)
        )
        if usage is not None:
            self._write_journal()

    def _remembered_feedback(self) -> Feedback:
        if self._feedback is None:
            self._feedback = self.request.feedback()
        return self._feedback

    def _write_journal(self) -> None:
        data = {
            "iteration": self.request.iteration,
            "parent": self.request.parent.digest,
            "tries": [proposal_record_to_json(each, with_files=True) for each in self.tries],
        }
        self._put_aside(json.dumps(data))

    def _put_aside(self, text: str | None) -> None:
        try:
            self.run.put_aside(JOURNAL, text)
        except StoreError as error:  # it only ever saves money
            _log.warning("%s; what was asked is paid for again if this command is killed", error)


def _without_keys(proposal: Proposal) -> Proposal:
    """``proposal`` with nothing in it that looks like a key: all of it is committed."""
    text = scrub(proposal.source.text)
    return dataclasses.replace(
        proposal,
        source=proposal.source if text == proposal.source.text else PolicySource(text),
        summary=scrub(proposal.summary),
        reason=scrub(proposal.reason),
        files=scrubbed(dict(proposal.files)),
    )


def _read_journal(run: Run, request: Request) -> list[ProposalRecord]:
    """What a killed command had asked for this iteration already."""
    text = run.set_aside(JOURNAL)
    if text is None:
        return []
    try:
        data = json.loads(text)
        if (data["iteration"], data["parent"]) != (request.iteration, request.parent.digest):
            return []
        return [proposal_record_from_json(each) for each in data["tries"]]
    except (ValueError, KeyError, TypeError, UsageError):
        return []  # half written, or by another version: it only ever saves money


def _used(exchanges: Sequence[Exchange]) -> Usage:
    total = Usage()
    for exchange in exchanges:
        total += exchange.usage
    return total


def _conversation(exchange: Exchange) -> dict[str, str]:
    """Prompt and reply as people read them."""
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


_MOST_SOURCES = 12
"""Attempts, the newest, whose texts are read: older ones are only counted."""


def compose_request(
    run: RunView, judge: Judge, config: RunConfig, budget: Budget, progress: Progress = silent
) -> Request:
    """Everything that may be known of ``run`` by whoever proposes its next iteration.

    Nothing is played, unless `Request.feedback` is called.
    """
    parent = PolicySource(run.policy())
    history = run.history()
    attempts = read_attempts(run, history)
    return Request(
        parent=parent,
        evaluation=judge.known(parent, Stream.FEEDBACK.seeds(0, FEEDBACK_EPISODES)),
        iteration=run.last_iteration + 1,
        config=config,
        attempts=attempts,
        recall=_recaller(run, history),
        deadline=budget.answer_by,
        progress=progress,
        feedback=lambda: _compose_feedback(judge, parent, attempts, config, progress),
        tip=run.tip,
    )


def read_attempts(run: RunView, history: Sequence[Step]) -> list[PastIteration]:
    """What the iterations of a run came to, oldest first, a candidate each."""
    found: list[PastIteration] = []
    for number, step in enumerate(history):
        if step.facts is None:
            continue
        with_source = number == 0 or number >= len(history) - _MOST_SOURCES
        is_kept = step.facts.verdict.is_kept
        for candidate in (step,) if is_kept or not step.candidates else step.candidates:
            facts = candidate.facts or step.facts
            found.append(
                PastIteration(
                    step.facts.iteration,
                    facts.verdict.value,
                    step.subject if len(step.candidates) <= 1 else candidate.subject,
                    facts.gain,
                    facts.optimizer,
                    candidate.body,
                    _own_policy(run, candidate) if with_source else None,
                )
            )
    return found


def _own_policy(run: RunView, step: Step) -> str | None:
    """The policy that a commit made; None if it only has that of the commit before."""
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


def _compose_feedback(
    judge: Judge, parent: PolicySource, attempts: Sequence[PastIteration], config: RunConfig,
    progress: Progress,
) -> Feedback:  # fmt: skip

    feedback = compose_for(judge, parent, attempts, config, progress)
    if not config.horizon:
        return feedback
    return replace(feedback, trace=_first_steps(judge, parent, config.horizon))


def _first_steps(judge: Judge, parent: PolicySource, horizon: int) -> ExecutionTrace:
    """The first steps of the first feedback seed, whatever happened in them."""
    (seed,) = Stream.FEEDBACK.seeds(0, 1)
    task = Rollout(parent.text, (seed,), judge.protocol, judge.require)
    (course,) = judge.pool.map(follow, [Replay(task, ((0, horizon),))])
    result = course.result
    judge.n_steps += result.n_steps
    if not course.recorded:
        return ExecutionTrace()
    window = Window(
        f"the first {len(course.recorded)} steps",
        None,
        seed,
        course.recorded[-1].step,
        course.recorded,
        result.n_steps,
        result.episode_return,
        result.detail,
    )
    return ExecutionTrace((window,))


_MOST_UNCUT = 2
"""Of the episodes that the race's limit cuts, so many are played to their end."""
_WHOLE = "playing whole games"


def compose_for(
    judge: Judge, parent: PolicySource, attempts: Sequence[PastIteration], config: RunConfig,
    progress: Progress = silent,
) -> Feedback:  # fmt: skip
    """Play ``parent`` on feedback seeds, replay what decided these episodes, and compose it all.

    The policy that it replaced is played on the same seeds, unless the judge remembers that, and
    where the race's limit cut episodes, the first of these are played to their end. Steps are
    counted with the judge's. The result depends on the arguments alone, and not on the workers.

    Raises:
        JailError: The jail cannot be built, or not as good as required.
    """
    seeds = Stream.FEEDBACK.seeds(0, FEEDBACK_EPISODES)
    results, trace = gather(judge, parent, attempts, config.protocol, seeds, progress)
    results = replace(results, hints=config.hints)
    return compose_feedback(results, trace, config.trace_tokens)


def gather(
    judge: Judge,
    source: PolicySource,
    attempts: Sequence[PastIteration],
    rules: PlayProtocol,
    seeds: range,
    progress: Progress = silent,
) -> tuple[Results, ExecutionTrace]:
    """What feedback on ``source`` is composed of; plays, and raises, as `compose_for`.

    Args:
        judge: Plays by rules that may cut episodes earlier.
        source: The policy.
        attempts: What was tried before it, oldest first.
        rules: Those of whole episodes.
        seeds: What to play.
        progress: Told how far that is.
    """
    trace, evaluation = trace_policy(judge, source, seeds, progress)
    results = Results(
        spec_of(rules),
        source.text,
        evaluation,
        format_seeds(seeds),
        _before(judge, attempts, seeds),
        attempts,
        limit=judge.protocol.max_steps,
        longest=rules.max_steps,
    )
    return replace(results, uncut=_uncut(judge, source, results, rules, progress)), trace


def _uncut(
    judge: Judge, source: PolicySource, results: Results, rules: PlayProtocol, progress: Progress
) -> Evaluation | None:
    """The first episodes that the judge's limit cut, played to their end; played once."""
    seeds = tuple(episode.seed for episode in results.cut[:_MOST_UNCUT])
    if not seeds or results.limit >= results.longest or not results.evaluation.is_valid:
        return None
    key = (source.text, seeds)
    if key not in judge.uncut:
        whole = Judge(judge.pool, rules, judge.require)
        progress(Playing(_WHOLE, 0, len(seeds)))
        judge.uncut[key] = whole.evaluate(
            source, seeds, lambda done, n: progress(Playing(_WHOLE, done, n, whole.n_steps))
        )
        judge.n_steps += whole.n_steps
    return judge.uncut[key]


def trace_policy(
    judge: Judge, source: PolicySource, seeds: Sequence[int], progress: Progress = silent
) -> tuple[ExecutionTrace, Evaluation]:
    """The decisive moments of ``source`` on ``seeds``, and what it scored there; played once.

    Raises:
        JailError: The jail cannot be built, or not as good as required.
    """
    key = (source.text, tuple(seeds))
    if key not in judge.traces:
        got = capture(judge.pool, source.text, seeds, judge.protocol, judge.require, progress)
        judge.n_steps += got.n_steps
        judge.note_jail(weakest_jail(got.evaluation.episodes))
        judge.take_over(source, got.evaluation)
        judge.traces[key] = got.trace, got.evaluation
    return judge.traces[key]


def _before(
    judge: Judge, attempts: Sequence[PastIteration], seeds: Sequence[int]
) -> Evaluation | None:
    """What the policy scores that the run had before its present one."""
    kept = [attempt.source for attempt in attempts if attempt.gave_policy]
    before = kept[-2] if len(kept) > 1 else None
    if before is None:  # there was none, or it is too long ago for its text to have been read
        return None
    try:
        return judge.evaluate(PolicySource(before), seeds)
    except PolicyError:  # a commit that a person made by hand may hold anything
        return None
