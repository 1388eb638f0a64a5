"""The checked out files, and how they follow a run.

A run's branch moves first; then, if it is checked out, the work tree follows. What a kill in
between leaves undone, `WorkTree.require_clean` finishes later. A file that a person changed is
never overwritten; a warning names it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from gco_agent.core.errors import DirtyWorkTree, StoreError
from gco_agent.store.git import REFS_HEADS, GitRepo

_log = logging.getLogger(__name__)

_MOST_NAMED = 5
_MOST_ANCESTORS = 1000


class WorkTree:
    """The work tree of a repository that has one."""

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
        """Make sure that no tracked file has changes that are not committed.

        Args:
            catch_up: Whether to finish first what a killed process may have left undone.

        Raises:
            DirtyWorkTree: Some have; names them and the commands that help.
        """
        changed = self.changed_files()
        if changed and catch_up and self._catch_up():
            changed = self.changed_files()
        if changed:
            raise DirtyWorkTree(
                f"changes in {self._root} are not committed: {_told(changed)}. "
                "Put them aside with `git stash`, or commit them with `git commit -a`, "
                "then run the command again."
            )

    def require_room(self, old: str | None, new: str) -> None:
        """Make sure that no untracked file is where going from `old` to `new` puts one.

        Raises:
            DirtyWorkTree: Some are; names them.
        """
        changes = self._changes(old or self._empty_tree(), new)
        added = [path for path, letter in changes.items() if letter == "A"]
        if in_the_way := [path for path in added if self._is_blocked(path)]:
            raise DirtyWorkTree(
                f"files in {self._root} that git does not track would be overwritten: "
                f"{_told(in_the_way)}. Move them away, or commit them, then run the command again."
            )

    def switch(self, branch: str) -> None:
        """Check a branch out, as `git switch` does; all or nothing.

        Raises:
            StoreError: Git refused.
        """
        name = branch.removeprefix(REFS_HEADS)
        self._repo.run("checkout", "--quiet", "--no-guess", "--no-overwrite-ignore", name, "--")

    def bring_along(self, old: str | None, new: str) -> None:
        """Bring index and files from commit `old` to `new`, where HEAD is already.

        Files that were changed meanwhile stay as they are, and a warning is logged.
        """
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
        line = self._repo.commits("--first-parent", f"--max-count={_MOST_ANCESTORS}", "HEAD")
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

    # -- file by file ----------------------------------------------------------------------------

    def _bring_some_along(self, old: str, new: str) -> bool:
        """Bring along every file that is as `old` or `new` has it; False if nothing could be done.

        The index is written last: killed before that, catching up does it all again.
        """
        if self._index_differs(old):
            return False
        changes = self._changes(old, new)
        with self._repo.scratch() as folder:
            index = self._copy_of_index(folder)
            differ_from_old = self._differing(index)
            self._repo.run("read-tree", "-i", "-m", new, index=index)
            differ_from_new = self._differing(index)
            mine = {
                path
                for path in changes.keys() | differ_from_old.keys()
                if self._is_changed(path, changes.get(path), differ_from_old, differ_from_new)
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
                new[:9], self._root, _told(sorted(mine)),
            )  # fmt: skip
        return True

    def _is_changed(
        self,
        path: str,
        change: str | None,
        from_old: Mapping[str, str],
        from_new: Mapping[str, str],
    ) -> bool:
        """Whether a file is neither as in the old commit nor as in the new one."""
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
        """Copy the user's index, so that commands that write one leave it alone."""
        copy = folder / "index"
        if self._index.exists():
            shutil.copy(self._index, copy)
        return copy

    def _index_differs(self, commit: str) -> bool:
        return bool(self._repo.attempt("diff-index", "--cached", "--quiet", commit, "--").status)

    def _is_blocked(self, path: str) -> bool:
        """Whether something is where a file, or a folder above it, would have to be."""
        target = self._root / path
        above = [self._root / folder for folder in Path(path).parents]
        return os.path.lexists(target) or any(
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


def _told(paths: list[str]) -> str:
    """Name a few files."""
    more = f" and {len(paths) - _MOST_NAMED} more" if len(paths) > _MOST_NAMED else ""
    return ", ".join(paths[:_MOST_NAMED]) + more
