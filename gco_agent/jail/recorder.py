"""Records which functions of a policy are called, with what, and what they return; in the jail.

Works by the interpreter's trace function, for one call of ``act`` at a time. Nothing of the policy
is called to describe a value (no ``repr``, no property, no iterator of its own), so a policy does
the same with and without. The report is cut here for an honest policy, and by the judge
(`reports`) for any other.

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
from dataclasses import dataclass, field
from itertools import islice
from types import CodeType, FrameType, GetSetDescriptorType
from typing import Any, TypeAlias

from gco_agent.core.observation import ObjectBox
from gco_agent.jail import wire

MAX_CALLS = 48
MAX_CALLS_OF_ONE = 6
"""Of one function, in one step."""
MAX_EVENTS = 50_000
"""Lines, calls and returns after which the rest of a step is not recorded."""
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

    def __init__(self, policy: Value, notes: list[tuple[int, int, str]]) -> None:
        self._policy, self._notes = policy, notes

    def act(self, obs: Value) -> Value:
        """Call the policy's own ``act``."""
        recorder = Recorder(obs)
        try:
            return recorder.run(self._policy.act)
        finally:
            self._notes.append((wire.CALLS, 0, recorder.report()))


@dataclass(slots=True)
class Call:
    """One call of a function, as far as it is known."""

    name: str
    depth: int
    inputs: list[list[Json]]
    output: Json = None
    lines: set[int] = field(default_factory=set)
    error: str | None = None
    raised: BaseException | None = None

    def row(self) -> list[Json]:
        """Return the call as it is reported."""
        lines = sorted(self.lines)[:_MAX_LINES]
        return [self.name, self.depth, self.inputs, self.output, lines, self.error]


class Recorder:
    """Records the calls of one step.

    Args:
        obs: The observation, which is reported by name and not by value.
    """

    def __init__(self, obs: Value) -> None:
        self._obs = obs
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

    def _enter(self, frame: FrameType, event: str, _: Value) -> Tracer | None:
        """Trace the beginning of a frame."""
        code = frame.f_code
        if event != "call" or code.co_filename != wire.POLICY_FILE:
            return None
        name = code.co_qualname
        if code.co_flags & _GENERATES or "<" in name or code.co_name.startswith("__"):
            return self._tracer(None)
        count = self._counts.get(code, 0) + 1
        if count > MAX_CALLS_OF_ONE or len(self._calls) >= MAX_CALLS:
            self._n_left_out += 1
            return self._tracer(None)
        self._counts[code] = count
        name = name.removeprefix("Policy.")[:MAX_TEXT]
        call = Call(name, len(self._open), list(self._inputs(frame)))
        self._calls.append(call)
        self._open.append(call)
        return self._tracer(call)

    def _tracer(self, call: Call | None) -> Tracer:
        """Return the trace function of a frame; without a record, its lines are its caller's."""

        def trace(frame: FrameType, event: str, argument: Value) -> Tracer:
            self._count(frame)
            owner = call or (self._open[-1] if self._open else None)
            if event == "line" and owner is not None:
                owner.lines.add(frame.f_lineno)
            elif event == "exception":
                self._settle(argument[1])
                if call is not None:
                    call.raised = argument[1]
            elif event == "return" and call is not None:
                self._leave(call, argument)
            return trace

        return trace

    def _leave(self, call: Call, output: Value) -> None:
        while self._open and self._open.pop() is not call:
            pass
        if output is None and call.raised is not None:
            self._suspects.append(call)  # it returned None, or the exception left it
        else:
            call.output = describe(output, self._obs)

    def _settle(self, error: BaseException) -> None:
        """Note that ``error`` left the calls that raised it and returned None."""
        for call in self._suspects:
            if call.raised is error and call.error is None:
                call.error = describe_error(error)

    def _count(self, frame: FrameType) -> None:
        """Stop recording a step that takes too long, without ending the step."""
        self._n_events += 1
        if self._n_events == MAX_EVENTS:
            self._n_left_out += 1
            for call in self._open:
                call.output = {"t": "not recorded"}
            sys.settrace(None)
            frame.f_trace = None

    def _inputs(self, frame: FrameType) -> Iterator[list[Json]]:
        code, values = frame.f_code, frame.f_locals
        n = code.co_argcount + code.co_kwonlyargcount
        n += bool(code.co_flags & _HAS_VARARGS) + bool(code.co_flags & _HAS_VARKEYWORDS)
        for index, name in enumerate(code.co_varnames[:n]):
            if index or name != "self":
                yield [name[:MAX_TEXT], describe(values.get(name), self._obs)]
            elif not self._calls and (memory := attributes_of(values.get(name))):
                yield ["self", describe(memory, self._obs)]


def describe(value: Value, obs: Value = None, depth: int = MAX_DEPTH) -> Json:
    """Return JSON of a value, in the form of the module's docstring; runs no line of the policy's.

    Args:
        depth: How deep to go into collections.
    """
    from numpy import generic

    if value is not None and value is obs:
        return {"t": "obs"}
    if issubclass(type(value), generic):
        value = generic.item(value)
    kind = type(value)
    if value is None or kind is bool:
        return value
    if issubclass(kind, int):
        bits = int.bit_length(value)
        return int.__index__(value) if bits <= MAX_BITS else {"t": f"<int of {bits} bits>"}
    if issubclass(kind, float):
        number = float.__float__(value)
        return number if abs(number) < float("inf") else {"n": repr(number)}
    if issubclass(kind, str):
        return _cut(value)
    if kind is ObjectBox and all(type(n) is int for n in value[:6]):
        return {"b": [describe(n) for n in value[:6]]}
    return _composed(value, kind, depth) if depth else {"t": f"<{_short_name(kind)}>"}


def _composed(value: Value, kind: type, depth: int) -> Json:
    from numpy import ndarray

    for known in (tuple, list, deque):
        if issubclass(kind, known):
            return _sequence(known.__iter__(value), known.__len__(value), depth)
    if issubclass(kind, dict):
        return _mapping(dict.items(value), dict.__len__(value), depth)
    if kind is ndarray:
        return _sequence(value.ravel()[:MAX_ITEMS].tolist(), value.size, depth)
    attributes = attributes_of(value)
    if not attributes:
        return {"t": f"<{_short_name(kind)}>"}
    described = _mapping(attributes.items(), len(attributes), depth)
    described["m"].insert(0, ["type", {"t": _short_name(kind)}])
    return described


def _sequence(values: Iterable[Value], length: int, depth: int) -> list[Json]:
    shown = [describe(value, None, depth - 1) for value in islice(values, MAX_ITEMS)]
    if length > MAX_ITEMS:
        shown.append({"t": f"... {length - MAX_ITEMS} more"})
    return shown


def _mapping(
    items: Iterable[tuple[Value, Value]], length: int, depth: int
) -> dict[str, list[Json]]:
    first = islice(items, _MAX_ATTRIBUTES)
    shown = [[_key(key), describe(value, None, depth - 1)] for key, value in first]
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
    return f"{name}: {_cut(repr(first))}" if first is not None and _is_plain(type(first)) else name


def _is_plain(kind: type) -> bool:
    """Return whether it is of one of some types; by identity, as a class may redefine equality."""
    return any(kind is plain for plain in (int, float, bool, type(None)))


def _short_name(kind: type) -> str:
    return _name_of(kind)[:MAX_TEXT]


def _cut(text: str) -> str:
    shown = str.__getitem__(text, slice(0, MAX_TEXT))
    return shown if str.__len__(text) <= MAX_TEXT else shown + "..."


def _key(key: Value) -> str:
    kind = type(key)
    if issubclass(kind, str):
        return _cut(key)
    if _is_plain(kind):
        return _cut(repr(key))
    if kind is tuple and all(_is_plain(type(part)) for part in key[:MAX_ITEMS]):
        return _cut(repr(key[:MAX_ITEMS]))
    return f"<{_short_name(kind)}>"
