"""Replay the last failures of a run, as execution traces."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gco_agent.core.records import Outcome, PlayProtocol, Verdict
from gco_agent.evaluation.workers import WorkerPool
from gco_agent.jail.limits import JailLevel
from gco_agent.store.view import Played, RunView, Trial
from gco_agent.traces.moments import capture
from gco_agent.traces.render import render_trace

_NO_LIMIT_TOKENS = 1_000_000
_COLUMNS = 120
_MOST_LOOKED_AT = 50
_SCORED = frozenset(outcome.word for outcome in Outcome if outcome.is_scored)


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed attempt.

    Attributes:
        text: The trace, or the reason if nothing was played. It may hold text of a policy.
    """

    title: str
    text: str


def trace_failures(
    view: RunView,
    trials: Sequence[Trial],
    rules: PlayProtocol,
    pool: WorkerPool,
    require: JailLevel = JailLevel.NONE,
) -> list[Failure]:
    """Trace the last iteration that failed, and the worst episode of the policy in force.

    ``rules`` is the protocol of the run's races, with the versions that are installed here.
    """

    def replayed(title: str, policy: str, then: Played) -> Failure:
        got = capture(pool, policy, [then.seed], rules, require)
        text = lay_out(render_trace(got.trace, _NO_LIMIT_TOKENS).text)
        (again,) = got.evaluation.episodes
        if (again.episode_return, again.n_steps) != (then.episode_return, then.n_steps):
            stored = f" The run has this detail:\n\n{then.detail.rstrip()}" if then.detail else ""
            text = (
                f"Replayed here, the episode returned {again.episode_return:g} after "
                f"{again.n_steps:,} steps; the run has {then.episode_return:g} after "
                f"{then.n_steps:,}. This is another episode.{stored}\n\n{text}"
            )
        return Failure(title, text)

    return [
        item if isinstance(item, Failure) else replayed(*item)
        for item in (*_last_failed(view, trials), *_worst(view, trials))
    ]


def lay_out(text: str) -> str:
    """Format a rendered trace for people: wrap the prose and align the columns of tables."""
    shown: list[str] = []
    table: list[list[str]] = []
    is_block = False
    for line in [*text.splitlines(), ""]:
        cells = line.split("|") if is_block else []
        if table and len(cells) != len(table[0]):
            shown += _aligned(table)
            table = []
        if line.startswith("```"):
            is_block = not is_block
        elif len(cells) > 2:  # noqa: PLR2004 - one or two bars may be code
            table.append(cells)
        else:
            shown += [line] if is_block or not line else textwrap.wrap(line, _COLUMNS)
    return "\n".join(shown).rstrip() + "\n"


def _last_failed(
    view: RunView, trials: Sequence[Trial]
) -> Iterator[tuple[str, str, Played] | Failure]:
    """Yield the last trial that failed in an episode, or else the last that failed at all."""
    failed = [t for t in reversed(trials) if t.verdict is Verdict.FAILED][:_MOST_LOOKED_AT]
    for trial, details in zip(failed, view.details(failed), strict=True):
        broken = next((p for p in details.played if p.outcome not in _SCORED), None)
        if broken is not None and details.after is not None:
            where = f"{broken.outcome}, seed {broken.seed}, step {broken.n_steps:,}"
            yield f"Iteration {trial.iteration} failed: {where}", details.after, broken
            return
    for trial in failed[:1]:
        yield Failure(f"Iteration {trial.iteration} failed before it was played", trial.body)


def _worst(view: RunView, trials: Sequence[Trial]) -> Iterator[tuple[str, str, Played]]:
    """Yield the episode with the lowest return in the race that the policy in force won."""
    kept = [t for t in trials if t.is_kept and t.verdict.gives_policy][-1:]
    for trial, details in zip(kept, view.details(kept), strict=True):
        scored = [played for played in details.played if played.outcome in _SCORED]
        if scored and details.after is not None:
            worst = min(scored, key=lambda played: played.episode_return)
            title = (
                f"Worst episode of iteration {trial.iteration}, {trial.verdict}: return "
                f"{worst.episode_return:g}, seed {worst.seed}"
            )
            yield title, details.after, worst


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
