"""Runs compared: groups, scales, tables, pictures, refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib import rcParams

import gco_agent
from gco_agent.core.errors import NotARun, StoreError, UsageError
from gco_agent.report.comparison import CurvePoint, RunScore, compare, group_of, seed_name
from gco_agent.report.page import is_report
from gco_agent.store.entries import RunRef


def score(group: str, seed: int, mean: float, game: str = "pong", n: int = 5) -> RunScore:
    returns = {1_200_000_000 + k: mean + k - (n - 1) / 2 for k in range(n)}
    curve = (CurvePoint(0, 1_000, -21.0), CurvePoint(2, 50_000 + seed, mean))
    name = f"gco/{game}/{group}-seed{seed}"
    return RunScore(name, group, game, seed, mean, 0.5, "rules", returns, 2, 60_000, 0.0, curve)


GOOD = [score("good & <b>", seed, 10.0 + seed) for seed in range(5)]
BAD = [score("bad_one", seed, -20.0 + seed / 10) for seed in range(5)]


def test_runs_of_one_game_are_grouped_and_normalized() -> None:
    found = compare([*BAD, *GOOD])
    assert found.unit == "human-normalized"
    assert [group.name for group in found.groups] == ["good & <b>", "bad_one"]
    best = found.groups[0]
    assert best.returns["pong"] == pytest.approx((12.0, 0.7071), rel=1e-3)
    assert best.aggregates["mean"].value == pytest.approx((12 + 20.7) / (14.6 + 20.7))
    (pair,) = found.pairs
    assert (pair.paired_by, pair.pairs) == ("seed", 5)
    assert pair.p_value == pytest.approx(2 / 32)
    assert pair.probability is not None
    assert pair.probability.value == 1.0


def test_two_runs_are_paired_by_episode_and_unlike_ones_are_not_paired() -> None:
    (pair,) = compare([GOOD[0], replace(BAD[1], seed=7)]).pairs
    assert (pair.paired_by, pair.pairs) == ("episode", 5)
    (pair,) = compare([*GOOD, replace(BAD[1], seed=7)]).pairs
    assert (pair.paired_by, pair.p_value, pair.difference) == ("", None, None)


def test_curves_end_where_the_first_run_ends() -> None:
    (game, group, grid, lines) = next(compare(GOOD).curves("frames"))
    assert (game, group, len(lines)) == ("pong", "good & <b>", 5)
    assert (grid[0], grid[-1]) == (1_000, 50_000)
    assert [line[0] for line in lines] == [-21.0] * 5
    assert lines[0][-1] == 10.0


def test_games_without_a_scale_are_compared_in_points_and_one_at_a_time() -> None:
    own = score("good", 0, 3.0, "my_game")
    found = compare([own])
    assert found.unit == "points"
    assert "optimality_gap" not in found.groups[0].aggregates
    with pytest.raises(UsageError, match="my_game has no scores"):
        compare([own, *GOOD])
    both = compare([*GOOD, score("good & <b>", 0, 200.0, "breakout")])
    assert both.cells()[0][2:4] == ["breakout", "pong"]


def test_other_rules_are_refused() -> None:
    with pytest.raises(UsageError, match="different rules"):
        compare([GOOD[0], replace(GOOD[1], protocol="others")])


def test_tables() -> None:
    found = compare([*GOOD, *BAD])
    assert found.table().splitlines()[2].startswith("| good & <b> | 5 | 12.0 ± 0.7 | 0.93 [")
    latex = found.table("latex")
    assert r"good \& <b> & 5 & 12.0 $\pm$ 0.7" in latex
    assert r"bad\_one" in latex
    assert found.table("csv").splitlines()[0].startswith("method,runs,pong,IQM,median,mean,")
    assert json.loads(found.table("json"))["groups"][0]["runs"] == 5
    with pytest.raises(UsageError, match="no format 'word'"):
        found.table("word")


def test_a_page_and_pictures(tmp_path: Path) -> None:
    runs = [*GOOD, *(score("bad_one", 0, 5.0, game) for game in ("breakout", "freeway", "asterix"))]
    found = compare(runs)
    page = found.report(tmp_path / "c.html").read_bytes()
    assert is_report(page)
    assert b"good &amp; &lt;b&gt;" in page
    assert b"<b>" not in page
    for suffix in ("svg", "png", "pdf"):
        assert found.report(tmp_path / f"c.{suffix}").stat().st_size > 1_000
    with pytest.raises(UsageError, match="does not end in"):
        found.report(tmp_path / "c.gif")


def test_names_are_no_formulas_and_no_latex_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which a matplotlibrc in the folder of a clone may ask for."""
    monkeypatch.setitem(rcParams, "text.usetex", True)
    monkeypatch.setitem(rcParams, "text.parse_math", True)
    found = compare([score(r"$\frac{$", seed, float(seed)) for seed in range(2)])
    assert r"$\frac{$" in found.report(tmp_path / "c.html").read_text("utf-8")
    assert found.report(tmp_path / "c.png").stat().st_size > 1_000


def test_names(tmp_path: Path) -> None:
    assert group_of(RunRef("pong", seed_name("first", 3))) == "first"
    assert group_of(RunRef("pong", "first")) == "first"
    with pytest.raises(StoreError):
        gco_agent.compare(repo=tmp_path)


def test_runs_need_a_score_on_report_seeds(written: Path) -> None:
    with pytest.raises(UsageError, match="-n 0 --report-episodes 30"):
        gco_agent.compare(repo=written)
    with pytest.raises(NotARun, match="no run 'nothing'"):
        gco_agent.compare(["nothing"], repo=written)
