"""`run` and `step` are killed at random moments: nothing is lost, and all that is left holds."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest

from tests.cli.conftest import Cli, Start
from tests.store.samples import git

RUN, REF = "gco/pong/killed", "refs/heads/gco/pong/killed"
SHORT = ("--max-steps", "60", "--workers", "1")
START = ("run", "pong", "--name", "killed", "--optimizer", "scripted", "--report-episodes", "0")
STEPS = ("step", RUN, "-n", "999", "--workers", "1")
LONGEST_S, PATIENCE_S = 4.0, 120.0


def commits(project: Path) -> set[str]:
    """Return the commits of the run, those of candidates too; none where it has not begun.

    A set, since `rev-list` sorts by time, and commits of candidates may be older than the tip.
    """
    exists = git(project, "for-each-ref", REF)
    return set(git(project, "rev-list", REF).split()) if exists else set()


@pytest.mark.parametrize("n_kills", [2, pytest.param(24, marks=pytest.mark.nightly)])
def test_nothing_is_lost_by_kills_and_all_of_it_holds(
    cli: Cli, start: Start, project: Path, n_kills: int
) -> None:
    rng, kept = random.Random(n_kills), set[str]()
    for n in range(n_kills):
        process = start(project, *(STEPS if kept else (*START, *SHORT)))
        give_up = time.monotonic() + PATIENCE_S
        while n % 2 and len(commits(project)) == len(kept) and time.monotonic() < give_up:
            time.sleep(0.05)  # every second time, an iteration is made first
        time.sleep(rng.uniform(0, LONGEST_S))
        assert process.poll() is None
        process.kill()
        process.communicate()
        before, kept = kept, commits(project)
        assert kept >= before
        assert len(kept) > len(before) or n % 2 == 0
        assert "error" not in git(project, "fsck", "--strict", "--no-dangling", "--no-progress")
    finished = cli(project, "step", RUN, "--json", "--workers", "1")
    assert finished.exit_code == 0, finished.output
    assert commits(project) > kept
    assert git(project, "status", "--porcelain") == ""
    logged = json.loads(cli(project, "log", RUN, "--json").stdout)
    line = git(project, "rev-list", "--count", "--first-parent", REF, "^main")
    assert len({row["iteration"] for row in logged["iterations"]}) == int(line)
    verified = cli(project, "verify", "--all", RUN, "--workers", "1")
    assert verified.exit_code == 0, verified.output
