"""Texts tried in the jail: scores, the same actions, missing objects."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from gco_agent.core.records import Outcome
from gco_agent.core.seeds import Stream, trial_seeds
from gco_agent.envs.environment import make_protocol
from gco_agent.evaluation.judge import Judge
from gco_agent.evaluation.workers import WorkerPool
from gco_agent.jail.limits import JailLevel
from gco_agent.optimizers.cma import StepBudget
from gco_agent.optimizers.trials import Trials
from tests.engine.pong_policies import FOLLOW, HIDE, RULES, STILL, failing, source

SEEDS = trial_seeds(0)[:2]
ENDLESS = failing("while self.n: pass", 20)


@pytest.fixture
def trials() -> Trials:
    return Trials(WorkerPool(0), RULES, JailLevel.NONE, StepBudget(1_000_000, float("inf")))


def test_seeds_are_of_feedback_and_of_one_iteration_alone() -> None:
    first, second = trial_seeds(1), trial_seeds(2)
    assert first.stop == second.start
    assert first.start >= Stream.FEEDBACK.value
    assert second.stop <= Stream.SELECTION.value


def test_play_is_what_the_judge_would_see_and_is_paid_for(trials: Trials) -> None:
    played = trials.play([FOLLOW, STILL, FOLLOW], SEEDS, 80)
    judge = Judge(trials.pool, replace(RULES, max_steps=80))
    assert list(played[0]) == list(judge.evaluate(source(FOLLOW), SEEDS).episodes)
    assert played[0] == played[2] != played[1]
    assert trials.budget.used == 2 * 2 * 80
    assert trials.play([FOLLOW], SEEDS, 80)[0] == played[0]


def test_the_same_actions_are_the_same_and_others_are_noticed(trials: Trials) -> None:
    recorded = trials.record(FOLLOW, SEEDS, 150)
    assert [r.n_steps for r in recorded] == [150, 150]
    judge = Judge(trials.pool, RULES)
    assert [r.total for r in recorded] == list(judge.evaluate(source(FOLLOW), SEEDS).returns)
    twin = FOLLOW.replace("return 0", "return 0 + 0")
    used = trials.budget.used
    assert trials.acts_the_same([twin, HIDE, STILL], recorded, 150) == [True, False, False]
    assert trials.budget.used - used < 500, "a difference ends the episode"
    (broken,) = trials.retrace([failing("raise ValueError", 5)], recorded, 150)
    assert [r.is_whole for r in broken] == [False, False]
    late = FOLLOW.replace("class Policy:", "class Policy:\n    n = 0\n").replace(
        "        if not obs", "        self.n += 1\n        if self.n > 90:\n            return 5\n"
        "        if not obs", 1,
    )  # fmt: skip
    assert trials.acts_the_same([late], recorded, 90) == [True]
    assert trials.acts_the_same([late], recorded, 91) == [False]


def test_a_policy_that_needs_all_its_objects_does_not_survive_holes(trials: Trials) -> None:
    needy = FOLLOW.replace('if not obs["Ball"] or not obs["Player"]', 'if not obs["Ball"]')
    assert trials.survives_gaps(FOLLOW, SEEDS, 150)
    assert not trials.survives_gaps(needy.replace('if not obs["Ball"]', "if False"), SEEDS, 150)


def test_an_endless_loop_is_a_failure_and_ends_soon(trials: Trials) -> None:
    begun = time.process_time()
    played = trials.play([ENDLESS], SEEDS[:1], 100)[0]
    assert played[0].outcome is Outcome.TIMED_OUT
    assert not trials.record(ENDLESS, SEEDS[:1], 100)[0].is_whole
    assert time.process_time() - begun < 10


PLAIN = (("CartPole-v1", "return int(obs[2] > 0)"), ("Pendulum-v1", "return [float(obs[2] > 0)]"))


@pytest.mark.parametrize(("env_id", "body"), PLAIN)
def test_environments_without_objects_are_retraced_too(env_id: str, body: str) -> None:
    text = f"def act(obs):\n    {body}\n"
    same = f"def act(obs):\n    seen = obs\n    {body.replace('obs', 'seen')}\n"
    other = text.replace("> 0", "< 0")
    rules = make_protocol("default", env_id, 60)
    trials = Trials(WorkerPool(0), rules, JailLevel.NONE, StepBudget(10**6, float("inf")))
    recorded = trials.record(text, [1, 2], 60)
    played = trials.play([text], [1, 2], 60)[0]
    assert [r.total for r in recorded] == [e.episode_return for e in played]
    assert [r.n_steps for r in recorded] == [e.n_steps for e in played]
    assert trials.acts_the_same([same, other], recorded, 60) == [True, False]
    assert trials.survives_gaps(text, [1], 60)
    wrong = text.replace("int(", "7 + int(").replace("[float(", "[9 + float(")
    assert not trials.record(wrong, [1], 60)[0].is_whole
