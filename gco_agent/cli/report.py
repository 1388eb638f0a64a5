"""``report``: one or several runs as a page that needs no network."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gco_agent.cli.context import CliContext, find_shown
from gco_agent.cli.options import (
    AtLeast,
    Given,
    command,
    file_option,
    hidden_run_option,
    jail_option,
    json_option,
)
from gco_agent.cli.output import count, say, tell
from gco_agent.core.errors import UsageError

if TYPE_CHECKING:
    from gco_agent.report.failing import Failure
    from gco_agent.report.page import PageRun
    from gco_agent.report.summary import RunReport
    from gco_agent.store.entries import RunRef
    from gco_agent.store.run import Runs
    from gco_agent.store.view import RunView

_MOST_RUNS = 6
_HEAD_BYTES = 2_000


@command(
    "gco-agent report                        the run that is checked out",
    "gco-agent report gco/pong/first -o first.html",
    "gco-agent report --compare second       it beside the one that is checked out",
)
@click.argument("names", nargs=-1, metavar="[RUN]...")
@hidden_run_option
@click.option(
    "--compare",
    "compared",
    multiple=True,
    metavar="RUN",
    help="Put this run beside the others; may be given again.",
)
@file_option("-o", "--output", help="The file.  [default: GAME-RUN.html here]")
@file_option("--curve", help="Also draw the learning curve (.svg, .png or .pdf).")
@click.option(
    "--clips",
    "n_clips",
    type=AtLeast(0, 20),
    default=0,
    show_default=True,
    metavar="N",
    help="Play the last N accepted steps again, and add a video of where each did better.",
)
@click.option(
    "--trace/--no-trace",
    "is_traced",
    default=True,
    help="Play the last failure and the worst episode of the policy in force again, and add what "
    "happened in them step by step.  [default: --trace]",
)
@jail_option
@click.option("--force", is_flag=True, help="Overwrite a file that is not a report.")
@json_option
@click.pass_obj
def report(
    place: CliContext,
    /,
    names: tuple[str, ...],
    compared: tuple[str, ...],
    output: Path | None,
    curve: Path | None,
    **given: Given,
) -> None:
    """Write one or several runs as one HTML file, which opens in any browser without a network.

    It has the learning curve against iterations, time, frames and dollars, the returns seed by
    seed, the complexity of the policy, the lineage with the difference and the reason of every
    step, the results of each optimizer, the traces of the last failure and of the worst episode,
    the policy, the protocol, and the commands that reproduce it.

    \b
    JSON: path, bytes, runs: [run, commit, iterations], shortened (trials whose
    differences were left out to keep the file small), clips, traces (how many).
    """  # noqa: D301 - click wants the character
    from gco_agent.report.page import MOST_BYTES, write_page

    runs = place.runs()
    refs = _refs(runs, names or (place.run_name,), compared)
    path = place.path(output or Path(f"{refs[0].stem}.html"))
    picture = None if curve is None else place.path(curve)
    _require_possible(path, picture, given)
    pages = [_read(place, runs.view(ref), MOST_BYTES // len(refs), given) for ref in refs]
    try:
        size = write_page(path, pages)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
    if picture is not None:
        from gco_agent.report.pictures import draw_curve

        draw_curve([page.report for page in pages], picture)
    data = {
        "path": path,
        "bytes": size,
        "runs": [
            {"run": r.branch, "commit": r.commit, "iterations": r.n_iterations}
            for r in (page.report for page in pages)
        ],
        "shortened": sum(page.n_cut for page in pages),
        "clips": sum(len(page.clips) for page in pages),
        "traces": sum(len(page.failures) for page in pages),
    }
    place.emit(data, lambda: say(f"{path} ({size / 1e6:.1f} MB): open it in a browser"))


def _refs(runs: Runs, names: tuple[str | None, ...], compared: tuple[str, ...]) -> list[RunRef]:
    """Return the runs that are meant, each once."""
    found = [find_shown(runs, name) for name in (*names, *compared)]
    refs = list(dict.fromkeys(found))
    if len(refs) > _MOST_RUNS:
        raise UsageError(f"{len(refs)} runs do not fit on one page; at most {_MOST_RUNS}")
    games = sorted({ref.game for ref in refs})
    if len(games) > 1:
        raise UsageError(
            f"returns of different games cannot be compared ({', '.join(games)}): "
            "write a report for each"
        )
    return refs


def _require_possible(path: Path, picture: Path | None, given: dict[str, Any]) -> None:
    """Refuse, before anything is read, what could not be written in the end."""
    from gco_agent.report.page import is_report

    if picture is not None:
        from gco_agent.report.pictures import require_picture

        require_picture(picture)
    if given["n_clips"]:
        from gco_agent.report.video import require_format

        require_format(path.with_suffix(".mp4"))
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent}")
    if given["force"] or not path.exists():
        return
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not is_report(head):
        raise UsageError(f"{path} is not a report; name another file, or use --force")


def _read(place: CliContext, view: RunView, most_bytes: int, given: dict[str, Any]) -> PageRun:
    """Read a run, film where it improved, and trace what went wrong."""
    from gco_agent.report.page import PageRun

    page = PageRun.read(view, most_bytes)
    tell(f"{page.report.branch}: {count(page.report.n_iterations, 'iteration')}")
    page.clips = _clips(place, view, page.report, given["n_clips"])
    page.failures = _failures(place, view, page.report) if given["is_traced"] else []
    return page


def _clips(
    place: CliContext, view: RunView, report: RunReport, n: int
) -> dict[int, tuple[str, str]]:
    """Film the last accepted steps; by index of the trial, the caption and mp4 in base64."""
    if not n:
        return {}
    from gco_agent.loop.checks import require_trusted, rules_here
    from gco_agent.report.video import film_decision

    require_trusted(view.repo, report.config.protocol, view.ref.branch)
    rules = rules_here(report.config.selection_protocol)
    accepted = [i for i, trial in enumerate(report.trials) if trial.verdict == "accepted"][-n:]
    found = {}
    for i in accepted:
        trial = report.trials[i]
        (details,) = view.details([trial])
        gains = [(p.difference, p.seed) for p in details.played if p.difference is not None]
        if not gains or details.after is None:
            continue
        tell(f"iteration {trial.iteration}: playing it and the policy before")
        _, seed = max(gains)
        caption, mp4 = film_decision(details.before, details.after, rules, seed, place.jail_level)
        found[i] = (caption, base64.b64encode(mp4).decode("ascii"))
    return found


def _failures(place: CliContext, view: RunView, report: RunReport) -> list[Failure]:
    """Trace what went wrong; where nothing can be played, say so and go without."""
    from gco_agent.loop.checks import rules_here
    from gco_agent.report.failing import trace_failures

    try:
        rules = rules_here(report.config.selection_protocol)
    except UsageError as error:
        tell(f"{report.branch}: it cannot be played here, so there is no trace: {error}")
        return []
    place.workers = 1
    with place.open_workers() as pool:
        return trace_failures(view, report.trials, rules, pool, place.jail_level)
