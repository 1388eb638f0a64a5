"""One writer a run, across processes, and no lock is left behind by a dead one."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys

import filelock
import pytest

from gco_agent.core.errors import RunBusy, StoreError
from tests.store.samples import REF, accepted

HOLD = """
import multiprocessing, sys, time
from pathlib import Path
from gco_agent.store.entries import RunRef
from gco_agent.store.git import GitRepo
from gco_agent.store.run import Runs
run = Runs(GitRepo.find(Path(sys.argv[1]))).open(RunRef.parse(sys.argv[2]))
worker = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
worker.start()
print(worker.pid, flush=True)
sys.stdin.read()
"""


def test_a_second_writer_is_told_who_the_first_is(started):
    with started.open(REF), pytest.raises(RunBusy, match=f"advanced by process {os.getpid()}; wa"):
        started.open(REF)
    started.open(REF).close()


def test_closing_twice_does_nothing(started):
    run = started.open(REF)
    run.close()
    run.close()


def test_the_kernel_releases_the_lock_of_a_killed_process(started, project):
    """Also where a forked worker of it lives on for a while."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(project), REF.branch],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        worker = int(child.stdout.readline())
        try:
            with pytest.raises(RunBusy, match=f"process {child.pid}"):
                started.open(REF)
            child.send_signal(signal.SIGKILL)
            child.wait()
            os.kill(worker, 0)  # still there
            with started.open(REF) as run:
                run.commit(accepted(1))
        finally:
            os.kill(worker, signal.SIGKILL)


def test_a_file_without_a_process_id_is_another_process(started, repo):
    with started.open(REF):
        repo.private_file(f"{REF.stem}.pid").write_text("")
        with pytest.raises(RunBusy, match="advanced by another process"):
            started.open(REF)


def test_a_file_system_without_locks_gets_a_warning(started, monkeypatch, caplog):
    def no_locks(self):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(filelock.UnixFileLock, "_acquire", no_locks)
    with started.open(REF) as run:
        run.commit(accepted(1))
    assert "has no locks" in caplog.text


def test_a_lock_that_cannot_be_had_says_why(started, repo, monkeypatch):
    path = repo.private_file(f"{REF.stem}.lock")
    with monkeypatch.context() as patch:

        def broken(self):
            raise OSError(errno.EIO, "Input/output error")

        patch.setattr(filelock.UnixFileLock, "_acquire", broken)
        with pytest.raises(StoreError, match=r"cannot lock .*Input/output error"):
            started.open(REF)
    path.unlink(missing_ok=True)
    path.mkdir(parents=True)
    with pytest.raises(StoreError, match=r"cannot lock .*"):
        started.open(REF)


def test_the_lock_is_not_behind_a_link(started, repo, tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("precious")
    path = repo.private_file(f"{REF.stem}.lock")
    path.unlink(missing_ok=True)
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(outside)
    with pytest.raises(StoreError, match="symbolic link"):
        started.open(REF)
    assert outside.read_text() == "precious"
