"""The zygote: started once, replaced when it dies, refused with a reason."""

from __future__ import annotations

import fcntl
import os
import signal
import sys
from pathlib import Path

import pytest

from gco_agent.core.errors import JailError
from gco_agent.core.records import Outcome
from gco_agent.jail import Jail, JailLimits, Layer, ObjectRows, PolicyFailure, process, wire
from gco_agent.jail.wire import Channel, Gone, Record
from tests.jail.policies import STILL, answer, policy


def pid_of_zygote() -> int:
    return process.zygote().pid


def play_on(jail: Jail) -> None:
    for _ in range(1000):
        jail.act([(0, ObjectRows({}, 0))])


def test_one_zygote_serves_many_jails():
    before = pid_of_zygote()
    for _ in range(3):
        with Jail(STILL, n_actions=1):
            assert pid_of_zygote() == before


def test_zygote_that_died_is_replaced():
    before = pid_of_zygote()
    with Jail(STILL, n_actions=1) as jail:
        jail.reset(0, 0)
        os.kill(before, signal.SIGKILL)
        with pytest.raises(PolicyFailure) as caught:
            play_on(jail)
        assert caught.value.outcome is Outcome.DIED
    with Jail(STILL, n_actions=1):
        assert pid_of_zygote() != before


def test_closed_zygotes_start_again():
    before = pid_of_zygote()
    process.close_zygote()
    assert pid_of_zygote() != before


def test_addresses_cannot_be_foreseen():
    """A process that may hold hostile code keeps the randomization of its address space."""
    told = set()
    for _ in range(3):
        process.close_zygote()
        failure = answer(policy("raise ValueError(id(obs))"))
        assert isinstance(failure, PolicyFailure)
        told.add(failure.detail.rpartition("ValueError: ")[2])
    assert len(told) == 3


def test_zygote_that_is_killed_twice_is_an_error(monkeypatch: pytest.MonkeyPatch):
    def die(self: process.ZygoteClient, order: wire.Order, fds: list[int]) -> int:
        raise BrokenPipeError("gone")

    monkeypatch.setattr(process.ZygoteClient, "fork", die)
    before = len(list(Path("/proc/self/fd").iterdir()))
    jail = Jail(STILL, n_actions=1)
    with pytest.raises(JailError, match="ended twice"):
        jail.start()
    process.close_zygote()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


def test_zygote_that_does_not_start_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    with pytest.raises(JailError, match="cannot be started"):
        process.ZygoteClient()
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(JailError, match="did not start: no message"):
        process.ZygoteClient()
    talker = tmp_path / "python"
    talker.write_text("#!/bin/sh\necho no such thing >&2\n")
    talker.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(talker))
    with pytest.raises(JailError, match="did not start: no such thing"):
        process.ZygoteClient()
    monkeypatch.setattr(sys, "executable", "")
    with pytest.raises(JailError, match="does not know its own executable"):
        process.ZygoteClient()


def test_zygote_that_hangs_is_killed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    sleeper = tmp_path / "python"
    sleeper.write_text("#!/bin/sh\nexec sleep 60\n")
    sleeper.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(sleeper))
    monkeypatch.setattr(process, "_START_SECONDS", 0.1)
    monkeypatch.setattr(process, "_END_SECONDS", 0.1)
    with pytest.raises(JailError, match="did not start"):
        process.ZygoteClient()


def interrupt_before_the_answer(
    monkeypatch: pytest.MonkeyPatch, zygote: process.ZygoteClient
) -> None:
    """As if Ctrl-C fell between an order and its answer."""

    def receive(size: int) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr(zygote, "_receive", receive)


def test_an_interrupted_order_leaves_no_worker_and_mixes_up_no_later_answer(
    monkeypatch: pytest.MonkeyPatch,
):
    for is_started in (False, True):
        zygote = process.zygote()
        jail = Jail(STILL, n_actions=1)
        if is_started:
            jail.start()
        interrupt_before_the_answer(monkeypatch, zygote)
        with pytest.raises(KeyboardInterrupt):
            jail.close() if is_started else jail.start()
        with pytest.raises(ProcessLookupError):
            os.kill(zygote.pid, 0)
        with Jail(STILL, n_actions=1) as first, Jail(STILL, n_actions=1) as second:
            for each in (first, second):
                each.reset(0, 0)
                assert each.act([(0, ObjectRows({}, 0))]) == [0]
            assert first.pid != second.pid


def test_system_that_forks_no_more(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(process.ZygoteClient, "_ask", lambda self, order, fds: -11)
    with pytest.raises(JailError, match="starts no further process: Resource temporarily"):
        process.zygote().fork(wire.Order(wire.REAP), [])
    monkeypatch.undo()
    process.close_zygote()


def test_descriptors_that_would_be_inherited_are_closed():
    """Also far ones: a filter that refuses to read from them does not refuse to map them."""
    kept = os.open(os.devnull, os.O_RDONLY)
    far = fcntl.fcntl(kept, fcntl.F_DUPFD, 700)
    source = policy(
        "try:\n    return int(os.fstat(obs.lives).st_dev * 0 + 1)\nexcept OSError:\n    return 0",
        "import os",
    )
    process.close_zygote()
    with Jail(source, n_actions=2, limits=JailLimits(layers=Layer.CHANCE)) as jail:
        jail.reset(0, 0)
        assert jail.act([(0, ObjectRows({}, 1))]) == [1]
        assert jail.act([(0, ObjectRows({}, far))]) == [0]
    os.close(far)
    os.close(kept)


def test_environment_of_a_zygote_holds_nothing_of_ours(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-fake")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/somewhere")
    environment = process.environment()
    assert environment["PYTHONHASHSEED"] == "0"
    assert environment["LD_LIBRARY_PATH"] == "/somewhere"
    assert not {"ANTHROPIC_API_KEY", "HOME", "PATH", "PYTHONPATH", "USER"} & set(environment)


def test_worker_that_cannot_be_sealed_is_an_error(monkeypatch: pytest.MonkeyPatch):
    answers: list[tuple[list[int], list[Record]]] = [
        ([], []),
        ([], [Record(wire.RAISED, 0, "no seal")]),
    ]
    replies = iter(answers)
    monkeypatch.setattr(Channel, "receive", lambda self, kind, count: next(replies))
    for said in ("gave no reason", "no seal"):
        with pytest.raises(JailError, match=said):
            process.WorkerProcess(wire.Order(wire.FORK))

    def gone(self: Channel, kind: int, count: int) -> None:
        raise Gone("its pipe is closed")

    monkeypatch.setattr(Channel, "receive", gone)
    with pytest.raises(JailError, match="ended before it was sealed"):
        process.WorkerProcess(wire.Order(wire.FORK))
    monkeypatch.setattr(process, "_SEAL_SECONDS", 0)
    monkeypatch.setattr(Channel, "is_readable", lambda self, milliseconds: False)
    with pytest.raises(JailError, match="was not ready after 0 s"):
        process.WorkerProcess(wire.Order(wire.FORK))
