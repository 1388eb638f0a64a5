"""One writer a run, across processes, and none left behind by a dead one."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gco_agent.core.errors import RunBusy, StoreError
from gco_agent.store import lock as module
from gco_agent.store.lock import RunLock

HOLD = (
    "import sys; from pathlib import Path; from gco_agent.store.lock import RunLock\n"
    "lock = RunLock(Path(sys.argv[1]), 'gco/pong/x'); print('held', flush=True); sys.stdin.read()"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gco-agent" / "pong-x.lock"


def test_a_second_writer_is_told_who_the_first_is(path):
    with (
        RunLock(path, "gco/pong/x"),
        pytest.raises(
            RunBusy, match=f"gco/pong/x is being advanced by process {os.getpid()}; wait"
        ),
    ):
        RunLock(path, "gco/pong/x")
    RunLock(path, "gco/pong/x").release()


def test_releasing_twice_does_nothing(path):
    lock = RunLock(path, "r")
    lock.release()
    lock.release()


def test_the_kernel_releases_the_lock_of_a_killed_process(path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        with pytest.raises(RunBusy, match=f"process {child.pid}"):
            RunLock(path, "gco/pong/x")
        child.send_signal(signal.SIGKILL)
        child.wait()
        RunLock(path, "gco/pong/x").release()


def test_a_forked_worker_does_not_hold_the_run_of_its_parent(path):
    """Parent dies, worker lives on for a while: the run is free."""
    fork = multiprocessing.get_context("fork")
    ours, theirs = fork.Pipe()
    lock = RunLock(path, "r")
    assert lock._descriptor is not None

    def stay() -> None:
        theirs.send("up")
        theirs.recv()

    worker = fork.Process(target=stay)
    worker.start()
    assert ours.recv() == "up"
    try:
        os.close(lock._descriptor)  # as the kernel does for a killed process: no unlocking
        lock._descriptor = None
        RunLock(path, "r").release()
    finally:
        ours.send(None)
        worker.join()


def test_a_file_without_a_process_id_is_no_riddle(path, monkeypatch):
    def no_space(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "ftruncate", no_space)
    with RunLock(path, "r"), pytest.raises(RunBusy, match="advanced by another process"):
        RunLock(path, "r")


def test_a_file_system_without_locks_gets_a_warning(path, monkeypatch, caplog):
    def no_locks(_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(module, "_try_lock", no_locks)
    RunLock(path, "r").release()
    assert "has no locks" in caplog.text


def test_a_lock_that_cannot_be_had_says_why(path, monkeypatch):
    def broken(_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(module, "_try_lock", broken)
    with pytest.raises(StoreError, match=r"cannot lock .*Input/output error"):
        RunLock(path, "r")
    path.unlink()
    path.mkdir()
    with pytest.raises(StoreError, match=r"cannot open the lock of run r, .*Is a directory"):
        RunLock(path, "r")
