"""Landings, found without knowing a game."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gco_agent.core.observation import ObjectBox
from gco_agent.traces.records import TracedStep
from gco_agent.traces.render import find_arrivals, predictions
from tests.traces.samples import PLAYER_Y, call, falling, step, window


def transposed(steps: list[TracedStep]) -> list[TracedStep]:
    """The same with rows and columns exchanged, as in Pong."""

    def turn(box: ObjectBox) -> ObjectBox:
        return ObjectBox(box.y, box.x, box.h, box.w)

    return [
        replace(s, objects={name: tuple(map(turn, boxes)) for name, boxes in s.objects.items()})
        for s in steps
    ]


def test_a_ball_that_falls_lands_where_its_line_meets_the_row():
    found = find_arrivals([window(falling())])
    assert found is not None
    assert (found.category, found.player, found.axis) == ("Ball", "Player", "x")
    # its lower edge is level with the paddle when it has fallen to 96, which is 6.5 steps away
    assert {step for _, step in found.centres} == set(range(7))
    assert list(found.centres.values()) == [pytest.approx(40 + 4 * 6.5 + 1)] * 7


def test_rows_and_columns_are_the_same_thing():
    found = find_arrivals([window(transposed(falling()))])
    assert found is not None
    assert found.axis == "y"
    assert list(found.centres.values()) == [pytest.approx(67.0)] * 7


def test_a_ball_that_is_hit_lands_where_it_turns():
    down = [step(i, (40 + 4 * i, 72 + 4 * i), x=50 + i % 2) for i in range(6)]  # to y 92
    up = [step(6 + i, (64 + 4 * i, 90 - 4 * i), x=50 + i % 2) for i in range(5)]
    found = find_arrivals([window([*down, *up])])
    assert found is not None
    assert {number for _, number in found.centres} == set(range(6))
    assert list(found.centres.values()) == [pytest.approx(63.0, abs=3)] * 6


def test_a_ball_that_vanishes_on_its_way_lands_nowhere():
    steps = falling(5)
    steps += [step(5 + i, None) for i in range(3)]
    assert find_arrivals([window(steps)]) is None


def test_seeds_are_kept_apart():
    found = find_arrivals([window(falling()), window(falling(dx=0), seed=8)])
    assert found is not None
    assert found.centres[7, 0] == pytest.approx(67.0)
    assert found.centres[8, 0] == pytest.approx(41.0)


def test_nothing_lands_where_there_is_no_player_or_it_goes_everywhere():
    everywhere = [
        replace(s, objects={**s.objects, "Player": (ObjectBox(i, PLAYER_Y + i, 16, 4),)})
        for i, s in enumerate(falling())
    ]
    assert find_arrivals([window(everywhere)]) is None
    alone = [replace(s, objects={"Ball": s.objects["Ball"]}) for s in falling()]
    assert find_arrivals([window(alone)]) is None
    many = [replace(s, objects={**s.objects, "Ball": s.objects["Ball"] * 2}) for s in falling()]
    assert find_arrivals([window(many)]) is None
    assert find_arrivals([]) is None
    assert find_arrivals([window([])]) is None


def test_a_player_by_another_name_is_what_keeps_to_a_row():
    steps = [
        replace(s, objects={"Paddle": s.objects["Player"], "Ball": s.objects["Ball"]})
        for s in falling()
    ]
    found = find_arrivals([window(steps)])
    assert found is not None
    assert found.player == "Paddle"


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 150), st.integers(0, 190)) | st.none(), max_size=30),
    st.booleans(),
)
def test_any_course_is_borne(places, is_transposed):
    steps = [step(i, place, x=(i * 7) % 90) for i, place in enumerate(places)]
    found = find_arrivals([window(transposed(steps) if is_transposed else steps)])
    if found is not None:
        assert {number for _, number in found.centres} <= set(range(len(steps)))
        assert all(-200 < place < 400 for place in found.centres.values())


@pytest.mark.parametrize(
    ("outputs", "is_place"),
    [
        ([40 + 4 * i for i in range(10)], True),
        ([67.0] * 10, True),
        ([-30.0, -20.0, 70.0, 69.0, 68.0, 67.0, 66.0, 67.0, 67.0, 67.0], True),
        ([-1, 0, 1, 1, 1, 0, -1, 1, 1, 1], False),  # a direction
        ([-6.0] * 10, False),  # an offset
        ([27 - 6 * i for i in range(10)], False),  # a distance to the player
        ([True] * 10, False),
        ([None] * 10, False),
        ([float("nan")] * 10, False),
        ([5_000.0] * 10, False),
    ],
)
def test_only_what_can_be_a_place_is_compared_with_places(outputs, is_place):
    steps = [
        replace(s, calls=(call("aim", output),))
        for s, output in zip(falling(), outputs, strict=True)
    ]
    found = find_arrivals([window(steps)])
    assert found is not None
    assert (found.predictors == {"aim"}) is is_place
    assert bool(predictions(window(steps), found)) is is_place
