"""What a process at work tells others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gco_agent.core.events import Playing, Racing, Searching
from gco_agent.core.statistics import Gain
from gco_agent.store.status import (
    Limits,
    Status,
    format_status,
    parse_status,
    read_status,
    remove_status,
    status_path,
    write_status,
)

FINITE = st.floats(allow_nan=False, allow_infinity=False)
COUNT = st.integers(0, 10**9)
GAINS = st.builds(Gain, FINITE, st.none() | FINITE, COUNT, st.floats(0, 1))
EVENTS = st.one_of(
    st.none(),
    st.builds(Playing, st.text(), COUNT, COUNT, COUNT),
    st.builds(Racing, st.none() | GAINS, COUNT, COUNT),
    st.builds(Searching, st.text(), st.none() | FINITE, COUNT, st.text()),
)
LIMITS = st.builds(
    Limits,
    *(st.none() | COUNT, st.none() | FINITE, st.none() | COUNT),
    *(st.none() | COUNT, st.none() | FINITE),
)
STATUSES = st.builds(
    Status, COUNT, FINITE, COUNT, FINITE, LIMITS, EVENTS, COUNT, st.none() | FINITE
)
NOW = Status(os.getpid(), 1.0, 3, 0.0, Limits(iterations=5), Playing("report seeds", 1, 30))


@given(STATUSES)
def test_what_is_written_is_read(status):
    assert parse_status(format_status(status)) == status


def test_what_an_earlier_version_wrote_is_read():
    text = (
        '{"schema": 1, "pid": 7, "started": 1.5, "first": 3, "reserve_s": 0.0, "limits": '
        '{"iterations": 5, "seconds": null, "frames": null}, "event": null}'
    )
    assert parse_status(text) == Status(7, 1.5, 3, 0.0, Limits(iterations=5), None)


@given(st.text())
def test_any_text_is_read_without_complaint(text):
    assert parse_status(text) is None or text


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"schema": 2}', format_status(NOW).replace("playing", "dancing"),
     format_status(NOW).replace("n_done", "n_dane"), format_status(NOW)[:-5]],
)  # fmt: skip
def test_what_is_no_status_is_none(text):
    assert parse_status(text) is None


def test_the_file_comes_and_goes(tmp_path):
    path = status_path(tmp_path, "pong-first")
    assert read_status(path) is None
    assert write_status(path, NOW)
    assert read_status(path) == NOW
    assert [p.name for p in path.parent.iterdir()] == ["pong-first.status.json"]
    remove_status(path)
    remove_status(path)
    assert read_status(path) is None


def test_a_process_that_has_died_is_not_at_work(tmp_path):
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    path = tmp_path / "x"
    for pid in (done.pid, 10**30):
        write_status(path, Status(pid, 1.0, 1, 0.0, Limits(), None))
        assert read_status(path) is None


def test_where_nothing_can_be_written_nothing_is_said():
    assert not write_status(Path(os.devnull) / "x", NOW)
    remove_status(Path(os.devnull) / "x")
