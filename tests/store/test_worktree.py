"""The checked out files follow the run, and no change of a person is lost."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from gco_agent.core.errors import DirtyWorkTree
from gco_agent.store.git import GitRepo, WorkTree
from gco_agent.store.run import Runs
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


def status(root: Path) -> list[str]:
    return [line for line in git(root, "status", "--porcelain").split("\n") if line]


def move_alone(runs: Runs, monkeypatch: pytest.MonkeyPatch, *, steps: int = 1) -> None:
    """Advance the run as a process does that is killed before the files follow."""
    with monkeypatch.context() as patch:
        patch.setattr(WorkTree, "bring_along", lambda *_: None)
        with runs.open(REF) as run:
            for _ in range(steps):
                run.commit(accepted(run.last_iteration + 1))


def test_files_follow_only_where_the_run_is_checked_out(project, started):
    with started.open(REF) as run:
        run.commit(accepted(1))
        assert (project / POLICY).read_text() == "policy 1\n"
        git(project, "checkout", "--quiet", "main")
        (project / "README.md").write_text("being edited")
        run.commit(accepted(2))
    assert not (project / POLICY).exists()
    assert status(project) == ["M README.md"] or status(project) == [" M README.md"]
    git(project, "checkout", "--quiet", "--", "README.md")
    git(project, "checkout", "--quiet", REF.branch)
    assert (project / POLICY).read_text() == "policy 2\n"


def test_a_file_that_was_only_touched_is_no_change(project, started):
    with started.open(REF) as run:
        os.utime(project / POLICY, (1, 1))
        run.commit(accepted(1))
    assert (project / POLICY).read_text() == "policy 1\n"
    assert status(project) == []


def test_changes_elsewhere_in_the_tree_are_carried_along(project, started, caplog):
    with started.open(REF) as run:
        (project / "README.md").write_text("being edited")
        (project / "new").write_text("new")
        git(project, "add", "new")
        run.commit(accepted(1))
    assert caplog.text == ""
    assert (project / POLICY).read_text() == "policy 1\n"
    assert sorted(status(project)) == sorted([" M README.md", "A  new"])


def test_a_policy_edited_meanwhile_stays_and_the_commit_is_made(project, started, caplog):
    with started.open(REF) as run:
        (project / POLICY).write_text("edited meanwhile\n")
        commit = run.commit(accepted(1))
    assert git(project, "rev-parse", "HEAD") == commit
    assert (project / POLICY).read_text() == "edited meanwhile\n"
    assert (project / "iterations/0001/feedback.md").read_text() == "feedback 1\n"
    assert status(project) == [f" M {POLICY}"]
    assert f"the run has gone on to {commit[:9]}; files in {project} that you" in caplog.text
    assert f"were left as they are: {POLICY}. `git diff`" in caplog.text
    assert "`git stash`" in caplog.text
    with pytest.raises(DirtyWorkTree, match=f"are not committed: {POLICY}"):
        started.open(REF)
    git(project, "stash")
    assert (project / POLICY).read_text() == "policy 1\n"
    started.open(REF).close()


def test_a_policy_deleted_meanwhile_comes_back(project, started):
    with started.open(REF) as run:
        (project / POLICY).unlink()
        run.commit(accepted(1))
    assert (project / POLICY).read_text() == "policy 1\n"
    assert status(project) == []


@pytest.mark.parametrize("content", ["mine\n", "feedback 1\n"])
def test_an_untracked_file_in_the_way_stays(project, started, caplog, content):
    evidence = project / "iterations/0001/feedback.md"
    with started.open(REF) as run:
        evidence.parent.mkdir(parents=True)
        evidence.write_text(content)
        run.commit(accepted(1))
    assert evidence.read_text() == content
    assert (project / POLICY).read_text() == "policy 1\n"
    is_mine = content == "mine\n"
    assert status(project) == ([" M iterations/0001/feedback.md"] if is_mine else [])
    assert ("you have changed were left" in caplog.text) is is_mine


def test_folders_and_files_where_others_belong_stay(project, started, caplog):
    with started.open(REF) as run:
        (project / "iterations/0001").write_text("a file where a folder belongs")
        run.commit(accepted(1))
        (project / "iterations/0002/feedback.md").mkdir(parents=True)
        (project / "iterations/0002/feedback.md/x").write_text("a folder where a file belongs")
        run.commit(accepted(2))
    assert (project / "iterations/0001").read_text() == "a file where a folder belongs"
    assert (project / "iterations/0002/feedback.md/x").exists()
    assert (project / POLICY).read_text() == "policy 2\n"
    assert caplog.text.count("were left as they are") == 2


def test_what_was_staged_meanwhile_is_left_and_the_way_out_is_named(project, started, caplog):
    with started.open(REF) as run:
        (project / POLICY).write_text("staged\n")
        git(project, "add", POLICY)
        (project / POLICY).write_text("and edited again\n")
        commit = run.commit(accepted(1))
    assert git(project, "rev-parse", "HEAD") == commit
    assert git(project, "show", f":{POLICY}") == "staged"
    assert (project / POLICY).read_text() == "and edited again\n"
    assert (
        f"{commit[:9]} is committed, but the files in {project} were left as they are"
        in caplog.text
    )
    git(project, "stash")
    assert status(project) == []
    assert (project / POLICY).read_text() == "policy 1\n"
    started.open(REF).close()


@pytest.mark.parametrize("steps", [1, 3])
def test_files_that_were_left_behind_catch_up(project, started, monkeypatch, caplog, steps):
    move_alone(started, monkeypatch, steps=1)
    monkeypatch.setattr(WorkTree, "require_clean", lambda *_, **__: None)
    move_alone(started, monkeypatch, steps=steps - 1)
    monkeypatch.undo()
    assert status(project) != []
    with started.open(REF) as run:
        assert (project / POLICY).read_text() == f"policy {steps}\n"
        assert status(project) == []
        run.commit(accepted(steps + 1))
    assert status(project) == []
    assert "now are those of the last commit" in caplog.text


def test_files_of_a_dropped_commit_are_removed_when_catching_up(project, started, monkeypatch):
    commit_file(project, "deep/er/file", "x", "By hand")
    git(project, "rm", "--quiet", "-r", "deep")
    git(project, "commit", "--quiet", "-m", "And away")
    (project / "deep/er").mkdir(parents=True)
    (project / "deep/er/file").write_text("x")
    git(project, "read-tree", "HEAD~1")  # as killed before the files followed
    started.open(REF).close()
    assert not (project / "deep").exists()
    assert status(project) == []


def test_files_that_followed_half_way_catch_up(project, started, monkeypatch):
    """As when the whole machine stopped while git was writing them."""
    move_alone(started, monkeypatch)
    (project / "iterations/0001").mkdir(parents=True)
    (project / "iterations/0001/feedback.md").write_text("feedback 1\n")
    (project / POLICY).write_text("policy 1\n")
    started.open(REF).close()
    assert status(project) == []


def test_catching_up_leaves_what_a_person_changed_since(project, started, monkeypatch):
    move_alone(started, monkeypatch)
    (project / POLICY).write_text("edited since\n")
    (project / "README.md").write_text("edited since\n")
    with pytest.raises(DirtyWorkTree, match=rf"not committed: README\.md, {POLICY}\."):
        started.open(REF)
    assert (project / POLICY).read_text() == "edited since\n"
    assert (project / "README.md").read_text() == "edited since\n"
    assert (project / "iterations/0001/feedback.md").exists()
    assert status(project) == [" M README.md", f" M {POLICY}"]


def test_what_is_staged_is_no_crash(project, started, monkeypatch):
    move_alone(started, monkeypatch)
    (project / "README.md").write_text("staged")
    git(project, "add", "README.md")
    with pytest.raises(DirtyWorkTree, match=r"README\.md"):
        started.open(REF)
    assert git(project, "show", ":README.md") == "staged"


def test_a_conflict_is_no_crash(project, started):
    git(project, "checkout", "--quiet", "-b", "side")
    commit_file(project, POLICY, "one\n", "One")
    git(project, "checkout", "--quiet", REF.branch)
    commit_file(project, POLICY, "two\n", "Two")
    with pytest.raises(Exception, match="merge"):
        git(project, "merge", "side")
    with pytest.raises(DirtyWorkTree, match=POLICY):
        started.open(REF)


def test_a_work_tree_without_an_index_is_left_alone(project, started):
    (project / ".git/index").unlink()
    with pytest.raises(DirtyWorkTree, match=r"not committed: README\.md, iterations"):
        started.open(REF)


def test_a_rejected_iteration_changes_no_file(project, started):
    before = (project / POLICY).stat().st_mtime_ns
    with started.open(REF) as run:
        run.commit(turned_down(1), [candidate(1)])
    assert (project / POLICY).stat().st_mtime_ns == before
    assert status(project) == []


def test_line_ends_are_no_change_whatever_the_user_has_set(project, runs):
    commit_file(
        project,
        ".gitattributes",
        "* text eol=crlf\n*.md filter=none\nREADME.md -filter\n",
        "Attributes",
    )
    git(project, "config", "filter.none.clean", "tr a-z A-Z")
    runs.create(REF, replace(initial(), policy="one\r\ntwo\n"), switch=True)
    entry = replace(accepted(1), policy="three\r\nfour\n", files={"reply.md": "a\r\nb\nc\r"})
    with runs.open(REF) as run:
        run.commit(entry)
    assert status(project) == []
    assert (project / "iterations/0001/reply.md").read_bytes() == b"a\r\nb\nc\r"
    assert (project / POLICY).read_bytes() == b"three\r\nfour\r\n"
    with runs.open(REF) as run:
        assert run.policy() == "three\nfour\n"
        run.commit(accepted(2))
    assert status(project) == []


def test_names_with_spaces_and_accents_are_told_as_they_are(project, started):
    commit_file(project, "deux mots é.txt", "x", "By hand")
    (project / "deux mots é.txt").write_text("y")
    assert WorkTree(GitRepo.find(project), project).changed_files() == ["deux mots é.txt"]
    started.view(REF)
