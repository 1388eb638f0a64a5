"""Aggregates over runs, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from gco_agent.core.aggregates import (
    AGGREGATES,
    Estimate,
    estimate,
    holm,
    performance_profile,
    probability_of_improvement,
    thresholds_of,
    two_sided_p,
)

ONE = {"pong": [0.0, 1.0, 2.0, 3.0, 10.0]}
TWO = {"pong": [0.0, 0.5, 1.0], "breakout": [2.0, 3.0, 4.0]}


@pytest.mark.parametrize(
    ("name", "one", "two"),
    [
        ("iqm", 2.0, 1.625),
        ("median", 2.0, 1.75),
        ("mean", 3.2, 1.75),
        ("optimality_gap", 0.2, 0.25),
    ],
)
def test_aggregates(name: str, one: float, two: float) -> None:
    assert estimate(AGGREGATES[name], ONE).value == pytest.approx(one)
    found = estimate(AGGREGATES[name], TWO)
    assert found.value == pytest.approx(two)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.value <= found.high
    assert found == estimate(AGGREGATES[name], TWO)


@pytest.mark.parametrize("scores", [{"a": [1.0, 2.0, 3.0, 4.0]}, {"a": [1.0] * 9, "b": [1.0, 2.0]}])
def test_there_is_no_interval_of_too_few_runs(scores: dict[str, list[float]]) -> None:
    assert estimate(AGGREGATES["mean"], scores).low is None


def test_the_interval_mostly_covers_the_mean() -> None:
    rng, hits = np.random.default_rng(0), 0
    for _ in range(200):
        found = estimate(AGGREGATES["mean"], {"a": rng.normal(5, 1, 10).tolist()})
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= 5 <= found.high
    assert 0.82 * 200 <= hits <= 0.98 * 200


def test_profiles_and_improvement() -> None:
    profile = performance_profile(ONE, [-1.0, 1.0, 10.0])
    assert [each.value for each in profile] == [1.0, 0.6, 0.0]
    assert probability_of_improvement(ONE, {"other": [1.0]}) is None
    assert probability_of_improvement({"a": [1.0, 2.0]}, {"a": [1.0, 0.0]}) == Estimate(0.875)
    found = probability_of_improvement(ONE, {"pong": [-1.0] * 5})
    assert found == Estimate(1.0, 1.0, 1.0)
    assert thresholds_of([0.5, 3.0], is_normalized=True)[::40] == [0.0, 3.0]
    assert thresholds_of([-5.0, 3.0], is_normalized=False)[::40] == [-5.4, 3.0]
    alike = thresholds_of([500.0, 500.0], is_normalized=False)
    assert alike[::40] == [475.0, 500.0]
    profile = performance_profile({"game": [500.0]}, alike)
    assert {each.value for each in profile[:-1]} == {1.0}


def test_p_values() -> None:
    assert two_sided_p([1.0] * 5) == pytest.approx(2 / 32)
    assert two_sided_p([-1.0] * 5) == two_sided_p([1.0] * 5)
    assert two_sided_p([1.0, -1.0]) == 1.0
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []
