"""The Python front door: start and advance runs, evaluate policies.

    run = gco_agent.run("CartPole-v1", repo="my-runs", iterations=3)
    print(run.best, run.policy.text, run.evaluate(episodes=10).mean_return)

By default everything is played in this process, so scripts need no main guard. With ``workers``,
a script has to make its calls below ``if __name__ == "__main__":``; notebooks do not.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from gco_agent.core.errors import PolicyError, StoreError, UsageError
from gco_agent.core.events import Event, Progress
from gco_agent.core.observation import build_observation
from gco_agent.core.records import EpisodeResult, Evaluation, PlayProtocol, Verdict
from gco_agent.core.seeds import Stream
from gco_agent.envs.environment import make_protocol, named_environment
from gco_agent.envs.local import Game, find_game, is_local
from gco_agent.evaluation.episode import (
    LocalPlayer,
    begin_episode,
    close_environments,
    play_steps,
)
from gco_agent.evaluation.judge import Judge
from gco_agent.evaluation.workers import WorkerPool
from gco_agent.games import GameSpec
from gco_agent.jail.limits import JailLevel
from gco_agent.llm.providers import open_model
from gco_agent.loop import checks
from gco_agent.loop.budget import Budget
from gco_agent.loop.train import report as measure_on_report_seeds
from gco_agent.loop.train import start_run, train
from gco_agent.optimizers.base import Optimizer, Tools
from gco_agent.optimizers.exchange import FOLDER
from gco_agent.optimizers.registry import make_optimizer
from gco_agent.policy import LoadedPolicy, PolicySource, check_policy
from gco_agent.store.config import RunConfig, default_slice
from gco_agent.store.entries import RunRef, new_run_id
from gco_agent.store.git import GitRepo
from gco_agent.store.run import Runs
from gco_agent.store.view import RunView, Step, read_policy

DEFAULT_EPISODES = 30
DEFAULT_MINUTES = 5.0
Callback = Callable[[Event], object]
PolicyLike = PolicySource | str | Path | LoadedPolicy | type[Any] | Callable[[Any], Any]
"""Path of a file, ``REV`` or ``REV:PATH``, text of several lines, a loaded policy, a class of
policies, or any function from an observation to an action."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Iteration:
    """One iteration of a run; number 0 is the initial policy.

    Attributes:
        number: Its number; None for a commit made by hand.
        verdict: What came of it.
        summary: Subject of its commit.
        commit: Id of its commit.
        return_mean: Mean return of the candidate, in points an episode; None if it has none.
        return_se: Standard error of that mean.
        gain: Gain over the parent, in points an episode; None if there was no race.
        gain_se: Standard error of the gain.
        episodes: Episodes that the candidate played.
        optimizer: Name of the optimizer that proposed it.
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


class Run:
    """A run: a git branch with a policy that improves.

    Made by `run` and `open_run`. Properties read the branch anew each time.

    Attributes:
        name: Name of the branch, ``gco/<game>/<name>``.
        path: Folder of the repository.
        config: Configuration that the run was started with.
        stopped_by: Limit that ended the last call that advanced it; "" before.
    """

    def __init__(  # noqa: PLR0913 - made by `run` and `open_run` alone
        self,
        repo: GitRepo,
        ref: RunRef,
        config: RunConfig,
        optimizer: Optimizer | str | Path,
        *,
        workers: int | None,
        require: JailLevel,
        callbacks: Sequence[Callback],
    ) -> None:
        self.name, self.path, self.config = ref.branch, repo.place, config
        self.stopped_by = ""
        self._repo, self._ref, self._runs = repo, ref, Runs(repo)
        self._optimizer, self._workers = optimizer, workers
        self._require, self._progress = require, _caller(callbacks)

    def __repr__(self) -> str:
        best = self.best
        score = "" if best.return_mean is None else f", mean return {best.return_mean:.4g}"
        return f"<Run {self.name}: {len(self.history)} iterations{score}>"

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
            n: Iterations.
            minutes: Wall time.
            frames: Environment frames of the whole run.
            usd: US dollars of the whole run for language models.

        Raises:
            ModelError: A language model cannot be asked; what was paid for is committed.
            GcoError: The run cannot be advanced.
        """
        if n is None and minutes is None and frames is None:
            n = 1
        seconds = None if minutes is None else 60 * minutes
        return self._train(Budget(n, seconds, frames, usd))

    def measure(self, episodes: int = DEFAULT_EPISODES) -> Evaluation:
        """Score the policy in force on report seeds, which no race sees, and commit the score."""
        checks.require_same_versions(self.config)
        with self._runs.open(self._ref) as opened, self._judge() as judge:
            budget = Budget(report_episodes=episodes)
            return measure_on_report_seeds(opened, judge, self.config, budget, self._progress)

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
            workers=self._workers,
            require=self._require,
        )

    def rollback(self, rev: str | int, *, reason: str = "") -> Iteration:
        """Make the policy of an earlier iteration the run's policy again, by a new commit.

        Args:
            rev: Number of an iteration, or a revision of this run.
            reason: For the message.
        """
        with self._runs.open(self._ref) as opened:
            opened.rollback(str(rev), reason=reason)
        return self.history[-1]

    def report(self, path: str | Path) -> Path:
        """Write the run as one HTML file that opens without a network, and return its path."""
        from gco_agent.report.page import PageRun, write_page

        write_page(Path(path), [PageRun.read(self._view)])
        return Path(path)

    @property
    def _view(self) -> RunView:
        return self._runs.view(self._ref)

    def _train(self, budget: Budget) -> list[Iteration]:
        checks.require_same_versions(self.config)
        with self._runs.open(self._ref) as opened, self._judge() as judge:
            before = len(opened.history())
            optimizer = self._make_optimizer(judge)
            spent = train(opened, optimizer, judge, self.config, budget, self._progress)
            self.stopped_by = spent.limit
            return [_iteration(step) for step in opened.history()[before:]]

    def _start(self, initial: PolicySource | None, *, switch: bool) -> None:
        with self._judge() as judge:
            self._make_optimizer(judge)  # fails before anything is played
            start_run(
                self._runs, self._ref, self.config, judge, switch=switch,
                progress=self._progress, initial=initial,
            )  # fmt: skip

    @contextmanager
    def _judge(self) -> Iterator[Judge]:
        with _open_pool(self._workers, self.config.protocol) as pool:
            yield Judge(pool, self.config.selection_protocol, self._require)

    def _make_optimizer(self, judge: Judge) -> Optimizer:
        if isinstance(self._optimizer, Optimizer):
            return self._optimizer
        tools = Tools(
            judge.pool,
            lambda: open_model(self.config.model, self.config.effort),
            require=self._require,
            folder=(self._repo.root or Path.cwd()) / FOLDER / self._ref.stem,
            tell=lambda text: _log.info("%s", text),
        )
        return make_optimizer(str(self._optimizer), tools, files_in=Path.cwd())


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
    workers: int | None = 0,
    require: JailLevel = JailLevel.NONE,
    callbacks: Sequence[Callback] = (),
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
        frames: Most environment frames.
        usd: Most US dollars for language models.
        candidates: Candidates an iteration.
        protocol: Rules of play, or their name.
        max_steps: Steps after which an episode is truncated.
        selection_steps: The same in races; 4,500 by default.
        slice_steps: Steps that the search may play in an iteration.
        model: Language model; by default the usual one.
        workers: Worker processes; 0 plays in this process, None uses one a core.
        require: The jail must be at least this good.
        callbacks: Called with every event of `gco_agent.core.events`.
        switch: Check the run's branch out.

    Raises:
        GcoError: The run cannot be started or advanced; the message says what to do.
    """
    spec = _find(game)
    rules = _rules(protocol, spec.env_id, max_steps)
    config = RunConfig(
        spec.name,
        rules,
        optimizer=optimizer.name if isinstance(optimizer, Optimizer) else str(optimizer),
        seed=seed,
        slice_steps=slice_steps or default_slice(rules),
        candidates=candidates,
        model=model,
    )
    if selection_steps is not None:
        config = replace(config, selection_steps=selection_steps)
    if not isinstance(optimizer, Optimizer):
        checks.require_optimizer(str(optimizer), usd, files_in=Path.cwd(), model=model)
    git = _repository(repo)
    checks.require_writable(git)
    initial = None if start is None else _text_of(start, repo)
    if initial is not None:
        checks.require_contract(initial, "the initial policy")
    day = date.today()  # noqa: DTZ011 - the user's
    ref = RunRef(spec.name, name or new_run_id(today=day, entropy=secrets.token_hex(2)))
    if git.ref(str(ref)):
        raise UsageError(
            f"there is a run {ref.branch} already: open it with open_run, or choose another name"
        )
    if switch:
        checks.require_clean(git)
    checks.trust_own(git, spec.env_id)
    made = Run(
        git, ref, config, optimizer, workers=workers, require=require, callbacks=callbacks
    )  # fmt: skip
    if all(limit is None for limit in (iterations, minutes, frames, usd)):
        minutes = DEFAULT_MINUTES
    budget = Budget(iterations, None if minutes is None else 60 * minutes, frames, usd)
    made._start(initial, switch=switch)  # noqa: SLF001 - the other half of this function
    if iterations != 0:
        made._train(budget)  # noqa: SLF001
    return made


def open_run(  # noqa: PLR0913 - keyword arguments with defaults
    repo: str | Path = ".",
    name: str | None = None,
    *,
    game: Game | None = None,
    optimizer: Optimizer | str | Path | None = None,
    workers: int | None = 0,
    require: JailLevel = JailLevel.NONE,
    callbacks: Sequence[Callback] = (),
) -> Run:
    """Open a run to read it or to advance it.

    Args:
        repo: A folder of the git repository.
        name: Its branch, ``game/name``, or a name or game that no other run has; by default the
            run that is checked out, or the only one.
        game: The game as it was given to `run`, where that was an object of your own program.
        optimizer: As for `run`; by default the one it was started with.
        workers: As for `run`.
        require: As for `run`.
        callbacks: As for `run`.

    Raises:
        NotARun: There is none, or several.
        UsageError: It plays code that is not trusted here.
    """
    git = GitRepo.find(Path(repo).absolute())
    runs = Runs(git)
    there = runs.list()
    found = there[0] if len(there) == 1 else None
    ref = runs.find(name) if name is not None else found or runs.current()
    if game is not None:
        checks.trust_own(git, _find(game).env_id)
    config = checks.read_config(runs.view(ref))
    if optimizer is not None:
        name = optimizer.name if isinstance(optimizer, Optimizer) else str(optimizer)
        config = replace(config, optimizer=name)
    return Run(
        git,
        ref,
        config,
        optimizer or config.optimizer,
        workers=workers,
        require=require,
        callbacks=callbacks,
    )


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

    The same policy, seeds and versions give the same evaluation. What the policy does wrong is in
    the outcomes of the episodes. Texts of policies play in the jail. Objects and functions play in
    this process: what they raise is raised here, and their episodes have the jail level "none".

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
    source = None if _is_object(policy) else _text_of(policy, repo)
    if source is not None:
        check_policy(source)
    rules = _find_rules(source, game, protocol, max_steps)
    if source is None:
        if require > JailLevel.NONE:
            raise UsageError("a Python object plays in this process, without a jail")
        return _play_here(policy, rules, seeds)
    with _open_pool(workers, rules) as pool:
        return Judge(pool, rules, require).evaluate(source, seeds)


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


@contextmanager
def _open_pool(workers: int | None, rules: PlayProtocol) -> Iterator[WorkerPool]:
    if is_local(rules.env_id):
        if workers:
            raise UsageError(
                f"{rules.env_id} exists in this process alone, so no worker can play it: define it "
                "in a module that can be imported, or use workers=0"
            )
        workers = 0
    with WorkerPool(workers) as pool:
        yield pool


def _is_object(policy: PolicyLike) -> bool:
    return not isinstance(policy, PolicySource | str | Path)


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
    path, folder = Path(policy), Path(repo)
    if path.is_file() or (path.suffix == ".py" and ":" not in str(policy)):
        return PolicySource.from_file(path)
    if ":" in str(policy):
        return read_policy(str(policy), folder.absolute())
    return _policy_of_revision(str(policy), folder)


def _policy_of_revision(rev: str, folder: Path) -> PolicySource:
    try:
        git = GitRepo.find(folder.absolute())
        commit = git.resolve(rev)
    except StoreError as error:
        raise PolicyError(f"there is no policy file and no revision {rev}: {error}") from error
    paths = [path for path in git.list_files(commit, "policies/") if path.endswith(".py")]
    if len(paths) != 1:
        raise UsageError(
            f"{rev} has {len(paths)} policies: name the one you mean as {rev}:policies/GAME.py"
        )
    return read_policy(f"{rev}:{paths[0]}", folder.absolute())


def _play_here(policy: Any, rules: PlayProtocol, seeds: Sequence[int]) -> Evaluation:  # noqa: ANN401
    """Play a Python object in this process."""
    episodes: list[EpisodeResult] = []
    for seed in seeds:
        act = _act_of(policy)
        episode = begin_episode(rules, seed)

        def answer(seen: Any, act: Any = act, episode: Any = episode) -> Any:  # noqa: ANN401
            has_objects = rules.has_objects
            action = act(build_observation(seen, episode.lives) if has_objects else seen)
            return _plain_action(action, episode.env.n_floats)

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
    facts = step.facts
    if facts is None:
        return Iteration(None, step.verdict, step.subject, step.commit)
    return Iteration(
        facts.iteration,
        facts.verdict,
        step.subject,
        step.commit,
        facts.return_mean,
        facts.return_se,
        facts.gain,
        facts.gain_se,
        facts.episodes,
        facts.optimizer,
        facts.frames,
        facts.usd,
    )


def _caller(callbacks: Sequence[Callback]) -> Progress:
    def call(event: Event) -> None:
        for callback in callbacks:
            callback(event)

    return call
