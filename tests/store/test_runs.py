"""Runs are made, listed, found and opened, and nothing of the user's is touched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gco_agent.core.errors import (
    DirtyWorkTree,
    NoIdentity,
    NotARun,
    RunBusy,
    StoreError,
    UsageError,
)
from gco_agent.store.entries import RunRef
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

FILES = [
    "README.md",
    "iterations/.gitattributes",
    "iterations/0000/evaluation.json",
    POLICY,
    "run.toml",
]
OTHER = RunRef("pong", "20260201-2222")


def test_a_run_starts_on_what_is_checked_out(project, runs):
    before = git(project, "rev-parse", "HEAD")
    commit = runs.create(REF, initial(), switch=True)
    assert git(project, "rev-parse", f"{REF.branch}~1") == before
    assert git(project, "symbolic-ref", "--short", "HEAD") == REF.branch
    assert git(project, "ls-files").split("\n") == FILES
    assert (project / POLICY).read_text() == "policy 0\n"
    assert git(project, "status", "--porcelain") == ""
    assert runs.current() == REF
    assert runs.view(REF).tip == commit


def test_a_run_can_start_without_being_checked_out(project, runs):
    (project / "README.md").write_text("being edited")
    (project / "staged").write_text("staged")
    git(project, "add", "staged")
    index = (project / ".git" / "index").read_bytes()
    runs.create(REF, initial(), switch=False)
    with runs.open(REF) as run:
        run.commit(accepted(1))
    assert git(project, "symbolic-ref", "--short", "HEAD") == "main"
    assert (project / ".git" / "index").read_bytes() == index
    assert (project / "README.md").read_text() == "being edited"
    assert not (project / "policies").exists()


@pytest.mark.parametrize("switch", [True, False])
def test_a_run_can_start_in_a_repository_without_a_commit(empty, switch):
    runs = Runs(GitRepo.find(empty))
    runs.create(REF, initial(), switch=switch)
    if switch:  # then there is something to go back to
        assert git(empty, "rev-parse", "main") == git(empty, "rev-parse", f"{REF.branch}~1")
        assert git(empty, "ls-tree", "main") == ""
    else:
        assert git(empty, "branch", "--list", "main") == ""
    assert git(empty, "rev-list", "--count", REF.branch) == ("2" if switch else "1")
    with runs.open(REF) as run:
        run.commit(accepted(1))
    assert (empty / POLICY).exists() is switch
    assert git(empty, "status", "--porcelain") == ""
    git(empty, "switch", "--quiet", *([] if switch else ["--orphan"]), "main")
    assert not (empty / POLICY).exists()


def test_a_repository_without_a_commit_stays_so_where_a_run_is_refused(empty):
    (empty / "run.toml").write_text("mine")
    with pytest.raises(DirtyWorkTree, match=r"would be overwritten: run\.toml"):
        Runs(GitRepo.find(empty)).create(REF, initial(), switch=True)
    assert git(empty, "for-each-ref") == ""


def test_a_run_starts_from_a_detached_head(project, runs):
    git(project, "checkout", "--quiet", "--detach")
    runs.create(REF, initial(), switch=True)
    assert runs.current() == REF


def test_a_name_is_taken_once(started, runs, monkeypatch):
    match = "there is a run gco/pong/20260131-1f0c already.*step gco/pong/20260131-1f0c.*--name"
    with pytest.raises(UsageError, match=match):
        runs.create(REF, initial(), switch=False)
    seen = iter([None, "HEAD"])  # as if made between looking and writing
    real = GitRepo.ref
    monkeypatch.setattr(GitRepo, "ref", lambda repo, name: next(seen, name) and real(repo, name))
    with pytest.raises(UsageError, match=match):
        runs.create(REF, initial(), switch=False)


def test_changes_are_in_the_way_of_switching(project, runs):
    (project / "README.md").write_text("being edited")
    with pytest.raises(
        DirtyWorkTree,
        match=r"not committed: README\.md\. Put them aside with `git stash`.*`git commit -a`",
    ):
        runs.create(REF, initial(), switch=True)
    git(project, "add", "README.md")
    with pytest.raises(DirtyWorkTree, match=r"README.md"):
        runs.create(REF, initial(), switch=True)
    assert runs.list() == []


def test_at_most_five_changed_files_are_named(project, runs):
    for n in range(7):
        commit_file(project, f"f{n}", "", f"{n}")
        (project / f"f{n}").write_text("x")
    with pytest.raises(DirtyWorkTree, match="not committed: f0, f1, f2, f3, f4 and 2 more"):
        runs.create(REF, initial(), switch=True)


@pytest.mark.parametrize("ignored", [True, False])
def test_untracked_files_count_where_they_would_be_overwritten(project, runs, ignored):
    if ignored:
        commit_file(project, ".gitignore", "run.toml\nnotes\n", "Ignore")
    (project / "notes").write_text("kept")
    (project / "run.toml").write_text("mine")
    with pytest.raises(
        DirtyWorkTree, match=r"git does not track would be overwritten: run.toml. Move them away"
    ):
        runs.create(REF, initial(), switch=True)
    assert runs.list() == []
    assert (project / "run.toml").read_text() == "mine"
    (project / "run.toml").unlink()
    runs.create(REF, initial(), switch=True)
    assert (project / "notes").read_text() == "kept"


def test_a_switch_that_git_refuses_takes_the_run_back(project, runs, monkeypatch):
    (project / POLICY).parent.mkdir()
    (project / POLICY).write_text("mine")
    monkeypatch.setattr(WorkTree, "require_room", lambda *_: None)  # as if it came just now
    with pytest.raises(StoreError, match="would be overwritten"):
        runs.create(REF, initial(), switch=True)
    assert runs.list() == []
    assert (project / POLICY).read_text() == "mine"


def test_a_run_begins_where_the_run_that_is_checked_out_began(project, started):
    with started.open(REF) as run:
        run.commit(accepted(1))
    other = RunRef("freeway", "second")
    began = git(project, "rev-parse", "main")
    assert started.beginning()[0] == began
    started.create(other, initial(other, "policy x\n"), switch=True)
    assert git(project, "rev-parse", "HEAD~1") == began
    files = [path.replace("pong", "freeway") for path in FILES]
    assert git(project, "ls-files").split("\n") == files
    assert git(project, "status", "--porcelain") == ""
    assert not (project / POLICY).exists()
    assert [step.iteration for step in started.view(other).history()] == [0]
    third = RunRef("pong", "third")
    started.create(third, initial(third), switch=False)
    assert git(project, "rev-parse", f"{third.branch}~1") == began


def test_a_run_begins_on_a_branch_that_is_only_named_like_one(project, runs):
    git(project, "switch", "--quiet", "-c", "gco/pong/mine")
    assert runs.beginning()[0] == git(project, "rev-parse", "HEAD")


def test_a_run_begins_where_the_run_of_the_commit_that_is_checked_out_began(project, started):
    with started.open(REF) as run:
        run.commit(accepted(1))
    for commit in (REF.branch, f"{REF.branch}~1"):
        git(project, "switch", "--quiet", "--detach", commit)
        assert started.beginning() == (git(project, "rev-parse", "main"), REF)
    git(project, "switch", "--quiet", "--detach", "main")
    assert started.beginning() == (git(project, "rev-parse", "main"), None)
    git(project, "switch", "--quiet", "--detach", REF.branch)
    git(project, "branch", "--quiet", "-D", REF.branch)
    assert started.beginning()[0] == git(project, "rev-parse", "HEAD"), (
        "nobody knows where it began"
    )


def test_evidence_of_the_run_below_is_left_out(project, started):
    with started.open(REF) as run:
        run.commit(accepted(1))
    git(project, "switch", "--quiet", "-c", "mine")
    started.create(OTHER, initial(OTHER, "policy x\n"), switch=True)
    assert git(project, "ls-files").split("\n") == FILES
    assert [step.iteration for step in started.view(OTHER).history()] == [0]


def test_a_branch_to_go_to_from_a_run(project, started):
    assert started.home() == "main"
    git(project, "branch", "-m", "main", "trunk")
    assert started.home() == "trunk"
    git(project, "branch", "master", "trunk")
    assert started.home() == "master"
    git(project, "branch", "--quiet", "-D", "trunk", "master")
    assert started.home() is None


def test_a_run_starts_with_its_own_initial_policy(runs):
    with pytest.raises(ValueError, match="starts with iteration 0 and the verdict INITIAL"):
        runs.create(REF, accepted(1), switch=False)
    with pytest.raises(ValueError, match="gco/pong/20260201-2222"):
        runs.create(REF, initial(OTHER), switch=False)


def test_git_has_to_know_who_commits(project, started):
    git(project, "config", "user.useConfigOnly", "true")
    (Path(os.environ["HOME"]) / ".gitconfig").write_text("")
    with pytest.raises(NoIdentity, match=r"git config --global user\.name"):
        started.create(OTHER, initial(OTHER), switch=False)
    with pytest.raises(NoIdentity, match=r"git config --global user\.name"):
        started.open(REF)
    assert len(started.list()) == 1


def test_runs_are_listed_the_last_advanced_first(project, runs, monkeypatch):
    for n in range(3):
        monkeypatch.setenv("GIT_COMMITTER_DATE", f"2026-02-0{3 - n}T12:00:00+00:00")
        runs.create(RunRef("pong", f"{n}"), initial(RunRef("pong", f"{n}")), switch=False)
    git(project, "branch", "gco/notes")
    git(project, "branch", "gco/pong/UPPER")
    assert [ref.run_id for ref in runs.list()] == ["0", "1", "2"]


def test_what_is_checked_out_and_no_run_is_said(project, runs):
    with pytest.raises(
        NotARun, match=r"branch main is not a run of gco-agent. Start one with `gco-agent run GAME`"
    ):
        runs.current()
    runs.create(REF, initial(), switch=False)
    with pytest.raises(
        NotARun, match=f"There is {REF.branch}: name one, as in `gco-agent log {REF.branch}`"
    ):
        runs.current()
    git(project, "checkout", "--quiet", "--detach")
    with pytest.raises(NotARun, match=r"HEAD is detached.*There is gco/pong"):
        runs.current()
    git(project, "symbolic-ref", "HEAD", "refs/heads/gco/pong/unborn")
    with pytest.raises(NotARun, match="gco/pong/unborn has no commit yet"):
        runs.current()


def test_at_most_five_runs_are_named(runs):
    for n in range(7):
        runs.create(RunRef("pong", f"{n}"), initial(RunRef("pong", f"{n}")), switch=False)
    with pytest.raises(NotARun, match=r"There is gco/pong/6, .*gco/pong/2 and 2 more: name one"):
        runs.current()


def test_a_run_is_found_by_what_a_person_types(runs):
    for ref in (REF, OTHER, RunRef("breakout", REF.run_id)):
        runs.create(ref, initial(ref), switch=False)
    assert runs.find("gco/pong/20260131-1f0c") == runs.find("pong/20260131-1f0c") == REF
    assert runs.find("refs/heads/gco/pong/20260131-1f0c") == REF
    assert runs.find("20260201-2222") == OTHER
    assert runs.find("breakout") == runs.find("Breakout-v5") == RunRef("breakout", REF.run_id)
    with pytest.raises(NotARun, match=r"'pong' names more than one run: gco/pong/.*, gco/pong/"):
        runs.find("pong")
    with pytest.raises(NotARun, match=r"names more than one run: gco/.*, gco/"):
        runs.find("20260131-1f0c")
    with pytest.raises(NotARun, match=r"there is no run 'nothing' in .*There is gco/"):
        runs.find("nothing")


def test_a_game_is_found_by_the_id_of_its_environment(runs):
    ref = RunRef("cart_pole", "first")
    runs.create(ref, initial(ref), switch=False)
    for name in ("cart_pole", "CartPole-v1", "cartpole", "my_module:CartPole-v0"):
        assert runs.of_game(name) == (ref,), name
    for name in ("pole", "", "gco/freeway/cart_pole"):
        assert runs.of_game(name) == (), name


def test_a_clone_says_how_to_bring_a_run_over_and_has_its_candidates(project, started, tmp_path):
    with started.open(REF) as run:
        run.commit(turned_down(1), [candidate(1)])
    git(project, "checkout", "--quiet", "main")
    git(tmp_path, "clone", "--quiet", str(project), "clone")
    clone = Runs(GitRepo.find(tmp_path / "clone"))
    command = "git branch gco/pong/20260131-1f0c origin/gco/pong/20260131-1f0c"
    with pytest.raises(NotARun, match=f"only on a remote; `{command}`"):
        clone.find("pong/20260131-1f0c")
    git(tmp_path / "clone", *command.split(" ")[1:])
    view = clone.view(clone.find("20260131-1f0c"))
    step = view.history()[-1]
    assert view.evidence(step, "reply.md") == "candidate 1a\n"
    assert view.policy(step.candidates[0].commit) == "candidate 1a\n"


def test_a_shallow_clone_says_what_is_missing(project, started, tmp_path):
    with started.open(REF) as run:
        run.commit(accepted(1))
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{project}", "shallow")
    with pytest.raises(NotARun, match="git fetch --unshallow"):
        Runs(GitRepo.find(tmp_path / "shallow")).view(REF).history()


def test_what_is_not_there_cannot_be_opened(project, runs):
    for call in (runs.open, runs.view):
        with pytest.raises(NotARun, match="there is no run gco/pong/20260131-1f0c in"):
            call(REF)
    git(project, "branch", REF.branch)
    with pytest.raises(NotARun, match="is not a run of gco-agent: none of its 1 commits"):
        runs.open(REF)


def test_a_run_has_one_writer_and_any_number_of_readers(started):
    with started.open(REF):
        with pytest.raises(
            RunBusy, match=f"{REF.branch} is being advanced by process {os.getpid()}"
        ):
            started.open(REF)
        assert started.view(REF).last_iteration == 0
    started.open(REF).close()


def test_a_refused_opening_leaves_the_run_free(project, started):
    (project / POLICY).write_text("being edited")
    with pytest.raises(DirtyWorkTree, match=r"not committed: policies/pong.py"):
        started.open(REF)
    git(project, "checkout", "--quiet", "--", POLICY)
    started.open(REF).close()


def test_a_run_checked_out_elsewhere_is_advanced_there(project, started, tmp_path):
    git(project, "checkout", "--quiet", "main")
    git(project, "worktree", "add", "--quiet", str(tmp_path / "linked"), REF.branch)
    with pytest.raises(
        StoreError, match=f"is checked out in {tmp_path / 'linked'}: run the command there"
    ):
        started.open(REF)
    linked = Runs(GitRepo.find(tmp_path / "linked"))
    with linked.open(REF) as run:
        with pytest.raises(RunBusy, match="is being advanced"):
            linked.open(REF)
        run.commit(accepted(1))
    assert (tmp_path / "linked" / POLICY).read_text() == "policy 1\n"
    assert git(tmp_path / "linked", "status", "--porcelain") == ""
    assert git(project, "status", "--porcelain") == ""


def test_a_run_lives_in_a_bare_repository(project, tmp_path):
    git(tmp_path, "clone", "--quiet", "--bare", str(project), "bare.git")
    runs = Runs(GitRepo.find(tmp_path / "bare.git"))
    runs.create(REF, initial(), switch=True)
    with runs.open(runs.find(REF.run_id)) as run:
        run.commit(turned_down(1), [candidate(1)])
        run.commit(accepted(2))
        run.rollback("0")
    assert runs.view(REF).policy() == "policy 0\n"
    with pytest.raises(NotARun, match="branch main is not a run"):
        runs.current()
    runs.publish_file("policies/pong.py", "best\n", "Publish", "", {})
    git(tmp_path / "bare.git", "fsck", "--strict")


def publish(runs: Runs, text: str = "best\n") -> str:
    trailers = {"Gco-Source": "gco/pong/x\nforged", "Gco-Return-Mean": "14.2"}
    return runs.publish_file(POLICY, text, "Pong: 14.2", "Because.", trailers)


def test_a_file_is_published_on_the_branch_of_the_user(project, runs):
    commit = publish(runs)
    assert git(project, "rev-parse", "main") == commit
    assert (project / POLICY).read_text() == "best\n"
    assert git(project, "status", "--porcelain") == ""
    assert git(project, "log", "-1", "--format=%B") == (
        "Pong: 14.2\n\nBecause.\n\nGco-Source: gco/pong/x forged\nGco-Return-Mean: 14.2\n"
    )
    with pytest.raises(
        UsageError, match=r"nothing to publish: policies/pong.py is already so on main"
    ):
        publish(runs)


def test_publishing_works_as_the_first_commit(empty):
    publish(Runs(GitRepo.find(empty)))
    assert git(empty, "status", "--porcelain") == ""
    assert (empty / POLICY).read_text() == "best\n"


def test_publishing_overwrites_nothing(project, started):
    with pytest.raises(UsageError, match="is the branch of a run"):
        publish(started)
    git(project, "checkout", "--quiet", "--detach", "main")
    with pytest.raises(UsageError, match="HEAD is detached: `git switch`"):
        publish(started)
    git(project, "checkout", "--quiet", "main")
    (project / POLICY).parent.mkdir(exist_ok=True)
    (project / POLICY).write_text("mine")
    with pytest.raises(DirtyWorkTree, match=f"would be overwritten: {POLICY}"):
        publish(started)
    (project / POLICY).unlink()
    (project / "README.md").write_text("being edited")
    with pytest.raises(DirtyWorkTree, match=r"not committed: README.md"):
        publish(started)
    assert git(project, "rev-list", "--count", "main") == "1"


def test_a_tree_that_a_person_staged_is_not_taken_for_a_crash(project, runs):
    """Staging an earlier tree looks like a branch that moved alone; on main it is a person's."""
    commit_file(project, "README.md", "Second.\n", "Second")
    git(project, "checkout", "HEAD~1", "--", ".")
    with pytest.raises(DirtyWorkTree, match=r"README.md"):
        publish(runs)
    assert (project / "README.md").read_text() == "A project.\n"
