"""Complete names of runs, games and optimizers in the shell (docs/looking.md).

click calls these functions with what has been typed; nothing is printed and nothing raised.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from gco_agent.core.errors import GcoError

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _completer(names: Callable[[Path], Iterable[str]], *, with_files: bool = False) -> Complete:
    """Return a completer that offers names, and files where ``with_files``."""

    def complete(
        context: click.Context, _: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        folder = context.find_root().params.get("directory") or Path()
        found: list[CompletionItem] = []
        with contextlib.suppress(GcoError, OSError):
            found = [CompletionItem(name) for name in names(folder) if name.startswith(incomplete)]
        if with_files:
            found.append(CompletionItem(incomplete, type="file"))
        return found

    return complete


def _runs(folder: Path) -> list[str]:
    from gco_agent.store.git import GitRepo
    from gco_agent.store.run import Runs

    return [ref.branch for ref in Runs(GitRepo.find(folder.absolute())).list()]


def _games(_: Path) -> list[str]:
    from gco_agent.games import every_game

    return sorted(every_game())


def _optimizers(_: Path) -> list[str]:
    from gco_agent.optimizers.registry import optimizer_names

    return optimizer_names()


complete_runs = _completer(_runs)
complete_targets = _completer(_runs, with_files=True)
complete_games = _completer(_games, with_files=True)
complete_optimizers = _completer(_optimizers, with_files=True)
