"""All runs of a repository: make, list, find and open them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from dataclasses import replace

from gco_agent.errors import NotARun, RunMoved, StoreError, UsageError
from gco_agent.store.entries import (
    BRANCH_NAMESPACE,
    Entry,
    RunRef,
    Verdict,
    format_plain_message,
    parse_message,
)
from gco_agent.store.git import REFS_HEADS, GitRepo
from gco_agent.store.history import RunView
from gco_agent.store.lock import RunLock
from gco_agent.store.run import REASON, Run, write_entry
from gco_agent.store.text import clean_line
from gco_agent.store.worktree import WorkTree

_MOST_LISTED = 5
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


class Runs:
    """The runs of one repository."""

    def __init__(self, repo: GitRepo) -> None:
        self._repo = repo
        self._work_tree = WorkTree(repo, repo.root) if repo.root else None

    def create(self, ref: RunRef, entry: Entry, *, switch: bool) -> str:
        """Start a run: its branch, with the initial policy on top of `base`.

        Where HEAD has no commit yet, and the run is checked out, an empty one is made first.
        Evidence of another run that the base may hold is left out of the new run's tree.

        Args:
            ref: Its name.
            entry: The initial policy; its verdict is INITIAL, its iteration 0.
            switch: Whether to check the branch out; a bare repository has nowhere to.

        Returns:
            The commit id.

        Raises:
            UsageError: There is a run of that name.
            DirtyWorkTree: Asked to switch, and changes or untracked files are in the way; nothing
                was made then.
            NoIdentity: Git does not know who commits.
            StoreError: Git refused.
        """
        if (entry.facts.verdict, entry.facts.iteration) != (Verdict.INITIAL, 0):
            raise ValueError("a run starts with iteration 0 and the verdict INITIAL")
        if entry.facts.run != ref.branch:
            raise ValueError(f"facts of {entry.facts.run} where {ref.branch} belongs")
        if self._repo.ref(str(ref)):
            raise _taken(ref)
        self._repo.require_identity()
        work_tree = self._work_tree if switch else None
        if work_tree:
            self._require_clean(work_tree)
        head, base = self._repo.head(), self.base()
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
            self._switch(work_tree, ref, new)
        return new

    def base(self) -> str | None:
        """The commit that a new run begins on; None where there is none.

        What is checked out; where that is in a run, what that run began on: no run is a part of
        another's story.
        """
        return self.beginning()[0]

    def beginning(self) -> tuple[str | None, RunRef | None]:
        """As `base`; and the run that what is checked out is a part of, its branch or a commit."""
        head = self._repo.head()
        with contextlib.suppress(StoreError, UsageError):
            ref = RunRef.parse(head.branch or self._run_of(head.commit) or "")
            parents = self.view(ref).history()[0].parents
            return (parents[0] if parents else None), ref
        return head.commit, None

    def _run_of(self, commit: str | None) -> str | None:
        """The branch that a commit says it was made for."""
        found = self._repo.commits("--max-count=1", commit) if commit else []
        facts = parse_message(found[0].message)[2] if found else None
        return facts.run if facts is not None else None

    def home(self) -> str | None:
        """A branch of the person's own to go to from a run: main where there is one, or master."""
        names = [name.removeprefix(REFS_HEADS) for name in self._repo.refs(REFS_HEADS)]
        own = [name for name in names if not name.startswith(f"{BRANCH_NAMESPACE}/")]
        usual = [name for name in ("main", "master") if name in own]
        return next(iter([*usual, *own]), None)

    def list(self) -> list[RunRef]:
        """List the runs, the one that advanced last first."""
        found = []
        for name in self._repo.refs(f"{REFS_HEADS}{BRANCH_NAMESPACE}/"):
            try:
                found.append(RunRef.parse(name))
            except UsageError:
                continue  # a branch of the user's that happens to be named so
        return found

    def current(self) -> RunRef:
        """Return the run that is checked out.

        Raises:
            NotARun: None is; says what is, and the commands that help.
        """
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
                f"the branch {name} is no run of gco-agent. {self._what_there_is()}"
            ) from None

    def of_game(self, name: str) -> tuple[RunRef, ...]:
        """The runs of a game, the one that advanced last first.

        Args:
            name: The game as people type it: "pong", "cart_pole", "CartPole-v1", "Pong".
        """
        if "/" in name and not _VERSION.search(name):
            return ()  # it names a branch
        return tuple(ref for ref in self.list() if is_same_game(name, ref.game))

    def find(self, text: str) -> RunRef:
        """Find a run by its branch, by ``<game>/<run>``, or by a run id or game that no other has.

        Raises:
            NotARun: No run, or more than one, is named so.
        """
        runs = self.list()
        name = text.removeprefix(REFS_HEADS).removeprefix(f"{BRANCH_NAMESPACE}/")
        found = [ref for ref in runs if name in (f"{ref.game}/{ref.run_id}", ref.run_id)]
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
        raise NotARun(f"there is no run {text!r} in {self._repo.place}. {self._what_there_is()}")

    def view(self, ref: RunRef) -> RunView:
        """Open a run to read it, whoever may be advancing it.

        Raises:
            NotARun: There is none of that name.
        """
        return RunView(self._repo, ref)

    def open(self, ref: RunRef) -> Run:
        """Open a run to advance it, and finish what a killed process left undone.

        Raises:
            NotARun: There is none of that name.
            RunBusy: Another process is advancing it.
            DirtyWorkTree: It is checked out, and files have changes that are not committed.
            NoIdentity: Git does not know who commits.
            StoreError: It is checked out in another work tree, or git refused.
        """
        RunView(self._repo, ref)
        self._repo.require_identity()
        lock = RunLock(self._repo.common_dir / "gco-agent" / f"{ref.stem}.lock", ref.branch)
        try:
            self._settle(ref)
            run = Run(self._repo, ref, lock)
            run.history()  # raises where the branch is no run
        except BaseException:
            lock.release()
            raise
        return run

    def _settle(self, ref: RunRef) -> None:
        """Make sure that the files of a run, where it is checked out, can follow it."""
        if elsewhere := self._repo.branches_elsewhere().get(str(ref)):
            raise StoreError(
                f"{ref.branch} is checked out in {elsewhere}: run the command there, "
                "so that its files follow"
            )
        if self._work_tree and self._repo.head_branch() == str(ref):
            self._work_tree.require_clean(catch_up=True)

    def _require_clean(self, work_tree: WorkTree) -> None:
        """Refuse changes that are not committed, on whatever branch is checked out.

        Away from a run's branch, an index that holds an earlier tree is most likely what a person
        staged, unless the last to move HEAD was this program.
        """
        branch = self._repo.head_branch() or ""
        is_run = branch.startswith(f"{REFS_HEADS}{BRANCH_NAMESPACE}/")
        is_ours = is_run or self._repo.last_reason("HEAD").startswith(REASON)
        work_tree.require_clean(catch_up=is_ours)

    def publish_file(
        self, path: str, text: str, subject: str, body: str, trailers: Mapping[str, str]
    ) -> str:
        """Commit one file to the current branch, which is not a run's.

        Args:
            path: From the top of the tree.
            text: What the file holds from now on.
            subject: First line of the message.
            body: What else it says.
            trailers: Its last paragraph, by name; ``Gco-Schema`` is kept for runs.

        Returns:
            The commit id.

        Raises:
            UsageError: A run is checked out, or nothing is, or the file is already so.
            DirtyWorkTree: Changes or untracked files are in the way; nothing was made then.
            NoIdentity: Git does not know who commits.
            RunMoved: Somebody else moved the branch.
        """
        head = self._repo.head()
        if head.branch is None:
            raise UsageError("HEAD is detached: `git switch` to the branch to publish on")
        name = head.branch.removeprefix(REFS_HEADS)
        if name.startswith(f"{BRANCH_NAMESPACE}/"):
            raise UsageError(
                f"{name} is the branch of a run: `git switch` to the branch to publish on"
            )
        self._repo.require_identity()
        if self._work_tree:
            self._require_clean(self._work_tree)
        content = text.encode("utf-8", "backslashreplace")
        if head.commit and self._repo.read_file(head.commit, path) == content:
            raise UsageError(f"nothing to publish: {path} is already so on {name}")
        lines = [f"{word}: {clean_line(value)}" for word, value in trailers.items()]
        message = format_plain_message(subject, body, lines)
        parents = [head.commit] if head.commit else []
        new = self._repo.write_commit(parents, head.commit, {path: content}, message)
        if self._work_tree:
            self._work_tree.require_room(head.commit, new)
        self._repo.move_ref(head.branch, new, expected=head.commit, reason=f"{REASON} publish")
        if self._work_tree:
            self._work_tree.bring_along(head.commit, new)
        return new

    def _switch(self, work_tree: WorkTree, ref: RunRef, commit: str) -> None:
        """Check a new run out, or take it back."""
        try:
            work_tree.switch(str(ref))
        except StoreError:
            self._repo.delete_ref(str(ref), expected=commit)
            raise

    def _what_there_is(self) -> str:
        """Say which runs there are and what to type next."""
        runs = self.list()
        if not runs:
            return "Start one with `gco-agent run GAME`."
        named = ", ".join(ref.branch for ref in runs[:_MOST_LISTED])
        more = f" and {len(runs) - _MOST_LISTED} more" if len(runs) > _MOST_LISTED else ""
        return (
            f"There is {named}{more}: name one, as in `gco-agent log --run {runs[0].branch}`, "
            "or start another with `gco-agent run GAME`."
        )


def is_same_game(one: str, other: str) -> bool:
    """Whether two names mean the same game, as "pong" and "ALE/Pong-v5" do.

    Versions and letter case count for nothing, nor what stands before a colon or a slash.
    """
    return bool(_squash(one)) and _squash(one) == _squash(other)


def _squash(name: str) -> str:
    """The name of a game, or the id of an environment, without what people write differently."""
    base = _VERSION.sub("", name.lower()).rpartition(":")[2].rpartition("/")[2]
    return "".join(c for c in base if c.isalnum())


def _taken(ref: RunRef) -> UsageError:
    return UsageError(
        f"there is a run {ref.branch} already: go on with `gco-agent step --run {ref.branch}`, "
        "or choose another name with --name"
    )
