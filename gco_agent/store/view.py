"""The one reader of a run: its commits as steps and trials, their episodes, policies and totals.

The branch's first-parent line is the history: one commit an iteration. A rejected candidate is a
commit beside the line; the iteration's commit is then a merge of it that keeps the line's tree.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from gco_agent.core.codec import readable
from gco_agent.core.errors import GcoError, NotARun, StoreError, UsageError
from gco_agent.core.records import Verdict
from gco_agent.core.text import clean_line
from gco_agent.policy.source import PolicySource
from gco_agent.store.config import FILE, RunConfig, parse_config
from gco_agent.store.entries import Facts, RunRef, parse_message
from gco_agent.store.evidence import is_signed, parse_evidence
from gco_agent.store.git import Commit, GitRepo

EPISODES_FILE = "evaluation.json"
"""Evidence file with the episodes of an iteration."""
FEEDBACK_FILE = "feedback.md"
"""Evidence file with what the optimizer was shown of the results."""
_PAGE = 256
_CACHED_FILES = 256
_FULL_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_NUMBER = re.compile(r"\d{1,6}")  # git shortens no id below seven digits
_NO_DATE = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_YEAR = 9998


@dataclass(frozen=True, slots=True)
class Step:
    """A commit of a run.

    Attributes:
        parents: Commit ids, the one before it on the line first.
        when: Committer's date; 1970 if the commit has none that can be read.
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
    def verdict(self) -> Verdict:
        """Outcome of the iteration; BY_HAND for a commit that a person made."""
        return self.facts.verdict if self.facts else Verdict.BY_HAND

    @property
    def iteration(self) -> int | None:
        """Number of the iteration; None for a commit that a person made by hand."""
        return self.facts.iteration if self.facts else None

    @property
    def summary(self) -> str:
        """The edit in a few words: the subject without the facts that stand before it."""
        subject = clean_line(self.subject)
        if self.facts is None:
            return subject
        lead, _, what = subject.partition(": ")
        return what or lead.partition(" rolled back ")[2].partition(", return ")[0]


@dataclass(frozen=True, slots=True)
class Trial(Step):
    """A policy text that was tried, and its verdict; or an iteration without a candidate.

    Its `parents` are the commits of the trials that it descends from, the one it was compared with
    first; none for the initial policy.
    """

    line_commit: str = ""
    is_kept: bool = False
    in_force: bool = False

    @classmethod
    def of(cls, step: Step, line: Step, parents: Sequence[str], *, in_force: bool) -> Trial:
        """Return ``step``, on the line or beside the commit ``line`` of it, as a trial."""
        return cls(
            step.commit, tuple(parents), step.when, step.subject, step.body, step.facts,
            line_commit=line.commit, in_force=in_force,
            is_kept=step is line and step.verdict.is_kept,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Played:
    """One seed, played by a candidate and, in a race, by its parent."""

    seed: int
    episode_return: float
    n_steps: int
    outcome: str
    detail: str = ""
    parent_return: float | None = None

    @property
    def difference(self) -> float | None:
        """Candidate minus parent."""
        return None if self.parent_return is None else self.episode_return - self.parent_return


@dataclass(frozen=True, slots=True)
class Details:
    """Files of a trial.

    Attributes:
        before: Text of the policy that it was made from; "" for the initial policy.
        feedback: What the optimizer was shown; None where nothing is stored.
    """

    before: str
    after: str | None
    played: tuple[Played, ...]
    feedback: str | None = None


@dataclass(slots=True)
class OptimizerStats:
    """Totals of one optimizer in a run.

    Attributes:
        gain: Sum of the gains of the accepted, in points an episode. It is read from the races that
            decided, so it is optimistic; and it depends on where the other optimizers left off.
    """

    optimizer: str
    iterations: int = 0
    candidates: int = 0
    accepted: int = 0
    gain: float = 0.0
    tokens: int = 0
    usd: float = 0.0
    steps: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One row of a list of runs.

    Attributes:
        optimizer: As in its configuration; "" if that cannot be read.
        error: Why the run, or its configuration, cannot be read; "" if it can.
    """

    ref: RunRef
    commit: str
    optimizer: str = ""
    seed: int | None = None
    facts: Facts | None = None
    iterations: int | None = None
    accepted: int | None = None
    started: datetime | None = None
    advanced: datetime | None = None
    frames: int | None = None
    tokens: int = 0
    usd: float = 0.0
    error: str = ""


class RunView:
    """A run, to be read. It shows the branch as it was when the view was opened."""

    def __init__(self, repo: GitRepo, ref: RunRef) -> None:
        self.repo, self.ref = repo, ref
        tip = repo.ref(str(ref))
        if tip is None:
            raise NotARun(f"there is no run {ref.branch} in {repo.place}")
        self.tip = tip
        self.policy_path = policy_path(ref.game)
        self._history: list[Step] | None = None
        self._text = functools.lru_cache(maxsize=_CACHED_FILES)(self._read_text)

    # -- steps ---------------------------------------------------------------------------------

    def history(self) -> list[Step]:
        """List the steps of the run's line, the initial policy first.

        A commit that a person made in between is a step without facts; the policy it leaves is the
        run's policy from then on.
        """
        if self._history is None:
            self._history = self._read_history()
        return list(self._history)

    @property
    def last_iteration(self) -> int:
        """Number of the last iteration; 0 when there is only the initial policy."""
        return max(s.iteration for s in self.history() if s.iteration is not None)

    @property
    def n_iterations(self) -> int:
        """Iterations in which an optimizer was asked; scores and rollbacks have numbers, too."""
        return sum(step.verdict.is_trial for step in self.history())

    @property
    def standing(self) -> Step:
        """The step that made the policy in force: the last one that was kept."""
        return self._standing(self.history())

    def step(self, rev: str) -> Step:
        """Find a step or a candidate of this run.

        Args:
            rev: Any revision git knows, or the plain number of an iteration.
        """
        history = self.history()
        is_number = bool(_NUMBER.fullmatch(rev))
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
            f"{rev} ({commit[:9]}) is not a commit of the run {self.ref.branch}. "
            f"`git log --graph --oneline {self.ref.branch}` shows those that are."
        )

    # -- files ---------------------------------------------------------------------------------

    def read(self, path: str, rev: str | None = None) -> str | None:
        """Return the text of a file at a commit, by default the last; None if it has none."""
        rev = rev or self.tip
        return self._text(rev if _FULL_ID.fullmatch(rev) else self.repo.resolve(rev), path)

    def _read_text(self, commit: str, path: str) -> str | None:
        content = self.repo.read_file(commit, path)
        return None if content is None else content.decode("utf-8", "replace")

    def policy(self, rev: str | None = None) -> str:
        """Return the text of the policy at a commit, by default the last."""
        text = self.read(self.policy_path, rev)
        if text is None:
            raise NotARun(f"{rev or self.ref.branch} has no file {self.policy_path}")
        if "\ufffd" in text:  # what was played is what is committed, byte for byte
            content = self.repo.read_file(self.repo.resolve(rev or self.tip), self.policy_path)
            try:
                (content or b"").decode("utf-8")
            except UnicodeDecodeError as error:
                raise StoreError(
                    f"{self.policy_path} of {rev or self.ref.branch} is not UTF-8 text"
                ) from error
        return text

    def config(self) -> RunConfig:
        """Return the settings of the run."""
        text = self.read(FILE)
        if text is None:
            raise UsageError(f"{self.ref.branch} has no {FILE}, which says how it is played")
        return parse_config(text)

    def evidence(self, step: Step, name: str, *, candidate: int = -1) -> str | None:
        """Return a file of ``iterations/<nnnn>/`` of a step; None if there is no such file.

        Args:
            step: Where the candidates were rejected, the file is one of theirs.
            candidate: Which of them, as an index; the last by default.
        """
        if step.facts is None:
            return None
        commit = _evidence_commit(step, candidate)
        return self.read(evidence_folder(step.facts.iteration) + name, commit)

    def evidence_of_all(self, steps: Sequence[Step], name: str) -> list[str | None]:
        """Return the `evidence` of each step, read at once."""
        known = [step for step in steps if step.facts is not None]
        wanted = [
            (_evidence_commit(step), evidence_folder(step.iteration or 0) + name) for step in known
        ]
        found = self.repo.read_files(wanted)
        texts = dict(zip((step.commit for step in known), found, strict=True))
        return [texts.get(step.commit) for step in steps]

    def evidence_names(self, commit: str, iteration: int | None) -> list[str]:
        """List the files that a commit has of an iteration, by their names in its folder."""
        if iteration is None:
            return []
        folder = evidence_folder(iteration)
        return sorted(path.removeprefix(folder) for path in self.repo.list_files(commit, folder))

    # -- trials and totals ---------------------------------------------------------------------

    def trials(self) -> list[Trial]:
        """List every policy text that was tried, on the run's line or beside it, oldest first."""
        standing = self.standing.commit
        origin: dict[str, str] = {}  # a commit of the run to the trial that its policy is from
        trials: list[Trial] = []
        before = ""
        for step in self.history():
            own = [step] if step.verdict.is_kept or not step.candidates else []
            for source in (*step.candidates, *own):
                known = (before, *(origin.get(commit, "") for commit in source.parents))
                parents = list(dict.fromkeys(filter(None, known)))
                in_force = source.commit == standing
                trials.append(Trial.of(source, step, parents, in_force=in_force))
                origin[source.commit] = source.commit
            if step.verdict.is_kept:
                before = step.commit
            origin[step.commit] = before
        return trials

    def trials_of(self, rev: str | None) -> list[Trial]:
        """List the trials of an iteration, by default the last one, the kept one last.

        Args:
            rev: As for `step`; a candidate's commit gives that trial alone.
        """
        trials = self.trials()
        step = self.step(rev or trials[-1].line_commit)
        if rev and not _NUMBER.fullmatch(rev):
            exact = [trial for trial in trials if trial.commit == step.commit]
            if exact:
                return exact
        elif rev:
            return [trial for trial in trials if trial.iteration == step.iteration]
        return [trial for trial in trials if trial.line_commit == step.commit]

    def details(self, trials: Sequence[Trial]) -> Iterator[Details]:
        """Yield the texts and episodes of trials, one after the other."""
        wanted: list[tuple[str, str]] = []
        for trial in trials:
            folder = evidence_folder(trial.iteration or 0)
            wanted += [
                (trial.parents[0] if trial.parents else trial.commit, self.policy_path),
                (trial.commit, self.policy_path),
                (trial.commit, folder + EPISODES_FILE),
                (trial.commit, folder + FEEDBACK_FILE),
            ]
        texts = self.repo.read_files(wanted)
        for trial in trials:
            before, after, evidence, feedback = (next(texts) for _ in range(4))
            if trial.iteration is None:
                evidence = feedback = None
            has_candidate = trial.verdict is not Verdict.FAILED or (trial.facts and trial.facts.loc)
            yield Details(
                (before or "") if trial.parents else "",
                after if has_candidate else None,
                parse_played(evidence, f"commit {trial.commit[:9]}"),
                feedback,
            )

    def summary(self) -> RunSummary:
        """Return what a list of runs shows; a run that cannot be read has an ``error``."""
        try:
            history, standing = self.history(), self.standing
            stats = optimizer_stats(history)
        except GcoError as error:
            return RunSummary(self.ref, self.tip, error=str(error))
        row = RunSummary(
            self.ref,
            self.tip,
            facts=standing.facts,
            iterations=self.n_iterations,
            accepted=sum(step.verdict is Verdict.ACCEPTED for step in history),
            started=history[0].when,
            advanced=history[-1].when,
            frames=frames_of(history),
            tokens=sum(one.tokens for one in stats),
            usd=sum(one.usd for one in stats),
        )
        try:
            config = self.config()
        except GcoError as error:
            return replace(row, error=str(error))
        return replace(row, optimizer=config.optimizer, seed=config.seed)

    def is_signed(self, step: Step) -> bool:
        """Return whether this user's machine made a commit, after those that are its parents."""
        [commit] = self.repo.commits("--no-walk", step.commit)
        evidence = evidence_folder(step.iteration or 0) + EPISODES_FILE
        files = (self.repo.read_file(step.commit, path) for path in (self.policy_path, evidence))
        return is_signed(commit.message, self.repo.messages_before(commit.parents), *files)

    # -- reading commits -----------------------------------------------------------------------

    def _standing(self, line: Sequence[Step]) -> Step:
        """Return the last step of a line that made its policy."""
        return next((s for s in reversed(line) if self._made_policy(s)), line[0])

    def _made_policy(self, step: Step) -> bool:
        if step.facts is not None:
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


# -- parts of a run's records ----------------------------------------------------------------------


def policy_path(game: str) -> str:
    """Return the path of a game's policy from the top of the tree."""
    return f"policies/{game}.py"


def evidence_folder(iteration: int) -> str:
    """Return the path of an iteration's evidence from the top of the tree, with the slash."""
    return f"iterations/{iteration:04d}/"


def frames_of(steps: Sequence[Step], *, with_reports: bool = True) -> int:
    """Return the emulator frames that a run has used in its steps."""
    n_frames = n_left_out = 0
    for step in steps:
        before, n_frames = n_frames, max(n_frames, (step.facts and step.facts.frames) or 0)
        n_left_out += n_frames - before if step.verdict is Verdict.REPORTED else 0
    return n_frames if with_reports else n_frames - n_left_out


def optimizer_stats(steps: Sequence[Step]) -> list[OptimizerStats]:
    """Return the totals of each optimizer in the steps of a run's line, in order of appearance."""
    rows: dict[str, OptimizerStats] = {}
    for step in steps:
        facts = step.facts
        if facts is None or facts.optimizer is None or not facts.verdict.is_trial:
            continue
        row = rows.setdefault(facts.optimizer, OptimizerStats(facts.optimizer))
        row.iterations += 1
        row.tokens += (facts.tokens_in or 0) + (facts.tokens_out or 0)
        row.usd += facts.usd or 0.0
        row.steps += facts.steps or 0
        row.seconds += facts.seconds or 0.0
        row.candidates += sum(
            s.facts is not None and s.facts.loc is not None for s in step.candidates
        )
        if facts.verdict is Verdict.ACCEPTED:
            row.candidates += 1
            row.accepted += 1
            row.gain += facts.gain or 0.0
    return list(rows.values())


def parse_played(text: str | None, where: str) -> tuple[Played, ...]:
    """Parse an ``evaluation.json``; empty where there is no such file."""
    if text is None:
        return ()
    name = f"{EPISODES_FILE} of {where}"
    evidence = parse_evidence(text, name)
    with readable(name):
        mine, *others = evidence.policies.values()  # the candidate, its parent
    parent = {e.seed: e.episode_return for e in (others[0] if others else ())}
    return tuple(
        Played(e.seed, e.episode_return, e.n_steps, e.outcome.word, e.detail, parent.get(e.seed))
        for e in mine
    )


def returns_of(step: Step, episodes: str | None) -> list[float] | None:
    """Return the returns behind the mean of a step's facts; None if they are not stored.

    Args:
        episodes: Text of its ``evaluation.json``, if there is one.
    """
    facts = step.facts
    if episodes is None or facts is None or facts.return_mean is None:
        return None
    returns = [one.episode_return for one in parse_played(episodes, f"commit {step.commit[:9]}")]
    return returns if len(returns) == facts.episodes else None


def read_policy(target: str | Path, directory: Path = Path()) -> PolicySource:
    """Read a policy from a path or from ``REV:PATH``.

    ``load_policy(read_policy("HEAD~3:policies/pong.py"))`` loads the policy of three commits ago.

    Args:
        target: Path of a file, or a git revision, a colon, and a path from the top of the tree. An
            existing file of that name has precedence.
        directory: Base of relative paths; its git repository resolves revisions.

    Raises:
        PolicyError: It cannot be read, or is not UTF-8 text.
        StoreError: There is no repository, or no such revision.
    """
    rev, colon, path = str(target).partition(":")
    if not colon or (directory / target).exists():
        return PolicySource.from_file(directory / target)
    repo = GitRepo.find(directory.absolute())
    content = repo.read_file(repo.resolve(rev or "HEAD"), path)
    if content is None:
        raise UsageError(f"{rev or 'HEAD'} has no file {path}")
    return PolicySource.from_bytes(content, str(target))


def _evidence_commit(step: Step, candidate: int = -1) -> str:
    """Return the commit that has the evidence of a step: beside the line if it was rejected."""
    if step.verdict.is_kept or not step.candidates:
        return step.commit
    return step.candidates[candidate].commit


def _parse_step(commit: Commit) -> Step:
    try:
        subject, body, facts = parse_message(commit.message)
    except StoreError as error:
        raise StoreError(f"commit {commit.id[:9]} cannot be read: {error}") from None
    try:
        when = datetime.fromisoformat(commit.when)
    except ValueError:  # none at all, an impossible time zone, a year of five digits
        when = _NO_DATE
    if when.tzinfo is None or not _NO_DATE.year <= when.year <= _LAST_YEAR:
        when = _NO_DATE
    return Step(commit.id, commit.parents, when, subject, body, facts)
