"""The process that a policy runs in: load, reset, act; runs inside the jail.

The zygote forks it, `seal` closes it, and only then does it ask for the policy's text. If a policy
changes these functions, the builtins or the interpreter, it harms only its own replies: the judge
checks every one of them. This module catches everything that a policy may raise.

The random numbers and clock readings of an honest policy depend on the seed of its episode and on
its earlier calls in that episode, never on the machine, the day or the lanes beside it. (A policy
can take real entropy from its own memory; that costs only the repeatability of its own score.)
Seeded: `random` and `numpy.random`, generators made without a seed (Random, SystemRandom,
default_rng, RandomState, bit generators), os.urandom and what is built on it (secrets, uuid).
Clocks: those of `time`, and now() and today() of `datetime`. Sleep takes no time: it moves the
clock. Every reading of the clock takes a microsecond.
"""

from __future__ import annotations

import datetime
import io
import json
import marshal
import os
import random
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from types import CodeType, ModuleType
from typing import Any, NoReturn, TypeAlias

from gco_agent.core.observation import build_observation
from gco_agent.jail import seal, wire
from gco_agent.jail.limits import Layer
from gco_agent.jail.recorder import Watched

EPOCH_NS = 1_700_000_000 * 1_000_000_000
"""`time.time` at the start of an episode: 14 November 2023."""
TICK_NS = 1_000
_SECONDS = ("monotonic", "perf_counter", "process_time", "thread_time")
_BUFFER_BYTES = 1 << 16
_MAX_SHOWN = 80
_MAX_SHOWN_BITS = 64
_MAX_FRAMES = 12
_HUGE = 1e300
_TWO = 2
_PLAIN_TYPES = (str, bytes, float, bool, type(None))
"""Types whose repr is the interpreter's own."""

RawRecord: TypeAlias = tuple[int, int, str]
"""Kind of text, position of the lane in the message, text."""
Value: TypeAlias = Any


class BadAction(Exception):  # noqa: N818 - named as the outcome it becomes
    """What `act` returned is not an action."""


class Output(io.TextIOBase):
    """Standard output of a policy: kept up to a limit, dropped beyond it."""

    encoding = "utf-8"

    def __init__(self, limit: int) -> None:
        self._left = limit

    def write(self, text: str, /) -> int:
        """Write what still fits."""
        if self._left > 0:
            data = text[: self._left].encode("utf-8", "backslashreplace")[: self._left]
            self._left -= len(data)
            os.write(1, data)
        return len(text)


class SeededRandom(random.Random):
    """`random.Random` whose default seed is drawn from the lane's chance."""

    def seed(self, a: Any = None, version: int = 2) -> None:  # noqa: ANN401 - as the base class
        """Seed the generator."""
        super().seed(_now.source.getrandbits(64) if a is None else a, version)


class Chance:
    """The random numbers and the clock of one lane.

    Attributes:
        clock_ns: Nanoseconds since 1970, as the lane's clock shows them.
        source: Where default seeds come from.
        random: The generator behind the functions of `random`.
        numpy: The one behind the functions of `numpy.random`.
    """

    __slots__ = ("clock_ns", "numpy", "random", "source")

    def __init__(self, seed: int) -> None:
        from numpy.random import MT19937, RandomState

        self.source, self.random = random.Random(0), SeededRandom(0)  # noqa: S311 - not for secrets
        self.numpy = RandomState(MT19937(0))  # RandomState(0) would draw from the current lane
        self.seed(seed)

    def seed(self, seed: int) -> None:
        """Start over from ``seed``."""
        self.clock_ns = EPOCH_NS
        self.source.seed(seed)
        self.random.seed(self.source.getrandbits(64))
        self.numpy.seed(self.source.getrandbits(32))

    def enter(self) -> None:
        """Make this the chance and the clock of the interpreter."""
        global _now  # noqa: PLW0603 - there is one current lane, and every function reads it
        _now = self
        random._inst = self.random  # noqa: SLF001

    def state(self) -> tuple[object, ...]:
        """Return all that changes with use."""
        numpy_state: Any = self.numpy.get_state()
        _, key, *rest = numpy_state
        return self.clock_ns, self.source.getstate(), self.random.getstate(), bytes(key), rest


_now: Chance
"""That of the lane that runs."""


def install_chance() -> None:
    """Replace the real random numbers and clocks, for the rest of the process."""
    import numpy

    _replace_functions(random, random._inst, "random")  # noqa: SLF001
    _replace_functions(numpy.random, numpy.random.mtrand._rand, "numpy")  # noqa: SLF001
    random.Random = SeededRandom  # type: ignore[misc]
    os.urandom = random._urandom = _draw_bytes  # type: ignore[attr-defined]  # noqa: SLF001
    uuid.uuid1 = lambda *_: uuid.UUID(bytes=_draw_bytes(16), version=1)
    sys.modules["numpy.random.bit_generator"].randbits = _draw_bits  # type: ignore[attr-defined]
    Chance(0).enter()
    _install_clocks()
    _install_dates()


def _replace_functions(module: ModuleType, shared: object, attribute: str) -> None:
    """Have the functions that belong to a module's shared generator draw from the current lane."""
    for name, value in list(vars(module).items()):
        if getattr(value, "__self__", None) is shared:
            setattr(module, name, _lane_function(attribute, name, value))


def _lane_function(attribute: str, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    def draw(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - those of the method
        return getattr(getattr(_now, attribute), name)(*args, **kwargs)

    draw.__name__ = draw.__qualname__ = name
    draw.__module__, draw.__doc__ = real.__module__, real.__doc__
    return draw


def _draw_bytes(n: int) -> bytes:
    return _now.source.randbytes(n)


def _draw_bits(n: int) -> int:
    return _now.source.getrandbits(n)


def _tick() -> int:
    _now.clock_ns += TICK_NS
    return _now.clock_ns


def _seconds() -> float:
    return _tick() / 1e9


def _sleep(seconds: float, /) -> None:
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    _now.clock_ns += int(seconds * 1e9)


def _install_clocks() -> None:
    def span_ns() -> int:
        return _tick() - EPOCH_NS

    def at_lane_time(function: Callable[[float], Any]) -> Callable[..., Any]:
        return lambda seconds=None: function(_seconds() if seconds is None else seconds)

    replaced: dict[str, Callable[..., Any]] = {"time": _seconds, "time_ns": _tick, "sleep": _sleep}
    replaced |= dict.fromkeys(_SECONDS, lambda: span_ns() / 1e9)
    replaced |= {f"{name}_ns": span_ns for name in _SECONDS}
    replaced["clock_gettime"] = lambda _clock: _seconds()
    replaced["clock_gettime_ns"] = lambda _clock: _tick()
    replaced |= {n: at_lane_time(getattr(time, n)) for n in ("localtime", "gmtime", "ctime")}
    strftime, asctime, local = time.strftime, time.asctime, replaced["localtime"]
    replaced["strftime"] = lambda form, t=None: strftime(form, local() if t is None else t)
    replaced["asctime"] = lambda t=None: asctime(local() if t is None else t)
    vars(time).update(replaced)


def _install_dates() -> None:
    class LaneDatetime(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Any:  # noqa: ANN401 - of cls
            return cls.fromtimestamp(_seconds(), tz)

        @classmethod
        def today(cls) -> Any:  # noqa: ANN401 - of cls
            return cls.now()

        @classmethod
        def utcnow(cls) -> Any:  # noqa: ANN401 - of cls
            return cls.now(datetime.timezone.utc).replace(tzinfo=None)  # noqa: UP017 - of the class that is being replaced

    class LaneDate(datetime.date):
        @classmethod
        def today(cls) -> Any:  # noqa: ANN401 - of cls
            return cls.fromtimestamp(_seconds())

    for replaced in (LaneDatetime, LaneDate):
        real: type = replaced.__mro__[1]
        replaced.__name__ = replaced.__qualname__ = real.__name__
        replaced.__module__ = real.__module__
        setattr(datetime, real.__name__, replaced)


class Lane:
    """One lane: its own copy of the policy's module, its own chance and clock."""

    __slots__ = ("chance", "module", "policy")

    def __init__(self, code: CodeType, seed: int, *, is_seeded: bool) -> None:
        self.chance = Chance(seed) if is_seeded else None
        self.module = ModuleType("policy")
        self.module.__file__ = wire.POLICY_FILE
        self.enter()
        exec(code, vars(self.module))
        self.policy = self._construct()

    def enter(self) -> None:
        """Make this lane the one that runs."""
        sys.modules["policy"] = self.module
        if self.chance is not None:
            self.chance.enter()

    def begin(self, seed: int) -> bool:
        """Seed a lane of seed 0 that has not acted; return False if it used its chance or clock."""
        if self.chance is not None:
            if self.chance.state() != Chance(0).state():
                return False
            self.chance.seed(seed)
        return True

    def _construct(self) -> Value:
        names = vars(self.module)
        make = names.get("Policy")
        if make is not None:
            policy = make()
            if callable(getattr(policy, "act", None)):
                return policy
            raise TypeError("class Policy has no method act(self, obs)")
        if callable(names.get("act")):
            return self.module
        raise TypeError("the policy defines neither a class Policy nor a function act(obs)")


class Worker:
    """Answers the judge's commands, one at a time, until the pipe closes."""

    def __init__(self, order: wire.Order) -> None:
        import numpy

        self._n_actions, self._n_floats = order.n_actions, order.n_floats
        self._is_seeded = Layer.CHANCE in Layer(order.layers)
        self._lanes: dict[int, Any] = {}
        self._running: Lane | None = None
        self._spare: Lane | None = None
        self._code = compile("", wire.POLICY_FILE, "exec")
        self._unpacker = wire.Unpacker()
        self._array, self._integers = numpy.ndarray, (numpy.integer, numpy.bool_)
        self._of_numpy = (numpy.ndarray, numpy.generic)

    def serve(self) -> NoReturn:
        """Carry out commands; the end of the pipe ends the process."""
        buffer = bytearray(_BUFFER_BYTES)
        view = memoryview(buffer)
        command = wire.COMMAND
        while True:
            got = self._read(view, 0, command.size)
            kind, index, number, size = command.unpack_from(view)
            end = command.size + size
            if got < end:
                if end > len(buffer):
                    larger = bytearray(end)
                    larger[:got] = view[:got]
                    buffer, view = larger, memoryview(larger)
                self._read(view[:end], got, end)
            payload = view[command.size : end]
            if kind == wire.ACT:
                self._act(number, payload, [])
            elif kind == wire.WATCH:
                self._watch(number, payload)
            elif kind == wire.RESET:
                send(wire.DONE, number, [], self._reset(index, *wire.SEED.unpack(payload)))
            else:
                send(wire.DONE, number, [], self._load(bytes(payload)))

    def _read(self, view: memoryview, got: int, wanted: int) -> int:
        """Read until ``wanted`` bytes are there, or more."""
        while got < wanted:
            more = os.readv(wire.COMMAND_FD, [view[got:]])
            if more == 0:
                os._exit(0)
            got += more
        return got

    def _load(self, source: bytes) -> list[RawRecord]:
        try:
            text = source.decode("utf-8").removeprefix("\ufeff")
            self._code = compile(text, wire.POLICY_FILE, "exec", dont_inherit=True)
            self._spare = Lane(self._code, 0, is_seeded=self._is_seeded)
        except BaseException as error:
            return [(wire.RAISED, 0, describe(error))]
        return []

    def _reset(self, index: int, seed: int) -> list[RawRecord]:
        self._lanes.pop(index, None)
        self._running = None
        try:
            lane, self._spare = self._spare, None
            if lane is None or not lane.begin(seed):
                lane = Lane(self._code, seed, is_seeded=self._is_seeded)
        except BaseException as error:
            return [(wire.RAISED, 0, describe(error))]
        self._lanes[index] = lane
        return []

    def _watch(self, number: int, payload: memoryview) -> None:
        """Act in one lane, and report the calls that its policy makes."""
        [(index, _, _)] = marshal.loads(payload)  # noqa: S302 - from the judge
        lane = self._lanes[index]
        records: list[RawRecord] = []
        policy, lane.policy = lane.policy, Watched(lane.policy, records)
        try:
            self._act(number, payload, records)
        finally:
            lane.policy = policy

    def _act(self, number: int, payload: memoryview, records: list[RawRecord]) -> None:
        """Ask the policies, and send their actions after ``records``."""
        values: list[Any] = []
        for index, form, content in marshal.loads(payload):  # noqa: S302 - from the judge
            try:
                lane = self._lanes[index]
                if lane is not self._running:
                    lane.enter()
                    self._running = lane
                if form.__class__ is int:
                    self._unpacker.unpack(content)
                    action = lane.policy.act(build_observation(content, form))
                else:
                    action = lane.policy.act(wire.unpack_observation(form, content))
                if type(action) is not int or not 0 <= action < self._n_actions:
                    action = self._check(action)
            except BadAction as error:
                records.append((wire.BAD_ACTION, len(values), str(error)))
                action = wire.FAILED
            except BaseException as error:
                records.append((wire.RAISED, len(values), describe(error)))
                action = wire.FAILED
            values.append(action)
        if self._n_floats:
            failed = (0.0,) * self._n_floats
            values = [x for action in values for x in (failed if action == wire.FAILED else action)]
        send(
            wire.ACTIONS, number, values, records, wire.DOUBLES if self._n_floats else wire.INTEGERS
        )

    def _check(self, action: Value) -> Any:  # noqa: ANN401 - an integer or a tuple
        """Return an action as a plain integer, or as a tuple of floats.

        Integers of Python and numpy are integers, and so are members of an IntEnum, booleans of
        numpy, and arrays of one such element. True and False are actions only if there are two. A
        subclass of int does not decide about its own value.
        """
        if self._n_floats:
            return self._check_floats(action)
        given: Any = action
        number: int | None = None
        if isinstance(given, self._array) and given.size == 1:
            given = given.reshape(-1)[0]
        if isinstance(given, int) and (type(given) is not bool or self._n_actions == _TWO):
            number = int.__index__(given)
        elif isinstance(given, self._integers):
            number = int(given)
        if number is not None and 0 <= number < self._n_actions:
            return number
        raise BadAction(
            f"act returned {_show(action if number is None else number)}; "
            f"expected an integer from 0 to {self._n_actions - 1}"
        )

    def _check_floats(self, action: Value) -> tuple[float, ...]:
        """Return the floats of a list, tuple or array.

        Where there is one, a number of Python or numpy will do, and an array of one, of any shape.
        """
        n = self._n_floats
        given: Any = action
        if isinstance(given, self._of_numpy) and given.size <= n:
            given = given.reshape(-1).tolist() if given.size == 1 else given.tolist()
        if n == 1 and isinstance(given, int | float):
            given = (given,)
        if isinstance(given, list | tuple) and len(given) == n:
            parts = [part.tolist() if type(part).__module__ == "numpy" else part for part in given]
            if all(isinstance(part, int | float) for part in parts):
                floats = tuple(float(part) for part in parts)
                if all(-_HUGE <= number <= _HUGE for number in floats):
                    return floats
        raise BadAction(f"act returned {_show(action)}; expected {n} finite numbers in a list")


def run(order: wire.Order, zygote: int) -> NoReturn:
    """Live as a worker: seal, report, serve."""
    if Layer.CHANCE in Layer(order.layers):
        install_chance()
    worker = Worker(order)
    redirect_output(order.output_bytes)
    try:
        report = seal.close(order, zygote)
    except BaseException as error:
        send(wire.REPORT, 0, [], [(wire.RAISED, 0, describe(error))])
        raise
    send(wire.REPORT, 0, [], [(wire.SEAL_REPORT, 0, json.dumps(report))])
    worker.serve()


def send(
    kind: int,
    number: int,
    values: Sequence[Any],
    records: list[RawRecord],
    values_kind: str = wire.INTEGERS,
) -> None:
    """Write one reply; texts are cut to their limit."""
    n_values = len(values)
    form = wire.reply_form(n_values, values_kind)
    message = form.pack(kind, len(records), n_values, number, *values)
    for what, lane, text in records:
        limit = wire.MAX_CALLS_BYTES if what == wire.CALLS else wire.MAX_TEXT_BYTES
        data = text.encode("utf-8", "backslashreplace")[:limit]
        message += wire.RECORD.pack(what, lane, len(data)) + data
    while message:
        message = message[os.write(wire.REPLY_FD, message) :]


def describe(error: BaseException) -> str:
    """Return type and message on the first line, then ``line<tab>function`` of policy frames."""
    frames: list[str] = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if code.co_filename == wire.POLICY_FILE:
            frames.append(f"{trace.tb_lineno}\t{code.co_name}")
        trace = trace.tb_next
    if isinstance(error, SyntaxError) and error.filename == wire.POLICY_FILE:
        message = str(error.msg)
        frames.append(f"{error.lineno}\t<module>")
    else:
        try:
            message = str(error)
        except BaseException:
            message = "(its message cannot be shown)"
    summary = f"{type(error).__name__}: {message}" if message else type(error).__name__
    if len(frames) > _MAX_FRAMES:
        frames = frames[:2] + frames[2 - _MAX_FRAMES :]
    return "\n".join([summary[:1000].replace("\n", "\\n"), *frames])


def redirect_output(limit: int) -> None:
    """Keep the policy's prints in the file that is standard output; nothing can be read."""
    sys.stdout = sys.stderr = sys.__stdout__ = sys.__stderr__ = Output(limit)  # type: ignore[misc, assignment]
    sys.stdin = sys.__stdin__ = None  # type: ignore[misc]


def _show(value: object) -> str:
    name = type(value).__name__
    if type(value) is int:
        bits = value.bit_length()
        return f"{value}" if bits <= _MAX_SHOWN_BITS else f"an integer of {bits} bits"
    if isinstance(value, str | bytes) and len(value) > _MAX_SHOWN:
        return f"a {name} of length {len(value)}"
    if type(value) in _PLAIN_TYPES:
        return f"{value!r} ({name})"
    return f"an object of type {name}"
