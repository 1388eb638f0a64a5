"""How long to wait for a worker that is past its time: fair on a busy machine, hard on a loop.

A step is granted processor time, not time on the wall. As long as everything is quick, nobody
looks at a processor clock: that happens only when the wall has passed the limit. Then the worker
gets what the machine owed it, unless it sleeps: a policy has nothing to wait for.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

QUICK_SECONDS = 0.05
"""A step that takes no longer is not looked at."""
PATIENCE = 60.0
"""A worker that never gets the processor is given up after this many times the limit."""
_LOOKS_PER_LIMIT = 4
_LONGEST_LOOK_MS = 250.0
_SLEEPING_LOOKS = 3
_WAITING_STATES = "STtZ"
"""Sleeping, stopped or ended, in the words of proc(5); waiting for a disk is not among them."""


def wait_fairly(pid: int, limit_s: float, is_readable: Callable[[float], bool]) -> bool:
    """Wait for a worker whose limit has passed on the wall.

    Args:
        pid: The worker's process.
        limit_s: What it was granted, in seconds; as much again is granted now.
        is_readable: Waits up to that many milliseconds; true if a reply is there.

    Returns:
        True if the reply came; False if the worker used up its processor time, or slept.
    """
    look_ms = min(max(1.0, 1000 * limit_s / _LOOKS_PER_LIMIT), _LONGEST_LOOK_MS)
    began = time.monotonic()
    used_at_first = _cpu_seconds(pid)
    asleep = 0
    while time.monotonic() - began < PATIENCE * limit_s:
        if is_readable(look_ms):
            return True
        used = _cpu_seconds(pid)
        if used is None or used_at_first is None or used - used_at_first >= limit_s:
            return False
        asleep += _is_asleep(pid)
        if asleep >= _SLEEPING_LOOKS:
            return False
    return False


class SlowSteps:
    """What the steps of a worker that are not quick may take together, in its whole life.

    Each is within its own limit, and so a policy could take days for an episode, working or asleep.
    Where the system tells no processor time, the clock on the wall counts.

    Args:
        seconds: The allowance.
    """

    def __init__(self, seconds: float) -> None:
        self._left = seconds
        self._began = 0.0
        self._used: float | None = None

    def begin(self, pid: int) -> None:
        """A step has turned out not to be quick."""
        self._began = time.monotonic()
        self._used = None if _is_asleep(pid) else _cpu_seconds(pid)

    def end(self, pid: int) -> bool:
        """It is over; whether there is anything left."""
        used = _cpu_seconds(pid) if self._used is not None else None
        if used is None or self._used is None:
            self._left -= time.monotonic() - self._began
        else:
            self._left -= used - self._used
        return self._left > 0


def _cpu_seconds(pid: int) -> float | None:
    """Processor time that a process has used, or None where the system does not tell."""
    try:
        # The clock id of another process, as clock_getcpuclockid(3) makes it on Linux.
        return time.clock_gettime((~pid << 3) | 2)
    except (OSError, AttributeError):
        return None


def _is_asleep(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] in _WAITING_STATES
