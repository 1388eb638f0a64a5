"""What a process that advances a run and the user tell each other while it is at work.

The process states in a status file what it is doing; the user pauses it, and leaves notes for the
next prompt. All of it is in files of git's folder that only this program uses.
"""

from __future__ import annotations

import contextlib
import glob
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path

from gco_agent.core.codec import dumps, loads
from gco_agent.core.errors import GcoError, StoreError, UsageError
from gco_agent.core.events import Playing, Racing, Searching
from gco_agent.core.files import read_file, write_file
from gco_agent.core.text import clean_text
from gco_agent.store.entries import RunRef
from gco_agent.store.evidence import authenticate, is_authentic, key_path
from gco_agent.store.git import PRIVATE_FOLDER, GitRepo
from gco_agent.store.view import RunView

_PAUSED = ".paused"
_NOTE, _MAX_NOTE, _MAX_NOTES = ".note-", 2_000, 8
_STATUS_SCHEMA = 1
_STATUS = ".status.json"
_MAX_STATUS_BYTES = 1 << 20
_log = logging.getLogger(__name__)


def pause(repo: GitRepo, ref: RunRef) -> None:
    """Let the process that advances a run wait after its present iteration."""
    repo.write_private(f"{ref.stem}{_PAUSED}", "")


def resume(repo: GitRepo, ref: RunRef) -> None:
    """Let a paused run continue."""
    repo.write_private(f"{ref.stem}{_PAUSED}", None)


def is_paused(repo: GitRepo, ref: RunRef) -> bool:
    """Return whether a run is paused, or will be after its present iteration."""
    return repo.private_file(f"{ref.stem}{_PAUSED}").exists()


def leave_note(view: RunView, text: str) -> None:
    """Keep a note of the user's until a prompt has shown it."""
    text = clean_text(text).strip()
    if not 0 < len(text) <= _MAX_NOTE:
        raise UsageError(f"a note has 1 to {_MAX_NOTE:,} characters, and this has {len(text):,}")
    if len(notes := read_notes(view)) >= _MAX_NOTES:
        raise UsageError(f"{len(notes)} notes are waiting for the next prompt; no more are taken")
    if not (code := authenticate(text)):
        raise StoreError(f"a note needs your key, and {key_path()} cannot be written")
    view.repo.write_private(f"{view.ref.stem}{_NOTE}{time.time_ns():020}", f"{code}\n{text}")


def read_notes(view: RunView) -> dict[Path, str]:
    """Return the notes that no committed iteration has shown, oldest first, by file."""
    found, folder = {}, view.repo.private_file("")
    begin = f"{view.ref.stem}{_NOTE}"
    paths = (path for path in folder.glob(f"{glob.escape(begin)}*"))
    # a run of another name may have files of another kind that begin so
    notes = [path for path in paths if path.name.removeprefix(begin).isdecimal()]
    for path in sorted(notes)[:_MAX_NOTES]:
        with contextlib.suppress(OSError, GcoError):
            data = read_file(path, root=view.repo.common_dir, limit_bytes=4 * _MAX_NOTE)
            code, _, text = data.decode("utf-8", "replace").partition("\n")
            if is_authentic(text, code):  # a repository may be received with notes in it
                found[path] = text
    return found


@dataclass(frozen=True, slots=True)
class Limits:
    """What a process may use; None means no limit. As `gco_agent.loop.budget.Budget`."""

    iterations: int | None = None
    seconds: float | None = None
    frames: int | None = None
    tokens: int | None = None
    usd: float | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """What a process is doing: a small file in git's folder, on which nothing relies.

    Attributes:
        started: `time.perf_counter` value at which its time began; processes of one machine share
            that clock.
        tokens: Tokens that the run has sent to language models and received, so far.
    """

    pid: int
    started: float
    first: int
    reserve_s: float
    limits: Limits
    event: Playing | Racing | Searching | None
    tokens: int = 0
    usd: float | None = 0.0
    schema: int = _STATUS_SCHEMA

    @property
    def is_alive(self) -> bool:
        """Whether the process exists on this machine."""
        try:
            os.kill(self.pid, 0)
        except PermissionError:
            return True
        except (OSError, OverflowError):
            return False
        return self.pid > 0


def status_path(common_dir: Path, stem: str) -> Path:
    """Return the path of a run's status file."""
    return common_dir / PRIVATE_FOLDER / f"{stem}{_STATUS}"


def read_status(path: Path) -> Status | None:
    """Return the status of the process that advances a run; None if none is alive."""
    try:
        text = read_file(path, root=path.parent.parent, limit_bytes=_MAX_STATUS_BYTES)
        status = loads(Status, text, str(path))
    except (OSError, GcoError):
        return None
    return status if status.schema == _STATUS_SCHEMA and status.is_alive else None


def live_runs(common_dir: Path) -> dict[RunRef, Status]:
    """Return the runs that a process is advancing now, the one that started last first.

    A run is among them from its first moment on, before its branch exists.
    """
    found = {}
    for path in sorted((common_dir / PRIVATE_FOLDER).glob(f"*{_STATUS}")):
        if (status := read_status(path)) is not None:
            with contextlib.suppress(UsageError):
                found[RunRef.parse_stem(path.name.removesuffix(_STATUS))] = status
    return dict(sorted(found.items(), key=lambda item: item[1].started, reverse=True))


def write_status(path: Path, status: Status | None) -> bool:
    """Replace the status file, or delete it if there is no status; return whether that worked."""
    try:
        if status is None:
            path.unlink(missing_ok=True)
        else:
            write_file(path, dumps(status), root=path.parent.parent, parents=True, sync=False)
    except (OSError, ValueError, GcoError) as error:
        _log.debug("cannot write %s: %s", path, error)
        return False
    return True
