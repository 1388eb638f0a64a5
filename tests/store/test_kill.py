"""Killed between any two git commands, a run is valid and the next command goes on.

Every action is done again and again in a copy of the project, by a child that kills itself (as
kill -9 does) after its n-th git command that writes, for every n there is: what it leaves then is
all it can leave until the next one.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from gco_agent.core.errors import StoreError
from gco_agent.core.records import Verdict
from gco_agent.store import git as door
from gco_agent.store.git import GitRepo, WorkTree
from gco_agent.store.run import Runs
from tests.store.samples import (
    POLICY,
    REF,
    accepted,
    candidate,
    git,
    initial,
    turned_down,
)

Action = Callable[[Runs], object]
WRITING = {
    "hash-object", "read-tree", "update-index", "write-tree", "commit-tree", "update-ref",
    "checkout", "checkout-index", "mktree",
}  # fmt: skip
FORK = multiprocessing.get_context("fork")


def accept_first(runs: Runs) -> None:
    with runs.open(REF) as run:
        run.commit(accepted(1))


def accept(runs: Runs) -> None:
    with runs.open(REF) as run:
        run.commit(accepted(2), beside=[candidate(2)])


def reject(runs: Runs) -> None:
    with runs.open(REF) as run:
        run.commit(turned_down(2), [candidate(2, "a"), candidate(2, "b", Verdict.FAILED)])


def roll_back(runs: Runs) -> None:
    with runs.open(REF) as run:
        run.rollback("0")


def create(runs: Runs) -> None:
    runs.create(REF, initial(), switch=True)


def publish(runs: Runs) -> None:
    runs.publish_file(POLICY, "best\n", "Publish", "", {})


def killed_at(root: Path, action: Action, n: int) -> bool:
    """Do an action in a child that dies after its n-th write; False if it has no n-th."""

    def child() -> None:
        real, writes = door._start, iter(range(10_000))

        def start(place, arguments, **kwargs):
            result = real(place, arguments, **kwargs)
            if WRITING & set(arguments) and next(writes) == n:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        door._start = start
        action(Runs(GitRepo(root / ".git", root / ".git", root)))

    process = FORK.Process(target=child)
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def each_kill(template: Path, action: Action):
    """Yield a copy of a project for every way to be killed in an action."""
    for n in itertools.count():
        root = template.with_name(f"{template.name}-{n}")
        shutil.copytree(template, root)
        git(root, "update-index", "-q", "--refresh")  # a copy has other inodes
        if not killed_at(root, action, n):
            assert n > 5
            break
        assert "error" not in git(root, "fsck", "--strict", "--no-dangling")
        yield root
        shutil.rmtree(root)


@pytest.mark.parametrize("action", [accept, reject, roll_back])
def test_a_run_goes_on_after_a_kill(project, started, action):
    accept_first(started)
    tip = started.view(REF).tip
    outcomes = set()
    for root in each_kill(project, action):
        runs = Runs(GitRepo.find(root))
        with runs.open(REF) as run:
            last = run.last_iteration
            assert last in (1, 2)
            assert (run.tip == tip) is (last == 1)
            assert git(root, "status", "--porcelain") == ""
            run.commit(accepted(last + 1))
        outcomes.add(last)
        assert git(root, "status", "--porcelain", "--untracked-files") == ""
        assert (root / POLICY).read_text() == f"policy {last + 1}\n"
        assert [s.iteration for s in runs.view(REF).history()] == list(range(last + 2))
    assert outcomes == {1, 2}


def catch_up(runs: Runs) -> None:
    runs.open(REF).close()


def test_catching_up_goes_on_after_a_kill(project, started, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(WorkTree, "bring_along", lambda *_: None)
        accept_first(started)
    for root in each_kill(project, catch_up):
        accept(Runs(GitRepo.find(root)))
        assert git(root, "status", "--porcelain", "--untracked-files") == ""
        assert (root / POLICY).read_text() == "policy 2\n"


def test_a_run_is_there_or_not_after_a_kill(project):
    outcomes = set()
    for root in each_kill(project, create):
        runs = Runs(GitRepo.find(root))
        exists = runs.list() == [REF]
        if not exists:
            create(runs)
        with runs.open(REF) as run:
            run.commit(accepted(1))
        outcomes.add(exists)
        assert git(root, "status", "--porcelain", "--untracked-files") == ""
    assert outcomes == {True, False}


def test_publishing_goes_on_after_a_kill(project, started):
    git(project, "checkout", "--quiet", "main")
    for root in each_kill(project, publish):
        runs = Runs(GitRepo.find(root))
        runs.publish_file(POLICY, "better\n", "Publish", "", {})
        assert git(root, "status", "--porcelain", "--untracked-files") == ""
        assert (root / POLICY).read_text() == "better\n"
        assert git(root, "show", f"main:{POLICY}") == "better"


@pytest.fixture
def small_disk(tmp_path: Path):
    """A file system of 600 kB, or a skip where none can be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(disk)],
        check=False,
        capture_output=True,
        text=True,
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a small file system: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@contextlib.contextmanager
def filled(disk: Path, *, left: int):
    """Fill a disk but for some bytes."""
    fill = disk / "fill"
    with fill.open("wb") as file:
        free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        file.write(bytes(max(0, free - left)))
    yield
    fill.unlink()


def advance(runs: Runs) -> int:
    with runs.open(REF) as run:
        run.commit(accepted(run.last_iteration + 1))
        return run.last_iteration


def test_a_full_disk_loses_nothing(small_disk, project):
    root = small_disk / "project"
    shutil.copytree(project, root)
    runs = Runs(GitRepo.find(root))
    runs.create(REF, initial(), switch=True)
    advance(runs)
    with (
        filled(small_disk, left=0),
        pytest.raises(StoreError, match=r"disk.*Nothing of the run was"),
    ):
        advance(runs)
    for left in range(4096, 40_000, 4096):  # full at some other command each time
        with filled(small_disk, left=left), contextlib.suppress(StoreError):
            advance(runs)
        assert "error" not in git(root, "fsck", "--strict", "--no-dangling")
    assert 1 < advance(runs) < 11
    assert git(root, "status", "--porcelain") == ""
