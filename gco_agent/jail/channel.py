"""The judge's end of a worker's two pipes: whole messages, with a deadline on each."""

from __future__ import annotations

import contextlib
import os
import select
import struct
import time
from typing import NamedTuple

from gco_agent.jail import wire

CLOSED = "its pipe is closed"
_REST_SECONDS = 5.0
"""For all of a reply that has begun: an honest worker has written it, or writes as fast as it is
read. Each part with a limit of its own would let 255 slow parts hold the judge up for minutes."""
REST_OF_LIFE_SECONDS = 30.0
"""For all of them together: else every step could be answered five seconds late."""


class Late(Exception):  # noqa: N818 - control flow inside the jail package
    """Nothing came, or nothing was taken, before the deadline."""


class Gone(Exception):  # noqa: N818 - control flow inside the jail package
    """The worker closed its end, or wrote what no worker writes."""


class Record(NamedTuple):
    """One text of a reply: what kind, which lane of the message, and what it says."""

    kind: int
    lane: int
    text: str


class Channel:
    """Two pipes. The worker is not trusted: every length is checked, every wait has an end."""

    def __init__(self) -> None:
        self.worker_reads, self._commands = os.pipe()
        self._replies, self.worker_writes = os.pipe()
        os.set_blocking(self._commands, False)
        os.set_blocking(self._replies, False)
        self._readable = select.poll()
        self._readable.register(self._replies, select.POLLIN)
        self._sequence = 0
        self._rest_left = REST_OF_LIFE_SECONDS

    def close_worker_ends(self) -> None:
        """Close what belongs to the worker, once it has them."""
        os.close(self.worker_reads)
        os.close(self.worker_writes)

    def close(self) -> None:
        """Close our ends."""
        os.close(self._commands)
        os.close(self._replies)

    def is_readable(self, milliseconds: float) -> bool:
        """Whether a reply begins within that time, or the worker is gone."""
        return bool(self._readable.poll(milliseconds))

    def _is_writable(self, milliseconds: float) -> bool:
        writable = select.poll()
        writable.register(self._commands, select.POLLOUT)
        return bool(writable.poll(milliseconds))

    def _write(self, data: bytes | memoryview) -> int:
        return os.write(self._commands, data)

    def _read(self, size: int) -> bytes:
        return os.read(self._replies, size)

    def send(self, kind: int, count: int, payload: bytes, seconds: float) -> None:
        """Send one command.

        Raises:
            Late: The worker stopped reading.
            Gone: It has closed the pipe.
        """
        self._sequence = (self._sequence + 1) & 0xFFFFFFFF
        message = wire.COMMAND.pack(kind, count, self._sequence, len(payload)) + payload
        try:
            sent = self._write(message)
        except BlockingIOError:
            sent = 0
        except ConnectionError as error:
            raise Gone(CLOSED) from error
        if sent < len(message):
            self._send_rest(memoryview(message)[sent:], seconds)

    def receive(
        self, kind: int, count: int, most_bytes: int = wire.MAX_TEXT_BYTES
    ) -> tuple[list[int], list[Record]]:
        """Take the reply to the last command; call it when there is something to read.

        Args:
            kind: What it must be.
            count: How many integers it must have.
            most_bytes: Longest text of a record.

        Raises:
            Gone: The pipe is closed, or what came is no such reply.
        """
        form = wire.reply(count)
        data = self._read(form.size)
        if len(data) == form.size:
            values, n_records = self._parse_reply(form, data, kind, count)
            if not n_records:
                return values, []
        elif not data:
            raise Gone(CLOSED)
        began = time.monotonic()
        deadline = began + min(_REST_SECONDS, self._rest_left)
        if len(data) < form.size:
            data += self._read_rest(form.size - len(data), deadline)
            values, n_records = self._parse_reply(form, data, kind, count)
        records = [self._read_record(deadline, most_bytes) for _ in range(n_records)]
        self._rest_left -= time.monotonic() - began
        return values, records

    def receive_at_once(self, kind: int, count: int) -> tuple[list[int], list[Record]] | None:
        """As `receive`, or None if nothing is there yet.

        Where judge and worker share a core, the worker has mostly answered before the judge runs
        again, and asking first whether it has would be a system call in vain.
        """
        try:
            return self.receive(kind, count)
        except BlockingIOError:
            return None

    def _parse_reply(
        self, form: struct.Struct, data: bytes, kind: int, count: int
    ) -> tuple[list[int], int]:
        """The integers of a reply, and how many records follow."""
        got_kind, n_records, got_count, sequence, *values = form.unpack(data)
        if got_kind != kind or got_count != count or sequence != self._sequence:
            raise Gone("it answered what was not asked")
        return values, n_records

    def _read_record(self, deadline: float, most_bytes: int) -> Record:
        kind, lane, size = wire.RECORD.unpack(self._read_rest(wire.RECORD.size, deadline))
        if size > most_bytes:
            raise Gone("it sent more text than it may")
        return Record(kind, lane, self._read_rest(size, deadline).decode("utf-8", "replace"))

    def _read_rest(self, size: int, deadline: float) -> bytes:
        """Exactly ``size`` bytes of a reply that has begun, before `time.monotonic` says so."""
        data = b""
        while len(data) < size:
            if not self.is_readable(max(0.0, deadline - time.monotonic()) * 1000):
                raise Gone("it did not finish its reply")
            more = self._read(size - len(data))
            if not more:
                raise Gone(CLOSED)
            data += more
        return data

    def _send_rest(self, rest: memoryview, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while rest:
            if not self._is_writable(max(0.0, deadline - time.monotonic()) * 1000):
                raise Late
            with contextlib.suppress(BlockingIOError):
                try:
                    rest = rest[self._write(rest) :]
                except ConnectionError as error:
                    raise Gone(CLOSED) from error
