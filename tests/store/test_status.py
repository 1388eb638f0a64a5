"""What a process at work tells others."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from gco_agent.core.events import Playing, Racing, Searching
from gco_agent.core.statistics import Gain
from gco_agent.store.control import (
    Limits,
    Status,
    live_runs,
    read_status,
    status_path,
    write_status,
)
from gco_agent.store.entries import RunRef

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


@settings(deadline=None)
@given(STATUSES)
def test_what_is_written_is_read(status):
    with tempfile.TemporaryDirectory() as folder:
        path = status_path(Path(folder), "pong-first")
        assert write_status(path, replace(status, pid=os.getpid()))
        assert read_status(path) == replace(status, pid=os.getpid())


@given(st.binary() | st.sampled_from(["", "{", "[]", "null", '{"schema": 2}']).map(str.encode))
def test_other_content_is_no_status(content):
    with tempfile.TemporaryDirectory() as folder:
        path = status_path(Path(folder), "pong-first")
        path.parent.mkdir()
        path.write_bytes(content)
        assert read_status(path) is None
        assert live_runs(Path(folder)) == {}


def test_a_status_of_another_schema_is_ignored(tmp_path):
    path = status_path(tmp_path, "pong-first")
    assert write_status(path, replace(NOW, schema=2))
    assert read_status(path) is None


def test_the_file_comes_and_goes(tmp_path):
    path = status_path(tmp_path, "pong-first")
    assert read_status(path) is None
    assert write_status(path, NOW)
    assert read_status(path) == NOW
    assert [p.name for p in path.parent.iterdir()] == ["pong-first.status.json"]
    write_status(path, None)
    write_status(path, None)
    assert read_status(path) is None


def test_runs_at_work_are_listed_before_they_have_a_branch(tmp_path):
    first, second = RunRef("a-b", "c"), RunRef("pong", "20261122-ab12")
    for n, ref in enumerate((first, second)):
        write_status(status_path(tmp_path, ref.stem), replace(NOW, started=float(n)))
    write_status(status_path(tmp_path, "pong-dead"), replace(NOW, pid=dead_pid()))
    write_status(status_path(tmp_path, "not a stem"), NOW)
    assert list(live_runs(tmp_path)) == [second, first]
    assert live_runs(tmp_path)[first].started == 0.0


def dead_pid() -> int:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def test_a_process_that_has_died_is_not_at_work(tmp_path):
    path = status_path(tmp_path, "x-y")
    for pid in (dead_pid(), 10**30, 0, -1):
        write_status(path, replace(NOW, pid=pid))
        assert read_status(path) is None


def test_links_are_not_followed(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    repository = tmp_path / "repository"
    repository.mkdir()
    (repository / "gco-agent").symlink_to(outside)
    path = status_path(repository, "pong-first")
    assert not write_status(path, NOW)
    assert list(outside.iterdir()) == []
    write_status(status_path(tmp_path, "pong-first"), NOW)
    (outside / path.name).write_bytes(status_path(tmp_path, "pong-first").read_bytes())
    assert read_status(path) is None


def test_where_nothing_can_be_written_nothing_is_said():
    assert not write_status(Path(os.devnull) / "a" / "x", NOW)
    assert not write_status(Path(os.devnull) / "a" / "x", None)
