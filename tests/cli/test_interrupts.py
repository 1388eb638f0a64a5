"""Ctrl-C and SIGTERM end a command soon, leave no process behind, and say what is saved."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

from tests.cli.conftest import SHORT, launch
from tests.messages_server import MessagesServer, Reply, message
from tests.store.samples import git

SHORTER = ("--max-steps", "60", "--workers", "1")
_SOON_S = 4.0
"""Two seconds are the aim, on a machine that does nothing else."""
_WITH_COMMIT_S = 8.0
"""The same, with an iteration to be committed before the end."""


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


def end(process, *signals: int, soon_s: float = _SOON_S) -> str:
    """Send signals, wait for the end, and make sure that nothing is left; what it said last."""
    children = children_of(process.pid)
    assert children
    began = time.monotonic()
    for number in signals:
        process.send_signal(number)
        time.sleep(0.1)
    _, errors = process.communicate(timeout=20)
    assert time.monotonic() - began < soon_s
    deadline = time.monotonic() + 2
    while left := {pid for pid in children if is_running(pid)}:
        assert time.monotonic() < deadline, left
        time.sleep(0.05)
    assert "Traceback" not in errors, errors
    assert "Error" not in errors
    return str(errors)


def test_in_mid_search(start, project):
    """With the impatience that is usual."""
    process = start(project, "run", "pong", "--name", "cut", *SHORT)
    wait_for(process, "iteration 1: screen")
    errors = end(process, signal.SIGINT, signal.SIGINT, signal.SIGINT)
    assert process.returncode == 130
    assert "Stopped (SIGINT). Saved on gco/pong/cut: the initial policy. Mean" in errors
    assert "gco-agent step gco/pong/cut" in errors
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


def slow(**how) -> Reply:
    """A reply that says at once what was read, and then takes its time."""
    usage = {"input_tokens": 5_000, "cache_creation_input_tokens": 2_000, "output_tokens": 900}
    return message("Let me think. " * 400, usage=usage, **how)


def test_while_a_language_model_answers(surroundings, project, cli, monkeypatch):
    """What the request took is committed, and the limit in dollars knows of it."""
    run = ("run", "pong", "--name", "cut", "--optimizer", "reflect", *SHORTER)
    with MessagesServer([slow(drip=0.002)]) as server:
        environment = {**surroundings, "ANTHROPIC_BASE_URL": server.url}
        process = launch(project, environment, *run)
        try:
            while not server.requests:
                assert process.poll() is None
                time.sleep(0.05)
            time.sleep(1.5)  # some hundred bytes: what was read is told, the reply has begun
            errors = end(process, signal.SIGINT, soon_s=_WITH_COMMIT_S)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "Stopped (SIGINT). Saved on gco/pong/cut: the initial policy and 1 iteration." in errors
    told = git(project, "log", "-1", "--format=%B", "gco/pong/cut")
    assert "the command was ended (SIGINT) while the language model was asked" in told
    assert "Gco-Tokens-In: 7000" in told
    [line] = [line for line in told.splitlines() if line.startswith("Gco-Tokens-Out: ")]
    assert 1 <= int(line.split()[1]) < 900
    assert "Gco-Usd: 0.0" in told
    assert git(project, "status", "--porcelain") == ""
    [kept] = json.loads(git(project, "show", "gco/pong/cut^2:iterations/0001/exchange.json"))[
        "exchanges"
    ]
    assert "Let me think" in kept["partial"]
    assert kept["at_risk"]["output_tokens"] > 30_000
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")  # which is not asked
    result = cli(project, "step", "gco/pong/cut", "--usd", "0.5", "--workers", "1")
    assert "spent, and the next request could cost" in result.output


def test_before_a_language_model_says_anything(surroundings, project):
    """Nobody knows whether that is billed; it counts against the limit, and not in the trailers."""
    run = ("run", "pong", "--name", "cut", "--optimizer", "reflect", *SHORTER)
    with MessagesServer([slow(wait=6.0)]) as server:
        process = launch(project, {**surroundings, "ANTHROPIC_BASE_URL": server.url}, *run)
        try:
            while not server.requests:
                assert process.poll() is None
                time.sleep(0.05)
            time.sleep(0.3)
            end(process, signal.SIGTERM, soon_s=_WITH_COMMIT_S)
        finally:
            process.kill()
    assert process.returncode == 143
    told = git(project, "log", "-1", "--format=%B", "gco/pong/cut")
    assert "Gco-Tokens-In: 0\nGco-Tokens-Out: 0" in told
