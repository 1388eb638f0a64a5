from __future__ import annotations

import time

import pytest

from gco_agent.budget import Budget
from gco_agent.errors import BudgetSpent
from gco_agent.statistics import LOOKS


def test_iterations_bind() -> None:
    budget = Budget(iterations=2)
    for _ in range(2):
        budget.require(0)
        budget.note_iteration()
    with pytest.raises(BudgetSpent, match="2 iterations") as caught:
        budget.require(0)
    assert caught.value.limit == "2 iterations"


def test_frames_bind_over_the_whole_run() -> None:
    budget = Budget(frames=1_000_000)
    budget.require(999_999)
    with pytest.raises(BudgetSpent, match="1,000,000 frames"):
        budget.require(1_000_000)


def test_seconds_bind_with_what_is_reserved() -> None:
    now = time.perf_counter()
    Budget(seconds=1000, started=now).require(0)
    for spent in (Budget(seconds=1000, started=now - 998), Budget(seconds=1000, reserve_s=998)):
        with pytest.raises(BudgetSpent, match="1000 s"):
            spent.require(0)
    assert Budget(seconds=10, reserve_s=3, started=100).deadline == 107


def test_without_limits_nothing_binds() -> None:
    budget = Budget()
    budget.note_iteration()
    budget.require(10**12)
    assert budget.deadline == float("inf")


def test_time_is_kept_for_a_race_and_for_the_report() -> None:
    budget = Budget(seconds=100, report_episodes=30, started=1000.0)
    budget.reserve([100, 300], [100, 300])
    assert budget.race_s == 0  # the pace is not known
    budget.note_play(500, 0.1)
    budget.reserve([100, 300], [100, 300])
    assert budget.race_s == 0  # too few steps say nothing
    budget.note_play(4_000, 2.0)
    budget.reserve([100, 300], [100, 300])
    episode_s = 0.1
    assert 0 < budget.race_s <= LOOKS[-1] * episode_s * 1.001
    assert budget.reserve_s >= 30 * episode_s
    assert budget.answer_by == pytest.approx(budget.deadline - budget.race_s)


def test_a_report_is_as_long_as_time_allows() -> None:
    now = time.perf_counter()
    assert Budget(report_episodes=30).affordable_report([100]) == 30
    rich, poor = (Budget(seconds=s, report_episodes=30, started=now) for s in (1000, 5))
    for budget in (rich, poor):
        budget.note_play(2_000, 2.0)
    assert rich.affordable_report([1_000]) == 30
    assert 2 <= poor.affordable_report([1_000]) < 6
