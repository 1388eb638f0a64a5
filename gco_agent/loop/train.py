"""The method: propose, judge, keep or turn down, commit; again, until a budget is spent.

    parent = the run's policy
    repeat: proposal = optimizer.propose(parent, what is known, what was tried)
            child    = the judge races it against the parent on selection seeds, paired
            if there is no child that could be scored: the optimizer may try once more
            the child becomes the parent only if its gain is significant
            a commit either way; what was turned down is kept beside the line, with its evidence

After Kuang et al. 2025 (arXiv:2508.19506), with the judge's race in place of their unpaired mean.
"""

from __future__ import annotations

import time
from dataclasses import replace

from gco_agent.core.errors import BudgetSpent, RequestAbandoned
from gco_agent.core.events import Committed, Progress, Racing, silent
from gco_agent.evaluation.judge import AcceptanceCriterion, Judge
from gco_agent.loop import recording as accounts
from gco_agent.loop.budget import Budget
from gco_agent.loop.measuring import full_lengths, require_room
from gco_agent.loop.proposals import ProposalRecord
from gco_agent.loop.recording import Judged
from gco_agent.loop.selection import acceptance_criterion
from gco_agent.loop.session import ProposalSession, compose_request
from gco_agent.optimizers.base import Optimizer
from gco_agent.policy import PolicySource
from gco_agent.store.config import RunConfig
from gco_agent.store.run import Run


def train(
    run: Run, optimizer: Optimizer, judge: Judge, config: RunConfig, budget: Budget,
    progress: Progress = silent,
) -> BudgetSpent:  # fmt: skip
    """Advance ``run`` until ``budget`` is spent, and say which part of it was.

    Killed at any moment, the run's branch is valid and holds every finished iteration; calling
    this again goes on from there.

    Raises:
        ModelError: A language model cannot be reached, or takes no requests; what was paid for is
            committed.
        KeyboardInterrupt: The command is to end; of a request under way, the same holds.
    """
    accounts.recall_episodes(run, judge)
    while True:
        known = judge.known(PolicySource(run.policy()))
        budget.reserve([e.n_steps for e in known.episodes], full_lengths(known, config))
        try:
            require_room(known, config, optimizer)
            budget.require(accounts.frames_used(run))
            advance(run, optimizer, judge, config, budget, progress)
        except BudgetSpent as spent:
            return spent
        except RequestAbandoned as abandoned:
            raise abandoned.signal from None
        budget.note_iteration()


def advance(
    run: Run, optimizer: Optimizer, judge: Judge, config: RunConfig, budget: Budget,
    progress: Progress = silent,
) -> Committed:  # fmt: skip
    """One iteration: a commit on the run's line, whatever came of it.

    Raises:
        BudgetSpent: Nothing could be proposed within the limits.
        ModelError: As `train`.
    """
    spending = accounts.open_spending(run, budget)
    request = compose_request(run, judge, config, budget, progress)
    proposer = optimizer.next_optimizer(request.attempts)
    book = accounts.IterationRecorder(
        run.ref.branch,
        run.last_iteration + 1,
        judge,
        time.perf_counter(),
        frames_before=accounts.frames_used(run),
        optimizer=proposer.name,
    )
    desk = ProposalSession(run, judge, proposer, request, spending)
    desk.ask(config.candidates)
    terms = acceptance_criterion(run, desk.tries)
    judged = [_judge(each, request.parent, judge, budget, progress, terms) for each in desk.tries]
    if desk.may_repair and not any(each.is_scored for each in judged):
        failed = judged[-1]
        second = desk.ask_again(failed.tried, failed.error)
        if second is not None:
            terms = acceptance_criterion(run, [second])
            judged.append(_judge(second, request.parent, judge, budget, progress, terms))
    book.n_steps = sum(each.n_steps for each in desk.tries) - desk.n_judged
    committed = book.conclude(progress, run, request.parent, judged)
    desk.forget()
    if desk.stopped_by is not None:
        raise desk.stopped_by
    return committed


def _judge(
    tried: ProposalRecord, parent: PolicySource, judge: Judge, budget: Budget, progress: Progress,
    terms: AcceptanceCriterion,
) -> Judged:  # fmt: skip
    """Race a candidate against its parent; a try without one is not raced."""
    proposal = tried.proposal
    if proposal is None or tried.error:
        return Judged(tried, None)
    terms = replace(terms, aim=proposal.aim)
    pairs = judge.looks(terms.aim)[-1]
    progress(Racing(None, 0, pairs))
    begun, n_before = time.perf_counter(), judge.n_steps
    race = judge.race(
        proposal.source,
        parent,
        terms,
        deadline=budget.race_by,
        watch=lambda r: progress(
            Racing(r.gain, len(r.child.episodes), pairs, judge.n_steps - n_before)
        ),
    )
    budget.note_play(judge.n_steps - n_before, time.perf_counter() - begun)
    return Judged(tried, race)
