"""The judge's side of a worker's process: the zygote that forks it, its output, its end.

One zygote serves every jail of this process; a process forked from this one starts its own.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import importlib.util
import json
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from gco_agent.core.errors import JailError
from gco_agent.core.text import escape_lines
from gco_agent.jail import wire
from gco_agent.jail.limits import JailLevel, JailReport

_START_SECONDS = 60.0
_END_SECONDS = 2.0
_SEAL_SECONDS = 60.0
_DUMP_SECONDS = 1.0
_FAULT_BYTES = 1 << 14
_PASSED_ON = "LD_LIBRARY_PATH"
"""The only variable that a zygote gets from this process: it finds its libraries with it."""
_PATIENCE = 60.0
"""A worker that does not get the processor is given up after this many times its limit."""
_NAP_SECONDS = 0.005
"""Time after which a worker that has not replied is checked for being asleep."""
_LOOKS_PER_LIMIT = 4
_MAX_LOOK_MS = 250.0
_ASLEEP_LOOKS = 3
_WAITING_STATES = "STtZ"
"""Sleeping, stopped or ended, see proc(5); waiting for a disk is not among them."""
_ENDS: dict[int, str] = {
    signal.SIGSYS: "it made a forbidden system call",
    signal.SIGXCPU: "it used up the processor time of its whole life",
    signal.SIGSEGV: "it crashed (SIGSEGV), as deep recursion in C does",
}


class ZygoteClient:
    """A running zygote.

    An order that is interrupted (by Ctrl-C) before its answer ends the zygote, with all its
    workers: the next answer would belong to another order.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control, theirs = socket.socketpair()
        self._control.settimeout(_START_SECONDS)
        with theirs, tempfile.TemporaryFile() as log:
            try:
                self.pid = _spawn(theirs.fileno(), log.fileno())
            except BaseException:
                self._control.close()
                raise
            theirs.close()
            if self._receive(len(wire.READY)) != wire.READY:
                self.close()
                log.seek(0)
                said = log.read()[-2000:].decode("utf-8", "replace").strip()
                raise JailError(
                    "the jail's helper process did not start: " + (said or "no message")
                )

    def fork(self, order: wire.Order, fds: Sequence[int]) -> int:
        """Return the process id of a new worker, which gets copies of ``fds``."""
        pid = self._ask(order, fds)
        if pid < 0:
            raise JailError(f"the system starts no further process: {os.strerror(-pid)}")
        return pid

    def reap(self, pid: int) -> int:
        """Wait for a worker that has ended or is about to; return its wait status."""
        return self._ask(wire.Order(wire.REAP, pid=pid), ())

    def close(self) -> None:
        """End the zygote and its workers."""
        self._control.close()
        end = time.monotonic() + _END_SECONDS
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(self.pid, os.WNOHANG) == (0, 0):
                if time.monotonic() > end:
                    os.kill(self.pid, signal.SIGKILL)
                time.sleep(0.001)

    def forget(self) -> None:
        """Let go of the parent's zygote in a forked process."""
        self._control.close()

    def _ask(self, order: wire.Order, fds: Sequence[int]) -> int:
        """Send an order and return the answer."""
        with self._lock:
            try:
                socket.send_fds(self._control, [order.pack()], fds)
                data = self._receive(wire.ANSWER.size)
            except BaseException:
                self.close()
                raise
        if len(data) < wire.ANSWER.size:
            raise BrokenPipeError(errno.EPIPE, "the zygote has ended")
        return int(wire.ANSWER.unpack(data)[0])

    def _receive(self, size: int) -> bytes:
        data = b""
        with contextlib.suppress(ConnectionError, TimeoutError):
            while len(data) < size and (more := self._control.recv(size - len(data))):
                data += more
        return data


_zygotes: list[ZygoteClient] = []
_starting = threading.Lock()


def zygote() -> ZygoteClient:
    """Return this process's zygote; start it if there is none."""
    with _starting:
        if not _zygotes:
            _zygotes.append(ZygoteClient())
        return _zygotes[0]


def close_zygote(which: ZygoteClient | None = None) -> None:
    """End the zygote of this process, if it is still that one; the next jail starts another."""
    with _starting:
        if _zygotes and which in (None, _zygotes[0]):
            _zygotes.pop().close()


def _fork_worker(order: wire.Order, fds: Sequence[int]) -> tuple[ZygoteClient, int]:
    """Return a zygote and its new worker; replace a zygote that has ended, once."""
    for is_last in (False, True):
        parent = zygote()
        try:
            return parent, parent.fork(order, fds)
        except OSError as error:
            close_zygote(parent)
            if is_last:
                raise JailError(f"the jail's helper process ended twice: {error}") from error
    raise AssertionError


def _after_fork() -> None:
    global _starting  # noqa: PLW0603 - a lock that another thread held would stay locked here
    _starting = threading.Lock()
    while _zygotes:
        _zygotes.pop().forget()


def _spawn(control: int, log: int) -> int:
    """Start a zygote's process, with no descriptors but its socket and its log."""
    if not sys.executable:
        raise JailError("this Python does not know its own executable, so no jail can be started")
    script = str(Path(__file__).with_name("zygote.py"))
    spec = importlib.util.find_spec("numpy")
    assert spec is not None
    assert spec.origin is not None
    folder = str(Path(spec.origin).parent.parent)
    nothing = os.open(os.devnull, os.O_RDWR)
    moves = ((control, 0), (nothing, 1), (log, 2))
    try:
        return os.posix_spawn(
            sys.executable,
            [sys.executable, "-s", "-S", "-B", "-P", script, folder],
            environment(),
            file_actions=[(os.POSIX_SPAWN_DUP2, fd, target) for fd, target in moves],
            setsigmask=[],
            setsigdef=[signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP],
        )
    except OSError as error:
        raise JailError(f"the jail's helper process cannot be started: {error}") from error
    finally:
        os.close(nothing)


def environment() -> dict[str, str]:
    """Return all environment variables of a zygote: none of ours but the library path."""
    names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    return {
        **{name: os.environ[name] for name in (_PASSED_ON,) if name in os.environ},
        **dict.fromkeys(names, "1"),
        "LC_ALL": "C.UTF-8",
        "PYTHONHASHSEED": "0",
        "TZ": "UTC",
    }


class WorkerProcess:
    """A sealed worker; it has no policy yet."""

    def __init__(self, order: wire.Order) -> None:
        self._owner = os.getpid()
        self._status: int | None = None
        self._pidfd = -1
        self.channel = wire.Channel()
        self._output, self._faults = os.memfd_create("jail"), os.memfd_create("jail")
        ends = (self.channel.worker_reads, self.channel.worker_writes)
        try:
            self._zygote, self.pid = _fork_worker(order, (*ends, self._output, self._faults))
        except BaseException:
            self._release()
            raise
        finally:
            self.channel.close_worker_ends()
        self._clock = (~self.pid << 3) | 2  # as clock_getcpuclockid(3) makes it
        try:
            self._pidfd = os.pidfd_open(self.pid)
            self.report = _receive_report(self.channel)
        except BaseException:
            self.close()
            raise

    def output(self, limit: int) -> str:
        """Return what the policy has printed so far, escaped."""
        printed = os.pread(self._output, limit, 0).decode("utf-8", "replace")
        return escape_lines(printed, limit)

    def faults(self) -> str:
        """Return what the interpreter wrote when it crashed or was asked for a traceback."""
        return os.pread(self._faults, _FAULT_BYTES, 0).decode("utf-8", "replace")

    def dump_frames(self) -> str:
        """Ask the interpreter for a traceback, also out of a loop in C; "" if it gives none."""
        self._send_signal(signal.SIGUSR1)
        end = time.monotonic() + _DUMP_SECONDS
        before, dump = "", self.faults()
        while time.monotonic() < end and not (dump and dump == before):
            time.sleep(0.01)
            before, dump = dump, self.faults()
        return dump

    def cpu_seconds(self) -> float | None:
        """Return the processor time that it has used; None if it has ended."""
        try:
            return time.clock_gettime(self._clock)
        except OSError:
            return None

    def is_asleep(self) -> bool:
        """Return whether it is waiting for something, or stopped."""
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_text()
        except OSError:
            return False
        return stat.rpartition(")")[2].split()[0] in _WAITING_STATES

    def wait(self, limit: float) -> float:
        """Wait for a reply; return how long the worker slept instead of working.

        On a busy machine the worker may not have had the processor when its limit has passed on the
        wall: then it gets ``limit`` seconds of processor time, unless it sleeps.
        """
        began, nap = time.monotonic(), min(limit, _NAP_SECONDS)
        if self.channel.is_readable(nap * 1000):
            return 0.0
        is_asleep = self.is_asleep()
        if not self.channel.is_readable((limit - nap) * 1000) and not self._wait_fairly(limit):
            raise wire.Late
        return time.monotonic() - began if is_asleep else 0.0

    def _wait_fairly(self, limit: float) -> bool:
        look_ms = min(max(1.0, 1000 * limit / _LOOKS_PER_LIMIT), _MAX_LOOK_MS)
        end = time.monotonic() + _PATIENCE * limit
        start, n_asleep = self.cpu_seconds(), 0
        while time.monotonic() < end:
            if self.channel.is_readable(look_ms):
                return True
            used = self.cpu_seconds()
            n_asleep += self.is_asleep()
            if used is None or start is None or used - start >= limit or n_asleep >= _ASLEEP_LOOKS:
                return False
        return False

    def end(self, why: str = "") -> str:
        """Kill it if it still runs; return the cause of its end, or ``why`` if unknown."""
        if self._status is None:
            self._send_signal(signal.SIGKILL)
            try:
                self._status = self._zygote.reap(self.pid)
            except OSError:
                self._status = -1  # the zygote has ended, and its workers with it
        return describe_end(self._status, why)

    def close(self) -> None:
        """End it and close everything; in a forked process, only close."""
        if os.getpid() == self._owner:
            self.end()
        self._release()

    def _send_signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):  # it has ended already
            if self._pidfd >= 0:  # a descriptor never means another process with the same id
                signal.pidfd_send_signal(self._pidfd, number)
            else:
                os.kill(self.pid, number)

    def _release(self) -> None:
        self.channel.close()
        for fd in (self._output, self._faults, self._pidfd):
            if fd >= 0:
                os.close(fd)


def _receive_report(channel: wire.Channel) -> JailReport:
    if not channel.is_readable(_SEAL_SECONDS * 1000):
        raise JailError(f"the jail's worker was not ready after {_SEAL_SECONDS:g} s")
    try:
        _, records = channel.receive(wire.REPORT, 0)
    except wire.Gone as gone:
        raise JailError(f"the jail's worker ended before it was sealed: {gone}") from None
    told = records[0] if records else wire.Record(wire.RAISED, 0, "it gave no reason")
    if told.kind != wire.SEAL_REPORT:
        raise JailError(f"the jail's worker could not be sealed: {told.text}")
    sealed = json.loads(told.text)
    layers, probes = sealed["layers"].items(), sealed["probes"].items()
    return JailReport(JailLevel(sealed["level"]), tuple(layers), tuple(probes))


def describe_end(status: int, why: str) -> str:
    """Describe a wait status.

    Args:
        status: As waitpid returns it; below zero if unknown.
        why: What the channel reported; it decides if the process had to be killed.
    """
    if status < 0:
        return why
    if os.WIFEXITED(status):
        return f"it exited with code {os.WEXITSTATUS(status)}"
    number = os.WTERMSIG(status)
    if number == signal.SIGKILL:
        return "it was killed, or closed its pipe" if why == wire.CLOSED else why
    return _ENDS.get(number, f"it was ended by signal {number}")


os.register_at_fork(after_in_child=_after_fork)
atexit.register(close_zygote)
