"""Find the iteration of a run that won or lost a skill, by playing few of its policies."""

from __future__ import annotations

import operator
import re
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from gco_agent.core.errors import UsageError
from gco_agent.core.events import Playing, Progress, silent
from gco_agent.core.records import Evaluation, PlayProtocol
from gco_agent.evaluation.judge import Judge
from gco_agent.policy.source import PolicySource
from gco_agent.store.view import RunView, Step

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "==": operator.eq,
}
_MEASURES: dict[str, Callable[[Evaluation], float]] = {
    "return": lambda played: statistics.fmean(played.returns),
    "worst": lambda played: min(played.returns),
    "best": lambda played: max(played.returns),
    "steps": lambda played: statistics.fmean(e.n_steps for e in played.episodes),
}
_MEASURE = re.compile(r"\s*(\w+)\s*(>=|<=|==|>|<)\s*(-?\d+(?:\.\d+)?)\s*")
_MOMENT = re.compile(r"\s*(no )?moment:\s*(\S|\S.*\S)\s*")
HOW = (
    "give `return >= 10` (or worst, best, steps), `moment: TEXT` or `no moment: TEXT` with words "
    "of a title that `gco-agent trace` shows, or a Python file with has_skill(evaluation)"
)


@dataclass(frozen=True, slots=True)
class Played:
    """A policy on the seeds of a bisection.

    Attributes:
        moments: Titles of the moments that decided them; empty unless the skill needs them.
    """

    evaluation: Evaluation
    moments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Skill:
    """A test of a policy.

    Attributes:
        needs_moments: Needs `Played.moments`, which takes a recording.
    """

    text: str
    is_shown: Callable[[Played], bool]
    needs_moments: bool = False


@dataclass(frozen=True, slots=True)
class Tested:
    """An iteration whose policy was played.

    Attributes:
        has_skill: Whether its policy shows the skill; a policy that fails shows none.
        mean_return: On the seeds of the bisection; None if it failed.
    """

    iteration: int | None
    commit: str
    summary: str
    has_skill: bool
    mean_return: float | None


@dataclass(frozen=True, slots=True)
class Bisection:
    """The iterations that won or lost a skill.

    Attributes:
        is_scan: All were played; else one change was looked for, and there may be others.
    """

    skill: str
    policies: int
    tested: list[Tested]
    changes: list[Tested]
    is_scan: bool


def parse_skill(text: str, folder: Path = Path()) -> Skill:
    """Return the skill that a text describes.

    Args:
        text: "return >= 10", "moment: a life is lost", or a Python file with a function
            ``has_skill(evaluation)``, which runs in this process.
    """
    if text.endswith(".py"):
        return Skill(text, _in_file(folder / text))
    if match := _MOMENT.fullmatch(text):
        is_absent, words = bool(match[1]), match[2].lower()

        def has_moment(played: Played) -> bool:
            return any(words in title.lower() for title in played.moments) != is_absent

        return Skill(text, has_moment, needs_moments=True)
    match = _MEASURE.fullmatch(text)
    if match is None or match[1] not in _MEASURES:
        raise UsageError(f"{text!r} is not a skill: {HOW}")
    measure, compare, limit = _MEASURES[match[1]], _COMPARE[match[2]], float(match[3])
    return Skill(text, lambda played: compare(measure(played.evaluation), limit))


def _in_file(path: Path) -> Callable[[Played], bool]:
    if not path.is_file():
        raise UsageError(f"there is no file {path}")
    module = ModuleType("gco_skill")
    try:
        exec(compile(path.read_text("utf-8"), str(path), "exec"), vars(module))  # noqa: S102 - the user's own file, named by them
    except Exception as error:
        raise UsageError(f"{path} cannot be loaded: {type(error).__name__}: {error}") from error
    test: Any = getattr(module, "has_skill", None)
    if not callable(test):
        raise UsageError(f"{path} has no function has_skill(evaluation)")

    def is_shown(played: Played) -> bool:
        try:
            return bool(test(played.evaluation))
        except Exception as error:
            raise UsageError(f"has_skill of {path}: {type(error).__name__}: {error}") from error

    return is_shown


def bisect(  # noqa: PLR0913 - the last are seldom given
    view: RunView, skill: Skill, judge: Judge, rules: PlayProtocol, seeds: range,
    progress: Progress = silent, *, scan: bool = False,
) -> Bisection:  # fmt: skip
    """Find where a skill was won or lost among the policies that were in force.

    The first and the last policy are played, and if they differ, a binary search finds a place
    where the answer changes. That takes for granted that it changes once; ``scan`` plays all.
    """
    steps = _policies(view)
    known: dict[int, Tested] = {}

    def test(index: int) -> bool:
        if index not in known:
            what = f"iteration {steps[index].iteration}, {len(steps)} policies in all"
            progress(Playing(what, len(known), 0))
            known[index] = _test(view, steps[index], skill, judge, rules, seeds)
        return known[index].has_skill

    if scan:
        for index in range(len(steps)):
            test(index)
    elif test(0) != test(len(steps) - 1):
        before, after = 0, len(steps) - 1
        while after - before > 1:
            middle = (before + after) // 2
            if test(middle) == test(before):
                before = middle
            else:
                after = middle
    tested = sorted(known)
    changes = [
        known[i] for i in tested if i - 1 in known and known[i].has_skill != known[i - 1].has_skill
    ]
    return Bisection(skill.text, len(steps), [known[i] for i in tested], changes, scan)


def _policies(view: RunView) -> Sequence[Step]:
    """Return the steps that put another policy in force, the initial one first."""
    found: list[Step] = []
    last = None
    for step in view.history():
        text = view.policy(step.commit)
        if text != last:
            found.append(step)
            last = text
    return found


def _test(
    view: RunView, step: Step, skill: Skill, judge: Judge, rules: PlayProtocol, seeds: range
) -> Tested:
    from gco_agent.optimizers.feedback import collect_results

    source = PolicySource(view.policy(step.commit))
    if skill.needs_moments:
        results, trace = collect_results(judge, source, (), rules, seeds)
        played = Played(results.evaluation, tuple(window.title for window in trace.windows))
    else:
        played = Played(judge.evaluate(source, seeds))
    is_valid = played.evaluation.is_valid
    shows = (is_valid or skill.needs_moments) and skill.is_shown(played)
    return Tested(step.iteration, step.commit, step.summary, shows, played.evaluation.mean_return)
