"""Records which functions of a policy are called, with what, and what they return; in the jail.

Works by the interpreter's trace function, for one call of ``act`` at a time. Nothing of the policy
is called to describe a value (no ``repr``, no property, no iterator of its own), so a policy does
the same with and without. The report is cut here for an honest policy, and by the judge
(`recording`) for any other.

The report is JSON: ``{"calls": [[name, depth, [[parameter, value], ...], output, [line, ...],
error or null], ...], "left_out": n}``. A value is null, true, false, a number, a text, an array (a
sequence), or an object of one member: ``{"t": text}`` stands for what is not plain, ``{"n": text}``
for a number that JSON has not, ``{"b": [x, y, w, h, dx, dy]}`` for an object on the screen,
``{"m": [[key, value], ...]}`` for a mapping.
"""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from types import CodeType, FrameType, GetSetDescriptorType
from typing import Any, TypeAlias

from gco_agent.core.observation import ObjectBox
from gco_agent.jail import wire

MAX_CALLS = 48
MAX_CALLS_OF_ONE = 6
"""Of one function, in one step."""
MAX_EVENTS = 50_000
"""Lines, calls and returns after which a step goes on without being recorded."""
MAX_TEXT = 60
MAX_ITEMS = 12
MAX_BITS = 64
MAX_DEPTH = 3
_MAX_ATTRIBUTES = 10
_MAX_LINES = 300

_GENERATES = 0x20 | 0x80 | 0x200
"""CO_GENERATOR, CO_COROUTINE, CO_ASYNC_GENERATOR: called again wherever it yielded."""
_HAS_VARARGS, _HAS_VARKEYWORDS = 0x04, 0x08

Value: TypeAlias = Any
"""Anything that a policy may have."""
Json: TypeAlias = Any
Tracer: TypeAlias = Callable[[FrameType, str, Any], Any]

# A class may have a metaclass that answers for it; these ask `type` itself.
_name_of: Callable[[type], str] = type.__dict__["__name__"].__get__
_mro_of: Callable[[type], tuple[type, ...]] = type.__dict__["__mro__"].__get__
_names_of: Callable[[type], dict[str, Any]] = type.__dict__["__dict__"].__get__
_args_of: Callable[[BaseException], tuple[Any, ...]] = BaseException.__dict__["args"].__get__

_dumps = json.dumps


class Watched:
    """A policy whose next calls are recorded; ``notes`` gets a `wire.CALLS` for each ``act``."""

    def __init__(
        self, policy: Value, notes: list[tuple[int, int, str]], integers: Iterable[type]
    ) -> None:
        self._policy, self._notes, self._integers = policy, notes, integers

    def act(self, obs: Value) -> Value:
        """Call the policy's own ``act``."""
        recorder = Recorder(obs, self._integers)
        try:
            return recorder.run(self._policy.act)
        finally:
            self._notes.append((wire.CALLS, 0, recorder.report()))


class Call:
    """One call of a function, as far as it is known."""

    __slots__ = ("depth", "error", "inputs", "lines", "name", "output", "raised")

    def __init__(self, name: str, depth: int, inputs: list[list[Json]]) -> None:
        self.name, self.depth, self.inputs = name, depth, inputs
        self.output: Json = None
        self.lines: set[int] = set()
        self.error: str | None = None
        self.raised: BaseException | None = None

    def row(self) -> list[Json]:
        """Return the call as it is reported."""
        lines = sorted(self.lines)[:_MAX_LINES]
        return [self.name, self.depth, self.inputs, self.output, lines, self.error]


class Recorder:
    """Records the calls of one step.

    Args:
        obs: The observation, which is reported by name and not by value.
        integers: Integer types of numpy.
    """

    def __init__(self, obs: Value, integers: Iterable[type]) -> None:
        self._obs = obs
        self._describe = Describer(obs, integers)
        self._calls: list[Call] = []
        self._open: list[Call] = []
        self._counts: dict[CodeType, int] = {}
        self._suspects: list[Call] = []
        self._n_events = 0
        self._n_left_out = 0

    def run(self, act: Callable[[Value], Value]) -> Value:
        """Call ``act`` and record."""
        sys.settrace(self._enter)
        try:
            return act(self._obs)
        except BaseException as error:
            self._settle(error)
            raise
        finally:
            sys.settrace(None)

    def report(self) -> str:
        """Return the calls as JSON of at most `wire.MAX_CALLS_BYTES` bytes; "" if that fails."""
        try:
            rows = [call.row() for call in self._calls]
            while True:
                left_out = self._n_left_out + len(self._calls) - len(rows)
                text = _dumps({"calls": rows, "left_out": left_out}, allow_nan=False)
                if len(text) <= wire.MAX_CALLS_BYTES:
                    return text
                rows.pop()
        except BaseException:  # whatever a policy has done to json or to this module
            return ""

    def _enter(self, frame: FrameType, event: str, argument: Value) -> Tracer | None:
        """Trace the beginning of a frame."""
        del argument
        code = frame.f_code
        if event != "call" or code.co_filename != wire.POLICY_FILE:
            return None
        name = code.co_qualname
        if code.co_flags & _GENERATES or "<" in name or code.co_name.startswith("__"):
            return self._inside
        count = self._counts.get(code, 0) + 1
        if count > MAX_CALLS_OF_ONE or len(self._calls) >= MAX_CALLS:
            self._n_left_out += 1
            return self._inside
        self._counts[code] = count
        name = name.removeprefix("Policy.")[:MAX_TEXT]
        call = Call(name, len(self._open), list(self._inputs(frame, is_first=not self._calls)))
        self._calls.append(call)
        self._open.append(call)
        return self._tracer(call)

    def _tracer(self, call: Call) -> Tracer:
        """Return the trace function of a call that is recorded."""

        def trace(frame: FrameType, event: str, argument: Value) -> Tracer:
            self._count(frame)
            if event == "line":
                call.lines.add(frame.f_lineno)
            elif event == "exception":
                self._settle(argument[1])
                call.raised = argument[1]
            elif event == "return":
                self._leave(call, argument)
            return trace

        return trace

    def _inside(self, frame: FrameType, event: str, argument: Value) -> Tracer:
        """Trace a frame without a record of its own: its lines are its caller's."""
        self._count(frame)
        if event == "line" and self._open:
            self._open[-1].lines.add(frame.f_lineno)
        elif event == "exception":
            self._settle(argument[1])
        return self._inside

    def _leave(self, call: Call, output: Value) -> None:
        while self._open and self._open.pop() is not call:
            pass
        if output is None and call.raised is not None:
            self._suspects.append(call)  # it returned None, or the exception left it
        else:
            call.output = self._describe(output)

    def _settle(self, error: BaseException) -> None:
        """Note that ``error`` left the calls that raised it and returned None."""
        for call in self._suspects:
            if call.raised is error and call.error is None:
                call.error = describe_error(error)

    def _count(self, frame: FrameType) -> None:
        """Stop recording a step that takes too long; the step itself goes on."""
        self._n_events += 1
        if self._n_events == MAX_EVENTS:
            self._n_left_out += 1
            for call in self._open:
                call.output = {"t": "not recorded"}
            sys.settrace(None)
            frame.f_trace = None

    def _inputs(self, frame: FrameType, *, is_first: bool) -> Iterator[list[Json]]:
        code, values = frame.f_code, frame.f_locals
        n = code.co_argcount + code.co_kwonlyargcount
        n += bool(code.co_flags & _HAS_VARARGS) + bool(code.co_flags & _HAS_VARKEYWORDS)
        for index, name in enumerate(code.co_varnames[:n]):
            if index or name != "self":
                yield [name[:MAX_TEXT], self._describe(values.get(name))]
            elif is_first and (memory := attributes_of(values.get(name))):
                yield ["self", self._describe(memory)]


class Describer:
    """Makes JSON of values without running a line of the policy's."""

    def __init__(self, obs: Value, integers: Iterable[type]) -> None:
        self._obs = obs
        numpy = sys.modules.get("numpy")
        floats = () if numpy is None else (numpy.float16, numpy.float32, numpy.longdouble)
        # by identity: a class may have its own idea of what it equals
        self._integers = frozenset(map(id, integers))
        self._floats = frozenset(map(id, floats))
        self._boolean = numpy.bool_ if numpy is not None else bool
        self._array: type | None = numpy.ndarray if numpy is not None else None

    def __call__(self, value: Value, depth: int = MAX_DEPTH) -> Json:
        """Describe ``value`` in the form of the module's docstring."""
        kind = type(value)
        if value is None or kind is bool:
            return value
        if value is self._obs and depth == MAX_DEPTH:
            return {"t": "obs"}
        if kind is self._boolean:
            return bool(value)
        if issubclass(kind, int):
            return _integer(int.__index__(value))
        if issubclass(kind, float):
            return _float(float.__float__(value))
        return self._other(value, kind, depth)

    def _other(self, value: Value, kind: type, depth: int) -> Json:
        if issubclass(kind, str):
            return _cut(value)
        if id(kind) in self._integers:
            return _integer(int(value))
        if id(kind) in self._floats:
            return _float(float(value))
        if kind is ObjectBox and all(type(n) is int for n in value[:6]):
            return {"b": [_integer(n) for n in value[:6]]}
        return self._composed(value, kind, depth) if depth else {"t": f"<{_short_name(kind)}>"}

    def _composed(self, value: Value, kind: type, depth: int) -> Json:
        for known in (tuple, list):
            if issubclass(kind, known):
                return self._sequence(known.__iter__(value), known.__len__(value), depth)
        if kind is deque:
            return self._sequence(value, len(value), depth)
        if issubclass(kind, dict):
            return self._mapping(dict.items(value), dict.__len__(value), depth)
        if kind is self._array:
            return self._sequence(value.ravel()[:MAX_ITEMS].tolist(), value.size, depth)
        attributes = attributes_of(value)
        if not attributes:
            return {"t": f"<{_short_name(kind)}>"}
        described = self._mapping(attributes.items(), len(attributes), depth)
        described["m"].insert(0, ["type", {"t": _short_name(kind)}])
        return described

    def _sequence(self, values: Iterable[Value], length: int, depth: int) -> list[Json]:
        shown = [self(value, depth - 1) for value in islice(values, MAX_ITEMS)]
        if length > MAX_ITEMS:
            shown.append({"t": f"... {length - MAX_ITEMS} more"})
        return shown

    def _mapping(
        self, items: Iterable[tuple[Value, Value]], length: int, depth: int
    ) -> dict[str, list[Json]]:
        shown = [[_key(key), self(v, depth - 1)] for key, v in islice(items, _MAX_ATTRIBUTES)]
        if length > _MAX_ATTRIBUTES:
            shown.append(["...", {"t": f"{length - _MAX_ATTRIBUTES} more"}])
        return {"m": shown}


def attributes_of(value: Value) -> dict[str, Value] | None:
    """Return an instance's own ``__dict__``, past what its class says of that."""
    for owner in _mro_of(type(value)):
        found = _names_of(owner).get("__dict__")
        if found is not None:
            is_real = type(found) is GetSetDescriptorType
            names = found.__get__(value) if is_real else None
            return names if type(names) is dict else None
    return None


def describe_error(error: BaseException) -> str:
    """Return type and first argument, if that is plain; its ``str`` may be code of the policy."""
    arguments = _args_of(error)
    name = _short_name(type(error))
    first: Value = arguments[0] if arguments else None
    if issubclass(type(first), str):
        return f"{name}: {_cut(first)}"
    if type(first) in (int, float, bool):
        return f"{name}: {_cut(repr(first))}"
    return name


def _short_name(kind: type) -> str:
    return _name_of(kind)[:MAX_TEXT]


def _cut(text: str) -> str:
    shown = str.__getitem__(text, slice(0, MAX_TEXT))
    return shown if str.__len__(text) <= MAX_TEXT else shown + "..."


def _integer(number: int) -> Json:
    bits = number.bit_length()
    return number if bits <= MAX_BITS else {"t": f"<int of {bits} bits>"}


def _float(number: float) -> Json:
    return number if abs(number) < float("inf") else {"n": repr(number)}


def _key(key: Value) -> str:
    kind = type(key)
    if issubclass(kind, str):
        return _cut(key)
    if kind in (int, float, bool, type(None)):
        return _cut(repr(key))
    if kind is tuple and all(type(part) in (int, bool) for part in key[:MAX_ITEMS]):
        return _cut(repr(key[:MAX_ITEMS]))
    return f"<{_short_name(kind)}>"
