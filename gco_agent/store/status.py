"""What a process at work tells others: its limits and its last event, in a small file.

Nothing relies on the file. It is beside the repository's objects, is replaced as a whole, and is
gone when the work is over; what is worth keeping is in the commits.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gco_agent.core.events import Playing, Racing, Searching
from gco_agent.core.statistics import Gain

_log = logging.getLogger(__name__)

SCHEMA = 1
_SUFFIX = ".status.json"
_KINDS: dict[str, type[Playing | Racing | Searching]] = {
    "playing": Playing,
    "racing": Racing,
    "searching": Searching,
}


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
    """How a process stands.

    Attributes:
        pid: Its process id.
        started: `time.perf_counter` value at which its time began; processes of one machine share
            that clock.
        first: Number of the first iteration that the limits are for.
        reserve_s: Of the time, what is kept for the end.
        limits: What it may use.
        event: What it does; None between iterations.
        tokens: That the run has sent to language models and received, with what is under way.
        usd: Their price; None where that is not known.
    """

    pid: int
    started: float
    first: int
    reserve_s: float
    limits: Limits
    event: Playing | Racing | Searching | None
    tokens: int = 0
    usd: float | None = 0.0

    @property
    def is_alive(self) -> bool:
        """Whether there is such a process on this machine."""
        try:
            os.kill(self.pid, 0)
        except PermissionError:
            return True
        except (OSError, OverflowError):
            return False
        return True


def status_path(folder: Path, stem: str) -> Path:
    """Where the status of a run is, given the folder that its repository shares, and its stem."""
    return folder / "gco-agent" / f"{stem}{_SUFFIX}"


def format_status(status: Status) -> str:
    """The text of the file; `parse_status` gives the status back."""
    data: dict[str, Any] = {"schema": SCHEMA, **asdict(status)}
    event = status.event
    if event is not None:
        data["event"] = {"kind": type(event).__name__.lower(), **asdict(event)}
    return json.dumps(data)


def parse_status(text: str) -> Status | None:
    """The status that ``text`` holds; None where it is none that this version reads."""
    try:
        data = json.loads(text)
        if data.pop("schema") != SCHEMA:
            return None
        limits, event = Limits(**data.pop("limits")), data.pop("event")
        return Status(**data, limits=limits, event=None if event is None else _event(event))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def read_status(path: Path) -> Status | None:
    """The status of the process that advances a run; None where none is alive."""
    try:
        status = parse_status(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError):
        return None
    return status if status is not None and status.is_alive else None


def write_status(path: Path, status: Status) -> bool:
    """Replace the file; whether that worked."""
    beside = path.with_name(f"{path.name}.{status.pid}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(format_status(status), "utf-8")
        beside.replace(path)
    except OSError as error:
        _log.debug("cannot write %s: %s", path, error)
        return False
    return True


def remove_status(path: Path) -> None:
    """Say no more."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def _event(data: dict[str, Any]) -> Playing | Racing | Searching:
    kind = _KINDS[data.pop("kind")]
    if kind is Racing and data["gain"] is not None:
        data["gain"] = Gain(**data["gain"])
    return kind(**data)
