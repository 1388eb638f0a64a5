"""Run as a script, this prints the tables of docs/method.md (takes about two minutes)."""

from __future__ import annotations

import functools
import itertools
import math
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import stdtr

from gco_agent.core.statistics import (
    ALPHA,
    CHEAP_INTERIM_ANALYSES,
    CLEAR_INTERIM_ANALYSES,
    INTERIM_ANALYSES,
    NO_WORSE_ALPHA,
    NO_WORSE_INTERIM_ANALYSES,
    RARE_LOSS_ALPHA,
    Aim,
    Gain,
    Verdict,
    confidence_interval,
    half_width,
    judge_no_worse,
    judge_race,
    judge_survivor,
    loss_margin,
    overwhelming_p,
    paired_gain,
    rare_loss_p,
    sign_flip_p,
    visible_gain,
)

ROOT = Path(__file__).parents[2]
Returns = npt.NDArray[np.float64]

RECORDED = {  # the policies in policies/, report seeds 0 to 39, episodes cut at 4,500 steps
    "Space Invaders": """745 390 530 545 550 680 890 470 620 530 305 665 575 585 490 380 345 560 505
        570 580 755 270 1160 415 610 460 1190 970 880 605 600 490 1205 325 545 500 575 685 575""",
    "Breakout": """334 99 153 295 248 78 65 290 129 352 212 359 337 114 104 116 112 417 108 237 286
        182 135 91 310 207 261 146 145 330 367 337 78 357 148 321 186 269 197 282""",
    "Pong": """2 13 4 0 7 5 9 7 10 5 4 10 5 3 10 7 5 8 4 3 9 9 7 13 8 8 4 1 9 3 6 3 6 3 5 7 2 7 8
        5""",
}


# Single numbers


def test_paired_gain_by_hand() -> None:
    # differences 1, 2, 3: mean 2, error 1/sqrt(3); one sign pattern of eight is as extreme
    gain = paired_gain([2, 4, 6], [1, 2, 3])
    assert (gain.mean, gain.n_pairs, gain.p_value) == (2, 3, 1 / 8)
    assert gain.standard_error == pytest.approx(1 / math.sqrt(3))
    assert gain.z == pytest.approx(2 * math.sqrt(3))


def test_paired_gain_of_one_pair() -> None:
    gain = paired_gain([5], [3])
    assert (gain.standard_error, gain.z, gain.lower_bound) == (None, 0, -math.inf)
    assert gain.p_value == 0.5
    assert gain.n_more_pairs is None


def test_rounding_is_no_evidence() -> None:
    gain = paired_gain([0.1 + 0.2, 0.3, 0.3, 0.3], [0.0, 0.0, 0.0, 0.0])
    assert (gain.standard_error, gain.z) == (0.0, math.inf)
    assert gain.p_value == 1 / 16


def test_paired_gain_refuses_what_is_not_paired() -> None:
    with pytest.raises(ValueError, match="shorter"):
        paired_gain([1, 2], [1])
    with pytest.raises(ValueError, match="no pairs"):
        paired_gain([], [])


@pytest.mark.parametrize(
    ("differences", "p_value"),
    [
        ([1, 1, 1, 1], 1 / 16),
        ([1, 2, -4], 5 / 8),
        ([0, 0, 0], 1),
        ([0, 0, 3], 1 / 2),  # ties decide nothing
        ([-1, -2], 1),
    ],
)
def test_sign_flips_by_hand(differences: list[float], p_value: float) -> None:
    assert sign_flip_p(differences) == p_value


def test_drawn_sign_flips_are_close_to_all_of_them() -> None:
    # 20 differences of 1 and -1: the sum is binomial, P(15 or more of 20) = 0.0207
    differences = [1.0] * 15 + [-1.0] * 5
    assert sign_flip_p(differences) == pytest.approx(0.0207, abs=0.004)
    assert sign_flip_p(differences) == sign_flip_p(differences)
    assert sign_flip_p([1.0] * 64) == pytest.approx(1 / 20_000)
    assert sign_flip_p([1.0, -1.0] * 1000) == pytest.approx(0.5, abs=0.05)


def test_the_bound_of_an_overwhelming_gain_by_hand() -> None:
    assert overwhelming_p([9, 12, 9, 99]) == pytest.approx(1e-4)
    assert overwhelming_p([9, 9, 9, -0.1]) == 1


def test_bets_by_hand() -> None:
    wealth = 0.1 * 1.25**2 + 0.15 * 1.5**2 + 0.25 * 1.9**2 + 0.5 * 2**2
    assert rare_loss_p([1, 1]) == pytest.approx(1 / wealth)
    assert rare_loss_p([-1, -1, 0]) == 1
    assert rare_loss_p([1e200, 1e200]) == 0


def test_a_clear_gain_is_raced_on_until_rare_losses_are_ruled_out() -> None:
    """30.8 against 28.5 in a race of Freeway, behind on no seed."""
    child, parent = [31.0, 30.0, 31.0, 31.0] * 32, [29.0, 28.0, 28.0, 29.0] * 32
    verdicts = {n: judge_race(paired_gain(child[:n], parent[:n], low=0)) for n in (48, 64, 96)}
    assert verdicts == {48: Verdict.UNDECIDED, 64: Verdict.UNDECIDED, 96: Verdict.BETTER}
    gain = paired_gain(child[:64], parent[:64], low=0)
    assert judge_race(replace(gain, p_value=0.01)) is Verdict.INCONCLUSIVE


def test_what_may_be_lost_is_the_way_down_from_the_best_of_the_parent() -> None:
    child, parent = [13.0] * 16, [11.0, 12.0] * 8
    by_floor = [paired_gain(child, parent, low=low).rare_loss_p for low in (-21, 0, 10)]
    assert by_floor == sorted(by_floor, reverse=True)
    assert paired_gain(child, parent).rare_loss_p == by_floor[1]
    # of a parent that scores 0, and a game of which nothing is known, more than of one without loss
    assert paired_gain([1.0] * 10, [0.0] * 10).rare_loss_p > 0.2
    assert paired_gain([1.0] * 10, [0.0] * 10, low=0).rare_loss_p < 0.01


def test_lower_bound_of_a_gain() -> None:
    # Student's t at 0.9 with 2 degrees: 1.885618
    assert Gain(2, 1 / math.sqrt(3), 3, 0.04).lower_bound == pytest.approx(2 - 1.885618 / 3**0.5)
    assert half_width(1.0, 3, 0.8) == pytest.approx(1.885618, abs=1e-6)


@pytest.mark.parametrize("n_rivals", [1, 3])
@pytest.mark.parametrize("analyses", [INTERIM_ANALYSES, CHEAP_INTERIM_ANALYSES, (4, 8)])
def test_the_analyses_share_one_error_rate(analyses: tuple[int, ...], n_rivals: int) -> None:
    spent = [Aim.BETTER.critical_p(n, n_rivals, analyses) for n in analyses]
    assert sum(spent) == pytest.approx(ALPHA / n_rivals)
    spent = [Aim.NO_WORSE.critical_p(n, n_rivals) for n in NO_WORSE_INTERIM_ANALYSES]
    assert sum(spent) == pytest.approx(NO_WORSE_ALPHA / n_rivals)


# Verdicts


@pytest.mark.parametrize(
    ("gain", "verdict"),
    [
        (Gain(5, 1, 4, 0.0019, 0.008, 9), Verdict.BETTER),
        (Gain(5, 1, 4, 0.0021, 0.008, 9), Verdict.UNDECIDED),
        (Gain(5, 1, 10, 0.0012, 0.008, 9), Verdict.BETTER),
        (Gain(5, 1, 10, 0.0013, 0.008, 9), Verdict.UNDECIDED),
        (Gain(5, 1, 10, 0.0012, 0.009, 9), Verdict.UNDECIDED),  # may be undone by rare losses
        (Gain(5, 1, 24, 0.0006, 0.008, 9), Verdict.BETTER),
        (Gain(5, 1, 24, 0.0007, 0.008, 9), Verdict.UNDECIDED),
        (Gain(-0.6, 1, 4, 0.7), Verdict.UNDECIDED),
        (Gain(-0.7, 1, 4, 0.75), Verdict.NOT_BETTER),
        (Gain(-2, 0.0, 4, 1.0), Verdict.NOT_BETTER),
        (Gain(0.0, 0.0, 4, 1.0), Verdict.UNDECIDED),
        (Gain(0.0, 0.0, 10, 1.0), Verdict.NOT_BETTER),
        (Gain(0.1, 1, 4, 0.45, 1, 999), Verdict.UNDECIDED),
        (Gain(0.1, 1, 10, 0.45, 1, 135), Verdict.UNDECIDED),
        (Gain(0.1, 1, 10, 0.45, 1, 136), Verdict.INCONCLUSIVE),  # more than 2.5 times the 54 left
        (Gain(2, 1, 64, 0.02, 0.04, 20), Verdict.INCONCLUSIVE),
        (Gain(-0.1, 1, 64, 0.6), Verdict.NOT_BETTER),
    ],
)
def test_verdicts(gain: Gain, verdict: Verdict) -> None:
    assert judge_race(gain) is verdict


def test_when_the_time_is_up_nothing_stays_undecided() -> None:
    assert judge_race(Gain(1, 1, 4, 0.2, 1, 30), ends_at=4) is Verdict.INCONCLUSIVE
    assert judge_race(Gain(-0.1, 1, 4, 0.6), ends_at=4) is Verdict.NOT_BETTER
    assert judge_race(Gain(9, 1, 10, 1e-3, 1e-3), ends_at=10) is Verdict.BETTER
    assert judge_no_worse(Gain(0, 1, 8, 0.2), 3.0, ends_at=8) is Verdict.MAYBE_WORSE
    assert judge_survivor(None, 4, ends_at=4) is Verdict.INCONCLUSIVE


def test_rivals_share_the_error_rate() -> None:
    assert judge_race(Gain(5, 1, 16, 0.001, 0.008, 5)) is Verdict.BETTER
    assert judge_race(Gain(5, 1, 16, 0.001, 0.008, 5), 2) is Verdict.UNDECIDED
    assert judge_race(Gain(5, 1, 16, 0.0001, 0.005, 5), 2) is Verdict.UNDECIDED


def test_an_overwhelming_gain_wins_after_four_pairs() -> None:
    gain = paired_gain([9_820, 17_460, 13_040, 14_084], [60, 100, 40, 88], low=0)
    assert judge_race(gain) is Verdict.BETTER
    gain = paired_gain([9_820, 17_460, 80, 14_084], [60, 100, 40, 88], low=0)
    assert judge_race(gain) is Verdict.UNDECIDED


def test_which_verdicts_win() -> None:
    won = {verdict for verdict in Verdict if verdict.is_won}
    assert won == {Verdict.BETTER, Verdict.NO_WORSE}
    assert Aim.BETTER.interim_analyses == INTERIM_ANALYSES


@pytest.mark.parametrize(
    ("gain", "n_seeds", "verdict"),
    [
        (None, 4, Verdict.UNDECIDED),  # the parent finished nothing
        (None, 10, Verdict.BETTER),
        (Gain(-400, 0.0, 3, 1.0), 4, Verdict.NOT_BETTER),
        (Gain(-0.9, 1.0, 3, 0.5), 4, Verdict.UNDECIDED),
        (Gain(9, 0.5, 4, 0.0001), 4, Verdict.UNDECIDED),
        (Gain(9, 0.5, 7, 0.02), 10, Verdict.BETTER),
        (Gain(-0.5, 1.0, 50, 0.012), 64, Verdict.BETTER),
        (Gain(-0.5, 1.0, 50, 0.013), 64, Verdict.INCONCLUSIVE),
    ],
)
def test_a_survivor_may_not_play_worse(gain: Gain | None, n_seeds: int, verdict: Verdict) -> None:
    assert judge_survivor(gain, n_seeds) is verdict


@pytest.mark.parametrize(
    ("gain", "verdict"),
    [
        (Gain(0, 1.0, 8, 0.025, 0.2), Verdict.NO_WORSE),
        (Gain(0, 1.0, 8, 0.025, 0.21), Verdict.UNDECIDED),
        (Gain(0, 2.0, 64, 0.03, 0.1), Verdict.MAYBE_WORSE),  # not shown at the end
        (Gain(-2, 2.0, 8, 0.4), Verdict.MAYBE_WORSE),
        (Gain(-1.4, 1.4, 8, 0.3), Verdict.UNDECIDED),  # a loss of less than half the margin
    ],
)
def test_verdicts_on_being_no_worse(gain: Gain, verdict: Verdict) -> None:
    assert judge_no_worse(gain, 3.0) is verdict


def test_the_margin_is_of_the_spread_or_of_the_mean() -> None:
    assert loss_margin([0, 10]) == pytest.approx(0.5 * math.sqrt(50))
    assert loss_margin([-50, -50, -50]) == 2.5
    assert loss_margin([0]) == 0


def test_who_loses_the_margin_on_every_seed_is_not_passed() -> None:
    assert paired_gain([8.0] * 8, [10.0] * 8, margin=2.0).p_value < 0.01  # all as little as 0
    assert paired_gain([7.0] * 8, [10.0] * 8, margin=2.0).p_value == 1


# Error rates and power, by simulation


@dataclass(frozen=True)
class Candidates:
    """What candidates and their parents return in a simulated race."""

    parent: Callable[[np.random.Generator, tuple[int, int]], Returns]
    child: Callable[[np.random.Generator, Returns], Returns]
    low: float | None = None


def identical(draw: Callable[[np.random.Generator, tuple[int, int]], Returns], low: float | None):
    """Candidates of which every return comes from the distribution of the parent's."""
    return Candidates(draw, lambda rng, parent: draw(rng, (len(parent), parent.shape[1])), low)


def differing(draw: Callable[[np.random.Generator, tuple[int, ...]], Returns]) -> Candidates:
    """Candidates whose return differs by a draw from a parent's that is always 10."""
    return Candidates(
        lambda _, shape: np.full(shape, 10.0), lambda rng, parent: parent + draw(rng, parent.shape)
    )


def resampled(game: str) -> Callable[[np.random.Generator, tuple[int, ...]], Returns]:
    returns = np.array(RECORDED[game].split(), dtype=float)
    return lambda rng, shape: rng.choice(returns, shape)


def rare(share: float, loss: float) -> Candidates:
    return differing(
        lambda rng, shape: (
            np.where(rng.random(shape) < share, -loss, 1.0) + rng.normal(0, 0.02, shape)
        )
    )


def all_or_little(share: float) -> Candidates:
    """Candidates that lose all there is on some seeds, and gain just as much on the others."""
    gain = 10 * share / (1 - share)
    return differing(lambda rng, shape: np.where(rng.random(shape) < share, -10.0, gain))


LOW = {"Space Invaders": 0.0, "Breakout": 0.0, "Pong": -21.0}
NO_BETTER = {
    **{f"{game}, resampled": identical(resampled(game), low) for game, low in LOW.items()},
    "normal returns": identical(lambda rng, shape: rng.normal(50, 10, shape), 0),
    "lognormal returns": identical(lambda rng, shape: rng.lognormal(0, 1, shape), 0),
    "0 to 34, most at 30": identical(lambda rng, shape: rng.binomial(34, 0.88, shape) * 1.0, 0),
    "capped at 21": identical(lambda rng, s: np.minimum(21, np.rint(rng.normal(19, 4, s))), -21),
    "10, one in ten 1,000": identical(lambda rng, s: np.where(rng.random(s) < 0.1, 1e3, 10.0), 0),
    "normal differences": differing(lambda rng, shape: rng.normal(0, 1, shape)),
    "one way or the other": rare(0.5, 1.0),
    "Student's t(3)": differing(lambda rng, shape: rng.standard_t(3, shape)),
    "Cauchy": differing(lambda rng, shape: rng.standard_cauchy(shape)),
    "four of five tied": differing(
        lambda rng, shape: rng.choice([0.0, 0, 0, 0, 0, 0, 0, 0, -3, 3], shape)
    ),
    "lognormal, skewed to losses": differing(
        lambda rng, shape: math.exp(0.5) - rng.lognormal(0, 1, shape)
    ),
    "lognormal, skewed to gains": differing(
        lambda rng, shape: rng.lognormal(0, 1, shape) - math.exp(0.5)
    ),
    "+1, one in ten -9": rare(0.1, 9.0),
    "+1, one in five -6": rare(0.2, 6.0),
    "all lost, one in fourteen": all_or_little(1 / 14),
    "all lost, one in four": all_or_little(1 / 4),
    "all lost, two in five": all_or_little(2 / 5),
}


def scaled(game: str, factor: float) -> Candidates:
    draw = resampled(game)
    return Candidates(draw, lambda rng, parent: factor * draw(rng, parent.shape), LOW[game])


def shifted(game: str, points: float) -> Candidates:
    draw = resampled(game)
    return Candidates(
        draw, lambda rng, parent: np.minimum(21, draw(rng, parent.shape) + points), LOW[game]
    )


BETTER = {
    "Space Invaders + 5 %": scaled("Space Invaders", 1.05),
    "Space Invaders + 20 %": scaled("Space Invaders", 1.2),
    "Space Invaders + 50 %": scaled("Space Invaders", 1.5),
    "Space Invaders + 100 %": scaled("Space Invaders", 2),
    "Space Invaders x 3.5": scaled("Space Invaders", 3.5),
    "Breakout + 20 %": scaled("Breakout", 1.2),
    "Breakout + 50 %": scaled("Breakout", 1.5),
    "Breakout + 100 %": scaled("Breakout", 2),
    "Breakout x 20": scaled("Breakout", 20),
    "Pong, 2 points": shifted("Pong", 2),
    "Pong, 4 points": shifted("Pong", 4),
    "Pong, 8 points": shifted("Pong", 8),
    "normal, 0.8 deviations": differing(lambda rng, shape: rng.normal(0.8, 1, shape)),
    "72 to 13,601": Candidates(
        lambda rng, shape: 20.0 * rng.poisson(3.6, shape),
        lambda rng, parent: rng.lognormal(math.log(12_000), 0.5, parent.shape),
        0,
    ),
    "30 to 31.5, steadily": Candidates(
        lambda rng, shape: np.rint(rng.normal(30, 1, shape)),
        lambda rng, parent: np.rint(rng.normal(31.5, 1, parent.shape)),
        0,
    ),
}


@dataclass(frozen=True)
class Rates:
    """Shares of races, and pairs played; ``in_runs`` are runs of 15 with a candidate accepted."""

    better: float
    not_better: float
    n_pairs: float
    in_runs: float


N_ITERATIONS = 15


def rates(better: list[bool], not_better: list[bool], n_pairs: list[int]) -> Rates:
    runs = np.array(better).reshape(-1, N_ITERATIONS)
    return Rates(
        *map(float, (np.mean(better), np.mean(not_better), np.mean(n_pairs), runs.any(1).mean()))
    )


def generator(kind: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(kind.encode()))


def race_by_t_test(kind: str, candidates: Candidates, n_races: int) -> Rates:
    """The former rule: Student's t after 4 to 16 pairs, a run's races all on the same 16 seeds."""
    rng = generator(kind)
    parent = np.repeat(candidates.parent(rng, (n_races // N_ITERATIONS, 16)), N_ITERATIONS, axis=0)
    differences = candidates.child(rng, parent) - parent
    better, worse = np.zeros(n_races, dtype=bool), np.zeros(n_races, dtype=bool)
    n_pairs = np.zeros(n_races, dtype=int)
    for look, critical_p in {4: 0.0, 8: 0.01, 12: 0.03, 16: 0.06}.items():
        live, drawn = ~(better | worse), differences[:, :look]
        n_pairs[live] = look
        mean, error = drawn.mean(1), drawn.std(1, ddof=1) / math.sqrt(look)
        with np.errstate(divide="ignore", invalid="ignore"):
            p_value = np.where(error > 0, stdtr(look - 1, -mean / error), np.where(mean > 0, 0, 1))
        better |= live & (p_value <= critical_p)
        worse |= live & ~better & ((p_value >= 0.8) | ((mean <= 0) & (look >= 8)))
    return rates(better.tolist(), worse.tolist(), n_pairs.tolist())


@functools.cache
def race(kind: str, candidates: Candidates, n_races: int) -> Rates:
    """The rule in force; every race has seeds of its own."""
    rng = generator(kind)
    parents = candidates.parent(rng, (n_races, CLEAR_INTERIM_ANALYSES[-1]))
    children = candidates.child(rng, parents)
    better, worse, n_pairs = [], [], []
    for child, parent in zip(children.tolist(), parents.tolist(), strict=True):
        verdict, n = Verdict.UNDECIDED, 0
        for n in (*INTERIM_ANALYSES, *CLEAR_INTERIM_ANALYSES):
            verdict = judge_race(paired_gain(child[:n], parent[:n], low=candidates.low))
            if verdict is not Verdict.UNDECIDED:
                break
        better.append(verdict is Verdict.BETTER)
        worse.append(verdict is Verdict.NOT_BETTER)
        n_pairs.append(n)
    return rates(better, worse, n_pairs)


def percent(share: float) -> str:
    return f"{100 * share:.0f} %" if round(share, 3) >= 0.0995 else f"{100 * share:.1f} %"


def null_row(kind: str, n_races: int) -> list[str]:
    former = race_by_t_test(kind, NO_BETTER[kind], n_races)
    now = race(kind, NO_BETTER[kind], n_races)
    shares = (former.better, now.better, former.in_runs, now.in_runs)
    return [*map(percent, shares), f"{former.n_pairs:.1f}", f"{now.n_pairs:.1f}"]


def power_row(kind: str, n_races: int) -> list[str]:
    former = race_by_t_test(kind, BETTER[kind], n_races)
    now = race(kind, BETTER[kind], n_races)
    shares = (former.better, now.better, now.not_better)
    return [*map(percent, shares), f"{former.n_pairs:.1f}", f"{now.n_pairs:.1f}"]


@functools.cache
def written_rows() -> dict[str, list[str]]:
    """The rows of the tables in docs/method.md, by their first cell."""
    lines = (ROOT / "docs/method.md").read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "|" in line]
    return {row[0]: row[1:] for row in cells}


N_RACES = 300


@pytest.mark.parametrize("kind", NO_BETTER)
def test_a_candidate_that_is_no_better_is_rarely_accepted(kind: str) -> None:
    found = race(kind, NO_BETTER[kind], N_RACES)
    assert found.better <= ALPHA + 3 * math.sqrt(ALPHA / N_RACES)
    written = written_rows()[kind]
    assert float(written[1].split()[0]) / 100 <= ALPHA
    assert float(written[3].split()[0]) / 100 <= 0.12
    assert found.n_pairs == pytest.approx(float(written[5]), abs=4)
    former = race_by_t_test(kind, NO_BETTER[kind], 3000)
    assert former.better == pytest.approx(float(written[0].split()[0]) / 100, abs=0.05)


def test_at_most_one_run_in_ten_accepts_a_candidate_that_is_no_better() -> None:
    found = [race(kind, candidates, N_RACES) for kind, candidates in NO_BETTER.items()]
    assert np.mean([rate.in_runs for rate in found]) <= 0.1
    assert np.mean([rate.better for rate in found]) <= ALPHA
    former = [race_by_t_test(kind, candidates, 3000) for kind, candidates in NO_BETTER.items()]
    assert np.mean([rate.in_runs for rate in former]) >= 0.4


@pytest.mark.parametrize("kind", BETTER)
def test_gains_are_found_as_often_as_is_written(kind: str) -> None:
    found, written = race(kind, BETTER[kind], N_RACES), written_rows()[kind]
    shares = [float(cell.split()[0]) / 100 for cell in written[:3]]
    assert found.better == pytest.approx(shares[1], abs=0.12)
    assert found.not_better == pytest.approx(shares[2], abs=0.12)
    assert found.n_pairs == pytest.approx(float(written[4]), abs=5)


def test_a_gain_that_is_overwhelming_takes_four_pairs() -> None:
    found = race("72 to 13,601", BETTER["72 to 13,601"], N_RACES)
    assert found.better == 1
    assert found.n_pairs < 4.5


@pytest.mark.parametrize("game", RECORDED)
def test_pairs_to_go_are_enough_four_times_in_five(game: str) -> None:
    rng = np.random.default_rng(8)
    draw = resampled(game)
    child, parent = 1.4 * draw(rng, (2000,)), draw(rng, (2000,))
    n = _enough(child, parent, LOW[game])
    won = 0
    for _ in range(300):
        gain = paired_gain(
            (1.4 * draw(rng, (n,))).tolist(), draw(rng, (n,)).tolist(), low=LOW[game]
        )
        won += gain.p_value <= ALPHA / len(INTERIM_ANALYSES) and gain.rare_loss_p <= RARE_LOSS_ALPHA
    assert 0.65 <= won / 300 <= 0.97


@pytest.mark.parametrize(("n", "n_clear"), [(64, 64), (16, 32)])
@pytest.mark.parametrize("game", RECORDED)
def test_a_visible_gain_is_found_four_times_in_five(game: str, n: int, n_clear: int) -> None:
    rng, draw, low = np.random.default_rng(5), resampled(game), LOW[game]
    returns = [float(word) for word in RECORDED[game].split()]
    gain = visible_gain(returns, n_clear, low=low)
    assert gain is not None
    won = 0
    for _ in range(150):
        parent = draw(rng, (n_clear,))
        child = draw(rng, (n_clear,)) + gain
        won += _limited_race(child, parent, low, n) is Verdict.BETTER
    assert 0.7 <= won / 150 <= 1
    half = visible_gain([r / 2 for r in returns], n_clear, low=low / 2)
    assert half == pytest.approx(gain / 2, rel=0.02)


def _limited_race(child: Returns, parent: Returns, low: float, most: int) -> Verdict:
    """Race as the judge does that goes on past ``most`` pairs only where a gain is clear."""
    for n, later in itertools.pairwise((*INTERIM_ANALYSES, *CLEAR_INTERIM_ANALYSES, 1_000)):
        gain = paired_gain(child[:n].tolist(), parent[:n].tolist(), low=low)
        is_clear = gain.p_value <= Aim.BETTER.critical_p(n)
        is_last = later > (len(child) if is_clear else most)
        verdict = judge_race(gain, ends_at=n if is_last else None)
        if verdict is not Verdict.UNDECIDED:
            return verdict
    raise AssertionError("the last analysis decides")


def test_no_gain_is_visible_where_returns_do_not_vary() -> None:
    assert visible_gain([21.0] * 8, 64, low=-21) is None
    assert visible_gain([5.0], 64, low=0) is None


def _enough(child: Returns, parent: Returns, low: float) -> int:
    """Pairs that are planned for the effect of a large sample."""
    samples = [
        paired_gain(child[i : i + 40].tolist(), parent[i : i + 40].tolist(), low=low)
        for i in range(0, 2000, 40)
    ]
    return int(np.median([40 + (s.n_more_pairs if s.n_more_pairs else 0) for s in samples]))


# Whether a simpler candidate is no worse


def no_worse(child: Returns, parent: Returns, low: float | None) -> bool:
    margin = loss_margin(parent[: NO_WORSE_INTERIM_ANALYSES[0]].tolist())
    for n in NO_WORSE_INTERIM_ANALYSES:
        gain = paired_gain(child[:n].tolist(), parent[:n].tolist(), low=low, margin=margin)
        verdict = judge_no_worse(gain, margin)
        if verdict is not Verdict.UNDECIDED:
            return verdict is Verdict.NO_WORSE
    raise AssertionError("the last analysis decides")


@pytest.mark.parametrize("is_rare", [False, True])
@pytest.mark.parametrize("game", RECORDED)
def test_a_candidate_that_loses_the_margin_is_rarely_passed(game: str, *, is_rare: bool) -> None:
    rng = np.random.default_rng(4)
    n_races, n, draw, low = 300, NO_WORSE_INTERIM_ANALYSES[-1], resampled(game), LOW[game]
    parent = draw(rng, (n_races, n))
    margin = loss_margin(parent.ravel().tolist())
    if is_rare:  # plays the same, but for some seeds on which it scores nothing
        share = margin / (parent.mean() - low)
        child = np.where(rng.random(parent.shape) < share, low, parent)
    else:
        child = draw(rng, parent.shape) - margin
    passed = sum(no_worse(*pair, low) for pair in zip(child, parent, strict=True))
    assert passed / n_races <= NO_WORSE_ALPHA


@pytest.mark.parametrize(("game", "share"), [("Space Invaders", 0.85), ("Breakout", 0.95)])
def test_a_candidate_that_plays_the_same_passes(game: str, share: float) -> None:
    parent = resampled(game)(np.random.default_rng(5), (200, NO_WORSE_INTERIM_ANALYSES[-1]))
    passed = sum(no_worse(returns, returns, LOW[game]) for returns in parent)
    assert passed / len(parent) >= share


@pytest.mark.parametrize(("loss", "least", "most"), [(1.0, 0.0, NO_WORSE_ALPHA), (0.0, 0.45, 1.0)])
def test_a_survivor_that_loses_the_margin_is_rarely_accepted(
    loss: float, least: float, most: float
) -> None:
    rng = np.random.default_rng(9)
    n_races, won = 300, 0
    for _ in range(n_races):
        child, parent = resampled("Breakout")(rng, (2, INTERIM_ANALYSES[-1]))
        child, fails = child - loss * loss_margin(parent.tolist()), rng.random(len(parent)) < 0.2
        for n in INTERIM_ANALYSES:
            kept = np.flatnonzero(~fails[:n])
            mine, theirs = child[kept].tolist(), parent[kept].tolist()
            gain = paired_gain(mine, theirs, low=0, margin=loss_margin(theirs)) if theirs else None
            verdict = judge_survivor(gain, n)
            if verdict is not Verdict.UNDECIDED:
                break
        won += verdict is Verdict.BETTER
    assert least <= won / n_races <= most


# Intervals


def test_interval_of_a_few_values() -> None:
    assert confidence_interval([]) is None
    assert confidence_interval([1, 2, 3, 4]) is None
    assert confidence_interval([21.0] * 5) == (21.0, 21.0)
    assert confidence_interval([0.1 + 0.2, 0.3, 0.3, 0.3, 0.3]) == pytest.approx((0.3, 0.3))
    low, high = confidence_interval([1, 2, 3, 4, 5]) or (0, 0)
    assert 1 < low < 3 < high < 5
    assert confidence_interval([1, 2, 3, 4, 5]) == (low, high)


def test_interval_of_very_many_values_takes_no_memory() -> None:
    rng = np.random.default_rng(0)
    some = rng.exponential(size=1_000).tolist()
    low, high = confidence_interval(some) or (0, 0)
    assert confidence_interval([*some, 1.0]) == pytest.approx((low, high), abs=0.01)
    low, high = confidence_interval(rng.exponential(size=100_000).tolist()) or (0, 0)
    assert 0.01 < high - low < 0.015
    assert low < 1 < high


def test_interval_stays_within_what_was_seen() -> None:
    low, high = confidence_interval([20.0] * 8 + [21.0, -10.0]) or (99, 99)
    assert -10 <= low < 10
    assert high <= 21


@pytest.mark.parametrize(("n", "least"), [(10, 0.85), (30, 0.90)])
@pytest.mark.parametrize("kind", ["Space Invaders", "Breakout", "Pong"])
def test_the_interval_mostly_covers_the_mean(kind: str, n: int, least: float) -> None:
    draw, rng = resampled(kind), np.random.default_rng(3)
    mean = np.mean(np.array(RECORDED[kind].split(), dtype=float))
    covered = 0
    for _ in range(200):
        low, high = confidence_interval(draw(rng, (n,)).tolist()) or (0, 0)
        covered += low <= mean <= high
    assert covered / 200 >= least


def print_tables(n_races: int = 4_500) -> None:
    """Print the tables of docs/method.md."""
    for rows, row in ((NO_BETTER, null_row), (BETTER, power_row)):
        for kind in rows:
            cells = row(kind, n_races if rows is NO_BETTER else n_races // 3)
            sys.stdout.write(f"| {' | '.join([kind, *cells])} |\n")


if __name__ == "__main__":
    print_tables()
