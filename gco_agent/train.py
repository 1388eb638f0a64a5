"""The method: propose, judge, keep or turn down, commit; again, until a budget is spent.

    parent = the run's policy
    repeat: proposal = optimizer.propose(parent, what is known, what was tried)
            child    = the judge races it against the parent on selection seeds, paired
            the child becomes the parent only if its gain is significant
            a commit either way; what was turned down is kept beside the line, with its evidence

After Kuang et al. 2025 (arXiv:2508.19506), with the judge's race in place of their unpaired mean.
"""

from __future__ import annotations

import time

from gco_agent import accounts
from gco_agent.budget import Budget
from gco_agent.config import RunConfig
from gco_agent.errors import BudgetSpent, ContractViolation, ProposalError
from gco_agent.header import with_measured_header
from gco_agent.judge import Judge, Race
from gco_agent.measuring import full_lengths
from gco_agent.optimizers.base import Attempt, Optimizer, Proposal, Request
from gco_agent.policy import PolicySource, check_policy
from gco_agent.progress import Committed, Progress, Racing, silent
from gco_agent.seeds import Stream
from gco_agent.statistics import Verdict
from gco_agent.store.run import Run


def train(
    run: Run, optimizer: Optimizer, judge: Judge, config: RunConfig, budget: Budget,
    progress: Progress = silent,
) -> BudgetSpent:  # fmt: skip
    """Advance ``run`` until ``budget`` is spent, and say which part of it was.

    Killed at any moment, the run's branch is valid and holds every finished iteration; calling
    this again goes on from there.
    """
    accounts.recall_episodes(run, judge)
    while True:
        known = judge.known(PolicySource(run.policy()))
        budget.reserve([e.n_steps for e in known.episodes], full_lengths(known, config))
        try:
            budget.require(accounts.frames_used(run))
        except BudgetSpent as spent:
            return spent
        advance(run, optimizer, judge, config, budget, progress)
        budget.note_iteration()


def advance(
    run: Run, optimizer: Optimizer, judge: Judge, config: RunConfig, budget: Budget,
    progress: Progress = silent,
) -> Committed:  # fmt: skip
    """One iteration: a commit on the run's line, whatever came of it."""
    book = accounts.Book(
        run.ref.branch,
        run.last_iteration + 1,
        judge,
        time.perf_counter(),
        frames_before=accounts.frames_used(run),
        optimizer=optimizer.name,
    )
    parent = PolicySource(run.policy())
    try:
        proposal = optimizer.propose(_request(run, parent, judge, config, budget, progress))
        check_policy(proposal.source)
    except (ProposalError, ContractViolation) as error:
        return book.tell(progress, run, book.failure(str(error)), None, "no candidate")
    progress(Racing(None, 0))
    begun, n_before = time.perf_counter(), judge.n_steps
    race = judge.race(
        proposal.source,
        parent,
        deadline=budget.deadline,
        watch=lambda r: progress(Racing(r.gain, len(r.child.episodes), judge.n_steps - n_before)),
    )
    budget.note_play(judge.n_steps - n_before, time.perf_counter() - begun)
    return _commit(run, book, parent, proposal, race, progress)


def _request(
    run: Run, parent: PolicySource, judge: Judge, config: RunConfig, budget: Budget,
    progress: Progress,
) -> Request:  # fmt: skip
    """What the optimizer may know."""
    history = run.history()
    attempts = [
        Attempt(s.facts.iteration, s.facts.verdict.value, s.subject, s.facts.gain)
        for s in history
        if s.facts is not None
    ]

    def recall(name: str) -> str | None:
        texts = (run.evidence(step, name) for step in reversed(history))
        return next((text for text in texts if text is not None), None)

    return Request(
        parent=parent,
        evaluation=judge.known(parent),
        iteration=run.last_iteration + 1,
        config=config,
        attempts=attempts,
        recall=recall,
        deadline=budget.answer_by,
        progress=progress,
    )


def _commit(
    run: Run, book: accounts.Book, parent: PolicySource, proposal: Proposal, race: Race,
    progress: Progress,
) -> Committed:  # fmt: skip
    """Put the outcome on the branch: the child as the next policy, or beside the line."""
    label = Stream.SELECTION.label(0, len(race.child.episodes))
    played = book.evidence([(proposal.source, race.child), (parent, race.parent)])
    source = proposal.source
    if race.child.is_valid:
        origin = f"{run.ref.branch}, iteration {book.iteration}"
        source = with_measured_header(
            source, book.judge.protocol, race.child, seeds=label, origin=origin
        )
    book.n_steps = proposal.n_steps
    make_entry = book.accepted if race.verdict is Verdict.BETTER else book.rejected
    entry = make_entry(source, proposal, race, {**proposal.files, **played}, label)
    return book.tell(progress, run, entry, race.gain, proposal.summary)
