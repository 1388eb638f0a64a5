"""Where a command works, and the options that many commands share."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gco_agent.core.errors import StoreError, UsageError
from gco_agent.core.files import save_file
from gco_agent.core.seeds import MOST_EPISODES

if TYPE_CHECKING:
    from gco_agent.api import Callback, Players, Run, Target
    from gco_agent.core.records import Evaluation, PlayProtocol
    from gco_agent.games.spec import GameSpec
    from gco_agent.jail.limits import JailLevel
    from gco_agent.store.entries import RunRef
    from gco_agent.store.git import GitRepo
    from gco_agent.store.run import Runs
    from gco_agent.store.view import RunView


@dataclass(slots=True)
class CliContext:
    """Where a command works, and the options that many commands share."""

    directory: Path
    as_json: bool = False
    workers: int | None = None
    executor: str | None = None
    jail: str = "none"
    run_name: str | None = None

    # Repositories and runs

    def repository(self, *, create: bool = False) -> GitRepo:
        """Return the repository that the folder is in."""
        from gco_agent.store.git import GitRepo

        here = self.directory.absolute()
        try:
            return GitRepo.find(here)
        except StoreError:
            if not create:
                raise
            return GitRepo.create(here)

    def runs(self) -> Runs:
        """Return the runs of the repository."""
        from gco_agent.store.run import Runs

        return Runs(self.repository())

    def ref(self) -> RunRef:
        """Return the run that is named, or checked out, or else the only one."""
        from gco_agent.api import find_run

        return find_run(self.runs(), self.run_name)

    def view(self) -> RunView:
        """Open that run to read it."""
        return self.runs().view(self.ref())

    def open_run(self, *callbacks: Callback) -> Run:
        """Open that run to play it, by the options of the command."""
        from gco_agent.api import Run, Setup
        from gco_agent.loop.checks import read_config

        ref = self.ref()
        config = read_config(self.runs().view(ref))
        return Run(self.repository(), ref, config, Setup(self.players), callbacks)

    def run_and_rev(self, names: Sequence[str], *, is_rev_needed: bool = False) -> str | None:
        """Take ``[RUN] [REV]`` apart: keep the run, return the revision."""
        if len(names) > 2:  # noqa: PLR2004 - RUN REV
            raise UsageError(f"too many arguments: {' '.join(names)}; give RUN and REV")
        if len(names) == 2:  # noqa: PLR2004 - RUN REV
            self.run_name = names[0]
            return names[1]
        if not names or is_rev_needed:
            return names[0] if names else None
        if self.is_run(names[0]):
            self.run_name = names[0]
            return None
        return names[0]

    def is_run(self, name: str) -> bool:
        """Return whether there is a run of that name."""
        with contextlib.suppress(StoreError):
            self.runs().find(name)
            return True
        return False

    def trust(self, module: str) -> None:
        """Let runs of the repository load a module."""
        from gco_agent.loop.checks import trust

        repo = self.repository()
        trust(repo, module, [self.directory.absolute(), *([repo.root] if repo.root else [])])

    # What is played, by whom

    def find_spec(self, name: str) -> GameSpec:
        """Return the game, Gymnasium id, ``module:id`` or file in the folder that is meant."""
        from gco_agent.games.registry import find_game, imports_code

        if not imports_code(name):
            with contextlib.suppress(UsageError):  # then it may be Gymnasium's
                return find_game(name)
        from gco_agent.envs.environment import find_spec, make_importable

        if name.endswith(".py"):
            return find_spec(str(self.directory / name))
        if ":" in name:
            make_importable(self.directory)
        return find_spec(name)

    def find_target(self, target: str | None) -> Target:
        """Return the policy that was named, contract checked."""
        from gco_agent.api import find_policy
        from gco_agent.loop.checks import require_contract

        found = find_policy(target, self.directory)
        require_contract(found.source, found.name)
        return found

    def rules_of(self, target: Target, given: dict[str, Any]) -> PlayProtocol:
        """Return the rules to play by, with the options that were given."""
        env_id = given["env_id"] and self.find_spec(given["env_id"]).env_id
        return target.rules(
            env_id, given.get("max_steps"), given.get("protocol"), given.get("objects")
        )

    @property
    def jail_level(self) -> JailLevel:
        """The least level of the jail."""
        from gco_agent.jail.limits import JailLevel

        return JailLevel.parse(self.jail)

    @property
    def players(self) -> Players:
        """The workers or the cluster that was asked for."""
        from gco_agent.api import Players

        return Players(self.workers, self.jail_level, self.executor)

    def play(
        self, target: Target, seeds: range, protocol: PlayProtocol
    ) -> tuple[Evaluation, str, float]:
        """Play a policy and show how far it is; its episodes, the jail's level, the seconds."""
        from gco_agent.cli.display import open_display
        from gco_agent.core.events import Playing
        from gco_agent.core.seeds import format_seeds

        what, begun = f"{target.name} on {format_seeds(seeds)}", time.perf_counter()
        with open_display() as display, self.players.judge(protocol, len(seeds)) as judge:
            display(Playing(what, 0, len(seeds)))
            played = judge.evaluate(
                target.source, seeds, lambda k, n: display(Playing(what, k, n, judge.n_steps))
            )
        return played, judge.jail, time.perf_counter() - begun

    # Files

    def path(self, name: Path | str) -> Path:
        """Return a path that was typed, relative to the folder."""
        return self.directory / name

    def write(self, name: Path | str, data: str | bytes) -> Path:
        """Write a file that was asked for, past no link of a repository."""
        path = self.path(name)
        save_file(path, data)
        return path


def pick_seeds(text: str | None, default: range, most: int = MOST_EPISODES) -> range:
    """Return the seeds that were typed, or the default."""
    from gco_agent.core.seeds import parse_seed_range

    seeds = default if text is None else parse_seed_range(text)
    if len(seeds) > most:
        raise UsageError(f"{len(seeds):,} episodes are too many; at most {most:,}")
    return seeds
