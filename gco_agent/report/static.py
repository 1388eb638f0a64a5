"""The learning curve as a picture for a paper or a page: drawn with matplotlib, loaded lazily."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gco_agent.core.errors import UsageError
from gco_agent.core.formatting import format_points
from gco_agent.report.curves import half_interval
from gco_agent.report.summary import RunReport
from gco_agent.store.entries import Verdict
from gco_agent.store.view import Trial

FORMATS = (".svg", ".png", ".pdf")
_COLOURS = ("#0b5fcc", "#b3541e", "#1a7f5a", "#8250bf", "#a8325e", "#5b6b1f")
_SIDES = ((0.005, "left"), (0.5, "center"), (0.995, "right"))
"""Where the name of a line for scale stands: the next higher one's beside it, not over it."""
_DOTS_PER_INCH = 150


def require_picture(path: Path) -> None:
    """Find out before anything is computed that ``path`` cannot be drawn to.

    Raises:
        UsageError: Its name ends in no format that is known, or its folder is not there.
    """
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"{path.name} ends in none of {', '.join(FORMATS)}")
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent}")


def save_figure(figure: Any, path: Path) -> None:  # noqa: ANN401 - matplotlib's own
    """Write a figure of matplotlib; the same figure gives the same SVG.

    Raises:
        UsageError: As `require_picture`, or the file cannot be written.
    """
    require_picture(path)
    is_svg = path.suffix.lower() == ".svg"
    try:
        figure.savefig(path, dpi=_DOTS_PER_INCH, metadata={"Date": None} if is_svg else None)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error


def draw_curve(reports: Sequence[RunReport], path: Path) -> None:
    """Draw what the report's learning curve has, against iterations.

    Raises:
        UsageError: As `save_figure`.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.add_subplot()
    for colour, report in zip(_COLOURS, reports, strict=False):
        _draw_run(axes, report, colour)
    drawn = sorted((r for r in reports[0].references if r.is_drawn), key=lambda r: r.value)
    for reference, (x, side) in zip(drawn, itertools.cycle(_SIDES), strict=False):
        axes.axhline(reference.value, color="0.6", linestyle=":", linewidth=1, zorder=0)
        axes.annotate(
            f"{reference.short_name} {format_points(reference.value)}", (x, reference.value),
            fontsize=8, xycoords=axes.get_yaxis_transform(), va="bottom", ha=side, color="0.4",
            bbox={"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 0.5},
        )  # fmt: skip
    axes.set_title(reports[0].title, loc="left", fontsize=11, parse_math=False)
    axes.set_xlabel("iteration")
    axes.set_ylabel("mean return, points an episode")
    axes.grid(color="0.92")
    axes.spines[["top", "right"]].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(fontsize=8, frameon=False, loc="outside lower left", ncols=4)
    save_figure(figure, path)


def _draw_run(axes: Any, report: RunReport, colour: str) -> None:  # noqa: ANN401
    kept = _measured(report, Verdict.INITIAL, Verdict.ACCEPTED, Verdict.ROLLED_BACK)
    if kept:
        # the policy in force stays so to the end of the run
        x = [*(number for number, _, _ in kept), report.n_iterations]
        means = [mean for _, mean, _ in kept]
        halves = [half for _, _, half in kept]
        low = [m - h for m, h in zip(means, halves, strict=True)]
        high = [m + h for m, h in zip(means, halves, strict=True)]
        axes.fill_between(x, [*low, low[-1]], [*high, high[-1]], step="post", color=colour,
                          alpha=0.15, linewidth=0)  # fmt: skip
        label = f"{report.branch}: policy in force, 95 % interval"
        axes.step(x, [*means, means[-1]], where="post", color=colour, label=label)
    accepted = _measured(report, Verdict.ACCEPTED)
    axes.plot(*_places(accepted), "o", color=colour, markersize=5, label="accepted")
    rejected = _measured(report, Verdict.REJECTED)
    axes.plot(*_places(rejected), "x", color="0.5", markersize=4, label="rejected")
    reported = _measured(report, Verdict.REPORTED)
    if reported:
        axes.errorbar(*_places(reported), yerr=[half for _, _, half in reported], fmt="D",
                      color=colour, markersize=7, capsize=3, label="on report seeds")  # fmt: skip


def _measured(report: RunReport, *verdicts: Verdict) -> list[tuple[int, float, float]]:
    """Iteration, mean return and half of its interval, of the trials that came to ``verdicts``."""
    return [
        point
        for trial in report.trials
        if trial.verdict in verdicts and (point := _point(trial)) is not None
    ]


def _point(trial: Trial) -> tuple[int, float, float] | None:
    facts = trial.facts
    if facts is None or facts.return_mean is None:
        return None
    return facts.iteration, facts.return_mean, half_interval(facts) or 0.0


def _places(points: Sequence[tuple[int, float, float]]) -> tuple[list[int], list[float]]:
    return [number for number, _, _ in points], [mean for _, mean, _ in points]
