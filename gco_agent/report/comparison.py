"""Compare runs: scores on report seeds, aggregated over seeds and games as the field does."""

from __future__ import annotations

import bisect
import csv
import io
import itertools
import json
import math
import re
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeAlias

from gco_agent.core.aggregates import (
    AGGREGATES,
    Estimate,
    Scores,
    estimate,
    holm,
    performance_profile,
    probability_of_improvement,
    thresholds_of,
    two_sided_p,
)
from gco_agent.core.errors import NotARun, StoreError, UsageError
from gco_agent.core.records import Verdict
from gco_agent.core.seeds import Stream
from gco_agent.core.text import clean_line, format_points, format_score
from gco_agent.games.registry import find_game
from gco_agent.report.baselines import Baseline, list_baselines
from gco_agent.store.entries import RunRef
from gco_agent.store.git import GitRepo
from gco_agent.store.run import Runs
from gco_agent.store.view import EPISODES_FILE, RunView, frames_of, parse_played

MOST_RUNS = 200
"""Upper bound of the runs of a comparison."""
_SEED = re.compile(r"(.+)-seed(\d+)")
_N_GRID = 60
_FEWEST_PAIRS = 2


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """The policy in force from here on: iteration, frames used by then, mean return."""

    iteration: int
    frames: int
    mean: float


@dataclass(frozen=True, slots=True)
class RunScore:
    """A run as it is compared.

    Attributes:
        group: Name of ``run --seeds`` without the seed.
    """

    run: str
    group: str
    game: str
    seed: int | None
    mean_return: float
    standard_error: float | None
    protocol: str
    returns: Mapping[int, float]
    iterations: int
    frames: int
    usd: float
    curve: tuple[CurvePoint, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """Runs of one method: how many, and their aggregate scores by name.

    Attributes:
        returns: By game, the mean return over its runs with its standard error: over runs, or of
            one run over episodes.
        profile: Share of runs above each of the comparison's thresholds.
    """

    name: str
    runs: int
    returns: Mapping[str, tuple[float, float | None]]
    aggregates: Mapping[str, Estimate]
    profile: Sequence[Estimate]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two groups compared.

    Attributes:
        paired_by: "seed" where runs with the same seed of the optimizer are paired; "episode"
            where each is one run, and its episodes on the same report seeds are; "" where nothing
            can be paired.
        difference: Mean of first minus second over the pairs, in the unit of the comparison.
        p_value: Two-sided sign-flip test, adjusted for the number of comparisons (Holm).
    """

    first: str
    second: str
    paired_by: str
    pairs: int
    difference: float | None
    p_value: float | None
    probability: Estimate | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Runs compared; `table` and `report` write it.

    Attributes:
        unit: Of the aggregates: "points", or "human-normalized" (0 is random play, 1 a person).
    """

    unit: str
    games: list[str]
    runs: list[RunScore]
    groups: list[Group]
    pairs: list[Pair]
    thresholds: list[float]

    def table(self, form: str = "markdown") -> str:
        """Return the table of groups as "markdown", "latex", "csv" or "json"."""
        if form == "json":
            return json.dumps(asdict(self), indent=2)
        if form not in FORMATS:
            raise UsageError(f"no format {form!r}: use json, {', '.join(FORMATS)}")
        return FORMATS[form](self.cells())

    def cells(self) -> list[list[str]]:
        """Return the table of groups: headings, then a row for each group."""
        aggregates = list(self.groups[0].aggregates)
        heads = ["method", "runs", *self.games, *(HEADINGS[name] for name in aggregates)]
        rows = [heads]
        for group in self.groups:
            scores = [format_score(*group.returns.get(game, (None, None))) for game in self.games]
            found = [
                estimate_text(group.aggregates[name], in_points=self.unit == "points")
                for name in aggregates
            ]
            rows.append([group.name, str(group.runs), *scores, *found])
        return rows

    def pair_cells(self) -> list[list[str]]:
        """Return a table of pairs of groups, with headings."""
        heads = ["pair", "paired by", "pairs", "difference", "p", "probability of improvement"]
        return [heads] + [
            [
                f"{pair.first} against {pair.second}",
                pair.paired_by or "not paired",
                str(pair.pairs or ""),
                "" if pair.difference is None else f"{pair.difference:+.2f}",
                "" if pair.p_value is None else f"{pair.p_value:.3f}",
                estimate_text(pair.probability),
            ]
            for pair in self.pairs
        ]

    def run_cells(self) -> list[list[str]]:
        """Return a table of the runs, with headings."""
        heads = ["run", "seed", "score", "episodes", "iterations", "frames", "$"]
        n = len(heads) - (not any(run.usd for run in self.runs))
        return [heads[:n]] + [
            [
                run.run,
                "" if run.seed is None else str(run.seed),
                format_score(run.mean_return, run.standard_error),
                str(len(run.returns)),
                str(run.iterations),
                f"{run.frames:,}",
                f"{run.usd:.2f}" if run.usd else "",
            ][:n]
            for run in self.runs
        ]

    def report(self, path: str | Path) -> Path:
        """Write tables and figures as one HTML file, or the figures as .svg, .png or .pdf."""
        from gco_agent.report.pictures import write_comparison

        write_comparison(self, Path(path))
        return Path(path)

    def curves(self, axis: str) -> Iterator[tuple[str, str, list[float], list[list[float]]]]:
        """Yield for each game and group the positions, and for each run the returns there."""
        for game, group in itertools.product(self.games, self.groups):
            chosen = [r.curve for r in self.runs if (r.game, r.group) == (game, group.name)]
            lines = [[(float(getattr(p, axis)), p.mean) for p in curve] for curve in chosen]
            lines = [line for line in lines if line]
            if not lines:
                continue
            start = max(line[0][0] for line in lines)
            end = max(start, min(line[-1][0] for line in lines))
            grid = [start + (end - start) * i / _N_GRID for i in range(_N_GRID + 1)]
            yield game, group.name, grid, [[_at(line, x) for x in grid] for line in lines]


HEADINGS = {"iqm": "IQM", "median": "median", "mean": "mean", "optimality_gap": "optimality gap"}


def estimate_text(found: Estimate | None, *, in_points: bool = False) -> str:
    """Format an aggregate: "0.41 [0.32, 0.55]"."""
    if found is None:
        return ""
    shown = format_points if in_points else "{:.2f}".format
    if found.low is None or found.high is None:
        return shown(found.value)
    return f"{shown(found.value)} [{shown(found.low)}, {shown(found.high)}]"


def _markdown(cells: Sequence[Sequence[str]]) -> str:
    rows = [[clean_line(cell).replace("|", r"\|") for cell in row] for row in cells]
    line = "|---|" + "--:|" * (len(rows[0]) - 1)
    head, *body = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([head, line, *body])


_LATEX = str.maketrans(
    {**{c: f"\\{c}" for c in "&%$#_{}"}, "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
     "\\": r"\textbackslash{}", "±": r"$\pm$", "−": "$-$"}
)  # fmt: skip


def _latex(cells: Sequence[Sequence[str]]) -> str:
    rows = [" & ".join(clean_line(cell).translate(_LATEX) for cell in row) for row in cells]
    head, *body = (rf"{row} \\" for row in rows)
    columns = "l" + "r" * (len(cells[0]) - 1)
    lines = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", head, r"\midrule", *body]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def _csv(cells: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(cells)
    return text.getvalue().rstrip("\n")


FORMATS: dict[str, Callable[[Sequence[Sequence[str]]], str]] = {
    "markdown": _markdown,
    "latex": _latex,
    "csv": _csv,
}


# -- reading ---------------------------------------------------------------------------------------


def compare_runs(repo: GitRepo, names: Sequence[str]) -> Comparison:
    """Compare runs by their scores on report seeds.

    Args:
        names: Runs, baselines, games, or names of ``run --seeds`` for all their seeds; by default
            all that have a score.
    """
    runs, refs = Runs(repo), dict[RunRef, None]()
    baselines: dict[str, Baseline] = {}
    for name in names or ("",):
        meant = [each for each in list_baselines(repo) if not name or _is_called(each, name)]
        baselines |= {each.branch: each for each in meant}
        try:
            refs |= dict.fromkeys(_refs(runs, name))
        except NotARun:
            if not meant:
                raise
    if len(refs) + len(baselines) > MOST_RUNS:
        raise UsageError(f"{len(refs) + len(baselines)} runs are too many; at most {MOST_RUNS}")
    views = [runs.view(ref) for ref in refs]
    if not names:
        views = [view for view in views if _is_measured(view)] or ([] if baselines else views)
    scores = [read_score(view) for view in views]
    return compare([*scores, *map(_score_of, baselines.values())])


def _is_called(baseline: Baseline, name: str) -> bool:
    game, ref = baseline.game, RunRef(baseline.game, baseline.name)
    known = (ref.run_id, group_of(ref))
    wanted = name.removeprefix("gco-baseline/")
    return wanted in (game, *known, *(f"{game}/{each}" for each in known))


def _score_of(baseline: Baseline) -> RunScore:
    ref, seeds = RunRef(baseline.game, baseline.name), Stream.REPORT.seeds(0, len(baseline.returns))
    return RunScore(
        baseline.branch,
        group_of(ref),
        baseline.game,
        baseline.seed,
        baseline.mean_return,
        baseline.standard_error,
        baseline.protocol,
        dict(zip(seeds, baseline.returns, strict=True)),
        0,
        baseline.frames,
        0.0,
        tuple(CurvePoint(0, frames, mean) for frames, mean in baseline.curve),
    )


def _is_measured(view: RunView) -> bool:
    try:
        return view.standing.verdict is Verdict.REPORTED
    except StoreError:
        return False


def _refs(runs: Runs, name: str) -> list[RunRef]:
    there = runs.list()
    if not name:
        if not there:
            raise NotARun("There is no run here. Start one with `gco-agent run GAME`.")
        return there
    wanted = name.removeprefix("gco/")
    seeds = [ref for ref in there if wanted in (group_of(ref), f"{ref.game}/{group_of(ref)}")]
    is_exact = any(wanted in (ref.run_id, f"{ref.game}/{ref.run_id}") for ref in there)
    seeds = seeds or list(runs.of_game(name))
    return seeds if seeds and not is_exact else [runs.find(name)]


def group_of(ref: RunRef) -> str:
    """Return the name of a run without the seed that ``run --seeds`` adds."""
    match = _SEED.fullmatch(ref.run_id)
    return match[1] if match else ref.run_id


def seed_name(name: str, seed: int) -> str:
    """Return the name of the run with this seed."""
    return f"{name}-seed{seed}"


def read_score(view: RunView) -> RunScore:
    """Read what is compared of a run."""
    history, standing, config = view.history(), view.standing, view.config()
    facts = standing.facts
    if facts is None or standing.verdict is not Verdict.REPORTED or facts.return_mean is None:
        raise UsageError(
            f"the policy of {view.ref.branch} has no score on report seeds: "
            f"`gco-agent step {view.ref.branch} -n 0 --report-episodes 30` measures it"
        )
    played = parse_played(view.evidence(standing, EPISODES_FILE), view.ref.branch)
    points = [
        CurvePoint(step.facts.iteration, step.facts.frames or 0, step.facts.return_mean)
        for step in history
        if step.facts and step.verdict.gives_policy and step.facts.return_mean is not None
    ]
    n_tried, frames = view.n_iterations, frames_of(history)
    if points:
        points.append(CurvePoint(max(n_tried, points[-1].iteration), frames, points[-1].mean))
    return RunScore(
        view.ref.branch,
        group_of(view.ref),
        view.ref.game,
        config.seed,
        facts.return_mean,
        facts.return_se,
        facts.protocol or "",
        {each.seed: each.episode_return for each in played},
        n_tried,
        frames,
        sum(step.facts.usd or 0.0 for step in history if step.facts),
        tuple(points),
    )


# -- comparing -------------------------------------------------------------------------------------


def compare(runs: Sequence[RunScore]) -> Comparison:
    """Compare runs that were read."""
    runs = sorted(runs, key=lambda run: (run.game, run.group, run.seed or 0, run.run))
    games = list(dict.fromkeys(run.game for run in runs))
    for game in games:
        stamps = {run.protocol for run in runs if run.game == game}
        if len(stamps) > 1:
            of = ", ".join(run.run for run in runs if run.game == game)
            raise UsageError(
                f"{of} were scored by different rules or versions, so their returns cannot be "
                f"compared:\n" + "\n".join(sorted(stamps))
            )
    scales = {game: _scale(game) for game in games}
    is_normalized = all(scales.values())
    if not is_normalized and len(games) > 1:
        bare = ", ".join(game for game, scale in scales.items() if scale is None)
        raise UsageError(
            f"returns of several games need a common scale, and {bare} has no scores of random "
            "play and of people: compare the runs of one game"
        )

    def scaled(run: RunScore, points: float) -> float:
        low, high = scales[run.game] or (0.0, 1.0)
        return (points - low) / (high - low)

    groups = _by(runs, lambda run: run.group)
    scores = {name: _scores(members, scaled) for name, members in groups.items()}
    everything = [each for of in scores.values() for values in of.values() for each in values]
    taus = thresholds_of(everything, is_normalized=is_normalized)
    made = [
        Group(
            name,
            len(members),
            {game: _mean_of(of) for game, of in _by(members, lambda run: run.game).items()},
            {
                key: estimate(statistic, scores[name])
                for key, statistic in AGGREGATES.items()
                if is_normalized or key != "optimality_gap"
            },
            performance_profile(scores[name], taus),
        )
        for name, members in groups.items()
    ]
    made.sort(key=lambda group: -group.aggregates["iqm"].value)
    pairs = [
        _pair((a.name, groups[a.name]), (b.name, groups[b.name]), scaled)
        for a, b in itertools.combinations(made, 2)
    ]
    unit = "human-normalized" if is_normalized else "points"
    return Comparison(unit, games, runs, made, _adjusted(pairs), taus)


Scaled: TypeAlias = Callable[[RunScore, float], float]


def _by(runs: Iterable[RunScore], key: Callable[[RunScore], str]) -> dict[str, list[RunScore]]:
    found: dict[str, list[RunScore]] = {}
    for run in runs:
        found.setdefault(key(run), []).append(run)
    return found


def _scores(runs: Sequence[RunScore], scaled: Scaled) -> Scores:
    of_games = _by(runs, lambda run: run.game)
    return {game: [scaled(r, r.mean_return) for r in of] for game, of in of_games.items()}


def _mean_of(runs: Sequence[RunScore]) -> tuple[float, float | None]:
    if len(runs) == 1:
        return runs[0].mean_return, runs[0].standard_error
    values = [run.mean_return for run in runs]
    return statistics.fmean(values), statistics.stdev(values) / math.sqrt(len(values))


def _scale(game: str) -> tuple[float, float] | None:
    """Return the returns of random play and of a person; None if they are not known."""
    try:
        spec = find_game(game)
    except UsageError:
        return None
    low, high = spec.random_return, spec.human_return
    return None if low is None or high is None or low == high else (low, high)


def _pair(
    first: tuple[str, list[RunScore]], second: tuple[str, list[RunScore]], scaled: Scaled
) -> Pair:
    (name, mine), (other, theirs) = first, second
    by_place = {(run.game, run.seed): run for run in theirs}
    met = [(run, by_place[run.game, run.seed]) for run in mine if (run.game, run.seed) in by_place]
    differences = [scaled(a, a.mean_return) - scaled(b, b.mean_return) for a, b in met]
    how = "seed"
    if len(mine) == len(theirs) == 1 and mine[0].game == theirs[0].game:
        a, b = mine[0], theirs[0]
        how = "episode"
        common = [seed for seed in a.returns if seed in b.returns]
        differences = [scaled(a, a.returns[s]) - scaled(b, b.returns[s]) for s in common]
    is_paired = len(differences) >= _FEWEST_PAIRS
    return Pair(
        name,
        other,
        how if is_paired else "",
        len(differences) if is_paired else 0,
        statistics.fmean(differences) if is_paired else None,
        two_sided_p(differences) if is_paired else None,
        probability_of_improvement(_scores(mine, scaled), _scores(theirs, scaled)),
    )


def _adjusted(pairs: Sequence[Pair]) -> list[Pair]:
    adjusted = iter(holm([pair.p_value for pair in pairs if pair.p_value is not None]))
    return [p if p.p_value is None else replace(p, p_value=next(adjusted)) for p in pairs]


def _at(line: Sequence[tuple[float, float]], x: float) -> float:
    index = bisect.bisect_right([each[0] for each in line], x + 1e-9) - 1
    return line[max(0, index)][1]
