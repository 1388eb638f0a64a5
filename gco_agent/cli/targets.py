"""Which policy a person means: a file, a run, a revision, the number of an iteration."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from gco_agent.cli.place import CliContext, read_config, rules_here, runs_or_file
from gco_agent.core.errors import ContractViolation, NotARun, StoreError, UsageError

if TYPE_CHECKING:
    from gco_agent.core.records import PlayProtocol
    from gco_agent.policy import PolicySource
    from gco_agent.store.run import Runs
    from gco_agent.store.view import RunView

_SHORTEST_ID = 7
"""Git never shortens the id of a commit below so many digits: fewer are an iteration's number."""
_REVISION_OF = re.compile(r"([^~^@]+)([~^@].*)")
"""A name, and what git puts behind one to mean an earlier commit."""


@dataclass(frozen=True, slots=True)
class Target:
    """A policy to play: what it is called, its text, the rules it was made for, if known."""

    name: str
    source: PolicySource
    protocol: PlayProtocol | None = None


def require_contract(target: Target) -> None:
    """Refuse a policy that breaks the contract of a policy file.

    Raises:
        ContractViolation: It does.
    """
    from gco_agent.policy import check_policy

    try:
        check_policy(target.source)
    except ContractViolation as error:
        raise ContractViolation(
            f"{target.name} breaks the contract of a policy file:\n{error}", line=error.line
        ) from None


def find_target(place: CliContext, target: str | None) -> Target:
    """The policy that ``target`` means; files come first.

    Raises:
        GcoError: There is none.
    """
    from gco_agent.policy import PolicySource
    from gco_agent.store.sources import read_policy

    if target is None:
        runs = runs_or_file(place)
        return _of_run(runs.view(runs.current()), None)
    path = place.directory / target
    if path.is_dir():
        raise UsageError(f"{target} is a folder; name a policy file in it")
    if path.exists():
        return Target(target, PolicySource.from_file(path))
    try:
        runs = place.runs()
    except StoreError:
        raise UsageError(f"there is no file {target}, and no git repository here") from None
    if ":" in target:
        return Target(target, read_policy(target, place.directory))
    if Path(target).suffix == ".py":
        raise UsageError(f"there is no file {target} in {place.directory.resolve()}")
    return _of_run(*_find_revision(runs, target))


def _find_revision(runs: Runs, rev: str) -> tuple[RunView, str | None]:
    """The run that a revision is of, and the revision; None for the run's tip."""
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
            f"{rev} is no file here and no run, and no run is checked out that it could be a "
            "revision of. REV:PATH names a file of any commit, as in main:policies/pong.py"
        ) from None


def _of_run(view: RunView, rev: str | None) -> Target:
    from gco_agent.policy import PolicySource

    commit = view.tip if rev is None else _commit_of(view, rev)
    if rev is not None and rev.isdigit() and len(rev) < _SHORTEST_ID:
        name = f"iteration {rev} of {view.ref.branch}"
    else:
        name = f"{view.ref.branch if rev is None else rev}:{view.policy_path}"
    source = PolicySource.from_bytes(view.policy(commit).encode(), name)
    return Target(name, source, read_config(view).protocol)


def _commit_of(view: RunView, rev: str) -> str:
    """A revision, or the number of an iteration, as a commit."""
    try:
        return view.step(rev).commit
    except NotARun:
        return rev  # a commit of another branch may have a policy for the same game


def protocol_of(
    place: CliContext,
    target: Target,
    env_id: str | None,
    max_steps: int | None,
    name: str | None = None,
) -> PlayProtocol:
    """The rules to play by: of the run, or those of the environment that the file names.

    Args:
        place: Where an environment is looked for that is code of the person's own.
        target: What is to play.
        env_id: As it was typed; None for what the policy names itself, which may be no code.
        max_steps: Steps after which an episode is cut; None for what the rules say.
        name: Of the protocol: "default", "reference", "machado"; None for the run's own.

    Raises:
        UsageError: No environment is named, or it is not known, or the policy names code.
    """
    from gco_agent.envs.environment import make_protocol, named_environment

    rules = target.protocol
    if env_id is not None or rules is None:
        if env_id is not None:
            env_id = place.find_spec(env_id).env_id
        else:
            env_id = named_environment(target.source)
        if env_id is None:
            raise UsageError(
                f"the docstring of {target.name} has no line `Environment: ID`; "
                "say what it plays with --env, such as --env gco/Pong-v5"
            )
        rules = make_protocol("default", env_id)
    if name is not None:
        rules = make_protocol(name, rules.env_id)
    rules = rules_here(rules)
    if max_steps is None:
        return rules
    if not rules.has_objects:  # where Gymnasium cuts earlier, that holds
        max_steps = make_protocol("default", rules.env_id, max_steps).max_steps
    return replace(rules, max_steps=max_steps)


def observed_as(rules: PlayProtocol, objects: str | None) -> PlayProtocol:
    """The same rules with another observation; None for the same.

    Raises:
        UsageError: What is played has no such observation.
    """
    from gco_agent.envs.environment import spec_of

    if objects is None:
        return rules
    spec_of(rules).require_rules(rules.name, objects)
    return replace(rules, objects=objects)
