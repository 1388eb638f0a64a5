"""Ctrl-C and SIGTERM end a command soon, leave no process behind, and say what is saved."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.cli.conftest import SHORT
from tests.store.samples import git

_SOON_S = 4.0
"""Two seconds are the aim, on a machine that does nothing else."""


def children_of(pid: int) -> set[int]:
    """The processes that descend from one."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text().rpartition(") ")[2].split()
        except OSError:
            continue
        if stat[0] != "Z":
            parents[int(folder.name)] = int(stat[1])
    found: set[int] = set()
    wanted = {pid}
    while wanted:
        wanted = {child for child, parent in parents.items() if parent in wanted} - found
        found |= wanted
    return found


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def wait_for(process, words: str) -> None:
    """Read what it says until it says ``words``."""
    for line in process.stderr:
        if words in line:
            return
    pytest.fail(f"it never said {words!r}")


def end(process, *signals: int) -> str:
    """Send signals, wait for the end, and make sure that nothing is left; what it said last."""
    children = children_of(process.pid)
    assert children
    began = time.monotonic()
    for number in signals:
        process.send_signal(number)
        time.sleep(0.1)
    _, errors = process.communicate(timeout=20)
    assert time.monotonic() - began < _SOON_S
    deadline = time.monotonic() + 2
    while left := {pid for pid in children if is_running(pid)}:
        assert time.monotonic() < deadline, left
        time.sleep(0.05)
    assert "Traceback" not in errors
    assert "Error" not in errors
    return str(errors)


def test_in_mid_search(start, project):
    """With the impatience that is usual."""
    process = start(project, "run", "pong", "--name", "cut", *SHORT)
    wait_for(process, "iteration 1: screen")
    errors = end(process, signal.SIGINT, signal.SIGINT, signal.SIGINT)
    assert process.returncode == 130
    assert "Stopped (SIGINT). Saved on gco/pong/cut: the initial policy. Mean" in errors
    assert "gco-agent step --run gco/pong/cut" in errors
    git(project, "fsck", "--strict")
    assert git(project, "status", "--porcelain") == ""
    assert git(project, "log", "--format=%s").splitlines()[0].startswith("Start gco/pong/cut")


def test_before_the_first_commit(start, project):
    process = start(project, "run", "pong", "--name", "cut")
    wait_for(process, "initial policy")
    errors = end(process, signal.SIGINT)
    assert process.returncode == 130
    assert "before the first commit; nothing was changed" in errors
    assert git(project, "branch", "--list", "gco/*") == ""


def test_it_goes_on_after(start, cli, played):
    process = start(played, "step", "-n", "50", "--workers", "1")
    wait_for(process, "iteration 5")
    end(process, signal.SIGINT)
    assert process.returncode == 130
    assert git(played, "status", "--porcelain") == ""
    result = cli(played, "step", "--workers", "1")
    assert result.exit_code == 0, result.output


def test_while_a_policy_is_measured(start, played):
    """By SIGTERM."""
    process = start(played, "eval", "--episodes", "500", "--workers", "2")
    wait_for(process, "on report 0:500")
    time.sleep(1.0)
    end(process, signal.SIGTERM)
    assert process.returncode == 143
