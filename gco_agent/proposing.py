"""Asking an optimizer within an iteration: several times, once more after an error, on the record.

Nothing that was paid for is lost: whatever comes back, an error included, becomes a `Try` with its
evidence and its usage, and is kept beside the run until the iteration is committed.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gco_agent.errors import (
    BudgetSpent,
    ContractViolation,
    ModelError,
    ProposalError,
    StoreError,
    UsageError,
)
from gco_agent.feedback import Feedback
from gco_agent.judge import Judge
from gco_agent.llm import Exchange, Spending, Usage, format_exchanges
from gco_agent.llm.secrets import scrub, scrubbed
from gco_agent.optimizers.base import (
    EXCHANGE_FILE,
    FEEDBACK_FILE,
    PROMPT_FILE,
    REPLY_FILE,
    Optimizer,
    Proposal,
    Request,
    Unusable,
)
from gco_agent.policy import PolicySource, check_policy
from gco_agent.store.run import Run
from gco_agent.tries import Try, try_from_json, try_to_json

JOURNAL = "tries.json"
REPEATED = "repeated"
"""The kind of a try that has the text of an earlier one of its iteration."""
_AGAIN = "this is the text of an earlier candidate of this iteration again; no more were asked for"
_log = logging.getLogger(__name__)


@dataclass
class Desk:
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
    tries: list[Try] = field(default_factory=list)
    n_judged: int = 0
    stopped_by: BudgetSpent | ModelError | None = None

    def __post_init__(self) -> None:
        self._feedback: Feedback | None = None
        self._begun_at = self.judge.n_steps
        self._found = _read_journal(self.run, self.request)

    @property
    def may_repair(self) -> bool:
        """Whether the optimizer takes an error back, and nothing has ended the asking."""
        return self.stopped_by is None and bool(getattr(self.optimizer, "repairs", False))

    def ask(self, n_candidates: int) -> None:
        """Ask for so many candidates; every answer is among `tries` afterwards.

        An optimizer that answers with the text of an earlier candidate has no more to say, and is
        not asked further; one that would propose the same again is asked once.

        Raises:
            BudgetSpent: The first request would have passed a limit.
            ModelError: There was no answer to the first request, and nothing was paid for.
        """
        if getattr(self.optimizer, "one_candidate", False):
            n_candidates = 1
        for _ in range(n_candidates):
            made = [each.proposal for each in self.tries if each.proposal and not each.error]
            self._ask(siblings=made)
            if self.stopped_by is not None or self.tries[-1].kind == REPEATED:
                return

    def ask_again(self, failed: Try, error: str) -> Try | None:
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
        self.tries.append(Try(name, proposal, words, kind, files, usage, n_steps, is_repair))
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
            "tries": [try_to_json(each, with_files=True) for each in self.tries],
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


def _read_journal(run: Run, request: Request) -> list[Try]:
    """What a killed command had asked for this iteration already."""
    text = run.set_aside(JOURNAL)
    if text is None:
        return []
    try:
        data = json.loads(text)
        if (data["iteration"], data["parent"]) != (request.iteration, request.parent.digest):
            return []
        return [try_from_json(each) for each in data["tries"]]
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
