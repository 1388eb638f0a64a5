"""A repository of a stranger: its settings, links, dates and messages do no harm."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gco_agent.core.errors import GcoError, StoreError
from gco_agent.core.records import Verdict
from gco_agent.store.entries import format_message
from gco_agent.store.git import GitRepo
from gco_agent.store.run import Runs
from tests.core.test_text import NASTY
from tests.store.samples import (
    POLICY,
    REF,
    accepted,
    candidate,
    commit_file,
    git,
    initial,
    turned_down,
)

SECRETS = {"ANTHROPIC_API_KEY": "sk-1", "GITHUB_TOKEN": "t", "MY_SECRET_KEY": "k", "HF_TOKEN": "h"}


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program that leaves a trace of having run."""
    path = tmp_path / "evil"
    path.write_text(f'#!/bin/sh\nenv >>"{tmp_path}/ran"\necho "$0 $*" >>"{tmp_path}/ran"\ncat\n')
    path.chmod(0o755)
    return path


def use_everything(root: Path) -> None:
    runs = Runs(GitRepo.find(root))
    runs.create(REF, initial(), switch=True)
    with runs.open(REF) as run:
        (root / POLICY).touch()
        run.commit(accepted(1))
        (root / POLICY).write_text("edited meanwhile\n")
        run.commit(accepted(2))
    git(root, "checkout", "--quiet", "-f", REF.branch)
    with runs.open(REF) as run:
        run.commit(turned_down(3), [candidate(3)])
        run.rollback("1")
    [runs.view(ref).summary() for ref in runs.list()]
    git(root, "checkout", "--quiet", "-f", "main")
    (root / "README.md").touch()
    runs.publish_file(POLICY, "best\n", "Publish", "", {})
    runs.view(REF).history()


def test_no_program_of_the_settings_runs(project, program, tmp_path):
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in ("post-checkout", "reference-transaction", "post-index-change", "pre-commit"):
        shutil.copy(program, hooks / name)
    commit_file(project, ".gitattributes", "* filter=evil diff=evil merge=evil\n", "Attributes")
    (project / ".git/more").write_text(
        f'[filter "a=b evil"]\n\tclean = {program}\n[filter "evil"]\n\tprocess = {program}\n'
        f"\tclean = {program}\n\tsmudge = {program}\n\trequired = true\n"
        f'[diff "evil"]\n\ttextconv = {program}\n\tcommand = {program}\n'
        f'[merge "evil"]\n\tdriver = {program}\n'
    )
    with (project / ".git/config").open("a") as config:
        config.write(
            f"[include]\n\tpath = more\n[core]\n\tfsmonitor = {program}\n\thooksPath = {hooks}\n"
            f"\tsshCommand = {program}\n\tpager = {program}\n\teditor = {program}\n"
            f"[diff]\n\texternal = {program}\n[gpg]\n\tprogram = {program}\n"
            "[commit]\n\tgpgSign = true\n[log]\n\tshowSignature = true\n"
            f"[credential]\n\thelper = !{program}\n[protocol]\n\tallow = always\n"
        )
    runs = Runs(GitRepo.find(project))
    runs.create(REF, initial(), switch=True)
    with runs.open(REF) as run:
        run.commit(accepted(1))
        (project / POLICY).write_text("edited meanwhile\n")
        run.commit(accepted(2))
        run.commit(turned_down(3), [candidate(3)])
        run.rollback("1")
    with pytest.raises(StoreError, match="not committed"):
        runs.open(REF)
    [runs.view(ref).summary() for ref in runs.list()]
    assert not (tmp_path / "ran").exists()
    subprocess.run(["git", "-C", str(project), "status"], check=False, capture_output=True)
    assert (tmp_path / "ran").exists(), "git alone does run them"


def test_a_missing_object_is_not_fetched(project, program, tmp_path):
    """A partial clone fetches by itself what it lacks, by a program that its config names."""
    commit_file(project, "file", "text", "Second")
    blob = git(project, "rev-parse", "HEAD:file")
    (project / ".git/objects" / blob[:2] / blob[2:]).unlink()
    with (project / ".git/config").open("a") as config:
        config.write(
            "[core]\n\trepositoryformatversion = 1\n[extensions]\n\tpartialClone = origin\n"
            f'[remote "origin"]\n\turl = ext::{program}\n\tpromisor = true\n'
            '[protocol "ext"]\n\tallow = always\n'
        )
    with pytest.raises(StoreError):
        GitRepo.find(project).read_file("HEAD", "file")
    assert not (tmp_path / "ran").exists()


def test_keys_do_not_reach_git(project, program, tmp_path, monkeypatch):
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    settings = Path(os.environ["HOME"]) / ".gitconfig"  # of the user, so it does run
    settings.write_text(f"{settings.read_text()}[core]\n\tattributesFile = {tmp_path}/all\n")
    (tmp_path / "all").write_text("* filter=own\n")
    with settings.open("a") as config:
        config.write(f'[filter "own"]\n\tclean = {program}\n')
    (project / "README.md").write_text("A project!\n")
    GitRepo.find(project).run("status", "--porcelain")
    told = (tmp_path / "ran").read_text()
    assert "GIT_AUTHOR_DATE=2026-01-31T12:00:00+00:00" in told
    assert not any(f"{name}={value}" in told for name, value in SECRETS.items())


def test_a_work_tree_that_the_settings_place_elsewhere_is_refused(project, tmp_path):
    git(project, "config", "core.worktree", str(tmp_path))
    with pytest.raises(StoreError, match=r"core\.worktree"):
        GitRepo.find(project)


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize(
    "links",
    [
        {POLICY: "target.txt"},
        {"policies": "."},
        {"iterations": "."},
        {"run.toml": "target.txt"},
        {"iterations/0001": ".", "iterations/0002/feedback.md": "target.txt"},
        {"iterations/.gitattributes": "target.txt"},
    ],
)
def test_links_of_a_clone_lead_nowhere(project, tmp_path, links):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "target.txt").write_text("precious\n")
    (outside / "pong.py").write_text("precious\n")
    (outside / "0001").mkdir()
    (outside / "0001" / "feedback.md").write_text("precious\n")
    for name, target in links.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).symlink_to(outside / target)
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "-m", "Links")
    git(tmp_path, "clone", "--quiet", str(project), "clone")
    before = snapshot(outside)
    with contextlib.suppress(GcoError, subprocess.CalledProcessError):  # a refusal will do, too
        use_everything(tmp_path / "clone")
    assert snapshot(outside) == before
    assert not (outside / "pong.py").is_symlink()


DATES = st.sampled_from(
    ["", "1769860800 +9999", "99999999999999 +0000", "253402300800 +0000", "-1 +0000", "x y",
     "1769860800", "1769860800 -2500", "18446744073709551616 +0000", "0 +0000", "1 +1"]
)  # fmt: skip


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    date=DATES,
    damage=st.sampled_from(["none", "cut", "repeat", "text", "empty"]),
    at=st.integers(0, 600),
    text=NASTY,
)
def test_damaged_commits_are_read_or_refused(started, project, date, damage, at, text):
    message = format_message("Iteration 1 accepted: x", "Why.", accepted(1).facts)
    message = {
        "none": message,
        "cut": message[:at],
        "repeat": message + message[at:],
        "text": message[:at]
        + text.encode("utf-8", "replace").decode().replace("\0", "")
        + message[at:],
        "empty": "",
    }[damage]
    tip = git(project, "rev-parse", REF.branch)
    tree = git(project, "rev-parse", f"{REF.branch}^{{tree}}")
    who = f"Test <test@example.org> {date}".rstrip()
    head = f"tree {tree}\nparent {tip}\nauthor {who}\ncommitter {who}\n\n".encode()
    content = head + message.encode("utf-8", "surrogateescape")
    made = subprocess.run(
        ["git", "hash-object", "-t", "commit", "-w", "--stdin", "--literally"],
        cwd=project, input=content, check=True, capture_output=True,
    ).stdout.decode().strip()  # fmt: skip
    git(project, "update-ref", "refs/heads/gco/pong/damaged", made)
    runs = Runs(GitRepo.find(project))
    view = runs.view(replace(REF, run_id="damaged"))
    try:
        trials = view.trials()
        list(view.details(trials))
        assert all(trial.when.timestamp() >= 0 and trial.when.isoformat() for trial in trials)
        assert all(step.verdict in Verdict for step in view.history())
    except GcoError:
        pass
    assert view.summary().commit == made
    try:
        with runs.open(view.ref) as run:
            run.rollback("0")
    except GcoError:
        pass


@pytest.mark.parametrize("path", ["../../pwn.txt", "/pwn.txt", ".git/hooks/x", "a/../../x"])
def test_a_path_outside_is_refused_before_anything_is_made(project, runs, path):
    before = git(project, "for-each-ref")
    entry = replace(initial(), files={path: "x"})
    with pytest.raises(StoreError, match="is not a path"):
        runs.create(REF, entry, switch=False)
    assert git(project, "for-each-ref") == before


REASONS = ("diff --git a/x b/x", "Index: x", "From 0123 Mon Sep 17 00:00:00 2001", "---", "--- a",
           "Subject: other", "Gco-Outcome: accepted", "diff -r x")  # fmt: skip


@pytest.mark.parametrize("line", REASONS)
def test_a_reason_does_not_end_the_message_for_git_am(project, started, tmp_path, line):
    with started.open(REF) as run:
        run.commit(replace(accepted(1), body=f"{line}\n\n{line}\nmore\n{line}"))
    message = git(project, "log", "-1", "--format=%B")
    git(project, "format-patch", "--quiet", "-1", "-o", str(tmp_path / "out"))
    (patch,) = (tmp_path / "out").iterdir()
    git(project, "checkout", "--quiet", "-b", "again", "HEAD~1")
    git(project, "am", "--quiet", "--keep-cr", str(patch))
    assert git(project, "log", "-1", "--format=%B").split("\n\n")[-1] == message.split("\n\n")[-1]
