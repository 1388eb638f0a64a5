"""The search over weighted sums, on environments that are cheap enough to play for real."""

from __future__ import annotations

import functools
import json
import random
import statistics
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from gco_agent.core.codec import dumps, loads
from gco_agent.core.errors import ProposalError, StoreError
from gco_agent.core.events import Event, Searching
from gco_agent.core.records import Evaluation
from gco_agent.core.seeds import HIGHEST_SEED, Stream
from gco_agent.envs.environment import make_protocol
from gco_agent.evaluation.workers import WorkerPool
from gco_agent.optimizers.base import Proposal, Request
from gco_agent.optimizers.cma import StepBudget
from gco_agent.optimizers.search.optimizer import SearchOptimizer
from gco_agent.optimizers.vectors import optimizer
from gco_agent.optimizers.vectors.arms import (
    Arm,
    Rated,
    State,
    Table,
    agreement,
    choose,
    prune,
    thin,
    tune,
)
from gco_agent.optimizers.vectors.optimizer import STATE_FILE
from gco_agent.optimizers.vectors.play import Episodes, play
from gco_agent.optimizers.vectors.program import Family, VectorProgram
from gco_agent.policy.contract import check_policy
from gco_agent.policy.source import PolicySource
from gco_agent.store.config import RunConfig


def proposed(
    env_id: str,
    iteration: int = 1,
    files: Mapping[str, str] | None = None,
    *,
    n_steps: int = 6_000,
    seed: int = 0,
    events: list[Event] | None = None,
) -> Proposal:
    rules = make_protocol("default", env_id)
    config = RunConfig("x", rules, seed=seed, slice_steps=n_steps, slice_seconds=600)
    request = Request(
        PolicySource("x = 1\n"),
        Evaluation((), ""),
        iteration,
        config,
        [],
        (files or {}).get,
        time.perf_counter() + 600,
        (events if events is not None else []).append,
    )
    with WorkerPool(0) as pool:
        return SearchOptimizer(pool).propose(request)


def score(env_id: str, text: str, n: int = 20) -> float:
    return statistics.fmean(
        play(Episodes(make_protocol("default", env_id), text, tuple(range(n)))).returns
    )


def test_slices_repeat_to_the_letter_and_go_on_from_what_was_left() -> None:
    events: list[Event] = []
    first = proposed("CartPole-v1", events=events)
    again = proposed("CartPole-v1")
    assert (first.source, first.files, first.reason) == (again.source, again.files, again.reason)
    assert proposed("CartPole-v1", seed=1).source != first.source
    second = proposed("CartPole-v1", 2, first.files)
    assert second.source == proposed("CartPole-v1", 2, first.files).source
    assert second.source != first.source
    check_policy(second.source)
    state = loads(State, second.files[STATE_FILE], STATE_FILE)
    assert set(state.proposed.values()) == {1, 2}
    assert all(isinstance(event, Searching) for event in events)
    assert first.n_steps > 1_000


def test_it_learns_to_hold_the_pole() -> None:
    files: Mapping[str, str] = {}
    for iteration in (1, 2):
        made = proposed("CartPole-v1", iteration, files, n_steps=40_000)
        files = made.files
    assert score("CartPole-v1", made.source.text) > 250, "at random it is 22"


def test_numbers_as_actions_and_nested_observations_are_searched_too() -> None:
    made = proposed("Pendulum-v1", n_steps=1_500)
    check_policy(made.source)
    assert "min(high, max(low, x))" in made.source.text
    assert score("Pendulum-v1", made.source.text, 2) < 0
    pytest.importorskip("minigrid")
    made = proposed("MiniGrid-Empty-5x5-v0", n_steps=800)
    check_policy(made.source)
    assert "def numbers(obs):" in made.source.text


def test_a_program_is_not_proposed_twice() -> None:
    first = proposed("CartPole-v1", n_steps=100)
    state = json.loads(first.files[STATE_FILE])
    second = proposed("CartPole-v1", 2, first.files, n_steps=100)
    assert second.source != first.source
    state["proposed"][second.source.digest] = 1
    third = proposed("CartPole-v1", 2, {STATE_FILE: json.dumps(state)}, n_steps=100)
    assert third.source not in (first.source, second.source)


@pytest.mark.parametrize(
    "changed",
    [
        {"schema": 7},
        {"scale": [1.0, 1.0, 1.0, "1.0; import os"]},
        {"scale": [1.0, 1.0, 0, 1.0]},
        {"scale": 7},
        {"arms": [{"family": "__import__('os')", "mean": [], "width": 1.0}]},
        {"arms": [{"mean": ["0"]}]},
        {"arms": [{"mean": [0.0]}]},
        {"arms": [{"shape": [[1.0]]}]},
        {"arms": [{"width": 0.0}]},
        {"best": {"family": "linear", "weights": [1.0]}},
        {"best": {"family": "linear", "weights": ["0); import os; ("] * 10}},
        {"arms": [{"width": float("inf")}]},
        {"arms": [{"n_seeds": 10**9}]},
        {"arms": [{}] * 65},
    ],
    ids=str,
)
def test_state_that_was_not_written_here_is_told(changed: dict[str, Any]) -> None:
    state = json.loads(proposed("CartPole-v1", n_steps=100).files[STATE_FILE])
    if "arms" in changed:
        changed = {"arms": [{**state["arms"][0], **arm} for arm in changed["arms"]]}
    with pytest.raises(StoreError, match=r"search\.json cannot be read"):
        proposed("CartPole-v1", 2, {STATE_FILE: json.dumps({**state, **changed})}, n_steps=100)


def test_no_seed_of_a_run_leads_out_of_the_feedback_stream() -> None:
    made = proposed("CartPole-v1", 1_000, seed=HIGHEST_SEED, n_steps=100)
    assert made.n_steps > 100
    seeds = Stream.FEEDBACK.cycle(100_000 * 10**6, 100_000)
    stream = Stream.FEEDBACK.seeds(0, 100_000_000)
    assert seeds[0] in stream
    assert seeds[-1] in stream


def test_a_slice_that_comes_to_nothing_new_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    first = proposed("CartPole-v1", n_steps=100)
    monkeypatch.setattr(optimizer, "format_policy", lambda _text: first.source.text)
    with pytest.raises(ProposalError, match="proposed before"):
        proposed("CartPole-v1", 2, first.files, n_steps=100)


def bowl(programs, n_seeds: int) -> list[tuple[float, ...]]:
    """Best at (3, -1), and stretched; the same in every episode."""
    return [
        (-((p.weights[0] - 3) ** 2) - 50 * (p.weights[0] + p.weights[1] - 2) ** 2,) * n_seeds
        for p in programs
    ]


def test_tuning_in_slices_goes_on_where_it_stopped() -> None:
    arm = Arm("linear", [0.0, 0.0])
    for number in range(6):
        answers = iter([*[True] * 8, False])
        best = tune(arm, bowl, functools.partial(next, answers), 1 + number)
        arm = loads(Arm, dumps(arm), "arm")
    assert arm.program.weights == pytest.approx((3, -1), abs=0.1)
    assert bowl([best], 1)[0][0] > -0.1
    assert arm.generations == 6 * 9
    assert len(arm.shape) == 2


def test_many_weights_keep_no_shape() -> None:
    arm = Arm("linear", [0.0] * 160)
    tune(arm, lambda ps, n: [(-sum(w * w for w in p.weights),) * n for p in ps], lambda: False, 1)
    assert arm.shape == []
    assert arm.program == replace(VectorProgram("linear", ()), weights=tuple(arm.mean))


def test_halves_that_agree_tell_more_than_halves_that_do_not() -> None:
    assert agreement([(1, 1), (2, 2), (3, 9)]) == pytest.approx(1)
    assert agreement([(1, 9), (2, 5), (3, 1)]) == pytest.approx(-1)
    assert agreement([(500, 500), (500, 500)]) == 1, "nothing to tell apart"
    assert agreement([(7,), (8,)]) == pytest.approx(1), "one episode is both halves"
    assert 0 < agreement([(1, 1), (1, 2), (2, 2)]) < 1, "equal ones share a rank"


def test_where_chance_hides_the_differences_more_episodes_are_played() -> None:
    rng = random.Random(0)

    def drowned(programs, n_seeds):
        return [tuple(rng.gauss(0, 1) for _ in range(n_seeds)) for _ in programs]

    quiet, loud = (
        Arm("linear", [0.0, 0.0], n_seeds=20),
        Arm("linear", [0.0, 0.0], n_seeds=20),
    )
    for number in range(40):
        tune(quiet, bowl, lambda: False, 1 + number)
        tune(loud, drowned, lambda: False, 1 + number)
    assert quiet.n_seeds == 2
    assert loud.n_seeds == 64
    assert not Arm("linear", [0.0]).is_spent
    assert Arm("linear", [0.0], width=1e-4).is_spent
    assert Arm("linear", [0.0], blind=20).is_spent


def test_arms_that_are_behind_end_and_in_time_all_but_the_best() -> None:
    def rated(arm: int, *returns: float, n_weights: int = 1) -> Rated:
        return Rated(VectorProgram("linear", (float(arm),) * n_weights), arm, returns)

    def left(slices: int, *ranking: Rated, spent: int = -1, rich: int = -1) -> list[float]:
        families: list[Family] = ["products" if i == rich else "linear" for i in range(3)]
        arms = [Arm(family, [float(i)]) for i, family in enumerate(families)]
        if spent >= 0:
            arms[spent].width = 1e-4
        state = State(3, (1.0,), True, arms, slices=slices)
        thin(state, ranking)
        return [arm.mean[0] for arm in state.arms]

    first, best, last = rated(1, 5, 6, 7, 9), rated(-1, 5, 5, 7, 8), rated(2, 9, 1, 9, 6)
    ranking = (first, best, rated(0, 1, 2, 3, 5), last)
    assert left(1, *ranking) == [1, 2], "0 is behind on every seed, 2 perhaps by chance"
    assert left(2, *ranking) == [1], "2 is of the same family"
    assert left(2, *ranking, spent=1) == [2]
    assert left(1, rated(-1, 9, 9, 9), rated(0, 1, 1, 2), rated(1, 1, 2, 1)) == []
    ranking = (first, best, rated(0, 1, 2, 3, 5, n_weights=2), last)
    assert left(1, *ranking) == [1, 0, 2], "what has more weights takes longer"
    assert left(2, *ranking, rich=0) == [1, 0]
    assert left(3, *ranking, rich=0) == [1]
    rich, poor = rated(0, 5, 6, 7, 9, n_weights=2), rated(1, 1, 2, 3, 5)
    assert left(1, rich, poor) == [0], "behind what has more weights is behind"


def table(n_steps: int) -> Table:
    rules = make_protocol("default", "CartPole-v1")
    task = optimizer.task_of(rules, State(3, (1.0, 1.0, 0.1, 1.0), True))
    now = time.perf_counter()
    budget = StepBudget(n_steps, now + 600, begun=now)
    return Table(WorkerPool(0), rules, task, range(1_000, 9_000), budget)


HOLDS = VectorProgram("linear", (0.0, 0.1, 1.0, 1.0, 0.0))
FALLS = VectorProgram("linear", (0.0, 0.0, -1.0, 0.0, 0.0))


def test_programs_that_are_not_played_in_time_count_as_the_worst() -> None:
    late = replace(table(10_000), budget=StepBudget(10_000, time.perf_counter() - 60))
    first, second = late.rate([HOLDS, FALLS], 8)
    assert first == second
    assert len(first) == 8
    used = late.budget.used
    assert used == 4 * first[0]  # a part of the first program's
    assert late.rate([FALLS], 2) == [(first[0],) * 2]
    assert late.budget.used == used


def test_what_cannot_be_weighed_is_refused() -> None:
    rules = make_protocol("default", "CartPole-v1")
    with pytest.raises(ProposalError, match="have no numbers"):
        optimizer.task_of(rules, State(3, (), True))
    with pytest.raises(ProposalError, match="27,648 numbers, a picture perhaps"):
        optimizer.task_of(rules, State(3, (1.0,) * 27_648, True))


def test_a_clock_that_will_cut_the_slice_is_foreseen() -> None:
    here = table(10**6)
    now = time.perf_counter()
    here.budget = StepBudget(10**6, now + 20, used=2_000, begun=now - 10)
    assert here.done == pytest.approx(2_000 / 6_000, rel=0.01), "6,000 steps at this pace"
    assert not here.is_within(0.3)
    assert here.is_within(0.4)
    here.budget.used = 900_000
    assert here.done == 0.9, "at this pace the steps are used up first"


def test_all_of_a_batch_play_the_same_new_seeds() -> None:
    here = table(100_000)
    first = here.rate([HOLDS, FALLS, FALLS], 6)
    assert [len(row) for row in first] == [6, 6, 6]
    assert first[1] == first[2]
    assert here.next_seed == 6
    second = here.rate([FALLS], 6)
    assert second != [first[1]]
    assert here.budget.used == sum(map(sum, [*first, *second])), "a step of CartPole is a point"
    assert [len(row) for row in table(2_000).rate_within([HOLDS], 9)] == [9], "nothing is known"
    here.budget.n_steps = 5_000
    assert len(here.rate_within([HOLDS], 30)[0]) < 30


def test_the_best_candidate_comes_first_and_is_played_more() -> None:
    ranking = choose(table(10**6), [(0, FALLS), (1, HOLDS), (1, FALLS)])
    assert [rated.program for rated in ranking] == [HOLDS, FALLS]
    assert ranking[1].arm == 0
    assert ranking[0].mean > 4 * ranking[1].mean


def test_weights_that_do_nothing_are_dropped() -> None:
    cluttered = replace(HOLDS, weights=(0.001, 0.1, 1.0, 1.0, -0.002))
    assert prune(table(10**6), cluttered).weights[0] == 0
