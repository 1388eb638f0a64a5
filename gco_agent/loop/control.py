"""Pause a run that another process advances, and let it go on.

A small file in git's folder is the switch. `gco_agent.loop.train.train` looks at it between
iterations, so nothing that is under way is lost.
"""

from __future__ import annotations

import time

from gco_agent.core.errors import StoreError
from gco_agent.core.events import Progress, Searching
from gco_agent.core.files import write_file
from gco_agent.store.entries import RunRef
from gco_agent.store.git import GitRepo
from gco_agent.store.view import RunView

_POLL_S = 0.2


def pause(repo: GitRepo, ref: RunRef) -> None:
    """Let the process that advances a run wait after its present iteration."""
    path = repo.private_file(f"{ref.stem}.paused")
    try:
        write_file(path, "", root=repo.common_dir, parents=True)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}") from error


def resume(repo: GitRepo, ref: RunRef) -> None:
    """Let a paused run go on; a run that is not paused is left alone."""
    repo.private_file(f"{ref.stem}.paused").unlink(missing_ok=True)


def is_paused(repo: GitRepo, ref: RunRef) -> bool:
    """Return whether a run is paused, or will be after its present iteration."""
    return repo.private_file(f"{ref.stem}.paused").exists()


def wait_while_paused(run: RunView, progress: Progress, deadline: float) -> None:
    """Return once ``run`` is not paused, or at ``deadline``, a `time.perf_counter` value."""
    while is_paused(run.repo, run.ref) and time.perf_counter() < deadline:
        progress(Searching("paused", None, 0, "", "resume it from the dashboard"))
        time.sleep(_POLL_S)
