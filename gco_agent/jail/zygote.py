"""Forks workers; a process of its own, run by path: ``python zygote.py NUMPY_FOLDER``.

The judge's process starts it once, with an empty environment and no descriptor but its control
socket (descriptor 0). It stays single-threaded, imports all that policies may use, and forks one
worker for each order: so a worker starts in milliseconds, and can be sealed without one readable
file. It holds no secret and ends when the judge ends, however that happens.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import select
import signal
import socket
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from gco_agent.jail import wire

STANDARD_LIBRARY = (
    *("__future__", "abc", "array", "bisect", "cmath", "collections", "collections.abc"),
    *("contextlib", "copy", "dataclasses", "datetime", "decimal", "enum", "fractions"),
    *("functools", "graphlib", "heapq", "itertools", "json", "math", "numbers", "operator"),
    *("pprint", "random", "re", "secrets", "statistics", "string", "struct", "textwrap", "time"),
    *("traceback", "types", "typing", "uuid", "warnings", "weakref"),
)
"""Modules that a policy may rely on; what they import is there as well."""
_ON_DEMAND = (
    *("_strptime", "encodings.ascii", "encodings.idna", "encodings.latin_1"),
    *("encodings.unicode_escape", "encodings.utf_16", "encodings.utf_8_sig", "stringprep"),
    "unicodedata",
)
"""What those modules, or the interpreter, import only when a certain function is called."""
_NUMPY = (
    *("numpy", "numpy.fft", "numpy.lib.recfunctions", "numpy.lib.stride_tricks", "numpy.linalg"),
    *("numpy.ma", "numpy.polynomial", "numpy.random"),
)
_CONTROL_FD = 0
_MAX_FD = 1 << 20
_MAX_OWN_FD = 256


class Zygote:
    """Carries out the judge's orders, one at a time."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._pid = os.getpid()
        self._workers: set[int] = set()
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        # A process that the judge forked may hold the other end of the control socket, which then
        # stays open when the judge is killed; this descriptor tells all the same.
        with contextlib.suppress(OSError):
            self._judge = os.pidfd_open(os.getppid())
            self._poll.register(self._judge, select.POLLIN)

    def serve(self) -> None:
        """Serve orders until the judge ends."""
        from gco_agent.jail import wire

        while self._control.fileno() in {fd for fd, _ in self._poll.poll()}:
            data, fds, _, _ = socket.recv_fds(self._control, wire.ORDER.size, wire.N_WORKER_FDS)
            if len(data) < wire.ORDER.size:
                return
            order = wire.Order(*wire.ORDER.unpack(data))
            answer = self._reap(order.pid) if order.kind == wire.REAP else self._fork(order, fds)
            self._control.sendall(wire.ANSWER.pack(answer))

    def kill_workers(self) -> None:
        """Kill all workers that are left."""
        for pid in self._workers:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)

    def _fork(self, order: wire.Order, fds: list[int]) -> int:
        from gco_agent.jail import worker

        try:
            pid = os.fork()
        except OSError as error:
            pid = -(error.errno or 1)
        if pid == 0:
            try:
                _take_descriptors(fds)
                worker.run(order, self._pid)
            finally:
                os._exit(70)
        for fd in fds:
            os.close(fd)
        if pid > 0:
            self._workers.add(pid)
        return pid

    def _reap(self, pid: int) -> int:
        self._workers.discard(pid)
        try:
            return os.waitpid(pid, 0)[1]
        except OSError as error:
            return -(error.errno or 1)


def main(numpy_folder: str) -> NoReturn:
    """Prepare and serve."""
    _make_packages()
    from gco_agent.jail import seal, wire, worker  # noqa: F401 - workers are forked with it

    with contextlib.suppress(OSError):
        os.setsid()
    os.closerange(3, _MAX_FD)
    os.chdir("/")
    control = socket.socket(fileno=_CONTROL_FD)
    zygote = Zygote(control)
    preload(numpy_folder)
    seal.hide_memory()
    gc.freeze()
    control.sendall(wire.READY)
    try:
        zygote.serve()
    finally:
        zygote.kill_workers()
        os._exit(0)


def preload(numpy_folder: str) -> None:
    """Import all that a policy can import."""
    sys.path.append(numpy_folder)
    for name in STANDARD_LIBRARY + _ON_DEMAND + _NUMPY:
        importlib.import_module(name)
    sys.path.remove(numpy_folder)


def _take_descriptors(fds: list[int]) -> None:
    """Move command, reply, output and traceback to where a worker expects them; close the rest."""
    import fcntl

    from gco_agent.jail import wire

    command, reply, output, fault = (fcntl.fcntl(fd, fcntl.F_DUPFD, 64) for fd in fds)
    nothing = os.open(os.devnull, os.O_RDONLY)
    moves = ((nothing, 0), (output, 1), (output, 2))
    pipes = ((command, wire.COMMAND_FD), (reply, wire.REPLY_FD), (fault, wire.FAULT_FD))
    for fd, target in (*moves, *pipes):
        os.dup2(fd, target)
    os.closerange(wire.FAULT_FD + 1, _MAX_OWN_FD)


def _make_packages() -> None:
    """Make our modules importable by name without running the packages' own ``__init__``."""
    here = Path(__file__).resolve().parent
    for name, folder in (("", here.parent), (".core", here.parent / "core"), (".jail", here)):
        package = sys.modules["gco_agent" + name] = ModuleType("gco_agent" + name)
        package.__path__ = [str(folder)]


if __name__ == "__main__":
    main(*sys.argv[1:])
