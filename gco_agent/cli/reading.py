"""``log``: what only looks."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from gco_agent.cli.options import examples, json_option, run_option
from gco_agent.cli.place import Place, find_run
from gco_agent.cli.words import duration, number_with_error, one_line

if TYPE_CHECKING:
    from rich.table import Table

    from gco_agent.store.history import RunView, Step

_WIDE = 200


@click.command(
    short_help="Show the iterations of a run.",
    epilog=examples(
        "gco-agent log",
        "gco-agent log --run gco/pong/first",
        "gco-agent log --json | jq '.iterations[].mean_return'",
    ),
)
@run_option
@json_option
@click.pass_obj
def log(place: Place, /, run_name: str | None, *, as_json: bool) -> None:
    r"""Show the iterations of a run as a table; the policy in force is marked with *.

    Returns are of the iteration's own candidate, ± standard error; the gain is over the policy it
    was raced against, on the same seeds. LOC are lines of code, CC the cyclomatic complexity.

    \b
    JSON: run, commit, policy_commit, iterations: [iteration, verdict, commit,
    in_force, mean_return, standard_error, confidence_interval (95 %), episodes,
    seeds, protocol, gain, gain_se, pairs, loc, cyclomatic, nested_if, steps,
    frames, seconds, optimizer, summary].
    """
    from gco_agent.cli.results import print_json

    runs = place.runs()
    view = runs.view(find_run(runs, run_name))
    if as_json:
        print_json(
            {
                "run": view.ref.branch,
                "commit": view.tip,
                "policy_commit": view.standing.commit,
                "iterations": [_step_json(view, step) for step in view.history()],
            }
        )
        return
    print_table(_log_table(view), heading=f"{view.ref.branch}, commit {view.tip[:9]}")


def print_table(table: Table, heading: str = "") -> None:
    """Print a table on stdout; where that is no terminal, nothing is cut."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else _WIDE
    console = Console(highlight=False, markup=False, emoji=False, width=width)
    if heading:
        console.print(heading, style="bold", soft_wrap=True)
    console.print(table)


def _log_table(view: RunView) -> Table:
    from rich.table import Table
    from rich.text import Text

    from gco_agent.cli.live import VERDICT_STYLES

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("", no_wrap=True)
    for heading in ("it", "verdict", "return", "gain", "LOC", "CC", "steps", "time"):
        side = "left" if heading == "verdict" else "right"
        table.add_column(heading, justify=side, no_wrap=True)  # type: ignore[arg-type]
    table.add_column("summary", no_wrap=True, overflow="ellipsis")
    standing = view.standing.commit
    for step in view.history():
        in_force = step.commit == standing
        cells = ("*" if in_force else "", *_cells(step))
        style = VERDICT_STYLES.get(step.verdict.value if step.verdict else "", "")
        table.add_row(*(Text(cell) for cell in cells), style=style)
    return table


def _cells(step: Step) -> tuple[str, ...]:
    facts = step.facts
    if facts is None:
        return ("", "by hand", "", "", "", "", "", "", summary_of(step))
    return (
        str(facts.iteration),
        facts.verdict.value,
        number_with_error(facts.return_mean, facts.return_se),
        "" if facts.gain is None else number_with_error(facts.gain, facts.gain_se, "+"),
        "" if facts.loc is None else str(facts.loc),
        "" if facts.cyclomatic is None else str(facts.cyclomatic),
        "" if facts.steps is None else f"{facts.steps:,}",
        "" if facts.seconds is None else duration(facts.seconds),
        summary_of(step),
    )


def summary_of(step: Step) -> str:
    """The edit in a few words: the subject without the facts that stand before it."""
    subject = one_line(step.subject)
    if step.facts is None:
        return subject
    lead, _, what = subject.partition(": ")
    return what or lead.partition(" rolled back ")[2].partition(", return ")[0]


def _step_json(view: RunView, step: Step) -> dict[str, Any]:
    from gco_agent.cli.results import interval_of, score_json

    facts = step.facts
    own = (
        "gain", "gain_se", "pairs", "loc", "cyclomatic", "nested_if", "steps", "frames", "seconds",
        "optimizer",
    )  # fmt: skip
    return {
        "iteration": step.iteration,
        "verdict": step.verdict.value if step.verdict else "by hand",
        "commit": step.commit,
        "in_force": step.commit == view.standing.commit,
        **score_json(facts, interval_of(view, step)),
        **{name: getattr(facts, name, None) for name in own},
        "summary": summary_of(step),
    }
