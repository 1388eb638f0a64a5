"""The drawings of the report: the only door to plotly.

Colours are names of roles in ``meta``; the page puts the colours of its light or dark side in.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gco_agent.core.formatting import format_points
from gco_agent.report.curves import AXES, half_interval, lanes, thinned
from gco_agent.report.summary import Reference, RunReport
from gco_agent.store.entries import Verdict
from gco_agent.store.view import Trial

if TYPE_CHECKING:
    import plotly.graph_objects as go

MOST_DRAWN = 1_500
"""Marks of one kind that are drawn; of more, as many are picked evenly."""
_MOST_MARKED = 200
"""Points of a line that get a mark each."""
_SIDES = ("top left", "top", "top right")
"""Where the name of a line for scale stands: the next higher one's beside it, not over it."""
_DASHES = ("solid", "dash", "dot")
_MARKS = {
    Verdict.ACCEPTED: ("circle", 9),
    Verdict.REJECTED: ("x-thin-open", 7),
    Verdict.REPORTED: ("diamond", 12),
}
_LINEAGE_MARKS = {
    **_MARKS,
    Verdict.INITIAL: ("square", 12),
    Verdict.FAILED: ("triangle-down-open", 10),
    Verdict.ROLLED_BACK: ("arrow-left", 11),
    Verdict.BY_HAND: ("star", 11),
}

Figure = dict[str, Any]
"""A drawing as plotly.js takes it, and for each trace its places along the axes."""


def script() -> str:
    """The text of plotly.js, which draws the figures."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def learning_curve(reports: Sequence[RunReport]) -> Figure:
    """Mean returns: of the policy in force with its interval, and of every other that was tried."""
    import plotly.graph_objects as go

    figure, places = go.Figure(), _Places()
    for number in range(len(reports)):
        _add_policy_in_force(figure, places, reports, number)
        for verdict in (Verdict.ACCEPTED, Verdict.REJECTED, Verdict.REPORTED):
            _add_marks(figure, places, reports, number, verdict)
    drawn = [r for r in (reports[0].references if reports else ()) if r.is_drawn]
    for number, reference in enumerate(sorted(drawn, key=lambda r: r.value)):
        figure.add_hline(
            reference.value,
            line={"dash": "dot", "width": 1},
            annotation={"text": _label(reference), "font": {"size": 11}, "borderpad": 1},
            annotation_position=_SIDES[number % len(_SIDES)],
        )
    return _finished(figure, places, "mean return, points an episode")


def complexity(reports: Sequence[RunReport]) -> Figure:
    """Lines, cyclomatic complexity and nesting of the policy in force."""
    import plotly.graph_objects as go

    figure, places = go.Figure(), _Places()
    measures = (("loc", "lines of code"), ("cyclomatic", "cyclomatic"), ("nested_if", "nested if"))
    for number, report in enumerate(reports):
        told = [(i, t.facts) for i, t in enumerate(report.trials) if t.is_kept and t.facts]
        mode = "lines" if len(told) > _MOST_MARKED else "lines+markers"
        for measure, (field, name) in enumerate(measures):
            values = [(i, v) for i, facts in told if (v := getattr(facts, field)) is not None]
            if values:  # it stays so to the end of the run
                values.append((len(report.trials) - 1, values[-1][1]))
            figure.add_scatter(
                y=[value for _, value in values],
                name=_named(name, reports, report),
                mode=mode,
                line={"shape": "hv", "dash": _DASHES[measure], "width": 2},
                marker={"size": 5},
                meta={"role": f"run{number if len(reports) > 1 else measure}"},
                hovertemplate="%{y}<extra>%{fullData.name}</extra>",
            )
            places.add(report, [i for i, _ in values])
    figure.update_yaxes(rangemode="tozero")
    return _finished(figure, places, "of the policy in force")


def returns_by_seed(reports: Sequence[RunReport]) -> Figure:
    """The returns that means are made of, a point an episode."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for number, report in enumerate(reports):
        for sample in report.samples:
            figure.add_box(
                y=[played.episode_return for played in sample.played],
                text=[f"seed {played.seed}" for played in sample.played],
                name=_named(sample.name, reports, report)
                .replace(", ", "<br>")
                .replace(": ", "<br>"),
                boxpoints="all",
                jitter=0.5,
                pointpos=0,
                fillcolor="rgba(0,0,0,0)",
                marker={"size": 5, "opacity": 0.8},
                line={"width": 1},
                meta={"role": f"run{number}"},
                hovertemplate="%{y}<br>%{text}<extra></extra>",
            )
    figure.update_layout(showlegend=False)
    return _finished(figure, _Places(), "return, points an episode")


def lineage(report: RunReport) -> Figure:
    """Every trial a mark, joined to what it was made from; the page shows a stretch of it."""
    import plotly.graph_objects as go

    trials, lane = report.trials, lanes(report.trials)
    index = {trial.commit: i for i, trial in enumerate(trials)}
    edges = [
        [index[parent], i]
        for i, trial in enumerate(trials)
        for parent in trial.parents
        if parent in index
    ]
    figure = go.Figure()
    figure.add_scatter(
        x=[], y=[], mode="lines", line={"width": 1}, meta={"role": "muted"}, hoverinfo="skip"
    )
    figure.add_scatter(
        x=[], y=[], mode="markers", meta={"role": "verdicts"}, hoverinfo="text",
        marker={"size": [], "symbol": []},
    )  # fmt: skip
    figure.update_layout(showlegend=False)
    figure.update_yaxes(visible=False)
    figure.update_xaxes(title_text="iteration", tickformat="d")
    marks = [_LINEAGE_MARKS.get(trial.verdict, ("circle", 9)) for trial in trials]
    return {
        **_finished(figure, _Places(), ""),
        "x": _iterations(trials),
        "y": lane,
        "edges": edges,
        "symbols": [symbol for symbol, _ in marks],
        "sizes": [size for _, size in marks],
    }


def _label(reference: Reference) -> str:
    """What stands at the line; the table below has the name in full."""
    return f"{reference.short_name} {format_points(reference.value)}"


class _Places:
    """For each trace, where its points are along every axis."""

    def __init__(self) -> None:
        self.rows: list[dict[str, list[float]]] = []

    def add(self, report: RunReport, indices: Sequence[int]) -> None:
        """Take note of a trace whose points are trials."""
        row = {
            axis.key: [round(report.positions[i][axis.key], 6) for i in indices] for axis in AXES
        }
        self.rows.append(row)


def _add_policy_in_force(
    figure: go.Figure, places: _Places, reports: Sequence[RunReport], number: int
) -> None:
    """The line of what the run had, with its interval; reports are of another protocol."""
    report = reports[number]
    indices = [
        i
        for i, trial in enumerate(report.trials)
        if trial.is_kept
        and trial.verdict != Verdict.REPORTED
        and trial.facts is not None
        and trial.facts.return_mean is not None
    ]
    if not indices:
        return
    means = [_mean(report.trials[i]) for i in indices]
    halves = [half_interval(report.trials[i].facts) or 0.0 for i in indices]
    # the policy in force stays so to the end of the run
    indices, means, halves = [*indices, len(report.trials) - 1], [*means, means[-1]], [
        *halves, halves[-1],
    ]  # fmt: skip
    role, name = {"role": f"run{number}"}, report.branch
    edge = {"mode": "lines", "line": {"width": 0, "shape": "hv"}, "hoverinfo": "skip"}
    low = [mean - half for mean, half in zip(means, halves, strict=True)]
    high = [mean + half for mean, half in zip(means, halves, strict=True)]
    figure.add_scatter(y=low, showlegend=False, legendgroup=name, meta=role, **edge)
    figure.add_scatter(
        y=high, showlegend=False, legendgroup=name, meta={**role, "band": True}, fill="tonexty",
        **edge,
    )  # fmt: skip
    figure.add_scatter(
        y=means,
        mode="lines",
        line={"width": 2, "shape": "hv"},
        name=_named("policy in force, 95 % interval", reports, report),
        legendgroup=name,
        meta=role,
        hovertemplate="%{y:.2f}<extra>policy in force</extra>",
    )
    for _ in range(3):
        places.add(report, indices)


def _add_marks(
    figure: go.Figure, places: _Places, reports: Sequence[RunReport], number: int, verdict: Verdict
) -> None:
    report = reports[number]
    indices = [
        i
        for i, trial in enumerate(report.trials)
        if trial.verdict == verdict and trial.facts and trial.facts.return_mean is not None
    ]
    if not indices:
        return
    shown = thinned(indices, MOST_DRAWN)
    symbol, size = _MARKS[verdict]
    some = f" ({len(shown):,} of {len(indices):,} drawn)" if len(shown) < len(indices) else ""
    is_muted = verdict == Verdict.REJECTED  # looks the same in every run
    word = "report seeds" if verdict == Verdict.REPORTED else verdict
    figure.add_scatter(
        y=[_mean(report.trials[i]) for i in shown],
        error_y=_error_bars(report, shown, verdict),
        customdata=[[number, i] for i in shown],
        mode="markers",
        name=f"{word}{some}" if is_muted else _named(f"{word}{some}", reports, report),
        showlegend=not (is_muted and number and not some),
        legendgroup=report.branch,
        marker={"symbol": symbol, "size": size, "line": {"width": 1.5}},
        meta={"role": "muted" if is_muted else f"run{number}"},
        hovertemplate="%{y:.2f}<extra>" + word + "</extra>",
    )
    places.add(report, shown)


def _error_bars(report: RunReport, shown: Sequence[int], verdict: Verdict) -> dict[str, Any] | None:
    if verdict == Verdict.REJECTED or len(shown) > _MOST_MARKED:
        return None  # of so many, the band tells it
    halves = [half_interval(report.trials[i].facts) or 0.0 for i in shown]
    return {"type": "data", "array": halves, "thickness": 1, "width": 3}


def _mean(trial: Trial) -> float:
    assert trial.facts is not None
    assert trial.facts.return_mean is not None
    return trial.facts.return_mean


def _iterations(trials: Sequence[Trial]) -> list[float]:
    """The number of each trial's iteration; what a person committed is half a step later."""
    found, last = [], 0.0
    for trial in trials:
        last = float(trial.iteration) if trial.iteration is not None else last + 0.5
        found.append(last)
    return found


def _named(name: str, reports: Sequence[RunReport], report: RunReport) -> str:
    """The name of a trace; with that of the run where there are several, all of one game."""
    run_id = report.branch.rpartition("/")[2]
    return f"{run_id}: {name}" if len(reports) > 1 else name


def _finished(figure: go.Figure, places: _Places, y_title: str) -> Figure:
    """The figure as data, drawn against iterations to begin with."""
    for trace, row in zip(figure.data, places.rows, strict=False):
        trace.x = row[AXES[0].key]
    figure.update_layout(
        template="none",
        margin={"l": 56, "r": 16, "t": 24, "b": 48},
        legend={
            "orientation": "h",
            "traceorder": "normal",
            "x": 0,
            "y": 0,
            "yref": "container",
            "yanchor": "bottom",
        },
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        hovermode="closest",
        font={"family": "system-ui, sans-serif", "size": 13},
    )
    figure.update_xaxes(zeroline=False, automargin=True)
    figure.update_yaxes(zeroline=False, automargin=True, title_text=y_title or None)
    if places.rows:
        figure.update_xaxes(title_text=AXES[0].title)
    return {"figure": json.loads(figure.to_json()), "places": places.rows}
