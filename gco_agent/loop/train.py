"""The method: propose, race, accept or reject, commit; again, until a budget is spent.

    parent = the run's policy
    repeat: proposal  = optimizer.propose(parent, its results, what was tried)
            candidate = the judge races it against the parent on selection seeds, paired
            if no candidate could be scored, the optimizer may try once more
            the candidate becomes the parent only if its gain is significant
            a commit either way; rejected candidates are kept beside the line, with their evidence

After Kuang et al. 2025 (arXiv:2508.19506), with the judge's race in place of their unpaired mean.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gco_agent.core.errors import BudgetSpent, PolicyError, RequestAbandoned
from gco_agent.core.events import Committed, Playing, Progress, Racing, Searching, silent
from gco_agent.core.records import Evaluation, Outcome
from gco_agent.core.seeds import Stream
from gco_agent.core.statistics import INTERIM_ANALYSES, Gain
from gco_agent.envs.environment import initial_policy, spec_of
from gco_agent.evaluation.judge import AcceptanceCriterion, Judge
from gco_agent.loop.budget import Budget
from gco_agent.loop.candidate import Candidate
from gco_agent.loop.recording import (
    IterationRecorder,
    committed_event,
    open_spending,
    proposal_steps,
    recall_episodes,
)
from gco_agent.loop.selection import LINE, REVISIT, Archive, Selection, race_judge, selection_seed
from gco_agent.loop.session import ProposalSession, compose_request, read_attempts
from gco_agent.optimizers.base import Optimizer
from gco_agent.policy.source import PolicySource, format_policy, with_environment
from gco_agent.store.config import FILE, RunConfig, format_config
from gco_agent.store.control import is_paused, resume
from gco_agent.store.entries import RunRef
from gco_agent.store.run import Run, Runs
from gco_agent.store.view import RunView, frames_of

_POLL_S = 0.2
_INITIAL_EPISODES = INTERIM_ANALYSES[1]
_MOST_IDLE = 10
"""Iterations in a row without any play after which training ends."""
_LONGER = 3
"""Estimated length of a whole episode, in lengths at which a race truncates it."""


def train(  # noqa: PLR0913 - the last is seldom given
    run: Run, optimizer: Optimizer, judge: Judge, config: RunConfig, budget: Budget,
    progress: Progress = silent, *, selection: Selection = REVISIT,
) -> BudgetSpent:  # fmt: skip
    """Advance ``run`` until ``budget`` is spent, and return which limit was reached.

    The run's branch is valid at any moment; after a kill, call this again to continue.

    Raises:
        ModelError: A language model cannot be asked; paid answers are committed.
    """
    resume(run.repo, run.ref)
    n_idle, frames = 0, frames_of(run.history(), with_reports=False)
    while True:
        wait_while_paused(run, progress, budget.answer_by)
        policy = PolicySource(run.policy())
        archive = Archive(run)
        racing = race_judge(archive, config, judge)
        if not (known := racing.cached(policy)).episodes:
            recall_episodes(run, racing)
            known = racing.cached(policy)
        lengths = [e.n_steps for e in known.episodes]
        if budget.frames is not None:  # those on record, so that an interrupted run goes on alike
            longest = racing.protocol.max_steps
            lengths = [min(e.n_steps, longest) for e in archive.episodes(policy)]
        proposed = 0 if budget.frames is None else proposal_steps(run)
        budget.reserve(lengths, _whole_lengths(known, config), proposed)
        try:
            require_room(known, config, optimizer)
            skip = config.protocol.frame_skip
            budget.require(frames, skip, is_first=not run.n_iterations)
            made = advance(run, optimizer, judge, config, budget, progress, selection=selection)
        except BudgetSpent as spent:
            return spent
        except RequestAbandoned as abandoned:
            raise abandoned.signal from None
        budget.note_iteration()
        before, frames = frames, frames_of(run.history(), with_reports=False)
        n_idle = 0 if made.tokens or frames > before else n_idle + 1
        if n_idle >= _MOST_IDLE and budget.iterations is None:
            return BudgetSpent(f"{n_idle} iterations in a row in which nothing was played")


def wait_while_paused(run: RunView, progress: Progress, deadline: float) -> None:
    """Wait until a paused run is resumed."""
    while is_paused(run.repo, run.ref) and time.perf_counter() < deadline:
        progress(Searching("paused", None, 0, "", "resume it from the dashboard"))
        time.sleep(_POLL_S)


def advance(  # noqa: PLR0913 - the last are seldom given
    run: Run, optimizer: Optimizer, judge: Judge, config: RunConfig, budget: Budget,
    progress: Progress = silent, *, selection: Selection = REVISIT, first_seed: int | None = None,
    most_pairs: int | None = None,
) -> Committed:  # fmt: skip
    """Make one iteration, and commit its result.

    Args:
        first_seed: Index in the selection stream; by default that of `selection_seed`.
        most_pairs: End the races after this many pairs, to repeat an iteration.

    Raises:
        BudgetSpent: Nothing could be proposed within the limits.
    """
    archive, spending = Archive(run), open_spending(run, budget)
    parent, judge = archive.champion, race_judge(archive, config, judge)
    proposer = optimizer.next_optimizer(read_attempts(run))
    to_edit = parent if proposer.capabilities.one_candidate else selection.parents(archive)[0]
    request = compose_request(archive, judge, config, budget, progress, parent=to_edit)
    if first_seed is None:
        is_secret = not proposer.capabilities.is_repeatable
        first_seed = selection_seed(config, request.iteration, run if is_secret else None)
    recorder = IterationRecorder(
        run.ref.branch, request.iteration, judge, frames_of(run.history()), proposer.name
    )
    edited = to_edit.digest if to_edit != parent else ""
    session = ProposalSession(run, judge, proposer, request, spending, edited)
    track = _Track(judge, budget, progress, first_seed, most_pairs, recorder)
    asked = session.ask(config.candidates)
    recorder.n_steps = sum(each.n_steps for each in asked) - session.n_judged
    candidates = track.race_all(asked, parent, selection.criterion(archive, asked))
    asked = session.repair(candidates)
    recorder.n_steps = sum(each.n_steps for each in (*candidates, *asked)) - session.n_judged
    candidates += track.race_all(asked, parent, selection.criterion(archive, asked))
    best, is_accepted = selection.place(candidates)
    committed = recorder.conclude(run, parent, candidates, best, is_accepted=is_accepted)
    progress(committed)
    session.close()
    if session.stopped_by is not None:
        raise session.stopped_by
    return committed


def simplify(
    run: Run, simplifier: Optimizer, judge: Judge, config: RunConfig, budget: Budget,
    progress: Progress = silent,
) -> None:  # fmt: skip
    """Simplify the policy in force in one iteration, or two if the first loses its race.

    The second makes only removals that change no action.
    """
    budget.simplify_s, budget.steps_left = 0.0, None
    for _ in range(2):
        made_by = run.standing.facts
        is_simple = made_by is not None and made_by.optimizer == simplifier.name
        if is_simple or budget.is_late:
            return
        try:
            alone = replace(config, candidates=1)
            committed = advance(run, simplifier, judge, alone, budget, progress, selection=LINE)
        except BudgetSpent:
            return
        if committed.verdict == "failed":  # there is nothing to remove
            return


@dataclass(frozen=True, slots=True)
class _Track:
    judge: Judge
    budget: Budget
    progress: Progress
    first_seed: int
    most_pairs: int | None
    recorder: IterationRecorder

    def race_all(
        self, asked: Sequence[Candidate], parent: PolicySource, criterion: AcceptanceCriterion
    ) -> list[Candidate]:
        """Race the candidates together; return all of them, with their races."""
        racing = {n: one.proposal for n, one in enumerate(asked) if one.proposal and one.may_race}
        entrants = [(one.source, replace(criterion, aim=one.aim)) for one in racing.values()]
        if not entrants:
            return list(asked)
        judge = self.judge
        longest = judge.protocol.max_steps

        def report(gain: Gain | None, n_pairs: int) -> None:
            most = max(judge.most_pairs(one.aim, n_pairs) for _, one in entrants)
            n_steps = judge.n_steps - before
            self.progress(Racing(gain, n_pairs, most, n_steps, longest))

        begun, before = time.perf_counter(), judge.n_steps
        report(None, 0)
        races = judge.race_all(
            entrants,
            parent,
            first_seed=self.first_seed,
            deadline=self.budget.race_by,
            cpu_s=self.budget.race_cpu_s,
            most_pairs=self.most_pairs,
            most_steps=self.budget.steps_to_race(self.recorder.steps_used),
            watch=lambda race: report(race.gain, race.n_pairs),
        )
        self.budget.note_play(judge.n_steps - before, time.perf_counter() - begun)
        found = dict(zip(racing, races, strict=True))
        return [replace(each, race=found.get(n)) for n, each in enumerate(asked)]


def start_run(  # noqa: PLR0913 - the last are seldom given
    runs: Runs, ref: RunRef, config: RunConfig, judge: Judge, *, switch: bool, progress: Progress,
    initial: PolicySource | None = None, first_seed: int | None = None,
    deadline: float | None = None,
) -> str:  # fmt: skip
    """Measure the initial policy, commit it as iteration 0 of a new run, and return the commit id.

    Args:
        deadline: `time.perf_counter` value after which two episodes are enough.
    """
    recorder = IterationRecorder(ref.branch, 0, judge)
    text = initial.text if initial else initial_policy(config.protocol)
    source = with_environment(PolicySource(format_policy(text)), config.protocol.env_id)
    first = selection_seed(config, 0) if first_seed is None else first_seed
    seeds = Stream.SELECTION.seeds(first, first + _INITIAL_EPISODES)
    evaluation = _evaluate(judge, source, seeds, "initial policy", progress, until=deadline)
    if initial and not evaluation.is_valid:
        failure = evaluation.failures[0]
        raise PolicyError(
            f"the initial policy failed on seed {failure.seed}, step {failure.n_steps} "
            f"({failure.outcome.value}), so no run was started:\n{failure.detail}"
        )
    entry = recorder.initial(source, evaluation, {FILE: format_config(config)})
    commit = runs.create(ref, entry, switch=switch)
    progress(committed_event(entry.facts, entry, commit, None, "initial policy"))
    return commit


def report(
    run: Run, judge: Judge, config: RunConfig, budget: Budget, progress: Progress = silent
) -> Evaluation:
    """Measure the run's policy on the first report seeds and commit the score.

    Selection never sees these seeds, so the score is unbiased. They are played in blocks, as many
    as ``budget`` has time for, at least two episodes.
    """
    source, made_in = PolicySource(run.policy()), run.standing.iteration
    judge = Judge(judge.pool, config.protocol, judge.require)
    recorder = IterationRecorder(
        run.ref.branch, run.last_iteration + 1, judge, frames_of(run.history())
    )
    n, evaluation, begun = 0, Evaluation((), config.protocol.stamp), time.perf_counter()
    while more := budget.report_block(n, time.perf_counter() - begun, judge.pool.n_workers):
        n += more
        seeds, of = Stream.REPORT.seeds(0, n), budget.report_episodes
        evaluation = _evaluate(judge, source, seeds, "report seeds", progress, of=of)
    entry = recorder.reported(source, evaluation)
    commit = run.commit(entry)
    what = f"policy of iteration {made_in} on report seeds"
    progress(committed_event(run.standing.facts, entry, commit, None, what))
    return evaluation


def _evaluate(  # noqa: PLR0913 - the last are seldom given
    judge: Judge, source: PolicySource, seeds: range, what: str, progress: Progress,
    *, of: int | None = None, until: float | None = None,
) -> Evaluation:  # fmt: skip
    """Play ``source`` on ``seeds``, and report progress."""
    before, wanted = judge.n_steps, of or len(seeds)
    progress(Playing(what, len(judge.cached(source, seeds).episodes), wanted))
    return judge.evaluate(
        source,
        seeds,
        lambda done, _: progress(Playing(what, done, wanted, judge.n_steps - before)),
        until=until,
    )


def require_room(known: Evaluation, config: RunConfig, optimizer: Optimizer) -> None:
    """Raise `BudgetSpent` if the policy earns the largest possible return already."""
    if optimizer.capabilities.may_tie:
        return
    most = spec_of(config.protocol).most_in(config.protocol.max_steps)
    returns = known.returns if known.is_valid else ()
    if most is not None and len(returns) >= INTERIM_ANALYSES[0] and min(returns) >= most:
        raise BudgetSpent(f"{most:g} points an episode, which is the most that can be earned")


def _whole_lengths(known: Evaluation, config: RunConfig) -> list[int]:
    """Estimate the lengths of episodes without truncation."""
    return [
        min(config.protocol.max_steps, _LONGER * e.n_steps)
        if e.outcome is Outcome.TRUNCATED
        else e.n_steps
        for e in known.episodes
    ]
