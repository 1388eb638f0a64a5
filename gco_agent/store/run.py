"""Runs: start, find and advance them."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from gco_agent.core.errors import GcoError, NotARun, RunBusy, RunMoved, StoreError, UsageError
from gco_agent.core.files import read_file, write_file
from gco_agent.core.records import Verdict
from gco_agent.core.text import clean_line, shorten
from gco_agent.policy.source import is_same_but_for_score
from gco_agent.store.entries import (
    BRANCH_NAMESPACE,
    Entry,
    Facts,
    RunRef,
    format_message,
    format_plain_message,
    headline,
    parse_message,
)
from gco_agent.store.evidence import authenticate, is_authentic, sign
from gco_agent.store.git import REFS_HEADS, GitRepo, Head, WorkTree
from gco_agent.store.view import (
    EPISODES_FILE,
    RunView,
    evidence_folder,
    frames_of,
    policy_path,
)

if TYPE_CHECKING:
    from filelock import BaseFileLock

REASON = "gco-agent:"
"""Prefix of this program's reflog entries."""

_STRANDED = "refs/gco-agent/stranded/"
_OF_POLICY = (
    *("return_mean", "return_se", "episodes", "seeds", "protocol", "loc", "cyclomatic"),
    *("nested_if", "digest", "cpu_ms_mean", "jail"),
)
"""Facts that are true of a policy wherever it is committed."""
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL})
_MAX_LISTED = 5
_ATTRIBUTES = {
    "iterations/.gitattributes": "# evidence is kept to the byte, whatever is set above\n"
    "* -text -filter -ident -working-tree-encoding\n"
}
_EVIDENCE = re.compile(r"iterations/\d{4,}/")
_VERSION = re.compile(r"(?:-v\d+|\.py)$")
_FIRST = (
    "Begin\n\nAn empty commit of gco-agent's, so that there is a branch to come back to from the "
    "branch of a run.\n"
)
_log = logging.getLogger(__name__)


class Run(RunView):
    """A run, to be advanced; a context manager that lets others advance it afterwards.

    Every method that writes makes its commits first, then moves the branch, if nobody else has
    moved it, and last updates the checked out files. After a kill at any moment, the branch is
    valid and the next `Runs.open` continues from it.
    """

    def __init__(self, repo: GitRepo, ref: RunRef, lock: BaseFileLock) -> None:
        super().__init__(repo, ref)
        self._lock = lock

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Let others advance the run."""
        self._lock.release()

    def put_aside(self, name: str, text: str | None) -> None:
        """Keep a text in git's folder until it is replaced; None removes it.

        For what must survive a killed command before it is part of a commit. It is signed with the
        user's key, as a repository may be received as a whole folder.
        """
        path = f"{self.ref.stem}.{name}"
        if text is not None:
            code = authenticate(f"{path}\n{text}")
            text = f"{code}\n{text}"
        self.repo.write_private(path, text)

    def set_aside(self, name: str) -> str | None:
        """Return the text that was kept under ``name``; None if this user did not keep one."""
        path = self.repo.private_file(f"{self.ref.stem}.{name}")
        try:
            kept = read_file(path, root=self.repo.common_dir).decode("utf-8")
        except (OSError, UnicodeDecodeError, GcoError):
            return None
        code, _, text = kept.partition("\n")
        return text if is_authentic(f"{path.name}\n{text}", code) else None

    def commit(self, entry: Entry, beside: Sequence[Entry] = ()) -> str:
        """Commit the next iteration to the line, and return the id of the commit.

        Args:
            entry: An accepted candidate, a report; or an iteration that leaves the policy as it
                is, which has no policy and no files.
            beside: Rejected candidates of the iteration. Each becomes a child of the tip, with its
                policy and evidence; the line's commit is a merge of them.

        Raises:
            RunMoved: Somebody else moved the branch; the commit is kept under another ref.
        """
        facts = entry.facts
        if facts.verdict in (Verdict.INITIAL, Verdict.BY_HAND):
            raise ValueError(f"{facts.verdict} is no verdict of a further iteration")
        if entry.has_changes and not facts.verdict.is_kept:
            raise ValueError("the line's commit of a rejected iteration keeps the tree it has")
        if any(one.facts.verdict.is_kept for one in beside):
            raise ValueError("what is beside the line was rejected")
        due = (self.ref.branch, self.last_iteration + 1)
        for one in (entry, *beside):
            if (one.facts.run, one.facts.iteration) != due:
                raise ValueError(f"facts of {one.facts.run}, iteration {one.facts.iteration}, "
                                 f"where {due[0]}, iteration {due[1]} belongs")  # fmt: skip
        old, game = self.tip, self.ref.game
        side = [write_entry(self.repo, [old], candidate, game) for candidate in beside]
        new = write_entry(self.repo, [old, *side], _pointing_to(entry, beside, side), game)
        try:
            reason = f"{REASON} {facts.verdict}"
            self.repo.move_ref(str(self.ref), new, expected=old, reason=reason)
        except RunMoved:
            self._strand(new)
            raise
        history, self.tip, self._history = self.history(), new, None
        if entry.has_changes and self.repo.head_branch() == str(self.ref) and self.repo.root:
            WorkTree(self.repo, self.repo.root).bring_along(old, new)
        self._history = [*history, self._read_step(new)]
        return new

    def rollback(self, rev: str, *, reason: str = "") -> str:
        """Make the policy of an earlier commit the run's policy again, by a new commit.

        The measured facts of that policy are stamped again, since they are true of it.

        Args:
            rev: A step or candidate of this run: a revision, or the number of an iteration.
        """
        step = self.step(rev)
        text = self.policy(step.commit)
        if is_same_but_for_score(text, self.policy()):
            raise UsageError(f"nothing to roll back: the policy of {rev} is in force already")
        history = self.history()
        on_line = [s.commit for s in history]
        source = step
        if step.commit in on_line:
            source = self._standing(history[: on_line.index(step.commit) + 1])
        same: dict[str, Any] = {name: getattr(source.facts, name, None) for name in _OF_POLICY}
        facts = Facts(
            self.ref.branch,
            self.last_iteration + 1,
            Verdict.ROLLED_BACK,
            frames=frames_of(history) or None,
            **same,
        )
        names = (
            f"The policy is again that of {step.commit[:9]} ({step.subject}), "
            f"in place of that of {self.tip[:9]}."
        )
        body = f"{reason}\n\n{names}" if reason else names
        what = f"to iteration {step.iteration}" if step.facts else f"to {step.commit[:9]}"
        return self.commit(Entry(headline(facts, what), body, facts, policy=text))

    def _strand(self, commit: str) -> None:
        """Give a commit that lost the race for the branch a ref, so that git keeps it."""
        ref = f"{_STRANDED}{self.ref.game}/{self.ref.run_id}/{commit[:12]}"
        try:
            self.repo.move_ref(ref, commit, expected=None, reason=f"{REASON} stranded")
        except StoreError as error:
            _log.warning("the commit %s has no ref: %s", commit, error)
        else:
            _log.warning("the work of this iteration is kept: `git show %s`", ref)


def _pointing_to(entry: Entry, candidates: Sequence[Entry], commits: Sequence[str]) -> Entry:
    """Name the candidates in the body of a merge, since git shows no difference for them."""
    if not candidates:
        return entry
    kept = "\n".join(
        f"    git show {commit[:9]}  # {clean_line(candidate.subject)}"
        for commit, candidate in zip(commits, candidates, strict=True)
    )
    return replace(entry, body=f"{entry.body}\n\nTurned down, and kept beside the line:\n\n{kept}")


def write_entry(
    repo: GitRepo, parents: Sequence[str], entry: Entry, game: str, *, remove: Sequence[str] = ()
) -> str:
    """Store the commit of an entry, on the tree of its first parent, and return its id."""
    texts = dict(entry.top_files)
    if entry.policy is not None:
        texts[policy_path(game)] = entry.policy
    # only evidence is kept to the byte: git may have to convert the line ends of other files
    texts = {path: text.replace("\r\n", "\n") for path, text in texts.items()}
    folder = evidence_folder(entry.facts.iteration)
    texts.update({folder + name: text for name, text in entry.files.items()})
    changes: dict[str, bytes | None] = dict.fromkeys(remove)
    # a traceback may quote half a surrogate pair, which UTF-8 cannot express
    changes.update({path: text.encode("utf-8", "backslashreplace") for path, text in texts.items()})
    place, base = policy_path(game), parents[0] if parents else None
    policy = changes[place] if place in changes or base is None else repo.read_file(base, place)
    text = format_message(entry.subject, entry.body, entry.facts)
    after = repo.messages_before(parents)
    message = sign(text, after, policy, changes.get(folder + EPISODES_FILE))
    return repo.write_commit(parents, base, changes, message)


def _lock_run(repo: GitRepo, ref: RunRef) -> BaseFileLock:
    """Acquire the right to advance a run, which ends with `release` or the process.

    Where the file system has no locks it is granted with a warning: two writers then still cannot
    overwrite each other, because refs move by compare-and-swap.
    """
    from filelock import FileLock, Timeout

    path = repo.private_file(f"{ref.stem}.lock")
    holder = path.with_suffix(".pid")
    lock = FileLock(path, timeout=0, thread_local=False)
    try:
        path.parent.mkdir(exist_ok=True)
        if path.parent.is_symlink() or path.is_symlink():
            raise StoreError(f"{path} leads through a symbolic link; delete the link")
        lock.acquire()
        with contextlib.suppress(OSError):  # only a message needs it
            write_file(holder, f"{os.getpid()}\n", root=repo.common_dir)
    except Timeout:
        pid = holder.read_text("ascii", "replace").strip() if holder.is_file() else ""
        who = f"process {pid}" if pid.isdigit() else "another process"
        raise RunBusy(
            f"run {ref.branch} is being advanced by {who}; "
            "wait for it or stop it, then run the command again"
        ) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            lock.release()
            raise StoreError(f"cannot lock {path}: {error.strerror}") from error
        _log.warning("%s: this file system has no locks; do not advance a run twice", path)
    return lock


class Runs:
    """The runs of one repository."""

    def __init__(self, repo: GitRepo) -> None:
        self._repo = repo
        self._work_tree = WorkTree(repo, repo.root) if repo.root else None

    # -- starting ------------------------------------------------------------------------------

    def create(self, ref: RunRef, entry: Entry, *, switch: bool) -> str:
        """Start a run: its branch, with the initial policy on top of `base`; return the commit id.

        Where HEAD has no commit yet, and the run is checked out, an empty one is made first.
        Evidence of another run that the base may hold is left out of the new run's tree.

        Args:
            entry: The initial policy; its verdict is INITIAL, its iteration 0.
            switch: Whether to check the branch out; a bare repository has nowhere to.
        """
        facts = entry.facts
        if (facts.verdict, facts.iteration, facts.run) != (Verdict.INITIAL, 0, ref.branch):
            raise ValueError(
                f"a run starts with iteration 0 and the verdict INITIAL, not iteration "
                f"{facts.iteration} of {facts.run} ({facts.verdict})"
            )
        self.require_free(ref)
        self._repo.require_identity()
        work_tree = self._work_tree if switch else None
        if work_tree:
            self.require_clean()
        head, base = self._repo.head(), self.beginning()[0]
        is_unborn = bool(work_tree and head.branch and head.commit is None)
        if is_unborn:
            base = self._repo.write_commit([], None, {}, _FIRST)
        old = self._repo.list_files(base, "iterations/") if base else []
        old = [path for path in old if _EVIDENCE.match(path)]
        entry = replace(entry, top_files={**entry.top_files, **_ATTRIBUTES})
        new = write_entry(self._repo, [base] if base else [], entry, ref.game, remove=old)
        if work_tree:
            work_tree.require_room(head.commit, new)
        try:
            if is_unborn and head.branch and base:
                self._repo.move_ref(head.branch, base, expected=None, reason=f"{REASON} begin")
            self._repo.move_ref(str(ref), new, expected=None, reason=f"{REASON} start")
        except RunMoved:
            raise _taken(ref) from None
        if work_tree:
            try:
                work_tree.switch(str(ref))
            except StoreError:
                self._repo.delete_ref(str(ref), expected=new)
                raise
        return new

    def fork(self, ref: RunRef, rev: str | None, name: str) -> RunRef:
        """Start another run from an iteration of a run, and return its name.

        Its branch begins with the commits up to there, whose files hold the optimizer's memory. It
        has its own secret, from which its races take their seeds where they are secret.

        Args:
            rev: A step or candidate of it; by default the last step. For a candidate that was not
                accepted, its policy is put in force by a further commit.
        """
        view = self.view(ref)
        step = view.step(rev or view.tip)
        line = next(
            s
            for s in view.history()
            if step.commit in [s.commit, *(c.commit for c in s.candidates)]
        )
        new = RunRef(ref.game, name)
        self.require_free(new)
        self._repo.require_identity()
        self._repo.move_ref(str(new), line.commit, expected=None, reason=f"{REASON} fork")
        if line.commit != step.commit:
            with self.open(new) as opened:
                opened.rollback(step.commit, reason=f"Forked from a candidate of {ref.branch}.")
        return new

    def require_free(self, ref: RunRef) -> None:
        """Raise `UsageError` if there is a run of that name."""
        if self._repo.ref(str(ref)):
            raise _taken(ref)

    def require_clean(self) -> None:
        """Raise `DirtyWorkTree` if tracked files have changes that are not committed."""
        if self._work_tree is None:
            return
        # away from a run's branch, an index that holds an earlier tree is most likely what a person
        # staged, unless this program was the last to move HEAD
        branch = self._repo.head_branch() or ""
        is_run = branch.startswith(f"{REFS_HEADS}{BRANCH_NAMESPACE}/")
        moved = self._repo.attempt("log", "-g", "-1", "--format=%gs", "HEAD", "--").text
        self._work_tree.require_clean(catch_up=is_run or moved.startswith(REASON))

    def beginning(self) -> tuple[str | None, RunRef | None]:
        """Return the commit that a new run starts from, and the run that is checked out, if any.

        The commit is the one that is checked out, or from which the run that is checked out
        started, so that no run is part of another's history; None where there is none.
        """
        head = self._repo.head()
        with contextlib.suppress(StoreError, UsageError):
            ref = RunRef.parse(head.branch or self._run_of(head.commit) or "")
            parents = self.view(ref).history()[0].parents
            return (parents[0] if parents else None), ref
        return head.commit, None

    def _run_of(self, commit: str | None) -> str | None:
        found = self._repo.commits("--max-count=1", commit) if commit else []
        facts = parse_message(found[0].message)[2] if found else None
        return facts.run if facts is not None else None

    def home(self) -> str | None:
        """Return a branch that is not a run's: main if there is one, or master, or another."""
        names = [name.removeprefix(REFS_HEADS) for name in self._repo.refs(REFS_HEADS)]
        own = [name for name in names if not name.startswith(f"{BRANCH_NAMESPACE}/")]
        usual = [name for name in ("main", "master") if name in own]
        return next(iter([*usual, *own]), None)

    # -- finding -------------------------------------------------------------------------------

    def list(self) -> list[RunRef]:
        """List the runs, the one that advanced last first."""
        found = []
        for name in self._repo.refs(f"{REFS_HEADS}{BRANCH_NAMESPACE}/"):
            with contextlib.suppress(UsageError):  # a branch of the user's may be named so
                found.append(RunRef.parse(name))
        return found

    def current(self) -> RunRef:
        """Return the run that is checked out."""
        branch = self._repo.head_branch()
        if branch is None:
            raise NotARun(f"no branch is checked out (HEAD is detached). {self._what_there_is()}")
        name = branch.removeprefix(REFS_HEADS)
        if self._repo.ref(branch) is None:
            raise NotARun(f"the branch {name} has no commit yet. {self._what_there_is()}")
        try:
            return RunRef.parse(branch)
        except UsageError:
            raise NotARun(
                f"the branch {name} is not a run of gco-agent. {self._what_there_is()}"
            ) from None

    def of_game(self, name: str) -> tuple[RunRef, ...]:
        """Return the runs of a game, the one that advanced last first.

        Args:
            name: The game as people type it: "pong", "cart_pole", "CartPole-v1", "Pong".
        """
        if name.endswith(".py") or ("/" in name and not _VERSION.search(name)):
            return ()  # it names a file or a branch
        return tuple(ref for ref in self.list() if is_same_game(name, ref.game))

    def find(self, text: str) -> RunRef:
        """Find a run by its branch, by ``<game>/<run>``, or by a unique run id or game."""
        name = text.removeprefix(REFS_HEADS).removeprefix(f"{BRANCH_NAMESPACE}/")
        found = [ref for ref in self.list() if name in (f"{ref.game}/{ref.run_id}", ref.run_id)]
        found = found or [*self.of_game(name)]
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(ref.branch for ref in found)
            raise NotARun(f"{text!r} names more than one run: {names}")
        for remote in self._repo.refs("refs/remotes/"):
            if remote.endswith(f"/{BRANCH_NAMESPACE}/{name}"):
                branch = f"{BRANCH_NAMESPACE}/{name}"
                raise NotARun(
                    f"the run {branch} is only on a remote; "
                    f"`git branch {branch} {remote.removeprefix('refs/remotes/')}` brings it here"
                )
        raise NotARun(
            f"there is no run {shorten(text)!r} in {self._repo.place}. {self._what_there_is()}"
        )

    def _what_there_is(self) -> str:
        runs = self.list()
        if not runs:
            return "Start one with `gco-agent run GAME`."
        named = ", ".join(ref.branch for ref in runs[:_MAX_LISTED])
        more = f" and {len(runs) - _MAX_LISTED} more" if len(runs) > _MAX_LISTED else ""
        return (
            f"There is {named}{more}: name one, as in `gco-agent log {runs[0].branch}`, "
            "or start another with `gco-agent run GAME`."
        )

    # -- opening -------------------------------------------------------------------------------

    def view(self, ref: RunRef) -> RunView:
        """Open a run to read it, even while another process advances it."""
        return RunView(self._repo, ref)

    def open(self, ref: RunRef) -> Run:
        """Open a run to advance it, and finish what a killed process left undone.

        Raises:
            RunBusy: Another process is advancing it.
        """
        RunView(self._repo, ref)
        self._repo.require_identity()
        if elsewhere := self._repo.branches_elsewhere().get(str(ref)):
            raise StoreError(
                f"{ref.branch} is checked out in {elsewhere}: run the command there, "
                "so that its files follow"
            )
        lock = _lock_run(self._repo, ref)
        try:
            if self._work_tree and self._repo.head_branch() == str(ref):
                self._work_tree.require_clean(catch_up=True)
            run = Run(self._repo, ref, lock)
            run.history()  # raises where the branch is no run
        except BaseException:
            lock.release()
            raise
        return run

    # -- publishing ----------------------------------------------------------------------------

    def require_publishable(self) -> Head:
        """Return what is checked out, if a policy can be published there."""
        head = self._repo.head()
        if head.branch is None:
            raise UsageError("HEAD is detached: `git switch` to the branch to publish on")
        name = head.branch.removeprefix(REFS_HEADS)
        if name.startswith(f"{BRANCH_NAMESPACE}/"):
            home = self.home()
            switch = f"`git switch {home}`" if home else "`git switch` to it"
            raise UsageError(
                f"{name} is the branch of a run, and policies are published on one of yours: "
                f"{switch}, then run the command again"
            )
        self._repo.require_identity()
        self.require_clean()
        return head

    def publish_file(
        self, path: str, text: str, subject: str, body: str, trailers: Mapping[str, str]
    ) -> str:
        """Commit one file to the current branch, which is not a run's; return the commit id.

        Args:
            trailers: Its last paragraph, by name; ``Gco-Schema`` is reserved for runs.
        """
        head = self.require_publishable()
        branch, content = head.branch or "", text.encode("utf-8", "backslashreplace")
        if head.commit and self._repo.read_file(head.commit, path) == content:
            raise UsageError(
                f"nothing to publish: {path} is already so on {branch.removeprefix(REFS_HEADS)}"
            )
        lines = [f"{word}: {clean_line(value)}" for word, value in trailers.items()]
        message = format_plain_message(subject, body, lines)
        parents = [head.commit] if head.commit else []
        new = self._repo.write_commit(parents, head.commit, {path: content}, message)
        if self._work_tree:
            self._work_tree.require_room(head.commit, new)
        self._repo.move_ref(branch, new, expected=head.commit, reason=f"{REASON} publish")
        if self._work_tree:
            self._work_tree.bring_along(head.commit, new)
        return new


def is_same_game(one: str, other: str) -> bool:
    """Return whether two names mean the same game, as "pong" and "ALE/Pong-v5" do.

    Versions, letter case, and what stands before a colon or a slash are ignored.
    """
    return bool(_squash(one)) and _squash(one) == _squash(other)


def _squash(name: str) -> str:
    base = _VERSION.sub("", name.lower()).rpartition(":")[2].rpartition("/")[2]
    return "".join(c for c in base if c.isalnum())


def _taken(ref: RunRef) -> UsageError:
    return UsageError(
        f"there is a run {ref.branch} already: go on with `gco-agent step {ref.branch}`, "
        "or choose another name with --name"
    )
