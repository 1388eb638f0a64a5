"""Kill `gco-agent run` and `gco-agent step` at random moments, and check what they leave.

After every kill `git fsck` must be clean and the run, where one was made, must be readable and go
on with one finished `gco-agent step`. A small game is played so that commits are frequent.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMAND = [sys.executable, "-m", "gco_agent"]
SMALL = ["--slice-steps", "300", "--max-steps", "60", "--report-episodes", "0", "--name", "killed"]
LONGEST_S = 6.0


def git(repo: Path, *args: str) -> str:
    """Output of a git command that must succeed."""
    done = subprocess.run(
        ["git", *args], cwd=repo, capture_output=True, text=True, check=False, timeout=60
    )
    if done.returncode:
        raise SystemExit(f"git {' '.join(args)} failed: {done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def kill_after(repo: Path, arguments: list[str], seconds: float) -> bool:
    """Start gco-agent and SIGKILL it after ``seconds``; whether it still ran then."""
    process = subprocess.Popen(
        [*COMMAND, *arguments], cwd=repo, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        return True
    return False


def check(repo: Path) -> int:
    """Number of iterations on the branch after one more; 0 where no run was made yet."""
    report = git(repo, "fsck", "--strict", "--no-dangling", "--no-progress")
    if "error" in report or "missing" in report or "corrupt" in report:
        raise SystemExit(f"git fsck: {report}")
    if "killed" not in git(repo, "branch", "--list", "gco/pong/killed"):
        return 0
    before = iterations(repo)
    step = subprocess.run(
        [*COMMAND, "step", "gco/pong/killed"],
        cwd=repo, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    if step.returncode:
        raise SystemExit(f"step did not go on: {step.stderr}")
    after = iterations(repo)
    if after != before + 1:
        raise SystemExit(f"{before} iterations, then {after}")
    if dirty := git(repo, "status", "--porcelain"):
        raise SystemExit(f"the work tree is not clean: {dirty}")
    return after


def iterations(repo: Path) -> int:
    """Iterations that `gco-agent log` finds."""
    shown = subprocess.run(
        [*COMMAND, "log", "gco/pong/killed", "--json"],
        cwd=repo, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return len(json.loads(shown.stdout)["iterations"]) - 1


def main(n_kills: int, seed: int) -> None:
    """Do it ``n_kills`` times."""
    rng = random.Random(seed)  # noqa: S311 - no secret
    n_killed = n_done = 0
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        repo = Path(folder)
        git(repo, "init", "-q", "-b", "main")
        git(repo, "config", "user.name", "kill test")
        git(repo, "config", "user.email", "kill-test@example.invalid")
        git(repo, "commit", "-q", "--allow-empty", "-m", "base")
        while n_killed < n_kills:
            exists = bool(git(repo, "branch", "--list", "gco/pong/killed"))
            what = ["step", "-n", "1000", "gco/pong/killed"]
            arguments = what if exists else ["run", "pong", *SMALL]
            n_killed += kill_after(repo, arguments, rng.uniform(0.2, LONGEST_S))
            n_done = check(repo)
            print(f"kill {n_killed}: fsck clean, branch valid, {n_done} iterations", flush=True)
            if n_killed % 10 == 0 and exists:  # begin another run now and then
                git(repo, "switch", "-q", "main")
                git(repo, "branch", "-D", "gco/pong/killed")
    print(f"{n_killed} kills, 0 broken, {time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    given = [int(text) for text in sys.argv[1:]]
    main(*(given + [100, 0][len(given) :]))
