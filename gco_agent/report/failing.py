"""What went wrong last in a run, as an execution trace: the episode is played again, recorded."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gco_agent.core.records import Outcome, PlayProtocol
from gco_agent.evaluation.workers import WorkerPool
from gco_agent.jail.limits import JailLevel
from gco_agent.store.entries import Verdict
from gco_agent.store.view import Played, RunView, Trial
from gco_agent.traces.moments import capture
from gco_agent.traces.render import render_trace

_WHOLE = 1_000_000
"""Tokens that no trace of one episode has."""
_COLUMNS = 120
_MOST_LOOKED_AT = 50
_FENCE = "```"
_SCORED = frozenset(outcome.value for outcome in Outcome if outcome.is_scored)
_MEASURED_IN_RACES = (Verdict.ACCEPTED, Verdict.INITIAL, Verdict.ROLLED_BACK)


@dataclass(frozen=True, slots=True)
class Failure:
    """One thing that went wrong.

    Attributes:
        title: What, and where, on one line.
        text: The trace whole, or what is known where nothing was played. Partly a policy's words.
    """

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Episode:
    """An episode to play again: a policy, what it came to then, and why it is of interest."""

    title: str
    policy: str
    played: Played


def trace_failures(
    view: RunView,
    trials: Sequence[Trial],
    rules: PlayProtocol,
    pool: WorkerPool,
    require: JailLevel = JailLevel.NONE,
) -> list[Failure]:
    """The last iteration that failed, and the worst episode of the policy in force.

    Args:
        view: The run.
        trials: Its trials.
        rules: Of its races, with the versions that are installed here.
        pool: Who plays.
        require: The jail must be at least this good.

    Raises:
        JailError: The jail cannot be built, or not as good as required.
    """
    failures = []
    for item in (*_last_failed(view, trials), *_worst(view, trials)):
        if isinstance(item, Failure):
            failures.append(item)
        else:
            failures.append(_replayed(item, rules, pool, require))
    return failures


def _last_failed(view: RunView, trials: Sequence[Trial]) -> Iterator[Episode | Failure]:
    """The last trial that broke in an episode; or else the last that failed before it was played.

    Only the last of very many are looked at.
    """
    failed = [t for t in reversed(trials) if t.verdict == Verdict.FAILED][:_MOST_LOOKED_AT]
    for trial, details in zip(failed, view.details(failed), strict=True):
        broken = next((p for p in details.played if p.outcome not in _SCORED), None)
        if broken is not None and details.after is not None:
            where = f"{broken.outcome}, seed {broken.seed}, step {broken.n_steps:,}"
            yield Episode(f"Iteration {trial.iteration} failed: {where}", details.after, broken)
            return
    if failed:
        first = failed[0]
        yield Failure(f"Iteration {first.iteration} failed before it was played", first.reason)


def _worst(view: RunView, trials: Sequence[Trial]) -> Iterator[Episode]:
    """The episode in which the policy in force scored least in the race that it won."""
    kept = [t for t in trials if t.is_kept and t.verdict in _MEASURED_IN_RACES]
    if not kept:
        return
    (details,) = view.details(kept[-1:])
    scored = [played for played in details.played if played.outcome in _SCORED]
    if not scored or details.after is None:
        return
    worst = min(scored, key=lambda played: played.episode_return)
    title = (
        f"Worst episode of iteration {kept[-1].iteration}, {kept[-1].verdict}: return "
        f"{worst.episode_return:g}, seed {worst.seed}"
    )
    yield Episode(title, details.after, worst)


def laid_out(text: str) -> str:
    """A rendered trace for people: prose in lines of one width, the columns of tables aligned."""
    shown: list[str] = []
    table: list[list[str]] = []
    is_block = False
    for line in [*text.splitlines(), ""]:
        cells = line.split("|") if is_block else []
        if table and len(cells) != len(table[0]):
            shown += _aligned(table)
            table = []
        if line.startswith(_FENCE):
            is_block = not is_block
        elif len(cells) > 2:  # noqa: PLR2004 - a bar or two may be code
            table.append(cells)
        else:
            shown += [line] if is_block or not line else textwrap.wrap(line, _COLUMNS)
    return "\n".join(shown).rstrip() + "\n"


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _replayed(
    episode: Episode, rules: PlayProtocol, pool: WorkerPool, require: JailLevel
) -> Failure:
    got = capture(pool, episode.policy, [episode.played.seed], rules, require)
    text = laid_out(render_trace(got.trace, episode.policy, _WHOLE).text)
    (again,) = got.evaluation.episodes
    then = episode.played
    if (again.episode_return, again.n_steps) != (then.episode_return, then.n_steps):
        why = f" What the run has of it:\n\n{then.detail.rstrip()}" if then.detail else ""
        text = (
            f"Played again here it came to {again.episode_return:g} after {again.n_steps:,} steps, "
            f"and not to {then.episode_return:g} after {then.n_steps:,} as the run has it: this "
            f"is another episode.{why}\n\n{text}"
        )
    return Failure(episode.title, text)
