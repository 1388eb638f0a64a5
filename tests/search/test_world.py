"""Finding out who is moved, how, and where things go."""

from __future__ import annotations

import dataclasses
import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gco_agent.core.observation import Row, build_observation
from gco_agent.core.records import PlayProtocol
from gco_agent.core.seeds import Stream
from gco_agent.games import find_game
from gco_agent.optimizers.search.genome import Constant, Plan, Program, Worth, to_json
from gco_agent.optimizers.search.grammar import Grammar
from gco_agent.optimizers.search.memory import read_program, read_world
from gco_agent.optimizers.search.play import Probe, Segment, play, probe
from gco_agent.optimizers.search.render import render
from gco_agent.optimizers.search.world import Contact, ContactWatch, Sightings, World, identify
from tests.search.strategies import MAZE, PONG, WORLDS, names_in

START = Stream.FEEDBACK.value


def rules(game: str) -> PlayProtocol:
    return PlayProtocol("default", find_game(game).env_id)


def found(game: str) -> World:
    parts = [probe(Probe(rules(game), START + i, 500)) for i in range(2)]
    moved = parts[0].moved
    for key, per_action in parts[1].moved.items():
        for action, moves in per_action.items():
            moved.setdefault(key, {}).setdefault(action, []).extend(moves)
    return identify(parts[0].action_names, moved, [part.sightings for part in parts])


@pytest.mark.parametrize(
    ("game", "player", "axes"),
    [
        ("pong", "Player", ("y",)),
        ("breakout", "Player", ("x",)),
        ("space_invaders", "Player", ("x",)),
        ("freeway", "Chicken", ("y",)),
        ("asterix", "Player", ("x", "y")),
    ],
)
def test_the_player_is_found_without_its_name(game, player, axes):
    world = found(game)
    assert (world.player, world.player_index, world.axes) == (player, 0, axes)


def test_pong_s_right_is_up():
    world = found("pong")
    right, left = world.action_names.index("RIGHT"), world.action_names.index("LEFT")
    assert world.signs[right] == (0, -1)
    assert world.signs[left] == (0, 1)
    assert world.action_for(0, -1, fire=False) == right


@pytest.mark.parametrize("world", WORLDS)
def test_json_gives_the_world_back(world):
    assert read_world(json.loads(json.dumps(world.to_json())), names_in(world)) == world


def test_actions_are_chosen_by_what_they_do():
    assert PONG.action_for(0, 1, fire=True) == 5
    assert PONG.action_for(0, 0, fire=False) == 0
    assert MAZE.action_for(1, 0, fire=False) == 2
    assert MAZE.action_for(0, -1, fire=False) == 1


rows = st.tuples(
    st.integers(0, 160), st.integers(0, 210), st.integers(1, 9), st.integers(1, 9)
).map(lambda box: (*box, 0, 0, None, None, None))
seen = st.dictionaries(st.sampled_from(["Ball", "Car", "Player"]), st.lists(rows, min_size=1))


@given(st.lists(seen, max_size=6), st.randoms())
def test_sightings_do_not_depend_on_their_order(frames, rng):
    parts = []
    for frame in frames:
        part = Sightings()
        part.note(frame)
        parts.append(part)
    shuffled = rng.sample(parts, len(parts))
    assert PONG.after(parts) == PONG.after(shuffled)


@given(seen)
def test_ranges_hold_every_centre(frame):
    sightings = Sightings()
    sightings.note(frame)
    for category, members in frame.items():
        left, right, top, bottom = sightings.ranges[category]
        assert sightings.most[category] == len(members)
        for x, y, w, h, *_ in members:
            assert left <= x + w / 2 <= right
            assert top <= y + h / 2 <= bottom


CHASER = """
class Policy:
    def __init__(self):
        self.calls = 0

    def act(self, obs):
        self.calls += 1
        if self.calls % 9 == 0 or not obs["Ball"] or not obs["Player"]:
            return 1
        return 2 if obs["Ball"][0].cy < obs["Player"][0].cy else 3
"""


@pytest.mark.parametrize("game", ["pong", "breakout", "qbert"])
def test_going_on_is_the_same_as_not_having_stopped(game):
    whole = play(Segment(rules(game), CHASER, START, 120))
    first = play(Segment(rules(game), CHASER, START, 45))
    play(Segment(rules(game), CHASER, START + 1, 33))
    second = play(Segment(rules(game), CHASER, START, 120, first.checkpoint))
    assert (second.total, second.n_steps, second.actions) == (whole.total, 120, whole.actions)
    assert (first.n_new_steps, second.n_new_steps) == (45, 75)


def test_seeds_make_a_difference():
    totals = {play(Segment(rules("pong"), CHASER, START + i, 200)).actions for i in range(4)}
    assert len(totals) > 1


def valued(value: int | None, width: int = 5) -> Row:
    return (10, 20, width, 5, 0, 0, value, None, None)


def test_what_things_show_is_noted_where_it_changes() -> None:
    sightings = [Sightings(), Sightings()]
    sightings[0].note({"Air": [valued(64)], "Cube": [valued(0), valued(2)], "Ball": [valued(None)]})
    sightings[0].note({"Clock": [valued(7)], "Speed": [valued(3, width=0)]})
    sightings[1].note({"Air": [valued(12)], "Clock": [valued(7)], "Speed": [valued(9, width=0)]})
    world = PONG.after(sightings)
    assert world.values == {"Air": (12, 64), "Cube": (0, 2), "Speed": (3, 9)}
    assert "Speed" not in world.categories, "it has no place on the screen"
    assert world == PONG.after(sightings[::-1])
    assert read_world(json.loads(json.dumps(world.to_json())), names_in(world)) == world
    assert world.after([]) == world
    without = {name: part for name, part in world.to_json().items() if name != "values"}
    assert read_world(without, names_in(world)).values == {}, (
        "a run that was begun before values were noted"
    )


def box(x: int, y: int) -> Row:
    return (x, y, 8, 8, 0, 0, None, None, None)


def test_what_follows_contact_is_attributed_to_it() -> None:
    watch = ContactWatch("Player")
    coin, enemy = {"Coin": [box(54, 50)]}, {"Enemy": [box(50, 44)]}
    for rows, reward, is_lost in (
        ({}, 5.0, False),  # of nothing that was touched
        (coin, 0.0, False),
        (coin, 10.0, False),
        ({}, 0.0, False),
        (enemy, 0.0, False),
        ({"Enemy": [box(80, 80)]}, 0.0, False),
        ({}, 0.0, True),
        (enemy, 0.0, False),
        ({}, 0.0, False),
    ):
        watch.step({"Player": [box(50, 50)], **rows}, reward, is_lost=is_lost)
    assert watch.contacts == {"Coin": Contact(1, 1, 10.0, 0), "Enemy": Contact(2, 0, 0.0, 1)}


def test_strides_are_found_by_playing() -> None:
    moves = {(("Player", 0)): {0: [(0, 0)] * 20, 1: [(4, 0), (0, 0)] * 10, 2: [(-4, 0)] * 20}}
    world = identify(("NOOP", "RIGHT", "LEFT"), moves, [])
    assert world.axes == ("x",)
    assert world.strides == ((3.0, 4.0), (0.0, 0.0))


ROAD = dataclasses.replace(
    MAZE,
    player_index=0,
    strides=((0.0, 0.0), (4.0, 4.0)),
    axes=("y",),
    contacts={"Car": Contact(30, 0, 0.0, 12), "GoldBar": Contact(5, 4, 40.0, 0)},
)


def test_a_plan_goes_round_what_is_bad_and_to_what_is_good() -> None:
    def constant(value: float) -> Constant:
        return Constant(value, 1)

    def worth(category: str, points: float) -> Worth:
        return Worth(category, constant(points), constant(1), None, constant(0))

    plan = Plan(
        (worth("Car", -100), worth("GoldBar", 50)),
        *(None, constant(0)),
        *(constant(1), constant(0), constant(4), constant(0), constant(10)),
    )
    program = Program((), (), (), constant(0), constant(0), plan)
    scope: dict[str, Any] = {}
    exec(render(program, ROAD, "Road", "gco/Freeway-v5"), scope)
    assert read_program(json.loads(json.dumps(to_json(program))), names_in(ROAD)) == program
    act = scope["Policy"]().act
    up, stay, down = 1, 0, 4
    me = {"Chicken": [(44, 100, 8, 8, 0, 0, None, None, None)]}
    seen = lambda rows: act(build_observation({**me, **rows}, 1))  # noqa: E731
    assert seen({}) == up, "home is above"
    car = (44, 88, 8, 8, 0, 0, None, None, None)
    assert seen({"Car": [car]}) in (stay, down), "a car stands in the way"
    assert seen({"GoldBar": [(44, 116, 8, 8, 0, 0, None, None, None)]}) == down


def test_new_plans_follow_what_contact_led_to() -> None:
    grammar = Grammar(ROAD, random.Random(3))
    worths = [grammar.worth(category) for category in ("Car", "GoldBar") for _ in range(20)]
    assert all(w.points.value < 0 for w in worths[:20])
    assert all(w.points.value > 0 for w in worths[20:])
