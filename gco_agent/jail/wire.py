"""What crosses between the judge, its zygote and a sealed worker, byte by byte.

Judge to worker: a `COMMAND` header and a payload. The payload of an ACT is marshal data, which is
safe in this direction only: the judge is trusted. Worker to judge: a `REPLY` header, then that many
32-bit integers, then that many `RECORD`s with text; nothing that comes from a worker is ever
unpickled or unmarshalled, and every length has a cap. Judge to zygote: an `Order`, with the
worker's descriptors attached; the zygote answers with an `ANSWER`.

Both sides import this module; standard library only.
"""

from __future__ import annotations

import marshal
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from gco_agent.core.observation import Row, Still

COMMAND = struct.Struct("<BxHII")
"""Kind, number of lanes (or the lane), sequence number, bytes of payload."""
LOAD, RESET, ACT, ACT_PLAIN, WATCH, WATCH_PLAIN = 1, 2, 3, 4, 5, 6
"""ACT carries (lane, lives, rows) of each lane: `pack_objects`; ACT_PLAIN (lane, form, value):
`pack_plain`.
WATCH and WATCH_PLAIN are the same for one lane, and the reply says which calls were made."""

REPLY = struct.Struct("<BBHI")
"""Kind, number of records, number of integers, sequence number."""
REPORT, DONE, ACTIONS = 11, 12, 13
"""ACTIONS carries an integer a lane; where actions are numbers, two for each: see below."""

RECORD = struct.Struct("<BxHI")
"""What kind of text, which lane of the message (from 0), bytes of UTF-8 text."""
SEAL_REPORT, RAISED, BAD_ACTION, CALLS = 21, 22, 23, 24
"""CALLS comes with the reply to a WATCH; its text is JSON: see `recorder` and `recording`."""

MAX_TEXT_BYTES = 4096
MAX_CALLS_BYTES = 1 << 15
"""Of a CALLS; nothing of that length is taken from a worker that was not asked for one."""
MAX_LANES = 128
FAILED = -1
"""In place of an action: the lane failed, and a record says how."""

COMMAND_FD, REPLY_FD, FAULT_FD = 3, 4, 5
"""Where a worker finds its pipes, and the file that a traceback goes to when it hangs."""
N_WORKER_FDS = 4
"""Descriptors sent with a FORK: command pipe, reply pipe, output file, traceback file."""

POLICY_FILE = "policy.py"
"""The name that a policy's text has in every traceback, whatever its file is called."""

SECRET_BYTES = 32
"""What a worker that was not forked shows to be let in."""

FORK, REAP = 31, 32
ANSWER = struct.Struct("<qq")
"""Number of the order, and of a FORK the worker's process id, of a REAP the wait status; below
zero: minus an errno."""
READY = b"zygote"

_DOUBLE = struct.Struct("<d")
_N_KNOWN = 64
_FORM = 2
"""Of marshal: without its table of what occurs twice, which costs more than it saves."""

LaneObservation = tuple[int, int, Mapping[str, Sequence[Row]]]
"""Lane, lives, and category to rows: what one lane sees in one step."""


_replies: dict[int, struct.Struct] = {}


def reply(count: int) -> struct.Struct:
    """`REPLY` and ``count`` integers."""
    if count not in _replies:
        _replies[count] = struct.Struct(f"<BBHI{count}i")
    return _replies[count]


class Order(NamedTuple):
    """What the judge asks of its zygote.

    Attributes:
        kind: FORK or REAP.
        pid: Of a REAP: the worker that ended.
        n_actions: Size of the action space.
        n_lanes: Episodes that the worker plays side by side.
        layers: Bits of `limits.Layer`: what to seal with.
        memory_bytes: Address space beyond what the preloaded interpreter has.
        output_bytes: Most bytes of a file that the worker may write.
        cpu_seconds: Processor time of the whole worker.
        n_floats: Above 0, an action is so many numbers, and ``n_actions`` is 0.
        number: Which order it is; comes back with the answer.
    """

    kind: int
    pid: int = 0
    n_actions: int = 1
    n_lanes: int = 1
    layers: int = 0
    memory_bytes: int = 0
    output_bytes: int = 0
    cpu_seconds: int = 0
    n_floats: int = 0
    number: int = 0

    def pack(self) -> bytes:
        """As bytes; `parse_order` is the inverse."""
        return ORDER.pack(*self)


ORDER = struct.Struct("<qqqqqqqqqq")


def floats_to_integers(numbers: Iterable[float]) -> tuple[int, ...]:
    """Numbers as a reply carries them: two integers each, to the bit."""
    data = b"".join(_DOUBLE.pack(number) for number in numbers)
    return struct.unpack(f"<{len(data) // 4}i", data)


def integers_to_floats(integers: Sequence[int]) -> tuple[float, ...]:
    """Inverse of `floats_to_integers`."""
    data = struct.pack(f"<{len(integers)}i", *integers)
    return struct.unpack(f"<{len(data) // 8}d", data)


def pack_objects(observations: Iterable[LaneObservation]) -> bytes:
    """The payload of an ACT; `Unpacker` helps with the inverse."""
    packed = [(lane, lives, _pack_still(rows)) for lane, lives, rows in observations]
    try:
        return marshal.dumps(packed, _FORM)
    except ValueError:  # rows that are no plain tuples, in no plain list
        plain = [(lane, lives, _plain(rows)) for lane, lives, rows in observations]
        return marshal.dumps(plain, _FORM)


def _pack_still(rows: Mapping[str, Sequence[Row]]) -> Mapping[str, object]:
    """Rows with those that are `Still` as bytes, which are marshal data again, made once."""
    packed: dict[str, object] | None = None
    for category, members in rows.items():
        if type(members) is Still:
            packed = {**rows} if packed is None else packed
            try:
                packed[category] = members.packed
            except AttributeError:
                packed[category] = members.packed = marshal.dumps([*members], _FORM)
    return rows if packed is None else packed


def _plain(rows: Mapping[str, Sequence[Row]]) -> dict[str, list[tuple[object, ...]]]:
    return {str(category): [tuple(row) for row in members] for category, members in rows.items()}


class Unpacker:
    """Remembers what it has unpacked lately, of what stands still."""

    def __init__(self) -> None:
        self._known: dict[bytes, Still] = {}

    def unpack(self, rows: dict[str, Any]) -> None:
        """Put rows where there are bytes."""
        for category, members in rows.items():
            if members.__class__ is bytes:
                rows[category] = self._known.get(members) or self._load(members)

    def _load(self, members: bytes) -> Still:
        if len(self._known) >= _N_KNOWN:
            self._known.clear()
        rows = self._known[members] = Still(marshal.loads(members))  # noqa: S302 - from the judge
        return rows


def pack_plain(value: object) -> tuple[tuple[str, tuple[int, ...]] | None, object]:
    """An observation as marshal can write it: its form, and the value.

    The form of a numpy array is its dtype and shape, and the value its bytes; of all else, None.
    """
    if type(value).__module__ != "numpy":
        return None, value
    array: Any = value
    return (array.dtype.str, array.shape), array.tobytes()


def parse_order(data: bytes) -> Order:
    """The order that ``data`` holds."""
    return Order(*ORDER.unpack(data))
