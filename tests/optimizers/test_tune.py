"""Constants of any policy: moved where that helps, left alone where it does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gco_agent.core.errors import ProposalError
from gco_agent.core.events import Event, Searching
from gco_agent.core.records import Evaluation
from gco_agent.core.seeds import trial_seeds
from gco_agent.envs.atari import default_protocol
from gco_agent.evaluation.workers import WorkerPool
from gco_agent.jail.limits import JailLevel
from gco_agent.optimizers.base import Optimizer, PastIteration, Proposal, Request, Tools, Unusable
from gco_agent.optimizers.cma import StepBudget
from gco_agent.optimizers.registry import TuneBetween, make_optimizer, tuned_between
from gco_agent.optimizers.trials import Trials
from gco_agent.optimizers.tune import (
    Tuned,
    TuneOptimizer,
    tune_policy,
)
from gco_agent.policy.source import PolicySource, format_policy
from gco_agent.store.config import RunConfig
from tests.engine.pong_policies import STILL

LATE = '''"""Space Invaders: wait, and then shoot.

Environment: gco/SpaceInvaders-v5
"""

WAIT = 120.0  # steps
FAR = 300


class Policy:
    """One instance plays one episode."""

    n = 0

    def act(self, obs):
        self.n += 1
        if obs["Player"] and obs["Player"][0].cx > FAR:
            return 0
        return 1 if self.n > WAIT else 0
'''
"""The less it waits, the more it hits in 150 steps."""
RULES = default_protocol("space_invaders", max_steps=150)


def trials(n_steps: int = 9_000) -> Trials:
    return Trials(WorkerPool(0), RULES, JailLevel.NONE, StepBudget(n_steps, float("inf")))


def tuned(text: str = LATE, n_steps: int = 9_000) -> Tuned:
    work = trials(n_steps)
    return tune_policy(PolicySource(text), work, trial_seeds(1), rng_seed=3)


@pytest.fixture(scope="module")
def found() -> Tuned:
    return tuned()


def test_a_constant_that_hurts_is_moved_and_nothing_else_is(found: Tuned) -> None:
    assert found.constants == ("WAIT",), "FAR changes no action"
    (move,) = found.moves
    assert (move.name, move.before) == ("WAIT", 120.0)
    assert move.after < 105
    assert found.source.text == LATE.replace("WAIT = 120.0", f"WAIT = {move.after!r}")
    assert str(move) == f"WAIT 120 → {move.after:g}"


def test_tuning_repeats() -> None:
    once = tuned(n_steps=1_000)
    assert once.generations == 1
    assert once == tuned(n_steps=1_000)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (STILL, "no numeric constants to tune"),
        (LATE.replace("> WAIT", "> 0 * WAIT"), r"no constant .* changes what it does \(WAIT"),
        (LATE.replace("else 0", "else 99"), "fails as it is .*bad-action"),
    ],
)
def test_what_cannot_be_tuned_is_said(text: str, message: str) -> None:
    with pytest.raises(ProposalError, match=message):
        tuned(text, 1_000)


def test_a_bound_that_makes_a_loop_endless_loses() -> None:
    fragile = LATE.replace(
        "        if obs", "        while WAIT < float('119'):\n            pass\n        if obs"
    )
    found = tuned(fragile, 1_000)
    assert found.generations == 1
    assert all(move.after >= 119 for move in found.moves)


# The optimizer


def request(text: str, n_steps: int = 9_000) -> Request:
    config = RunConfig(
        "space_invaders", RULES, optimizer="tune", slice_steps=n_steps, slice_seconds=600
    )
    return Request(
        parent=PolicySource(text),
        evaluation=Evaluation((), RULES.stamp),
        iteration=1,
        config=replace(config, seed=2),
        attempts=(),
        recall=lambda _: None,
        deadline=float("inf"),
    )


def test_a_proposal_says_what_moved() -> None:
    events: list[Event] = []
    optimizer = make_optimizer("tune", Tools(WorkerPool(0)))
    assert isinstance(optimizer, TuneOptimizer)
    proposal = optimizer.propose(replace(request(LATE, 1_500), progress=events.append))
    assert proposal.summary == "tune WAIT"
    assert "- WAIT 120 → " in proposal.reason
    assert proposal.source.text == format_policy(proposal.source.text) != LATE
    assert proposal.n_steps > 1_000
    searching = [event for event in events if isinstance(event, Searching)]
    assert searching[0].activity == "tune: generations"
    assert searching[-1].activity == "tune: compare"


def test_without_a_gain_nothing_is_proposed() -> None:
    good = LATE.replace("WAIT = 120.0", "WAIT = 1.5")
    optimizer = TuneOptimizer(Tools(WorkerPool(0)), seconds=3)
    with pytest.raises(Unusable, match="nothing better") as caught:
        optimizer.propose(request(good, 1_500))
    assert caught.value.n_steps > 0


# Between the steps of another optimizer


class Other(Optimizer):
    name = "other"

    def propose(self, request: Request) -> Proposal:
        raise AssertionError(request)


def test_the_tuner_has_a_turn_after_each_accepted_candidate_of_another() -> None:
    between = tuned_between(Other(), Tools(WorkerPool(0)), 30)
    assert isinstance(between, TuneBetween)
    assert between.name == "other"
    verdicts = [("initial", None), ("rejected", "other"), ("accepted", "other")]
    verdicts += [("accepted", "tune"), ("accepted", "other"), ("failed", "tune")]
    attempts = [PastIteration(i, v, "", None, optimizer=o) for i, (v, o) in enumerate(verdicts)]
    turns = [between.next_optimizer(attempts[:n]).name for n in range(len(attempts) + 1)]
    assert turns == ["other", "other", "other", "tune", "other", "tune", "other"]
    with pytest.raises(ProposalError, match="no numeric constants"):
        between.propose(replace(request(STILL), attempts=attempts[:3]))
