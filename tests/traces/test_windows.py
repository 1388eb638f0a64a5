"""Which moments are chosen, of courses made by hand."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from gco_agent.core.records import Outcome
from gco_agent.traces.moments import (
    AFTER,
    BEFORE,
    STALL_STEPS,
    Moment,
    _Notes,
    choose_moments,
    describe_all,
    describe_stays,
    span_of,
)
from tests.traces.samples import course

RAISED = Outcome.POLICY_RAISED


def titles(*courses) -> list[str]:
    return [f"{m.seed}:{m.event} {m.title}" for m in choose_moments(courses)]


def test_the_first_loss_of_the_worst_beside_the_best_gain_of_the_best():
    worst = course(1, [(20, -1.0), (50, -1.0), (60, 1.0)])
    best = course(2, [(30, 1.0), (40, 4.0), (45, 4.0), (90, -1.0)])
    assert titles(worst, best) == [
        "1:199 the end of the worst episode: the game is over",
        "1:20 a reward of -1",
        "2:40 a reward of +4",
        "2:90 a reward of -1",
    ]
    assert titles(best, worst) == titles(worst, best)
    assert [m.is_good for m in choose_moments([worst, best])] == [False, False, True, False]


def test_the_end_of_the_worst_episode_that_was_over_comes_first():
    cut = course(1, [(9, 1.0)], outcome=Outcome.TRUNCATED)
    over, best = course(2, [(9, 3.0), (199, -1.0)]), course(3, [(9, 9.0)])
    title = "2:199 the end of the worst episode that was over: the game is over"
    assert titles(best, over, cut)[0] == f"{title}, and the last step brings -1"
    assert not any(
        "end" in title for title in titles(cut, course(4, [(9, 2.0)], outcome=Outcome.TRUNCATED))
    )


def test_the_end_is_where_play_ended_and_says_how_many_lives_were_left():
    landed = replace(course(1, lives=[(0, 3, 0), (60, 2, 41)]), lives_left=2, in_play=180)
    assert titles(landed)[0] == "1:180 the game is over with 2 lives left"
    assert landed.deaths == (41,)
    shot = replace(landed, lives_left=0)
    assert titles(shot)[0] == "1:180 the game is over"
    assert shot.deaths == (41, 180)
    assert shot.ending.lives == 0
    assert course(1, lives=[(0, 0, 0)]).ending.lives is None


def test_no_three_moments_are_of_a_kind_and_none_repeats_another():
    lives = [(0, 5, 0), (30, 4, 25), (90, 3, 80), (130, 2, 120), (135, 1, 130)]
    courses = [course(n, lives=lives) for n in (1, 2, 3)]
    kinds = [moment.kind for moment in choose_moments(courses)]
    assert kinds == ["end", "life", "life"]


def test_another_loss_is_from_the_median_episode():
    worst, middle, best = (
        course(seed, [(10 * seed + n, -1.0) for n in range(5)] + [(90, float(seed))], n_steps=100)
        for seed in (1, 2, 3)
    )
    assert titles(best, worst, middle)[1:] == [
        "1:10 a reward of -1",
        "2:22 the median episode: a reward of -1",
        "3:90 a reward of +3",
    ]


def test_a_life_is_lost_where_play_ended_before_it_was_counted():
    lost = course(
        1, lives=[(0, 3, 0), (60, 2, 41), (90, 3, 90), (120, 1, 100)], outcome=Outcome.TRUNCATED
    )
    assert titles(lost) == [
        "1:41 a life is lost (3 before, 2 after; counted in step 60)",
        "1:100 a life is lost (3 before, 1 after; counted in step 120)",
    ]


def test_failures_come_first_once_for_each_kind():
    detail = "Traceback (most recent call last):\n  File\nKeyError: 'Ball'"
    failed = [course(n, n_steps=9, outcome=RAISED, detail=detail) for n in (1, 2)]
    other = course(3, [(5, 1.0)], outcome=Outcome.TIMED_OUT, detail="TimeoutError: act", n_steps=8)
    late = course(4, outcome=Outcome.DIED, n_steps=5)
    assert titles(*failed, other, late)[:2] == [
        "1:9 the policy failed: KeyError: 'Ball'",
        "4:5 the policy failed: died",
    ]
    assert "3:5 a reward of +1" in titles(*failed, other, late)


def test_a_long_time_without_anything_is_looked_at_in_its_middle():
    stuck = course(1, [(10, 1.0)], n_steps=10 + STALL_STEPS, outcome=Outcome.TRUNCATED)
    middle, end = 10 + STALL_STEPS // 2, 10 + STALL_STEPS
    stall = f"1:{middle} nothing is gained or lost for {STALL_STEPS} steps (10 to {end})"
    assert titles(stuck) == ["1:10 a reward of +1", stall]
    rewards = [(n * 400, 1.0) for n in range(1, 10)]
    assert not any("nothing is gained" in t for t in titles(course(1, rewards, n_steps=4000)))


def test_where_a_truncated_game_loses_points_is_its_longest_drought():
    rewards = [(n, 1.0) for n in range(0, 27_000, 20) if not 9_000 < n < 9_500]
    cut = course(1, rewards, n_steps=27_000, outcome=Outcome.TRUNCATED)
    assert "1:9250 nothing is gained or lost for 500 steps (9000 to 9500)" in titles(cut)


def test_where_nothing_happens_the_end_is_shown():
    assert titles(course(1, n_steps=200)) == ["1:199 the game is over"]
    cut = course(1, n_steps=200, outcome=Outcome.TRUNCATED)
    assert titles(cut) == ["1:199 the episode is truncated at its step limit"]
    assert titles(course(1, n_steps=0)) == ["1:0 the game is over"]
    assert titles() == []


def test_what_never_moves_and_what_is_left_over_is_told():
    notes = _Notes(())
    for step in range(STALL_STEPS + 60):
        shots = [(4, 9, 1, 1, 0, 0, None, None, None)] if step >= 50 else []
        if step < 50:
            shots.append((step, 20, 1, 1, 1, 0, None, None, None))
        still = (80, 10, 9, 9, 0, 0, None, None, None)
        notes._see_objects(step, {"Shot": shots, "Flag": [still], "Player": [still]})
    assert notes.stays == {
        "Flag": (STALL_STEPS + 60, 0, 80, 10),
        "Shot": (STALL_STEPS + 10, 50, 4, 9),
    }
    moving = frozenset(notes.finder.moving)
    one = replace(course(7), stays=notes.stays, moving=moving)
    other = replace(course(8), stays={"Shot": (STALL_STEPS, 0, 1, 1)})
    assert list(describe_stays([one, other])) == [
        "Never seen to move: Flag.",
        (
            "Stand at one place for long, though others of the category move: Shot at 4,9 for "
            f"{STALL_STEPS + 10} steps (seed 7, from step 50). These may be leftovers that are no "
            "longer in the game."
        ),
    ]
    assert list(describe_stays([course(7)])) == []


def test_spans_stay_in_the_episode():
    moment = Moment(1, 100, "it", is_good=None)
    assert span_of(moment, course(n_steps=200).result) == (100 - BEFORE, 101 + AFTER)
    assert span_of(moment, course(n_steps=101).result) == (100 - BEFORE, 101)
    first = Moment(1, 3, "it", is_good=None)
    assert span_of(first, course(n_steps=200).result) == (0, 4 + AFTER)
    failed = course(n_steps=7, outcome=RAISED).result
    assert span_of(Moment(1, 7, "it failed", is_good=False), failed) == (0, 8)


def test_what_there_was_in_all():
    courses = [
        course(1, [(3, 1.0), (4, -2.0)], [(0, 3, 0), (9, 1, 5)]),
        course(2, [(3, 1.0)], outcome=RAISED, detail="x"),
    ]
    assert describe_all(courses) == (
        "In 2 episodes there were 2 positive rewards, 1 negative reward, 2 lives lost, "
        "1 failure of the policy. Rewards: 2 of +1, 1 of -2."
    )
    assert describe_all([course()]) == "In 1 episode there were no rewards and no losses."


changes = st.lists(
    st.tuples(st.integers(0, 999), st.sampled_from([-1.0, 1.0, 5.0])),
    max_size=20,
    unique_by=lambda change: change[0],
).map(sorted)


@settings(deadline=None)
@given(st.lists(st.builds(course, st.integers(1, 5), changes, n_steps=st.just(1000)), max_size=6))
def test_there_is_always_something_to_show_and_never_too_much(courses):
    chosen = choose_moments(courses)
    assert bool(chosen) == bool(courses)
    assert len(set(chosen)) == len(chosen) <= 5
    assert all(0 <= moment.event < 1000 for moment in chosen)
