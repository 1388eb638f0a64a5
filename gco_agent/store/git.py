"""Git: objects and refs by plumbing, the work tree, and errors that say what to do.

A repository may come from a stranger, its ``.git/config`` included. So git runs here without
anything that would start a program (hooks, fsmonitor, filters of the repository, signing,
transports) and without the keys of the user's environment. Every method raises `StoreError` if git
fails.
"""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import os
import re
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Self

from gco_agent.core.errors import DirtyWorkTree, NoIdentity, RunMoved, StoreError
from gco_agent.core.files import write_file

if TYPE_CHECKING:
    from typing_extensions import Buffer

REFS_HEADS = "refs/heads/"
PRIVATE_FOLDER = "gco-agent"
"""Folder below git's own, for files that belong to no commit: locks, status, journals."""

_SETTINGS = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "core.sshCommand": "false",
    "core.gitProxy": "",
    "core.editor": "false",
    "core.pager": "cat",
    "credential.helper": "",
    "diff.external": "",
    "gpg.program": "false",
    "log.showSignature": "false",
    "commit.gpgSign": "false",
    "protocol.allow": "never",
    "core.fsync": "committed",  # after a power cut, no ref without its commit
    "core.quotePath": "false",
    "i18n.commitEncoding": "UTF-8",
    "submodule.recurse": "false",
}
_ENVIRONMENT = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_ALLOW_PROTOCOL": "none",  # nothing is fetched, not even what a partial clone lacks
    "GIT_NO_LAZY_FETCH": "1",
    "LC_ALL": "C",
}
_SECRET = re.compile(
    r"(?!GIT_)(ANTHROPIC_|OPENAI_|AWS_"
    r"|(.*_)?(API_?KEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)(_|$))",
    re.IGNORECASE,
)
_NO_VALUE = "GCO_NO_VALUE"
_LOCK_TRIES = 20
_LOCK_PAUSE_S = 0.1
_FILES_PER_CALL = 2_000
"""Bounds the memory that the texts of a long run take."""
MOST_OUTPUT = 256 * 1024 * 1024
"""Limit of the output of a git command in bytes: a stranger's file may be of any size."""
_MAX_NAMED = 5
_MAX_ANCESTORS = 1000
_log = logging.getLogger(__name__)

_LOCK_EXISTS = re.compile(r"Unable to create '(.+\.lock)': File exists")
_NOTHING_LOST = "Nothing of the run was lost: it is where the last commit left it."
_CAUSES = (
    (
        r"No space left on device|[Dd]isk quota exceeded|File too large",
        "the disk is full",
        "Free space and run the command again.",
    ),
    (
        r"Read-only file system|[Pp]ermission denied|insufficient permission",
        "the repository cannot be written",
        "Make it writable and run the command again.",
    ),
    (
        r"(?:couldn't|could not|unable to|failed to|cannot) (?:write|create|close)|write error",
        "a file of the repository could not be written, which most often means a full disk",
        "Free space and run the command again.",
    ),
    (
        r"corrupt|unable to read|object file .* is empty|inflate|missing|(?:bad|valid) object",
        "an object of the repository is damaged or missing",
        "`git fsck --full` says which; fetch it from another clone.",
    ),
)
"""Words that git uses, what they mean, and what helps."""


@dataclass(frozen=True, slots=True)
class GitResult:
    """Status and output of a git command."""

    status: int
    output: bytes
    errors: str

    @property
    def text(self) -> str:
        """Output as text, without the last line end."""
        return self.output.decode("utf-8", "replace").removesuffix("\n")

    @property
    def names(self) -> list[str]:
        """File names in the output of a command that was given ``-z``."""
        return [os.fsdecode(part) for part in self.output.split(b"\0") if part]


@dataclass(frozen=True, slots=True)
class Head:
    """What is checked out: a full ref name, None if detached; and a commit id, None if unborn."""

    branch: str | None
    commit: str | None


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit as git stores it; `when` is the committer's date in ISO 8601, as git prints it."""

    id: str
    parents: tuple[str, ...]
    tree: str
    when: str
    message: str


def explain(command: str, result: GitResult, place: Path) -> StoreError:
    """Return an error that says what a failed git command means and what to do next."""
    told = " ".join(result.errors.split()) or f"it ended with status {result.status}"
    if lock := _LOCK_EXISTS.search(result.errors):
        return StoreError(
            f"another git process is at work in {place}, or one was killed and left its lock. "
            f"If none is running, delete {lock[1]} and run the command again. {_NOTHING_LOST}"
        )
    if result.status == -signal.SIGXFSZ:
        told = "File too large"
    elif result.status < 0:
        return StoreError(
            f"git {command} was killed by signal {-result.status} in {place}. "
            f"{_NOTHING_LOST} Run the command again."
        )
    for words, what, remedy in _CAUSES:
        if re.search(words, told):
            told = f"{what} ({told}). {_NOTHING_LOST} {remedy}"
            break
    return StoreError(f"git {command} failed in {place}: {told}")


def _explain_os(error: OSError) -> StoreError:
    where = f" ({error.filename})" if error.filename else ""
    return StoreError(
        f"a temporary file could not be written{where}: {error.strerror}. {_NOTHING_LOST} "
        "Free space, or point TMPDIR to a folder that has some, and run the command again."
    )


class GitRepo:
    """One repository, through one of its work trees or none.

    Attributes:
        git_dir: Where HEAD and the index of this work tree are.
        common_dir: Where the objects and refs are; the same, unless the work tree is a linked one.
        root: Top of the work tree, or None in a bare repository.
    """

    def __init__(self, git_dir: Path, common_dir: Path, root: Path | None) -> None:
        self.git_dir, self.common_dir, self.root = git_dir, common_dir, root

    @classmethod
    def find(cls, path: Path) -> Self:
        """Open the repository that contains a path, as git itself would find it."""
        if not os.access(path / ".", os.X_OK):
            raise StoreError(f"there is no folder {path} that can be entered")
        asked = ["rev-parse", "--is-bare-repository", "--absolute-git-dir", "--git-common-dir"]
        found = _start(path, asked)
        if "dubious ownership" in found.errors:
            raise StoreError(found.errors.strip())
        if found.status:
            raise StoreError(
                f"not a git repository: {path}, nor any folder above it. "
                "Run `git init` there, or let `gco-agent run GAME --create-repo` make one."
            )
        bare, git_dir, common_dir = found.text.split("\n")
        root = _start(path, ["rev-parse", "--show-toplevel"]).text if bare == "false" else ""
        if root and not {"GIT_DIR", "GIT_WORK_TREE"} & os.environ.keys():
            own = _start(path, ["rev-parse", "--resolve-git-dir", f"{root}/.git"]).text
            if not own or not Path(own).samefile(git_dir):
                raise StoreError(
                    f"{git_dir}/config places the files in {root}, which is not the repository's "
                    "folder: remove core.worktree from it, if you trust the rest"
                )
        return cls(Path(git_dir), (path / common_dir).resolve(), Path(root) if root else None)

    @classmethod
    def create(cls, path: Path) -> Self:
        """Make a repository, its branch main unless settings name another; or open one."""
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"cannot make the folder {path}: {error.strerror}") from error
        if not (path / ".git").exists():
            _require_identity(lambda *asked: _start(path, asked))
        is_set = not _start(path, ["config", "--get", "init.defaultBranch"]).status
        branch = [] if is_set else ["-c", "init.defaultBranch=main"]
        made = _start(path, [*branch, "init", "--quiet"])
        if made.status:
            raise explain("init", made, path)
        return cls.find(path)

    @property
    def place(self) -> Path:
        """Folder to name in messages: the top of the work tree, or the bare repository."""
        return self.root or self.git_dir

    def private_file(self, name: str) -> Path:
        """Return the path of a file in git's folder that only this program uses."""
        return self.common_dir / PRIVATE_FOLDER / name

    def write_private(self, name: str, text: str | None) -> None:
        """Write a file that only this program uses; None deletes it."""
        path = self.private_file(name)
        try:
            if text is None:
                path.unlink(missing_ok=True)
            else:
                write_file(path, text, root=self.common_dir, parents=True)
        except OSError as error:
            raise StoreError(f"cannot write {path}: {error.strerror}") from error

    # -- running git ---------------------------------------------------------------------------

    def attempt(
        self, *arguments: str, stdin: bytes | None = None, index: Path | None = None
    ) -> GitResult:
        """Run a git command that may fail; see `run` for the rest."""
        command = [f"--git-dir={self.git_dir}"]
        if self.root is not None:
            command.append(f"--work-tree={self.root}")
        environment = {"GIT_INDEX_FILE": str(index or self.git_dir / "index"), _NO_VALUE: ""}
        command += self._without_filters
        return _start(self.place, [*command, *arguments], stdin=stdin, environment=environment)

    @functools.cached_property
    def _without_filters(self) -> list[str]:
        """Options that switch off filters that the repository's own config defines."""
        asked = ["config", "--includes", "--show-scope", "-z", "--name-only", "--get-regexp"]
        where = f"--git-dir={self.git_dir}"
        found = _start(self.place, [where, *asked, r"^filter\..*\."]).names
        filters = {
            key.rpartition(".")[0]
            for scope, key in zip(found[::2], found[1::2], strict=True)
            if scope in ("local", "worktree")  # those of the user, as git-lfs, stay
        }
        parts = ("clean", "smudge", "process", "required")
        return [f"--config-env={name}.{part}={_NO_VALUE}" for name in filters for part in parts]

    def run(
        self, *arguments: str, stdin: bytes | None = None, index: Path | None = None
    ) -> GitResult:
        """Run a git command; wait for a lock that another git holds for a moment."""
        for _ in range(_LOCK_TRIES):
            result = self.attempt(*arguments, stdin=stdin, index=index)
            if not result.status:
                return result
            if not _LOCK_EXISTS.search(result.errors):
                break
            time.sleep(_LOCK_PAUSE_S)
        raise explain(arguments[0], result, self.place)

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """Open a temporary folder; errors of writing there become a `StoreError`."""
        try:
            with tempfile.TemporaryDirectory(prefix="gco-agent-") as name:
                yield Path(name)
        except OSError as error:
            raise _explain_os(error) from error

    # -- reading -------------------------------------------------------------------------------

    def head(self) -> Head:
        """Return what is checked out."""
        return Head(self.head_branch(), self.ref("HEAD"))

    def head_branch(self) -> str | None:
        """Return the full ref name of the checked out branch; None when HEAD is detached."""
        branch = self.attempt("symbolic-ref", "--quiet", "HEAD")
        return branch.text if not branch.status else None

    def ref(self, name: str) -> str | None:
        """Return the commit id that HEAD or a branch points to, or None if there is none."""
        found = self.attempt("rev-parse", "--verify", "--quiet", name)
        return found.text if not found.status else None

    def refs(self, prefix: str) -> list[str]:
        """List full ref names below a prefix, the last committed first."""
        order = ("--sort=-refname", "--sort=-committerdate")
        return self.run("for-each-ref", *order, "--format=%(refname)", prefix).text.split()

    def resolve(self, rev: str) -> str:
        """Return the commit id of a revision: a branch, a tag, an id or part of it, ``HEAD~3``."""
        reason = "no such commit"
        if rev and not rev.startswith("-"):
            found = self.attempt("rev-parse", "--verify", f"{rev}^{{commit}}")
            if not found.status:
                return found.text
            if "ambiguous" in found.errors:
                reason = "several commits begin so"
        raise StoreError(
            f"unknown revision {rev!r} in {self.place}: {reason}. "
            "`git log --oneline --all` shows what there is."
        )

    def read_file(self, rev: str, path: str) -> bytes | None:
        """Return a file of a commit, or None if it has no such file."""
        found = self.attempt("cat-file", "blob", f"{rev}:{path}")
        if not found.status:
            return found.output
        listed = self.run("ls-tree", "-z", "--full-tree", rev, "--", path).text
        if listed.split(" ")[1:2] != ["blob"]:
            return None
        raise explain("cat-file", found, self.place)

    def read_files(self, wanted: Sequence[tuple[str, str]]) -> Iterator[str | None]:
        """Yield the texts of files, given commit ids and paths; None for one that is not there."""
        for begin in range(0, len(wanted), _FILES_PER_CALL):
            part = wanted[begin : begin + _FILES_PER_CALL]
            specs = "".join(f"{commit}:{path}\n" for commit, path in part)
            output, at = self.run("cat-file", "--batch", stdin=specs.encode()).output, 0
            while at < len(output):  # "<id> blob <size>", content, line end; or "<spec> missing"
                end = output.index(b"\n", at)
                *_, kind, size = output[at:end].split(b" ")
                at = end + 1
                if not size.isdigit():
                    yield None
                    continue
                content = output[at : at + int(size)]
                yield content.decode("utf-8", "replace") if kind == b"blob" else None
                at += int(size) + 1

    def list_files(self, rev: str, prefix: str = "") -> list[str]:
        """List the files of a commit below a folder, by their paths from the top."""
        scope = ["--", prefix] if prefix else []
        return self.run("ls-tree", "-r", "-z", "--full-tree", "--name-only", rev, *scope).names

    def commits(self, *selection: str, stdin: bytes | None = None) -> list[Commit]:
        """List the commits that arguments of `git rev-list` select."""
        form = "--format=%P%n%T%n%cI%n%B%x00"
        listed = self.run("rev-list", "--encoding=UTF-8", form, *selection, stdin=stdin)
        commits = []
        for text in listed.output.decode("utf-8", "replace").split("\0\n"):
            if text:
                head, parents, tree, when, message = text.split("\n", 4)
                name = head.removeprefix("commit ")
                commits.append(Commit(name, tuple(parents.split()), tree, when, message))
        return commits

    def messages_before(self, parents: Sequence[str]) -> list[str]:
        """Return the messages of a commit's parents, and of theirs."""
        if not parents:
            return []
        wanted = (*parents, *(f"{parent}^@" for parent in parents))
        return [one.message for one in self.commits("--no-walk=unsorted", *wanted)]

    def is_shallow(self) -> bool:
        """Return whether older commits were left out when the repository was cloned."""
        return (self.common_dir / "shallow").exists()

    def branches_elsewhere(self) -> dict[str, Path]:
        """Map branches that other work trees of this repository have checked out to where."""
        found: dict[str, Path] = {}
        mine = self.head_branch()
        for block in self.run("worktree", "list", "--porcelain").text.split("\n\n"):
            told = dict(line.partition(" ")[::2] for line in block.split("\n"))
            branch, place = told.get("branch"), Path(told.get("worktree", ""))
            if branch and branch != mine and place.is_dir():
                found[branch] = place
        return found

    # -- writing -------------------------------------------------------------------------------

    def write_commit(
        self,
        parents: Sequence[str],
        base: str | None,
        changes: Mapping[str, bytes | None],
        message: str,
    ) -> str:
        """Store a commit that no ref points to yet, and return its id.

        Args:
            base: Commit whose tree it starts from; None for an empty tree.
            changes: New content by path from the top; None removes the path.
        """
        for path in changes:
            checked_path(path)
        with self.scratch() as folder:
            tree = f"{base}^{{tree}}"
            if changes or not base:
                tree = self._write_tree(folder, base, changes)
            options = [option for parent in parents for option in ("-p", parent)]
            made = self.run("commit-tree", *options, "-F", "-", tree, stdin=message.encode())
        return made.text

    def _write_tree(
        self, folder: Path, base: str | None, changes: Mapping[str, bytes | None]
    ) -> str:
        index = folder / "index"
        if base:
            self.run("read-tree", base, index=index)
        kept = {path: content for path, content in changes.items() if content is not None}
        sources = [folder / f"blob-{n}" for n in range(len(kept))]
        for source, content in zip(sources, kept.values(), strict=True):
            source.write_bytes(content)
        listing = "".join(f"{source}\n" for source in sources)
        stored = self.run(
            "hash-object", "-w", "--no-filters", "--stdin-paths", stdin=os.fsencode(listing)
        )
        blobs = dict(zip(kept, stored.text.split(), strict=True))
        nothing = "0" * len(base or "")
        lines = [
            f"100644 {blobs[path]}\t{path}" if path in blobs else f"0 {nothing}\t{path}"
            for path in changes
        ]
        listing = "".join(f"{line}\0" for line in lines)
        self.run("update-index", "-z", "--index-info", stdin=os.fsencode(listing), index=index)
        return self.run("write-tree", index=index).text

    def move_ref(self, ref: str, to: str, *, expected: str | None, reason: str) -> None:
        """Move a ref, if it is still where it was seen; `reason` is for the reflog.

        Raises:
            RunMoved: It is not at the commit ``expected``; None: it must not exist.
        """
        self._change_ref(ref, expected, "-m", reason, ref, to, expected or "0" * len(to))

    def delete_ref(self, ref: str, *, expected: str) -> None:
        """Delete a ref, if it is still where it was seen; raises as `move_ref`."""
        self._change_ref(ref, expected, "-d", ref, expected)

    def _change_ref(self, ref: str, expected: str | None, *arguments: str) -> None:
        try:
            self.run("update-ref", *arguments)
        except StoreError:
            found = self.ref(ref)
            if found == expected:
                raise
            nowhere = "0" * 40
            raise RunMoved(ref, expected=expected or nowhere, found=found or nowhere) from None

    def require_identity(self) -> None:
        """Raise `NoIdentity`, with the commands that help, unless git knows who commits."""
        _require_identity(self.attempt)


def _require_identity(ask: Callable[..., GitResult]) -> None:
    if any(ask("var", who).status for who in ("GIT_COMMITTER_IDENT", "GIT_AUTHOR_IDENT")):
        raise NoIdentity(
            "git does not know who commits. Tell it, then run the command again:\n"
            '  git config --global user.name "Your Name"\n'
            '  git config --global user.email "you@example.org"'
        )


def _start(
    place: Path,
    arguments: Sequence[str],
    *,
    stdin: bytes | None = None,
    environment: Mapping[str, str] | None = None,
) -> GitResult:
    """Run git in a folder and wait for it."""
    try:
        import git
    except ImportError as error:
        raise StoreError(f"git could not be started; is it installed? ({error})") from error
    settings = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
    secrets = dict.fromkeys(filter(_SECRET.match, os.environ), "")  # GitPython adds, never removes
    try:
        with contextlib.ExitStack() as stack:
            source = None
            if stdin is not None:
                source = stack.enter_context(tempfile.TemporaryFile())
                source.write(stdin)
                source.seek(0)
            kept = _Output()
            status, _, errors = git.Git(str(place)).execute(
                [git.Git.GIT_PYTHON_GIT_EXECUTABLE or "git", *settings, *arguments],
                istream=source,
                output_stream=kept,
                with_extended_output=True,
                with_exceptions=False,
                stdout_as_string=False,
                strip_newline_in_stdout=False,
                env={**secrets, **_ENVIRONMENT, **(environment or {})},
                start_new_session=True,
            )
    except git.GitCommandNotFound as error:
        raise StoreError("git could not be started; is it installed and on the PATH?") from error
    except OSError as error:
        raise _explain_os(error) from error
    if kept.n_bytes > MOST_OUTPUT:
        raise StoreError(
            f"git {arguments[0]} in {place} printed {kept.n_bytes:,} bytes, of which at most "
            f"{MOST_OUTPUT:,} are read: something in the repository is too large for a run"
        )
    return GitResult(status, kept.getvalue(), str(errors))


class _Output(io.BytesIO):
    """What a git command printed, without what is beyond the limit."""

    n_bytes = 0

    def write(self, data: Buffer, /) -> int:
        size = memoryview(data).nbytes
        self.n_bytes += size
        return super().write(data) if self.n_bytes <= MOST_OUTPUT else size


def checked_path(path: str) -> str:
    """Return a path that stays inside the tree; raise `StoreError` for any other."""
    pure = PurePosixPath(path)
    if str(pure) != path or pure.is_absolute() or {"..", ".git"} & set(pure.parts) or "\0" in path:
        raise StoreError(f"{path!r} is not a path of a file in a commit")
    return path


class WorkTree:
    """The checked out files, and how they follow a run.

    A run's branch moves first; then, if it is checked out, the files follow. After a kill in
    between, `require_clean` finishes this later. A file that a person changed is never overwritten;
    a warning names it.
    """

    def __init__(self, repo: GitRepo, root: Path) -> None:
        self._repo, self._root = repo, root
        self._index = repo.git_dir / "index"

    def changed_files(self) -> list[str]:
        """List tracked files that differ from HEAD, staged or not."""
        status = self._repo.run(
            "status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=no",
            "--ignore-submodules=dirty",
        )  # fmt: skip
        return [entry[3:] for entry in status.names]

    def require_clean(self, *, catch_up: bool) -> None:
        """Raise `DirtyWorkTree` if tracked files have changes that are not committed.

        Args:
            catch_up: Whether to finish first what a killed process may have left undone.
        """
        changed = self.changed_files()
        if changed and catch_up and self._catch_up():
            changed = self.changed_files()
        if changed:
            raise DirtyWorkTree(
                f"changes in {self._root} are not committed: {_first_few(changed)}. "
                "Put them aside with `git stash`, or commit them with `git commit -a`, "
                "then run the command again."
            )

    def require_room(self, old: str | None, new: str) -> None:
        """Raise `DirtyWorkTree` if untracked files are in the way from `old` to `new`."""
        changes = self._changes(old or self._empty_tree(), new)
        added = [path for path, letter in changes.items() if letter == "A"]
        if in_the_way := [path for path in added if self._is_blocked(path)]:
            raise DirtyWorkTree(
                f"files in {self._root} that git does not track would be overwritten: "
                f"{_first_few(in_the_way)}. Move them away, or commit them, then run the command "
                "again."
            )

    def switch(self, branch: str) -> None:
        """Check a branch out, as `git switch` does; all or nothing."""
        name = branch.removeprefix(REFS_HEADS)
        self._repo.run("checkout", "--quiet", "--no-guess", "--no-overwrite-ignore", name, "--")

    def bring_along(self, old: str | None, new: str) -> None:
        """Bring index and files from commit `old` to `new`, where HEAD is already."""
        start = old or self._empty_tree()
        try:
            self._repo.attempt("update-index", "-q", "--refresh")  # fails where a file was changed
            self._repo.run("read-tree", "-m", "-u", start, new)
        except StoreError as error:
            if not self._bring_some_along(start, new):
                _log.warning(
                    "%s is committed, but the files in %s were left as they are (%s). "
                    "`git stash` puts your changes aside and shows the new commit.",
                    new[:9], self._root, error,
                )  # fmt: skip

    def _catch_up(self) -> bool:
        """Bring files of an earlier commit to HEAD; False if that is not what they are.

        The branch has moved on and the files have not, when the index holds exactly the tree of
        an earlier commit of the first-parent line. Every file that is as that commit or HEAD has
        it follows; any other was changed by a person and stays.
        """
        with self._repo.scratch() as folder:
            staged = self._repo.attempt("write-tree", index=self._copy_of_index(folder))
        line = self._repo.commits("--first-parent", f"--max-count={_MAX_ANCESTORS}", "HEAD")
        earlier = next((commit for commit in line if commit.tree == staged.text), None)
        if staged.status or earlier is None or earlier.tree == line[0].tree:
            return False
        if self._bring_some_along(earlier.id, line[0].id):
            _log.warning(
                "the files in %s were those of %s, as after a command that was killed, and now are "
                "those of the last commit (to go back on purpose: `gco-agent rollback %s`)",
                self._root, earlier.id[:9], earlier.id[:9],
            )  # fmt: skip
        return True

    def _bring_some_along(self, old: str, new: str) -> bool:
        """Bring along every file that is as `old` or `new` has it; False if nothing could be done.

        The index is written last: killed before that, catching up does it all again.
        """
        if self._repo.attempt("diff-index", "--cached", "--quiet", old, "--").status:
            return False
        changes = self._changes(old, new)
        with self._repo.scratch() as folder:
            index = self._copy_of_index(folder)
            from_old = self._differing(index)
            self._repo.run("read-tree", "-i", "-m", new, index=index)
            from_new = self._differing(index)
            mine = {
                path
                for path in changes.keys() | from_old.keys()
                if self._is_changed(path, changes.get(path), from_old, from_new)
            }
            follow = {path: letter for path, letter in changes.items() if path not in mine}
            written = [path for path, letter in follow.items() if letter != "D"]
            listing = b"".join(os.fsencode(path) + b"\0" for path in written)
            self._repo.run("checkout-index", "-f", "-z", "--stdin", stdin=listing, index=index)
        for path, letter in follow.items():
            if letter == "D":
                self._remove(path)
        self._repo.run("read-tree", "-i", "-m", new)
        self._repo.attempt("update-index", "-q", "--refresh")
        if mine:
            _log.warning(
                "the run has gone on to %s; files in %s that you have changed were left as they "
                "are: %s. `git diff` shows them against it, `git stash` puts them aside.",
                new[:9], self._root, _first_few(sorted(mine)),
            )  # fmt: skip
        return True

    def _is_changed(
        self,
        path: str,
        change: str | None,
        from_old: Mapping[str, str],
        from_new: Mapping[str, str],
    ) -> bool:
        """Return whether a file is neither as in the old commit nor as in the new one."""
        if change is None:
            return path in from_old
        if change == "A":
            return path in from_new and self._is_blocked(path)
        if change == "D":
            return from_old.get(path, "D") != "D"
        return path in from_old and path in from_new

    def _differing(self, index: Path) -> dict[str, str]:
        """Map files that differ from an index to how: M changed, D deleted, T of another type."""
        self._repo.attempt("update-index", "-q", "--refresh", index=index)
        return _pairs(self._repo.run("diff-files", "--name-status", "-z", index=index).names)

    def _changes(self, old: str, new: str) -> dict[str, str]:
        """Map files that differ between two trees to how: A added, D deleted, M changed."""
        options = ("-r", "-z", "--name-status", "--no-renames")
        return _pairs(self._repo.run("diff-tree", *options, old, new).names)

    def _copy_of_index(self, folder: Path) -> Path:
        copy = folder / "index"
        if self._index.exists():
            shutil.copy(self._index, copy)
        return copy

    def _is_blocked(self, path: str) -> bool:
        """Return whether something is where a file, or a folder above it, would have to be."""
        above = [self._root / folder for folder in Path(path).parents]
        return os.path.lexists(self._root / path) or any(
            os.path.lexists(folder) and not folder.is_dir() for folder in above
        )

    def _remove(self, path: str) -> None:
        """Delete a file and the folders it leaves empty; nothing behind a symbolic link."""
        above = [self._root / folder for folder in Path(path).parents][:-1]
        if any(folder.is_symlink() for folder in above):
            return
        (self._root / path).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # not empty, or already gone
            for folder in above:
                folder.rmdir()

    def _empty_tree(self) -> str:
        return self._repo.run("mktree", stdin=b"").text


def _pairs(names: list[str]) -> dict[str, str]:
    """Parse ``letter, path, letter, path`` into a mapping of path to letter."""
    return dict(zip(names[1::2], names[::2], strict=True))


def _first_few(paths: list[str]) -> str:
    more = f" and {len(paths) - _MAX_NAMED} more" if len(paths) > _MAX_NAMED else ""
    return ", ".join(paths[:_MAX_NAMED]) + more
