"""The judge's side of the zygote: start it once per process, have it fork and reap workers.

One zygote without numpy and, if a policy asks for it, one with; both are shared by every jail of
the process and by no other: a process forked from this one starts its own.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import errno
import importlib.util
import itertools
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from gco_agent.core.errors import JailError
from gco_agent.jail import wire

_START_SECONDS = 60.0
_END_SECONDS = 2.0
_ADDR_NO_RANDOMIZE = 0x0040000
_PERSONALITY_NOW = 0xFFFFFFFF
_PASSED_ON = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")
"""The only variables a zygote gets from the judge's environment: to find its own libraries."""


class Zygote:
    """A running zygote, as the judge sees it.

    Orders and answers are numbered: Ctrl-C may fall between the two, and then the answer that
    comes first belongs to a call that nobody waits for any more.
    """

    def __init__(self, *, with_numpy: bool) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._forks: set[int] = set()
        self._control, theirs = socket.socketpair()
        self._control.settimeout(_START_SECONDS)
        with theirs, tempfile.TemporaryFile() as log:
            try:
                self.pid = _spawn(
                    theirs.fileno(), log.fileno(), numpy_parent(with_numpy=with_numpy)
                )
            except BaseException:
                self._control.close()
                raise
            theirs.close()
            if self._receive(len(wire.READY)) != wire.READY:
                self.close()
                log.seek(0)
                said = log.read()[-2000:].decode("utf-8", "replace").strip()
                raise JailError(
                    "the jail's helper process did not start: " + (said or "it said nothing")
                )

    def fork(self, order: wire.Order, fds: Sequence[int]) -> int:
        """Process id of a new worker, which gets ``fds``; they stay open here."""
        with self._lock:
            number = next(self._numbers)
            self._forks.add(number)
            socket.send_fds(self._control, [order._replace(number=number).pack()], fds)
            pid = self._answer(number)
            self._forks.discard(number)
        if pid < 0:
            raise JailError(f"the system starts no further process: {os.strerror(-pid)}")
        return pid

    def reap(self, pid: int) -> int:
        """Wait status of a worker that has ended, or is about to."""
        with self._lock:
            return self._answer(self._send_reap(pid))

    def close(self) -> None:
        """End it, and with it whatever workers it still has."""
        self._control.close()
        end = time.monotonic() + _END_SECONDS
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(self.pid, os.WNOHANG) == (0, 0):
                if time.monotonic() > end:
                    os.kill(self.pid, signal.SIGKILL)
                time.sleep(0.001)

    def forget(self) -> None:
        """In a forked process: let go of what belongs to the parent."""
        self._control.close()

    def _send_reap(self, pid: int) -> int:
        number = next(self._numbers)
        self._control.sendall(wire.Order(wire.REAP, pid=pid, number=number).pack())
        return number

    def _answer(self, wanted: int) -> int:
        """The answer to the order of that number; those of interrupted calls are passed by."""
        while True:
            data = self._receive(wire.ANSWER.size)
            if len(data) < wire.ANSWER.size:
                raise BrokenPipeError(errno.EPIPE, "the zygote has gone")
            number, value = map(int, wire.ANSWER.unpack(data))
            if number == wanted:
                return value
            if number in self._forks:
                self._forks.discard(number)
                if value > 0:  # a worker that nobody knows of; not reaped yet, so the id is its own
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(value, signal.SIGKILL)
                    self._send_reap(value)

    def _receive(self, size: int) -> bytes:
        data = b""
        with contextlib.suppress(ConnectionError, TimeoutError):
            while len(data) < size and (more := self._control.recv(size - len(data))):
                data += more
        return data


_zygotes: dict[bool, Zygote] = {}
_starting = threading.Lock()


def zygote(*, with_numpy: bool) -> Zygote:
    """This process's zygote of that kind, started now if there is none."""
    with _starting:
        if with_numpy not in _zygotes:
            _zygotes[with_numpy] = Zygote(with_numpy=with_numpy)
        return _zygotes[with_numpy]


def fork_worker(order: wire.Order, fds: Sequence[int], *, with_numpy: bool) -> tuple[Zygote, int]:
    """A new worker and its zygote; a zygote that has gone is replaced, once."""
    first = zygote(with_numpy=with_numpy)
    try:
        return first, first.fork(order, fds)
    except OSError:
        discard(first)
    second = zygote(with_numpy=with_numpy)
    try:
        return second, second.fork(order, fds)
    except OSError as error:
        raise JailError(f"the jail's helper process went away twice: {error}") from error


def discard(broken: Zygote) -> None:
    """Forget a zygote that does not answer; the next worker gets a new one."""
    with _starting:
        for kind, known in list(_zygotes.items()):
            if known is broken:
                del _zygotes[kind]
                broken.close()


def close_zygotes() -> None:
    """End every zygote of this process; the next jail starts a new one."""
    with _starting:
        while _zygotes:
            _zygotes.popitem()[1].close()


def _after_fork() -> None:
    global _starting  # noqa: PLW0603 - a lock that another thread held would stay locked here
    _starting = threading.Lock()
    for known in _zygotes.values():
        known.forget()
    _zygotes.clear()


def _spawn(control: int, log: int, numpy_folder: str) -> int:
    """Start the zygote's process: no environment, no descriptors, the same addresses each time."""
    if not sys.executable:
        raise JailError("this Python does not know its own executable, so no jail can be started")
    script = Path(__file__).with_name("zygote.py")
    nothing = os.open(os.devnull, os.O_RDWR)
    actions = [
        (os.POSIX_SPAWN_DUP2, control, 0),
        (os.POSIX_SPAWN_DUP2, nothing, 1),
        (os.POSIX_SPAWN_DUP2, log, 2),
    ]
    arguments = [sys.executable, "-s", "-S", "-B", "-P", str(script), numpy_folder]
    try:
        with _fixed_addresses():
            return os.posix_spawn(
                sys.executable,
                arguments,
                environment(),
                file_actions=actions,
                setsigmask=[],
                setsigdef=[signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP],
            )
    except OSError as error:
        raise JailError(f"the jail's helper process cannot be started: {error}") from error
    finally:
        os.close(nothing)


def environment() -> dict[str, str]:
    """All the variables that a worker starts with: nothing of the judge's but library paths."""
    names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    return {
        **{name: os.environ[name] for name in _PASSED_ON if name in os.environ},
        **dict.fromkeys(names, "1"),
        "LC_ALL": "C.UTF-8",
        "PYTHONHASHSEED": "0",
        "TZ": "UTC",
    }


@contextlib.contextmanager
def _fixed_addresses() -> Iterator[None]:
    """Start programs without address randomization, where the system lets this thread ask.

    What depends on addresses (the order of a set of plain objects) then repeats as well.
    """
    if sys.platform != "linux":
        yield
        return
    personality = ctypes.CDLL(None).personality
    before = personality(_PERSONALITY_NOW)
    if before < 0:
        yield
        return
    personality(before | _ADDR_NO_RANDOMIZE)
    try:
        yield
    finally:
        personality(before)


def numpy_parent(*, with_numpy: bool) -> str:
    """The folder to find numpy in, or nothing."""
    if not with_numpy:
        return ""
    spec = importlib.util.find_spec("numpy")
    if spec is None or spec.origin is None:
        return ""
    return str(Path(spec.origin).parent.parent)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
atexit.register(close_zygotes)
