"""Forks workers; a process of its own, run by path: ``python zygote.py NUMPY_FOLDER``.

Started once by the judge's process with an empty environment and no descriptor but its control
socket (descriptor 0). It stays single-threaded, imports everything that policies may use, and then
forks one worker for each order, so that a worker costs milliseconds and can be sealed without
leaving one file readable. It holds no secret, and goes when the judge goes, however that ends.
"""

from __future__ import annotations

import contextlib
import gc
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

CONTROL_FD = 0
_HIGHEST_FD = 1 << 20
_HIGHEST_OWN_FD = 256


class Zygote:
    """Takes orders from the judge, one at a time."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._pid = os.getpid()
        self._workers: list[int] = []  # a set would now and then move, which `heap` cannot undo
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        if hasattr(os, "pidfd_open"):
            # A process that the judge forked may hold the other end of the control socket, which
            # then stays open when the judge is killed; this descriptor says so all the same.
            with contextlib.suppress(OSError):
                self._judge = os.pidfd_open(os.getppid())
                self._poll.register(self._judge, select.POLLIN)

    def serve(self) -> None:
        """Serve orders until the judge is gone."""
        from gco_agent.jail import wire

        while self._control_is_readable():
            data, fds, _, _ = socket.recv_fds(self._control, wire.ORDER.size, wire.N_WORKER_FDS)
            if len(data) < wire.ORDER.size:
                return
            order = wire.parse_order(data)
            answer = self._reap(order.pid) if order.kind == wire.REAP else self._fork(order, fds)
            self._control.sendall(wire.ANSWER.pack(order.number, answer))
            del data, fds, order
            gc.collect()  # or what is kept for use again would grow from order to order

    def kill_workers(self) -> None:
        """Leave no worker behind."""
        for pid in self._workers:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)

    def _control_is_readable(self) -> bool:
        ready = {fd for fd, _ in self._poll.poll()}
        return self._control.fileno() in ready

    def _fork(self, order: wire.Order, fds: list[int]) -> int:
        try:
            pid = os.fork()
        except OSError as error:
            pid = -(error.errno or 1)
        if pid == 0:
            try:
                _become_worker(order, fds, self._pid)
            finally:
                os._exit(70)
        for fd in fds:
            os.close(fd)
        if pid > 0:
            self._workers.append(pid)
        return pid

    def _reap(self, pid: int) -> int:
        if pid in self._workers:
            self._workers.remove(pid)
        try:
            return os.waitpid(pid, 0)[1]
        except OSError as error:
            return -(error.errno or 1)


def main(numpy_parent: str, port: str = "", order: str = "") -> NoReturn:
    """Get ready, then serve; with a port and an order, be a single worker without a zygote."""
    _make_packages()
    from gco_agent.jail import heap, preload, seal, wire

    if port:
        from gco_agent.jail import portable_worker

        portable_worker.run(numpy_parent, int(port), wire.parse_order(bytes.fromhex(order)))
    with contextlib.suppress(OSError):
        os.setsid()
    os.closerange(3, _HIGHEST_FD)
    os.chdir("/")
    control = socket.socket(fileno=CONTROL_FD)
    zygote = Zygote(control)
    preload.preload(numpy_parent)
    seal.prepare()
    heap.settle()  # most holes are of the imports; what is left to each worker costs a millisecond
    gc.freeze()
    control.sendall(wire.READY)
    try:
        zygote.serve()
    finally:
        zygote.kill_workers()
        os._exit(0)


def _become_worker(order: wire.Order, fds: list[int], zygote: int) -> NoReturn:
    """In the child: take the descriptors, seal, report, serve."""
    from gco_agent.jail import wire as w
    from gco_agent.jail import worker

    _take_descriptors(fds, w.COMMAND_FD)
    worker.live(order, worker.Pipes(), zygote)


def _take_descriptors(fds: list[int], first: int) -> None:
    """Put command, reply, output and traceback where a worker expects them; close the rest."""
    import fcntl

    command, reply, output, fault = (fcntl.fcntl(fd, fcntl.F_DUPFD, 64) for fd in fds)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    for fd, target in ((output, 1), (output, 2), (command, first), (reply, first + 1)):
        os.dup2(fd, target)
    os.dup2(fault, first + 2)
    os.closerange(first + 3, _HIGHEST_OWN_FD)


def _make_packages() -> None:
    """Make our modules importable by name without running the packages' own ``__init__``."""
    here = Path(__file__).resolve().parent
    ours = {
        "gco_agent": here.parent,
        "gco_agent.core": here.parent / "core",
        "gco_agent.jail": here,
    }
    for name, folder in ours.items():
        package = ModuleType(name)
        package.__path__ = [str(folder)]
        sys.modules[name] = package


if __name__ == "__main__":
    main(*sys.argv[1:])
