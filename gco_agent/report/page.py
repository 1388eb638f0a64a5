"""The report as one HTML file: the only door to jinja2.

The file needs no network: what draws, what is drawn, the styles and the texts are all in it, and
its content security policy lets no other script run and nothing be loaded. Every text goes through
jinja's escaping or through ``textContent``; none is ever read as markup.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

from gco_agent.core.formatting import format_points
from gco_agent.report import figures
from gco_agent.report.curves import AXES
from gco_agent.report.summary import RunReport, score_in_words
from gco_agent.store.entries import Verdict
from gco_agent.store.view import OptimizerStats

if TYPE_CHECKING:
    from gco_agent.report.failing import Failure

MARK = "gco-agent report"
"""Stands in the head of every report, so that one may be told from another file."""


@dataclass(frozen=True, slots=True)
class Content:
    """What goes into a page.

    Attributes:
        reports: The runs; the first gives its game's reference scores.
        chunks: Of each run, the packed details.
        clips: Of each run, by the index of a trial: a caption and an mp4 file in base64.
        n_cut: Trials whose details were left out, so that the page stays small.
        version: Of gco-agent.
        failures: Of each run, traces of what went wrong; none where none were made.
    """

    reports: Sequence[RunReport]
    chunks: Sequence[Sequence[str]]
    clips: Sequence[Mapping[int, tuple[str, str]]]
    n_cut: int
    version: str
    failures: Sequence[Sequence[Failure]] = ()


def is_report(head: bytes) -> bool:
    """Whether a file that begins so is a report; one that only speaks of them is none."""
    generator = f'<meta name="generator" content="{MARK} '
    return head.startswith(b"<!doctype html>") and generator.encode() in head


def render(content: Content) -> str:
    """The text of the HTML file."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True
    )
    scripts = [figures.script(), _template("page.js")]
    template = environment.from_string(_template("page.html"))
    return template.render(
        mark=MARK,
        version=content.version,
        title=_title(content.reports),
        policy=_security_policy(scripts),
        styles=Markup(_template("page.css")),  # noqa: S704 - ours
        scripts=[Markup(text) for text in scripts],  # noqa: S704 - ours and plotly's
        data=Markup(_as_script_data(_data(content))),  # noqa: S704 - escaped for a script element
        runs=[
            _run(report, failures)
            for report, failures in zip(
                content.reports, content.failures or [()] * len(content.reports), strict=True
            )
        ],
        references=content.reports[0].references,
        axes=_axes(content.reports),
        n_cut=content.n_cut,
    )


def _title(reports: Sequence[RunReport]) -> str:
    games = list(dict.fromkeys(report.title for report in reports))
    return f"{' and '.join(games)}: {', '.join(report.branch for report in reports)}"


def _axes(reports: Sequence[RunReport]) -> list[dict[str, Any]]:
    """What the curves may be drawn against, and which of it was not used at all."""
    return [
        {
            "key": axis.key,
            "word": axis.word,
            "is_empty": not any(report.positions[-1][axis.key] for report in reports),
        }
        for axis in AXES
    ]


def _protocols(report: RunReport) -> list[tuple[str, str]]:
    """The rules of play, each once, with what was played by them."""
    if len(report.protocols) == 1:
        return [("protocol", report.protocols[0])]
    reported = {
        trial.facts.protocol
        for trial in report.trials
        if trial.facts and trial.facts.verdict is Verdict.REPORTED
    }
    return [
        ("protocol of report" if protocol in reported else "protocol of races", protocol)
        for protocol in report.protocols
    ]


def _run(report: RunReport, failures: Sequence[Failure]) -> dict[str, Any]:
    """A run in words."""
    first = report.trials[0].facts
    verdicts = (Verdict.ACCEPTED, Verdict.REJECTED, Verdict.FAILED)
    tried = ", ".join(f"{report.count(verdict):,} {verdict}" for verdict in verdicts)
    facts = [
        ("began at", score_in_words(first)),
        ("policy now", score_in_words(report.facts_now)),
        ("tried", f"{report.n_tried:,} iterations: {tried}"),
        ("used", _used(report)),
        ("optimizer", f"{report.config.optimizer}, seed {report.config.seed}"),
        *_protocols(report),
        ("last commit", report.commit),
    ]
    commands = [
        (report.command, "a run like this one again"),
        (f"gco-agent eval {report.branch} --episodes 30", "measure its policy on report seeds"),
        (f"git log --first-parent {report.branch}", "its story, one commit an iteration"),
    ]
    return {
        "branch": report.branch,
        "title": report.title,
        "facts": facts,
        "commands": commands,
        "policy": report.policy,
        "path": report.path,
        "failures": failures,
        "earned": [_earned(row) for row in report.optimizers],
    }


def _earned(row: OptimizerStats) -> tuple[str, ...]:
    """A row of the table by optimizer."""
    gain = f"{format_points(row.gain, '+')}" if row.accepted else "–"
    return (
        row.optimizer,
        f"{row.iterations:,}",
        f"{row.candidates:,}",
        f"{row.accepted:,}",
        gain,
        f"{row.steps:,}",
        f"{row.seconds / 60:,.1f} min",
        f"{row.tokens:,}" if row.tokens else "–",
        f"${row.usd:.4f}" if row.usd else "–",
    )


def _used(report: RunReport) -> str:
    used = report.positions[-1]
    hours, tokens = used["hours"], sum(row.tokens for row in report.optimizers)
    time = f"{hours:.1f} hours" if hours >= 1 else f"{hours * 60:.1f} minutes"
    told = f"{time}, {used['frames']:.2f} million frames"
    told += f", {tokens:,} tokens" if tokens else ""
    return told + (f", ${used['usd']:.2f}" if used["usd"] else "")


def _data(content: Content) -> dict[str, Any]:
    """What the page's script draws and looks up."""
    return {
        "axes": {axis.key: axis.title for axis in AXES},
        "curve": figures.learning_curve(content.reports),
        "complexity": figures.complexity(content.reports),
        "seeds": figures.returns_by_seed(content.reports),
        "runs": [
            {
                "branch": report.branch,
                "lineage": figures.lineage(report),
                "trials": _table(report),
                "chunks": list(chunks),
                "clips": dict(clips),
            }
            for report, chunks, clips in zip(
                content.reports, content.chunks, content.clips, strict=True
            )
        ],
    }


def _table(report: RunReport) -> list[list[Any]]:
    """A row a trial: the columns that page.js names."""
    rows: list[list[Any]] = []
    for trial in report.trials:
        facts = trial.facts
        measured = (
            (facts.return_mean, facts.return_se, facts.gain, facts.gain_se, facts.loc,
             facts.cyclomatic, facts.nested_if, facts.usd)
            if facts
            else (None,) * 8
        )  # fmt: skip
        own = (trial.iteration, trial.verdict, trial.summary, trial.commit[:12], trial.in_force)
        rows.append([*own, *measured, f"{trial.when:%Y-%m-%d %H:%M %Z}"])
    return rows


def _as_script_data(data: dict[str, Any]) -> str:
    r"""JSON that may stand in a script element: no text in it can end the element."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)  # ASCII: no odd line ends
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _security_policy(scripts: Sequence[str]) -> str:
    """A content security policy under which these scripts run, and nothing else does."""
    digests = (hashlib.sha256(text.encode()).digest() for text in scripts)
    allowed = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; "
        "img-src data: blob:; media-src data:; base-uri 'none'; form-action 'none'"
    )


def _template(name: str) -> str:
    return resources.files("gco_agent.report").joinpath("templates", name).read_text("utf-8")
