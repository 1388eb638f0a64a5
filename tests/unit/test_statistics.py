from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from gco_agent.core.statistics import (
    ALPHA,
    LOOKS,
    Aim,
    Gain,
    Verdict,
    confidence_interval,
    judge_no_worse,
    judge_race,
    judge_survivor,
    loss_margin,
    no_worse_p_value,
    paired_gain,
)

ROOT = Path(__file__).parents[2]


def test_confidence_interval_by_hand() -> None:
    # mean 3, deviation sqrt(2.5), error sqrt(0.5); Student's t for 4 degrees: 2.776445
    low, high = confidence_interval([1, 2, 3, 4, 5]) or (0, 0)
    assert low == pytest.approx(3 - 2.776445 * math.sqrt(0.5), abs=1e-6)
    assert high == pytest.approx(3 + 2.776445 * math.sqrt(0.5), abs=1e-6)
    assert confidence_interval([4.0]) is None
    assert confidence_interval([2.0, 2.0]) == (2.0, 2.0)


def test_paired_gain_by_hand() -> None:
    # differences 1, 2, 3: mean 2, error 1/sqrt(3), t = 3.4641 with 2 degrees: p = 0.0371
    gain = paired_gain([2, 4, 6], [1, 2, 3])
    assert (gain.mean, gain.n_pairs) == (2, 3)
    assert gain.standard_error == pytest.approx(1 / math.sqrt(3))
    assert gain.p_value == pytest.approx(0.0370899, abs=1e-6)


@pytest.mark.parametrize(
    ("child", "parent", "expected"),
    [
        ([5], [3], Gain(2, None, 1, 0.5)),
        ([3, 4, 5, 6], [2, 3, 4, 5], Gain(1, 0.0, 4, 0.0625)),
        ([2, 3], [2, 3], Gain(0, 0.0, 2, 1.0)),
        ([1, 2], [2, 3], Gain(-1, 0.0, 2, 1.0)),
    ],
)
def test_paired_gain_without_spread(child: list[float], parent: list[float], expected: Gain):
    assert paired_gain(child, parent) == expected


def test_rounding_is_no_evidence() -> None:
    gain = paired_gain([0.1 + 0.2, 0.3, 0.3, 0.3], [0.0, 0.0, 0.0, 0.0])
    assert gain.p_value == 0.0625


def test_paired_gain_refuses_what_is_not_paired() -> None:
    with pytest.raises(ValueError, match="shorter"):
        paired_gain([1, 2], [1])
    with pytest.raises(ValueError, match="no pairs"):
        paired_gain([], [])


@pytest.mark.parametrize(
    ("gain", "verdict"),
    [
        (Gain(5, 1, 4, 1e-9), Verdict.UNDECIDED),
        (Gain(5, 1, 8, 0.0099), Verdict.BETTER),
        (Gain(5, 1, 8, 0.0101), Verdict.UNDECIDED),
        (Gain(5, 1, 12, 0.0299), Verdict.BETTER),
        (Gain(5, 1, 12, 0.0301), Verdict.UNDECIDED),
        (Gain(-1, 1, 4, 0.79), Verdict.UNDECIDED),
        (Gain(-1, 1, 4, 0.80), Verdict.NOT_BETTER),
        (Gain(-0.1, 1, 8, 0.55), Verdict.NOT_BETTER),
        (Gain(0.1, 1, 8, 0.45), Verdict.UNDECIDED),
        (Gain(0.1, 1, 16, 0.45), Verdict.NOT_BETTER),
        (Gain(5, 1, 16, 0.0599), Verdict.BETTER),
        (Gain(5, 1, 16, 0.0601), Verdict.NOT_BETTER),
        (Gain(0.0, 0.0, 4, 1.0), Verdict.NOT_BETTER),
    ],
)
def test_verdicts(gain: Gain, verdict: Verdict) -> None:
    assert judge_race(gain) is verdict


def test_the_looks_share_one_chance_of_a_mistake() -> None:
    for aim in Aim:
        assert sum(aim.asked(look) for look in aim.looks) == pytest.approx(ALPHA)
        assert sum(aim.asked(look, ALPHA / 3) for look in aim.looks) == pytest.approx(ALPHA / 3)
    assert judge_race(Gain(5, 1, 8, 0.004), ALPHA / 3) is Verdict.UNDECIDED
    assert judge_no_worse(Gain(0, 1.0, 8, 0.5), 3.0, ALPHA / 4) is Verdict.UNDECIDED  # p = 0.0102


def test_the_lower_bound_of_a_gain() -> None:
    # Student's t at 0.9 with 2 degrees: 1.885618
    assert Gain(2, 1 / math.sqrt(3), 3, 0.04).lower_bound == pytest.approx(2 - 1.885618 / 3**0.5)
    assert Gain(2, None, 1, 0.5).lower_bound == -math.inf


@pytest.mark.parametrize(
    ("gain", "n_seeds", "verdict"),
    [
        (None, 4, Verdict.UNDECIDED),  # the parent finished nothing
        (None, 8, Verdict.BETTER),
        (Gain(-400, 0.0, 3, 1.0), 4, Verdict.NOT_BETTER),
        (Gain(-1, 1.0, 3, 0.79), 4, Verdict.UNDECIDED),
        (Gain(-1, 1.0, 3, 0.81), 4, Verdict.NOT_BETTER),
        (Gain(9, 0.5, 7, 0.0001), 4, Verdict.UNDECIDED),
        (Gain(9, 0.5, 7, 0.0001), 8, Verdict.BETTER),
        (Gain(-0.5, 1.0, 15, 0.69), 16, Verdict.BETTER),
        (Gain(-3.1, 4.0, 15, 0.78), 16, Verdict.NOT_BETTER),  # by more than the margin
        (Gain(-3.1, None, 1, 0.5), 16, Verdict.NOT_BETTER),
    ],
)
def test_a_survivor_may_not_play_worse(gain: Gain | None, n_seeds: int, verdict: Verdict) -> None:
    assert judge_survivor(gain, 3.0, n_seeds, Aim.BETTER.asked(n_seeds)) is verdict


Returns = npt.NDArray[np.float64]


def accepted(child: Returns, parent: Returns) -> bool:
    for look in LOOKS:
        verdict = judge_race(paired_gain(child[:look].tolist(), parent[:look].tolist()))
        if verdict is not Verdict.UNDECIDED:
            return verdict is Verdict.BETTER
    raise AssertionError("the last look decides")


def returns(rng: np.random.Generator, kind: str, n: int) -> Returns:
    if kind == "normal":
        return rng.normal(0, 10, n)
    if kind == "whole points":
        return rng.binomial(21, 0.4, n).astype(float)
    return 10.0 * rng.geometric(0.05, n)  # a long tail, as of most games


@pytest.mark.parametrize("kind", ["normal", "whole points", "long tail"])
def test_a_child_that_is_no_better_is_rarely_accepted(kind: str) -> None:
    rng = np.random.default_rng(1)
    n_races, n = 3000, LOOKS[-1]
    wrong = sum(accepted(returns(rng, kind, n), returns(rng, kind, n)) for _ in range(n_races))
    assert wrong / n_races <= ALPHA
    assert wrong > 0


def draw(rng: np.random.Generator, kind: str, n: int) -> Returns:
    """Differences of returns, child minus parent."""
    if kind.startswith("normal"):
        return rng.normal(0.8 if "better" in kind else 0.0, 1, n)
    if kind == "lognormal, skewed to losses":
        return math.exp(0.5) - rng.lognormal(0, 1, n)
    share, loss = _LOSSES[kind]
    drawn: Returns = np.where(rng.random(n) < share, -loss, 1.0) + rng.normal(0, 0.02, n)
    return drawn


_LOSSES = {
    "one way or the other": (0.5, 1.0),
    "+1, one in ten -9": (0.1, 9.0),
    "+1, one in five -6": (0.2, 6.0),
}
SHAPES = {  # kind: accepted, pairs played
    "normal": (0.06, 10.4),
    "normal, 0.8 deviations better": (0.93, 11.6),
    "one way or the other": (0.06, 10.3),
    "lognormal, skewed to losses": (0.28, 10.8),
    "+1, one in ten -9": (0.42, 7.8),
    "+1, one in five -6": (0.17, 9.2),
}
"""Of 2,000 races each, seed 6: the table of docs/method.md, which is made of this."""


def measure(kind: str, n_races: int = 2000) -> tuple[float, float]:
    rng = np.random.default_rng(6)
    n_accepted, n_pairs = 0, 0
    for _ in range(n_races):
        differences, look = draw(rng, kind, LOOKS[-1]).tolist(), 0
        for look in LOOKS:
            verdict = judge_race(paired_gain(differences[:look], [0.0] * look))
            if verdict is not Verdict.UNDECIDED:
                break
        n_accepted += verdict is Verdict.BETTER
        n_pairs += look
    return n_accepted / n_races, n_pairs / n_races


@pytest.mark.parametrize("kind", SHAPES)
def test_how_often_a_child_is_accepted_by_the_shape_of_the_differences(kind: str) -> None:
    accepted, pairs = measure(kind)
    assert (round(accepted, 2), round(pairs, 1)) == SHAPES[kind]
    if kind == "normal":
        assert accepted <= ALPHA
    if "better" in kind:
        assert accepted >= 0.88
    written = f"| {kind} | {100 * SHAPES[kind][0]:.0f} % | {SHAPES[kind][1]} |"
    assert written in (ROOT / "docs/method.md").read_text()


def test_a_clear_gain_is_mostly_found() -> None:
    rng = np.random.default_rng(2)
    n_races, n = 1000, LOOKS[-1]
    found = sum(
        accepted(returns(rng, "normal", n) + 20, returns(rng, "normal", n)) for _ in range(n_races)
    )
    assert found / n_races >= 0.95


def test_the_interval_covers_the_mean_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    n_hits = 0
    for _ in range(2000):
        low, high = confidence_interval(rng.normal(7, 3, 8).tolist()) or (0, 0)
        n_hits += low <= 7 <= high
    assert 0.935 <= n_hits / 2000 <= 0.965


# Whether a simpler child is no worse


def no_worse(child: Returns, parent: Returns) -> bool:
    looks = Aim.NO_WORSE.looks
    margin = loss_margin(parent[: looks[0]].tolist())
    for look in looks:
        gain = paired_gain(child[:look].tolist(), parent[:look].tolist())
        verdict = judge_no_worse(gain, margin)
        if verdict is not Verdict.UNDECIDED:
            return verdict is Verdict.NO_WORSE
    raise AssertionError("the last look decides")


def test_the_margin_is_of_the_spread_or_of_the_mean() -> None:
    assert loss_margin([0, 10]) == pytest.approx(0.5 * math.sqrt(50))
    assert loss_margin([-50, -50, -50]) == 1
    assert loss_margin([0]) == 0


@pytest.mark.parametrize(
    ("gain", "margin", "expected"),
    [
        (Gain(0, 0.0, 8, 1.0), 0.0, 0.5**8),  # acts the same
        (Gain(-1, 0.0, 8, 1.0), 2.0, 0.5**8),
        (Gain(-2, 0.0, 8, 1.0), 2.0, 1.0),
        (Gain(5, None, 1, 0.5), 2.0, 0.5),
        (Gain(0, 1.0, 9, 0.5), 1.0, 0.173297),
        (Gain(-1, 1.0, 9, 0.83), 1.0, 0.5),
    ],
)
def test_the_chance_of_a_gain_like_this_after_a_loss(gain: Gain, margin: float, expected: float):
    assert no_worse_p_value(gain, margin) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("gain", "verdict"),
    [
        (Gain(0, 0.0, 8, 1.0), Verdict.NO_WORSE),
        (Gain(0, 1.0, 8, 0.5), Verdict.NO_WORSE),  # p = 0.0102
        (Gain(0, 2.0, 8, 0.5), Verdict.UNDECIDED),
        (Gain(0, 2.0, 32, 0.5), Verdict.MAYBE_WORSE),  # not shown at the last look
        (Gain(-2, 2.0, 8, 0.83), Verdict.MAYBE_WORSE),
        (Gain(-1.4, 1.5, 8, 0.81), Verdict.UNDECIDED),  # a loss of less than half the margin
    ],
)
def test_verdicts_on_being_no_worse(gain: Gain, verdict: Verdict) -> None:
    assert judge_no_worse(gain, 3.0) is verdict


def test_which_verdicts_win() -> None:
    won = {verdict for verdict in Verdict if verdict.is_won}
    assert won == {Verdict.BETTER, Verdict.NO_WORSE}
    assert Aim.BETTER.looks == LOOKS


@pytest.mark.parametrize("kind", ["normal", "whole points", "long tail"])
def test_a_child_that_loses_the_margin_is_rarely_passed(kind: str) -> None:
    rng = np.random.default_rng(4)
    n_races, n = 2000, Aim.NO_WORSE.looks[-1]
    wrong = 0
    for _ in range(n_races):
        parent = returns(rng, kind, n)
        loss = loss_margin(parent[: Aim.NO_WORSE.looks[0]].tolist())
        wrong += no_worse(returns(rng, kind, n) - loss, parent)
    assert 0 < wrong / n_races <= ALPHA


def test_a_child_that_acts_almost_the_same_passes() -> None:
    rng = np.random.default_rng(5)
    n_races, n = 500, Aim.NO_WORSE.looks[-1]
    passed = 0
    for _ in range(n_races):
        parent = returns(rng, "normal", n)
        passed += no_worse(parent + rng.normal(0, 3, n), parent)
    assert passed / n_races >= 0.95
