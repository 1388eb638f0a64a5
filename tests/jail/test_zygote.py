"""The zygote's loop, run here: this process forks a worker and looks after it."""

from __future__ import annotations

import os
import select
import signal
import socket

import pytest

from gco_agent.jail import wire
from gco_agent.jail.limits import Layer
from gco_agent.jail.wire import Channel
from gco_agent.jail.zygote import Zygote
from tests.jail.policies import STILL


def answers(orders: list[tuple[wire.Order, list[int]]]) -> tuple[Zygote, list[int]]:
    """What a zygote answers to those orders, before the judge hangs up."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        zygote = Zygote(theirs)
        for order, fds in orders:
            socket.send_fds(ours, [order.pack()], fds)
        ours.shutdown(socket.SHUT_WR)
        zygote.serve()
        size = wire.ANSWER.size
        data = ours.recv(size * len(orders))
        return zygote, [wire.ANSWER.unpack_from(data, at)[0] for at in range(0, len(data), size)]


def test_worker_is_forked_sealed_and_ended_with_its_pipe():
    channel = Channel()
    output, faults = os.memfd_create("test"), os.memfd_create("test")
    order = wire.Order(
        wire.FORK,
        layers=int(Layer.ALL),
        memory_bytes=1 << 28,
        output_bytes=1000,
        cpu_seconds=60,
    )
    fds = [channel.worker_reads, channel.worker_writes, output, faults]
    _, [pid] = answers([(order, fds)])
    channel.close_worker_ends()
    assert channel.is_readable(10_000)
    _, [record] = channel.receive(wire.REPORT, 0)
    assert record.kind == wire.SEAL_REPORT
    channel.send(wire.LOAD, 0, STILL.encode(), 5)
    assert channel.is_readable(10_000)
    assert channel.receive(wire.DONE, 0) == ([], [])
    channel.close()
    assert os.waitpid(pid, 0)[1] == 0
    for fd in (output, faults):
        os.close(fd)


def test_workers_are_reaped_and_the_last_ones_killed():
    pid = os.fork()
    if pid == 0:
        os._exit(5)
    sleeper = os.fork()
    if sleeper == 0:
        select.poll().poll(60_000)
        os._exit(0)
    zygote, (status, error) = answers(
        [(wire.Order(wire.REAP, pid=pid), []), (wire.Order(wire.REAP, pid=pid), [])]
    )
    assert os.waitstatus_to_exitcode(status) == 5
    assert error < 0
    zygote._workers.update({sleeper, pid})
    zygote.kill_workers()
    assert os.waitpid(sleeper, 0)[1] == signal.SIGKILL


def test_system_that_forks_no_more(monkeypatch: pytest.MonkeyPatch):
    def fork() -> int:
        raise BlockingIOError(11, "no more")

    monkeypatch.setattr(os, "fork", fork)
    _, [error] = answers([(wire.Order(wire.FORK), [])])
    assert error == -11


def test_half_an_order_is_the_end():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(b"half")
        Zygote(theirs).serve()
