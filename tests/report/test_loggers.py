"""Loggers against the real libraries, offline."""

from __future__ import annotations

import importlib.util
import os
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from gco_agent.core.errors import UsageError
from gco_agent.core.events import Committed, Searching
from gco_agent.core.statistics import Gain
from gco_agent.report.loggers import NAMES, RunLogger, Sink, numbers_of, open_logger

ACCEPTED = Committed(
    3, "accepted", 12.5, 0.5, Gain(2.0, 0.4, 16, 0.01), "rewrites act", 7.0, "abc",
    frames=2_000_000, usd=0.25, tokens=900,
)  # fmt: skip
REPORTED = Committed(4, "reported", 11.0, None, None, "", 1.0, "abd", frames=3_000_000)
PROGRAM = """
import logging, sys
logging.basicConfig(level="INFO")
from tests.report.test_loggers import ACCEPTED, REPORTED
from gco_agent.report.loggers import open_logger
with open_logger(sys.argv[1], "gco/pong/first", {"game": "pong", "seed": 3}) as log:
    log(ACCEPTED)
    log(REPORTED)
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_logger(kind: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own: these libraries leave threads, handlers and warnings behind."""
    if importlib.util.find_spec(kind) is None:
        pytest.skip(f"needs the extra {kind}")
    kept = ("PATH", "LANG", "TMPDIR", "VIRTUAL_ENV")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    root = str(Path(__file__).parents[2])
    environment |= {"HOME": str(folder), "PYTHONPATH": root, **variables}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, kind], cwd=folder, env=environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_numbers_of_an_iteration() -> None:
    assert numbers_of(ACCEPTED) == {
        "return/in_force": 12.5,
        "return/in_force_standard_error": 0.5,
        "search/gain": 2.0,
        "search/accepted": 1.0,
        "used/million_frames": 2.0,
        "iteration/seconds": 7.0,
        "iteration/usd": 0.25,
        "iteration/tokens": 900.0,
    }
    assert numbers_of(REPORTED)["return/report"] == 11.0
    assert "return/in_force" not in numbers_of(REPORTED)


def test_tensorboard(here: Path) -> None:
    pytest.importorskip("tensorboardX", reason="needs the extra export")
    with open_logger("tensorboard", "gco/pong/first", {"seed": 3}) as log:
        log(ACCEPTED)
        log(Searching("wait", None, 0, ""))
    (file,) = (here / "runs/gco/pong/first").iterdir()
    assert all(tag.encode() in file.read_bytes() for tag in numbers_of(ACCEPTED))


@pytest.mark.slow
def test_wandb_offline(here: Path) -> None:
    done = run_logger("wandb", here, WANDB_MODE="offline")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    (file,) = here.glob("wandb/offline-run-*/*.wandb")
    data = file.read_bytes()
    assert all(tag.encode() in data for tag in numbers_of(ACCEPTED))
    assert b"gco/pong/first" in data
    assert b"git@" not in data
    assert not list(here.glob("wandb/*/files/requirements.txt"))
    assert f"logging to {file.parent.relative_to(here)};" in done.stderr


@pytest.mark.slow
def test_wandb_without_a_key(here: Path) -> None:
    done = run_logger("wandb", here, WANDB_MODE="online")
    assert done.returncode != 0
    assert "UsageError: wandb cannot be used" in done.stderr
    assert "WANDB_MODE=offline" in done.stderr


@pytest.mark.nightly
def test_mlflow_in_a_database(here: Path) -> None:
    done = run_logger("mlflow", here)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    with sqlite3.connect(here / "mlflow.db") as base:
        rows = base.execute("SELECT key, value, step FROM metrics").fetchall()
        assert {row[0]: row[1] for row in rows if row[2] == 3} == numbers_of(ACCEPTED)
        assert base.execute("SELECT status, name FROM runs").fetchall() == [
            ("FINISHED", "gco/pong/first")
        ]
    base.close()


class Failing:
    """A sink whose server went away."""

    where = "nowhere"

    def __init__(self) -> None:
        self.n_calls = 0

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        self.n_calls += 1
        raise ConnectionError("gone\x1b[2J")

    def close(self, *, is_good: bool) -> None:
        self.n_calls += 1


def test_a_logger_that_fails_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    sink = Failing()
    log = RunLogger(sink)
    log(ACCEPTED)
    log(REPORTED)
    log.close(is_good=True)
    assert sink.n_calls == 1
    (record,) = caplog.records
    assert "the run goes on: ConnectionError: gone" in record.getMessage()
    assert "\x1b" not in record.getMessage()


def test_what_cannot_be_logged_to_is_refused(here: Path) -> None:
    with pytest.raises(UsageError, match=", ".join(NAMES)), open_logger("x", "b", {}):
        pass
    (here / "runs").symlink_to("/tmp")
    with pytest.raises(UsageError, match="runs is a symbolic link"), open_logger(NAMES[2], "b", {}):
        pass


def test_whatever_a_library_raises_at_the_start_is_a_refusal(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Sink:
        raise ZeroDivisionError("\x1b[2Jno such mode")

    monkeypatch.setattr("gco_agent.report.loggers.SINKS", {"wandb": broken})
    log = open_logger("wandb", "gco/pong/first", {})
    with pytest.raises(
        UsageError, match=r"wandb cannot be used .*no such mode.*WANDB_MODE"
    ) as told:
        log.__enter__()
    assert "\x1b" not in str(told.value)


def test_a_clone_cannot_lead_a_logger_elsewhere(here: Path, tmp_path: Path) -> None:
    (here / "runs/gco").mkdir(parents=True)
    (here / "runs/gco/pong").symlink_to(tmp_path)
    linked = open_logger("tensorboard", "gco/pong/first", {})
    with pytest.raises(UsageError, match="runs/gco/pong is a symbolic link"), linked:
        pass
    (here / "wandb").mkdir()
    (here / "wandb/settings").write_text("[default]\nbase_url = https://example.org\n")
    with pytest.raises(UsageError, match="wandb/settings"), open_logger("wandb", "b", {}):
        pass
