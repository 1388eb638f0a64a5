"""``log``: what only looks."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from gco_agent.cli.options import examples, json_option, run_option
from gco_agent.cli.place import CliContext, find_shown
from gco_agent.cli.words import columns_of, duration, number_with_error, one_line, sparkline
from gco_agent.core.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from gco_agent.report.earned import Earned
    from gco_agent.store.view import RunView, Step

_WIDE = 200
_GAP = 2
_LEAST_SUMMARY = 15
_FORMULA = ("=", "+", "-", "@", "\t")
_HEADINGS = ("it", "verdict", "return", "gain", "LOC", "CC", "steps", "time")
_OPTIMIZER_HEADINGS = (
    *("iterations", "candidates", "accepted", "gain of the accepted", "steps", "time"),
    *("tokens", "$"),
)
_DROPPED = ("candidates", "CC", "LOC", "steps", "time", "tokens", "iterations", "$", "by")
"""Columns that a narrow terminal goes without, the first of them first."""


@click.command(
    short_help="Show the iterations of a run.",
    epilog=examples(
        "gco-agent log",
        "gco-agent log --run gco/pong/first",
        "gco-agent log --json | jq '.iterations[].mean_return'",
        "gco-agent log --csv > pong.csv",
    ),
)
@run_option
@json_option
@click.option(
    "--csv", "as_csv", is_flag=True, help="Print the table as CSV, with its numbers bare."
)
@click.pass_obj
def log(place: CliContext, /, run_name: str | None, *, as_json: bool, as_csv: bool) -> None:
    """Show the iterations of a run as a table; the policy in force is marked with *.

    Returns are of the iteration's own candidate, ± standard error; the gain is over the policy it
    was raced against, on the same seeds. LOC are lines of code, CC the cyclomatic complexity. The
    bars above show how the return of the policy in force went. Where more than one optimizer took
    part, a second table says what each tried, gained and used. In a narrow terminal the summary is
    cut, and CC, LOC, steps and time give way to the rest.

    \b
    JSON: run, commit, policy_commit, iterations: [iteration, verdict, commit,
    in_force, mean_return, standard_error, confidence_interval (95 %), episodes,
    seeds, protocol, gain, gain_se, pairs, loc, cyclomatic, nested_if, steps,
    frames, seconds, optimizer, tokens_in, tokens_out, usd, summary],
    optimizers: [optimizer, iterations, candidates, accepted, gain (sum of the
    accepted, in points an episode), tokens, usd, steps, seconds].
    CSV: the columns of these, but for the interval.
    """  # noqa: D301 - click wants the character
    from gco_agent.cli.results import print_json
    from gco_agent.report.earned import earned_by_optimizer

    if as_json and as_csv:
        raise UsageError("--json and --csv exclude each other")
    runs = place.runs()
    view = runs.view(find_shown(runs, run_name))
    if as_csv:
        _print_csv(view)
        return
    if as_json:
        print_json(
            {
                "run": view.ref.branch,
                "commit": view.tip,
                "policy_commit": view.standing.commit,
                "iterations": _steps_json(view),
                "optimizers": [asdict(row) for row in earned_by_optimizer(view.history())],
            }
        )
        return
    rows = earned_by_optimizer(view.history())
    width = _width()
    print_table(_log_table(view, has_several=len(rows) > 1, width=width), heading=_heading(view))
    if len(rows) > 1:
        print_table(_optimizer_table(rows, width), heading="\nby optimizer")


def print_table(table: Table, heading: str = "") -> None:
    """Print a table on stdout; where that is no terminal, nothing is cut."""
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False, width=_width())
    if heading:
        console.print(heading, style="bold", soft_wrap=True)
    console.print(table)


def _width() -> int:
    """Columns that a table may have."""
    return columns_of(sys.stdout) or _WIDE


def _heading(view: RunView) -> str:
    """The run, and bars of how the return of the policy in force went."""
    lines = f"{view.ref.branch}, commit {view.tip[:9]}"
    kept = [s.facts for s in view.history() if s.facts and s.facts.verdict.is_kept]
    measured = [  # a report is on other seeds, and of longer episodes
        facts.return_mean
        for facts in kept
        if facts.return_mean is not None and facts.verdict.value != "reported"
    ]
    if len(measured) > 1:
        first, last = (number_with_error(value, None) for value in (measured[0], measured[-1]))
        lines += f"\nreturn {sparkline(measured)} {first} to {last}"
    return lines


def _print_csv(view: RunView) -> None:
    """One row an iteration, one column a key of the JSON."""
    import csv

    rows = _steps_json(view)
    for row in rows:
        del row["confidence_interval"]
        if row["summary"].startswith(_FORMULA):  # a spreadsheet would run it
            row["summary"] = "'" + row["summary"]
    writer = csv.DictWriter(sys.stdout, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


def _optimizer_table(rows: Sequence[Earned], width: int = _WIDE) -> Table:
    from rich.table import Table
    from rich.text import Text

    headings: tuple[str, ...] = ("optimizer", *_OPTIMIZER_HEADINGS)
    if not any(row.tokens or row.usd for row in rows):
        headings = headings[:-2]
    cells = [
        (
            one_line(row.optimizer),
            f"{row.iterations:,}",
            f"{row.candidates:,}",
            f"{row.accepted:,}",
            number_with_error(row.gain, None, "+") if row.accepted else "",
            f"{row.steps:,}",
            duration(row.seconds),
            f"{row.tokens:,}",
            f"{row.usd:.4f}",
        )
        for row in rows
    ]
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    shown = _that_fit(headings, cells, width)
    for column in shown:
        heading = headings[column]
        table.add_column(heading, justify="left" if heading == "optimizer" else "right")
    for row_cells in cells:
        table.add_row(*(Text(row_cells[column]) for column in shown))
    return table


def _log_table(view: RunView, *, has_several: bool, width: int = _WIDE) -> Table:
    """The iterations; the summary gives way first, then the columns that matter least.

    Args:
        view: The run.
        has_several: Whether more than one optimizer took part.
        width: Columns of the terminal.
    """
    from rich.table import Table
    from rich.text import Text

    from gco_agent.cli.live import VERDICT_STYLES
    from gco_agent.report.story import summary_of

    history, standing = view.history(), view.standing.commit
    is_paid = any(step.facts and step.facts.tokens_in for step in history)
    headings = ("", *_HEADINGS, *(("tokens", "$") if is_paid else ()), *(("by",) * has_several))
    rows = []
    for step in history:
        by = [one_line((step.facts and step.facts.optimizer) or "")] if has_several else []
        mark = "*" if step.commit == standing else ""
        rows.append((mark, *_cells(step, is_paid=is_paid), *by))
    shown = _that_fit(headings, rows, width - _LEAST_SUMMARY)
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    left = width
    for column in shown:
        side = "left" if headings[column] in ("", "verdict", "by") else "right"
        needed = _width_of(column, headings, rows)
        left -= needed + _GAP
        table.add_column(headings[column], justify=side, no_wrap=True, min_width=needed)  # type: ignore[arg-type]
    table.add_column("summary", no_wrap=True, overflow="ellipsis", max_width=max(1, left))
    for step, cells in zip(history, rows, strict=True):
        style = VERDICT_STYLES.get(step.verdict.value if step.verdict else "", "")
        texts = (*(cells[column] for column in shown), summary_of(step))
        table.add_row(*map(Text, texts), style=style)
    return table


def _that_fit(headings: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """The columns that are shown whole in ``width``: those of `_DROPPED` go, in that order."""
    shown = list(range(len(headings)))
    for heading in _DROPPED:
        if sum(_width_of(column, headings, rows) + _GAP for column in shown) <= width:
            break
        shown = [column for column in shown if headings[column] != heading]
    return shown


def _width_of(column: int, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    from rich.cells import cell_len

    return max(map(cell_len, (headings[column], *(row[column] for row in rows))))


def _cells(step: Step, *, is_paid: bool) -> tuple[str, ...]:
    facts = step.facts
    n_columns = len(_HEADINGS) + 2 * is_paid
    if facts is None:
        return ("", "by hand", *[""] * (n_columns - 2))
    tokens = (facts.tokens_in or 0) + (facts.tokens_out or 0)
    paid = (f"{tokens:,}" if tokens else "", "" if facts.usd is None else f"{facts.usd:.4f}")
    return (
        str(facts.iteration),
        facts.verdict.value,
        number_with_error(facts.return_mean, facts.return_se),
        "" if facts.gain is None else number_with_error(facts.gain, facts.gain_se, "+"),
        "" if facts.loc is None else str(facts.loc),
        "" if facts.cyclomatic is None else str(facts.cyclomatic),
        "" if facts.steps is None else f"{facts.steps:,}",
        "" if facts.seconds is None else duration(facts.seconds),
        *(paid if is_paid else ()),
    )


def _steps_json(view: RunView) -> list[dict[str, Any]]:
    steps = view.history()
    texts = view.evidence_of_all(steps, "evaluation.json")
    standing = view.standing.commit
    return [_step_json(s, text, standing) for s, text in zip(steps, texts, strict=True)]


def _step_json(step: Step, episodes: str | None, standing: str) -> dict[str, Any]:
    from gco_agent.cli.results import interval_in, score_json
    from gco_agent.report.story import summary_of

    facts = step.facts
    own = (
        "gain", "gain_se", "pairs", "loc", "cyclomatic", "nested_if", "steps", "frames", "seconds",
        "optimizer", "tokens_in", "tokens_out", "usd",
    )  # fmt: skip
    return {
        "iteration": step.iteration,
        "verdict": step.verdict.value if step.verdict else "by hand",
        "commit": step.commit,
        "in_force": step.commit == standing,
        **score_json(facts, interval_in(episodes, step)),
        **{name: getattr(facts, name, None) for name in own},
        "summary": summary_of(step),
    }
