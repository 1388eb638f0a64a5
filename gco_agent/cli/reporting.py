"""``report``: one or several runs as a page that needs no network."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gco_agent.cli.options import Given, examples, jail_option, json_option
from gco_agent.cli.place import CliContext, find_shown, open_workers, require_trusted, rules_here
from gco_agent.cli.words import count, tell
from gco_agent.core.errors import UsageError

if TYPE_CHECKING:
    from gco_agent.report.failing import Failure
    from gco_agent.report.page import Content
    from gco_agent.report.summary import RunReport
    from gco_agent.store.entries import RunRef
    from gco_agent.store.run import Runs
    from gco_agent.store.view import RunView

_MOST_BYTES = 12_000_000
"""Of packed details; what draws takes 5 MB more, and the whole must stay below 20."""
_MOST_RUNS = 6
_MOST_CLIPS = 20
_HEAD_BYTES = 2_000


@click.command(
    short_help="Write a run as one HTML file.",
    epilog=examples(
        "gco-agent report                        the run that is checked out",
        "gco-agent report gco/pong/first -o first.html",
        "gco-agent report --compare second       it beside the one that is checked out",
    ),
)
@click.argument("names", nargs=-1, metavar="[RUN]...")
@click.option(
    "--compare",
    "compared",
    multiple=True,
    metavar="RUN",
    help="Put this run beside the others; may be given again.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file.  [default: GAME-RUN.html here]",
)
@click.option(
    "--curve",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Also draw the learning curve (.svg, .png or .pdf).",
)
@click.option(
    "--clips",
    "n_clips",
    type=click.IntRange(0, _MOST_CLIPS),
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
@click.option("--force", is_flag=True, help="Overwrite a file that is no report.")
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
    step, what each optimizer earned, the traces of the last failure and of the worst episode, the
    policy, the protocol, and the commands that do it again.

    \b
    JSON: path, bytes, runs: [run, commit, iterations], shortened (trials whose
    differences were left out to keep the file small), clips, traces (how many).
    """  # noqa: D301 - click wants the character
    runs = place.runs()
    refs = _refs(runs, names, compared)
    path = place.directory / (output or Path(f"{refs[0].stem}.html"))
    picture = None if curve is None else place.directory / curve
    _require_room(path, picture, given)
    content = _gather([runs.view(ref) for ref in refs], given)
    size = _write(path, content)
    if picture is not None:
        from gco_agent.report.static import draw_curve

        draw_curve(content.reports, picture)
    if given["as_json"]:
        from gco_agent.cli.results import print_json

        print_json(
            {
                "path": str(path),
                "bytes": size,
                "runs": [
                    {"run": r.branch, "commit": r.commit, "iterations": r.n_iterations}
                    for r in content.reports
                ],
                "shortened": content.n_cut,
                "clips": sum(map(len, content.clips)),
                "traces": sum(map(len, content.failures)),
            }
        )
        return
    click.echo(f"{path} ({size / 1e6:.1f} MB): open it in a browser")


def _refs(runs: Runs, names: tuple[str, ...], compared: tuple[str, ...]) -> list[RunRef]:
    """The runs that are meant, each once.

    Raises:
        UsageError: They are too many, or of different games.
        NotARun: One is not there.
    """
    found = [runs.find(name) for name in names] or [find_shown(runs, None)]
    refs = list(dict.fromkeys([*found, *(runs.find(name) for name in compared)]))
    if len(refs) > _MOST_RUNS:
        raise UsageError(f"{len(refs)} runs do not fit on one page; at most {_MOST_RUNS}")
    games = sorted({ref.game for ref in refs})
    if len(games) > 1:
        raise UsageError(
            f"returns of different games cannot be compared ({', '.join(games)}): "
            "write a report for each"
        )
    return refs


def _clips(view: RunView, report: RunReport, n: int, jail: str) -> dict[int, tuple[str, str]]:
    """Videos of the last accepted steps, by the index of the trial: caption, and mp4 in base64."""
    if not n:
        return {}
    from gco_agent.jail.limits import JailLevel
    from gco_agent.report.story import read_details
    from gco_agent.report.video.decisive import film_decision

    require_trusted(view.repo, report.config.protocol, view.ref.branch)
    rules = rules_here(report.config.selection_protocol)
    accepted = [i for i, trial in enumerate(report.trials) if trial.verdict == "accepted"][-n:]
    found = {}
    for i in accepted:
        trial = report.trials[i]
        (details,) = read_details(view, [trial])
        gains = [(p.difference, p.seed) for p in details.played if p.difference is not None]
        if not gains or details.after is None:
            continue
        tell(f"iteration {trial.iteration}: playing it and the policy before")
        _, seed = max(gains)
        clip = film_decision(details.before, details.after, rules, seed, JailLevel.parse(jail))
        found[i] = (clip.caption, base64.b64encode(clip.mp4).decode("ascii"))
    return found


def _require_room(path: Path, picture: Path | None, given: dict[str, Any]) -> None:
    """Refuse, before anything is read, what could not be written in the end.

    Raises:
        UsageError: There is a file that is no report, or a picture or a video cannot be made.
    """
    if picture is not None:
        from gco_agent.report.static import require_picture

        require_picture(picture)
    if given["n_clips"]:
        from gco_agent.report.video.encoding import require_format

        require_format(path.with_suffix(".mp4"))
    _require_ours(path, is_forced=given["force"])


def _gather(views: list[RunView], given: dict[str, Any]) -> Content:
    """Read runs whole, film what got better in them, and trace what went wrong."""
    from importlib.metadata import version

    from gco_agent.report.pack import pack
    from gco_agent.report.page import Content
    from gco_agent.report.story import read_details
    from gco_agent.report.summary import read_report

    reports, chunks, clips, failures, n_cut = [], [], [], [], 0
    for view in views:
        found = read_report(view)
        tell(f"{found.branch}: {count(found.n_iterations, 'iteration')}")
        details = read_details(view, found.trials)
        packed, cut = pack(found.trials, details, _MOST_BYTES // len(views))
        reports.append(found)
        chunks.append(packed)
        clips.append(_clips(view, found, given["n_clips"], given["jail"]))
        failures.append(_failures(view, found, given["jail"]) if given["is_traced"] else [])
        n_cut += cut
    return Content(reports, chunks, clips, n_cut, version("gco-agent"), failures)


def _failures(view: RunView, report: RunReport, jail: str) -> list[Failure]:
    """Traces of what went wrong; without them the report is still one, and says so here."""
    from gco_agent.jail.limits import JailLevel
    from gco_agent.report.failing import trace_failures

    try:
        rules = rules_here(report.config.selection_protocol)
    except UsageError as error:
        tell(f"{report.branch}: nothing can be played again here, so no trace: {error}")
        return []
    with open_workers(1) as pool:
        return trace_failures(view, report.trials, rules, pool, JailLevel.parse(jail))


def _require_ours(path: Path, *, is_forced: bool) -> None:
    """Refuse to overwrite what is no report, unless that is wanted.

    Raises:
        UsageError: It is not, or there is no folder for it.
    """
    from gco_agent.report.page import is_report

    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent}")
    if is_forced or not path.exists():
        return
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not is_report(head):
        raise UsageError(f"{path} is there and is no report; name another file, or use --force")


def _write(path: Path, content: Content) -> int:
    """Write the file whole or not at all; its size in bytes.

    Raises:
        UsageError: It cannot be written.
    """
    from gco_agent.report.page import render

    text = render(content)
    beside = path.with_name(f".{path.name}.part")
    try:
        beside.write_text(text, "utf-8", newline="\n")
        beside.replace(path)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
    return len(text.encode())
