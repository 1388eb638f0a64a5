"""The judge's end of the pipes, against a worker that lies."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Iterator

import pytest

from gco_agent.jail import wire
from gco_agent.jail.wire import Channel, Gone, Late


@pytest.fixture
def channel() -> Iterator[Channel]:
    made = Channel()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "_REPLY_SECONDS", 0.2)
    monkeypatch.setattr(wire, "_random_numbers", lambda: itertools.count(1))


def close_worker_ends(channel: Channel) -> None:
    channel.close_worker_ends()


def test_reply_with_texts(channel: Channel):
    channel.send(wire.ACT, 2, b"", 1)
    reply = wire.reply_form(2).pack(wire.ACTIONS, 1, 2, 1, 4, wire.FAILED)
    os.write(channel.worker_writes, reply + wire.RECORD.pack(wire.RAISED, 1, 3) + b"\xffno")
    values, [record] = channel.receive(wire.ACTIONS, 2)
    assert values == [4, wire.FAILED]
    assert record == (wire.RAISED, 1, "\ufffdno")
    close_worker_ends(channel)


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (wire.reply_form(1).pack(wire.DONE, 0, 1, 1, 0), "answered what was not asked"),
        (wire.reply_form(1).pack(wire.ACTIONS, 0, 1, 2, 0), "answered what was not asked"),
        (wire.reply_form(1).pack(wire.ACTIONS, 0, 7, 1, 0), "answered what was not asked"),
        (wire.reply_form(0).pack(wire.ACTIONS, 0, 1, 1), "did not finish"),
        (wire.reply_form(1).pack(wire.ACTIONS, 1, 1, 1, 0), "did not finish"),
        (
            wire.reply_form(1).pack(wire.ACTIONS, 1, 1, 1, 0) + wire.RECORD.pack(22, 0, 1 << 31),
            "more text than it may",
        ),
    ],
)
def test_replies_that_no_worker_writes(channel: Channel, reply: bytes, said: str):
    channel.send(wire.ACT, 1, b"", 1)
    os.write(channel.worker_writes, reply)
    assert channel.is_readable(0)
    with pytest.raises(Gone, match=said):
        channel.receive(wire.ACTIONS, 1)
    close_worker_ends(channel)


@pytest.mark.parametrize("begun", [b"", b"\x0d"])
def test_closed_pipe_is_the_end(channel: Channel, begun: bytes):
    os.write(channel.worker_writes, begun)
    close_worker_ends(channel)
    assert channel.is_readable(0)
    with pytest.raises(Gone, match="pipe is closed"):
        channel.receive(wire.DONE, 0)
    with pytest.raises(Gone, match="pipe is closed"):
        channel.send(wire.ACT, 1, b"", 1)


def test_worker_that_does_not_read_is_late(channel: Channel):
    with pytest.raises(Late):
        channel.send(wire.ACT, 1, bytes(1 << 20), 0.1)
    with pytest.raises(Late):
        channel.send(wire.ACT, 1, b"", 0.1)
    close_worker_ends(channel)


def test_worker_that_reads_slowly_gets_it_all(channel: Channel):
    received: list[bytes] = []

    def read() -> None:
        while sum(len(part) for part in received) < wire.COMMAND.size + (1 << 20):
            received.append(os.read(channel.worker_reads, 1 << 16))

    reader = threading.Thread(target=read)
    reader.start()
    channel.send(wire.ACT, 1, bytes(1 << 20), 5)
    reader.join()
    kind, count, sequence, size = wire.COMMAND.unpack_from(received[0])
    assert (kind, count, sequence, size) == (wire.ACT, 1, 1, 1 << 20)
    close_worker_ends(channel)


def test_worker_that_closes_in_the_middle_of_a_message(channel: Channel):
    def close_soon() -> None:
        os.read(channel.worker_reads, 1 << 16)
        close_worker_ends(channel)

    closer = threading.Thread(target=close_soon)
    closer.start()
    with pytest.raises(Gone, match="pipe is closed"):
        channel.send(wire.ACT, 1, bytes(1 << 22), 5)
    closer.join()
