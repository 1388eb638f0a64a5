"""What a command works with: the repository, its runs, the workers, the policy that is meant."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gco_agent.core.errors import NotARun, StoreError, UsageError
from gco_agent.core.files import work_tree_of, write_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from gco_agent.core.records import Evaluation, PlayProtocol
    from gco_agent.evaluation.judge import Judge
    from gco_agent.evaluation.workers import WorkerPool
    from gco_agent.games import GameSpec
    from gco_agent.jail.limits import JailLevel
    from gco_agent.policy import PolicySource
    from gco_agent.store.config import RunConfig
    from gco_agent.store.entries import RunRef
    from gco_agent.store.git import GitRepo
    from gco_agent.store.run import Runs
    from gco_agent.store.view import RunView

_SHORTEST_ID = 7
"""Git never shortens the id of a commit below so many digits: fewer are an iteration's number."""
_REVISION_OF = re.compile(r"([^~^@]+)([~^@].*)")
"""A name, and what git puts behind it to mean an earlier commit."""
_MOST_EPISODES = 100_000


@dataclass(frozen=True, slots=True)
class Target:
    """A policy to play: its name, its text, and the rules it was made for, if known."""

    name: str
    source: PolicySource
    protocol: PlayProtocol | None = None


@dataclass(slots=True)
class CliContext:
    """Where a command works, and the options that many commands share.

    Attributes:
        directory: Paths that are typed are relative to it.
        as_json: Print the result as JSON.
        workers: Worker processes; None for one per core.
        executor: Address of a cluster to play on instead.
        jail: The least level of the jail.
        run_name: The run that was named.
    """

    directory: Path
    as_json: bool = False
    workers: int | None = None
    executor: str | None = None
    jail: str = "none"
    run_name: str | None = None

    def repository(self, *, create: bool = False) -> GitRepo:
        """Return the repository that the folder is in.

        Args:
            create: Make one where there is none.

        Raises:
            StoreError: There is none.
        """
        from gco_agent.store.git import GitRepo

        here = self.directory.absolute()
        try:
            return GitRepo.find(here)
        except StoreError:
            if not create:
                raise
            return GitRepo.create(here)

    def runs(self) -> Runs:
        """Return the runs of the repository; raises as `repository`."""
        from gco_agent.store.run import Runs

        return Runs(self.repository())

    def runs_or_file(self) -> Runs:
        """Return the runs, for a command that a policy file would do for as well.

        Raises:
            UsageError: There is no repository.
        """
        try:
            return self.runs()
        except StoreError as error:
            raise UsageError(f"{error} Or name a policy file.") from None

    def view(self) -> RunView:
        """Open the run that is named, or checked out, to read it."""
        runs = self.runs()
        return runs.view(find_run(runs, self.run_name))

    def shown_view(self) -> RunView:
        """Open a run as `view`, or else the only run there is, for commands that only look."""
        runs = self.runs()
        return runs.view(find_shown(runs, self.run_name))

    def run_and_rev(self, names: Sequence[str], *, is_rev_needed: bool = False) -> str | None:
        """Take ``[RUN] [REV]`` apart: keep the run, return the revision.

        Raises:
            UsageError: There are too many names.
        """
        if len(names) > 1 + (self.run_name is None):
            raise UsageError(f"too many arguments: {' '.join(names)}; give RUN and REV")
        if len(names) == 2:  # noqa: PLR2004 - RUN REV
            self.run_name = names[0]
            return names[1]
        if not names or is_rev_needed or self.run_name:
            return names[0] if names else None
        try:
            self.runs().find(names[0])
        except NotARun:
            return names[0]
        self.run_name = names[0]
        return None

    def find_spec(self, name: str) -> GameSpec:
        """Return the game, Gymnasium id, ``module:id`` or file in the folder that is meant.

        Raises:
            UsageError: Nothing has that name.
        """
        from gco_agent.games import find_game, imports_code

        if not imports_code(name):
            with contextlib.suppress(UsageError):  # then it may be Gymnasium's
                return find_game(name)
        from gco_agent.envs.environment import find_spec, make_importable

        if name.endswith(".py"):
            return find_spec(str(self.directory / name))
        if ":" in name:
            make_importable(self.directory)
        return find_spec(name)

    def trust(self, module: str) -> None:
        """Let runs of the repository load a module; raises as `checks.trust` and `repository`."""
        from gco_agent.loop.checks import trust

        repo = self.repository()
        trust(repo, module, [self.directory.absolute(), *([repo.root] if repo.root else [])])

    @property
    def jail_level(self) -> JailLevel:
        """The least level of the jail."""
        from gco_agent.jail.limits import JailLevel

        return JailLevel.parse(self.jail)

    @contextlib.contextmanager
    def open_workers(
        self, n_tasks: int | None = None, seconds: float | None = None
    ) -> Iterator[WorkerPool]:
        """Start the workers, no more than there are tasks, or connect to the cluster.

        Args:
            n_tasks: Most tasks at a time, if that is known.
            seconds: Of the command, if it has a limit: a call of an environment that takes longer
                has hung.

        Raises:
            UsageError: Both were asked for, or the cluster cannot be used.
            GcoError: Nothing answers at the address of the cluster.
        """
        from gco_agent.evaluation.workers import HANG_S, WorkerPool, open_executor

        if self.executor is not None:
            if self.workers is not None:
                raise UsageError("--workers and --executor exclude each other")
            with open_executor(self.executor) as (given, n), WorkerPool(n, given) as pool:
                yield pool
            return
        with WorkerPool(self.workers, hang_s=min(HANG_S, max(10.0, seconds or HANG_S))) as pool:
            pool.start(n_tasks)
            yield pool

    def judge(self, pool: WorkerPool, protocol: PlayProtocol) -> Judge:
        """Return a judge that asks for the level of jail that was given."""
        from gco_agent.evaluation.judge import Judge

        return Judge(pool, protocol, self.jail_level)

    def play(
        self, target: Target, seeds: range, protocol: PlayProtocol
    ) -> tuple[Evaluation, str, float]:
        """Play a policy and show how far it is; its episodes, the jail's level, the seconds."""
        import time

        from gco_agent.cli.display import open_display
        from gco_agent.core.events import Playing
        from gco_agent.core.seeds import format_seeds

        what, begun = f"{target.name} on {format_seeds(seeds)}", time.perf_counter()
        with open_display() as display, self.open_workers(len(seeds)) as pool:
            judge = self.judge(pool, protocol)
            display(Playing(what, 0, len(seeds)))
            played = judge.evaluate(
                target.source, seeds, lambda k, n: display(Playing(what, k, n, judge.n_steps))
            )
        return played, judge.jail, time.perf_counter() - begun

    def emit(self, data: Any, text: Callable[[], None]) -> None:  # noqa: ANN401
        """Print the result, as JSON or by calling ``text``."""
        from gco_agent.cli.output import emit

        emit(data, text, as_json=self.as_json)

    def path(self, name: Path | str) -> Path:
        """Return a path that was typed, relative to the folder."""
        return self.directory / name

    def write(self, name: Path | str, text: str) -> Path:
        """Write a file that was asked for.

        Raises:
            UsageError: It cannot be written.
            FileRefused: A symbolic link of the repository is on the way.
        """
        path = self.path(name)
        try:
            write_file(path, text, root=work_tree_of(path))
        except OSError as error:
            raise UsageError(f"cannot write {path}: {error.strerror}") from error
        return path

    def policy_file(self, target: str | None) -> Path | None:
        """Return the policy file that ``target`` names; None if it can only be a run.

        Raises:
            UsageError: It is named like a file, and there is none, or it is a folder.
        """
        if target is None:
            return None
        path = self.path(target)
        if path.is_dir():
            raise UsageError(f"{target} is a folder; name a policy file in it")
        if path.exists():
            return path
        if path.suffix == ".py" and ":" not in target:
            raise UsageError(f"there is no file {target} in {self.directory.resolve()}")
        return None

    def find_target(self, target: str | None, *, check: bool = True) -> Target:
        """Return the policy that ``target`` means: a file, a run, a revision, an iteration.

        Args:
            target: As typed; None for the policy of the run that is checked out.
            check: Refuse a policy that breaks the contract of a policy file.

        Raises:
            GcoError: There is no such policy.
        """
        from gco_agent.loop.checks import require_contract

        found = self._find_target(target)
        if check:
            require_contract(found.source, found.name)
        return found

    def _find_target(self, target: str | None) -> Target:
        from gco_agent.policy import PolicySource
        from gco_agent.store.view import read_policy

        if target is None:
            runs = self.runs_or_file()
            return _of_run(runs.view(runs.current()), None)
        if (path := self.policy_file(target)) is not None:
            return Target(target, PolicySource.from_file(path))
        try:
            runs = self.runs()
        except StoreError:
            raise UsageError(f"there is no file {target}, and no git repository here") from None
        if ":" in target:
            return Target(target, read_policy(target, self.directory))
        return _of_run(*_find_revision(runs, target))

    def protocol_of(
        self,
        target: Target,
        env_id: str | None,
        max_steps: int | None,
        name: str | None = None,
        objects: str | None = None,
    ) -> PlayProtocol:
        """Return the rules to play by: of the run, or of the environment that the file names.

        Args:
            target: What is to play.
            env_id: As it was typed; None for what the policy names itself, which may not be code.
            max_steps: Steps after which an episode is truncated; None for what the rules say.
            name: Name of the protocol; None for the run's own.
            objects: What is observed; None for what the rules say.

        Raises:
            UsageError: No environment is named, or it is not known, or the policy names code.
        """
        from gco_agent.envs.environment import make_protocol, named_environment, spec_of
        from gco_agent.loop.checks import rules_here

        rules = target.protocol
        if env_id is not None or rules is None:
            named = self.find_spec(env_id).env_id if env_id else named_environment(target.source)
            if named is None:
                raise UsageError(
                    f"the docstring of {target.name} has no line `Environment: ID`: name the "
                    "environment with --env, such as --env gco/Pong-v5"
                )
            rules = make_protocol("default", named)
        rules = rules_here(rules if name is None else make_protocol(name, rules.env_id))
        if max_steps is not None:
            if not rules.has_objects:  # a lower limit of Gymnasium's holds
                max_steps = make_protocol("default", rules.env_id, max_steps).max_steps
            rules = replace(rules, max_steps=max_steps)
        if objects is None:
            return rules
        spec_of(rules).require_rules(rules.name, objects)
        return replace(rules, objects=objects)


def _find_revision(runs: Runs, rev: str) -> tuple[RunView, str | None]:
    """Return the run of a revision, and the revision; None for the run's tip."""
    try:
        return runs.view(runs.find(rev)), None
    except NotARun:
        base = _REVISION_OF.match(rev)
        if base is not None:  # "gco/pong/first~3" is of a run that need not be checked out
            with contextlib.suppress(NotARun):
                ref = runs.find(base[1])
                return runs.view(ref), ref.branch + base[2]
    try:
        return runs.view(runs.current()), rev
    except NotARun:
        raise NotARun(
            f"{rev} is not a file, not a run, and there is no run checked out of which it could be "
            "a revision. REV:PATH names a file of any commit, as in main:policies/pong.py"
        ) from None


def _of_run(view: RunView, rev: str | None) -> Target:
    from gco_agent.loop.checks import read_config
    from gco_agent.policy import PolicySource

    commit = view.tip
    if rev is not None:
        try:
            commit = view.step(rev).commit
        except NotARun:
            commit = rev  # a commit of another branch may have a policy for the same game
    if rev is not None and rev.isdigit() and len(rev) < _SHORTEST_ID:
        name = f"iteration {rev} of {view.ref.branch}"
    else:
        name = f"{view.ref.branch if rev is None else rev}:{view.policy_path}"
    source = PolicySource.from_bytes(view.policy(commit).encode(), name)
    return Target(name, source, read_config(view).protocol)


def find_run(runs: Runs, name: str | None) -> RunRef:
    """Return the run called ``name``, or the one that is checked out.

    Raises:
        NotARun: There is none.
    """
    return runs.find(name) if name else runs.current()


def find_shown(runs: Runs, name: str | None) -> RunRef:
    """Return a run as `find_run`, or else the only one there is."""
    if name:
        return runs.find(name)
    try:
        return runs.current()
    except NotARun:
        there_are = runs.list()
        if len(there_are) != 1:
            raise
        return there_are[0]


def exchange_folder(place: CliContext, ref: RunRef) -> Path:
    """Return the folder for prompts of a run, and replies to them."""
    from gco_agent.optimizers.exchange import FOLDER

    root = place.repository().root or place.directory.absolute()
    return root / FOLDER / ref.stem


def status_file(repo: GitRepo, ref: RunRef) -> Path:
    """Return the file in which `gco-agent watch` reads what a run is doing."""
    from gco_agent.store.run import status_path

    return status_path(repo.common_dir, ref.stem)


def pick_seeds(text: str | None, default: range, most: int = _MOST_EPISODES) -> range:
    """Return the seeds that were typed, or the default.

    Raises:
        UsageError: They are not a range, are empty, or too many.
    """
    from gco_agent.core.seeds import parse_seed_range

    seeds = default if text is None else parse_seed_range(text)
    if len(seeds) > most:
        raise UsageError(f"{len(seeds):,} episodes are too many; at most {most:,}")
    return seeds


def with_model(config: RunConfig, given: dict[str, Any]) -> RunConfig:
    """Return the configuration with the options for the language model."""
    names = ("model", "effort", "max_tokens")
    return replace(config, **{name: given[name] for name in names if given.get(name)})
