"""Write the report as one HTML file. The only module that imports jinja2, lazily.

The file needs no network: the scripts, the data, the styles and the texts are in it, and its
content security policy allows no other script and loads nothing. Text is escaped by jinja2 or set
by ``textContent``; none of it is parsed as markup.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gco_agent.core.errors import UsageError
from gco_agent.core.files import save_file
from gco_agent.core.text import difference, format_points
from gco_agent.jail.limits import JailLevel
from gco_agent.report import figures
from gco_agent.report.summary import AXES, RunReport, read_report, with_error
from gco_agent.store.view import Details, RunView, Trial

if TYPE_CHECKING:
    import jinja2

    from gco_agent.report.comparison import Comparison
    from gco_agent.report.failing import Failure

MOST_BYTES = 12_000_000
"""Maximum size of the packed details of all runs on a page; plotly.js takes 2 MB more."""
CHUNK = 100
"""Trials in a chunk of details: with all of them bare, a page would open slowly."""
_GENERATOR = "gco-agent report"
_HEAD_BYTES = 2_000


@dataclass(slots=True)
class PageRun:
    """A run on a page.

    Attributes:
        n_cut: Trials whose details were left out to keep the page small.
        clips: By the index of a trial, a caption and an mp4 file in base64; the page begins with
            the first of them.
    """

    report: RunReport
    chunks: list[str]
    n_cut: int = 0
    clips: dict[int, tuple[str, str]] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)

    @classmethod
    def read(cls, view: RunView, most_bytes: int = MOST_BYTES) -> PageRun:
        """Read a run with the details of its trials."""
        report = read_report(view)
        return cls(report, *pack(report.trials, view.details(report.trials), most_bytes))

    def film(
        self, view: RunView, n: int | None, require: JailLevel, tell: Callable[[str], None]
    ) -> None:
        """Add videos of the ``n`` accepted iterations that gained most; None for one, if possible.

        Raises:
            UsageError: ``n`` is given, and nothing can be filmed here.
        """
        from gco_agent.report.video import film_gain, require_format

        report = self.report
        gains = [
            (trial.facts.gain, i)
            for i, trial in enumerate(report.trials)
            if trial.verdict == "accepted" and trial.facts and trial.facts.gain is not None
        ]
        try:
            for _, i in sorted(gains, reverse=True)[: 1 if n is None else n]:
                require_format(Path("clip.mp4"))
                tell(f"iteration {report.trials[i].iteration}: playing it and the policy before")
                clip = film_gain(view, report.config, report.trials[i], require)
                if clip is not None:
                    self.clips[i] = (clip[0], base64.b64encode(clip[1]).decode("ascii"))
        except UsageError as error:
            if n is not None:
                raise
            tell(f"{report.branch}: it cannot be filmed here, so there is no video: {error}")


def write_page(path: Path, runs: Sequence[PageRun]) -> int:
    """Write the HTML file and return its size in bytes."""
    data = render(runs).encode()
    save_file(path, data)
    return len(data)


def require_writable(path: Path, *, force: bool = False) -> None:
    """Check that a report can be written to ``path``, before anything is played for it.

    Raises:
        ModuleNotFoundError: The extra `report` is not installed.
        UsageError: Another file is there, and ``force`` does not say to replace it.
    """
    load_template("page.html")
    if force or not path.exists():
        return
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not is_report(head):
        raise UsageError(f"{path} is not a report; name another file, or use --force")


def is_report(head: bytes) -> bool:
    """Return whether a file that begins with ``head`` is a report."""
    generator = f'<meta name="generator" content="{_GENERATOR} '
    return head.startswith(b"<!doctype html>") and generator.encode() in head


def render(runs: Sequence[PageRun]) -> str:
    """Return the text of the HTML file; the first run gives the published scores of the game."""
    reports = [run.report for run in runs]
    games = dict.fromkeys(report.title for report in reports)
    plotly, own = figures.script(), template_text("page.js")
    return load_template("page.html").render(
        generator=f"{_GENERATOR} {version('gco-agent')}",
        title=f"{' and '.join(games)}: {', '.join(report.branch for report in reports)}",
        policy=_security_policy([plotly, own]),
        plotly=_packed(plotly),
        data=_data(runs),
        runs=runs,
        references=reports[0].references,
        unused=[key for key in AXES if not any(r.positions[-1][key] for r in reports)],
        points=format_points,
    )


def render_comparison(comparison: Comparison, picture: bytes) -> str:
    """Return a comparison as the text of an HTML file, with its figures as an SVG picture."""
    names = " and ".join(group.name for group in comparison.groups)
    return load_template("compare.html").render(
        generator=f"{_GENERATOR} {version('gco-agent')}",
        title=f"{', '.join(comparison.games)}: {names}",
        policy="default-src 'none'; style-src 'unsafe-inline'; img-src data:",
        picture=base64.b64encode(picture).decode("ascii"),
        cells=comparison.cells(),
        pairs=comparison.pair_cells(),
        runs=comparison.run_cells(),
        normalized=comparison.unit != "points",
    )


def load_template(name: str) -> jinja2.Template:
    """Return a template of this package; values in HTML are escaped."""
    import jinja2

    is_html = name.endswith(".html")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("gco_agent.report"),
        autoescape=is_html,  # noqa: S701 - the other one is Markdown
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=not is_html,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    return environment.get_template(name)


def template_text(name: str) -> str:
    """Return the text of a file of the folder ``templates``."""
    return resources.files("gco_agent.report").joinpath("templates", name).read_text("utf-8")


def _data(runs: Sequence[PageRun]) -> dict[str, Any]:
    """Return what the script of the page draws and looks up."""
    reports = [run.report for run in runs]
    return {
        "axes": AXES,
        "layout": figures.LAYOUT,
        "curve": figures.learning_curve(reports),
        "complexity": figures.complexity(reports),
        "seeds": figures.returns_by_seed(reports),
        "runs": [
            {
                "branch": run.report.branch,
                "lineage": figures.lineage(run.report.trials),
                "trials": _table(run.report),
                "chunks": run.chunks,
                "clips": run.clips,
            }
            for run in runs
        ],
    }


def _table(report: RunReport) -> list[list[Any]]:
    fields = ("loc", "cyclomatic", "nested_if", "usd")
    return [
        [
            *(trial.iteration, trial.verdict, trial.summary, trial.commit[:12], trial.in_force),
            getattr(trial.facts, "return_mean", None),
            *with_error(trial.facts),
            *(getattr(trial.facts, field, None) for field in fields),
            f"{trial.when:%Y-%m-%d %H:%M %Z}",
        ]
        for trial in report.trials
    ]


def _security_policy(scripts: Iterable[str]) -> str:
    """Return a content security policy that lets these scripts run only."""
    digests = (hashlib.sha256(text.encode()).digest() for text in scripts)
    allowed = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; "
        "img-src data: blob:; media-src data:; base-uri 'none'; form-action 'none'"
    )


def pack(
    trials: Sequence[Trial], details: Iterator[Details], most_bytes: int
) -> tuple[list[str], int]:
    """Pack the details of trials into chunks of `CHUNK`, as base64 of gzip of JSON.

    Args:
        most_bytes: Maximum size of all chunks. Above it, the oldest rejected trials, and then the
            oldest of all, keep their reason only.

    Returns:
        The chunks, and the number of trials that were shortened.
    """
    rows = [_row(trial, found) for trial, found in zip(trials, details, strict=True)]
    parts = [rows[i : i + CHUNK] for i in range(0, len(rows), CHUNK)]
    chunks = [_compressed(part) for part in parts]
    total = sum(map(len, chunks))
    for also_kept, number in itertools.product((False, True), range(len(parts))):
        if total <= most_bytes:
            break
        total -= len(chunks[number])
        for i, row in enumerate(parts[number]):
            if also_kept or not trials[number * CHUNK + i].is_kept:
                parts[number][i] = {"reason": row["reason"], "cut": True}
        chunks[number] = _compressed(parts[number])
        total += len(chunks[number])
    return chunks, sum("cut" in row for part in parts for row in part)


def _row(trial: Trial, details: Details) -> dict[str, Any]:
    row: dict[str, Any] = {"reason": trial.body}
    if details.after is not None:
        row["diff"] = "\n".join(difference(details.before, details.after))
    if details.feedback:
        row["feedback"] = details.feedback
    row["seeds"] = [
        [p.seed, p.episode_return, p.parent_return, p.n_steps, p.outcome, p.detail]
        for p in details.played
    ]
    return row


def _compressed(rows: list[dict[str, Any]]) -> str:
    return _packed(json.dumps(rows, ensure_ascii=False, separators=(",", ":"), allow_nan=False))


def _packed(text: str) -> str:
    """Return base64 of gzip of a text."""
    data = gzip.compress(text.encode("utf-8", "replace"), 6, mtime=0)
    return base64.b64encode(data).decode("ascii")
