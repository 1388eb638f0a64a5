from __future__ import annotations

import time

import pytest

from gco_agent.core.errors import BudgetSpent
from gco_agent.core.statistics import INTERIM_ANALYSES
from gco_agent.loop.budget import DEFAULT_S, Budget


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


def test_frames_are_kept_for_a_usual_race_and_for_what_a_proposal_took() -> None:
    budget = Budget(frames=400_000)
    budget.reserve([100, 300], [100, 300])
    assert budget.race_steps == 2 * 10 * 200
    budget.require(200_000, 4)
    assert budget.proposal_steps == 50_000 - 4_000
    budget.require(400_000 - 4 * 6_000, 4)  # and half as many steps to propose
    assert budget.proposal_steps == 2_000
    with pytest.raises(BudgetSpent, match="400,000 frames"):
        budget.require(400_000 - 4 * 6_000 + 4, 4)
    budget.require(400_000 - 4 * 900, 4, is_first=True)
    assert budget.proposal_steps == 300
    budget.reserve([200], [200], 12_000)  # a fourth of what the last proposals took is enough
    budget.require(400_000 - 4 * 7_000, 4)
    with pytest.raises(BudgetSpent):
        budget.require(400_000 - 4 * 6_999, 4)


def test_an_undecided_race_leaves_frames_for_others() -> None:
    budget = Budget(frames=400_000)
    assert budget.steps_to_race(0) is None, "no limit before the first iteration is begun"
    budget.reserve([200], [200])
    budget.require(0, 4)
    assert budget.steps_to_race(10_000) == 100_000 // 3
    budget.require(400_000 - 4 * 12_000, 4)
    assert budget.steps_to_race(3_000) == 2 * budget.race_steps
    assert budget.steps_to_race(8_000) == 4_000


def test_seconds_bind_with_what_is_reserved() -> None:
    now = time.perf_counter()
    Budget(seconds=1000, started=now).require(0)
    for spent in (Budget(seconds=1000, started=now - 998), Budget(seconds=1000, reserve_s=998)):
        spent.note_iteration()
        with pytest.raises(BudgetSpent, match="1000 s"):
            spent.require(0)
    assert Budget(seconds=10, reserve_s=3, started=100).deadline == 107


def test_without_limits_nothing_binds() -> None:
    budget = Budget()
    budget.note_iteration()
    budget.require(10**12)
    assert budget.deadline == float("inf")


def test_time_is_kept_for_a_race_and_for_the_report() -> None:
    budget = Budget(seconds=100, report_episodes=30)
    budget.reserve([100, 300], [100, 300])
    assert budget.race_s == 0  # the pace is not known
    budget.note_play(500, 0.1)
    budget.reserve([100, 300], [100, 300])
    assert budget.race_s == 0  # too few steps say nothing
    budget.note_play(4_000, 2.0)
    budget.reserve([100, 300], [100, 300])
    episode_s = 0.1
    assert 0 < budget.race_s <= 2 * INTERIM_ANALYSES[-1] * episode_s * 1.001
    assert budget.reserve_s >= 30 * episode_s
    assert budget.answer_by == pytest.approx(budget.deadline - budget.race_s)


def test_a_few_slow_steps_tell_the_pace() -> None:
    """As of an environment whose resets take a second."""
    budget = Budget(seconds=25, report_episodes=2)
    budget.note_play(200, 6.0)
    budget.reserve([20], [20])
    assert budget.race_s == pytest.approx(2 * 6.0)
    assert budget.reserve_s == pytest.approx(2 + 1.3 * 2 * 0.6)


def test_the_first_iteration_is_begun_however_little_time_there_is() -> None:
    now = time.perf_counter()
    budget = Budget(seconds=20, report_episodes=30, started=now - 19)
    budget.note_play(10_000, 10.0)
    budget.reserve([4_500], [13_500])
    budget.require(0)
    assert budget.reserve_s == 0
    assert budget.answer_by == pytest.approx(now + 5, abs=0.5)
    budget.note_iteration()
    with pytest.raises(BudgetSpent, match="20 s"):
        budget.require(0)


def test_the_report_gives_way_to_the_first_iteration_alone() -> None:
    budget = Budget(seconds=60, report_episodes=30, started=time.perf_counter() - 40)
    budget.note_play(10_000, 10.0)
    budget.reserve([1_000], [1_000])
    assert budget.reserve_s == 0
    assert budget.race_by == pytest.approx(budget.started + 60 - 2 - 1.3 * 2)
    budget.note_iteration()
    assert budget.race_by == budget.deadline
    budget.reserve([1_000], [1_000])
    assert budget.reserve_s == pytest.approx(20)


def test_the_report_is_given_a_third_of_the_time_at_most() -> None:
    budget = Budget(seconds=300, report_episodes=30)
    budget.note_play(10_000, 10.0)
    budget.reserve([4_500], [13_500])
    assert budget.reserve_s == pytest.approx(100)


def test_a_pace_is_learned_and_the_last_play_counts_most() -> None:
    budget = Budget(seconds=1000)
    budget.note_play(10_000, 40.0)  # workers that are being started
    budget.note_play(10_000, 4.0)
    budget.reserve([1_000], [1_000])
    assert budget.race_s == pytest.approx(2 * 10 * 1_000 * 24 / 15_000)


def blocks(seconds: float | None, pace_s: float, n_workers: int = 2) -> tuple[list[int], float]:
    """The blocks of a report of which an episode takes ``pace_s``, and how long it was in all."""
    played: list[int] = []
    budget = Budget(seconds=seconds, report_episodes=30)
    while True:
        taken = sum(played) * pace_s
        budget.started = time.perf_counter() - taken  # as if it had been played
        more = budget.report_block(sum(played), taken, n_workers)
        if not more:
            return played, taken
        played.append(more)


@pytest.mark.parametrize(
    ("seconds", "pace_s", "expected"),
    [
        (None, 9.0, [30]),  # nothing binds
        (100.0, 0.5, [2, 28]),  # a quiet machine
        (100.0, 60.0, [2]),  # as few as have a standard error
        (0.001, 60.0, [2]),
    ],
)
def test_a_report_of_so_many_blocks(seconds, pace_s, expected) -> None:
    assert blocks(seconds, pace_s)[0] == expected


def test_a_report_that_takes_too_long_ends_by_the_clock() -> None:
    played, taken = blocks(100.0, 5.0)
    assert len(played) > 2
    assert 15 <= sum(played) < 30
    assert 80 <= taken <= 100
    assert blocks(100.0, 5.0, n_workers=8)[0][0] == 8


def test_the_initial_policy_is_played_for_a_third_of_the_time() -> None:
    assert Budget().start_by is None
    assert Budget(seconds=300, started=100).start_by == 200
    assert Budget(seconds=1, started=100).start_by == 105


@pytest.mark.parametrize(
    "limited", [Budget(iterations=0), Budget(seconds=0), Budget(frames=0), Budget(usd=0)]
)
def test_only_a_run_without_any_limit_gets_the_default_time(limited: Budget) -> None:
    assert limited.or_default() is limited
    assert Budget().or_default().seconds == DEFAULT_S
