"""The time that is kept for the report, and what is typed as time."""

from __future__ import annotations

import click
import pytest

from gco_agent.cli.options import AtLeast, Duration
from gco_agent.core.errors import BudgetSpent
from gco_agent.loop.budget import Budget


def test_nothing_is_kept_before_anything_is_known():
    budget = Budget(seconds=100, report_episodes=30)
    budget.reserve([1000], [1000])
    assert budget.race_s == 0
    assert budget.reserve_s == pytest.approx(2)


def test_the_reserve_follows_the_pace_and_the_length_of_episodes():
    budget = Budget(seconds=1000, report_episodes=30)
    budget.note_play(10_000, 5.0)
    budget.reserve([800, 1200], [800, 1200])
    assert budget.reserve_s == pytest.approx(2 + 1.3 * 30 * 0.5)
    assert budget.race_s == pytest.approx(2 * 10 * 0.5)
    assert budget.deadline == pytest.approx(budget.started + 1000 - budget.reserve_s)
    assert budget.answer_by == pytest.approx(budget.deadline - 10)
    budget.reserve([2000], [2000])
    assert budget.reserve_s == pytest.approx(2 + 1.3 * 30 * 1.0)
    budget.note_play(10, 4.0)  # too little to learn from
    budget.reserve([2000], [2000])
    assert budget.race_s == pytest.approx(20)


def test_without_a_report_only_the_race_is_kept():
    budget = Budget(seconds=100)
    budget.note_play(10_000, 5.0)
    budget.reserve([1000], [1000])
    assert budget.reserve_s == 0
    assert budget.race_s == pytest.approx(10)


def test_no_iteration_begins_in_the_time_of_the_report():
    budget = Budget(seconds=16, report_episodes=30)
    budget.require(0)
    budget.note_iteration()
    budget.note_play(10_000, 5.0)
    budget.reserve([2000], [2000])
    with pytest.raises(BudgetSpent, match="16 s"):
        budget.require(0)


def test_the_limits_of_iterations_and_frames():
    budget = Budget(iterations=1, frames=1000)
    budget.require(999)
    with pytest.raises(BudgetSpent, match="1,000 frames"):
        budget.require(1000)
    budget.note_iteration()
    with pytest.raises(BudgetSpent, match=r"1 iteration$"):
        budget.require(0)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("90s", 90),
        ("5m", 300),
        ("1h", 3600),
        ("1h30m", 5400),
        ("1.5m", 90),
        (" 2M ", 120),
    ],
)
def test_durations(text, seconds):
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "m", "5 m", "1e3", "inf", "nan", "9999999h", "3m1h"]
)
def test_what_is_no_duration(text):
    with pytest.raises(click.BadParameter, match="is not a duration"):
        Duration().convert(text, None, None)


def test_numbers():
    assert AtLeast(3)("3") == 3
    for text in ("2", "x", "1.5", str(10**30)):
        with pytest.raises(click.BadParameter):
            AtLeast(3)(text)
