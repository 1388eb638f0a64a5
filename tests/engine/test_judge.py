"""The judge: what it remembers, and how a race goes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from gco_agent.core.records import EpisodeResult, Evaluation, Outcome
from gco_agent.core.seeds import Stream
from gco_agent.core.statistics import (
    CHEAP_INTERIM_ANALYSES,
    INTERIM_ANALYSES,
    NO_WORSE_INTERIM_ANALYSES,
    Aim,
    Verdict,
)
from gco_agent.envs.environment import make_protocol
from gco_agent.evaluation.judge import (
    CLEAR_RACE_STEPS,
    RACE_STEPS,
    AcceptanceCriterion,
    Judge,
    Race,
    Stop,
)
from gco_agent.evaluation.workers import WorkerPool
from gco_agent.jail.limits import JailLevel
from gco_agent.policy.source import PolicySource, replace_docstring
from tests.engine.policies import FOLLOW, HIDE, RULES, STILL, failing

follow, hide, still = PolicySource(FOLLOW), PolicySource(HIDE), PolicySource(STILL)
FIRST, SECOND = INTERIM_ANALYSES[:2]


class Played:
    """A recording of seven steps of an episode of no interest."""

    n_steps = 7

    def __init__(self, judge: Judge) -> None:
        self.evaluation = judge.evaluate(still, [])


@pytest.fixture
def judge() -> Judge:
    return Judge(WorkerPool(0), RULES)


def test_an_episode_is_played_once(judge: Judge) -> None:
    seen: list[tuple[int, int]] = []
    first = judge.evaluate(follow, [1, 2], lambda *counts: seen.append(counts))
    n_steps = judge.n_steps
    assert seen == [(1, 2), (2, 2)]
    assert n_steps == first.n_steps == 180
    assert judge.evaluate(follow, [2, 1]).returns == first.returns[::-1]
    assert judge.evaluate(follow, [1, 1, 2]).n_steps == 270
    assert judge.n_steps == n_steps
    judge.evaluate(PolicySource(FOLLOW.replace("return 1", "return 1 + 0")), [1])
    assert judge.n_steps == n_steps + 90
    assert judge.jail


def test_a_policy_with_another_docstring_is_another_policy(judge: Judge) -> None:
    """It may act by its docstring, or by the numbers of its lines."""
    reads = """def act(obs):\n    return int(globals()["__do" + "c__"].startswith("Three"))\n"""
    one, three = (replace_docstring(PolicySource(reads), text) for text in ("One", "Three"))
    digests = [judge.evaluate(source, [1]).digest for source in (one, three)]
    assert digests[0] != digests[1]
    assert not judge.cached(replace_docstring(one, "Other"), [1]).episodes


def test_a_clearly_better_child_is_accepted_at_an_interim_analysis(judge: Judge) -> None:
    seen: list[Race] = []
    race = judge.race(follow, hide, watch=seen.append)
    assert race.verdict is Verdict.BETTER
    assert race.gain is not None
    assert race.gain.mean > 0
    looks = [(one.gain.n_pairs, one.critical_p) for one in seen if one.gain]
    assert looks == [(n, Aim.BETTER.critical_p(n)) for n in INTERIM_ANALYSES[: len(looks)]]
    assert seen[-1] == race
    assert race.gain.n_pairs >= FIRST
    seeds = Stream.SELECTION.seeds(0, race.gain.n_pairs)
    assert [e.seed for e in race.child.episodes] == list(seeds)
    assert judge.cached(follow) == race.child
    n_steps = judge.n_steps
    assert judge.race(hide, follow).verdict is Verdict.NOT_BETTER
    assert judge.n_steps == n_steps


def test_an_identical_child_is_not_better(judge: Judge) -> None:
    race = judge.race(still, still)
    assert race.verdict is Verdict.NOT_BETTER
    assert race.gain is not None
    assert race.gain.mean == 0
    assert judge.n_steps == INTERIM_ANALYSES[0] * 90


def test_a_child_that_fails_is_never_accepted(judge: Judge) -> None:
    broken = PolicySource(failing("raise ValueError('lost')", 85))
    race = judge.race(broken, hide)
    assert (race.verdict, race.gain) == (Verdict.NOT_BETTER, None)
    assert race.child.failures
    assert judge.race(PolicySource(failing("return 9")), broken).verdict is Verdict.NOT_BETTER


def given(judge: Judge, source: PolicySource, returns: Sequence[float | None]) -> None:
    """Make ``judge`` remember episodes of ``source``; None is one that failed."""
    seeds = Stream.SELECTION.seeds(0, len(returns))
    ended = [Outcome.TIMED_OUT if r is None else Outcome.GAME_OVER for r in returns]
    episodes = zip(seeds, returns, ended, strict=True)
    played = tuple(EpisodeResult(s, r or 0.0, 9, o) for s, r, o in episodes)
    judge.import_episodes(source.digest, Evaluation(played, judge.protocol.stamp))


@pytest.mark.parametrize(
    ("child", "parent", "verdict", "n"),
    [
        ([0.0] * 4, [400.0, 401, 400, None], Verdict.NOT_BETTER, 4),
        ([5.0] * 16, [None] * 16, Verdict.BETTER, 10),
        ([401.0, 405, 398, 400] * 3, [401.0, 405, 398, None] * 3, Verdict.BETTER, 10),
        ([401.0, 404] * 8, [None, 405] + [400.0, 405] * 7, Verdict.BETTER, 10),
        ([380.0, 425] * 8, [None, 405] + [400.0, 405] * 7, Verdict.BETTER, 10),
        ([390.0, 413] * 8, [None, 405] + [400.0, 405] * 7, Verdict.BETTER, 10),
        ([380.0, 412] * 8, [None, 405] + [400.0, 405] * 7, Verdict.NOT_BETTER, 10),
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
    given(judge, follow, [2.0, 1, 3, 2, 1, 2, 2, 1] * 16)
    given(judge, still, [2.0, 1, 3, 2, 2, 1, 1, 2] * 16)
    for aim, looks in ((Aim.BETTER, INTERIM_ANALYSES), (Aim.NO_WORSE, NO_WORSE_INTERIM_ANALYSES)):
        alone, shared = (judge.race(follow, still, AcceptanceCriterion(aim, n)) for n in (1, 3))
        assert shared.critical_p == aim.critical_p(len(shared.child.episodes), 3)
        assert alone.critical_p == aim.critical_p(len(alone.child.episodes))
        assert len(alone.child.episodes) in looks


def test_a_simpler_child_is_held_to_the_baseline(judge: Judge) -> None:
    """A child as good as its parent, which had lost three quarters of the margin before."""
    anchored = [-20.0, -18, -16, -14] * 16
    given(judge, hide, anchored)
    given(judge, still, [r - 0.5 for r in anchored])
    given(judge, follow, [r - 1.0 for r in anchored])
    assert judge.race(still, hide, AcceptanceCriterion(Aim.NO_WORSE)).verdict is Verdict.NO_WORSE
    assert judge.race(follow, still, AcceptanceCriterion(Aim.NO_WORSE)).verdict is Verdict.NO_WORSE
    held = judge.race(follow, still, AcceptanceCriterion(Aim.NO_WORSE, baseline=hide))
    assert held.verdict is Verdict.MAYBE_WORSE
    assert held.gain is not None
    assert held.gain.mean == pytest.approx(-0.5)
    assert held.baseline is not None
    assert held.baseline.gain.mean == pytest.approx(-1.0)
    assert judge.n_steps == 0


def test_the_same_actions_are_no_worse_after_eight_pairs(judge: Judge) -> None:
    same = PolicySource(f"{FOLLOW}\n\nUNUSED = 1\n")
    race = judge.race(same, follow, AcceptanceCriterion(Aim.NO_WORSE))
    assert (race.verdict, race.n_pairs) == (Verdict.NO_WORSE, 8)


def test_the_deadline_cuts_a_race_that_is_not_decided(judge: Judge) -> None:
    given(judge, follow, [1 + number % 3 for number in range(INTERIM_ANALYSES[-1])])
    given(judge, still, [2 * (number % 2) for number in range(INTERIM_ANALYSES[-1])])
    cut = judge.race(follow, still, deadline=time.perf_counter() - 1)
    assert (cut.stop, cut.verdict) == (Stop.TIME, Verdict.INCONCLUSIVE)
    assert len(cut.child.episodes) == INTERIM_ANALYSES[1]
    whole = judge.race(follow, still)
    assert whole.stop is None
    assert len(whole.child.episodes) > INTERIM_ANALYSES[1]


def test_a_race_that_could_be_won_by_then_is_not_cut_before(judge: Judge) -> None:
    given(judge, follow, [500 + number % 3 for number in range(INTERIM_ANALYSES[-1])])
    given(judge, still, [13] * INTERIM_ANALYSES[-1])
    race = judge.race(follow, still, deadline=time.perf_counter() - 1)
    assert race.verdict is Verdict.BETTER
    assert len(race.child.episodes) == FIRST


def test_a_child_that_fails_at_once_ends_its_race(judge: Judge) -> None:
    """Two episodes of a policy that is slow in every step are enough of them."""
    race = judge.race(PolicySource(failing("return 9")), hide)
    assert (race.verdict, race.n_pairs, race.stop) == (Verdict.NOT_BETTER, 2, None)


@pytest.mark.parametrize("n_workers", [0, 2])
def test_a_race_ends_where_its_steps_end(n_workers: int) -> None:
    """However many play at a time, and beyond its steps by less than a block of two seeds."""
    with WorkerPool(n_workers) as pool:
        judge = Judge(pool, replace(RULES, max_steps=40))
        race = judge.race(follow, still, most_steps=500)
    assert (race.n_pairs, race.stop) == (FIRST, Stop.FRAMES)
    assert judge.n_steps == 4 * (2 * 2 * 40)


def test_an_evaluation_ends_by_the_clock_after_one_group(judge: Judge) -> None:
    played = judge.evaluate(follow, Stream.SELECTION.seeds(0, 6), until=time.perf_counter() - 1)
    assert [e.seed for e in played.episodes] == list(Stream.SELECTION.seeds(0, 2))


def long_episodes(judge: Judge, source: PolicySource, returns: Sequence[float], **kw: Any) -> None:
    """Make ``judge`` remember whole games of 27,000 steps."""
    seeds = Stream.SELECTION.seeds(0, len(returns))
    played = tuple(
        EpisodeResult(s, r, 27_000, Outcome.TRUNCATED, **kw)
        for s, r in zip(seeds, returns, strict=True)
    )
    judge.import_episodes(source.digest, Evaluation(played, judge.protocol.stamp))


ALTERNATING = [1.0 + number % 3 for number in range(INTERIM_ANALYSES[-1])]


def test_a_race_of_whole_games_is_limited_to_a_number_of_steps(judge: Judge) -> None:
    long_episodes(judge, still, [2.0 * (number % 2) for number in range(len(ALTERNATING))])
    long_episodes(judge, follow, ALTERNATING)
    race = judge.race(follow, still)
    assert (race.n_pairs, race.stop, race.verdict) == (16, Stop.STEPS, Verdict.INCONCLUSIVE)
    assert race.n_pairs * 2 * 27_000 <= RACE_STEPS


QBERT = (
    (89125, 40575), (92600, 70350), (93250, 57925), (97925, 68675), (52775, 43625), (86225, 40625),
    (95975, 68250), (88700, 67650), (96125, 69525), (55325, 74675), (92475, 71250), (90850, 68225),
    (78175, 62450), (86375, 61725), (92700, 60750), (93525, 55975),
)  # fmt: skip
"""Returns of a candidate and its parent in a race that left only rare losses to rule out."""


SPACE_INVADERS = (
    (47965, 49860), (49370, 28625), (47735, 12220), (47790, 15100), (48055, 13885), (48170, 40875),
    (48880, 22815), (48770, 36065), (31500, 49235), (47920, 46655), (9935, 4950), (47535, 48375),
    (48195, 24445), (47280, 5755), (48140, 40660), (14880, 6610),
)  # fmt: skip
"""The same in a race that just missed significance after 16 pairs."""


@pytest.mark.parametrize("recorded", [QBERT, SPACE_INVADERS])
def test_a_race_of_whole_games_goes_on_where_more_pairs_decide_it(
    judge: Judge, recorded: Sequence[tuple[int, int]]
) -> None:
    mine, theirs = zip(*recorded, *recorded, strict=True)
    long_episodes(judge, follow, mine)
    long_episodes(judge, still, theirs)
    race = judge.race(follow, still)
    assert (race.n_pairs, race.stop, race.verdict) == (24, None, Verdict.BETTER)
    assert RACE_STEPS < race.n_pairs * 2 * 27_000 <= CLEAR_RACE_STEPS


def test_a_small_gain_on_every_seed_is_raced_on_and_found(judge: Judge) -> None:
    """As in a race of Freeway that ended inconclusive after 64 pairs, behind on no seed."""
    given(judge, follow, [31.0, 30, 31, 31] * 32)
    given(judge, still, [29.0, 28, 28, 29] * 32)
    race = judge.race(follow, still)
    assert (race.n_pairs, race.verdict) == (96, Verdict.BETTER)
    assert judge.most_pairs(Aim.BETTER, race.n_pairs) > race.n_pairs
    given(judge, hide, [29.5, 28, 29, 28] * 32)
    assert judge.race(hide, still).n_pairs <= INTERIM_ANALYSES[-1]


@pytest.mark.parametrize(
    ("ms", "n", "stop"),
    [(2.9, 16, Stop.STEPS), (4.0, 10, Stop.SLOW), (10.0, 4, Stop.SLOW), (40.0, 2, Stop.SLOW)],
)
def test_a_slow_candidate_is_raced_less(judge: Judge, ms: float, n: int, stop: Stop) -> None:
    long_episodes(judge, still, [2.0 * (number % 2) for number in range(len(ALTERNATING))])
    long_episodes(judge, follow, ALTERNATING, cpu_seconds=27 * ms)
    race = judge.race(follow, still, cpu_s=1_200)
    assert (race.n_pairs, race.stop, race.verdict) == (n, stop, Verdict.INCONCLUSIVE)
    again = judge.race(follow, still, most_pairs=n)
    assert (again.n_pairs, again.verdict) == (n, Verdict.INCONCLUSIVE)


def test_rivals_race_together_and_those_behind_are_dropped(judge: Judge) -> None:
    n = len(ALTERNATING)
    given(judge, still, [2 * (number % 2) for number in range(n)])
    given(judge, follow, [500 + number % 3 for number in range(n)])
    given(judge, hide, ALTERNATING)
    shared = AcceptanceCriterion(n_rivals=2)
    seen: list[Race] = []
    won, dropped = judge.race_all([(follow, shared), (hide, shared)], still, watch=seen.append)
    assert (won.verdict, won.stop, won.n_pairs) == (Verdict.BETTER, None, FIRST)
    assert (dropped.verdict, dropped.stop) == (Verdict.INCONCLUSIVE, Stop.RIVAL)
    assert dropped.n_pairs == FIRST
    assert seen == [won]
    # the race of the one that was not dropped is that which it has alone
    assert won == judge.race(follow, still, shared)


def test_evaluations_do_not_depend_on_the_number_of_workers() -> None:
    results = []
    for n_workers in (1, 2):
        with WorkerPool(n_workers) as pool:
            judge = Judge(pool, replace(RULES, max_steps=40))
            played = judge.evaluate(PolicySource(failing("raise ValueError", 30)), range(3))
            results.append((played, judge.race(follow, hide), judge.n_steps))
    assert results[0] == results[1]


def test_races_and_reports_play_the_same_number_of_lanes(judge: Judge) -> None:
    for stream in (Stream.SELECTION, Stream.REPORT):
        seen: list[tuple[int, int]] = []
        before, seeds = judge.n_steps, stream.seeds(0, 4)
        judge.evaluate(follow, seeds[1:2], lambda *counts, seen=seen: seen.append(counts))
        assert seen == [(1, 1)]
        assert judge.n_steps == before + 180
        assert judge.evaluate(follow, seeds[:2]).n_steps == judge.n_steps - before == 180
    before = judge.n_steps
    judge.evaluate(follow, Stream.FEEDBACK.seeds(0, 1))
    assert judge.n_steps == before + 90


def test_a_race_is_run_where_it_is_told_to(judge: Judge) -> None:
    race = judge.race(follow, hide, first_seed=4_000)
    seeds = Stream.SELECTION.seeds(4_000, 4_000 + race.n_pairs)
    assert [e.seed for e in race.child.episodes] == list(seeds)
    assert judge.cached(follow) == race.child


def test_recordings_and_other_rules_are_played_once_and_counted(judge: Judge) -> None:
    whole = judge.under(replace(RULES, max_steps=300))
    assert whole is judge.under(replace(RULES, max_steps=300))
    assert judge.under(RULES) is judge
    n = whole.evaluate(follow, [1]).n_steps
    assert judge.n_steps == n
    for _ in range(2):
        judge.record(follow, "once", lambda: whole.record(follow, "x", lambda: Played(whole)))
    assert judge.n_steps == n + 7 + 7


def test_episodes_of_a_weaker_jail_or_other_rules_are_left_out(judge: Judge) -> None:
    real = judge.evaluate(follow, [1, 2])
    strict = Judge(judge.pool, RULES, JailLevel.BASIC)
    for jail, protocol, taken in (
        ("none", RULES.stamp, False),
        ("unheard of", RULES.stamp, False),
        ("basic", "other rules", False),
        ("basic", RULES.stamp, True),
    ):
        told = tuple(replace(e, jail=jail, episode_return=21.0) for e in real.episodes)
        strict.import_episodes(hide.digest, Evaluation(told, protocol))
        assert bool(strict.cached(hide, [1, 2]).episodes) is taken
    assert strict.evaluate(hide, [1, 2]).returns == (21.0, 21.0)
    assert strict.jail == "basic"


def test_races_are_longer_where_no_emulator_is_played() -> None:
    rules = make_protocol("default", "CartPole-v1")
    pool = WorkerPool(0)
    cheap, dear = Judge(pool, rules), Judge(pool, RULES)
    assert cheap.interim_analyses(Aim.BETTER) == CHEAP_INTERIM_ANALYSES
    assert dear.interim_analyses(Aim.BETTER) == INTERIM_ANALYSES
    assert cheap.interim_analyses(Aim.NO_WORSE) == dear.interim_analyses(Aim.NO_WORSE)
    text = "class Policy:\n    def act(self, obs):\n        return int(obs[2] + {} * obs[3] > 0)\n"
    child, parent = (PolicySource(text.format(gain)) for gain in (0.12, 0.1))
    race = cheap.race(child, parent)
    assert race.gain is not None
    assert race.gain.n_pairs in cheap.interim_analyses(Aim.BETTER)
    assert len(cheap.cached(child).episodes) == race.gain.n_pairs
