"""``compare``: runs beside each other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gco_agent.cli import options as o
from gco_agent.cli.completion import complete_runs
from gco_agent.cli.context import CliContext
from gco_agent.cli.options import command, option
from gco_agent.cli.output import Column, Result, echo, print_table, tell

if TYPE_CHECKING:
    from gco_agent.report.comparison import Comparison

_RANKS = {
    "runs": 1,
    "probability of improvement": 1,
    "frames": 2,
    "mean": 3,
    "iterations": 3,
    "paired by": 3,
    "median": 4,
    "pairs": 4,
    "$": 4,
    "optimality gap": 5,
    "episodes": 5,
    "seed": 6,
}
"""Columns that a narrow terminal goes without, the highest first."""
_FORMATS = ("text", "markdown", "latex", "csv", "json")


@command(
    click.argument("names", nargs=-1, metavar="[RUN]...", shell_complete=complete_runs),
    option("--format", "form", kind=_FORMATS, default="text"),
    option("-o", "--output", kind=o.PATH),
    o.json_option,
)
def compare(place: CliContext, /, names: tuple[str, ...], form: str, output: Path | None) -> Result:
    """Compare runs by their scores on report seeds."""
    from gco_agent.api import compare as compare_runs
    from gco_agent.report.pictures import require_picture

    path = None if output is None else place.path(output)
    if path is not None:
        require_picture(path, (".html",))
    place.as_json = place.as_json or form == "json"
    found = compare_runs(names, repo=place.directory)
    if path is not None:
        found.report(path)
        tell(f"{path} is written")
    if form in ("markdown", "latex", "csv"):
        return Result(found, lambda: echo(found.table(form)))
    return Result(found, lambda: _print(found))


def _print(found: Comparison) -> None:
    for heading, cells in (
        (f"report seeds; aggregates in {found.unit}", found.cells()),
        ("\npairs", found.pair_cells()),
        ("\nruns", found.run_cells()),
    ):
        head, *rows = cells
        columns = [
            Column(name, "right" if i else "left", _RANKS.get(name, 0))
            for i, name in enumerate(head)
        ]
        if rows:
            print_table(columns, rows, heading=heading)
