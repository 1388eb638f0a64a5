"""The door to git: objects and refs, and what is said when git refuses."""

from __future__ import annotations

import hashlib
import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gco_agent.core.errors import NoIdentity, RunMoved, StoreError
from gco_agent.store import git as door
from gco_agent.store.git import GitRepo, GitResult, explain
from tests.store.samples import REF, commit_file, git


def write(repo: GitRepo, files: dict[str, bytes | None], base: str | None = None) -> str:
    return repo.write_commit([base] if base else [], base, files, "A subject\n\nA body.\n")


def test_a_repository_is_found_from_inside_it(project):
    (project / "deep" / "er").mkdir(parents=True)
    for path in (project, project / "deep" / "er"):
        repo = GitRepo.find(path)
        assert repo.root == project
        assert repo.git_dir == repo.common_dir == project / ".git"


def test_no_repository_says_how_to_make_one(tmp_path):
    with pytest.raises(
        StoreError, match=r"not a git repository.*`git init` there, or.*--create-repo"
    ):
        GitRepo.find(tmp_path)
    with pytest.raises(StoreError, match="there is no folder"):
        GitRepo.find(tmp_path / "nowhere")


def test_a_repository_of_somebody_else_is_not_trusted(project, monkeypatch):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(StoreError, match=r"dubious ownership(.|\n)*safe\.directory"):
        GitRepo.find(project)


def test_a_repository_can_be_made(tmp_path):
    repo = GitRepo.create(tmp_path / "new" / "project")
    assert repo.head() == door.Head("refs/heads/main", None)
    assert GitRepo.create(tmp_path / "new" / "project").root == repo.root


def test_main_is_what_its_branch_is_called_if_nobody_says_otherwise(tmp_path):
    settings = Path(os.environ["HOME"]) / ".gitconfig"
    settings.write_text("[user]\n\tname = Test\n\temail = test@example.org\n")
    assert GitRepo.create(tmp_path / "one").head_branch() == "refs/heads/main"
    settings.write_text(settings.read_text() + "[init]\n\tdefaultBranch = trunk\n")
    assert GitRepo.create(tmp_path / "two").head_branch() == "refs/heads/trunk"


def test_none_is_made_for_somebody_whom_git_does_not_know(tmp_path):
    settings = Path(os.environ["HOME"]) / ".gitconfig"
    settings.write_text("[user]\n\tuseConfigOnly = true\n")
    with pytest.raises(NoIdentity, match=r"git config --global user.name"):
        GitRepo.create(tmp_path / "project")
    assert list((tmp_path / "project").iterdir()) == []


def test_where_none_can_be_made_it_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot make the folder"):
        GitRepo.create(tmp_path / "file" / "below")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / ".git").write_text("not what git writes there")
    with pytest.raises(StoreError, match="git init failed in"):
        GitRepo.create(tmp_path / "taken")


def test_git_that_is_not_there_says_so(project, monkeypatch):
    monkeypatch.setenv("PATH", str(project))
    with pytest.raises(StoreError, match="is it installed and on the PATH"):
        GitRepo.find(project)


def test_git_that_cannot_be_imported_says_so(project):
    code = (
        "import sys; from pathlib import Path; from gco_agent.store.git import GitRepo\n"
        "from gco_agent.core.errors import StoreError\n"
        "try: GitRepo.find(Path(sys.argv[1]))\n"
        "except StoreError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(project)],
        env={**os.environ, "PATH": str(project)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert "git could not be started; is it installed?" in done.stdout


def test_importing_the_store_does_not_import_gitpython():
    code = "import sys, gco_agent.store.run; assert 'git' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_head(project, repo):
    tip = git(project, "rev-parse", "HEAD")
    assert repo.head() == door.Head("refs/heads/main", tip)
    git(project, "checkout", "--quiet", "--detach")
    assert repo.head() == door.Head(None, tip)
    assert repo.head_branch() is None
    git(project, "checkout", "--quiet", "--orphan", "new")
    assert repo.head() == door.Head("refs/heads/new", None)


def test_revisions(project, repo):
    first = git(project, "rev-parse", "HEAD")
    second = commit_file(project, "a", "a", "Second")
    git(project, "tag", "-a", "-m", "tag", "v1")
    assert repo.resolve("HEAD~1") == repo.resolve(first[:7]) == first
    assert repo.resolve("v1") == repo.resolve("main") == second
    for rev in ("nothing", "", "--all", "HEAD~7", "HEAD:a"):
        with pytest.raises(
            StoreError, match=rf"unknown revision '{re.escape(rev)}' in .*no such commit.*git log"
        ):
            repo.resolve(rev)


def test_an_ambiguous_revision_is_called_so(repo):
    tree = repo.run("mktree", stdin=b"").text
    who = "Test <test@example.org> 1769860800 +0000"  # as the fixture has it
    made: dict[str, str] = {}
    for n in range(10_000):  # among some hundred ids, two begin with the same four digits
        body = f"tree {tree}\nauthor {who}\ncommitter {who}\n\n{n}"
        commit = hashlib.sha1(f"commit {len(body)}\0{body}".encode()).hexdigest()
        if other := made.get(commit[:4]):
            break
        made[commit[:4]] = str(n)
    ids = [repo.run("commit-tree", tree, stdin=m.encode()).text for m in (str(other), str(n))]
    assert ids[0][:4] == ids[1][:4] == commit[:4]
    with pytest.raises(StoreError, match="several commits begin so"):
        repo.resolve(commit[:4])


def test_files_come_back_to_the_byte(repo):
    content = b"\x00\xff\r\n no line end"
    commit = write(repo, {"a/b c/\u00e9\n.txt": content, "a/empty": b""})
    assert repo.read_file(commit, "a/b c/\u00e9\n.txt") == content
    assert repo.read_file(commit, "a/empty") == b""
    assert repo.read_file(commit, "a") is None
    assert repo.read_file(commit, "a/none") is None
    assert repo.list_files(commit) == ["a/b c/\u00e9\n.txt", "a/empty"]
    assert repo.list_files(commit, "b/") == []


def test_attributes_of_the_user_do_not_change_what_is_stored(project, repo):
    git(project, "config", "core.autocrlf", "true")
    (project / ".gitattributes").write_text("* text eol=crlf\n")
    assert repo.read_file(write(repo, {"f": b"a\r\nb\n"}), "f") == b"a\r\nb\n"


def test_a_commit_starts_from_the_tree_of_its_base(project, repo):
    base = repo.resolve("HEAD")
    commit = write(repo, {"a": b"1", "README.md": None, "not-there": None}, base)
    assert repo.list_files(commit) == ["a"]
    assert git(project, "log", "-1", "--format=%P %B", commit).split("\n")[0] == f"{base} A subject"
    same = write(repo, {}, commit)
    assert git(project, "rev-parse", f"{same}^{{tree}}") == git(
        project, "rev-parse", f"{commit}^{{tree}}"
    )


@pytest.mark.parametrize(
    "path", ["/a", "../a", "a/../../b", "a//b", ".git/hooks/x", "a/.git/x", "a\0b", ""]
)
def test_no_path_leaves_the_tree(repo, path):
    with pytest.raises(StoreError, match="not a path"):
        write(repo, {path: b"x"})


def test_a_commit_is_in_utf8_whatever_the_user_writes_in(project, repo):
    git(project, "config", "i18n.commitEncoding", "ISO-8859-1")
    git(project, "config", "i18n.logOutputEncoding", "ISO-8859-1")
    commit = repo.write_commit([], None, {"f": b""}, "Größe\n")
    assert repo.commits("--max-count=1", commit)[0].message == "Größe\n"


def test_the_index_and_the_files_of_the_user_are_left_alone(project, repo):
    (project / "staged").write_text("staged")
    git(project, "add", "staged")
    before = (project / ".git" / "index").read_bytes()
    write(repo, {"policies/pong.py": b"text", "staged": b"other"}, repo.resolve("HEAD"))
    assert (project / ".git" / "index").read_bytes() == before
    assert not (project / "policies").exists()


def test_variables_of_a_calling_git_do_not_reach_ours(project, repo, monkeypatch, tmp_path):
    """As in a hook or `git rebase --exec`."""
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index-of-another"))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "another"))
    commit = write(repo, {"a": b"1"}, repo.resolve("HEAD"))
    assert repo.list_files(commit) == ["README.md", "a"]
    assert repo.run("status", "--porcelain").text == ""


def test_refs_move_by_compare_and_swap(repo):
    a, b, c = (write(repo, {"f": n}) for n in (b"a", b"b", b"c"))
    ref = "refs/heads/gco/pong/x"
    repo.move_ref(ref, a, expected=None, reason="start")
    repo.move_ref(ref, b, expected=a, reason="on")
    with pytest.raises(RunMoved, match=f"is at {b[:9]} but was expected at {a[:9]}") as caught:
        repo.move_ref(ref, c, expected=a, reason="late")
    assert (caught.value.expected, caught.value.found) == (a, b)
    with pytest.raises(RunMoved, match=f"is at {b[:9]} but was expected at 000000000"):
        repo.move_ref(ref, c, expected=None, reason="again")
    with pytest.raises(RunMoved, match=f"is at {b[:9]}"):
        repo.delete_ref(ref, expected=a)
    assert repo.ref(ref) == b
    repo.delete_ref(ref, expected=b)
    assert repo.ref(ref) is None
    with pytest.raises(RunMoved, match="is at 000000000"):
        repo.move_ref(ref, c, expected=b, reason="gone")


def test_a_branch_in_the_way_of_the_name_is_said(project, repo):
    git(project, "branch", "gco")
    with pytest.raises(StoreError, match="'refs/heads/gco' exists; cannot create"):
        repo.move_ref("refs/heads/gco/pong/x", repo.resolve("HEAD"), expected=None, reason="r")


def test_no_hook_runs(project, repo):
    hooks = project / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("reference-transaction", "post-checkout", "post-index-change", "pre-commit"):
        (hooks / name).write_text("#!/bin/sh\necho ran >> hooks-ran\nexit 1\n")
        (hooks / name).chmod(0o755)
    commit = write(repo, {"f": b"f"}, repo.resolve("HEAD"))
    repo.move_ref("refs/heads/other", commit, expected=None, reason="r")
    repo.run("checkout", "--quiet", "other", "--")
    assert not (project / "hooks-ran").exists()


def test_nothing_is_signed(project, repo):
    git(project, "config", "commit.gpgSign", "true")
    git(project, "config", "gpg.program", "false")
    assert "gpgsig" not in git(project, "cat-file", "commit", write(repo, {"f": b"f"}))


def test_git_has_to_know_who_commits(project, repo, monkeypatch):
    repo.require_identity()
    git(project, "config", "user.useConfigOnly", "true")
    (Path(os.environ["HOME"]) / ".gitconfig").write_text("")
    with pytest.raises(NoIdentity, match=r"(?s)git config --global user.name.*user.email"):
        repo.require_identity()


def test_a_lock_that_another_git_holds_for_a_moment_is_waited_for(repo, monkeypatch):
    lock = repo.git_dir / "index.lock"
    lock.write_text("")
    monkeypatch.setattr(time, "sleep", lambda _: lock.unlink())
    repo.run("read-tree", "HEAD")


def test_a_lock_that_was_left_is_named(repo, monkeypatch):
    lock = repo.git_dir / "index.lock"
    lock.write_text("")
    monkeypatch.setattr(door, "_LOCK_PAUSE_S", 0.001)
    with pytest.raises(
        StoreError,
        match=rf"another git process.*delete {re.escape(str(lock))}.*Nothing of the run was lost",
    ):
        repo.run("read-tree", "HEAD")


def test_a_damaged_repository_says_how_to_look(repo):
    commit = write(repo, {"f": b"content"})
    blob = repo.run("rev-parse", f"{commit}:f").text
    stored = repo.git_dir / "objects" / blob[:2] / blob[2:]
    stored.chmod(0o644)
    stored.write_bytes(b"garbage")
    with pytest.raises(StoreError, match=r"damaged or missing.*git fsck --full"):
        repo.read_file(commit, "f")


def test_a_damaged_run_is_not_taken_for_a_missing_one(started):
    view = started.view(REF)
    tip, repo = view.tip, view.repo
    stored = repo.git_dir / "objects" / tip[:2] / tip[2:]
    stored.chmod(0o644)
    stored.write_bytes(b"")  # as a power cut leaves it on some file systems
    with pytest.raises(StoreError, match=r"damaged or missing.*git fsck --full"):
        started.open(REF)


@pytest.mark.parametrize(
    ("status", "errors", "match"),
    [
        (
            128,
            "fatal: write error: No space left on device",
            "disk is full.*Nothing of the run was lost.*Free space",
        ),
        (128, "error: unable to write file x: Disk quota exceeded", "the disk is full"),
        (-signal.SIGXFSZ, "", "the disk is full .File too large"),
        (
            128,
            "error: insufficient permission for adding an object",
            "cannot be written.*Make it writable",
        ),
        (128, "fatal: Unable to create 'x/index.lock': Read-only file system", "cannot be written"),
        (-9, "", "was killed by signal 9.*Run the command again"),
        (1, "", "git add failed in .*: it ended with status 1"),
        (128, "fatal: something\nelse", "git add failed in .*: fatal: something else"),
    ],
)
def test_what_git_says_is_explained(status, errors, match):
    with pytest.raises(StoreError, match=match):
        raise explain("add", GitResult(status, b"", errors), Path("/project"))


def test_a_full_disk_is_said_and_loses_nothing(repo):
    """A limit on the size of files stands for the disk; random bytes do not compress."""
    before = repo.resolve("HEAD")
    limit = 8192
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(
            StoreError, match=r"git hash-object failed.*the disk is full.*Free space"
        ):
            write(repo, {"f": os.urandom(limit)}, before)
        with pytest.raises(
            StoreError, match=r"temporary file could not be written.*File too large.*TMPDIR"
        ):
            write(repo, {"f": os.urandom(limit + 1)}, before)
        with pytest.raises(StoreError, match=r"temporary file could not be written"):
            repo.write_commit([], None, {}, "long" * limit)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert repo.resolve("HEAD") == before
    git(repo.place, "fsck", "--strict")


def test_a_signal_to_our_group_does_not_tear_git_apart(project, repo, tmp_path, monkeypatch):
    """kill -9 of the whole group, in the middle of a git command: git ends what it began."""
    commit = write(repo, {"f": b"f"}, repo.resolve("HEAD"))
    real = subprocess.run(
        ["which", "git"], check=True, capture_output=True, text=True
    ).stdout.strip()
    started = tmp_path / "started"
    slow = tmp_path / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text(
        f'#!/bin/sh\ncase "$*" in *update-ref*) touch "{started}"; sleep 0.4;; esac\n'
        f'exec "{real}" "$@"\n'
    )
    slow.chmod(0o755)
    code = (
        "import sys; from pathlib import Path; from gco_agent.store.git import GitRepo\n"
        "root, commit = Path(sys.argv[1]), sys.argv[2]\n"
        "GitRepo(root / '.git', root / '.git', root).move_ref("
        "'refs/heads/x', commit, expected=None, reason='r')"
    )
    environment = {**os.environ, "PATH": f"{slow.parent}:{os.environ['PATH']}"}
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(project), commit], env=environment, start_new_session=True
    )
    while not started.exists():
        assert child.poll() is None
        time.sleep(0.01)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    deadline = time.monotonic() + 10
    while repo.ref("refs/heads/x") is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert repo.ref("refs/heads/x") == commit
    git(project, "fsck", "--strict")


def test_work_trees_elsewhere_are_known(project, repo, tmp_path):
    git(project, "worktree", "add", "--quiet", "-b", "other", str(tmp_path / "other"))
    assert repo.branches_elsewhere() == {"refs/heads/other": tmp_path / "other"}
    linked = GitRepo.find(tmp_path / "other")
    assert linked.branches_elsewhere() == {"refs/heads/main": project}
    assert linked.common_dir == repo.git_dir
    assert linked.git_dir != repo.git_dir
    (tmp_path / "other").rename(tmp_path / "gone")
    assert repo.branches_elsewhere() == {}


def test_a_shallow_clone_is_known(project, repo, tmp_path):
    commit_file(project, "a", "a", "Second")
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{project}", "shallow")
    assert GitRepo.find(tmp_path / "shallow").is_shallow()
    assert not repo.is_shallow()


def test_a_huge_file_of_a_commit_is_refused(
    project: Path, repo: GitRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Zeros without number take no room in a clone."""
    monkeypatch.setattr("gco_agent.store.git.MOST_OUTPUT", 1_000_000)
    for size, is_read in ((1_000_000, True), (1_000_001, False)):
        commit = repo.write_commit([], None, {"a": b"0" * size}, "m\n")
        if is_read:
            assert repo.read_file(commit, "a") == b"0" * size
        else:
            with pytest.raises(StoreError, match="too large"):
                repo.read_file(commit, "a")
            with pytest.raises(StoreError, match="too large"):
                list(repo.read_files([(commit, "a")]))
