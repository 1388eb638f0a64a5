"""What a run is started with, and what would refuse it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gco_agent.cli.options import StartOptions
from gco_agent.cli.place import (
    Place,
    exchange_folder,
    home_of,
    require_clean,
    require_writable,
    status_file,
)
from gco_agent.cli.words import count, tell

if TYPE_CHECKING:
    from pathlib import Path

    from gco_agent.games import GameSpec
    from gco_agent.store.entries import RunRef
    from gco_agent.store.git import GitRepo
    from gco_agent.store.runs import Runs


@dataclass(frozen=True, slots=True)
class Start:
    """A run that is about to begin."""

    runs: Runs
    ref: RunRef
    spec: GameSpec
    switch: bool
    back: str | None
    folder: Path
    status: Path


def prepare(place: Place, options: StartOptions) -> Start:
    """Refuse now whatever would be refused after the first episodes.

    Raises:
        GcoError: The run could not be started.
    """
    import secrets
    from datetime import date

    from gco_agent.store.entries import RunRef, new_run_id
    from gco_agent.store.runs import Runs
    from gco_agent.store.trust import trust_module

    spec = place.find_spec(options.game)
    _require_use_of_horizon(options)
    entropy = secrets.token_hex(2)
    name = options.name or new_run_id(today=date.today(), entropy=entropy)  # noqa: DTZ011 - theirs
    ref = RunRef(spec.name, name)
    repo = place.repository(create=options.create_repo)
    require_writable(repo)
    switch = options.switch and repo.root is not None
    if switch:
        require_clean(repo)
    _require_free(repo, ref)
    back = _way_back(repo) if switch else None
    folder, status = exchange_folder(place, ref), status_file(repo, ref)
    if ":" in spec.env_id:  # typed by a person, who will want to go on with the run
        module = spec.env_id.partition(":")[0]
        trust_module(repo, module, home_of(module))
    return Start(Runs(repo), ref, spec, switch, back, folder, status)


def _require_use_of_horizon(options: StartOptions) -> None:
    from gco_agent.errors import UsageError

    if options.horizon and "optoprime" not in map(str.strip, options.optimizer.split(",")):
        raise UsageError(
            f"--horizon is for the optimizer optoprime, and {options.optimizer} has no use for it"
        )


def _require_free(repo: GitRepo, ref: RunRef) -> None:
    from gco_agent.errors import UsageError

    if repo.ref(str(ref)):
        raise UsageError(
            f"there is a run {ref.branch} already: go on with `gco-agent step --run {ref.branch}`, "
            "or choose another name with --name"
        )


def _way_back(repo: GitRepo) -> str:
    """The command that checks out again what is checked out now."""
    head = repo.head()
    if head.branch is None:
        return f"git switch --detach {(head.commit or '')[:9]}"
    name = head.branch.removeprefix("refs/heads/")
    return f"git switch {name}" if head.commit else f"git switch --orphan {name}"


def announce(start: Start, options: StartOptions, limit: str) -> None:
    """Say what begins, before the first slow import."""
    from gco_agent.workers import usable_cores

    tell(
        f"{start.spec.title}: {start.spec.goal}\n"
        f"Branch {start.ref.branch}, optimizer {options.optimizer}, {limit}"
        + (options.executor or count(options.workers or usable_cores(), "worker"))
        + (f". Back to where you were: {start.back}" if start.back else "")
    )
