"""What a run has been: its commits, read back as steps.

The branch's first-parent line is the story: one commit an iteration. A rejected candidate is a
commit beside the line; the iteration's commit is then a merge of it that keeps the line's tree.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from gco_agent.core.errors import NotARun, StoreError
from gco_agent.store.entries import Facts, RunRef, Verdict, parse_message
from gco_agent.store.git import Commit, GitRepo, read_files

_PAGE = 256
_REMEMBERED = 256
"""Files of commits that are not read a second time."""
_FULL_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


@dataclass(frozen=True, slots=True)
class Step:
    """A commit of a run.

    Attributes:
        commit: Its id.
        parents: Commit ids, the one before it on the line first.
        when: Committer's date.
        subject: First line of its message.
        body: The reason.
        facts: What was measured; None for a commit that a person made by hand.
        candidates: The rejected candidates of the iteration, oldest first.
    """

    commit: str
    parents: tuple[str, ...]
    when: datetime
    subject: str
    body: str
    facts: Facts | None
    candidates: tuple[Step, ...] = ()

    @property
    def verdict(self) -> Verdict | None:
        """What it came to; None for a commit that a person made by hand."""
        return self.facts.verdict if self.facts else None

    @property
    def iteration(self) -> int | None:
        """Number of the iteration; None for a commit that a person made by hand."""
        return self.facts.iteration if self.facts else None


class RunView:
    """A run, to be read. It shows the branch as it was when the view was opened.

    Attributes:
        repo: Where it is kept.
        ref: Its name.
        tip: Commit id of its last commit.
        policy_path: Path of the policy from the top of the tree.
    """

    def __init__(self, repo: GitRepo, ref: RunRef) -> None:
        self.repo, self.ref = repo, ref
        tip = repo.ref(str(ref))
        if tip is None:
            raise NotARun(f"there is no run {ref.branch} in {repo.place}")
        self.tip = tip
        self.policy_path = policy_path(ref.game)
        self._history: list[Step] | None = None
        self._text = functools.lru_cache(maxsize=_REMEMBERED)(self._read_text)

    def history(self) -> list[Step]:
        """List the steps of the run's line, the initial policy first.

        A commit a person made in between is a step without facts; the policy it leaves is the
        run's policy from then on.

        Raises:
            NotARun: No initial policy is on the line.
            StoreError: A message cannot be read.
        """
        if self._history is None:
            self._history = self._read_history()
        return list(self._history)

    @property
    def last_iteration(self) -> int:
        """Number of the last iteration; 0 when there is only the initial policy."""
        return max(s.iteration for s in self.history() if s.iteration is not None)

    @property
    def standing(self) -> Step:
        """The step that made the run's policy what it is: the last that was not turned down."""
        return self._standing(self.history())

    def facts(self, rev: str | None = None) -> Facts | None:
        """Return what was measured for a commit, by default the last; None if made by hand."""
        return self.step(rev or self.tip).facts

    def step(self, rev: str) -> Step:
        """Find a step or a candidate of this run.

        Args:
            rev: Any revision git knows, or the plain number of an iteration.

        Raises:
            NotARun: The revision is not of this run.
            StoreError: There is no such revision.
        """
        history = self.history()
        is_number = bool(re.fullmatch(r"\d{1,6}", rev))  # git shortens no id below seven digits
        numbered = [s for s in history if is_number and s.iteration == int(rev)]
        if numbered:
            return numbered[-1]
        try:
            commit = self.repo.resolve(rev)
        except StoreError:
            if not is_number:
                raise
            raise StoreError(
                f"{self.ref.branch} has iterations 0 to {self.last_iteration}, not {rev}"
            ) from None
        for step in history:
            for each in (step, *step.candidates):
                if each.commit == commit:
                    return each
        raise NotARun(
            f"{rev} ({commit[:9]}) is no commit of the run {self.ref.branch}. "
            f"`git log --graph --oneline {self.ref.branch}` shows those that are."
        )

    def read(self, path: str, rev: str | None = None) -> str | None:
        """Return the text of a file at a commit, by default the last; None if it has none."""
        if rev is None:
            return self._text(self.tip, path)
        return self._text(rev if _FULL_ID.fullmatch(rev) else self.repo.resolve(rev), path)

    def _read_text(self, commit: str, path: str) -> str | None:
        content = self.repo.read_file(commit, path)
        return None if content is None else content.decode("utf-8", "replace")

    def read_many(self, wanted: Sequence[tuple[str, str]]) -> Iterator[str | None]:
        """Yield the texts of many files, given commit ids and paths; None for one not there."""
        return read_files(self.repo, wanted)

    def files(self, rev: str, folder: str) -> list[str]:
        """List the paths of the files below a folder at a commit."""
        return self.repo.list_files(rev, folder)

    def policy(self, rev: str | None = None) -> str:
        """Return the text of the policy at a commit, by default the last.

        Raises:
            NotARun: That commit has no policy.
        """
        text = self.read(self.policy_path, rev)
        if text is None:
            raise NotARun(f"{rev or self.ref.branch} has no file {self.policy_path}")
        return text

    def evidence(self, step: Step, name: str, *, candidate: int = -1) -> str | None:
        """Return a file of ``iterations/<nnnn>/`` of a step; None if there is no such file.

        Args:
            step: Where the candidates were turned down, the file is one of theirs.
            name: Path below the folder of the iteration.
            candidate: Which of them, as an index; the last by default.
        """
        if step.facts is None:
            return None
        commit = _evidence_commit(step, candidate)
        return self.read(evidence_folder(step.facts.iteration) + name, commit)

    def evidence_of_all(self, steps: Sequence[Step], name: str) -> list[str | None]:
        """As `evidence` of each step, read at once."""
        known = [step for step in steps if step.facts is not None]
        wanted = [
            (_evidence_commit(step), evidence_folder(step.iteration or 0) + name) for step in known
        ]
        texts = dict(zip((step.commit for step in known), self.read_many(wanted), strict=True))
        return [texts.get(step.commit) for step in steps]

    def evidence_names(self, rev: str, iteration: int) -> list[str]:
        """Names of the files that a commit has of an iteration, below its folder, sorted."""
        folder = evidence_folder(iteration)
        paths = self.repo.list_files(self.repo.resolve(rev), folder)
        return sorted(path.removeprefix(folder) for path in paths)

    def _standing(self, line: Sequence[Step]) -> Step:
        """The last step of a line that made its policy; the initial one did in any case."""
        return next(step for step in reversed(line) if self._made_policy(step))

    def _made_policy(self, step: Step) -> bool:
        if step.verdict:
            return step.verdict.is_kept
        before, after = (self.read(self.policy_path, c) for c in (step.parents[0], step.commit))
        return before != after

    def _read_history(self) -> list[Step]:
        line: list[Step] = []
        start = [self.tip]
        while start:
            page = self.repo.commits("--first-parent", f"--max-count={_PAGE}", *start, "--")
            for commit in page:
                line.append(_parse_step(commit))
                if line[-1].verdict is Verdict.INITIAL:
                    return self._with_candidates(line[::-1])
            start = list(page[-1].parents[:1])
        hint = " The clone is shallow; `git fetch --unshallow` brings the rest."
        raise NotARun(
            f"{self.ref.branch} is not a run of gco-agent: none of its {len(line)} commits is the "
            f"start of one.{hint if self.repo.is_shallow() else ''}"
        )

    def _read_step(self, commit: str) -> Step:
        (step,) = self._with_candidates([_parse_step(*self.repo.commits("--no-walk", commit))])
        return step

    def _with_candidates(self, line: Sequence[Step]) -> list[Step]:
        """Attach the side commits: every further parent that carries facts of ours."""
        wanted = [parent for step in line if step.facts for parent in step.parents[1:]]
        if not wanted:
            return list(line)
        stdin = "".join(f"{commit}\n" for commit in wanted).encode()
        found = map(_parse_step, self.repo.commits("--no-walk=unsorted", "--stdin", stdin=stdin))
        side = {step.commit: step for step in found if step.facts}
        return [
            replace(step, candidates=tuple(side[p] for p in step.parents[1:] if p in side))
            for step in line
        ]


def _evidence_commit(step: Step, candidate: int = -1) -> str:
    """The commit that has the evidence of a step: beside the line if it was turned down."""
    is_kept = step.facts is not None and step.facts.verdict.is_kept
    return step.candidates[candidate].commit if step.candidates and not is_kept else step.commit


def policy_path(game: str) -> str:
    """Path of a game's policy from the top of the tree."""
    return f"policies/{game}.py"


def evidence_folder(iteration: int) -> str:
    """Path of an iteration's evidence from the top of the tree, with the slash."""
    return f"iterations/{iteration:04d}/"


def _parse_step(commit: Commit) -> Step:
    try:
        subject, body, facts = parse_message(commit.message)
    except StoreError as error:
        raise StoreError(f"commit {commit.id[:9]} cannot be read: {error}") from None
    return Step(
        commit.id, commit.parents, datetime.fromisoformat(commit.when), subject, body, facts
    )
