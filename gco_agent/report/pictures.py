"""Draw robustness cards and comparisons for a paper. Imports matplotlib, lazily."""

from __future__ import annotations

import io
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gco_agent.core.aggregates import estimate, mean
from gco_agent.core.errors import UsageError
from gco_agent.core.files import save_file
from gco_agent.report.comparison import HEADINGS, Comparison
from gco_agent.report.robustness import Line

FORMATS = (".svg", ".png", ".pdf")
_COLOURS = ("#0b5fcc", "#b3541e", "#1a7f5a", "#8250bf", "#a8325e", "#5b6b1f")
_DOTS_PER_INCH = 150


def require_picture(path: Path, others: tuple[str, ...] = ()) -> None:
    """Check, before anything is computed, that a picture can be written to ``path``."""
    formats = (*others, *FORMATS)
    if path.suffix.lower() not in formats:
        raise UsageError(f"{path.name} does not end in {', '.join(formats)}")
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent}")


def draw_card(lines: Sequence[Line], title: str, path: Path) -> None:
    """Draw a robustness card: for each condition the mean, its interval, and each episode."""
    figure = _figure(8, 0.9 + 0.34 * len(lines))
    axes = figure.add_subplot()
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
    axes.set_title(title, fontsize=10, loc="left")
    axes.grid(axis="x", color="0.9")
    axes.spines[["top", "right", "left"]].set_visible(False)
    _save(figure, path)


def _figure(width: float, height: float) -> Any:  # noqa: ANN401 - matplotlib's own
    from matplotlib import rcParams
    from matplotlib.figure import Figure

    # a matplotlibrc in the present folder may set the first, which starts LaTeX; names are no math
    rcParams.update({"text.usetex": False, "text.parse_math": False})
    return Figure(figsize=(width, height), layout="constrained")


def _save(figure: Any, path: Path) -> None:  # noqa: ANN401 - matplotlib's own
    """Write a figure; the same figure gives the same SVG."""
    require_picture(path)
    kind, data = path.suffix.lower().removeprefix("."), io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else None
    figure.savefig(data, format=kind, dpi=_DOTS_PER_INCH, metadata=metadata)
    save_file(path, data.getvalue())


# -- comparisons -----------------------------------------------------------------------------------

_MOST_IN_A_ROW = 3
_PANEL_HEIGHT = 3.2


def write_comparison(comparison: Comparison, path: Path) -> None:
    """Write a comparison as an HTML file, or its figures as a picture, by the suffix."""
    if path.suffix.lower() != ".html":
        _save(draw_comparison(comparison), path)
        return
    from gco_agent.report.page import render_comparison

    picture = io.BytesIO()
    draw_comparison(comparison).savefig(picture, format="svg", metadata={"Date": None})
    save_file(path, render_comparison(comparison, picture.getvalue()))


def draw_comparison(comparison: Comparison) -> Any:  # noqa: ANN401 - matplotlib's own
    """Return a figure with the curves of each game, the aggregate scores and the profiles."""
    n_columns = min(_MOST_IN_A_ROW, len(comparison.games))
    n_rows = -(-len(comparison.games) // _MOST_IN_A_ROW)
    figure = _figure(10, _PANEL_HEIGHT * (n_rows + 1))
    rows: Any = figure.subfigures(2, 1, height_ratios=[n_rows, 1])
    above, below = rows
    names = [group.name for group in comparison.groups]
    colours = dict(zip(names, itertools.cycle(_COLOURS), strict=False))
    panels = above.subplots(n_rows, n_columns, squeeze=False).ravel()
    for axes, game in zip(panels, comparison.games, strict=False):
        _draw_game(axes, comparison, game, colours)
    for axes in panels[len(comparison.games) :]:
        axes.set_visible(False)
    left, right = below.subfigures(1, 2, width_ratios=[3, 2])
    _draw_aggregates(left, comparison, colours)
    _draw_profiles(right.subplots(), comparison, colours)
    handles = [axes.get_legend_handles_labels() for axes in panels[: len(comparison.games)]]
    named = {label: handle for row in handles for handle, label in zip(*row, strict=True)}
    figure.legend(named.values(), named.keys(), fontsize=8, frameon=False, ncols=4,
                  loc="outside lower left")  # fmt: skip
    return figure


def _draw_game(axes: Any, comparison: Comparison, game: str, colours: dict[str, str]) -> None:  # noqa: ANN401
    from matplotlib.ticker import EngFormatter

    for of, name, grid, lines in comparison.curves("frames"):
        if of != game:
            continue
        colour, x = colours[name], grid
        middle = [estimate(mean, {game: values}) for values in zip(*lines, strict=True)]
        if len(lines) > 1:
            for line in lines:
                axes.step(x, line, where="post", color=colour, alpha=0.25, linewidth=0.8)
        lows, highs = [e.low for e in middle], [e.high for e in middle]
        if None not in lows:
            axes.fill_between(x, lows, highs, step="post", color=colour, alpha=0.15, linewidth=0)
        axes.step(x, [e.value for e in middle], where="post", color=colour, linewidth=2, label=name)
    axes.set_title(game, loc="left", fontsize=10)
    axes.set_xlabel("frames")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_ylabel("mean return in races")
    _plain(axes)


def _draw_aggregates(figure: Any, comparison: Comparison, colours: dict[str, str]) -> None:  # noqa: ANN401
    groups = comparison.groups
    names = list(groups[0].aggregates)
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for axes, name in zip(panels, names, strict=True):
        for row, group in enumerate(groups):
            found, colour = group.aggregates[name], colours[group.name]
            if found.low is not None and found.high is not None:
                axes.barh(row, found.high - found.low, left=found.low, height=0.5, color=colour,
                          alpha=0.3)  # fmt: skip
            axes.plot([found.value], [row], "|", color=colour, markersize=16, markeredgewidth=2.5)
        axes.set_yticks(range(len(groups)), [group.name for group in groups], fontsize=8)
        axes.set_ylim(len(groups) - 0.5, -0.5)
        axes.set_title(HEADINGS[name], fontsize=10, loc="left")
        axes.use_sticky_edges = False
        axes.locator_params(axis="x", nbins=3)
        _plain(axes)
    figure.supxlabel(comparison.unit, fontsize=9)


def _draw_profiles(axes: Any, comparison: Comparison, colours: dict[str, str]) -> None:  # noqa: ANN401
    taus = comparison.thresholds
    for group in comparison.groups:
        lows, highs = [e.low for e in group.profile], [e.high for e in group.profile]
        if None not in lows:
            axes.fill_between(taus, lows, highs, step="post", color=colours[group.name], alpha=0.15,
                              linewidth=0)  # fmt: skip
        axes.step(taus, [e.value for e in group.profile], where="post", color=colours[group.name])
    axes.set_ylim(-0.03, 1.03)
    axes.set_title("performance profile", fontsize=10, loc="left")
    axes.set_xlabel(f"score above τ ({comparison.unit})")
    axes.set_ylabel("share of runs")
    _plain(axes)


def _plain(axes: Any) -> None:  # noqa: ANN401
    axes.grid(color="0.92")
    axes.spines[["top", "right"]].set_visible(False)
