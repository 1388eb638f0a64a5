"""What the judge accepts of a worker's texts: failures and recorded calls.

Both come from a process that a policy may have taken over. Of a failure the worker sends a summary
and a list of (line, function); the text of the lines comes from the source that the judge holds, so
a policy decides at most what one line says. Recorded calls (`recorder` has their form) are parsed
strictly, cut and escaped; any other form ends the process, as any reply that was not asked for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias

from gco_agent.core.records import ComponentCall, Plain, Shown
from gco_agent.core.text import escape
from gco_agent.jail.wire import POLICY_FILE

MAX_FRAMES = 8
_N_FIRST = 2
_MAX_SUMMARY = 400
_MAX_SOURCE_LINE = 120
_LINE_ENDS = re.compile("\r\n|\r|\n")
_FRAME = re.compile(r"([0-9]{1,7})\t(.*)")
_DUMPED_FRAME = re.compile(rf'  File "{re.escape(POLICY_FILE)}", line ([0-9]{{1,7}}) in (.+)')

_MAX_NAME = 60
_MAX_TEXT = 80
_MAX_ERROR = 160
_MAX_CALLS = 48
_MAX_LINES = 300
_MAX_INPUTS = 32
_MAX_ITEMS = 16
_MAX_DEPTH = 8
_MAX_INTEGER = 1 << 64
_BOX = ("x", "y", "w", "h", "dx", "dy")
_NOT_FINITE = {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}

Frame: TypeAlias = tuple[int, str]
"""Line of the policy, from 1, and the function it is in."""
Json: TypeAlias = Any


def lines_of(source: str) -> list[str]:
    """Split a policy into lines as Python counts them: a form feed, for one, does not end any."""
    return _LINE_ENDS.split(source)


def parse_failure(text: str) -> tuple[str, list[Frame]]:
    """Parse summary and frames as a worker sends them; drop what has another form."""
    summary, *rows = text.split("\n")
    return summary, [(int(m[1]), m[2]) for row in rows if (m := _FRAME.fullmatch(row))]


def parse_dump(dump: str) -> list[Frame]:
    """Return the policy's frames, outermost first, in a traceback that faulthandler wrote."""
    return [(int(number), name) for number, name in _DUMPED_FRAME.findall(dump)][::-1]


def format_failure(summary: str, frames: list[Frame], source: str) -> str:
    """Return a traceback as Python would print it, of at most `MAX_FRAMES` frames."""
    summary, lines = escape(summary, _MAX_SUMMARY), lines_of(source)
    rows = [
        f'  File "{POLICY_FILE}", line {number}, in {escape(name, _MAX_NAME)}\n'
        f"    {escape(lines[number - 1].strip(), _MAX_SOURCE_LINE)}"
        for number, name in frames
        if 1 <= number <= len(lines)
    ]
    if not rows:
        return summary
    n_skipped = len(rows) - MAX_FRAMES
    if n_skipped > 0:
        rows[_N_FIRST : _N_FIRST + n_skipped] = [f"  [{n_skipped} more]"]
    return "\n".join(["Traceback (most recent call last):", *rows, summary])


@dataclass(frozen=True, slots=True)
class Recording:
    """The calls of one step."""

    calls: tuple[ComponentCall, ...]
    n_left_out: int = 0


def parse_calls(report: str, n_lines: int) -> Recording:
    """Parse a worker's report of calls."""
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


def _parse_call(row: Json, n_lines: int) -> ComponentCall:
    name, depth, inputs, output, lines, error = _list(row, 6)
    numbers = {_natural(line, n_lines) for line in _list(lines, _MAX_LINES)} - {0}
    return ComponentCall(
        _text(name, _MAX_NAME),
        _parse_pairs(inputs, _MAX_INPUTS, _MAX_DEPTH),
        _parse_value(output, _MAX_DEPTH),
        tuple(sorted(numbers)),
        _natural(depth, _MAX_CALLS),
        None if error is None else _text(error, _MAX_ERROR),
    )


def _parse_pairs(pairs: Json, limit: int, depth: int) -> dict[str, Plain]:
    return {
        _text(key, _MAX_TEXT): _parse_value(value, depth)
        for key, value in (_list(pair, 2) for pair in _list(pairs, limit))
    }


def _parse_value(value: Json, depth: int) -> Plain:
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
        case dict() if len(value) == 1:
            [(tag, content)] = value.items()
            return _parse_tagged(tag, content, depth)
    raise ValueError("a value of another form")


def _parse_tagged(tag: str, content: Json, depth: int) -> Plain:
    match tag:
        case "t":
            return Shown(_text(content, _MAX_TEXT))
        case "n" if isinstance(content, str) and content in _NOT_FINITE:
            return _NOT_FINITE[content]
        case "b" if len(_list(content, len(_BOX))) == len(_BOX):
            if all(type(n) is int and abs(n) < _MAX_INTEGER for n in content):
                return dict(zip(_BOX, content, strict=True))
        case "m":
            return dict(_parse_pairs(content, _MAX_ITEMS, depth - 1))
    raise ValueError("a value of another form")


def _list(value: Json, limit: int) -> Sequence[Json]:
    if not isinstance(value, list) or len(value) > limit:
        raise ValueError("not a list, or too long")
    return value


def _natural(value: Json, highest: int) -> int:
    if type(value) is not int or not 0 <= value <= highest:
        raise ValueError("not an integer in range")
    return value


def _text(value: Json, limit: int) -> str:
    if not isinstance(value, str):
        raise ValueError("not text")  # noqa: TRY004 - what was sent is wrong, not the call
    return escape(value, limit)


def _refuse(word: str) -> NoReturn:
    raise ValueError(word)
