"""The measured ends of a run: the policy it starts from, and the report on the one it has."""

from __future__ import annotations

import time

from gco_agent.core.errors import BudgetSpent, PolicyError
from gco_agent.core.events import Playing, Progress
from gco_agent.core.records import Evaluation, Outcome
from gco_agent.core.seeds import Stream
from gco_agent.core.statistics import LOOKS
from gco_agent.envs.environment import initial_policy, spec_of
from gco_agent.evaluation.judge import Judge
from gco_agent.loop import recording as accounts
from gco_agent.loop.budget import Budget
from gco_agent.optimizers.base import Optimizer
from gco_agent.policy import PolicySource, format_policy
from gco_agent.policy.header import with_measured_header
from gco_agent.store.config import FILE, RunConfig, format_config
from gco_agent.store.entries import RunRef
from gco_agent.store.run import Run, Runs

_INITIAL_EPISODES = LOOKS[1]
_LONGER = 3
"""How many times as long an episode that a race cuts goes on, where it is not cut: two good Pong
players rally for 13,000 steps, and a race cuts at 4,500."""


def start_run(  # noqa: PLR0913 - the last is seldom given
    runs: Runs, ref: RunRef, config: RunConfig, judge: Judge, *, switch: bool, progress: Progress,
    initial: PolicySource | None = None,
) -> str:  # fmt: skip
    """Measure the initial policy and commit it as iteration 0 of a new run; its commit id.

    Args:
        runs: Of the repository.
        ref: Name of the run.
        config: What it does.
        judge: Who measures.
        switch: Check the run's branch out.
        progress: Told how things stand.
        initial: A policy to start from; by default that of the game.

    Raises:
        PolicyError: ``initial`` failed in an episode; nothing was made then.
    """
    book = accounts.IterationRecorder(ref.branch, 0, judge, time.perf_counter(), frames_before=0)
    text = initial.text if initial else initial_policy(config.protocol)
    source = PolicySource(format_policy(text))
    seeds = Stream.SELECTION.seeds(0, _INITIAL_EPISODES)
    evaluation = _evaluate(judge, source, seeds, "initial policy", progress)
    if initial and not evaluation.is_valid:
        failure = evaluation.failures[0]
        raise PolicyError(
            f"the policy to begin with failed on seed {failure.seed}, step {failure.n_steps} "
            f"({failure.outcome.value}), so no run was started:\n{failure.detail}"
        )
    origin = f"{ref.branch}, iteration 0"
    label = Stream.SELECTION.label(0, _INITIAL_EPISODES)
    source = with_measured_header(source, judge.protocol, evaluation, seeds=label, origin=origin)
    entry = book.initial(source, evaluation, {FILE: format_config(config)})
    commit = runs.create(ref, entry, switch=switch)
    progress(book.committed(entry.facts, None, "initial policy", commit))
    return commit


def report(
    run: Run, judge: Judge, config: RunConfig, budget: Budget, progress: Progress
) -> Evaluation:
    """Measure the run's policy on the first report seeds and commit that to its docstring.

    Selection never sees these seeds, so this number is not flattered by having been chosen. They
    are played in blocks, as many as ``budget`` has time for, two episodes at least.
    """
    source = PolicySource(run.policy())
    judge = Judge(judge.pool, config.protocol, judge.require)
    book = accounts.IterationRecorder(
        run.ref.branch,
        run.last_iteration + 1,
        judge,
        time.perf_counter(),
        frames_before=accounts.frames_used(run),
    )
    n, evaluation, begun = 0, Evaluation((), config.protocol.stamp), time.perf_counter()
    while more := budget.report_block(n, time.perf_counter() - begun, judge.pool.n_workers):
        n += more
        seeds, of = Stream.REPORT.seeds(0, n), budget.report_episodes
        evaluation = _evaluate(judge, source, seeds, "report seeds", progress, of=of)
    label = Stream.REPORT.label(0, n)
    made_in = run.standing.iteration
    origin = f"{run.ref.branch}, iteration {made_in}"
    told = with_measured_header(source, config.protocol, evaluation, seeds=label, origin=origin)
    entry = book.reported(told, evaluation, label)
    commit = run.report(entry)
    what = f"policy of iteration {made_in} on report seeds"
    progress(book.committed(entry.facts, None, what, commit, run.standing.facts))
    return evaluation


def _evaluate(
    judge: Judge, source: PolicySource, seeds: range, what: str, progress: Progress,
    *, of: int | None = None,
) -> Evaluation:  # fmt: skip
    """Play ``source`` on ``seeds``, of which there may be more, and tell how far it is."""
    before, wanted = judge.n_steps, of or len(seeds)
    n_known = len(judge.known(source, seeds).episodes)
    progress(Playing(what, n_known, wanted))
    return judge.evaluate(
        source, seeds, lambda done, _: progress(Playing(what, done, wanted, judge.n_steps - before))
    )


def require_room(known: Evaluation, config: RunConfig, optimizer: Optimizer) -> None:
    """Check that ``optimizer`` can still improve on the ``known`` episodes of the policy.

    Raises:
        BudgetSpent: All its episodes earn the most there is, and what is proposed has to be better.
    """
    if optimizer.capabilities.may_tie:
        return
    most = spec_of(config.protocol).most_in(config.protocol.max_steps)
    returns = known.returns if known.is_valid else ()
    if most is not None and len(returns) >= LOOKS[0] and min(returns) >= most:
        raise BudgetSpent(f"{most:g} points an episode, which is the most that can be earned")


def full_lengths(known: Evaluation, config: RunConfig) -> list[int]:
    """A guess at the steps of the episodes of ``known``, had the race not cut them."""
    return [
        min(config.protocol.max_steps, _LONGER * e.n_steps)
        if e.outcome is Outcome.HORIZON
        else e.n_steps
        for e in known.episodes
    ]
