"""CMA-ES behind its door, and the purse."""

from __future__ import annotations

import time

import numpy as np
import pytest

from gco_agent.optimizers.cma import Evolution, StepBudget


def minimized(rng_seed: int, n_generations: int = 30) -> list[float]:
    """Where it ends up on a bowl around (30, -2)."""
    evolution = Evolution([10.0, 1.0], [8.0, 1.0], [0.6, 0.6], rng_seed)
    for _ in range(n_generations):
        points = evolution.ask()
        assert len(points) == evolution.size
        evolution.tell([((x - 30) / 8) ** 2 + (y + 2) ** 2 for x, y in points])
    assert max(evolution.spread) < 0.6
    return [float(number) for number in evolution.mean]


def test_it_goes_where_less_is_lost_and_repeats() -> None:
    found = minimized(1)
    assert found == pytest.approx([30, -2], abs=0.5)
    assert found == minimized(1)
    assert found != minimized(2)


def test_what_others_draw_changes_nothing() -> None:
    alone = minimized(1)

    def draw(n: int = 0) -> list[float]:
        evolution = Evolution([10.0, 1.0], [8.0, 1.0], [0.6, 0.6], 1)
        for _ in range(30):
            points = evolution.ask()
            np.random.standard_normal(n)
            evolution.tell([((x - 30) / 8) ** 2 + (y + 2) ** 2 for x, y in points])
        return [float(number) for number in evolution.mean]

    assert draw(0) == draw(7) == alone


def test_it_begins_around_the_origin_and_takes_one_dimension() -> None:
    evolution = Evolution([5.0], [2.0], [0.0], 1)
    assert evolution.mean == [5.0]
    assert np.std(evolution.ask()) < 0.2, "the smallest spread is a floor"


def test_a_purse_shares_steps_and_with_a_beginning_time_as_well() -> None:
    now = time.perf_counter()
    purse = StepBudget(100, now + 100)
    purse.used = 60
    assert (purse.share(0.5), purse.share(0.7), purse.left) == (False, True, 40)
    timed = StepBudget(100, now + 100, begun=now - 100)
    assert (timed.share(0.4), timed.share(0.9)) == (False, True)
    purse.used = 160
    assert purse.left == 0


def test_a_purse_for_a_time_has_the_steps_that_it_usually_allows() -> None:
    assert StepBudget.for_time(10, 2).n_steps == 2 * StepBudget.for_time(10, 1).n_steps > 1_000
    assert StepBudget.for_time(10, 2, 77).n_steps == 77
    assert StepBudget.for_time(0.0, 1).share(0.5) is False
