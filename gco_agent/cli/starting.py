"""What a run is started with, and what would refuse it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gco_agent.cli.options import StartOptions
from gco_agent.cli.place import (
    CliContext,
    exchange_folder,
    home_of,
    require_clean,
    require_writable,
    status_file,
)
from gco_agent.cli.words import count, tell

if TYPE_CHECKING:
    from gco_agent.games import GameSpec
    from gco_agent.policy import PolicySource
    from gco_agent.store.entries import RunRef
    from gco_agent.store.git import GitRepo
    from gco_agent.store.run import Runs


@dataclass(frozen=True, slots=True)
class Start:
    """A run that is about to begin.

    Attributes:
        runs: Of the repository.
        ref: Its name.
        spec: What it plays.
        switch: Whether it is to be checked out.
        back: The command that checks out again what is checked out now.
        folder: Where prompts for people go.
        status: Where is written what is under way.
        initial: The policy to begin with, if not that of the game.
        notes: What a person may not expect.
    """

    runs: Runs
    ref: RunRef
    spec: GameSpec
    switch: bool
    back: str | None
    folder: Path
    files_in: Path
    status: Path
    initial: PolicySource | None
    notes: tuple[str, ...]


def prepare(place: CliContext, options: StartOptions, usd: float | None = None) -> Start:
    """Refuse now whatever would be refused after the first episodes.

    Args:
        place: Where.
        options: Of the command.
        usd: What a language model may cost, if that was said.

    Raises:
        GcoError: The run could not be started.
    """
    import secrets
    from datetime import date

    from gco_agent.store.entries import RunRef, new_run_id
    from gco_agent.store.run import Runs
    from gco_agent.store.sources import trust_module

    spec = place.find_spec(options.game)
    spec.require_rules(options.protocol, options.objects)
    require_optimizer(
        options.optimizer,
        usd,
        files_in=place.directory,
        horizon=options.horizon,
        model=options.model or "",
    )
    entropy = secrets.token_hex(2)
    name = options.name or new_run_id(today=date.today(), entropy=entropy)  # noqa: DTZ011 - theirs
    ref = RunRef(spec.name, name)
    initial = _initial(place, options, spec)
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
    runs = Runs(repo)
    base, below = runs.beginning()
    notes = (*_note_of_policy(repo, ref, options.start, base), *_note_of_base(base, below))
    return Start(runs, ref, spec, switch, back, folder, place.directory, status, initial, notes)


def require_optimizer(
    name: str,
    usd: float | None,
    *,
    files_in: Path | None = None,
    horizon: int = 0,
    model: str = "",
) -> None:
    """Check that an optimizer exists, has its key, and has a use for the options that were given.

    Args:
        name: One or several names or files: "reflect,search".
        usd: The limit for language models, if one was given.
        files_in: Folder of optimizer files, if the user typed ``name``.
        horizon: The option ``--horizon``.
        model: Name of the language model; by default the usual one.

    Raises:
        UsageError: There is none of that name, or none of them asks a language model.
        KeyRefused: The key for a language model is missing.
    """
    from gco_agent.cli.models import require_model
    from gco_agent.core.errors import UsageError
    from gco_agent.optimizers.registry import capabilities_of

    found = capabilities_of(name, files_in=files_in)
    if usd is not None and not any(each is None or each.uses_model for each in found):
        raise UsageError(
            f"--usd limits the cost of a language model, and {name} uses none: leave --usd out, or "
            "choose --optimizer reflect or optoprime"
        )
    if horizon and not any(each is None or each.uses_horizon for each in found):
        raise UsageError(f"--horizon has no effect with --optimizer {name}: it is for optoprime")
    if any(each is not None and each.uses_model for each in found):
        require_model(model)


def _initial(place: CliContext, options: StartOptions, spec: GameSpec) -> PolicySource | None:
    """The policy that a person wants to begin with; None for that of the game.

    Raises:
        GcoError: There is none, it breaks the contract, or it is for something else.
    """
    from gco_agent.cli.targets import find_target, require_contract
    from gco_agent.core.errors import UsageError
    from gco_agent.policy import environment_of
    from gco_agent.store.run import is_same_game

    if options.start is None:
        return None
    target = find_target(place, options.start)
    require_contract(target)
    named = environment_of(target.source)
    if named is not None and not is_same_game(named, spec.env_id):
        raise UsageError(
            f"the docstring of {target.name} says `Environment: {named}`, and the run plays "
            f"{spec.env_id}: begin with a policy for that, or run the other game"
        )
    return target.source


def _note_of_policy(
    repo: GitRepo, ref: RunRef, start: str | None, base: str | None
) -> tuple[str, ...]:
    """What the run begins with, where a person might think otherwise."""
    from gco_agent.store.view import policy_path

    if start is not None:
        return (f"It begins with the policy {start}.",)
    path = policy_path(ref.game)
    is_on_disk = repo.root is not None and (repo.root / path).is_file()
    if not is_on_disk and not (base and repo.read_file(base, path)):
        return ()
    note = f"The {path} that is here is not used: it begins with the initial policy of the game"
    return (f"{note} (`--start {path}` begins with that file).",)


def _note_of_base(base: str | None, below: RunRef | None) -> tuple[str, ...]:
    """Where the run begins, if that is not what is checked out but where ``below`` began."""
    if below is None:
        return ()
    where = (
        f"at {base[:9]}, where {below.branch} began"
        if base
        else f"on nothing, as {below.branch} did"
    )
    return (f"It begins {where}, not on top of that run.",)


def _require_free(repo: GitRepo, ref: RunRef) -> None:
    from gco_agent.core.errors import UsageError

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
    return f"git switch {head.branch.removeprefix('refs/heads/')}"


def announce(start: Start, options: StartOptions, limit: str) -> None:
    """Say what begins, before the first slow import."""
    from gco_agent.evaluation.workers import usable_cores

    tell(
        f"{start.spec.title}: {start.spec.goal}\n"
        f"Branch {start.ref.branch}, optimizer {options.optimizer}, {limit}"
        + (options.executor or count(options.workers or usable_cores(), "worker"))
        + (f". Back to where you were: {start.back}" if start.back else "")
        + "".join(f"\n{note}" for note in start.notes)
    )
