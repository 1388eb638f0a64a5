"""What the judge takes of a worker's report on calls: parsed strictly, cut and escaped.

The report (see `recorder` for its form) comes from a process that a policy may have taken over, so
it is evidence of nothing but what that process says. Whatever is not of the form ends the process,
as any other answer that was not asked for.
"""

from __future__ import annotations

import json
import marshal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from gco_agent.core.records import ComponentCall, Plain, Shown
from gco_agent.jail import text, wire
from gco_agent.jail.channel import Gone, Late
from gco_agent.jail.host import Jail
from gco_agent.jail.limits import PolicyFailure

PATIENCE = 20
"""How many times as long a step may take that is recorded."""
_MOST_CALLS = 48
_MOST_LINES = 300
_MOST_INPUTS = 32
_MOST_ITEMS = 16
_MOST_DEPTH = 8
_MOST_TEXT = 80
_MOST_ERROR = 160
_HIGHEST = 1 << 64
_CALL_PARTS = 6
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


class RecordingJail(Jail):
    """A jail that can also say which functions of the policy a step called.

    Such a step takes many times as long as one that is only played; its actions are the same.
    """

    def act_recorded(
        self, observation: wire.LaneObservation
    ) -> tuple[int | PolicyFailure, Recording]:
        """As `act`, for one lane; and the calls that were made, up to where it failed, if it did.

        Raises:
            PolicyFailure: The step took too long, the process ended, or what it reported makes no
                sense: every lane is lost.
        """
        lane = observation[0]
        self._check([lane])
        self._check_rows([observation])
        return self._record(wire.WATCH, lane, wire.pack_objects([observation]))

    def act_plain_recorded(self, lane: int, value: object) -> tuple[Any, Recording]:
        """As `act_recorded`, for what `act_plain` takes."""
        self._check([lane])
        payload = marshal.dumps([(lane, *wire.pack_plain(value))])
        return self._record(wire.WATCH_PLAIN, lane, payload)

    def _record(self, kind: int, lane: int, payload: bytes) -> tuple[Any, Recording]:
        channel = self._live().channel
        seconds = PATIENCE * self._limits.step_seconds
        try:
            channel.send(kind, 1, payload, seconds)
            if not channel.is_readable(seconds * 1000):
                self._wait_longer(seconds)
            values, records = channel.receive(
                wire.ACTIONS, 2 * self._n_floats or 1, wire.MAX_CALLS_BYTES
            )
        except Gone as gone:
            raise self._died(str(gone)) from None
        except Late:
            raise self._timed_out(seconds, "act, recorded,") from None
        failures = [record for record in records if record.kind != wire.CALLS]
        answers_of = self._with_floats if self._n_floats else self._with_failures
        [answer] = answers_of([lane], values, failures)
        try:
            [report] = (record for record in records if record.kind == wire.CALLS)
            return answer, parse_calls(report.text, len(text.lines_of(self._source)))
        except ValueError:
            raise self._died("it reported calls that make no sense") from None


def parse_calls(report: str, n_lines: int) -> Recording:
    """The calls that ``report`` tells of.

    Args:
        report: As a worker sent it.
        n_lines: How many lines the policy has.

    Raises:
        ValueError: It is not of the form; nothing in the message is of the worker's making.
    """
    if not report:
        return Recording((), 1)  # the recorder itself failed, which an honest policy does not cause
    try:
        data = json.loads(report, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise ValueError("not JSON") from None
    if not (isinstance(data, dict) and data.keys() == {"calls", "left_out"}):
        raise ValueError("not a report")
    rows = _list(data["calls"], _MOST_CALLS)
    calls = tuple(_parse_call(row, n_lines) for row in rows)
    return Recording(calls, _whole(data["left_out"], _HIGHEST))


def _parse_call(row: Any, n_lines: int) -> ComponentCall:  # noqa: ANN401 - JSON
    parts = _list(row, _CALL_PARTS)
    if len(parts) != _CALL_PARTS:
        raise ValueError("a call of another form")
    name, depth, inputs, output, lines, error = parts
    numbers = sorted({_whole(line, n_lines) for line in _list(lines, _MOST_LINES)} - {0})
    return ComponentCall(
        _text(name, text.MAX_NAME),
        dict(_parse_pair(pair) for pair in _list(inputs, _MOST_INPUTS)),
        _parse_value(output, _MOST_DEPTH),
        tuple(numbers),
        _whole(depth, _MOST_CALLS),
        None if error is None else _text(error, _MOST_ERROR),
    )


def _parse_pair(pair: Any, depth: int = _MOST_DEPTH) -> tuple[str, Plain]:  # noqa: ANN401
    key, value = _list(pair, 2)
    return _text(key, _MOST_TEXT), _parse_value(value, depth)


def _parse_value(value: Any, depth: int) -> Plain:  # noqa: ANN401
    if depth == 0:
        raise ValueError("too deep")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        if abs(value) >= _HIGHEST:
            raise ValueError("a number too large")
        return value
    if isinstance(value, float):
        return value
    if isinstance(value, str):
        return _text(value, _MOST_TEXT)
    if isinstance(value, list):
        return tuple(_parse_value(part, depth - 1) for part in _list(value, _MOST_ITEMS))
    return _parse_tagged(value, depth)


def _parse_tagged(value: Any, depth: int) -> Plain:  # noqa: ANN401
    match value:
        case {"t": str(shown), **rest} if not rest:
            return Shown(_text(shown, _MOST_TEXT))
        case {"n": str(word), **rest} if not rest and word in _NOT_FINITE:
            return _NOT_FINITE[word]
        case {"b": [*numbers], **rest} if not rest and len(numbers) == len(_BOX):
            if any(type(n) is not int or abs(n) >= _HIGHEST for n in numbers):
                raise ValueError("a box of other things than numbers")
            return dict(zip(_BOX, numbers, strict=True))
        case {"m": [*pairs], **rest} if not rest:
            return dict(_parse_pair(pair, depth - 1) for pair in _list(pairs, _MOST_ITEMS))
    raise ValueError("a value of another form")


def _list(value: Any, most: int) -> Sequence[Any]:  # noqa: ANN401
    if not isinstance(value, list) or len(value) > most:
        raise ValueError("no list, or too long a one")
    return value


def _whole(value: Any, highest: int) -> int:  # noqa: ANN401
    if type(value) is not int or not 0 <= value <= highest:
        raise ValueError("no number in range")
    return value


def _text(value: Any, most: int) -> str:  # noqa: ANN401
    if not isinstance(value, str):
        raise ValueError("no text")  # noqa: TRY004 - what was sent is wrong, not the call
    return text.escape(value, most)


def _refuse(word: str) -> NoReturn:
    raise ValueError(word)
