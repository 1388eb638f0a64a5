"""What the judge accepts of a worker's report on calls: parsed strictly, cut and escaped.

The report (`recorder` has its form) comes from a process that a policy may have taken over. What is
not of the form ends the process, as any other reply that was not asked for.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from gco_agent.core.records import ComponentCall, Plain, Shown
from gco_agent.core.text import escape

_MAX_CALLS = 48
_MAX_LINES = 300
_MAX_INPUTS = 32
_MAX_ITEMS = 16
_MAX_DEPTH = 8
_MAX_NAME = 60
_MAX_TEXT = 80
_MAX_ERROR = 160
_MAX_INTEGER = 1 << 64
_BOX = ("x", "y", "w", "h", "dx", "dy")
_NOT_FINITE = {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}


@dataclass(frozen=True, slots=True)
class Recording:
    """The calls of one step.

    Attributes:
        calls: In the order in which they began.
        n_left_out: Calls that were made and not recorded.
    """

    calls: tuple[ComponentCall, ...]
    n_left_out: int = 0


def parse_calls(report: str, n_lines: int) -> Recording:
    """Parse a worker's report.

    Args:
        report: As the worker sent it.
        n_lines: Lines of the policy.

    Raises:
        ValueError: It is not of the form. The message has nothing of the report in it.
    """
    if not report:
        return Recording((), 1)  # the recorder failed, which an honest policy does not cause
    try:
        data = json.loads(report, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise ValueError("not JSON") from None
    if not (isinstance(data, dict) and data.keys() == {"calls", "left_out"}):
        raise ValueError("not a report")
    calls = tuple(_parse_call(row, n_lines) for row in _list(data["calls"], _MAX_CALLS))
    return Recording(calls, _natural(data["left_out"], _MAX_INTEGER))


def _parse_call(row: Any, n_lines: int) -> ComponentCall:  # noqa: ANN401 - JSON
    name, depth, inputs, output, lines, error = _list(row, 6)
    numbers = {_natural(line, n_lines) for line in _list(lines, _MAX_LINES)} - {0}
    return ComponentCall(
        _text(name, _MAX_NAME),
        dict(_parse_pair(pair, _MAX_DEPTH) for pair in _list(inputs, _MAX_INPUTS)),
        _parse_value(output, _MAX_DEPTH),
        tuple(sorted(numbers)),
        _natural(depth, _MAX_CALLS),
        None if error is None else _text(error, _MAX_ERROR),
    )


def _parse_pair(pair: Any, depth: int) -> tuple[str, Plain]:  # noqa: ANN401 - JSON
    key, value = _list(pair, 2)
    return _text(key, _MAX_TEXT), _parse_value(value, depth)


def _parse_value(value: Any, depth: int) -> Plain:  # noqa: ANN401 - JSON
    if depth == 0:
        raise ValueError("too deep")
    match value:
        case None | bool() | float():
            return value
        case int() if abs(value) < _MAX_INTEGER:
            return value
        case str():
            return _text(value, _MAX_TEXT)
        case list():
            return tuple(_parse_value(part, depth - 1) for part in _list(value, _MAX_ITEMS))
    return _parse_tagged(value, depth)


def _parse_tagged(value: Any, depth: int) -> Plain:  # noqa: ANN401 - JSON
    match value:
        case {"t": str(shown), **rest} if not rest:
            return Shown(_text(shown, _MAX_TEXT))
        case {"n": str(word), **rest} if not rest and word in _NOT_FINITE:
            return _NOT_FINITE[word]
        case {"b": [*numbers], **rest} if not rest and len(numbers) == len(_BOX):
            if all(type(n) is int and abs(n) < _MAX_INTEGER for n in numbers):
                return dict(zip(_BOX, numbers, strict=True))
        case {"m": [*pairs], **rest} if not rest:
            return dict(_parse_pair(pair, depth - 1) for pair in _list(pairs, _MAX_ITEMS))
    raise ValueError("a value of another form")


def _list(value: Any, limit: int) -> Sequence[Any]:  # noqa: ANN401 - JSON
    if not isinstance(value, list) or len(value) > limit:
        raise ValueError("not a list, or too long")
    return value


def _natural(value: Any, highest: int) -> int:  # noqa: ANN401 - JSON
    if type(value) is not int or not 0 <= value <= highest:
        raise ValueError("not an integer in range")
    return value


def _text(value: Any, limit: int) -> str:  # noqa: ANN401 - JSON
    if not isinstance(value, str):
        raise ValueError("not text")  # noqa: TRY004 - what was sent is wrong, not the call
    return escape(value, limit)


def _refuse(word: str) -> NoReturn:
    raise ValueError(word)
