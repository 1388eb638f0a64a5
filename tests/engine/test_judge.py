"""The judge: what it remembers, and how a race goes."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gco_agent.envs.opening import make_protocol
from gco_agent.judge import Judge, Race, behaviour
from gco_agent.policy import PolicySource, replace_docstring
from gco_agent.records import EpisodeResult, Evaluation, Outcome
from gco_agent.seeds import Stream
from gco_agent.statistics import LOOKS, Aim, Verdict
from gco_agent.workers import WorkerPool
from tests.engine.policies import FOLLOW, HIDE, RULES, STILL, failing

follow, hide, still = PolicySource(FOLLOW), PolicySource(HIDE), PolicySource(STILL)
FIRST = LOOKS[0]


@pytest.fixture
def judge() -> Judge:
    return Judge(WorkerPool(0), RULES)


def test_an_episode_is_played_once(judge: Judge) -> None:
    seen: list[tuple[int, int]] = []
    first = judge.evaluate(follow, [1, 2], lambda *counts: seen.append(counts))
    n_steps = judge.n_steps
    assert seen == [(1, 2), (2, 2)]
    assert n_steps == first.n_steps == 300
    other_words = replace_docstring(follow, "Other words.\n")
    assert judge.evaluate(other_words, [2, 1]).returns == first.returns[::-1]
    assert judge.evaluate(follow, [1, 1, 2]).n_steps == 450
    assert judge.n_steps == n_steps
    judge.evaluate(PolicySource(FOLLOW.replace("return 0", "return 1")), [1])
    assert judge.n_steps == n_steps + 150
    assert judge.jail


def test_a_policy_that_reads_its_docstring_is_another_with_another_one() -> None:
    reads = PolicySource('"""One."""\n\n\ndef act(obs):\n    return len(__doc__) % 2\n')
    assert behaviour(reads) != behaviour(replace_docstring(reads, "Three"))
    assert behaviour(follow) == behaviour(replace_docstring(follow, "Three"))
    assert behaviour(follow) != behaviour(hide)
    broken = PolicySource("def act(obs:\n")
    assert behaviour(broken) == broken.digest


def test_a_clearly_better_child_is_accepted_at_the_first_look(judge: Judge) -> None:
    seen: list[Race] = []
    race = judge.race(follow, hide, watch=seen.append)
    assert race.verdict is Verdict.BETTER
    assert race.gain is not None
    assert race.gain.mean > 0
    assert race.gain.n_pairs == FIRST
    assert seen == [race]
    assert [e.seed for e in race.child.episodes] == list(Stream.SELECTION.seeds(0, FIRST))
    assert judge.known(follow) == race.child
    n_steps = judge.n_steps
    assert judge.race(hide, follow).verdict is Verdict.NOT_BETTER
    assert judge.n_steps == n_steps


def test_an_identical_child_is_turned_down_and_not_even_played(judge: Judge) -> None:
    race = judge.race(replace_docstring(still, "Twin."), still)
    assert race.verdict is Verdict.NOT_BETTER
    assert race.gain is not None
    assert race.gain.mean == 0
    assert judge.n_steps == FIRST * 150


def test_a_child_that_fails_is_never_accepted(judge: Judge) -> None:
    broken = PolicySource(failing("raise ValueError('lost')", 140))
    race = judge.race(broken, hide)
    assert (race.verdict, race.gain) == (Verdict.NOT_BETTER, None)
    assert race.child.failures
    assert judge.race(hide, broken).verdict is Verdict.BETTER
    assert judge.race(PolicySource(failing("return 9")), broken).verdict is Verdict.NOT_BETTER


def test_the_deadline_cuts_a_race_that_is_not_decided(judge: Judge) -> None:
    key, seeds = behaviour(follow), Stream.SELECTION.seeds(0, LOOKS[-1])
    for number, seed in enumerate(seeds):
        for name, gain in ((key, 1 + number % 3), (behaviour(still), 2 * (number % 2))):
            judge._known[name, seed] = EpisodeResult(seed, gain, 1, Outcome.GAME_OVER)
    cut = judge.race(follow, still, deadline=time.perf_counter() - 1)
    assert (cut.cut_short, cut.verdict) == (True, Verdict.NOT_BETTER)
    assert len(cut.child.episodes) == FIRST
    whole = judge.race(follow, still)
    assert not whole.cut_short
    assert len(whole.child.episodes) > FIRST


def test_evaluations_do_not_depend_on_the_number_of_workers() -> None:
    results = []
    for n_workers in (1, 2):
        with WorkerPool(n_workers) as pool:
            judge = Judge(pool, replace(RULES, max_steps=80))
            played = judge.evaluate(PolicySource(failing("raise ValueError", 60)), range(3))
            results.append((played, judge.race(follow, hide), judge.n_steps))
    assert results[0] == results[1]


episodes = st.builds(
    EpisodeResult,
    seed=st.integers(0, 2**31),
    episode_return=st.floats(allow_nan=False, allow_infinity=False),
    n_steps=st.integers(0, 27_000),
    outcome=st.sampled_from(Outcome),
    detail=st.text(),
    digest=st.text(),
)


@given(st.lists(episodes, unique_by=lambda e: e.seed))
def test_what_is_written_down_is_remembered(played: list[EpisodeResult]) -> None:
    pool = WorkerPool(0)
    evaluation = Evaluation(tuple(played), RULES.stamp)
    text = json.dumps(Judge(pool, RULES).episodes_to_json([(follow, evaluation)]))
    fresh = Judge(pool, RULES)
    fresh.remember(json.loads(text))
    assert fresh.evaluate(follow, [e.seed for e in played]) == evaluation
    assert fresh.n_steps == 0


def test_episodes_of_other_rules_are_not_remembered(judge: Judge) -> None:
    other = Judge(judge.pool, replace(RULES, sticky=0.0))
    other.remember(judge.episodes_to_json([(follow, judge.evaluate(follow, [1]))]))
    assert not other._known


def test_races_are_longer_where_no_emulator_is_played() -> None:
    rules = make_protocol("default", "CartPole-v1")
    pool = WorkerPool(0)
    cheap, dear = Judge(pool, rules), Judge(pool, replace(rules, frame_skip=4))
    assert cheap.looks(Aim.BETTER) == (8, 16, 32, 64)
    assert dear.looks(Aim.BETTER) == LOOKS
    assert cheap.looks(Aim.NO_WORSE) == dear.looks(Aim.NO_WORSE)
    text = "class Policy:\n    def act(self, obs):\n        return int(obs[2] + {} * obs[3] > 0)\n"
    child, parent = (PolicySource(text.format(gain)) for gain in (0.12, 0.1))
    race = cheap.race(child, parent)
    assert race.gain is not None
    assert race.gain.n_pairs in cheap.looks(Aim.BETTER)
    assert len(cheap.known(child).episodes) == race.gain.n_pairs
