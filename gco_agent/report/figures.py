"""The figures of a page, as plain data for plotly.js.

Colours are names of roles in ``meta``, and the page puts in the colours of its light or dark side.
``meta`` also holds the positions of a trace along every axis that a reader can choose.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from gco_agent.core.records import Verdict
from gco_agent.report.summary import AXES, RunReport
from gco_agent.store.view import Trial

MOST_DRAWN = 1_500
"""Maximum of marks of one kind; of more, this many are drawn, evenly spread."""
_MOST_MARKED = 200
"""Maximum of points of a line that get a mark or an error bar each."""
_ANCHORS = (("left", 0), ("center", 0.5), ("right", 1))
_DASHES = ("solid", "dash", "dot")
_MARKS = {
    Verdict.ACCEPTED: ("circle", 9),
    Verdict.REJECTED: ("x-thin-open", 7),
    Verdict.INCONCLUSIVE: ("cross-thin-open", 7),
    Verdict.REPORTED: ("diamond-open", 13),
}
LAYOUT = {
    "margin": {"l": 56, "r": 16, "t": 24, "b": 48},
    "legend": {"orientation": "h", "traceorder": "normal", "x": 0, "y": 0, "yref": "container",
               "yanchor": "bottom"},
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "hovermode": "closest",
    "font": {"family": "system-ui, sans-serif", "size": 13},
}  # fmt: skip
_AXIS = {"zeroline": False, "automargin": True}

Figure = dict[str, Any]
"""A figure as plotly.js takes it: ``data`` and ``layout``."""


def script() -> str:
    """Return the text of plotly.js."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def learning_curve(reports: Sequence[RunReport]) -> Figure:
    """Return mean returns: the policy in force with its interval, and every other trial."""
    data: list[dict[str, Any]] = []
    for number in range(len(reports)):
        data += _line_in_force(reports, number)
        for verdict in _MARKS:
            data += _marks(reports, number, verdict)
    figure = _figure(data, "mean return, points an episode")
    references = reports[0].drawn_references
    figure["layout"]["shapes"] = [
        {"type": "line", "xref": "x domain", "x0": 0, "x1": 1, "y0": value, "y1": value,
         "line": {"dash": "dot", "width": 1}}
        for _, value in references
    ]  # fmt: skip
    figure["layout"]["annotations"] = [  # names of neighbours stand beside each other
        {"text": label, "font": {"size": 11}, "borderpad": 1, "showarrow": False,
         "xref": "x domain", "x": x, "xanchor": anchor, "y": value, "yanchor": "bottom"}
        for (label, value), (anchor, x) in zip(references, itertools.cycle(_ANCHORS), strict=False)
    ]  # fmt: skip
    return figure


def complexity(reports: Sequence[RunReport]) -> Figure:
    """Return lines, cyclomatic complexity and nesting of the policy in force."""
    data = []
    measures = (("loc", "lines of code"), ("cyclomatic", "cyclomatic"), ("nested_if", "nested if"))
    for number, report in enumerate(reports):
        kept = [(i, t.facts) for i, t in enumerate(report.trials) if t.is_kept and t.facts]
        for measure, (field, name) in enumerate(measures):
            values = [(i, v) for i, facts in kept if (v := getattr(facts, field)) is not None]
            values += [(len(report.trials) - 1, v) for _, v in values[-1:]]  # to the run's end
            data.append(
                _trace(
                    report,
                    f"run{number if len(reports) > 1 else measure}",
                    [i for i, _ in values],
                    y=[value for _, value in values],
                    name=_name(name, reports, report),
                    mode="lines" if len(kept) > _MOST_MARKED else "lines+markers",
                    line={"shape": "hv", "dash": _DASHES[measure], "width": 2},
                    marker={"size": 5},
                    hovertemplate="%{y}<extra>%{fullData.name}</extra>",
                )
            )
    figure = _figure(data, "of the policy in force")
    figure["layout"]["yaxis"]["rangemode"] = "tozero"
    return figure


def returns_by_seed(reports: Sequence[RunReport]) -> Figure:
    """Return the returns behind the means, a point an episode."""
    data = [
        {
            "type": "box",
            "y": [each.episode_return for each in played],
            "text": [f"seed {each.seed}" for each in played],
            "name": _name(name, reports, report)
            .replace(", ", "<br>").replace(": ", "<br>"),
            "boxpoints": "all", "jitter": 0.5, "pointpos": 0,
            "fillcolor": "rgba(0,0,0,0)",
            "marker": {"size": 5, "opacity": 0.8},
            "line": {"width": 1},
            "meta": {"role": f"run{number}"},
            "hovertemplate": "%{y}<br>%{text}<extra></extra>",
        }
        for number, report in enumerate(reports)
        for name, played in report.samples.items()
    ]  # fmt: skip
    figure = _figure(data, "return, points an episode")
    figure["layout"]["showlegend"] = False
    del figure["layout"]["xaxis"]["title"]
    return figure


def lineage(trials: Sequence[Trial]) -> dict[str, Any]:
    """Return the place of every trial and the edges from the trials that it was made from."""
    index = {trial.commit: i for i, trial in enumerate(trials)}
    x, y, rejected, last = [], [], dict.fromkeys([t.line_commit for t in trials], 0), 0.0
    for trial in trials:
        last = last + 0.5 if trial.iteration is None else float(trial.iteration)
        x.append(last)
        rejected[trial.line_commit] -= not trial.is_kept
        y.append(0 if trial.is_kept else rejected[trial.line_commit])
    edges = [[index[p], i] for i, t in enumerate(trials) for p in t.parents if p in index]
    return {"x": x, "y": y, "edges": edges}


def thinned(items: Sequence[Any], most: int) -> list[Any]:
    """Return at most ``most`` items, evenly spread, with the first and the last."""
    if len(items) <= most:
        return list(items)
    step = (len(items) - 1) / (most - 1)
    return [items[round(i * step)] for i in range(most)]


def _line_in_force(reports: Sequence[RunReport], number: int) -> list[dict[str, Any]]:
    """Return the line of the policy in force, and the edges of its interval before it."""
    report = reports[number]
    points = report.points(*(verdict for verdict in Verdict if verdict.gives_policy))
    points += [p._replace(trial=len(report.trials) - 1) for p in points[-1:]]  # to the run's end
    if not points:
        return []
    role, indices = f"run{number}", [point.trial for point in points]
    edge = {"mode": "lines", "line": {"width": 0, "shape": "hv"}, "hoverinfo": "skip",
            "showlegend": False, "legendgroup": report.branch}  # fmt: skip
    low = _trace(report, role, indices, y=[p.low for p in points], **edge)
    high = _trace(report, role, indices, y=[p.high for p in points], fill="tonexty", **edge)
    high["meta"]["band"] = True
    line = _trace(
        report, role, indices,
        y=[point.mean for point in points],
        mode="lines" if len(report.trials) > 1 else "markers",  # a point alone is no line
        line={"width": 2, "shape": "hv"},
        name=_name("policy in force, 95 % interval", reports, report),
        legendgroup=report.branch,
        hovertemplate="%{y:.2f}<extra>policy in force</extra>",
    )  # fmt: skip
    return [low, high, line]


def _marks(reports: Sequence[RunReport], number: int, verdict: Verdict) -> list[dict[str, Any]]:
    report = reports[number]
    points = report.points(verdict)
    if not points:
        return []
    shown = thinned(points, MOST_DRAWN)
    is_muted = verdict in (Verdict.REJECTED, Verdict.INCONCLUSIVE)  # look the same in every run
    word = "report seeds" if verdict is Verdict.REPORTED else str(verdict)
    name = f"{word} ({len(shown):,} of {len(points):,} drawn)" if len(shown) < len(points) else word
    symbol, size = _MARKS[verdict]
    trace = _trace(
        report, "muted" if is_muted else f"run{number}", [point.trial for point in shown],
        y=[point.mean for point in shown],
        customdata=[[number, point.trial] for point in shown],
        mode="markers",
        name=name if is_muted else _name(name, reports, report),
        showlegend=not (is_muted and number and name == word),
        legendgroup=report.branch,
        marker={"symbol": symbol, "size": size, "line": {"width": 1.5}},
        hovertemplate="%{y:.2f}<extra>" + word + "</extra>",
    )  # fmt: skip
    if not is_muted and len(shown) <= _MOST_MARKED:
        up, down = [p.high - p.mean for p in shown], [p.mean - p.low for p in shown]
        trace["error_y"] = {"type": "data", "array": up, "arrayminus": down, "symmetric": False,
                            "thickness": 1, "width": 3}  # fmt: skip
    return [trace]


def _trace(
    report: RunReport, role: str, indices: Iterable[int], **options: object
) -> dict[str, Any]:
    """Return a trace whose points are trials, drawn against iterations at first."""
    at = [report.positions[i] for i in indices]
    places = {axis: [round(position[axis], 6) for position in at] for axis in AXES}
    return {
        "type": "scatter",
        "x": places["iteration"],
        "meta": {"role": role, "places": places},
        **options,
    }


def _name(name: str, reports: Sequence[RunReport], report: RunReport) -> str:
    """Return the name of a trace, with that of its run if there are several."""
    return f"{report.branch.rpartition('/')[2]}: {name}" if len(reports) > 1 else name


def _figure(data: list[dict[str, Any]], y_title: str) -> Figure:
    axes = {
        "xaxis": {**_AXIS, "title": {"text": AXES["iteration"]}},
        "yaxis": {**_AXIS, "title": {"text": y_title}},
    }
    return {"data": data, "layout": {**LAYOUT, **axes}}
