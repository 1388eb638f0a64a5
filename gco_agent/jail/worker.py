"""The process that a policy runs in: load, reset, act, and nothing else; runs inside the jail.

The zygote forks it, `seal` closes it, and only then does it ask for the policy's text. What a
policy does here to these functions, to the builtins or to the interpreter harms its own replies at
most: the judge checks every one of them. Catching everything that a policy may raise is the job
of this module.
"""

from __future__ import annotations

import io
import json
import marshal
import os
import sys
from collections.abc import Callable
from types import CodeType, ModuleType
from typing import Any, NoReturn, Protocol

from gco_agent.core.observation import build_observation
from gco_agent.jail import heap, pins, seal, wire
from gco_agent.jail.limits import Layer
from gco_agent.jail.recorder import Watched

_BUFFER_BYTES = 1 << 16
_SHOWN_VALUE = 80
_SHOWN_BITS = 64
_KEPT_FRAMES = 12
_HUGE = 1e300
_PLAIN_TYPES = (str, bytes, float, bool, type(None))
"""Whose repr is the interpreter's own, and can be shown."""

RawRecord = tuple[int, int, str]
"""Kind of text, lane of the message, text: one `wire.RECORD`."""
Build = Callable[[Any, Any], object]
"""Makes an observation of what the judge sent."""


class Output(io.TextIOBase):
    """Standard output of a policy: kept up to a limit, silently dropped beyond it."""

    encoding = "utf-8"

    def __init__(self, limit: int) -> None:
        self._left = limit

    def write(self, text: str, /) -> int:
        """Keep what still fits."""
        if self._left > 0:
            data = text[: self._left].encode("utf-8", "backslashreplace")[: self._left]
            self._left -= len(data)
            os.write(1, data)
        return len(text)

    def writable(self) -> bool:
        """It is."""
        return True

    def fileno(self) -> int:
        """As any standard output."""
        return 1


class Seat:
    """One lane: its own copy of the policy's module, its own chance and clock."""

    __slots__ = ("entropy", "module", "policy")

    def __init__(self, code: CodeType, *, pinned: bool) -> None:
        self.entropy = pins.Entropy() if pinned else None
        self.module = ModuleType("policy")
        self.module.__file__ = wire.POLICY_FILE
        self.enter()
        exec(code, vars(self.module))
        self.policy = self._construct()

    def enter(self) -> None:
        """Make this lane the one that runs."""
        sys.modules["policy"] = self.module
        if self.entropy is not None:
            self.entropy.enter()

    def _construct(self) -> Any:  # noqa: ANN401 - whatever the policy made
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


class Line(Protocol):
    """How a worker and the judge talk: bytes in, bytes out."""

    def read_into(self, view: memoryview, /) -> int:
        """Wait for some bytes; 0 at the end."""

    def write(self, data: bytes, /) -> int:
        """Send some of the bytes; how many."""


class Pipes:
    """The line of a worker that the zygote forked."""

    def read_into(self, view: memoryview, /) -> int:
        """From the command pipe."""
        return os.readv(wire.COMMAND_FD, [view])

    def write(self, data: bytes, /) -> int:
        """To the reply pipe."""
        return os.write(wire.REPLY_FD, data)


class Worker:
    """Answers the judge's commands, one at a time, until the line closes."""

    def __init__(self, line: Line, order: wire.Order, *, pinned: bool) -> None:
        self._line = line
        self._n_actions = order.n_actions
        self._n_floats = order.n_floats
        self._pinned = pinned
        self._seats: list[Any] = [None] * order.n_lanes
        self._running: Seat | None = None
        self._spare: Seat | None = None
        self._code = compile("", wire.POLICY_FILE, "exec")
        self._integers = _numpy_integers()
        self._unpacker = wire.Unpacker()

    def serve(self) -> NoReturn:
        """Read a command, do it, reply; the end of the line is the end of the process."""
        buffer = bytearray(_BUFFER_BYTES)
        view = memoryview(buffer)
        command = wire.COMMAND
        while True:
            got = self._read(view, 0, command.size)
            kind, count, sequence, size = command.unpack_from(view)
            end = command.size + size
            if got < end:
                if end > len(buffer):
                    larger = bytearray(end)
                    larger[:got] = view[:got]
                    buffer, view = larger, memoryview(larger)
                self._read(view[:end], got, end)
            payload = view[command.size : end]
            if kind == wire.ACT:
                self._act(sequence, payload, self._build, [])
            elif kind == wire.ACT_PLAIN:
                self._act(sequence, payload, _parse_plain, [])
            elif kind == wire.RESET:
                send(self._line, wire.DONE, sequence, [], self._reset(count))
            elif kind == wire.WATCH:
                self._record(sequence, payload, self._build)
            elif kind == wire.WATCH_PLAIN:
                self._record(sequence, payload, _parse_plain)
            else:
                send(self._line, wire.DONE, sequence, [], self._load(bytes(payload)))

    def _build(self, rows: dict[str, Any], lives: int) -> object:
        """An observation; a category that comes as bytes is one that stood still."""
        self._unpacker.unpack(rows)
        return build_observation(rows, lives)

    def _read(self, view: memoryview, got: int, wanted: int) -> int:
        """Read until ``wanted`` bytes are there, or more; the end of the line ends the process."""
        while got < wanted:
            more = self._line.read_into(view[got:])
            if more == 0:
                os._exit(0)
            got += more
        return got

    def _load(self, source: bytes) -> list[RawRecord]:
        try:
            text = source.decode("utf-8").removeprefix("\ufeff")
            self._code = compile(text, wire.POLICY_FILE, "exec", dont_inherit=True)
            self._spare = Seat(self._code, pinned=self._pinned)
        except BaseException as error:
            return [(wire.RAISED, 0, describe(error))]
        return []

    def _reset(self, lane: int) -> list[RawRecord]:
        self._seats[lane] = self._running = None
        try:
            seat, self._spare = self._spare, None
            if seat is None:
                seat = Seat(self._code, pinned=self._pinned)
        except BaseException as error:
            return [(wire.RAISED, 0, describe(error))]
        self._seats[lane] = seat
        return []

    def _record(self, sequence: int, payload: memoryview, build: Build) -> None:
        """As `_act`, for one lane, with the calls that its policy makes."""
        [(lane, _, _)] = marshal.loads(payload)  # noqa: S302 - from the judge
        seat = self._seats[lane]
        records: list[RawRecord] = []
        policy, seat.policy = seat.policy, Watched(seat.policy, records, self._integers)
        try:
            self._act(sequence, payload, build, records)
        finally:
            seat.policy = policy

    def _act(
        self, sequence: int, payload: memoryview, build: Build, records: list[RawRecord]
    ) -> None:
        """Ask the policies, and send what they said after ``records``."""
        values: list[Any] = []
        for lane, detail, content in marshal.loads(payload):  # noqa: S302 - from the judge
            try:
                seat = self._seats[lane]
                if seat is not self._running:
                    seat.enter()
                    self._running = seat
                action = seat.policy.act(build(content, detail))
                if type(action) is not int or not 0 <= action < self._n_actions:
                    action = self._checked(action)
            except BadAction as error:
                records.append((wire.BAD_ACTION, len(values), str(error)))
                action = wire.FAILED
            except BaseException as error:
                records.append((wire.RAISED, len(values), describe(error)))
                action = wire.FAILED
            values.append(action)
        if self._n_floats:
            values = self._as_integers(values)
        send(self._line, wire.ACTIONS, sequence, values, records)

    def _as_integers(self, values: list[Any]) -> list[int]:
        """Actions that are numbers, as a reply carries them; zeros for those that failed."""
        failed = (0.0,) * self._n_floats
        numbers = (failed if value == wire.FAILED else value for value in values)
        return [integer for action in numbers for integer in wire.floats_to_integers(action)]

    def _checked_floats(self, action: Any) -> tuple[float, ...]:  # noqa: ANN401 - it can be anything
        """``action`` as plain floats: a list or tuple of numbers, or an array of numpy.

        One number alone will do where an action is one number.
        """
        given = action.tolist() if type(action).__module__ == "numpy" else action
        if self._n_floats == 1 and isinstance(given, int | float):
            given = (given,)
        if isinstance(given, list | tuple) and len(given) == self._n_floats:
            parts = [part.tolist() if type(part).__module__ == "numpy" else part for part in given]
            if all(isinstance(part, int | float) for part in parts):
                numbers = tuple(float(part) for part in parts)
                if all(-_HUGE <= number <= _HUGE for number in numbers):
                    return numbers
        raise BadAction(
            f"act returned {_shown(action)}; expected {self._n_floats} finite numbers in a list"
        )

    def _checked(self, action: Any) -> Any:  # noqa: ANN401 - it can be anything
        """``action`` as a plain integer, if it is one that the environment has.

        Integers of numpy and members of an IntEnum are integers; True and False are not, because
        nobody means action 1 by True. A subclass of int has no say in what its value is.
        """
        if self._n_floats:
            return self._checked_floats(action)
        number: int | None = None
        if isinstance(action, int) and not isinstance(action, bool):
            number = int.__index__(action)
        elif type(action) in self._integers:
            number = int(action)
        if number is not None and 0 <= number < self._n_actions:
            return number
        shown = _shown(action) if number is None else _shown_number(number)
        raise BadAction(
            f"act returned {shown}; expected an integer from 0 to {self._n_actions - 1}"
        )


class BadAction(Exception):  # noqa: N818 - named as the outcome it becomes
    """What `act` returned is no action."""


def live(order: wire.Order, line: Line, parent: int) -> NoReturn:
    """The whole life of a worker: seal, report, serve."""
    pinned = Layer.PINS in Layer(order.layers)
    if pinned:
        heap.settle()
        pins.install()
    served = Worker(line, order, pinned=pinned)
    redirect_output(order.output_bytes)
    try:
        report = seal.close(order, parent)
    except BaseException as error:
        send(line, wire.REPORT, 0, [], [(wire.RAISED, 0, describe(error))])
        raise
    send(line, wire.REPORT, 0, [], [(wire.SEAL_REPORT, 0, json.dumps(report))])
    served.serve()


def send(line: Line, kind: int, sequence: int, values: list[int], records: list[RawRecord]) -> None:
    """Write one reply; what does not fit into its text is cut."""
    count = len(values)
    message = wire.reply(count).pack(kind, len(records), count, sequence, *values)
    for what, lane, text in records:
        most = wire.MAX_CALLS_BYTES if what == wire.CALLS else wire.MAX_TEXT_BYTES
        data = text.encode("utf-8", "backslashreplace")[:most]
        message += wire.RECORD.pack(what, lane, len(data)) + data
    while message:
        message = message[line.write(message) :]


def describe(error: BaseException) -> str:
    """Type and message on the first line, then ``line<tab>function`` of the policy's frames."""
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
    if len(frames) > _KEPT_FRAMES:
        frames = frames[:2] + frames[2 - _KEPT_FRAMES :]
    return "\n".join([summary[:1000].replace("\n", "\\n"), *frames])


def redirect_output(limit: int) -> None:
    """Keep the policy's prints in the file that is standard output; nothing can be read."""
    sys.stdout = sys.stderr = sys.__stdout__ = sys.__stderr__ = Output(limit)  # type: ignore[misc, assignment]
    sys.stdin = sys.__stdin__ = None  # type: ignore[misc]


def _parse_plain(value: Any, form: tuple[str, tuple[int, ...]] | None) -> object:  # noqa: ANN401
    """The inverse of `wire.pack_plain`: the policy's own copy."""
    if form is None:
        return value
    dtype, shape = form
    return sys.modules["numpy"].frombuffer(bytearray(value), dtype).reshape(shape)


def _numpy_integers() -> frozenset[type]:
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return frozenset()
    return frozenset(numpy.dtype(code).type for code in "bhilqpBHILQP")


def _shown(value: object) -> str:
    name = type(value).__name__
    if isinstance(value, str | bytes) and len(value) > _SHOWN_VALUE:
        return f"a {name} of length {len(value)}"
    if type(value) in _PLAIN_TYPES:
        return f"{value!r} ({name})"
    return f"an object of type {name}"


def _shown_number(number: int) -> str:
    bits = number.bit_length()
    return f"{number}" if bits <= _SHOWN_BITS else f"an integer of {bits} bits"
