"""Programs: drawn, changed, written out."""

from __future__ import annotations

import dataclasses
import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gco_agent.core.codec import decode, encode
from gco_agent.core.observation import ObjectBox, Observation
from gco_agent.optimizers.search.genome import (
    Aim,
    Anchor,
    Constant,
    GoTo,
    Intercept,
    LineUp,
    Near,
    Need,
    Pick,
    Plan,
    Program,
    Rule,
    Rules,
    Shows,
    Stay,
    Worth,
    constants,
    headline,
    niche,
    parts_of,
    with_values,
    without,
)
from gco_agent.optimizers.search.grammar import MAX_RULES, MAX_WORTHS, Grammar
from gco_agent.optimizers.search.render import render, snake
from gco_agent.optimizers.search.world import World
from gco_agent.policy.contract import check_policy, load_policy
from gco_agent.policy.source import PolicySource, environment_of, format_policy
from tests.search.strategies import FROZEN, GAUGED, MAZE, PONG, WORLDS, programs

seeds = st.integers(0, 10**6)
worlds = st.sampled_from(WORLDS)
boxes = st.builds(
    ObjectBox,
    st.integers(0, 160),
    st.integers(0, 210),
    st.integers(1, 160),
    st.integers(1, 20),
    st.integers(-40, 40),
    st.integers(-40, 40),
    st.none() | st.integers(0, 64),
)


def by_rules(*rules: Rule, dead_zone: float = 4.0) -> Program:
    return Program(Rules(rules, Constant(dead_zone, 2), Constant(0, 0.4)), ())


def simple(place: float = 100.0, dead_zone: float = 4.0) -> Program:
    return by_rules(Rule("y", None, (), GoTo(Constant(place, 20))), dead_zone=dead_zone)


def planned(*worths: Worth, **parts: Any) -> Program:
    def constant(value: float) -> Constant:
        return Constant(value, 1)

    plan = Plan(
        worths,
        home_x=None,
        home_y=None,
        pull=constant(1),
        stride_x=constant(4),
        stride_y=constant(4),
        tempo=None,
        late=constant(0),
        memory=constant(1),
        horizon=constant(10),
        turn=None,
        anchor=None,
        need=None,
    )
    return Program(dataclasses.replace(plan, **parts), ())


def worth(
    category: str, points: float, line_up: LineUp | None = None, shows: Shows = "anything"
) -> Worth:
    return Worth(category, Constant(points, 1), Constant(1, 1), line_up, shows)


def chosen(program: Program, world: World, objects: dict[str, list[ObjectBox]]) -> str:
    policy = load_policy(PolicySource(render(program, world, "A Game", "x")))
    return world.action_names[int(policy.act(Observation(objects)))]


@settings(deadline=None)
@given(seeds, worlds)
def test_json_gives_the_program_back(seed, world):
    for program in programs(world, seed, 4):
        assert decode(Program, json.loads(json.dumps(encode(program))), "x") == program


@given(seeds, worlds, st.integers(0, 10**6))
def test_constants_are_replaced_in_order(seed, world, value):
    program = programs(world, seed, 1)[0]
    values = [float(value + i) for i, _ in enumerate(constants(program))]
    changed = with_values(program, values)
    assert [constant.value for constant in constants(changed)] == values
    scales = [constant.scale for constant in constants(program)]
    assert [constant.scale for constant in constants(changed)] == scales


@given(seeds, worlds)
def test_same_seed_same_programs(seed, world):
    assert programs(world, seed, 5) == programs(world, seed, 5)


@given(seeds, worlds)
def test_mutants_stay_within_bounds(seed, world):
    for program in programs(world, seed, 12):
        if isinstance(program.moves, Plan):
            assert len(program.moves.worths) <= MAX_WORTHS
        else:
            assert len(program.moves.rules) <= MAX_RULES
            assert {rule.axis for rule in program.moves.rules} <= set(world.axes or ("x", "y"))


@settings(deadline=None, max_examples=40)
@given(seeds, worlds)
def test_every_program_is_a_policy_that_meets_the_contract(seed, world):
    for program in programs(world, seed, 3):
        source = PolicySource(format_policy(render(program, world, "A Game", "gco/AGame-v5")))
        check_policy(source)
        assert environment_of(source) == "gco/AGame-v5"
        assert headline(program) in source.text.partition("\n")[0]


def test_the_title_names_the_most_general_rule_about_a_thing() -> None:
    near = (Near("y", farther=False, limit=Constant(9, 1)),)
    ball, home = Pick("Ball", "nearest"), GoTo(Constant(100, 1))
    program = by_rules(
        Rule("y", Pick("Enemy", "nearest"), near, Stay()),
        Rule("y", ball, (), Intercept(None, None)),
        Rule("y", None, (), home),
    )
    assert headline(program) == "intercept the Ball"


@settings(deadline=None, max_examples=60)
@given(seeds, worlds, st.lists(st.tuples(st.booleans(), boxes), max_size=12))
def test_every_policy_answers_every_observation_with_an_action(seed, world, things):
    names = sorted(world.ranges)
    objects: dict[str, list[ObjectBox]] = {}
    for i, (_, box) in enumerate(things):
        objects.setdefault(names[i % len(names)], []).append(box)
    for program in programs(world, seed, 3):
        policy = load_policy(PolicySource(render(program, world, "A Game", "x")))
        for obs in (Observation(), Observation(objects), Observation(objects)):
            assert policy.act(obs) in range(len(world.action_names))


@pytest.mark.parametrize("world", WORLDS)
def test_no_helper_without_a_call_and_no_constant_without_a_use(world):
    for seed in range(20):
        for program in programs(world, seed, 4):
            text = render(program, world, "A Game", "x")
            for line in text.splitlines():
                name = line.partition("def ")[2].partition("(")[0]
                if name and name not in {"act", "__init__", "steps", "like"}:
                    assert text.count(f"self.{name}(") >= 1, (name, text)
                name, equals, _ = line.partition(" = ")
                if equals and name.isupper() and name != "DEAD_ZONE":
                    assert text.count(name) >= 2, (name, text)


def test_rules_after_one_that_always_decides_are_not_written():
    both = by_rules(*(Rule("y", None, (), GoTo(Constant(at, 20))) for at in (50, 150)))
    assert "150" not in render(both, PONG, "Pong", "x")


def test_what_a_policy_does_is_what_its_rules_say():
    at = {y: chosen(simple(), PONG, {"Player": [ObjectBox(140, y, 4, 15)]}) for y in (30, 160, 92)}
    assert at == {30: "LEFT", 160: "RIGHT", 92: "NOOP"}, "LEFT goes down"


def test_interception_bounces_off_the_walls():
    meet = by_rules(Rule("y", Pick("Ball", "nearest"), (), Intercept(None, None)), dead_zone=1)
    # 100 px to go at 10 a step, 8 px up a step: from y 60 to -20, off the wall at 34 to 88
    ball = ObjectBox(41, 58, 2, 4, 10, -8)
    at = [
        chosen(meet, PONG, {"Player": [ObjectBox(140, y, 4, 15)], "Ball": [ball]})
        for y in (75, 80, 90)
    ]
    assert at == ["LEFT", "NOOP", "RIGHT"]


def test_nothing_is_aimed_at_the_thing_it_meets():
    for seed in range(200):
        for program in programs(PONG, seed, 3):
            for rule in program.moves.rules if isinstance(program.moves, Rules) else ():
                if isinstance(rule.target, Intercept) and rule.target.aim and rule.subject:
                    assert rule.target.aim.at.category != rule.subject.category


def test_niche_names_structure_and_not_numbers():
    def aimed(gain: float) -> Program:
        aim = Aim(Pick("Enemy", "nearest"), Constant(gain, 0.2), Constant(3, 4))
        return by_rules(Rule("y", Pick("Ball", "nearest"), (), Intercept(None, aim)))

    assert niche(aimed(0.1)) == niche(aimed(0.9)) == "y: intercept Ball by Enemy"
    assert niche(planned(worth("Car", -3))) == niche(planned(worth("Car", -9)))
    assert niche(planned(worth("Car", -3))) != niche(planned(worth("Car", 3)))


@given(seeds, worlds)
def test_every_part_can_be_left_out(seed, world):
    program = programs(world, seed, 1)[0]
    parts = parts_of(program)
    assert without(program, set()) == program
    assert parts_of(without(program, set(parts))) == []


def test_categories_become_variable_names():
    assert [snake(name) for name in ("Ball", "EnemyMissile", "P1Score")] == [
        "ball",
        "enemy_missile",
        "p1_score",
    ]


def test_a_player_that_cannot_move_still_gets_programs():
    assert programs(FROZEN, 1, 20)


ME = ObjectBox(44, 100, 8, 8)


def act(program: Program, world: World, **objects: ObjectBox) -> str:
    mine = [ME] * (world.player_index + 1)
    return chosen(program, world, {world.player: mine, **{k: [v] for k, v in objects.items()}})


def test_a_plan_goes_round_what_is_bad_and_to_what_is_good() -> None:
    program = planned(worth("Car", -100), worth("GoldBar", 50), home_y=Constant(0, 1))
    assert act(program, MAZE) == "UP", "home is above"
    assert act(program, MAZE, Car=ObjectBox(44, 88, 8, 8)) != "UP", "a car stands in the way"
    assert act(program, MAZE, GoldBar=ObjectBox(44, 116, 8, 8)) == "DOWN"


def test_a_plan_makes_only_moves_that_there_are() -> None:
    assert "MOVES = [(0, 0), (-1, 0), (0, -1), (0, 1), (1, 0)]" in render(planned(), MAZE, "", "")


def test_a_low_gauge_comes_before_home() -> None:
    need = Need("Air", Constant(20, 1), "y", Constant(200, 1), Constant(50, 1))
    program = planned(home_y=Constant(0, 1), need=need)
    full, low = (ObjectBox(0, 0, 50, 5, 0, 0, air) for air in (60, 5))
    assert (act(program, GAUGED, Air=full), act(program, GAUGED, Air=low)) == ("UP", "DOWN")


def test_home_may_go_with_a_thing() -> None:
    beside = Anchor(Pick("Cube", "nearest"), Constant(30, 1), None)
    program = planned(home_y=Constant(0, 1), anchor=beside)
    assert act(program, GAUGED) == "UP", "nothing to be beside"
    level = planned(anchor=dataclasses.replace(beside, off_y=Constant(0, 1)))
    for x, move in ((14, "NOOP"), (4, "LEFT"), (74, "NOOP"), (90, "RIGHT")):
        assert act(level, GAUGED, Cube=ObjectBox(x, 100, 8, 8)) == move, x
    need = Need("Air", Constant(20, 1), "y", Constant(200, 1), Constant(50, 1))
    both = planned(anchor=beside, need=need)
    low = ObjectBox(0, 0, 50, 5, 0, 0, 5)
    assert act(both, GAUGED, Air=low, Cube=ObjectBox(150, 20, 8, 8)) == "DOWN"


def test_a_plan_predicts_with_mean_speeds() -> None:
    program = planned(worth("Car", -100), home_y=Constant(0, 1), memory=Constant(4, 1))
    policy = load_policy(PolicySource(render(program, MAZE, "A Game", "x")))
    x, seen = 100, []
    for dx in (0, -4, 0, -4, 0, -4, 0):
        x += dx
        mine = {MAZE.player: [ME] * (MAZE.player_index + 1)}
        policy.act(Observation({**mine, "Car": [ObjectBox(x, 150, 8, 8, dx, 0)]}))
        seen.append(policy.speeds["Car", x, 150][1:])  # type: ignore[attr-defined]
    assert seen[:2] == [(0, 0), (-4, 0)], "nothing is known of a speed at first sight"
    assert seen[-1] == pytest.approx((-2, 0), abs=0.6)


def test_a_plan_lines_up_with_what_can_be_shot_and_turns_to_it() -> None:
    level = LineUp("y", Constant(0, 0.1), None)
    program = planned(worth("Cube", 10, level))
    assert act(program, GAUGED, Cube=ObjectBox(120, 60, 8, 8)) == "UP"
    level_cube = ObjectBox(120, 100, 8, 8)
    assert act(program, GAUGED, Cube=level_cube) == "NOOP"
    turning = planned(worth("Cube", 10, level), turn=Constant(3, 1))
    assert act(turning, GAUGED, Cube=level_cube) == "RIGHT"
    both = {"Player": [ME], "Cube": [ObjectBox(180, 140, 8, 8), level_cube]}
    assert chosen(turning, GAUGED, both) == "RIGHT", "one of them is level"
    policy = load_policy(PolicySource(render(turning, GAUGED, "A Game", "x")))
    seen = {"Player": [ME._replace(dx=3)], "Cube": [level_cube]}
    assert GAUGED.action_names[int(policy.act(Observation(seen)))] == "NOOP", "it faces it"
    short = planned(worth("Cube", 10, LineUp("y", Constant(0, 0.1), Constant(40, 9))))
    assert act(short, GAUGED, Cube=level_cube) == "RIGHT", "it is out of reach"


def test_a_hop_is_not_steered_and_goes_to_what_shows_the_least() -> None:
    hop = {"stride_x": Constant(12, 1), "stride_y": Constant(29, 1), "tempo": Constant(8, 1)}
    program = planned(worth("Cube", 10, shows="the least"), **hop)
    cubes = [ObjectBox(44, y, 8, 8, 0, 0, value) for y, value in ((100, 0), (71, 0), (129, 1))]
    rest = {"Player": [ME], "Cube": cubes}
    assert chosen(program, GAUGED, rest) == "UP", "it stands on one, and the other shows more"
    assert chosen(program, GAUGED, {**rest, "Player": [ME._replace(dy=-8)]}) == "NOOP"


def test_new_plans_follow_what_contact_led_to() -> None:
    grammar = Grammar(MAZE, random.Random(3))
    cars, bars = ([grammar.worth(c) for _ in range(20)] for c in ("Car", "GoldBar"))
    assert all(w.points.value < 0 for w in cars)
    assert all(w.points.value > 0 for w in bars)
    aimed = [Grammar(GAUGED, random.Random(i)).worth("Cube").line_up for i in range(40)]
    assert sum(line_up is not None and line_up.axis == "y" for line_up in aimed) > 20
    assert PONG.unit == 1
    assert MAZE.unit == 10
