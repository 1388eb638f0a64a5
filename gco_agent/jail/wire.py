"""The protocol between the judge, its zygote and a sealed worker, and the judge's end of the pipes.

The judge sends a `COMMAND` header and a payload, which of an ACT is marshal data: safe in this
direction only. A worker answers with a `REPLY` header, values (integers or doubles) and `RECORD`s
with text: nothing that comes from a worker is unpickled or unmarshalled, and every length has a
limit. Each command has a random number that its reply must repeat, so that no reply can be written
ahead. The judge sends an `Order` to the zygote, with the worker's descriptors attached; the zygote
replies with an `ANSWER`.

Standard library only: the jail imports this module too.
"""

from __future__ import annotations

import functools
import marshal
import os
import select
import struct
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from gco_agent.core.observation import Row, Still

COMMAND = struct.Struct("<BxHQI")
"""Kind, number of lanes (or the lane), random number, bytes of payload."""
LOAD, RESET, ACT, WATCH = 1, 2, 3, 4
"""LOAD carries the source, RESET a seed (`SEED`), ACT `pack_observations`; WATCH is an ACT of one
lane whose reply also reports the functions that were called."""
SEED = struct.Struct("<Q")

REPLY = "<BBHQ"
"""Kind, number of records, number of values, random number of the command."""
INTEGERS, DOUBLES = "i", "d"
REPORT, DONE, ACTIONS = 11, 12, 13
FAILED = -1
"""In place of an action: the lane failed, and a record says how."""

RECORD = struct.Struct("<BxHI")
"""Kind of text, position of the lane in the message, bytes of UTF-8 text."""
SEAL_REPORT, RAISED, BAD_ACTION, CALLS = 21, 22, 23, 24
"""CALLS comes with the reply to a WATCH; its text is JSON, see `recorder`."""
MAX_TEXT_BYTES = 4096
MAX_CALLS_BYTES = 1 << 15
MAX_LANES = 128

COMMAND_FD, REPLY_FD, FAULT_FD = 3, 4, 5
"""A worker's pipes, and the file that a traceback is written to when it hangs or crashes."""
N_WORKER_FDS = 4
"""Descriptors sent with a FORK: command pipe, reply pipe, output file, traceback file."""
POLICY_FILE = "policy.py"
"""Name of the policy in every traceback, for a file of any name."""

FORK, REAP = 31, 32
ORDER = struct.Struct("<8q")
ANSWER = struct.Struct("<q")
"""Process id (FORK), wait status (REAP), or minus an errno."""
READY = b"zygote"

CLOSED = "its pipe is closed"
_REPLY_SECONDS = 5.0
"""For the rest of a reply that has begun."""
_ALL_REPLIES_SECONDS = 30.0
"""For the rest of all replies of a worker together, or each could come five seconds late."""
_N_NUMBERS = 512
_N_KNOWN = 64
_MARSHAL_VERSION = 2
"""Without the table of repeated objects, which costs more than it saves."""
_PLAIN = frozenset({type(None), bool, int, float, str, bytes})

Form: TypeAlias = Any
"""How a packed observation is to be read: lives (`ObjectRows`), None (plain data), dtype and shape
(an array; no shape is a scalar of numpy), or a list or dict of forms."""
Value: TypeAlias = Any


class Late(Exception):  # noqa: N818 - control flow inside the jail package
    """A deadline passed."""


class Gone(Exception):  # noqa: N818 - control flow inside the jail package
    """The worker closed its pipe or broke the protocol."""


class Record(NamedTuple):
    """One text of a reply."""

    kind: int
    lane: int
    text: str


class ObjectRows(NamedTuple):
    """An observation made of objects: category to plain rows, and the lives left."""

    rows: Mapping[str, Sequence[Row]]
    lives: int = 0


class Order(NamedTuple):
    """An order to the zygote.

    Attributes:
        pid: Of a REAP: the worker that ended.
        n_actions: Size of the action space; 0 if actions are floats.
        memory_bytes: Address space beyond that of the preloaded interpreter.
        output_bytes: Largest file that the worker may write.
        cpu_seconds: Processor time of the worker in its whole life.
    """

    kind: int
    pid: int = 0
    n_actions: int = 1
    n_floats: int = 0
    layers: int = 0
    memory_bytes: int = 0
    output_bytes: int = 0
    cpu_seconds: int = 0

    def pack(self) -> bytes:
        """Return the order as bytes."""
        return ORDER.pack(*self)


@functools.cache
def reply_form(n_values: int, kind: str = INTEGERS) -> struct.Struct:
    """Return the layout of a reply with that many values."""
    return struct.Struct(f"{REPLY}{n_values}{kind}")


def pack_observations(observations: Sequence[tuple[int, object]]) -> bytes:
    """Return the payload of an ACT for pairs of lane and observation."""
    packed = [
        (lane, seen.lives, _pack_still(seen.rows))
        if type(seen) is ObjectRows
        else (lane, *_pack(seen))
        for lane, seen in observations
    ]
    return marshal.dumps(packed, _MARSHAL_VERSION)


def _pack(value: Value) -> tuple[Form, object]:
    kind = type(value)
    if kind in _PLAIN:
        return None, value
    if kind.__module__ == "numpy":
        dtype = value.dtype
        if dtype.hasobject or dtype.names:
            raise TypeError(f"an observation has an array of dtype {dtype}, which cannot be sent")
        shape = value.shape if kind.__name__ == "ndarray" else None
        return (dtype.str, shape), value.tobytes()
    if isinstance(value, dict):
        keys = [key if type(key) in _PLAIN else str(key) for key in value]
        forms, parts = _pack_all(value.values())
        return forms and dict(zip(keys, forms, strict=True)), dict(zip(keys, parts, strict=True))
    if isinstance(value, list | tuple):
        make = tuple if isinstance(value, tuple) else list
        if _PLAIN.issuperset(map(type, value)):
            return None, make(value)
        forms, parts = _pack_all(value)
        return forms, make(parts)
    for plain in (int, float, str):
        if isinstance(value, plain):
            return None, plain(value)
    raise TypeError(
        f"an observation has a part of type {kind.__module__}.{kind.__qualname__}; a policy can be "
        "given numbers, text, numpy arrays, and dicts, tuples and lists of those"
    )


def _pack_all(values: Iterable[Value]) -> tuple[list[Form] | None, list[object]]:
    """Pack the parts of a collection; there are no forms if all of them are plain."""
    packed = [_pack(part) for part in values]
    forms = [form for form, _ in packed]
    return forms if any(form is not None for form in forms) else None, [part for _, part in packed]


def _pack_still(rows: Mapping[str, Sequence[Row]]) -> Mapping[str, object]:
    """Replace rows that are `Still` by marshal data of them, which is made once."""
    packed: dict[str, object] | None = None
    for category, members in rows.items():
        if type(members) is Still:
            packed = {**rows} if packed is None else packed
            try:
                packed[category] = members.packed
            except AttributeError:
                packed[category] = members.packed = marshal.dumps([*members], _MARSHAL_VERSION)
    return rows if packed is None else packed


def unpack_observation(form: Form, content: Any) -> object:  # noqa: ANN401 - see Form
    """Return the policy's own copy of an observation that is not made of objects."""
    if form is None:
        return content
    if type(form) is dict:
        return {key: unpack_observation(form[key], part) for key, part in content.items()}
    if type(form) is list:
        return type(content)(map(unpack_observation, form, content))
    dtype, shape = form
    array = sys.modules["numpy"].ndarray(shape or (), dtype, bytearray(content))
    return array if shape is not None else array[()]


class Unpacker:
    """Unpacks rows that stand still, and remembers the latest."""

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


class Channel:
    """The judge's ends of a worker's two pipes.

    The worker is not trusted: every length is checked and every wait has an end.
    """

    def __init__(self) -> None:
        self.worker_reads, self._commands = os.pipe()
        self._replies, self.worker_writes = os.pipe()
        os.set_blocking(self._commands, False)
        os.set_blocking(self._replies, False)
        self._readable = select.poll()
        self._readable.register(self._replies, select.POLLIN)
        self._numbers = _random_numbers()
        self._number = 0
        self._reply_seconds, self._all_seconds = 0.0, _ALL_REPLIES_SECONDS

    def close_worker_ends(self) -> None:
        """Close the worker's ends, once it has its own copies."""
        os.close(self.worker_reads)
        os.close(self.worker_writes)

    def close(self) -> None:
        """Close the judge's ends."""
        os.close(self._commands)
        os.close(self._replies)

    def is_readable(self, milliseconds: float) -> bool:
        """Wait for a reply to begin or the pipe to be closed; return False if neither happens."""
        return bool(self._readable.poll(milliseconds))

    def send(self, kind: int, count: int, payload: bytes, seconds: float) -> None:
        """Send a command."""
        self._number = next(self._numbers)
        message = COMMAND.pack(kind, count, self._number, len(payload)) + payload
        sent = self._write(message)
        if sent == len(message):
            return
        rest = memoryview(message)[sent:]
        deadline = time.monotonic() + seconds
        writable = select.poll()
        writable.register(self._commands, select.POLLOUT)
        while rest:
            if not writable.poll(max(0.0, deadline - time.monotonic()) * 1000):
                raise Late
            rest = rest[self._write(rest) :]

    def receive(
        self,
        kind: int,
        n_values: int,
        values_kind: str = INTEGERS,
        max_bytes: int = MAX_TEXT_BYTES,
    ) -> tuple[Sequence[Any], list[Record]]:
        """Return the values and records of the reply to the last command.

        Raises:
            BlockingIOError: The reply has not begun.
            Gone: The pipe is closed, or this is not such a reply.
        """
        form = reply_form(n_values, values_kind)
        self._reply_seconds = _REPLY_SECONDS
        data = os.read(self._replies, form.size)
        if not data:
            raise Gone(CLOSED)
        if len(data) < form.size:
            data += self._read_rest(form.size - len(data))
        got_kind, n_records, got_values, number, *values = form.unpack(data)
        if got_kind != kind or got_values != n_values or number != self._number:
            raise Gone("it answered what was not asked")
        if not n_records:
            return values, []
        return values, [self._read_record(max_bytes) for _ in range(n_records)]

    def _read_record(self, max_bytes: int) -> Record:
        kind, lane, size = RECORD.unpack(self._read_rest(RECORD.size))
        if size > max_bytes:
            raise Gone("it sent more text than it may")
        return Record(kind, lane, self._read_rest(size).decode("utf-8", "replace"))

    def _read_rest(self, size: int) -> bytes:
        data, began = b"", time.monotonic()
        end = began + min(self._reply_seconds, self._all_seconds)
        while len(data) < size:
            if not self.is_readable(max(0.0, end - time.monotonic()) * 1000):
                raise Gone("it did not finish its reply")
            more = os.read(self._replies, size - len(data))
            if not more:
                raise Gone(CLOSED)
            data += more
        elapsed = time.monotonic() - began
        self._reply_seconds -= elapsed
        self._all_seconds -= elapsed
        return data

    def _write(self, data: bytes | memoryview) -> int:
        try:
            return os.write(self._commands, data)
        except BlockingIOError:
            return 0
        except ConnectionError as error:
            raise Gone(CLOSED) from error


def _random_numbers() -> Iterator[int]:
    while True:
        yield from struct.unpack(f"<{_N_NUMBERS}Q", os.urandom(8 * _N_NUMBERS))
