"""What is checked before anything is played, so that no run is refused after its first episodes.

The command line and the Python API share these checks.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gco_agent.core.errors import ContractViolation, DirtyWorkTree, StoreError, UsageError
from gco_agent.core.records import PlayProtocol
from gco_agent.envs.environment import make_importable, make_protocol
from gco_agent.games.registry import imports_code
from gco_agent.llm.providers import open_model, split_models
from gco_agent.optimizers.registry import capabilities_of
from gco_agent.policy.contract import check_policy
from gco_agent.policy.source import PolicySource
from gco_agent.store.config import (
    FILE,
    RunConfig,
    split_optimizers,
    trust_module,
    trusted_modules,
)
from gco_agent.store.entries import RunRef
from gco_agent.store.git import GitRepo
from gco_agent.store.view import RunView, evidence_folder, policy_path


def require_contract(source: PolicySource, name: str) -> None:
    """Refuse a policy that breaks the contract of a policy file."""
    try:
        check_policy(source)
    except ContractViolation as error:
        raise ContractViolation(
            f"{name} breaks the contract of a policy file:\n{error}", line=error.line
        ) from None


def read_config(view: RunView) -> RunConfig:
    """Return the configuration that a run was started with."""
    config = view.config()
    require_trusted(view.repo, config.protocol, view.ref.branch)
    return config


def require_trusted(repo: GitRepo, rules: PlayProtocol, whose: str) -> None:
    """Refuse rules of a run or a recording that would import a module that is not trusted.

    A trusted module can be imported afterwards.
    """
    if not imports_code(rules.env_id):
        return
    module = rules.env_id.partition(":")[0]
    trusted = trusted_modules(repo)
    if module not in trusted:
        raise UsageError(
            f"{whose} plays {rules.env_id}, which loads the Python module {module} outside the "
            "jail, and the author of the run may have written it. If you have read it and trust "
            f"it, run the command as `gco-agent --trust-module {module} ...`; that is remembered "
            f"in {repo.common_dir / 'config'}"
        )
    if (folder := trusted[module]) is not None:
        make_importable(folder)


def trust(repo: GitRepo, module: str, folders: Sequence[Path]) -> None:
    """Let runs of a repository load a module, installed or in one of ``folders``; remember it."""
    if not all(part.isidentifier() for part in module.split(".")):
        raise UsageError(f"{module!r} is not a name of a Python module")
    top = module.partition(".")[0]
    if importlib.util.find_spec(top) is not None:
        trust_module(repo, module)
        return
    for folder in folders:
        if (folder / f"{top}.py").is_file() or (folder / top).is_dir():
            trust_module(repo, module, folder)
            return
    raise UsageError(f"there is no module {module}, neither installed nor in {repo.place}")


def trust_own(repo: GitRepo, env_id: str) -> None:
    """Trust the module of an environment that the user named and that is imported already."""
    if ":" not in env_id:
        return
    module = env_id.partition(":")[0]
    top = sys.modules[module.partition(".")[0]]
    inside = next(iter(getattr(top, "__path__", ())), None) or top.__file__ or ""
    trust_module(repo, module, Path(inside).parent)


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
        files_in: Folder of optimizer files, if the user named the optimizer.
    """
    found = capabilities_of(name, files_in=files_in)
    if usd is not None and not any(each is None or each.uses_model for each in found):
        raise UsageError(
            f"--usd limits the cost of a language model, and {name} uses none: leave --usd out, or "
            "choose --optimizer reflect or optoprime"
        )
    if horizon and not any(each is None or each.uses_horizon for each in found):
        raise UsageError(f"--horizon has no effect with --optimizer {name}: it is for optoprime")
    if any(each is not None and each.uses_model for each in found):
        for each in split_models(model):
            open_model(each)  # checks the settings; nothing is sent


def require_exchange(name: str) -> None:
    """Refuse something that answers prompts where none are written."""
    if "exchange" not in split_optimizers(name):
        raise UsageError(
            f"--answer answers the prompts of the optimizer exchange, and the run has {name}: add "
            "--optimizer exchange"
        )


def rules_here(rules: PlayProtocol) -> PlayProtocol:
    """Return the same rules with the versions that are installed here."""
    named = make_protocol(rules.name, rules.env_id)
    free = replace(named, versions=rules.versions, max_steps=rules.max_steps, objects=rules.objects)
    if rules.name != "default" and free != rules:  # of the default one all that differs is told
        raise UsageError(
            f"the run's rules of play are not those of the protocol {rules.name!r}, which it names"
        )
    return replace(rules, versions=named.versions)


def require_same_versions(config: RunConfig) -> None:
    """Refuse to advance a run with another emulator than it was started with."""
    here = dict(rules_here(config.protocol).versions)
    for name, version in config.protocol.versions:
        if here.get(name) != version:
            raise UsageError(
                f"the run was started with {name} {version}, and {here.get(name)} is installed, so "
                f"the numbers cannot be compared: install {name} {version}, or start another run "
                f"with `gco-agent init {config.game}`"
            )


def require_writable(repo: GitRepo) -> None:
    """Refuse a repository in which nothing could be committed."""
    if not os.access(repo.common_dir, os.W_OK):
        raise StoreError(
            f"the repository {repo.common_dir} cannot be written by this user. "
            "Make it writable and run the command again."
        )
    repo.require_identity()


def require_room(repo: GitRepo, ref: RunRef) -> None:
    """Refuse untracked files where the first commit of a run puts its own."""
    if repo.root is None:
        return
    head, folder = repo.head().commit, evidence_folder(0)
    paths = (policy_path(ref.game), FILE, "iterations/.gitattributes", f"{folder}evaluation.json")
    in_the_way = [
        path
        for path in paths
        if os.path.lexists(repo.root / path) and not (head and repo.read_file(head, path))
    ]
    if in_the_way:
        raise DirtyWorkTree(
            f"files in {repo.root} that git does not track would be overwritten: "
            f"{', '.join(in_the_way)}. Move them away, commit them, or use --no-switch."
        )
