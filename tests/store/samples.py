"""Entries to commit, and git as a person would call it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from gco_agent.core.records import Verdict
from gco_agent.store.entries import Entry, Facts, RunRef, headline

REF = RunRef("pong", "20260131-1f0c")
POLICY = "policies/pong.py"


def git(root: Path, *arguments: str) -> str:
    """Run git as a person does, hooks and all, and return what it printed."""
    done = subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.removesuffix("\n")


def commit_file(root: Path, path: str, text: str, subject: str) -> str:
    """Change a file and commit it by hand."""
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)
    git(root, "add", path)
    git(root, "commit", "--quiet", "-m", subject)
    return git(root, "rev-parse", "HEAD")


def initial(ref: RunRef = REF, policy: str = "policy 0\n") -> Entry:
    facts = Facts(ref.branch, 0, Verdict.INITIAL, return_mean=-20.5, return_se=0.25, episodes=16)
    return Entry(
        headline(facts, "follow the ball"),
        "What the run starts from.",
        facts,
        policy,
        {"evaluation.json": "{}"},
        {"run.toml": 'game = "pong"\n'},
    )


def accepted(n: int, ref: RunRef = REF) -> Entry:
    facts = Facts(ref.branch, n, Verdict.ACCEPTED, return_mean=float(n), gain=1.0, frames=n * 1000)
    files = {"feedback.md": f"feedback {n}\n"}
    return Entry(headline(facts, f"edit {n}"), f"Reason {n}.", facts, f"policy {n}\n", files)


def candidate(n: int, name: str = "a", verdict: Verdict = Verdict.REJECTED) -> Entry:
    facts = Facts(REF.branch, n, verdict, gain=-1.0)
    text = f"candidate {n}{name}\n"
    return Entry(headline(facts, name, side=True), "Tried.", facts, text, {"reply.md": text})


def turned_down(n: int, verdict: Verdict = Verdict.REJECTED) -> Entry:
    facts = Facts(REF.branch, n, verdict, frames=n * 1000)
    return Entry(headline(facts, "none better"), "", facts)


def reported(n: int) -> Entry:
    facts = Facts(REF.branch, n, Verdict.REPORTED, return_mean=14.2, return_se=1.1, episodes=30)
    return Entry(headline(facts), "", facts, "policy with its score\n", {"report.json": "{}"})
