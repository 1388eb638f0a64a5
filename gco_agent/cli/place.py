"""What a command works with: the repository, its runs, the judge and the workers."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gco_agent.core.errors import NotARun, StoreError, UsageError

if TYPE_CHECKING:
    from gco_agent.core.records import PlayProtocol
    from gco_agent.evaluation.judge import Judge
    from gco_agent.evaluation.workers import WorkerPool
    from gco_agent.games import GameSpec
    from gco_agent.store.config import RunConfig
    from gco_agent.store.entries import RunRef
    from gco_agent.store.git import GitRepo
    from gco_agent.store.run import Runs
    from gco_agent.store.view import RunView


@dataclass(frozen=True, slots=True)
class CliContext:
    """Where a command was asked to work.

    Attributes:
        directory: A folder; paths that are typed are relative to it.
    """

    directory: Path

    def repository(self, *, create: bool = False) -> GitRepo:
        """The repository that the folder is in.

        Args:
            create: Make one where there is none.

        Raises:
            StoreError: There is none.
        """
        from gco_agent.store.git import GitRepo

        here = self.directory.absolute()
        if not create:
            return GitRepo.find(here)
        try:
            return GitRepo.find(here)
        except StoreError:
            return GitRepo.create(here)

    def find_spec(self, name: str) -> GameSpec:
        """What ``name`` means: a game, a Gymnasium id, ``module:id``, or a file in the folder.

        Raises:
            UsageError: Nothing is called that.
        """
        from gco_agent.games import find_game, imports_code

        if not imports_code(name):
            try:
                return find_game(name)
            except UsageError:
                pass  # then it may be Gymnasium's
        from gco_agent.envs.environment import find_spec, make_importable

        if name.endswith(".py"):
            return find_spec(str(self.directory / name))
        if ":" in name:
            make_importable(self.directory)
        return find_spec(name)

    def trust(self, module: str) -> None:
        """Let runs of the repository load a module, as the person asks; remembered there.

        Raises:
            UsageError: There is no such module, installed or in the folder or the repository.
            StoreError: There is no repository.
        """
        import importlib.util

        from gco_agent.store.sources import trust_module

        repo, top = self.repository(), module.partition(".")[0]
        if not all(part.isidentifier() for part in module.split(".")):
            raise UsageError(f"{module!r} is no name of a Python module")
        if importlib.util.find_spec(top) is not None:
            trust_module(repo, module)
            return
        for folder in (self.directory.absolute(), repo.root):
            if folder and ((folder / f"{top}.py").is_file() or (folder / top).is_dir()):
                trust_module(repo, module, folder)
                return
        raise UsageError(f"there is no module {module}, neither installed nor in {repo.place}")

    def runs(self) -> Runs:
        """The runs of the repository; raises as `repository`."""
        from gco_agent.store.run import Runs

        return Runs(self.repository())


def runs_or_file(place: CliContext) -> Runs:
    """The runs of the repository, for a command that a policy file would do for as well.

    Raises:
        UsageError: There is no repository.
    """
    try:
        return place.runs()
    except StoreError as error:
        raise UsageError(f"{error} Or name a policy file.") from None


def find_run(runs: Runs, name: str | None) -> RunRef:
    """The run called ``name``, or the one that is checked out.

    Raises:
        NotARun: There is none.
    """
    return runs.find(name) if name else runs.current()


def find_shown(runs: Runs, name: str | None) -> RunRef:
    """As `find_run`, for what only looks: where no run is checked out, the only one there is."""
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
    """Where prompts of a run are put for people, and replies looked for."""
    from gco_agent.optimizers.exchange import FOLDER

    root = place.repository().root or place.directory.absolute()
    return root / FOLDER / ref.stem


def read_config(view: RunView, rev: str | None = None) -> RunConfig:
    """The configuration that a run was started with.

    Raises:
        UsageError: It is missing, cannot be read, or plays code that nobody here trusts.
    """
    from gco_agent.store.config import FILE, parse_config

    text = view.read(FILE, rev)
    if text is None:
        raise UsageError(f"{view.ref.branch} has no {FILE}, so nobody knows how it is played")
    config = parse_config(text)
    require_trusted(view.repo, config.protocol, view.ref.branch)
    return config


def require_trusted(repo: GitRepo, rules: PlayProtocol, whose: str) -> None:
    """Refuse rules of a run or a recording that would import what nobody here has allowed.

    Where a module is trusted, it can be imported from then on.

    Args:
        repo: Whose config has the names of the modules that are trusted.
        rules: What is about to be played; from a branch or a file that anybody may have written.
        whose: What has the rules, for the message.

    Raises:
        UsageError: They need a module that is not trusted.
    """
    from gco_agent.games import imports_code

    if not imports_code(rules.env_id):
        return
    from gco_agent.store.sources import trusted_modules

    module = rules.env_id.partition(":")[0]
    trusted = trusted_modules(repo)
    if module not in trusted:
        raise UsageError(
            f"{whose} plays {rules.env_id}: the Python module {module} would be loaded, outside "
            "any jail, and whoever wrote the run may have written it. If you have read it and "
            f"trust it, run the command as `gco-agent --trust-module {module} ...`; that is "
            f"remembered in {repo.common_dir / 'config'}"
        )
    folder = trusted[module]
    if folder is not None:
        from gco_agent.envs.environment import make_importable

        make_importable(folder)


def home_of(module: str) -> Path:
    """The folder that an imported module was found in."""
    import sys

    top = sys.modules[module.partition(".")[0]]
    if hasattr(top, "__path__"):
        return Path(next(iter(top.__path__))).parent
    return Path(top.__file__ or "").parent


def rules_here(rules: PlayProtocol) -> PlayProtocol:
    """The same rules with the versions that are installed here.

    Raises:
        UsageError: The game is not known.
    """
    from dataclasses import replace

    from gco_agent.envs.environment import make_protocol

    installed = make_protocol("default", rules.env_id)
    return replace(rules, versions=installed.versions)


def require_same_versions(config: RunConfig) -> None:
    """Refuse to advance a run with another emulator than it was started with.

    Raises:
        UsageError: Something that decides the numbers has another version here.
    """
    here = dict(rules_here(config.protocol).versions)
    for name, version in config.protocol.versions:
        if here.get(name) != version:
            raise UsageError(
                f"the run was started with {name} {version} and here is {here.get(name)}, so their "
                f"numbers cannot be compared: install {name} {version}, or start another run with "
                f"`gco-agent init {config.game}`"
            )


def require_writable(repo: GitRepo) -> None:
    """Find out before anything is played that nothing could be committed.

    Raises:
        StoreError: The repository cannot be written.
        NoIdentity: Git does not know who commits.
    """
    if not os.access(repo.common_dir, os.W_OK):
        raise StoreError(
            f"the repository {repo.common_dir} cannot be written by this user. "
            "Make it writable and run the command again."
        )
    repo.require_identity()


def require_clean(repo: GitRepo) -> None:
    """Find out before anything is played that files are in the way; `Runs` would say so later.

    Raises:
        DirtyWorkTree: Changes are not committed.
    """
    from gco_agent.store.run import REASON
    from gco_agent.store.worktree import WorkTree

    if repo.root is None:
        return
    is_run = (repo.head_branch() or "").startswith("refs/heads/gco/")
    is_ours = is_run or repo.last_reason("HEAD").startswith(REASON)
    WorkTree(repo, repo.root).require_clean(catch_up=is_ours)


def status_file(repo: GitRepo, ref: RunRef) -> Path:
    """Where ``gco-agent watch`` looks for what is under way in a run."""
    from gco_agent.store.status import status_path

    return status_path(repo.common_dir, ref.stem)


@contextlib.contextmanager
def open_workers(
    n_workers: int | None, executor: str | None = None, *, n_tasks: int | None = None
) -> Iterator[WorkerPool]:
    """Worker processes that are being started, deaf to Ctrl-C, which is for the parent to hear.

    Args:
        n_workers: How many; None for one a core.
        executor: Address of a cluster that is to do the work instead: ``dask://host:port``.
        n_tasks: How many tasks there will be, if that is known: no more processes are started.

    Raises:
        UsageError: Both are given, or the cluster cannot be used.
        GcoError: Nobody answers at that address.
    """
    from gco_agent.evaluation.workers import WorkerPool

    if executor is not None:
        from gco_agent.evaluation.workers import open_executor

        if n_workers is not None:
            raise UsageError("--workers and --executor exclude each other: the cluster has its own")
        with open_executor(executor) as (given, n), WorkerPool(n, given) as pool:
            yield pool
        return
    with WorkerPool(n_workers) as pool:
        pool.start(n_tasks)
        yield pool


def make_judge(pool: WorkerPool, protocol: PlayProtocol, jail: str) -> Judge:
    """A judge that asks for a jail of the level called ``jail``."""
    from gco_agent.evaluation.judge import Judge
    from gco_agent.jail.limits import JailLevel

    return Judge(pool, protocol, JailLevel.parse(jail))
