"""Learning a game by playing it: who is moved, how, and what contact leads to."""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gco_agent.core.codec import decode, dumps
from gco_agent.core.observation import Row
from gco_agent.core.records import PlayProtocol
from gco_agent.core.seeds import Stream
from gco_agent.games.registry import find_game
from gco_agent.optimizers.search.grammar import Grammar
from gco_agent.optimizers.search.play import Probe, Segment, names_of, play, probe
from gco_agent.optimizers.search.world import (
    Contact,
    Place,
    Rows,
    Shot,
    Sightings,
    Sign,
    Step,
    Watch,
    World,
    identify,
)
from tests.search.strategies import MAZE, PONG, WORLDS

START = Stream.FEEDBACK.value


def rules(game: str) -> PlayProtocol:
    return PlayProtocol("default", find_game(game).env_id)


def found(game: str) -> World:
    parts = [probe(Probe(rules(game), START + i, 500)) for i in range(2)]
    tasks = [Probe(rules(game), START + 500_200 + 100 * i, 1_600, rests=True) for i in range(3)]
    return identify(names_of(rules(game)).actions, parts, map(probe, tasks))


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
    assert world.hop is None


def test_hops_are_found_with_the_way_of_each_action():
    world = found("qbert")
    assert world.hop is not None
    width, height, steps = world.hop
    assert 12 <= width <= 16
    assert 28 <= height <= 30
    assert 7 <= steps <= 10
    ways = dict(zip(world.action_names, world.signs, strict=True))
    assert world.ground == "Cube"
    assert (ways["UP"], ways["DOWN"]) == ((1, -1), (-1, 1))
    assert (ways["RIGHT"], ways["LEFT"]) == ((1, 1), (-1, -1))


def test_shots_are_found_with_what_they_hit():
    world = found("space_invaders")
    assert world.shot is not None
    assert world.shot[0] == "x"
    assert 2 < world.shot[1] < 9
    assert world.hits["Alien"].reward > 0
    assert any(line.startswith("A shot at Alien: reward +") for line in world.told())


def test_pong_s_right_is_up():
    world = found("pong")
    right, left = world.action_names.index("RIGHT"), world.action_names.index("LEFT")
    assert world.signs[right] == (0, -1)
    assert world.signs[left] == (0, 1)
    assert world.action_for(0, -1, fire=False) == right


@pytest.mark.parametrize("world", WORLDS)
def test_json_gives_the_world_back(world):
    assert decode(World, json.loads(dumps(world)), "x") == world


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
    assert PONG.after([]) == PONG


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
def test_resuming_is_the_same_as_not_having_stopped(game):
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
    assert world.gauges == ("Air", "Speed")
    assert "Speed" not in world.categories, "it has no place on the screen"


def box(x: int, y: int, dx: int = 0, dy: int = 0) -> Row:
    return (x, y, 8, 8, dx, dy, None, None, None)


def test_what_follows_contact_is_attributed_to_it() -> None:
    watch = Watch("Player")
    coin, enemy = {"Coin": [box(54, 50)]}, {"Enemy": [box(50, 44)]}
    for things, reward, is_lost in (
        ({}, 0.0, False),
        ({}, 5.0, False),  # of nothing that was touched
        (coin, 0.0, False),
        (coin, 10.0, False),
        ({}, 0.0, False),
        (enemy, 0.0, False),
        ({"Enemy": [box(80, 80)]}, 0.0, False),
        ({}, 0.0, True),
        (enemy, 0.0, False),
        *[({}, 0.0, False)] * 11,
    ):
        watch.step({"Player": [box(50, 50)], **things}, reward, is_lost=is_lost)
    assert watch.seen.contacts == {
        "": Contact(0, 2, 15.0, n_steps=20),
        "Coin": Contact(1, 1, 10.0, n_steps=4),
        "Enemy": Contact(2, 0, 0.0, 1, n_steps=5),
    }
    assert watch.seen.places == {"": Place(1, 54.0, 54.0)}
    told = PONG.after([watch.seen]).told()
    assert "Contact with Coin: reward +10, 1 of 1 times." in told
    assert "Contact with Enemy: a life lost, 1 of 2 times." in told


def test_what_pushes_the_player_back_is_noticed() -> None:
    watch = Watch("Player")
    car = {"Car": [box(50, 44)]}
    steps: list[tuple[int, Sign, Rows]] = [  # place, way of the action, what is there
        (50, -1, {}),
        (50, -1, car),
        (54, -1, car),  # pushed down, though the action goes up
        (58, -1, {}),
        (54, -1, {}),
        (50, -1, car),
        (54, 1, car),  # it went down itself
        (50, -1, {}),
    ]
    for y, way, things in steps:
        watch.step({"Player": [box(50, y)], **things}, 0, (0, way), is_lost=False)
    assert watch.seen.contacts["Car"] == Contact(2, n_set_back=1, n_steps=5)
    assert "Contact with Car: set back, 1 of 2 times." in PONG.after([watch.seen]).told()


def test_a_gauge_that_falls_at_contact_is_a_set_back() -> None:
    watch = Watch("Player")
    for speed, things in ((60, {}), (59, {"Car": [box(50, 44)]}), (6, {}), (7, {}), (3, {})):
        seen = {"Player": [box(50, 50)], "Speed": [valued(speed)], **things}
        watch.step(seen, 0, is_lost=False)
    assert watch.seen.contacts["Car"] == Contact(1, n_set_back=1, n_steps=3)


def test_what_rewards_more_than_it_sets_back_is_no_danger() -> None:
    often, rarely = Contact(40, 4, 4.0, 0, 12), Contact(40, 30, 30.0, 0, 12)
    assert (often.sets_back, rarely.sets_back, Contact(40, n_set_back=4).sets_back) == (
        *(True, False, False),
    )
    for known, is_bad in ((often, True), (rarely, False)):
        world = dataclasses.replace(PONG, contacts={"Enemy": known})
        drawn = [Grammar(world, random.Random(i)).worth("Enemy") for i in range(20)]
        assert all((worth.points.value < 0) == is_bad for worth in drawn)


def test_rewards_that_come_by_chance_are_not_put_down_to_contact() -> None:
    contacts = {
        "": Contact(0, 40, 40.0, n_steps=1_000),
        "Coin": Contact(10, 8, 8.0, n_steps=50),
        "Cloud": Contact(10, 8, 8.0, n_steps=200),
    }
    world = dataclasses.replace(PONG, contacts=contacts)
    assert (world.tells("Coin"), world.tells("Cloud")) == (True, False)
    assert "Contact with Coin: reward +1, 8 of 10 times." in world.told()
    assert "Contact with Cloud: reward +1, 8 of 10 times, as by chance." in world.told()
    assert not any("contact with :" in line.lower() for line in world.told())


def test_own_shots_are_nothing_to_go_for() -> None:
    shots, known = {"Ball": Shot(9, 90, 900.0, 0.0)}, {"Ball": Contact(9, 9, 9.0, n_steps=9)}
    assert dataclasses.replace(PONG, contacts=known).tells("Ball")
    assert not dataclasses.replace(PONG, contacts=known, shots=shots).tells("Ball")


def hopping(n: int) -> list[Step]:
    """Return steps with ``n`` hops to the right, which last longer than their action."""
    steps, x = [], 0
    for _ in range(n):
        for t in range(12):
            dx = 4 if 1 <= t <= 5 else 0
            x += dx
            row = {"Player": [box(x, 50, dx)]}
            steps.append(Step(row, 1 if t < 3 else 0, t > 0, 0.0, is_lost=False))
    return steps


def test_more_is_played_until_hops_are_told_from_steps() -> None:
    played, taken = [list(random_walk())], 0

    def rests(n: int) -> Iterator[list[Step]]:
        nonlocal taken
        for taken in range(1, 4):  # noqa: B007 - counted
            yield hopping(n)

    names = ("NOOP", "RIGHT", "LEFT")
    for n_hops, n_taken, is_hopping in ((12, 1, True), (4, 3, True), (1, 3, False)):
        world = identify(names, played, rests(n_hops))
        assert (taken, world.hop is not None) == (n_taken, is_hopping)


def test_shots_are_told_from_what_else_appears() -> None:
    watch = Watch("Player")
    me = {"Player": [box(50, 50)]}
    for _ in range(3):
        shot, rock = box(58, 50, 9), box(59, 90, 2)
        watch.step({**me, "Rock": [rock]}, 0, is_lost=False, fires=True)
        watch.step({**me, "Rock": [rock], "Shot": [shot]}, 0, is_lost=False)
        watch.step({**me, "Shot": [shot], "Ship": [box(74, 52)]}, 0, is_lost=False)
        watch.step(me, 20, is_lost=False)
        for _ in range(5):
            watch.step(me, 0, is_lost=False)
    assert watch.seen.shots == {"Shot": Shot(3, 4, 36.0, 0.0)}, "once it is believed to be a shot"
    assert watch.seen.hits == {"Ship": Contact(2, 2, 40.0, n_steps=6)}
    assert PONG.after([watch.seen]).shot == ("y", 9)


def test_where_a_gauge_rises_is_noted() -> None:
    watch = Watch("Player")
    for y, air, reward in ((90, 9, 0), (40, 8, 0), (44, 9, 0), (60, 12, 5), (90, 9, 0)):
        things = {"Player": [box(0, y)], "Air": [valued(air)]}
        watch.step(things, reward, is_lost=False)
    assert watch.seen.places["Air"].y == 48, "what rises with a reward is a score"


def test_where_others_are_when_a_reward_comes_is_noted() -> None:
    watch = Watch("Player")
    things = {"Player": [box(50, 50)], "Enemy": [box(80, 56), box(150, 50)]}
    watch.step(things, 0, is_lost=False)
    watch.step(things, 2, is_lost=False)
    assert watch.seen.gaps == {"Enemy": Place(1, 30.0, 6.0)}
    world = dataclasses.replace(PONG, gaps={"Enemy": Place(2, 60.0, 12.0)})
    told = "Then Enemy is 30 px beside and 6 px above or below Player on average, of 2 times."
    assert told in world.told()
    drawn = [Grammar(world, random.Random(i)).worth("Enemy").line_up for i in range(60)]
    level = [line_up for line_up in drawn if line_up is not None and line_up.lead.value == 0]
    assert level
    assert all(line_up.axis == "y" for line_up in level)
    assert all(24 <= line_up.reach.value <= 39 for line_up in level if line_up.reach)


def random_walk() -> Iterator[Step]:
    moves = {0: (0, 0), 1: (4, 0), 2: (-4, 0)}
    x = 50
    for t in range(120):
        action = (0, 1, 2, 2, 1, 0)[t // 2 % 6]
        dx, dy = moves[action]
        x += dx
        yield Step({"Player": [box(x, 50, dx, dy)]}, action, t % 2 == 1, 0.0, is_lost=False)


def test_strides_are_found_by_playing() -> None:
    world = identify(("NOOP", "RIGHT", "LEFT"), [list(random_walk())])
    assert world.axes == ("x",)
    assert world.strides == ((4.0, 4.0), (0.0, 0.0))


def test_an_axis_on_which_the_player_only_wobbles_is_not_steered() -> None:
    steps = [
        Step(
            {"Player": [box(0, 0, 4 * way, way * (t % 5 == 0))]},
            1 if way > 0 else 2,
            True,
            0,
            False,
        )
        for t in range(60)
        for way in (1, -1)
    ]
    assert identify(("NOOP", "RIGHT", "LEFT"), [steps]).axes == ("x",)


def test_a_game_in_which_nothing_moves_has_no_player() -> None:
    still = [Step({}, 0, True, 0.0, is_lost=False)] * 9
    world = identify(("NOOP",), [still])
    assert (world.player, world.axes) == ("", ())
    assert world.told() == ["Nothing was found that the actions move."]
