"""The trials of a run: every policy text that was tried, on its line or beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from gco_agent.core.text import clean_line
from gco_agent.optimizers.base import FEEDBACK_FILE
from gco_agent.report.played import FILE, Played, parse_played
from gco_agent.store.entries import Facts, Verdict
from gco_agent.store.view import RunView, Step, evidence_folder


@dataclass(frozen=True, slots=True)
class Trial:
    """One policy text and what it came to; or an iteration that brought forth none.

    Attributes:
        iteration: Its number; None for a commit that a person made by hand.
        commit: Where the text is: on the run's line, or beside it.
        line_commit: The iteration's commit on the line.
        parents: Commits of the trials that it descends from; the first is what it was compared
            with. None of them for the initial policy.
        when: Committer's date.
        verdict: A word of `Verdict`, or "by hand".
        summary: The edit in a few words.
        reason: The body of the commit's message.
        facts: What was measured, if anything.
        is_kept: Whether it became the run's policy.
        in_force: Whether it is the run's policy now.
    """

    iteration: int | None
    commit: str
    line_commit: str
    parents: tuple[str, ...]
    when: datetime
    verdict: str
    summary: str
    reason: str
    facts: Facts | None
    is_kept: bool
    in_force: bool


@dataclass(frozen=True, slots=True)
class Details:
    """What a trial holds beyond its message.

    Attributes:
        before: Text of the policy that it was made from; "" for the initial policy.
        after: Its own text; None where the iteration brought forth none.
        played: Its episodes, in the order of the seeds.
        feedback: What the optimizer was told of the play before; None where nothing is kept.
    """

    before: str
    after: str | None
    played: tuple[Played, ...]
    feedback: str | None = None


BY_HAND = "by hand"


def read_trials(view: RunView) -> list[Trial]:
    """The trials of a run, oldest first; the rejected of an iteration each on its own."""
    standing = view.standing.commit
    origin: dict[str, str] = {}  # a commit on the line, or beside it, to the trial of its policy
    trials: list[Trial] = []
    before = ""
    for step in view.history():
        own = [step] if _is_kept(step) or not step.candidates else []
        for source in (*step.candidates, *own):
            trials.append(_trial(source, step, _parents(source, origin, before), standing))
            origin[source.commit] = source.commit
        if _is_kept(step):
            before = step.commit
        origin[step.commit] = before
    return trials


def read_details(view: RunView, trials: Sequence[Trial]) -> Iterator[Details]:
    """The texts and episodes of trials, one after the other.

    Raises:
        StoreError: The evidence of one is of another schema, or garbled.
    """
    path = view.policy_path
    wanted: list[tuple[str, str]] = []
    for trial in trials:
        folder = evidence_folder(trial.iteration or 0)
        wanted += [
            (trial.parents[0] if trial.parents else trial.commit, path),
            (trial.commit, path),
            (trial.commit, folder + FILE),
            (trial.commit, folder + FEEDBACK_FILE),
        ]
    texts = view.read_many(wanted)
    for trial in trials:
        before, after, evidence, feedback = (next(texts) for _ in range(4))
        is_untried = trial.verdict == Verdict.FAILED.value and trial.facts and not trial.facts.loc
        has_evidence = trial.iteration is not None
        yield Details(
            (before or "") if trial.parents else "",
            None if is_untried else after,
            parse_played(evidence, f"commit {trial.commit[:9]}") if has_evidence else (),
            feedback if has_evidence else None,
        )


def find_trials(trials: Sequence[Trial], iteration: int) -> list[Trial]:
    """The trials of an iteration, the kept one last."""
    return [trial for trial in trials if trial.iteration == iteration]


def evidence_files(view: RunView, trial: Trial) -> list[str]:
    """Names of the files that an iteration keeps, below its folder."""
    if trial.iteration is None:
        return []
    folder = evidence_folder(trial.iteration)
    return [path.removeprefix(folder) for path in view.files(trial.commit, folder)]


def summary_of(step: Step) -> str:
    """The edit in a few words: the subject without the facts that stand before it."""
    subject = clean_line(step.subject)
    if step.facts is None:
        return subject
    lead, _, what = subject.partition(": ")
    return what or lead.partition(" rolled back ")[2].partition(", return ")[0]


def _trial(source: Step, step: Step, parents: tuple[str, ...], standing: str) -> Trial:
    return Trial(
        source.iteration,
        source.commit,
        step.commit,
        parents,
        source.when,
        source.verdict.value if source.verdict else BY_HAND,
        summary_of(source),
        source.body,
        source.facts,
        source is step and _is_kept(step),
        source.commit == standing,
    )


def _is_kept(step: Step) -> bool:
    return step.verdict is None or step.verdict.is_kept


def _parents(source: Step, origin: dict[str, str], before: str) -> tuple[str, ...]:
    """The trials that the policy of ``source`` is made from, the one it was compared with first."""
    known = [origin[commit] for commit in source.parents if origin.get(commit)]
    return tuple(dict.fromkeys([*([before] if before else []), *known]))
