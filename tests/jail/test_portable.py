"""The jail of systems that cannot fork, tried on one that can."""

from __future__ import annotations

import os
import socket
import sys
import time

import numpy
import pytest

from gco_agent.core.errors import JailError
from gco_agent.core.records import Outcome
from gco_agent.jail.host import Jail, JailLevel, JailLimits, Layer, PolicyFailure
from gco_agent.jail.recording import RecordingJail
from tests.jail.policies import COUNTING, ROWS, STILL, policy

# What such a system has: no layer of the kernel.
LIMITS = JailLimits(step_seconds=0.2, layers=Layer.AUDIT | Layer.PINS)


@pytest.fixture(autouse=True)
def without_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "fork")


def test_it_plays():
    with Jail(COUNTING, n_actions=9, n_lanes=2, limits=LIMITS) as jail:
        assert jail.level is JailLevel.BASIC
        assert "this stops accidents, not attackers" in jail.report.line
        jail.reset(0)
        jail.reset(1)
        assert jail.act([(0, 3, ROWS), (1, 3, ROWS)]) == [1, 1]
        assert jail.act([(1, 3, {f"Category{n}": ROWS["Ball"] * 50 for n in range(100)})]) == [2]


def test_it_records():
    with RecordingJail(COUNTING, n_actions=9, limits=LIMITS) as jail:
        jail.reset(0)
        answer, recording = jail.act_recorded((0, 3, ROWS))
        assert answer == 1
        assert [(call.name, call.output) for call in recording.calls] == [("act", 1)]


def test_failures_are_told():
    source = policy("import numpy\nprint('here')\nreturn open('/etc/passwd')")
    with Jail(source, n_actions=9, limits=LIMITS) as jail:
        jail.reset(0)
        [failure] = jail.act_plain([(0, numpy.zeros(3))])
        assert isinstance(failure, PolicyFailure)
        assert "PermissionError: the jail does not allow a policy open('/etc/passwd')" in str(
            failure
        )
        assert jail.output == "here\n"
    with pytest.raises(JailError, match="level strong is required"):
        Jail(STILL, n_actions=1, limits=LIMITS, require=JailLevel.STRONG).start()


@pytest.mark.parametrize(
    ("body", "outcome"),
    [("while True: pass", Outcome.TIMED_OUT), ("sys.modules['os']._exit(7)", Outcome.DIED)],
)
def test_loops_and_ends(body: str, outcome: Outcome):
    with Jail(policy(body, "import sys"), n_actions=9, limits=LIMITS) as jail:
        jail.reset(0)
        began = time.perf_counter()
        with pytest.raises(PolicyFailure) as caught:
            jail.act([(0, 3, ROWS)])
        assert caught.value.outcome is outcome
        assert time.perf_counter() - began < 5


@pytest.mark.parametrize("said", [bytes(32), bytes(3), b""])
def test_strangers_are_turned_away(monkeypatch: pytest.MonkeyPatch, said: bytes):
    """Somebody else connects first, and says nothing that helps, or nothing for a minute."""
    create_server = socket.create_server
    strangers: list[socket.socket] = []

    def with_stranger(address: tuple[str, int]) -> socket.socket:
        server = create_server(address)
        stranger = socket.create_connection(server.getsockname())
        stranger.sendall(said)
        strangers.append(stranger)
        return server

    monkeypatch.setattr(socket, "create_server", with_stranger)
    began = time.perf_counter()
    with Jail(STILL, n_actions=1, limits=LIMITS) as jail:
        jail.reset(0)
        assert jail.act([(0, 0, {})]) == [0]
    assert time.perf_counter() - began < 20
    strangers.pop().close()


def test_worker_that_does_not_start(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(JailError, match="did not start: it said nothing"):
        Jail(STILL, n_actions=1, limits=LIMITS).start()
