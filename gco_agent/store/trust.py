"""Whose code a person lets a repository's runs load: kept in the repository's own git config.

A run names what it plays, and the environment of a module is code that runs outside the jail. A
branch can come from anybody; the config of a clone is never the stranger's. So a module is loaded
for a run only if its name stands there: `gco-agent run` and `init` put it there when a person types
the module or its file, and ``--trust-module`` does.
"""

from __future__ import annotations

import re
from pathlib import Path

from gco_agent.store.git import GitRepo

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
