"""Draw a learning curve or a robustness card for a paper. Imports matplotlib, lazily."""

from __future__ import annotations

import io
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gco_agent.core.errors import UsageError
from gco_agent.core.files import work_tree_of, write_file
from gco_agent.core.records import Verdict
from gco_agent.report.robustness import Line
from gco_agent.report.summary import IN_FORCE, Point, RunReport

FORMATS = (".svg", ".png", ".pdf")
_COLOURS = ("#0b5fcc", "#b3541e", "#1a7f5a", "#8250bf", "#a8325e", "#5b6b1f")
_SIDES = ((0.005, "left"), (0.5, "center"), (0.995, "right"))
"""Where published scores are named: neighbours stand beside each other."""
_DOTS_PER_INCH = 150


def require_picture(path: Path) -> None:
    """Check, before anything is computed, that a picture can be written to ``path``.

    Raises:
        UsageError: The format is unknown, or there is no such folder.
    """
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"{path.name} does not end in {', '.join(FORMATS)}")
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent}")


def draw_curve(reports: Sequence[RunReport], path: Path) -> None:
    """Draw the learning curve of the report against iterations.

    Raises:
        UsageError: As `require_picture`, or the file cannot be written.
    """
    figure, axes = _new_figure(4)
    for colour, report in zip(_COLOURS, reports, strict=False):
        _draw_run(axes, report, colour)
    references = reports[0].drawn_references
    for (label, value), (x, side) in zip(references, itertools.cycle(_SIDES), strict=False):
        axes.axhline(value, color="0.6", linestyle=":", linewidth=1, zorder=0)
        axes.annotate(
            label, (x, value),
            fontsize=8, xycoords=axes.get_yaxis_transform(), va="bottom", ha=side, color="0.4",
            bbox={"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 0.5},
        )  # fmt: skip
    axes.set_title(reports[0].title, loc="left", fontsize=11, parse_math=False)
    axes.set_xlabel("iteration")
    axes.set_ylabel("mean return, points an episode")
    axes.grid(color="0.92")
    axes.spines[["top", "right"]].set_visible(False)
    axes.xaxis.get_major_locator().set_params(integer=True)
    figure.legend(fontsize=8, frameon=False, loc="outside lower left",
                  ncols=4 if len(reports) == 1 else 2)  # fmt: skip
    _save(figure, path)


def draw_card(lines: Sequence[Line], title: str, path: Path) -> None:
    """Draw a robustness card: for each condition the mean, its interval, and each episode.

    Raises:
        UsageError: As `require_picture`, or the file cannot be written.
    """
    figure, axes = _new_figure(0.9 + 0.34 * len(lines))
    for row, line in enumerate(lines):
        returns = line.evaluation.returns
        if not line.evaluation.is_valid:
            axes.text(0.01, row, "no score: the policy failed", va="center", fontsize=9,
                      transform=axes.get_yaxis_transform(), color="#b3261e")  # fmt: skip
            continue
        colour = "#0b5fcc" if row == 0 else "#3b4754"
        axes.plot(returns, [row] * len(returns), "|", color=colour, alpha=0.35, markersize=9)
        if line.interval is not None:
            axes.plot(line.interval, [row, row], color=colour, linewidth=2, solid_capstyle="round")
        axes.plot([line.evaluation.mean_return], [row], "o", color=colour, markersize=6)
    if (first := lines[0].evaluation.mean_return) is not None:
        axes.axvline(first, color="0.6", linewidth=1, zorder=0)
    axes.set_yticks(range(len(lines)), [line.name for line in lines])
    axes.set_ylim(len(lines) - 0.5, -0.5)
    axes.set_xlabel("return, points an episode: mean, 95 % interval, and every episode")
    axes.set_title(title, fontsize=10, loc="left", parse_math=False)
    axes.grid(axis="x", color="0.9")
    axes.spines[["top", "right", "left"]].set_visible(False)
    _save(figure, path)


def _draw_run(axes: Any, report: RunReport, colour: str) -> None:  # noqa: ANN401
    def columns(points: Sequence[Point]) -> tuple[list[float], list[float]]:
        at = [report.positions[point.trial]["iteration"] for point in points]
        return at, [point.mean for point in points]

    if points := report.points(*IN_FORCE):
        points.append(points[-1])
        x, means = columns(points)
        x[-1] = report.n_iterations  # the policy stays in force to the end of the run
        low, high = ([p.mean + sign * p.half for p in points] for sign in (-1, 1))
        axes.fill_between(x, low, high, step="post", color=colour, alpha=0.15, linewidth=0)
        label = f"{report.branch}: policy in force, 95 % interval"
        axes.step(x, means, where="post", color=colour, label=label)
    rejected = report.points(Verdict.REJECTED, Verdict.INCONCLUSIVE)
    accepted, reported = map(report.points, (Verdict.ACCEPTED, Verdict.REPORTED))
    axes.plot(*columns(accepted), "o", color=colour, markersize=5, label="accepted")
    axes.plot(*columns(rejected), "x", color="0.5", markersize=4, label="rejected or inconclusive")
    if reported:
        axes.errorbar(*columns(reported), yerr=[point.half for point in reported], fmt="D",
                      color=colour, markersize=7, capsize=3, label="on report seeds")  # fmt: skip


def _new_figure(height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, height), layout="constrained")
    return figure, figure.add_subplot()


def _save(figure: Any, path: Path) -> None:  # noqa: ANN401 - matplotlib's own
    """Write a figure; the same figure gives the same SVG."""
    require_picture(path)
    kind, data = path.suffix.lower().removeprefix("."), io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else None
    figure.savefig(data, format=kind, dpi=_DOTS_PER_INCH, metadata=metadata)
    try:
        write_file(path, data.getvalue(), root=work_tree_of(path))
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
