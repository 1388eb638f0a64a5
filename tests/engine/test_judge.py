"""The judge: what it remembers, and how a race goes."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from gco_agent.core.records import EpisodeResult, Evaluation, Outcome
from gco_agent.core.seeds import Stream
from gco_agent.core.statistics import ALPHA, LOOKS, NO_WORSE_LOOKS, Aim, Verdict
from gco_agent.envs.environment import make_protocol
from gco_agent.evaluation.episode import Rollout, play_episodes
from gco_agent.evaluation.judge import AcceptanceCriterion, Judge, Race, behaviour
from gco_agent.evaluation.workers import WorkerPool
from gco_agent.jail.limits import JailLevel
from gco_agent.policy import PolicySource, replace_docstring
from tests.engine.policies import FOLLOW, HIDE, RULES, STILL, failing

follow, hide, still = PolicySource(FOLLOW), PolicySource(HIDE), PolicySource(STILL)
FIRST, SECOND = LOOKS[:2]
BY_ADDRESS = """class Thing:
    def __init__(self, n):
        self.n = n


class Policy:
    def __init__(self):
        self.things = {Thing(n) for n in range(40)}

    def act(self, obs):
        self.things.add(Thing(id(obs) // 16))
        return (next(iter(self.things)).n + id(obs) // 16) % 6
"""


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


def test_a_clearly_better_child_is_accepted_but_not_at_the_first_look(judge: Judge) -> None:
    seen: list[Race] = []
    race = judge.race(follow, hide, watch=seen.append)
    assert race.verdict is Verdict.BETTER
    assert race.gain is not None
    assert race.gain.mean > 0
    looks = [(one.gain.n_pairs, one.asked) for one in seen if one.gain]
    assert looks == [(n, Aim.BETTER.asked(n)) for n in LOOKS[: len(looks)]]
    assert seen[-1] == race
    assert race.gain.n_pairs >= SECOND
    seeds = Stream.SELECTION.seeds(0, race.gain.n_pairs)
    assert [e.seed for e in race.child.episodes] == list(seeds)
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
    assert judge.race(PolicySource(failing("return 9")), broken).verdict is Verdict.NOT_BETTER


def given(judge: Judge, source: PolicySource, returns: Sequence[float | None]) -> None:
    """Make ``judge`` remember episodes of ``source``; None is one that failed."""
    seeds = Stream.SELECTION.seeds(0, len(returns))
    ended = [Outcome.TIMED_OUT if r is None else Outcome.GAME_OVER for r in returns]
    episodes = zip(seeds, returns, ended, strict=True)
    judge.take_over(
        source, Evaluation(tuple(EpisodeResult(s, r or 0.0, 9, o) for s, r, o in episodes), "")
    )


@pytest.mark.parametrize(
    ("child", "parent", "verdict", "n"),
    [
        ([0.0] * 4, [400.0, 401, 400, None], Verdict.NOT_BETTER, 4),
        ([5.0] * 8, [None] * 8, Verdict.BETTER, 8),
        ([401.0, 405, 398, 400] * 3, [401.0, 405, 398, None] * 3, Verdict.BETTER, 12),
        ([401.0, 404] * 8, [None, 405] + [400.0, 405] * 7, Verdict.BETTER, 8),
        ([380.0, 425] * 8, [None, 405] + [400.0, 405] * 7, Verdict.BETTER, 16),
        ([390.0, 413] * 8, [None, 405] + [400.0, 405] * 7, Verdict.BETTER, 12),
        ([380.0, 412] * 8, [None, 405] + [400.0, 405] * 7, Verdict.NOT_BETTER, 12),
        ([9.0, 9, 9, None], [1.0, 1, 1, None], Verdict.NOT_BETTER, 4),
    ],
)
def test_where_the_parent_fails_the_child_has_to_finish_and_to_play_as_well(
    judge: Judge,
    child: list[float | None],
    parent: list[float | None],
    verdict: Verdict,
    n: int,
) -> None:
    given(judge, follow, child)
    given(judge, still, parent)
    race = judge.race(follow, still)
    assert (race.verdict, len(race.child.episodes)) == (verdict, n)
    assert judge.n_steps == 0


def test_rivals_share_the_chance_of_a_mistake_whatever_is_asked(judge: Judge) -> None:
    given(judge, follow, [2.0, 1, 3, 2, 1, 2, 2, 1] * 4)
    given(judge, still, [2.0, 1, 3, 2, 2, 1, 1, 2] * 4)
    for aim, looks in ((Aim.BETTER, LOOKS), (Aim.NO_WORSE, NO_WORSE_LOOKS)):
        alone, shared = (judge.race(follow, still, AcceptanceCriterion(aim, n)) for n in (1, 3))
        assert shared.asked == aim.asked(len(shared.child.episodes), ALPHA / 3)
        assert alone.asked == aim.asked(len(alone.child.episodes))
        assert len(alone.child.episodes) in looks


def test_a_simpler_child_is_held_to_the_anchor(judge: Judge) -> None:
    """A child as good as its parent, which had lost three quarters of the margin before."""
    anchored = [10.0, 12, 14, 16] * 8
    given(judge, hide, anchored)
    given(judge, still, [r - 0.9 for r in anchored])
    given(judge, follow, [r - 1.8 for r in anchored])
    assert judge.race(still, hide, AcceptanceCriterion(Aim.NO_WORSE)).verdict is Verdict.NO_WORSE
    assert judge.race(follow, still, AcceptanceCriterion(Aim.NO_WORSE)).verdict is Verdict.NO_WORSE
    held = judge.race(follow, still, AcceptanceCriterion(Aim.NO_WORSE, anchor=hide))
    assert held.verdict is Verdict.MAYBE_WORSE
    assert held.gain is not None
    assert held.gain.mean == pytest.approx(-0.9)
    assert held.anchor is not None
    assert held.anchor.gain.mean == pytest.approx(-1.8)
    assert judge.n_steps == 0


def test_the_deadline_cuts_a_race_that_is_not_decided(judge: Judge) -> None:
    given(judge, follow, [1 + number % 3 for number in range(LOOKS[-1])])
    given(judge, still, [2 * (number % 2) for number in range(LOOKS[-1])])
    cut = judge.race(follow, still, deadline=time.perf_counter() - 1)
    assert (cut.cut_short, cut.verdict) == (True, Verdict.NOT_BETTER)
    assert len(cut.child.episodes) == LOOKS[1]  # the first look that could be won
    whole = judge.race(follow, still)
    assert not whole.cut_short
    assert len(whole.child.episodes) > LOOKS[1]


def test_a_race_that_could_be_won_by_then_is_not_cut_before(judge: Judge) -> None:
    given(judge, follow, [500 + number % 3 for number in range(LOOKS[-1])])
    given(judge, still, [13] * LOOKS[-1])
    race = judge.race(follow, still, deadline=time.perf_counter() - 1)
    assert race.verdict is Verdict.BETTER
    assert len(race.child.episodes) == LOOKS[1]


def test_evaluations_do_not_depend_on_the_number_of_workers() -> None:
    results = []
    for n_workers in (1, 2):
        with WorkerPool(n_workers) as pool:
            judge = Judge(pool, replace(RULES, max_steps=80))
            played = judge.evaluate(PolicySource(failing("raise ValueError", 60)), range(3))
            results.append((played, judge.race(follow, hide), judge.n_steps))
    assert results[0] == results[1]


def test_not_even_a_policy_that_goes_by_addresses_depends_on_the_workers() -> None:
    """Raced by one process, by two, and played again for `verify`, after other play and before."""
    child, rules = PolicySource(BY_ADDRESS), replace(RULES, max_steps=60)
    found = []
    for n_workers in (0, 1, 2):
        with WorkerPool(n_workers) as pool:
            judge = Judge(pool, rules)
            judge.evaluate(hide, range(n_workers))
            race = judge.race(child, still)
            again = Judge(pool, rules).evaluate(child, Stream.SELECTION.seeds(0, 4))
        found += [race.child.episodes[:4], again.episodes]
    assert found == [found[0]] * 6
    # alone the same policy plays otherwise, which is why the judge plays pairs wherever it plays
    alone = [play_episodes(Rollout(BY_ADDRESS, (e.seed,), rules)).episodes[0] for e in found[0]]
    assert alone != list(found[0])


def test_half_a_pair_is_played_with_its_other_half(judge: Judge) -> None:
    seeds = Stream.SELECTION.seeds(0, 4)
    seen: list[tuple[int, int]] = []
    judge.evaluate(follow, seeds[1:2], lambda *counts: seen.append(counts))
    assert seen == [(1, 1)]
    assert judge.n_steps == 300
    assert judge.evaluate(follow, seeds[:2]).n_steps == judge.n_steps == 300
    judge.evaluate(follow, Stream.REPORT.seeds(0, 1))
    assert judge.n_steps == 450


episodes = st.builds(
    EpisodeResult,
    seed=st.integers(0, 2**31),
    episode_return=st.floats(allow_nan=False, allow_infinity=False),
    n_steps=st.integers(0, 27_000),
    outcome=st.sampled_from(Outcome),
    detail=st.text(),
    digest=st.text(),
    jail=st.sampled_from(["", "basic", "strong"]),
)


@drawn(st.lists(episodes, unique_by=lambda e: e.seed))
def test_what_is_written_down_is_remembered(played: list[EpisodeResult]) -> None:
    pool = WorkerPool(0)
    evaluation = Evaluation(tuple(played), RULES.stamp)
    text = json.dumps(Judge(pool, RULES).episodes_to_json([(follow, evaluation)]))
    fresh = Judge(pool, RULES)
    fresh.remember(json.loads(text))
    assert fresh.known(follow, [e.seed for e in played]) == evaluation


def test_episodes_of_a_weaker_jail_are_played_again(judge: Judge) -> None:
    seeds = [1, 2]
    real = judge.evaluate(follow, seeds)
    level = judge.jail
    forged = replace(real, episodes=tuple(replace(e, episode_return=21.0) for e in real.episodes))

    def made_in(word: str) -> Evaluation:
        return replace(forged, episodes=tuple(replace(e, jail=word) for e in forged.episodes))

    records = judge.episodes_to_json([(follow, made_in("none")), (hide, made_in("basic"))])
    assert records["jail"] == "none"
    assert records["jails"] == {behaviour(follow): "none", behaviour(hide): "basic"}
    strict = Judge(judge.pool, RULES, JailLevel.BASIC)
    strict.remember(records)
    assert strict.evaluate(hide, seeds).returns == (21.0, 21.0)
    assert strict.jail == "basic"
    assert strict.evaluate(follow, seeds) == real
    assert {e.jail for e in strict.evaluate(follow, seeds).episodes} == {level}
    # what was written before levels were kept for each policy has one for all, or none at all
    for word, taken in (("basic", True), ("none", False), ("", False), ("unheard of", False)):
        older = {**records, "jail": word}
        del older["jails"]
        fresh = Judge(judge.pool, RULES, JailLevel.BASIC)
        fresh.remember(older)
        assert bool(fresh.known(follow, seeds).episodes) is taken
    loose = Judge(judge.pool, RULES)
    loose.remember(records)
    assert loose.evaluate(follow, seeds).returns == (21.0, 21.0)
    assert loose.jail == "none"
    assert loose.episodes_to_json([(follow, loose.evaluate(follow, seeds))])["jail"] == "none"


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
