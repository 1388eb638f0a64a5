"""The Python front door: start and advance runs, evaluate policies.

    run = gco_agent.run("CartPole-v1", repo="my-runs", iterations=3)
    print(run.best, run.policy.text, run.evaluate(episodes=10).mean_return)

By default everything is played in this process, so scripts need no main guard. With ``workers``,
a script has to make its calls below ``if __name__ == "__main__":``; notebooks do not.
"""

from __future__ import annotations

import contextlib
import logging
import re
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gco_agent.core.errors import NotARun, StoreError, UsageError
from gco_agent.core.events import Event, Progress
from gco_agent.core.observation import build_observation
from gco_agent.core.records import EpisodeResult, Evaluation, PlayProtocol, Verdict
from gco_agent.core.seeds import Stream
from gco_agent.envs.environment import make_protocol, named_environment, spec_of
from gco_agent.envs.local import Game, find_game, is_local
from gco_agent.evaluation.episode import (
    LocalPlayer,
    begin_episode,
    close_environments,
    play_steps,
)
from gco_agent.evaluation.judge import Judge
from gco_agent.evaluation.workers import HANG_S, WorkerPool, open_executor
from gco_agent.games.spec import GameSpec
from gco_agent.jail.limits import JailLevel
from gco_agent.llm.providers import open_model, split_models
from gco_agent.loop import checks
from gco_agent.loop.budget import Budget
from gco_agent.loop.train import report as measure_on_report_seeds
from gco_agent.loop.train import simplify, start_run, train
from gco_agent.optimizers.base import Optimizer, Tools
from gco_agent.optimizers.exchange import FOLDER, Answer, AnswerCommand
from gco_agent.optimizers.registry import make_optimizer, tuned_between
from gco_agent.optimizers.simplify import SimplifyOptimizer
from gco_agent.policy.contract import LoadedPolicy
from gco_agent.policy.source import PolicySource
from gco_agent.store.config import RunConfig, default_slice
from gco_agent.store.control import leave_note
from gco_agent.store.entries import RunRef, new_run_id
from gco_agent.store.git import GitRepo
from gco_agent.store.run import Run as OpenRun
from gco_agent.store.run import Runs
from gco_agent.store.view import RunView, Step, frames_of, read_policy

if TYPE_CHECKING:
    from gco_agent.loop.bisect import Bisection, Skill
    from gco_agent.report.baselines import Baseline
    from gco_agent.report.comparison import Comparison
    from gco_agent.report.dashboard import DashboardServer
    from gco_agent.report.failing import Failure
    from gco_agent.report.page import PageRun
    from gco_agent.report.summary import RunReport

DEFAULT_EPISODES = 30
_BISECTED = 8
_LEAST_HANG_S = 10.0
_MOST_ON_PAGE = 6
_SHORTEST_ID = 7
"""Fewest digits to which git shortens the id of a commit: fewer are an iteration's number."""
_REVISION_OF = re.compile(r"([^~^@]+)([~^@].*)")
"""A name, and what git puts behind it to mean an earlier commit."""
Callback = Callable[[Event], object]
PolicyLike = PolicySource | str | Path | LoadedPolicy | type[Any] | Callable[[Any], Any]
"""Path of a file, a run, a revision, ``REV:PATH``, text of several lines, a loaded policy, a class
of policies, or any function from an observation to an action."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Iteration:
    """One iteration of a run; number 0 is the initial policy.

    Attributes:
        number: None for a commit made by hand.
        return_mean: Mean return of the candidate, in points an episode; None if it has none.
        gain: Gain over the parent, in points an episode; None if there was no race.
        frames: Environment frames that the run had used by then.
        usd: Price of its requests to language models.
    """

    number: int | None
    verdict: Verdict
    summary: str
    commit: str
    return_mean: float | None = None
    return_se: float | None = None
    gain: float | None = None
    gain_se: float | None = None
    episodes: int | None = None
    optimizer: str | None = None
    frames: int | None = None
    usd: float | None = None


@dataclass(frozen=True, slots=True)
class Players:
    """What plays: worker processes or a cluster, and the jail that they must have.

    Attributes:
        workers: Worker processes; 0 plays in this process, None uses one a core.
        require: The jail must be at least this good.
        executor: Address of a Dask cluster to play on instead.
    """

    workers: int | None = 0
    require: JailLevel = JailLevel.NONE
    executor: str | None = None

    @contextmanager
    def judge(
        self, rules: PlayProtocol, n_tasks: int | None = None, seconds: float | None = None
    ) -> Iterator[Judge]:
        """Start the workers, and judge by ``rules``.

        Args:
            seconds: Time limit of the command, if it has one: a call of an environment that takes
                longer has hung.
        """
        if self.executor is not None:
            if self.workers is not None:
                raise UsageError("--workers and --executor exclude each other")
            with open_executor(self.executor) as (given, n), WorkerPool(n, given) as pool:
                yield Judge(pool, rules, self.require)
            return
        is_here = is_local(rules.env_id)
        if is_here and self.workers:
            raise UsageError(
                f"{rules.env_id} exists in this process alone, so no worker can play it: define it "
                "in a module that can be imported, or use workers=0"
            )
        hang_s = min(HANG_S, max(_LEAST_HANG_S, seconds or HANG_S))
        with WorkerPool(0 if is_here else self.workers, hang_s=hang_s) as pool:
            pool.start(n_tasks)
            yield Judge(pool, rules, self.require)


@dataclass(frozen=True, slots=True)
class Setup:
    """What advances a run in this process; nothing of it is stored.

    Attributes:
        optimizer: Object that proposes, instead of the optimizer in the configuration.
        files_in: Folder of optimizer files, if the user named the optimizer; else files are
            refused, since the configuration may come from a stranger.
        answer: Answers the prompts of the optimizer exchange.
        tell: Called with what a person has to know or do now.
    """

    players: Players = Players()
    optimizer: Optimizer | None = None
    files_in: Path | None = None
    tune_seconds: float | None = None
    simplify_seconds: float | None = None
    reply: str | None = None
    answer: Answer | None = None
    log: str = ""
    tell: Callable[[str], None] = _log.info


class Session:
    """The workers, the judge and the optimizer, while a run is advanced; made by `Run.session`."""

    def __init__(self, run: Run, judge: Judge, progress: Progress) -> None:
        self._run, self._progress, self.judge = run, progress, judge
        config, setup = run.config, run.setup
        tools = Tools(
            judge.pool,
            [partial(open_model, name, config.effort) for name in split_models(config.model)],
            require=judge.require,
            folder=run.exchange_folder,
            tell=setup.tell,
            reply=setup.reply,
            answer=setup.answer,
        )
        self._optimizer = setup.optimizer or make_optimizer(
            config.optimizer, tools, files_in=setup.files_in
        )
        if setup.tune_seconds:
            self._optimizer = tuned_between(self._optimizer, tools, setup.tune_seconds)
        self._simplifier = SimplifyOptimizer(tools, setup.simplify_seconds)

    def start(self, initial: PolicySource | None, budget: Budget, *, switch: bool) -> None:
        """Measure the initial policy, that of the game by default, and commit it."""
        run, begun = self._run, time.perf_counter()
        start_run(
            run.runs, run.ref, run.config, self.judge, switch=switch, progress=self._progress,
            initial=initial, deadline=budget.start_by,
        )  # fmt: skip
        budget.note_play(self.judge.n_steps, time.perf_counter() - begun)

    def train(self, opened: OpenRun, budget: Budget) -> str:
        """Make iterations until the budget is spent, and return the limit that was reached."""
        run = self._run
        budget.simplify_s = run.setup.simplify_seconds or 0.0
        spent = train(opened, self._optimizer, self.judge, run.config, budget, self._progress)
        if run.setup.simplify_seconds:
            simplify(opened, self._simplifier, self.judge, run.config, budget, self._progress)
        run.stopped_by = spent.limit
        return spent.limit

    def report(self, opened: OpenRun, budget: Budget) -> Evaluation:
        """Score the policy in force on report seeds, and commit the score."""
        return measure_on_report_seeds(opened, self.judge, self._run.config, budget, self._progress)


class Run:
    """A run: a git branch with a policy that improves.

    Made by `run` and `open_run`. Properties always read the branch again.

    Attributes:
        name: Name of the branch, ``gco/<game>/<name>``.
        stopped_by: Limit that ended the last call that advanced it; "" before.
    """

    def __init__(
        self, repo: GitRepo, ref: RunRef, config: RunConfig, setup: Setup,
        callbacks: Sequence[Callback] = (),
    ) -> None:  # fmt: skip
        self.name, self.path, self.config, self.setup = ref.branch, repo.place, config, setup
        self.stopped_by = ""
        self.repo, self.runs, self.ref, self._callbacks = repo, Runs(repo), ref, callbacks

    def __repr__(self) -> str:
        best = self.best
        score = "" if best.return_mean is None else f", mean return {best.return_mean:.4g}"
        n = self._view.n_iterations
        return f"<Run {self.name}: {n} iteration{'s' * (n != 1)}{score}>"

    @property
    def history(self) -> list[Iteration]:
        """The iterations, the initial policy first."""
        return [_iteration(step) for step in self._view.history()]

    @property
    def best(self) -> Iteration:
        """The iteration that made the policy in force, or measured it last."""
        return _iteration(self._view.standing)

    @property
    def policy(self) -> PolicySource:
        """The policy in force."""
        return PolicySource(self._view.policy())

    def policy_of(self, rev: str | int) -> PolicySource:
        """Return the policy of an iteration's number, or of a revision of this run."""
        view = self._view
        return PolicySource(view.policy(view.step(str(rev)).commit))

    def step(
        self,
        n: int | None = None,
        *,
        minutes: float | None = None,
        frames: int | None = None,
        usd: float | None = None,
    ) -> list[Iteration]:
        """Make iterations until a limit is reached, and return them; without a limit, make one.

        Args:
            frames: Environment frames of the whole run, reports not counted.
            usd: US dollars of the whole run for language models.

        Raises:
            ModelError: A language model cannot be asked; what was paid for is committed.
        """
        if n is None and minutes is None and frames is None:
            n = 1
        budget = Budget(n, None if minutes is None else 60 * minutes, frames, usd)
        with self.open() as opened, self.session(budget) as session:
            before = len(opened.history())
            session.train(opened, budget)
            return [_iteration(step) for step in opened.history()[before:]]

    def measure(self, episodes: int = DEFAULT_EPISODES) -> Evaluation:
        """Score the policy in force on report seeds, which no race sees, and commit the score."""
        budget = Budget(report_episodes=episodes)
        with self.open() as opened, self.session(budget) as session:
            return session.report(opened, budget)

    def evaluate(
        self,
        episodes: int | None = None,
        *,
        seeds: Sequence[int] | None = None,
        protocol: str | PlayProtocol | None = None,
    ) -> Evaluation:
        """Play the policy in force, by default on report seeds; nothing is committed."""
        return evaluate(
            self.policy,
            self.config.protocol.env_id,
            episodes=episodes,
            seeds=seeds,
            protocol=protocol or self.config.protocol,
            workers=self.setup.players.workers,
            require=self.setup.players.require,
        )

    def rollback(self, rev: str | int, *, reason: str = "") -> Iteration:
        """Make the policy of an earlier iteration the run's policy again, by a new commit.

        Args:
            rev: Number of an iteration, or a revision of this run.
        """
        with self.runs.open(self.ref) as opened:
            opened.rollback(str(rev), reason=reason)
        return self.history[-1]

    def note(self, text: str) -> None:
        """Leave a note for the next prompt; another process may advance the run meanwhile."""
        leave_note(self._view, text)

    def bisect(
        self, skill: str | Skill, *, seeds: range | None = None, scan: bool = False,
        max_steps: int | None = None,
    ) -> Bisection:  # fmt: skip
        """Find the iteration that won or lost a skill.

        Args:
            skill: "return >= 10", "moment: a life is lost", or a Python file with a function
                ``has_skill(evaluation)``.
            seeds: What every policy plays; by default the first eight feedback seeds.
            scan: Play every policy, instead of looking for one change by binary search.
        """
        from gco_agent.loop.bisect import bisect, parse_skill

        wanted = parse_skill(skill) if isinstance(skill, str) else skill
        rules = checks.rules_here(self.config.protocol)
        limited = replace(rules, max_steps=min(rules.max_steps, max_steps or rules.max_steps))
        with self.setup.players.judge(limited) as judge:
            return bisect(
                self._view, wanted, judge, rules,
                Stream.FEEDBACK.seeds(0, _BISECTED) if seeds is None else seeds,
                self._call, scan=scan,
            )  # fmt: skip

    def fork(self, name: str, rev: str | int | None = None) -> Run:
        """Start another run from an iteration, with all that the optimizer remembers.

        Args:
            rev: Number of an iteration, or a revision of this run; by default the last.
        """
        ref = self.runs.fork(self.ref, None if rev is None else str(rev), name)
        return Run(self.repo, ref, self.config, self.setup, self._callbacks)

    def report(
        self, path: str | Path, *, clips: int | None = None, traces: bool = True,
        force: bool = False,
    ) -> Path:  # fmt: skip
        """Write the run as one HTML file that opens without a network, and return its path.

        The arguments are those of `write_report`.
        """
        _write_report(
            Path(path), [self._view], self.setup, clips=clips, traces=traces, force=force
        )  # fmt: skip
        return Path(path)

    @contextmanager
    def open(self) -> Iterator[OpenRun]:
        """Acquire the right to advance the run."""
        checks.require_same_versions(self.config)
        with self.runs.open(self.ref) as opened:
            yield opened

    @contextmanager
    def session(self, budget: Budget, progress: Progress | None = None) -> Iterator[Session]:
        """Start what advances the run; ``progress`` is by default the run's callbacks."""
        rules, shown = self.config.selection_protocol, progress or self._call
        with contextlib.ExitStack() as stack:
            if self.setup.log:
                from gco_agent.report.loggers import open_logger, settings_of

                log = open_logger(self.setup.log, self.name, settings_of(self.config))
                shown = _each_of(shown, stack.enter_context(log))
            judge = self.setup.players.judge(rules, seconds=budget.seconds)
            yield Session(self, stack.enter_context(judge), shown)

    @property
    def exchange_folder(self) -> Path:
        """Folder for prompts to people, and their replies."""
        return (self.repo.root or Path.cwd()) / FOLDER / self.ref.stem

    @property
    def _view(self) -> RunView:
        return self.runs.view(self.ref)

    def _call(self, event: Event) -> None:
        _each_of(*self._callbacks)(event)


def _each_of(*callbacks: Callback) -> Progress:

    def call(event: Event) -> None:
        for callback in callbacks:
            callback(event)

    return call


def run(  # noqa: PLR0913 - keyword arguments with defaults
    game: Game,
    optimizer: Optimizer | str | Path = "search",
    *,
    repo: str | Path = ".",
    name: str | None = None,
    start: PolicyLike | None = None,
    seed: int = 0,
    iterations: int | None = None,
    minutes: float | None = None,
    frames: int | None = None,
    usd: float | None = None,
    candidates: int = 1,
    protocol: str | PlayProtocol = "default",
    max_steps: int | None = None,
    selection_steps: int | None = None,
    slice_steps: int | None = None,
    model: str = "",
    answer: str | Answer | None = None,
    tune_seconds: float | None = None,
    simplify_seconds: float | None = None,
    workers: int | None = 0,
    require: JailLevel = JailLevel.NONE,
    callbacks: Sequence[Callback] = (),
    log: str = "",
    switch: bool = False,
) -> Run:
    """Start a run and improve its policy until a limit is reached.

    Args:
        game: A game ("pong"), a Gymnasium id, ``module:id``, a file with a ``SPEC``, a `GameSpec`,
            a `gymnasium.Env`, or a function that makes one.
        optimizer: A name ("search", "reflect,search"), a file, or an object of your own.
        repo: Folder of the git repository; created if there is none.
        name: Name of the run; by default the day and four random characters.
        start: Policy to start from; by default the game's own.
        seed: For the chance of the optimizer.
        iterations: Most iterations. Without any limit, the run gets five minutes.
        minutes: Most wall time.
        frames: Most environment frames, without those of the report.
        usd: Most US dollars for language models.
        candidates: Candidates an iteration.
        protocol: Rules of play, or their name.
        max_steps: Steps after which an episode is truncated.
        selection_steps: The same in races; 4,500 by default.
        slice_steps: Steps that the search may play in an iteration; of objects, up to three times
            as many after rejected candidates. By default 70,000 of an Atari game, or an eighth of
            the frames if that is more, and a million of anything else.
        model: Language model; by default the usual one.
        answer: What answers the prompts of the optimizer exchange: a function from the prompt to
            the reply, or a command line, in which ``{prompt}`` and ``{reply}`` are the two files.
        tune_seconds: After each accepted candidate, tune its constants for so long.
        simplify_seconds: At the end, remove code that the policy does not need, for so long.
        workers: Worker processes; 0 plays in this process, None uses one a core.
        require: The jail must be at least this good.
        callbacks: Called with every event of `gco_agent.core.events`.
        log: Also log to "wandb", "mlflow" or "tensorboard".
        switch: Check the run's branch out.

    Raises:
        GcoError: The run cannot be started or advanced; the message says what to do.
    """
    spec = _find(game)
    rules = _rules(protocol, spec.env_id, max_steps)
    n_steps, slice_seconds = default_slice(rules, frames)
    config = RunConfig(
        spec.name,
        rules,
        optimizer=_name_of(optimizer),
        seed=seed,
        slice_steps=slice_steps or n_steps,
        slice_seconds=slice_seconds,
        candidates=candidates,
        model=model,
    )
    if selection_steps is not None:
        config = replace(config, selection_steps=selection_steps)
    setup = replace(
        _setup(optimizer, workers, require),
        answer=_answer(answer, config),
        log=log,
        tune_seconds=tune_seconds,
        simplify_seconds=simplify_seconds,
    )
    if setup.optimizer is None:
        checks.require_optimizer(str(optimizer), usd, files_in=Path.cwd(), model=model)
    git = _repository(repo)
    initial = None if start is None else _text_of(start, repo)
    if initial is not None:
        checks.require_contract(initial, "the initial policy")
    made = Run(git, free_name(git, spec, name, switch=switch), config, setup, callbacks)
    seconds = None if minutes is None else 60 * minutes
    budget = Budget(iterations, seconds, frames, usd).or_default()
    with made.session(budget) as session:
        session.start(initial, budget, switch=switch)
        if iterations != 0:
            with made.open() as opened:
                session.train(opened, budget)
    return made


def free_name(repo: GitRepo, spec: GameSpec, name: str | None, *, switch: bool) -> RunRef:
    """Return the name of a new run, after checking that its first commit is possible.

    Args:
        spec: Game, named by the user, so its module is trusted from now on.
        name: The name; by default the day and four random characters.
    """
    checks.require_writable(repo)
    day = date.today()  # noqa: DTZ011 - the user's
    ref = RunRef(spec.name, name or new_run_id(today=day, entropy=secrets.token_hex(2)))
    if switch:
        Runs(repo).require_clean()
    Runs(repo).require_free(ref)
    if switch:
        checks.require_room(repo, ref)
    checks.trust_own(repo, spec.env_id)
    return ref


def open_run(  # noqa: PLR0913 - keyword arguments with defaults
    repo: str | Path = ".",
    name: str | None = None,
    *,
    game: Game | None = None,
    optimizer: Optimizer | str | Path | None = None,
    answer: str | Answer | None = None,
    workers: int | None = 0,
    require: JailLevel = JailLevel.NONE,
    callbacks: Sequence[Callback] = (),
    log: str = "",
) -> Run:
    """Open a run to read it or to advance it.

    Args:
        repo: A folder of the git repository.
        name: Its branch, ``game/name``, or a name or game that no other run has; by default the
            run that is checked out, or the only one.
        game: The game as it was given to `run`, where that was an object of your own program.
        optimizer: By default the one that it was started with. This and the others are those of
            `run`.

    Raises:
        NotARun: There is none, or several.
        UsageError: It plays code that is not trusted here.
    """
    git = GitRepo.find(Path(repo).absolute())
    runs = Runs(git)
    ref = find_run(runs, name)
    if game is not None:
        checks.trust_own(git, _find(game).env_id)
    config = checks.read_config(runs.view(ref))
    if optimizer is None:
        setup = Setup(Players(workers, require))
    else:
        setup = _setup(optimizer, workers, require)
        config = replace(config, optimizer=_name_of(optimizer))
    setup = replace(setup, answer=_answer(answer, config), log=log)
    return Run(git, ref, config, setup, callbacks)


def dashboard(
    repo: str | Path = ".", *, port: int = 0, require: JailLevel = JailLevel.NONE
) -> DashboardServer:
    """Return a server of a live page of a repository's runs, on 127.0.0.1.

    Call its ``serve_forever``; ``url`` is its address, and ``full_url`` that with the token which
    lets the page change runs. It is a context manager.

    Args:
        port: TCP port; 0 for any that is free.
        require: The jail must be at least this good where a clip is filmed.
    """
    from gco_agent.report.dashboard import Dashboard, DashboardServer

    return DashboardServer(Dashboard(GitRepo.find(Path(repo).absolute()), require), port)


def find_run(runs: Runs, name: str | None) -> RunRef:
    """Return the run called ``name``; by default the one that is checked out, or else the only one.

    Args:
        name: Its branch, ``game/name``, or a name or game that no other run has.
    """
    if name:
        return runs.find(name)
    try:
        return runs.current()
    except NotARun:
        there_are = runs.list()
        if len(there_are) != 1:
            raise
        return there_are[0]


def compare(names: Sequence[str] = (), *, repo: str | Path = ".") -> Comparison:
    """Compare runs by their scores on report seeds.

    Args:
        names: Runs; games, for all their runs; or names that ``run --seeds`` gave, for the runs
            of all seeds. By default all runs that have such a score.

    Raises:
        NotARun: There is none, or one is not known.
        UsageError: They cannot be compared.
    """
    from gco_agent.report.comparison import compare_runs

    return compare_runs(GitRepo.find(Path(repo).absolute()), names)


def write_report(  # noqa: PLR0913 - keyword arguments with defaults
    path: str | Path,
    names: Sequence[str] = (),
    *,
    repo: str | Path = ".",
    clips: int | None = None,
    traces: bool = True,
    force: bool = False,
    workers: int | None = 0,
    require: JailLevel = JailLevel.NONE,
    tell: Callable[[str], None] = _log.info,
) -> list[PageRun]:
    """Write one or several runs of a game as one HTML file that opens without a network.

    Args:
        names: Runs; by default the one that is checked out, or the only one.
        clips: Accepted iterations to film beside the policy before, those that gained most; by
            default one, if that is possible here.
        traces: Play the last failure and the worst episode again, and add what happened in them.
        force: Overwrite a file that is not a report.
        workers: As for `run`.
        require: The jail must be at least this good.
        tell: Called with what is being played, and what cannot be.

    Returns:
        What is on the page, run by run.

    Raises:
        UsageError: The runs do not fit on one page, or another file is there.
    """
    runs = Runs(GitRepo.find(Path(repo).absolute()))
    refs = list(dict.fromkeys(find_run(runs, name) for name in names or (None,)))
    if len(refs) > _MOST_ON_PAGE:
        raise UsageError(f"{len(refs)} runs do not fit on one page; at most {_MOST_ON_PAGE}")
    games = sorted({ref.game for ref in refs})
    if len(games) > 1:
        raise UsageError(
            f"returns of different games cannot be compared ({', '.join(games)}): "
            "write a report for each"
        )
    return _write_report(
        Path(path), [runs.view(ref) for ref in refs], Setup(Players(workers, require), tell=tell),
        clips=clips, traces=traces, force=force,
    )  # fmt: skip


def _write_report(
    path: Path, views: Sequence[RunView], setup: Setup, *, clips: int | None, traces: bool,
    force: bool,
) -> list[PageRun]:  # fmt: skip
    from gco_agent.report.page import MOST_BYTES, PageRun, require_writable, write_page

    require_writable(path, force=force)
    pages = []
    for view in views:
        page = PageRun.read(view, MOST_BYTES // len(views))
        page.film(view, clips, setup.players.require, setup.tell)
        if traces:
            page.failures = _trace_failures(view, page.report, setup)
        pages.append(page)
    write_page(path, pages)
    return pages


def _trace_failures(view: RunView, report: RunReport, setup: Setup) -> list[Failure]:
    """Trace the last failures; without them if nothing can be played."""
    from gco_agent.report.failing import trace_failures

    try:
        checks.require_trusted(view.repo, report.config.protocol, report.branch)
        rules = checks.rules_here(report.config.selection_protocol)
    except UsageError as error:
        setup.tell(f"{report.branch}: it cannot be played here, so there is no trace: {error}")
        return []
    with setup.players.judge(rules) as judge:
        return trace_failures(view, report.trials, rules, judge.pool, judge.require)


def train_ppo(  # noqa: PLR0913 - keyword arguments with defaults
    game: Game | None = None,
    repo: str | Path = ".",
    *,
    run: str | None = None,
    frames: int | None = None,
    seed: int = 0,
    episodes: int = DEFAULT_EPISODES,
    name: str = "ppo",
    callbacks: Sequence[Callback] = (),
) -> tuple[Baseline, str]:
    """Train PPO of stable-baselines3 as a baseline, score it on report seeds, and store the score.

    It plays by the rules of the game or the run, in this process; see docs/comparing-runs.md.

    Args:
        game: What to play, by its default rules.
        run: A run instead of a game, for its rules, and its frames.
        frames: Environment frames to learn from.
        seed: Of the networks, and of the actions that are drawn.
        episodes: On the first report seeds.
        name: The result is kept on the branch ``gco-baseline/<game>/<name>``.

    Returns:
        The baseline, and its commit.

    Raises:
        ModuleNotFoundError: The extra ppo is not installed.
    """
    from gco_agent.report.baselines import measure_ppo

    git = GitRepo.find(Path(repo).absolute())
    if run is not None:
        view = Runs(git).view(find_run(Runs(git), run))
        rules, short = checks.rules_here(checks.read_config(view).protocol), view.ref.game
        frames = frames or frames_of(view.history())
    elif game is None or frames is None:
        raise UsageError("give a game and frames, or a run")
    else:
        spec = _find(game)
        rules, short = make_protocol("default", spec.env_id), spec.name
    return measure_ppo(
        git, short, name, rules, frames=frames, seed=seed, episodes=episodes,
        progress=_each_of(*callbacks),
    )  # fmt: skip


def evaluate(  # noqa: PLR0913 - keyword arguments with defaults
    policy: PolicyLike,
    game: Game | None = None,
    *,
    episodes: int | None = None,
    seeds: Sequence[int] | None = None,
    protocol: str | PlayProtocol = "default",
    max_steps: int | None = None,
    workers: int | None = 0,
    require: JailLevel = JailLevel.NONE,
    repo: str | Path = ".",
) -> Evaluation:
    """Play a policy, an episode on every seed, and return what it scores.

    The same policy, seeds and versions give the same evaluation. Failures of the policy are
    outcomes of its episodes. Texts of policies play in the jail. Objects and functions play in this
    process: their exceptions are raised here, and their episodes have the jail level "none".

    Args:
        policy: See `PolicyLike`. A class is instantiated for every episode.
        game: As for `run`; by default what the docstring of the policy names.
        episodes: On the first report seeds; 30 by default.
        seeds: Seeds for ``env.reset``, in place of ``episodes``.
        protocol: Rules of play, or their name.
        max_steps: Steps after which an episode is truncated.
        workers: As for `run`.
        require: The jail must be at least this good.
        repo: Repository of a policy that is given as a revision.

    Raises:
        ContractViolation: The text breaks the contract of a policy file; nothing was played.
        PolicyError: The policy cannot be read.
        UsageError: The game is not known, or a seed is given twice.
        JailError: The jail cannot be built, or is not as good as required.
    """
    if seeds is None:
        seeds = Stream.REPORT.seeds(0, episodes or DEFAULT_EPISODES)
    elif episodes is not None:
        raise UsageError("give either episodes or seeds")
    if len(set(seeds)) < len(seeds):
        raise UsageError("a seed is given twice: its episode is the same, and counts once")
    is_text = isinstance(policy, PolicySource | str | Path)
    source = _text_of(policy, repo) if is_text else None
    if source is not None:
        checks.require_contract(source, "the policy")
    rules = _find_rules(source, game, protocol, max_steps)
    if source is None:
        if require > JailLevel.NONE:
            raise UsageError("a Python object plays in this process, without a jail")
        return _play_here(policy, rules, seeds)
    with Players(workers, require).judge(rules) as judge:
        return judge.evaluate(source, seeds)


@dataclass(frozen=True, slots=True)
class Target:
    """A policy to play: its name, its text, and the rules it was made for, if known."""

    name: str
    source: PolicySource
    protocol: PlayProtocol | None = None

    def rules(
        self, env_id: str | None, max_steps: int | None, name: str | None, objects: str | None
    ) -> PlayProtocol:
        """Return the rules to play by: of the run, or of the environment that the text names.

        Args:
            env_id: Environment to play; None for the one that the policy names, which may not be
                code.
            name: Name of the protocol; None for the run's own.
            objects: Kind of observed objects; None for the default.
        """
        rules = self.protocol
        if env_id is not None or rules is None:
            named = env_id or named_environment(self.source)
            if named is None:
                raise UsageError(
                    f"the docstring of {self.name} has no line `Environment: ID`: name the "
                    "environment with --env, such as --env gco/Pong-v5"
                )
            rules = make_protocol("default", named)
        rules = checks.rules_here(rules if name is None else make_protocol(name, rules.env_id))
        if max_steps is not None:
            if not rules.has_objects:  # a lower limit of Gymnasium's holds
                max_steps = make_protocol("default", rules.env_id, max_steps).max_steps
            rules = replace(rules, max_steps=max_steps)
        if objects is not None:
            spec_of(rules).require_rules(rules.name, objects)
            rules = replace(rules, objects=objects)
        return rules


def find_policy(target: str | None, folder: Path = Path()) -> Target:
    """Return the policy that ``target`` names.

    Args:
        target: A file, a run, a revision, ``REV:PATH``, ``hf://OWNER/NAME`` on the Hugging Face
            hub, or the number of an iteration of the run that is checked out; None for that run's
            policy.
        folder: Base of relative paths; its repository resolves revisions.
    """
    if target is not None and target.startswith("hf://"):
        from gco_agent.report.hub import pull_policy

        return Target(target, pull_policy(target))
    path = None if target is None else policy_file(target, folder)
    if target is not None and path is not None:
        return Target(target, PolicySource.from_file(path))
    try:
        runs = Runs(GitRepo.find(folder.absolute()))
    except StoreError as error:
        if target is None:
            raise UsageError(f"{error} Or name a policy file.") from None
        raise UsageError(f"there is no file {target}, and no git repository here") from None
    if target is None:
        return _of_run(runs.view(find_run(runs, None)), None)
    if ":" in target:
        return Target(target, read_policy(target, folder))
    return _of_run(*find_revision(runs, target))


def policy_file(target: str, folder: Path = Path()) -> Path | None:
    """Return the file that ``target`` names; None if it can only be a run or a revision."""
    path = folder / target
    if path.is_dir():
        raise UsageError(f"{target} is a folder; name a policy file in it")
    if path.exists():
        return path
    if path.suffix == ".py" and ":" not in target:
        raise UsageError(f"there is no file {target} in {folder.resolve()}")
    return None


def find_revision(runs: Runs, rev: str) -> tuple[RunView, str | None]:
    """Return the run of a name, a revision or an iteration, and the revision; None for a name."""
    with contextlib.suppress(NotARun):
        return runs.view(runs.find(rev)), None
    base = _REVISION_OF.match(rev)
    if base is not None:  # "gco/pong/first~3" is of a run that need not be checked out
        with contextlib.suppress(NotARun):
            ref = runs.find(base[1])
            return runs.view(ref), ref.branch + base[2]
    with contextlib.suppress(NotARun):
        return runs.view(find_run(runs, None) if _is_number(rev) else runs.current()), rev
    for view in map(runs.view, () if _is_number(rev) else runs.list()):
        with contextlib.suppress(StoreError):
            view.step(rev)
            return view, rev
    raise NotARun(
        f"{rev} is not a file, not a run, and there is no run checked out of which it could be "
        "a revision. REV:PATH names a file of any commit, as in main:policies/pong.py"
    )


def _is_number(rev: str) -> bool:
    return rev.isdigit() and len(rev) < _SHORTEST_ID


def _of_run(view: RunView, rev: str | None) -> Target:
    commit = view.tip
    if rev is not None:
        try:
            commit = view.step(rev).commit
        except NotARun:
            commit = rev  # a commit of another branch may have a policy for the same game
    if rev is not None and _is_number(rev):
        name = f"iteration {rev} of {view.ref.branch}"
    else:
        name = f"{view.ref.branch if rev is None else rev}:{view.policy_path}"
    source = PolicySource.from_bytes(view.policy(commit).encode(), name)
    return Target(name, source, checks.read_config(view).protocol)


def _find_rules(
    source: PolicySource | None, game: Game | None, protocol: str | PlayProtocol, limit: int | None
) -> PlayProtocol:
    wanted = game if game is not None or source is None else named_environment(source)
    if wanted is None and isinstance(protocol, PlayProtocol):
        return protocol
    if wanted is None:
        raise UsageError("name the game: the policy's docstring has no line `Environment: <id>`")
    return _rules(protocol, _find(wanted).env_id, limit)


def _find(game: Game) -> GameSpec:
    spec = find_game(game)
    if is_local(spec.env_id):
        close_environments()  # of another game that had this id
    return spec


def _rules(protocol: str | PlayProtocol, env_id: str, max_steps: int | None) -> PlayProtocol:
    if isinstance(protocol, str):
        return make_protocol(protocol, env_id, max_steps)
    if protocol.env_id != env_id:
        raise UsageError(f"the protocol is for {protocol.env_id}, and the game is {env_id}")
    return protocol if max_steps is None else replace(protocol, max_steps=max_steps)


def _repository(path: str | Path) -> GitRepo:
    """Return the repository that a folder is in, created if there is none."""
    folder = Path(path).absolute()
    if folder.is_dir():
        try:
            return GitRepo.find(folder)
        except StoreError:
            pass
    return GitRepo.create(folder)


def _name_of(optimizer: Optimizer | str | Path) -> str:
    return optimizer.name if isinstance(optimizer, Optimizer) else str(optimizer)


def _setup(optimizer: Optimizer | str | Path, workers: int | None, require: JailLevel) -> Setup:
    own = optimizer if isinstance(optimizer, Optimizer) else None
    return Setup(Players(workers, require), own, Path.cwd())


def _answer(answer: str | Answer | None, config: RunConfig) -> Answer | None:
    if answer is not None:
        checks.require_exchange(config.optimizer)
    return AnswerCommand.parse(answer) if isinstance(answer, str) else answer


def _text_of(policy: PolicyLike, repo: str | Path) -> PolicySource:
    """Return the text of a policy that is given as a file, a revision or text."""
    if isinstance(policy, PolicySource):
        return policy
    if not isinstance(policy, str | Path):
        raise UsageError(
            f"a policy that can be changed is text, not an object of type {type(policy).__name__}"
        )
    if isinstance(policy, str) and "\n" in policy:
        return PolicySource(policy)
    if str(policy).startswith("hf://"):
        return find_policy(str(policy)).source
    path = Path(policy)
    if path.is_file() or (path.suffix == ".py" and ":" not in str(policy)):
        return PolicySource.from_file(path)
    return find_policy(str(policy), Path(repo)).source


def _play_here(policy: Any, rules: PlayProtocol, seeds: Sequence[int]) -> Evaluation:  # noqa: ANN401
    episodes: list[EpisodeResult] = []
    for seed in seeds:
        act = _act_of(policy)
        episode = begin_episode(rules, seed)

        def answer(obs: Any, act: Any = act, episode: Any = episode) -> Any:  # noqa: ANN401
            if episode.objects is not None:
                obs = build_observation(episode.objects, episode.lives)
            return _plain_action(act(obs), episode.env.n_floats)

        for _ in play_steps(LocalPlayer(answer), [episode], rules.max_steps):
            pass
        assert episode.result is not None
        episodes.append(replace(episode.result, jail=JailLevel.NONE.word))
    return Evaluation(tuple(episodes), rules.stamp)


def _act_of(policy: Any) -> Callable[[Any], Any]:  # noqa: ANN401
    instance = policy() if isinstance(policy, type) else policy
    act = getattr(instance, "act", instance)
    if not callable(act):
        raise UsageError(f"{policy!r} is not a policy: it has no act(obs), and cannot be called")
    found: Callable[[Any], Any] = act
    return found


def _plain_action(action: Any, n_floats: int) -> int | tuple[float, ...]:  # noqa: ANN401
    """Return an action, which may be numpy's, as the environment takes it."""
    try:
        if n_floats:
            return tuple(float(number) for number in action)
        if int(action) == action:
            return int(action)
    except (TypeError, ValueError):
        pass
    wanted = f"a list of {n_floats} numbers" if n_floats else "an integer"
    raise UsageError(f"the policy returned {action!r}; an action of this game is {wanted}")


def _iteration(step: Step) -> Iteration:
    names = [field.name for field in fields(Iteration)][4:]
    facts = [getattr(step.facts, name, None) for name in names]
    return Iteration(step.iteration, step.verdict, step.subject, step.commit, *facts)
