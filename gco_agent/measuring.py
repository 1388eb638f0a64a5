"""The measured ends of a run: the policy it starts from, and the report on the one it has."""

from __future__ import annotations

import time

from gco_agent import accounts
from gco_agent.config import FILE, RunConfig, format_config
from gco_agent.envs.opening import initial_policy
from gco_agent.header import with_measured_header
from gco_agent.judge import Judge
from gco_agent.policy import PolicySource, format_policy
from gco_agent.progress import Playing, Progress
from gco_agent.records import Evaluation, Outcome
from gco_agent.seeds import Stream
from gco_agent.statistics import LOOKS
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
    source = PolicySource(format_policy(initial_policy(config.protocol)))
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
