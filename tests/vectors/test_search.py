"""The search over weighted sums, on environments that are cheap enough to play for real."""

from __future__ import annotations

import functools
import json
import statistics
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from gco_agent.config import RunConfig
from gco_agent.envs.opening import make_protocol
from gco_agent.errors import ProposalError, StoreError
from gco_agent.optimizers.base import Proposal, Request
from gco_agent.optimizers.search.optimizer import SearchOptimizer
from gco_agent.optimizers.vectors.optimizer import STATE_FILE, _State
from gco_agent.optimizers.vectors.play import Episodes, play
from gco_agent.optimizers.vectors.program import VectorProgram
from gco_agent.optimizers.vectors.tuning import Arm, tune
from gco_agent.policy import PolicySource, check_policy
from gco_agent.progress import Event, Searching
from gco_agent.records import Evaluation
from gco_agent.seeds import HIGHEST_SEED, Stream
from gco_agent.workers import WorkerPool


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
    state = _State.from_json(json.loads(second.files[STATE_FILE]))
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
    made = proposed("Pendulum-v1", n_steps=8_000)
    check_policy(made.source)
    assert "min(high, max(low, x))" in made.source.text
    assert score("Pendulum-v1", made.source.text, 2) < 0
    pytest.importorskip("minigrid")
    made = proposed("MiniGrid-Empty-5x5-v0", n_steps=2_000)
    check_policy(made.source)
    assert "def numbers(obs):" in made.source.text


def test_a_program_is_not_proposed_twice() -> None:
    first = proposed("CartPole-v1", n_steps=100)
    state = json.loads(first.files[STATE_FILE])
    second = proposed("CartPole-v1", 2, first.files, n_steps=100)
    state["proposed"][second.source.digest] = 1
    with pytest.raises(ProposalError, match="proposed before"):
        proposed("CartPole-v1", 2, {STATE_FILE: json.dumps(state)}, n_steps=100)


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
        {"arms": [{"width": float("inf")}]},
    ],
    ids=str,
)
def test_state_that_was_not_written_here_is_told(changed: dict[str, Any]) -> None:
    state = json.loads(proposed("CartPole-v1", n_steps=100).files[STATE_FILE])
    if "arms" in changed:
        changed = {"arms": [{**state["arms"][0], **changed["arms"][0]}]}
    with pytest.raises(StoreError, match=r"search\.json cannot be read"):
        proposed("CartPole-v1", 2, {STATE_FILE: json.dumps({**state, **changed})}, n_steps=100)


def test_no_seed_of_a_run_leads_out_of_the_feedback_stream() -> None:
    made = proposed("CartPole-v1", 1_000, seed=HIGHEST_SEED, n_steps=100)
    assert made.n_steps > 100
    seeds = Stream.FEEDBACK.cycle(100_000 * 10**6, 100_000)
    assert set(seeds) <= set(Stream.FEEDBACK.seeds(0, 100_000_000))


def bowl(programs) -> list[float]:
    """Best at (3, -1), and stretched."""
    return [
        -((p.weights[0] - 3) ** 2) - 50 * (p.weights[0] + p.weights[1] - 2) ** 2 for p in programs
    ]


def test_tuning_in_slices_goes_on_where_it_stopped() -> None:
    arm = Arm("linear", [0.0, 0.0])
    for number in range(6):
        answers = iter([*[True] * 8, False])
        best = tune(arm, bowl, functools.partial(next, answers), 1 + number)
        arm = Arm.from_json(json.loads(json.dumps(arm.to_json())))
    assert arm.program.weights == pytest.approx((3, -1), abs=0.1)
    assert bowl([best])[0] > -0.1
    assert arm.generations == 6 * 9
    assert len(arm.shape) == 2
    assert Arm.from_json(Arm("linear", [1.0]).to_json()) == Arm("linear", [1.0])


def test_many_weights_keep_no_shape() -> None:
    arm = Arm("linear", [0.0] * 160)
    tune(arm, lambda ps: [-sum(w * w for w in p.weights) for p in ps], lambda: False, 1)
    assert arm.shape == []
    assert arm.program == replace(VectorProgram("linear", ()), weights=tuple(arm.mean))
