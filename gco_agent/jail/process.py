"""A worker process as the judge holds it: its channel, its output, its end."""

from __future__ import annotations

import json
import os
import signal
import tempfile
import time

from gco_agent.core.errors import JailError
from gco_agent.jail import launcher, text, wire
from gco_agent.jail.channel import CLOSED, Channel, Gone
from gco_agent.jail.limits import JailLevel, JailReport

_SEAL_SECONDS = 60.0
_DUMP_SECONDS = 1.0
_FAULT_BYTES = 1 << 14


class WorkerProcess:
    """One sealed worker; it has no policy yet.

    Attributes:
        pid: Its process id.
        channel: How to talk to it.
        report: What seals it, as it said itself.
    """

    def __init__(self, order: wire.Order, *, with_numpy: bool) -> None:
        self._owner = os.getpid()
        self._status: int | None = None
        self._pidfd = -1
        self.channel = Channel()
        self._output, self._faults = _open_scratch(), _open_scratch()
        fds = [
            self.channel.worker_reads,
            self.channel.worker_writes,
            self._output,
            self._faults,
        ]
        try:
            self._zygote, self.pid = launcher.fork_worker(order, fds, with_numpy=with_numpy)
        except BaseException:
            self.channel.close_worker_ends()
            self._release()
            raise
        self.channel.close_worker_ends()
        try:
            if hasattr(os, "pidfd_open"):
                self._pidfd = os.pidfd_open(self.pid)
            self.report = read_report(self.channel)
        except BaseException:
            self.close()
            raise

    def output(self, limit: int) -> str:
        """What the policy printed so far, fit to be shown."""
        printed = os.pread(self._output, limit, 0).decode("utf-8", "replace")
        return text.escape_lines(printed, limit)

    def faults(self) -> str:
        """What the interpreter wrote when it crashed, or was told to show where it is."""
        return os.pread(self._faults, _FAULT_BYTES, 0).decode("utf-8", "replace")

    def dump_frames(self) -> str:
        """Have the interpreter show where it is, loop in C or not; empty if it does not."""
        self._send_signal(signal.SIGUSR1)
        end = time.monotonic() + _DUMP_SECONDS
        before, dump = "", self.faults()
        while time.monotonic() < end and not (dump and dump == before):
            time.sleep(0.01)
            before, dump = dump, self.faults()
        return dump

    def end(self, why: str = "") -> str:
        """Kill it, if it still runs; what it died of, or ``why`` if nobody knows."""
        if self._status is None:
            self._send_signal(signal.SIGKILL)
            try:
                self._status = self._zygote.reap(self.pid)
            except OSError:
                self._status = -1  # the zygote has gone, and its workers with it
        return describe_end(self._status, why)

    def close(self) -> None:
        """End it and let everything go; in a forked process, only let go."""
        if os.getpid() == self._owner:
            self.end()
        self._release()

    def _send_signal(self, number: int) -> None:
        """By descriptor where there is one: it never means another process with the same id."""
        try:
            if self._pidfd >= 0:
                signal.pidfd_send_signal(self._pidfd, number)
            else:
                os.kill(self.pid, number)
        except ProcessLookupError:
            pass  # it has ended already, which is what the caller is about to find out

    def _release(self) -> None:
        self.channel.close()
        for fd in (self._output, self._faults, self._pidfd):
            if fd >= 0:
                os.close(fd)


def read_report(channel: Channel) -> JailReport:
    """What a new worker says of itself, before it has a policy.

    Raises:
        JailError: It says that it could not be sealed, or nothing.
    """
    if not channel.is_readable(_SEAL_SECONDS * 1000):
        raise JailError(f"the jail's worker was not ready after {_SEAL_SECONDS:g} s")
    try:
        _, records = channel.receive(wire.REPORT, 0)
    except Gone as gone:
        raise JailError(f"the jail's worker ended before it was sealed: {gone}") from None
    told = records[0] if records else None
    if told is None or told.kind != wire.SEAL_REPORT:
        reason = told.text if told is not None else "it did not say why"
        raise JailError(f"the jail's worker could not be sealed: {reason}")
    sealed = json.loads(told.text)
    return JailReport(
        JailLevel(sealed["level"]),
        tuple(sealed["layers"].items()),
        tuple(sealed["probes"].items()),
    )


def describe_end(status: int, why: str) -> str:
    """A wait status in words.

    Args:
        status: As waitpid gives it, or below zero if unknown.
        why: What the channel said; it decides where the process had to be killed.
    """
    if status < 0:
        return why
    if os.WIFEXITED(status):
        return f"it exited with code {os.WEXITSTATUS(status)}"
    number = os.WTERMSIG(status)
    if number == signal.SIGKILL:
        return "it was killed, or closed its pipe" if why == CLOSED else why
    known: dict[int, str] = {
        signal.SIGSYS: "it made a forbidden system call",
        signal.SIGXCPU: "it used up the processor time of its whole life",
        signal.SIGSEGV: "it crashed (SIGSEGV), as deep recursion in C does",
    }
    return known.get(number, f"it was ended by signal {number}")


def _open_scratch() -> int:
    """Descriptor of a new file without a name, in memory where that is possible."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("jail")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
