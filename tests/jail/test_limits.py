"""Time, memory, output and the death of everybody involved."""

from __future__ import annotations

import itertools
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from typing import Any

import pytest

from gco_agent.core.records import Outcome
from gco_agent.jail import Jail, JailLimits, Layer, ObjectRows, PolicyFailure, process
from gco_agent.jail.wire import CLOSED
from tests.jail.policies import STILL, policy

QUICK = JailLimits(step_seconds=0.1, start_seconds=0.3)


def failure_of(source: str, limits: JailLimits = QUICK) -> PolicyFailure:
    """How a policy fails that takes its process with it."""
    try:
        with Jail(source, n_actions=2, limits=limits) as jail:
            jail.reset(0, 0)
            for _ in range(50):
                answer = jail.act([(0, ObjectRows({}, 0))])[0]
                if isinstance(answer, PolicyFailure):
                    return answer
    except PolicyFailure as failure:
        return failure
    pytest.fail("it did not fail")


@pytest.mark.parametrize(
    "loop", ["while True: pass", "sum(range(10**12))", "[].sort() or max(iter(int, 1))"]
)
def test_loop_is_killed_promptly_and_its_line_named(loop: str):
    began = time.perf_counter()
    failure = failure_of(f"def helper():\n    {loop}\n\n" + policy("x = 1\nhelper()\nreturn 0"))
    assert failure.outcome is Outcome.TIMED_OUT
    assert failure.lane is None
    assert "line 2, in helper\n    " + loop in failure.detail
    assert "in act\n    helper()" in failure.detail
    assert failure.detail.endswith("TimeoutError: act used more than 0.1 s")
    assert time.perf_counter() - began < 5


def test_loop_at_import_and_at_reset():
    assert "loading used more than 0.3 s" in failure_of("while True: pass\n" + STILL).detail
    source = "import sys\nsys.n = getattr(sys, 'n', 0) + 1\nwhile sys.n == 2: pass\n" + STILL
    with Jail(source, n_actions=2, n_lanes=2, limits=QUICK) as jail:
        jail.reset(0, 0)
        with pytest.raises(PolicyFailure, match="the start of an episode used more than"):
            jail.reset(1, 0)
        with pytest.raises(RuntimeError, match="not running"):
            jail.act([(0, ObjectRows({}, 0))])


def test_sleeping_is_no_excuse():
    source = policy(
        "lock = _thread.allocate_lock()\nlock.acquire()\nlock.acquire()", "import _thread"
    )
    began = time.perf_counter()
    failure = failure_of(source)
    assert failure.outcome is Outcome.TIMED_OUT
    assert "lock.acquire()" in failure.detail
    assert time.perf_counter() - began < 5


@pytest.mark.parametrize(
    "body",
    [
        "sum(range(2 * 10**7))\nreturn 0",
        "_thread.allocate_lock().acquire(1, 0.2); LOCK.acquire(1, 0.2); return 0",
    ],
)
def test_slow_steps_have_a_limit_together(body: str):
    """Each of them is within the limit of a step; working or asleep, they end the episode."""
    source = policy(body, "import _thread\nLOCK = _thread.allocate_lock()\nLOCK.acquire()")
    limits = JailLimits(step_seconds=5, slow_seconds=0.5)
    failure = failure_of(source, limits)
    assert (failure.outcome, failure.lane) == (Outcome.TIMED_OUT, 0)
    assert "more than 0.5 s behind a pace of 0.02 s each" in failure.detail


def test_a_policy_that_is_always_slow_is_turned_down_early():
    """In seconds, whatever is played beside it, and the other lanes go on."""
    source = policy("if obs.lives: sum(range(3 * 10**7))\nreturn 1")
    limits = JailLimits(slow_seconds=1.0)
    with Jail(source, n_actions=2, n_lanes=2, limits=limits) as jail:
        jail.reset(0, 0)
        jail.reset(1, 0)
        n_steps, answers = 0, list[Any]()
        while not any(isinstance(answer, PolicyFailure) for answer in answers):
            answers = jail.act([(0, ObjectRows({}, 1)), (1, ObjectRows({}, 1))])
            n_steps += 1
        assert [answer.lane for answer in answers] == [0, 1]
        slowest = jail.slowest_step_seconds(0)
        assert slowest > 0.05
        assert 1.0 < jail.cpu_seconds(0) < 1.0 + 0.02 * n_steps + 2 * slowest
        jail.reset(1, 0)
        assert jail.act([(1, ObjectRows({}, 0))]) == [1]
        assert jail.slowest_step_seconds(1) < slowest
    assert jail.slowest_step_seconds(0) == slowest


def test_a_long_list_is_turned_down_at_once():
    for n_actions, n_floats in ((2, 0), (0, 2)):
        with Jail(policy("return [0.0] * 10**7"), n_actions=n_actions, n_floats=n_floats) as jail:
            jail.reset(0, 0)
            [failure] = jail.act([(0, None)])
            assert failure.outcome is Outcome.BAD_ACTION
            assert jail.cpu_seconds(0) < 5


def test_a_slow_step_is_made_up_for_by_quick_ones():
    """A planner may think longer now and then."""
    source = policy("if obs.lives: sum(range(3 * 10**6))\nreturn 1")
    with Jail(source, n_actions=2, limits=JailLimits(slow_seconds=0.2)) as jail:
        jail.reset(0, 0)
        for _ in range(10):
            answers = [jail.act([(0, ObjectRows({}, int(n == 0)))])[0] for n in range(20)]
            assert answers == [1] * 20
        assert jail.cpu_seconds(0) > 0.2


def test_quick_steps_do_not_count():
    with Jail(STILL, n_actions=2, limits=JailLimits(slow_seconds=0.0)) as jail:
        jail.reset(0, 0)
        assert [jail.act([(0, ObjectRows({}))]) for _ in range(20)] == [[0]] * 20


@pytest.mark.parametrize("body", ["sum(range(10**6))", "LOCK.acquire(1, 0.02)"])
def test_an_episode_has_a_limit(body: str):
    """Each step is within the limit of a step, and none is slow; working or asleep, they add up."""
    source = policy(
        f"if obs.lives: {body}\nreturn 1",
        "import _thread\nLOCK = _thread.allocate_lock()\nLOCK.acquire()",
    )
    limits = JailLimits(episode_seconds=0.3, layers=Layer.ALL & ~Layer.AUDIT)
    with Jail(source, n_actions=2, n_lanes=2, limits=limits) as jail:
        jail.reset(0, 0)
        jail.reset(1, 0)
        for _ in range(1000):
            [answer] = jail.act([(0, ObjectRows({}, 1))])
            if isinstance(answer, PolicyFailure):
                break
        assert jail.pid is not None
        assert (answer.outcome, answer.lane) == (Outcome.TIMED_OUT, 0)
        assert "the episode used more than 0.3 s" in answer.detail
        assert 0.3 < jail.cpu_seconds(0) < 3
        assert jail.cpu_seconds(1) < 0.3
        assert jail.act([(1, ObjectRows({}, 0))]) == [1]
        jail.reset(0, 0)
        assert jail.act([(0, ObjectRows({}, 1))]) == [1]
    assert jail.cpu_seconds(0) < 0.3


def test_lanes_share_the_time_of_a_step():
    source = policy("if obs.lives: sum(range(10**6))\nreturn 1")
    with Jail(source, n_actions=2, n_lanes=2) as jail:
        jail.reset(0, 0)
        jail.reset(1, 0)
        for _ in range(5):
            jail.act([(lane, ObjectRows({}, 1)) for lane in range(2)])
        assert jail.cpu_seconds(0) == pytest.approx(jail.cpu_seconds(1), rel=0.2)
        assert jail.cpu_seconds(0) > 0.01


class BusyWorker(process.WorkerProcess):
    """A worker on a machine that has other things to do."""

    def __init__(self, used: Iterable[float | None], replies: Iterable[bool]) -> None:
        self.pid, self._used, self._replies = 1, iter(used), iter(replies)
        self.channel = self  # type: ignore[assignment]

    def cpu_seconds(self) -> float | None:
        return next(self._used)

    def is_asleep(self) -> bool:
        return False

    def is_readable(self, milliseconds: float) -> bool:
        del milliseconds
        return next(self._replies)


def test_sleep_itself_costs_nothing():
    with Jail(policy("time.sleep(3600)\nreturn 0", "import time"), n_actions=2) as jail:
        jail.reset(0, 0)
        began = time.perf_counter()
        assert jail.act([(0, ObjectRows({}, 0))]) == [0]
        assert time.perf_counter() - began < 1


def test_worker_that_does_not_get_the_processor_is_not_late():
    """Ten looks pass, and the worker has had less than its limit."""
    worker = BusyWorker((n * 0.009 for n in range(100)), [False] * 10 + [True])
    assert worker._wait_fairly(0.1)


def test_worker_that_used_its_time_is_late():
    assert not BusyWorker([0.0, 0.05, 0.11], [False, False])._wait_fairly(0.1)


def test_process_whose_time_is_unknown_gets_no_more():
    assert not BusyWorker([0.0, None], [False])._wait_fairly(0.1)


def test_worker_that_stops_itself_is_late():
    limits = JailLimits(
        step_seconds=0.1, layers=JailLimits().layers & ~Layer.SECCOMP & ~Layer.AUDIT
    )
    began = time.perf_counter()
    failure = failure_of(policy("os.kill(os.getpid(), 19)\nreturn 0", "import os"), limits)
    assert failure.outcome is Outcome.TIMED_OUT
    assert time.perf_counter() - began < 5


def test_patience_has_an_end(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(process, "_PATIENCE", 2)
    monkeypatch.setattr(time, "monotonic", itertools.count(0.0, 0.05).__next__)
    assert not BusyWorker(itertools.repeat(0.0), itertools.repeat(False))._wait_fairly(0.1)


def test_memory_is_bounded():
    source = policy("self.__dict__.setdefault('kept', []).append(bytearray(1 << 25))\nreturn 0")
    failure = failure_of(source, JailLimits(memory_bytes=1 << 27))
    assert failure.outcome is Outcome.POLICY_RAISED
    assert "MemoryError" in failure.detail


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("os._exit(3)", "it exited with code 3"),
        ("os.abort()", "it was ended by signal 6"),
        ("os.execv('/bin/true', ['true'])", "it made a forbidden system call"),
        ("ctypes.string_at(0)", "it crashed (SIGSEGV)"),
        ("os.write(4, bytes(16)); return 0", "it answered what was not asked"),
    ],
)
def test_death_is_told_with_its_cause(body: str, said: str):
    kernel_only = JailLimits(step_seconds=0.5, layers=JailLimits().layers & ~Layer.AUDIT)
    failure = failure_of(policy(body, "import os, ctypes"), kernel_only)
    assert failure.outcome is Outcome.DIED
    assert said in failure.detail


def test_crash_names_the_line():
    kernel_only = JailLimits(layers=JailLimits().layers & ~Layer.AUDIT)
    failure = failure_of(policy("ctypes.string_at(0)", "import ctypes"), kernel_only)
    assert "in act\n    ctypes.string_at(0)" in failure.detail


def test_whole_life_has_a_limit():
    limits = JailLimits(total_seconds=1, step_seconds=30)
    failure = failure_of(policy("while True: pass"), limits)
    assert failure.outcome is Outcome.DIED


@pytest.mark.parametrize(
    ("status", "why", "said"),
    [
        (-1, "it did not finish its reply", "it did not finish its reply"),
        (signal.SIGKILL, CLOSED, "it was killed, or closed its pipe"),
        (signal.SIGKILL, "it sent more", "it sent more"),
        (signal.SIGXCPU, CLOSED, "it used up the processor time of its whole life"),
        (7 << 8, CLOSED, "it exited with code 7"),
    ],
)
def test_wait_status_in_words(status: int, why: str, said: str):
    assert process.describe_end(status, why) == said


def test_worker_dies_with_the_judge():
    """Also when the judge is killed, also in a loop, and with a fork of the judge alive."""
    code = f"""
import os, signal
from gco_agent.jail import Jail, JailLimits, ObjectRows
from gco_agent.jail import process
jail = Jail({policy("while True: pass")!r}, n_actions=2, limits=JailLimits(step_seconds=600))
jail.start()
jail.reset(0, 0)
if os.fork() == 0:
    signal.pause()
print(jail.pid, process.zygote().pid, flush=True)
jail.act([(0, ObjectRows({{}}, 0))])
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True
    ) as judge:
        assert judge.stdout is not None
        pids = [int(word) for word in judge.stdout.readline().split()]
        descriptors = [os.pidfd_open(pid) for pid in pids]
        try:
            time.sleep(0.2)
            judge.kill()
            for descriptor in descriptors:
                poll = select.poll()
                poll.register(descriptor, select.POLLIN)
                assert poll.poll(60_000), "still alive after a minute"
        finally:
            os.killpg(judge.pid, signal.SIGKILL)
            for descriptor in descriptors:
                os.close(descriptor)
