"""The process that a policy runs in: load, reset, act; runs inside the jail.

The zygote forks it, `seal` closes it, and only then does it ask for the policy's text. Whatever a
policy does to these functions, to the builtins or to the interpreter harms its own replies at most:
the judge checks every one of them. This module catches everything that a policy may raise.
"""

from __future__ import annotations

import io
import json
import marshal
import os
import sys
from collections.abc import Sequence
from types import CodeType, ModuleType
from typing import Any, NoReturn

from gco_agent.core.observation import build_observation
from gco_agent.jail import chance, seal, wire
from gco_agent.jail.limits import Layer
from gco_agent.jail.recorder import Watched

_BUFFER_BYTES = 1 << 16
_MAX_SHOWN = 80
_MAX_SHOWN_BITS = 64
_MAX_FRAMES = 12
_HUGE = 1e300
_TWO = 2
_PLAIN_TYPES = (str, bytes, float, bool, type(None))
"""Types whose repr is the interpreter's own."""

RawRecord = tuple[int, int, str]
"""Kind of text, position of the lane in the message, text."""


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

    def writable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the descriptor of standard output."""
        return 1


class Seat:
    """One lane: its own copy of the policy's module, its own chance and clock."""

    __slots__ = ("chance", "module", "policy")

    def __init__(self, code: CodeType, seed: int, *, is_seeded: bool) -> None:
        self.chance = chance.Chance(seed) if is_seeded else None
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
        """Seed a seat that is still as it was loaded; return False if it drew random numbers."""
        if self.chance is not None:
            if not self.chance.is_untouched():
                return False
            self.chance.seed(seed)
        return True

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


class Worker:
    """Answers the judge's commands, one at a time, until the pipe closes."""

    def __init__(self, order: wire.Order) -> None:
        self._n_actions, self._n_floats = order.n_actions, order.n_floats
        self._is_seeded = Layer.CHANCE in Layer(order.layers)
        self._seats: dict[int, Any] = {}
        self._running: Seat | None = None
        self._spare: Seat | None = None
        self._code = compile("", wire.POLICY_FILE, "exec")
        self._unpacker = wire.Unpacker()
        numpy = sys.modules.get("numpy")
        codes = "?bhilqpBHILQP" if numpy is not None else ""
        self._numpy_integers = frozenset(numpy.dtype(code).type for code in codes if numpy)
        self._array: Any = numpy.ndarray if numpy is not None else ()

    def serve(self) -> NoReturn:
        """Carry out commands; the end of the pipe ends the process."""
        buffer = bytearray(_BUFFER_BYTES)
        view = memoryview(buffer)
        command = wire.COMMAND
        while True:
            got = self._read(view, 0, command.size)
            kind, lane, number, size = command.unpack_from(view)
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
                send(wire.DONE, number, [], self._reset(lane, *wire.SEED.unpack(payload)))
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
            self._spare = Seat(self._code, 0, is_seeded=self._is_seeded)
        except BaseException as error:
            return [(wire.RAISED, 0, describe(error))]
        return []

    def _reset(self, lane: int, seed: int) -> list[RawRecord]:
        self._seats.pop(lane, None)
        self._running = None
        try:
            seat, self._spare = self._spare, None
            if seat is None or not seat.begin(seed):
                seat = Seat(self._code, seed, is_seeded=self._is_seeded)
        except BaseException as error:
            return [(wire.RAISED, 0, describe(error))]
        self._seats[lane] = seat
        return []

    def _watch(self, number: int, payload: memoryview) -> None:
        """Act in one lane, and report the calls that its policy makes."""
        [(lane, _, _)] = marshal.loads(payload)  # noqa: S302 - from the judge
        seat = self._seats[lane]
        records: list[RawRecord] = []
        policy, seat.policy = seat.policy, Watched(seat.policy, records, self._numpy_integers)
        try:
            self._act(number, payload, records)
        finally:
            seat.policy = policy

    def _act(self, number: int, payload: memoryview, records: list[RawRecord]) -> None:
        """Ask the policies, and send their actions after ``records``."""
        values: list[Any] = []
        for lane, form, content in marshal.loads(payload):  # noqa: S302 - from the judge
            try:
                seat = self._seats[lane]
                if seat is not self._running:
                    seat.enter()
                    self._running = seat
                if form.__class__ is int:
                    self._unpacker.unpack(content)
                    action = seat.policy.act(build_observation(content, form))
                else:
                    action = seat.policy.act(wire.unpack_observation(form, content))
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
            kind = wire.DOUBLES
        else:
            kind = wire.INTEGERS
        send(wire.ACTIONS, number, values, records, kind)

    def _check(self, action: Any) -> Any:  # noqa: ANN401 - it can be anything
        """Return an action as a plain integer, or as a tuple of floats.

        Integers of Python and numpy are integers, and so are members of an IntEnum, booleans of
        numpy, and arrays of one such element. True and False are actions only if there are two: of
        more, nobody means action 1 by True. A subclass of int does not decide about its own value.
        """
        if self._n_floats:
            return self._check_floats(action)
        given: Any = action
        number: int | None = None
        if isinstance(given, self._array) and given.size == 1:
            given = given.reshape(-1)[0]
        if isinstance(given, int) and (type(given) is not bool or self._n_actions == _TWO):
            number = int.__index__(given)
        elif type(given) in self._numpy_integers:
            number = int(given)
        if number is not None and 0 <= number < self._n_actions:
            return number
        shown = _show(action) if number is None else _show_number(number)
        raise BadAction(
            f"act returned {shown}; expected an integer from 0 to {self._n_actions - 1}"
        )

    def _check_floats(self, action: Any) -> tuple[float, ...]:  # noqa: ANN401 - as above
        """Return the floats of a list, tuple or array; one float alone will do if there is one."""
        given = action.tolist() if type(action).__module__ == "numpy" else action
        if self._n_floats == 1 and isinstance(given, int | float):
            given = (given,)
        if isinstance(given, list | tuple) and len(given) == self._n_floats:
            parts = [part.tolist() if type(part).__module__ == "numpy" else part for part in given]
            if all(isinstance(part, int | float) for part in parts):
                floats = tuple(float(part) for part in parts)
                if all(-_HUGE <= number <= _HUGE for number in floats):
                    return floats
        raise BadAction(
            f"act returned {_show(action)}; expected {self._n_floats} finite numbers in a list"
        )


def run(order: wire.Order, zygote: int) -> NoReturn:
    """Live as a worker: seal, report, serve."""
    if Layer.CHANCE in Layer(order.layers):
        chance.install()
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
    if isinstance(value, str | bytes) and len(value) > _MAX_SHOWN:
        return f"a {name} of length {len(value)}"
    if type(value) in _PLAIN_TYPES:
        return f"{value!r} ({name})"
    return f"an object of type {name}"


def _show_number(number: int) -> str:
    bits = number.bit_length()
    return f"{number}" if bits <= _MAX_SHOWN_BITS else f"an integer of {bits} bits"
