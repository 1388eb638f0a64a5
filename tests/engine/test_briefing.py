"""What an optimizer is told of real play: the same from any number of workers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gco_agent.core.records import Outcome
from gco_agent.core.seeds import FEEDBACK_EPISODES, Stream
from gco_agent.envs.atari import default_protocol
from gco_agent.evaluation.episode import Rollout, play_episodes
from gco_agent.evaluation.judge import Judge
from gco_agent.evaluation.workers import WorkerPool
from gco_agent.jail.limits import JailLevel, JailLimits
from gco_agent.optimizers.base import PastIteration
from gco_agent.optimizers.feedback import collect_feedback, collect_results
from gco_agent.store.config import RunConfig
from gco_agent.traces.moments import Replay, capture, capture_losses, follow
from tests.engine.pong_policies import FOLLOW, RULES, STILL, failing, source

CONFIG = RunConfig("pong", RULES, trace_tokens=2_500)
BREAKOUT = RunConfig("breakout", default_protocol("breakout", max_steps=400))
SEEDS = tuple(Stream.FEEDBACK.seeds(0, FEEDBACK_EPISODES))


@pytest.fixture
def judge() -> Judge:
    return Judge(WorkerPool(0), RULES)


def test_results_are_of_feedback_seeds_and_remembered(judge: Judge):
    feedback = collect_feedback(judge, source(FOLLOW), [], CONFIG)
    assert "over 8 episodes (seeds feedback 0:8)" in feedback.text
    assert "### Moment 1" in feedback.text
    assert "select_action" in feedback.text
    played = judge.n_steps
    assert played > FEEDBACK_EPISODES * RULES.max_steps
    assert judge.evaluate(source(FOLLOW), SEEDS).is_valid
    assert judge.n_steps == played
    assert JailLevel.parse(judge.jail) > JailLevel.NONE


def test_past_iterations_are_told(judge: Judge):
    broken = PastIteration(3, "failed", "break it", None, reason="It raised KeyError.", source=None)
    feedback = collect_feedback(judge, source(FOLLOW), [broken], CONFIG)
    assert '- Iteration 3, failed: "break it"' in feedback.text


def test_candidates_that_were_turned_down_are_played_on_feedback_seeds(judge: Judge):
    tried = [
        PastIteration(n, verdict, "stand still", -1.0, source=STILL + f"\n# {n}\n")
        for n, verdict in ((1, "rejected"), (2, "rejected"), (3, "inconclusive"), (4, "failed"))
    ]
    config = replace(CONFIG, trace_tokens=8_000)
    feedback = collect_feedback(judge, source(FOLLOW), tried, config)
    told = feedback.text.partition("### Execution trace")[0]
    assert told.count("  Candidate against the policy in force on the first of the seeds") == 2
    assert "\n      nothing within 24 pixels of the player: " in told
    played = judge.n_steps
    accepted = PastIteration(5, "accepted", "follow", 1.0, source=FOLLOW)
    later = collect_feedback(judge, source(FOLLOW), [*tried, accepted], config)
    assert "on the first of the seeds" not in later.text
    assert judge.n_steps == played


def test_a_candidate_that_stands_still_is_told_as_that():
    """Without a loss there is no row of losses, however little it scores."""
    rules = BREAKOUT.protocol
    [stall] = capture_losses(WorkerPool(0), [Rollout(STILL, (1,), rules)]).trace.stalls
    assert (stall.seed, stall.first, stall.end, stall.n_steps) == (1, 0, 400, 400)
    assert stall.actions == {"NOOP": 400}
    assert stall.view["Player"] == 400
    assert stall.view["Player at 99,189"] == 400
    tried = [PastIteration(1, "rejected", "stand still", -1.0, source=STILL)]
    told = collect_feedback(Judge(WorkerPool(0), rules), source(FOLLOW), tried, BREAKOUT).text
    told = told.partition("### Tried before")[2].partition("### Execution trace")[0]
    assert "nothing is gained or lost from step 0 to 400 of 400; actions: NOOP 100%;" in told
    assert "0 in 400 steps, truncated, no points since step 0 | " in told


def test_workers_and_repetition_make_no_difference(judge: Judge):
    seeds = Stream.FEEDBACK.seeds(0, 3)
    alone = collect_results(judge, source(FOLLOW), [], RULES, seeds)
    with WorkerPool(2) as pool:
        assert collect_results(Judge(pool, RULES), source(FOLLOW), [], RULES, seeds) == alone


def test_a_failure_is_traced_up_to_the_step_that_failed():
    got = capture(WorkerPool(0), failing("raise KeyError('Ball')", n=30), (1, 2), RULES)
    window = got.trace.windows[0]
    assert window.title == "the policy failed: KeyError: 'Ball'"
    assert (window.event, window.n_steps) == (29, 29)
    last = window.steps[-1]
    assert (last.step, last.action, last.action_name) == (29, None, "")
    assert last.calls[0].error == "KeyError: Ball"
    assert "line 7, in act" in window.failure
    assert not got.evaluation.is_valid
    assert len([w for w in got.trace.windows if "failed" in w.title]) == 1


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("x = 1 / 0\n" + STILL, Outcome.POLICY_RAISED),
        ("import os\n" + failing("os._exit(3)", n=20), Outcome.DIED),
    ],
)
def test_a_policy_that_cannot_be_recorded_still_has_feedback(text: str, outcome: Outcome):
    got = capture(WorkerPool(0), text, (1,), RULES)
    [episode] = got.evaluation.episodes
    assert episode.outcome is outcome
    assert got.trace.windows[0].failure == episode.detail


def test_a_policy_that_acts_differently_when_it_is_watched_is_told_on():
    watched = "import sys\n\n\ndef act(obs):\n    return 2 if sys.gettrace() else 0\n"
    got = capture(WorkerPool(0), watched, (1,), RULES)
    assert "did not repeat its own actions in the replay of seed 1" in " ".join(got.trace.notes)


def test_what_was_not_recorded_is_counted():
    chatty = FOLLOW.replace(
        "        return self.select_action(obs)",
        "        for _ in range(20):\n            self.select_action(obs)\n"
        "        return self.select_action(obs)",
    )
    got = capture(WorkerPool(0), chatty, (1,), RULES)
    n_steps = sum(len(window.steps) for window in got.trace.windows)
    assert n_steps > 20
    assert got.trace.notes[-1].endswith("a step has too many.")


@pytest.mark.parametrize("spans", [(), ((0, 5),), ((10, 30), (20, 40), (149, 200))])
def test_a_course_is_the_same_episode_however_much_of_it_is_recorded(spans):
    task = Rollout(FOLLOW, (3,), RULES)
    course = follow(Replay(task, spans))
    [episode] = play_episodes(task)
    assert course.result == episode
    steps = sorted({step for first, end in spans for step in range(first, end) if step < 150})
    assert [step.step for step in course.recorded] == steps
    assert sum(reward for _, reward in course.rewards) == episode.episode_return
    for step in course.recorded:
        assert [call.name for call in step.calls] == ["act", "select_action"]
        assert step.calls[0].output == step.action


def test_a_jail_that_is_too_weak_is_refused():
    from gco_agent.core.errors import JailError

    limits = JailLimits(layers=JailLimits().layers & 0)
    with pytest.raises(JailError):
        follow(Replay(Rollout(STILL, (1,), RULES, JailLevel.STRONG, limits)))


def test_what_the_limit_of_the_race_cuts_is_played_on_once():
    config = RunConfig("pong", replace(RULES, max_steps=700), selection_steps=150)
    judge = Judge(WorkerPool(0), config.selection_protocol)
    text = collect_feedback(judge, source(FOLLOW), [], config).text
    assert "8 of 8 episodes were truncated after 150 steps" in text
    whole = judge.under(config.protocol).cached(source(FOLLOW), SEEDS)
    assert [episode.seed for episode in whole.episodes] == list(SEEDS[:2])
    assert all(episode.n_steps > 150 for episode in whole.episodes)
    for episode in whole.episodes:
        row = next(line for line in text.splitlines() if line.startswith(f"{episode.seed}|"))
        assert f"|{episode.episode_return:g} in {episode.n_steps} steps, " in row
    played = judge.n_steps
    assert collect_feedback(judge, source(FOLLOW), [], config).text == text
    assert judge.n_steps == played


def test_the_limit_of_the_rules_themselves_hides_nothing(judge: Judge):
    text = collect_feedback(judge, source(FOLLOW), [], CONFIG).text
    assert "8 of 8 episodes were truncated after 150 steps." in text
    assert "understate" not in text
    assert not judge.under(replace(RULES, max_steps=700)).n_steps


def test_hints_reach_the_feedback(judge: Judge):
    told = collect_feedback(judge, source(FOLLOW), [], CONFIG).text
    untold = collect_feedback(judge, source(FOLLOW), [], replace(CONFIG, hints="none")).text
    assert "|UP" in told
    assert "|UP" not in untold
    assert "ball" not in untold.partition("### Results")[0].lower()
