"""The worker's loop, run here in a thread: what it answers, byte by byte."""

from __future__ import annotations

import builtins
import contextlib
import datetime
import os
import random
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import numpy
import pytest

from gco_agent.jail import seal, wire, worker, zygote
from gco_agent.jail.limits import Layer
from gco_agent.jail.wire import Channel, ObjectRows, Record
from tests.jail.policies import COUNTING, ROWS

PINNED_MODULES = (random, time, datetime, uuid, numpy.random.bit_generator)


@pytest.fixture
def unpinned() -> Iterator[None]:
    """Take every pin out again afterwards."""
    kept = [(module, dict(vars(module))) for module in PINNED_MODULES]
    urandom, bits = os.urandom, numpy.random.get_bit_generator()
    yield
    for module, names in kept:
        vars(module).update(names)
    os.urandom = urandom
    numpy.random.set_bit_generator(bits)
    sys.modules.pop("policy", None)


class Session:
    """A worker in a thread, and the judge's end of its pipes."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def ask(
        self, kind: int, count: int = 0, payload: bytes = b"", *, expect: int = wire.DONE
    ) -> tuple[Sequence[int], list[Record]]:
        """One command and its reply."""
        self._channel.send(kind, count, payload, 5)
        assert self._channel.is_readable(5000)
        return self._channel.receive(expect, count if expect == wire.ACTIONS else 0)


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch, unpinned: None) -> Iterator[Session]:
    channel = Channel()
    monkeypatch.setattr(wire, "COMMAND_FD", channel.worker_reads)
    monkeypatch.setattr(wire, "REPLY_FD", channel.worker_writes)
    monkeypatch.setattr(os, "_exit", _leave_thread)
    served = worker.Worker(wire.Order(wire.FORK, n_actions=6, layers=int(Layer.CHANCE)))
    thread = threading.Thread(target=_serve, args=(served,))
    thread.start()
    yield Session(channel)
    channel.close()
    thread.join()
    channel.close_worker_ends()


def _serve(served: worker.Worker) -> None:
    with contextlib.suppress(SystemExit):
        served.serve()


def _leave_thread(code: int) -> None:
    sys.exit(code)


def test_a_life(session: Session):
    assert session.ask(wire.LOAD, payload=COUNTING.encode()) == ([], [])
    assert session.ask(wire.RESET, 0, bytes(8)) == ([], [])
    assert session.ask(wire.RESET, 1, bytes(8)) == ([], [])
    both = wire.pack_observations([(0, ObjectRows(ROWS, 3)), (1, ObjectRows({}, 3))])
    assert session.ask(wire.ACT, 2, both, expect=wire.ACTIONS) == ([1, 1], [])
    one = wire.pack_observations([(1, {"x": 1})])
    assert session.ask(wire.ACT, 1, one, expect=wire.ACTIONS) == ([2], [])
    large = wire.pack_observations([(1, "x" * 200_000)])
    assert session.ask(wire.ACT, 1, large, expect=wire.ACTIONS) == ([3], [])


def test_command_that_comes_in_pieces_or_not_to_its_end(session: Session):
    pieces = wire.COMMAND.pack(wire.LOAD, 0, 0, len(COUNTING)) + COUNTING.encode()
    for piece in (pieces[:3], pieces[3:20], pieces[20:]):
        os.write(session._channel._commands, piece)
        time.sleep(0.02)
    assert session._channel.receive(wire.DONE, 0) == ([], [])
    os.write(session._channel._commands, pieces[:20])  # and the fixture closes the pipe


def test_arrays_arrive_as_copies(session: Session):
    source = "def act(obs):\n    obs += 1\n    return int(obs.sum())\n"
    session.ask(wire.LOAD, payload=source.encode())
    session.ask(wire.RESET, 0, bytes(8))
    array = numpy.zeros((1, 2), dtype=numpy.int16)
    payload = wire.pack_observations([(0, array)])
    assert session.ask(wire.ACT, 1, payload, expect=wire.ACTIONS) == ([2], [])


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("x = (", "SyntaxError: '(' was never closed\n1\t<module>"),
        ("x = 1", "TypeError: the policy defines neither a class Policy nor a function act(obs)"),
        ("class Policy: pass", "TypeError: class Policy has no method act(self, obs)"),
        ("def f():\n    raise KeyError\nf()", "KeyError\n3\t<module>\n2\tf"),
        ("raise ValueError('a\\nb')", "ValueError: a\\nb\n1\t<module>"),
    ],
)
def test_texts_that_do_not_load(session: Session, source: str, text: str):
    assert session.ask(wire.LOAD, payload=source.encode()) == ([], [(wire.RAISED, 0, text)])


def test_reset_that_raises(session: Session):
    source = "import builtins\nbuiltins.loaded = hasattr(builtins, 'loaded') and 1 / 0\n"
    try:
        assert session.ask(wire.LOAD, payload=(source + "def act(obs): pass").encode()) == ([], [])
        session.ask(wire.RESET, 0, bytes(8))
        _, [record] = session.ask(wire.RESET, 1, bytes(8))
    finally:
        del builtins.loaded  # type: ignore[attr-defined]
    assert record.text.startswith("ZeroDivisionError: division by zero\n2\t<module>")


@pytest.mark.parametrize(
    ("result", "values", "text"),
    [
        ("5", [5], None),
        ("numpy.int32(4)", [4], None),
        ("type('N', (int,), {})(3)", [3], None),
        ("6", [-1], "act returned 6; expected an integer from 0 to 5"),
        ("2**70", [-1], "act returned an integer of 71 bits; expected an integer from 0 to 5"),
        ("False", [-1], "act returned False (bool); expected an integer from 0 to 5"),
        ("b'x' * 99", [-1], "act returned a bytes of length 99; expected an integer from 0 to 5"),
        ("[]", [-1], "act returned an object of type list; expected an integer from 0 to 5"),
        ("1 / 0", [-1], "ZeroDivisionError: division by zero\n2\tact"),
    ],
)
def test_results(session: Session, result: str, values: list[int], text: str | None):
    source = f"def act(obs):\n    import numpy; return {result}\n"
    session.ask(wire.LOAD, payload=source.encode())
    session.ask(wire.RESET, 0, bytes(8))
    got, records = session.ask(
        wire.ACT, 1, wire.pack_observations([(0, ObjectRows({}))]), expect=wire.ACTIONS
    )
    assert got == values
    assert [record.text for record in records] == ([text] if text else [])


def test_description_of_hostile_and_deep_errors():
    class UnprintableError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert worker.describe(UnprintableError()) == "UnprintableError: (its message cannot be shown)"
    names: dict[str, Any] = {}
    exec(compile("def act(n):\n    return act(n)\n", wire.POLICY_FILE, "exec"), names)
    with pytest.raises(RecursionError) as caught:
        names["act"](1)
    assert len(worker.describe(caught.value).split("\n")) == 13


def test_output_is_kept_up_to_its_limit(monkeypatch: pytest.MonkeyPatch):
    for name in ("stdout", "stderr", "stdin", "__stdout__", "__stderr__", "__stdin__"):
        monkeypatch.setattr(sys, name, getattr(sys, name))
    written: list[bytes] = []
    monkeypatch.setattr(os, "write", lambda fd, data: written.append(bytes(data)))
    worker.redirect_output(10)
    shown = sys.stdout
    assert sys.stdin is None
    monkeypatch.undo()
    written.clear()
    monkeypatch.setattr(os, "write", lambda fd, data: written.append(bytes(data)))
    assert [shown.write(part) for part in ("1234", "567\udc80", "89", "lost")] == [4, 4, 2, 4]
    assert b"".join(written) == b"1234567\\ud"


def test_pins_hold_and_lanes_are_apart(unpinned: None):
    worker.install_chance()
    drawn = []
    for _ in range(2):
        first, second = worker.Chance(1), worker.Chance(2)
        first.enter()
        numbers: list[object] = [random.random(), random.Random().random(), numpy.random.rand()]
        second.enter()
        numbers += [os.urandom(3), uuid.uuid1(), uuid.uuid4(), random.SystemRandom().random()]
        numbers += [numpy.random.default_rng().random(), time.time(), time.monotonic_ns()]
        first.enter()
        time.sleep(60)
        numbers += [time.time_ns(), time.perf_counter(), time.strftime("%M"), time.asctime()]
        numbers += [time.gmtime(), time.gmtime(0), time.clock_gettime(0), time.clock_gettime_ns(0)]
        days = [datetime.datetime.now, datetime.datetime.utcnow, datetime.datetime.today]
        numbers += [day() for day in (*days, datetime.date.today)]
        numbers += [time.strftime("%Y", time.gmtime(0))]
        drawn.append(numbers)
    assert drawn[0] == drawn[1]
    assert drawn[0][8] == 1_700_000_000.000001
    with pytest.raises(ValueError, match="non-negative"):
        time.sleep(-1)


def test_preloaded_modules_are_there(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    zygote.preload("/somewhere")
    assert "/somewhere" not in sys.path
    assert set(zygote.STANDARD_LIBRARY) <= set(sys.modules)


def test_refusals_name_what_was_tried():
    with pytest.raises(PermissionError, match=r"does not allow a policy open\('/etc/passwd'\)"):
        seal.refuse_event("open", ("/etc/passwd", "r"))
    with pytest.raises(PermissionError, match=r"a policy os.system\(\)"):
        seal.refuse_event("os.system", (object(),))
    seal.refuse_event("compile", ())
    with pytest.raises(ModuleNotFoundError, match="no module 'ale_py' in the jail") as caught:
        seal.ImportRefused.find_spec("ale_py")
    assert caught.value.name == "ale_py"


def test_audit_hook_closes_the_import_path(monkeypatch: pytest.MonkeyPatch):
    hooks: list[object] = []
    monkeypatch.setattr(sys, "path", ["/somewhere"])
    monkeypatch.setattr(sys, "path_importer_cache", {"/somewhere": None})
    monkeypatch.setattr(sys, "meta_path", [])
    monkeypatch.setattr(sys, "addaudithook", hooks.append)
    seal.install_audit_hook()
    assert (sys.path, sys.path_importer_cache, sys.meta_path) == ([], {}, [seal.ImportRefused])
    assert hooks == [seal.refuse_event]
