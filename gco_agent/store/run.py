"""The writer of a run: every commit of an iteration is made here."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

from gco_agent.errors import RunMoved, StoreError, UsageError
from gco_agent.header import is_same_but_for_score
from gco_agent.store.entries import Entry, Facts, RunRef, Verdict, format_message, headline
from gco_agent.store.git import GitRepo
from gco_agent.store.history import RunView, Step, evidence_folder, policy_path
from gco_agent.store.lock import RunLock
from gco_agent.store.text import clean_line
from gco_agent.store.worktree import WorkTree

_log = logging.getLogger(__name__)

REASON = "gco-agent:"
"""How the reflog entries of this program begin."""

_STRANDED = "refs/gco-agent/stranded/"


class Run(RunView):
    """A run, to be advanced; a context manager that lets others advance it afterwards.

    Every method that writes makes its commits first and then moves the branch, if nobody else has
    moved it, and last brings the checked out files along. Killed at any moment, the branch is
    valid and the next `Runs.open` goes on from it.
    """

    def __init__(self, repo: GitRepo, ref: RunRef, lock: RunLock) -> None:
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
        """Keep a text beside the branch, in git's folder, until it is replaced; None removes it.

        For what must survive a killed command and has no place in a commit yet.

        Args:
            name: Name of a file.
            text: What to keep.

        Raises:
            StoreError: It cannot be written.
        """
        path = self._aside(name)
        try:
            if text is None:
                path.unlink(missing_ok=True)
                return
            path.parent.mkdir(parents=True, exist_ok=True)
            scratch = path.with_name(f"{path.name}.new")
            scratch.write_text(text, "utf-8", "backslashreplace")
            scratch.replace(path)
        except OSError as error:
            raise StoreError(f"cannot write {path}: {error.strerror}") from error

    def set_aside(self, name: str) -> str | None:
        """The text that was kept under ``name``; None if there is none that can be read."""
        try:
            return self._aside(name).read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            return None

    def _aside(self, name: str) -> Path:
        folder = self.repo.common_dir / "gco-agent"
        return folder / f"{self.ref.stem}.{name}"

    def accept(self, entry: Entry, *, rejected: Sequence[Entry] = ()) -> str:
        """Commit an accepted candidate: the next commit of the line.

        Args:
            entry: The candidate; its verdict is ACCEPTED.
            rejected: Candidates of the same iteration that were turned down; they are kept as
                side commits, as `reject` does it.

        Returns:
            The commit id.

        Raises:
            RunMoved: Somebody else moved the branch; the commit is kept under another ref.
            StoreError: Git refused; the branch is where it was, unless the message says more.
            ValueError: The facts are not of the next iteration of this run.
        """
        self._check(entry, Verdict.ACCEPTED)
        return self._advance(entry, rejected)

    def reject(self, candidates: Sequence[Entry], line: Entry) -> str:
        """Commit an iteration that leaves the policy as it is; raises as `accept`.

        Args:
            candidates: Each becomes a child of the tip, with its policy and evidence.
            line: The line's commit, a merge of the candidates with the tree of the tip. It has
                no policy and no files.
        """
        self._check(line, Verdict.REJECTED, Verdict.FAILED)
        if line.policy is not None or line.files or line.top_files:
            raise ValueError("the line's commit of a rejected iteration keeps the tree it has")
        return self._advance(line, candidates)

    def report(self, entry: Entry) -> str:
        """Commit the policy with its report score in its docstring; raises as `accept`."""
        self._check(entry, Verdict.REPORTED)
        return self._advance(entry)

    def rollback(self, rev: str, *, reason: str = "") -> str:
        """Make the policy of an earlier commit the run's policy again, by a new commit.

        The measured facts of that policy are stamped again, since they are true of it.

        Args:
            rev: A step or candidate of this run: a revision, or the number of an iteration.
            reason: For the message.

        Raises:
            NotARun: The revision is not of this run.
            UsageError: The policy is already that one, but for what its docstring says it scores.
            StoreError: As `accept`.
        """
        step = self.step(rev)
        text = self.policy(step.commit)
        if is_same_but_for_score(text, self.policy()):
            raise UsageError(f"nothing to roll back: the policy of {rev} is in force already")
        on_line = [s.commit for s in self.history()]
        source = step
        if step.commit in on_line:
            source = self._standing(self.history()[: on_line.index(step.commit) + 1])
        facts = self._rolled_back_facts(source)
        names = (
            f"The policy is again that of {step.commit[:9]} ({step.subject}), "
            f"in place of that of {self.tip[:9]}."
        )
        body = f"{reason}\n\n{names}" if reason else names
        what = f"to iteration {step.iteration}" if step.facts else f"to {step.commit[:9]}"
        return self._advance(Entry(headline(facts, what), body, facts, policy=text))

    def _rolled_back_facts(self, source: Step) -> Facts:
        iteration = self.last_iteration + 1
        told = [s.facts for s in self.history() if s.facts]
        frames = max((f.frames for f in told if f.frames is not None), default=None)
        name, verdict = self.ref.branch, Verdict.ROLLED_BACK
        if source.facts is None:
            return Facts(name, iteration, verdict, frames=frames)
        known = source.facts
        return Facts(
            name,
            iteration,
            verdict,
            return_mean=known.return_mean,
            return_se=known.return_se,
            episodes=known.episodes,
            seeds=known.seeds,
            protocol=known.protocol,
            frames=frames,
            loc=known.loc,
            cyclomatic=known.cyclomatic,
            nested_if=known.nested_if,
            digest=known.digest,
            jail=known.jail,
        )

    def _check(self, entry: Entry, *verdicts: Verdict) -> None:
        """Raise ValueError unless the facts are those of the run's next iteration."""
        facts, following = entry.facts, self.last_iteration + 1
        if facts.verdict not in verdicts:
            raise ValueError(f"{facts.verdict} where {' or '.join(map(str, verdicts))} belongs")
        if (facts.run, facts.iteration) != (self.ref.branch, following):
            raise ValueError(
                f"facts of {facts.run}, iteration {facts.iteration}, "
                f"where {self.ref.branch}, iteration {following} belongs"
            )

    def _advance(self, entry: Entry, candidates: Sequence[Entry] = ()) -> str:
        """Commit to the line, move the branch and bring the work tree along."""
        old, game = self.tip, self.ref.game
        for candidate in candidates:
            self._check(candidate, Verdict.REJECTED, Verdict.FAILED)
        side = [write_entry(self.repo, [old], candidate, game) for candidate in candidates]
        new = write_entry(self.repo, [old, *side], _pointing_to(entry, candidates, side), game)
        try:
            reason = f"{REASON} {entry.facts.verdict.value}"
            self.repo.move_ref(str(self.ref), new, expected=old, reason=reason)
        except RunMoved:
            self._strand(new)
            raise
        history, self.tip, self._history = self.history(), new, None
        is_same_tree = entry.policy is None and not entry.files and not entry.top_files
        if not is_same_tree and self.repo.head_branch() == str(self.ref) and self.repo.root:
            WorkTree(self.repo, self.repo.root).bring_along(old, new)
        self._history = [*history, self._read_step(new)]
        return new

    def _strand(self, commit: str) -> None:
        """Keep a commit that found no place on the branch from being collected as garbage."""
        ref = f"{_STRANDED}{self.ref.game}/{self.ref.run_id}/{commit[:12]}"
        try:
            self.repo.move_ref(ref, commit, expected=None, reason=f"{REASON} stranded")
        except StoreError as error:
            _log.warning("the commit %s has no ref: %s", commit, error)
        else:
            _log.warning("the work of this iteration is kept: `git show %s`", ref)


def _pointing_to(entry: Entry, candidates: Sequence[Entry], commits: Sequence[str]) -> Entry:
    """Add to the body of a merge which candidates it keeps: git shows no difference for them."""
    if not candidates:
        return entry
    kept = "\n".join(
        f"    git show {commit[:9]}  # {clean_line(candidate.subject)}"
        for commit, candidate in zip(commits, candidates, strict=True)
    )
    return replace(entry, body=f"{entry.body}\n\nTurned down, and kept beside the line:\n\n{kept}")


def write_entry(
    repo: GitRepo,
    parents: Sequence[str],
    entry: Entry,
    game: str,
    *,
    remove: Sequence[str] = (),
) -> str:
    """Store the commit of an entry, on the tree of its first parent, and return its id.

    Args:
        repo: Where.
        parents: Commit ids; none makes a root commit.
        entry: What to commit.
        game: Names the policy file.
        remove: Paths the commit drops.
    """
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
    message = format_message(entry.subject, entry.body, entry.facts)
    return repo.write_commit(parents, parents[0] if parents else None, changes, message)
