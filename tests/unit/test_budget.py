from __future__ import annotations

import time

import pytest

from gco_agent.budget import Budget
from gco_agent.errors import BudgetSpent


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
