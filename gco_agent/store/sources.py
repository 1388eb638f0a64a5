"""Where a policy's text comes from: a file, or a file of a git revision."""

from __future__ import annotations

import re
from pathlib import Path

from gco_agent.core.errors import UsageError
from gco_agent.policy import PolicySource
from gco_agent.store.git import GitRepo


def read_policy(target: str | Path, directory: Path = Path()) -> PolicySource:
    """The text of a policy, from a path or from ``REV:PATH``.

    ``load_policy(read_policy("HEAD~3:policies/pong.py"))`` plays what it was three commits ago.

    Args:
        target: Path of a file, or a git revision, a colon, and a path from the top of the tree. A
            file of that name comes first.
        directory: Where relative paths begin, and whose git repository is asked.

    Raises:
        PolicyError: It cannot be read, or is not UTF-8 text.
        StoreError: There is no repository, or no such revision.
        UsageError: The revision has no such file.
    """
    rev, colon, path = str(target).partition(":")
    if not colon or (directory / target).exists():
        return PolicySource.from_file(directory / target)
    repo = GitRepo.find(directory.absolute())
    content = repo.read_file(repo.resolve(rev or "HEAD"), path)
    if content is None:
        raise UsageError(f"{rev or 'HEAD'} has no file {path}")
    return PolicySource.from_bytes(content, str(target))


KEY = "gco.trust"
"""Name of the setting; each of its values is ``module=folder``, the folder empty if not needed."""


def trust_module(repo: GitRepo, module: str, folder: Path | None = None) -> None:
    """Remember that a person trusts ``module``.

    Args:
        repo: Where.
        module: As it is imported.
        folder: To be found in; None if it is installed.

    Raises:
        StoreError: The config cannot be written.
    """
    same = f"^{re.escape(module)}="
    value = f"{module}={folder.resolve() if folder else ''}"
    repo.run("config", "--local", "--replace-all", KEY, value, same)


def trusted_modules(repo: GitRepo) -> dict[str, Path | None]:
    """The modules that a person trusts, and the folder to find each in; None if installed."""
    found = repo.attempt("config", "--local", "--null", "--get-all", KEY)
    pairs = (value.partition("=")[::2] for value in found.names)
    return {module: Path(folder) if folder else None for module, folder in pairs}
