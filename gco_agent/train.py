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
from gco_agent.config import FILE, RunConfig, format_config
from gco_agent.errors import BudgetSpent, ContractViolation, ProposalError
from gco_agent.games import find_game
from gco_agent.header import with_measured_header
from gco_agent.judge import Judge, Race
from gco_agent.optimizers.base import Attempt, Optimizer, Proposal, Request
from gco_agent.policy import PolicySource, check_policy, format_policy
from gco_agent.progress import Committed, Playing, Progress, Racing, silent
from gco_agent.records import Evaluation, Outcome
from gco_agent.seeds import Stream
from gco_agent.statistics import LOOKS, Verdict
from gco_agent.store.entries import RunRef
from gco_agent.store.run import Run
from gco_agent.store.runs import Runs

_INITIAL_EPISODES = LOOKS[1]
_LONGER = 2
"""How many times as long an episode that a race cuts goes on, where it is not cut."""


def start_run(
    runs: Runs, ref: RunRef, config: RunConfig, judge: Judge, *, switch: bool, progress: Progress
) -> str:
    """Measure the initial policy and commit it as iteration 0 of a new run; its commit id."""
    book = accounts.Book(ref.branch, 0, judge, time.perf_counter(), frames_before=0)
    source = PolicySource(format_policy(find_game(config.game).initial_policy()))
    seeds = Stream.SELECTION.seeds(0, _INITIAL_EPISODES)
    evaluation = judge.evaluate(
        source, seeds, lambda done, n: progress(Playing("initial policy", done, n))
    )
    origin = f"{ref.branch}, iteration 0"
    label = Stream.SELECTION.label(0, _INITIAL_EPISODES)
    source = with_measured_header(source, judge.protocol, evaluation, seeds=label, origin=origin)
    entry = book.initial(source, evaluation, {FILE: format_config(config)})
    commit = runs.create(ref, entry, switch=switch)
    progress(book.committed(entry.facts, None, "initial policy", commit))
    return commit


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
        watch=lambda r: progress(Racing(r.gain, len(r.child.episodes))),
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


def report(run: Run, judge: Judge, config: RunConfig, n: int, progress: Progress) -> Evaluation:
    """Measure the run's policy on the first ``n`` report seeds and commit that to its docstring.

    Selection never sees these seeds, so this number is not flattered by having been chosen.
    """
    source = PolicySource(run.policy())
    judge = Judge(judge.pool, config.protocol, judge.require)
    book = accounts.Book(
        run.ref.branch,
        run.last_iteration + 1,
        judge,
        time.perf_counter(),
        frames_before=accounts.frames_used(run),
    )
    evaluation = judge.evaluate(
        source,
        Stream.REPORT.seeds(0, n),
        lambda done, wanted: progress(Playing("report seeds", done, wanted)),
    )
    label = Stream.REPORT.label(0, n)
    made_in = run.standing.iteration
    origin = f"{run.ref.branch}, iteration {made_in}"
    told = with_measured_header(source, config.protocol, evaluation, seeds=label, origin=origin)
    entry = book.reported(told, evaluation, label)
    book.tell(progress, run, entry, None, f"policy of iteration {made_in} on report seeds")
    return evaluation


def full_lengths(known: Evaluation, config: RunConfig) -> list[int]:
    """A guess at the steps of the episodes of ``known``, had the race not cut them."""
    return [
        min(config.protocol.max_steps, _LONGER * e.n_steps)
        if e.outcome is Outcome.HORIZON
        else e.n_steps
        for e in known.episodes
    ]
