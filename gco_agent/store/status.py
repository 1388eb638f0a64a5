"""The live status of a process that advances a run: a small file in git's folder.

Nothing relies on the file. It is replaced as a whole and deleted when the work is over; everything
worth keeping is in the commits.
"""

from __future__ import annotations

import contextlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from gco_agent.core.codec import dumps, loads
from gco_agent.core.errors import GcoError, UsageError
from gco_agent.core.events import Playing, Racing, Searching
from gco_agent.core.files import read_file, write_file
from gco_agent.store.entries import RunRef
from gco_agent.store.git import PRIVATE_FOLDER

_log = logging.getLogger(__name__)

SCHEMA = 1
_SUFFIX = ".status.json"
_MOST_BYTES = 1 << 20


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
    """What a process is doing.

    Attributes:
        pid: Its process id.
        started: `time.perf_counter` value at which its time began; processes of one machine share
            that clock.
        first: Number of the first iteration that the limits are for.
        reserve_s: Part of the time that is reserved for the end.
        limits: What it may use.
        event: What it is doing; None between iterations.
        tokens: Tokens that the run has sent to language models and received, so far.
        usd: Their price; None where that is not known.
        schema: Version of the file.
    """

    pid: int
    started: float
    first: int
    reserve_s: float
    limits: Limits
    event: Playing | Racing | Searching | None
    tokens: int = 0
    usd: float | None = 0.0
    schema: int = SCHEMA

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
    return common_dir / PRIVATE_FOLDER / f"{stem}{_SUFFIX}"


def read_status(path: Path) -> Status | None:
    """Return the status of the process that advances a run; None if none is alive."""
    try:
        text = read_file(path, root=path.parent.parent, limit_bytes=_MOST_BYTES)
        status = loads(Status, text, str(path))
    except (OSError, GcoError):
        return None
    return status if status.schema == SCHEMA and status.is_alive else None


def live_runs(common_dir: Path) -> dict[RunRef, Status]:
    """Return the runs that a process is advancing now, the one that started last first.

    A run is among them from its first moment on, before its branch exists.
    """
    found = {}
    for path in sorted((common_dir / PRIVATE_FOLDER).glob(f"*{_SUFFIX}")):
        if (status := read_status(path)) is not None:
            with contextlib.suppress(UsageError):
                found[RunRef.parse_stem(path.name.removesuffix(_SUFFIX))] = status
    return dict(sorted(found.items(), key=lambda item: item[1].started, reverse=True))


def write_status(path: Path, status: Status) -> bool:
    """Replace the file; return whether that worked."""
    try:
        write_file(path, dumps(status), root=path.parent.parent, parents=True)
    except (OSError, ValueError, GcoError) as error:
        _log.debug("cannot write %s: %s", path, error)
        return False
    return True


def remove_status(path: Path) -> None:
    """Delete the file."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
