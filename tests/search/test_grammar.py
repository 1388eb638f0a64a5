"""Programs: drawn, changed, written out, read back."""

from __future__ import annotations

import dataclasses
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gco_agent.core.observation import ObjectBox, Observation
from gco_agent.optimizers.search.genome import (
    Aim,
    Constant,
    Count,
    GoTo,
    Intercept,
    Pick,
    Program,
    Reading,
    Rule,
    Track,
    constants,
    niche,
    to_json,
    with_values,
)
from gco_agent.optimizers.search.grammar import MAX_RULES, Grammar
from gco_agent.optimizers.search.memory import read_program, read_world
from gco_agent.optimizers.search.prune import without
from gco_agent.optimizers.search.render import render, snake
from gco_agent.optimizers.search.words import headline
from gco_agent.optimizers.search.world import World
from gco_agent.policy import (
    PolicySource,
    check_policy,
    environment_of,
    format_policy,
    load_policy,
    measure,
)
from tests.search.strategies import FROZEN, GAUGED, PONG, WORLDS, names_in, programs

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
)


def simple(place: float = 100.0, dead_zone: float = 4.0) -> Program:
    rule = Rule("y", None, (), GoTo(Constant(place, 20)))
    return Program((rule,), (), (), Constant(dead_zone, 2), Constant(0, 0.4))


@given(seeds, worlds)
def test_json_gives_the_program_back(seed, world):
    for program in programs(world, seed, 4):
        read = read_program(json.loads(json.dumps(to_json(program))), names_in(world))
        assert read == program


EVIL: tuple[object, ...] = ('"]; x #', "\nimport os\n", float("nan"), {"is": "Teleport"}, [[]])


def _places(data):
    """Every place in JSON data at which another value could stand: container and key."""
    parts = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in list(parts):
        yield data, key
        if isinstance(value, dict | list):
            yield from _places(value)


@given(seeds, worlds)
@settings(deadline=None, max_examples=10)
def test_nothing_is_read_that_was_not_written(seed, world):
    """Whatever stands in the place of any part: refused, or it is no text that could do harm."""
    data = to_json(programs(world, seed, 1)[0])
    for container, key in list(_places(data)):
        before = container[key]
        for evil in EVIL:
            container[key] = evil
            with pytest.raises(ValueError, match=r"."):
                read_program(json.loads(json.dumps(data)), names_in(world))
        container[key] = before
    data["more"] = 1
    with pytest.raises(ValueError, match="has not the parts"):
        read_program(data, names_in(world))


@pytest.mark.parametrize(
    ("part", "evil"),
    [
        ("action_names", ["NOOP\nimport os", "FIRE", "RIGHT", "LEFT", "RIGHTFIRE", "LEFTFIRE"]),
        ("player", 'Player"] or __import__("os")["'),
        ("player_index", "0]; import os #"),
        ("axes", ["z"]),
        ("signs", [["1", 0]] * 6),
        ("signs", [[0, 0]]),
        ("ranges", {"Ball": ["a", 1, 1, 1]}),
        ("ranges", {"B\nall": [1, 1, 1, 1]}),
        ("most", {"Ball": 1.5}),
    ],
)
def test_no_world_is_read_that_the_environment_is_not(part, evil):
    with pytest.raises(ValueError, match=r"."):
        read_world({**PONG.to_json(), part: evil}, names_in(PONG))


def test_unknown_node_is_named():
    with pytest.raises(ValueError, match="no Program"):
        read_program({"is": "Teleport"}, names_in(PONG))


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
        assert len(program.rules) <= MAX_RULES
        assert all(rule.axis in world.axes for rule in program.rules) or not world.axes


@settings(deadline=None, max_examples=40)
@given(seeds, worlds)
def test_every_program_is_a_policy_that_meets_the_contract(seed, world):
    for program in programs(world, seed, 3):
        source = PolicySource(format_policy(render(program, world, "A Game", "gco/AGame-v5")))
        check_policy(source)
        assert environment_of(source) == "gco/AGame-v5"
        assert headline(program) in source.text.partition("\n")[0]


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


def test_no_helper_without_a_call():
    for seed in range(30):
        for program in programs(PONG, seed, 4):
            text = render(program, PONG, "Pong", "gco/Pong-v5")
            defined = [
                line.split("def ")[1].split("(")[0] for line in text.splitlines() if "def " in line
            ]
            for name in defined:
                if name not in {"act", "__init__", "steps"}:
                    assert text.count(f"self.{name}(") >= 1, (name, text)


def test_no_constant_without_a_use():
    for seed in range(30):
        for program in programs(PONG, seed, 4):
            text = render(program, PONG, "Pong", "gco/Pong-v5")
            for line in text.splitlines():
                name, equals, _ = line.partition(" = ")
                if equals and name.isupper() and name != "DEAD_ZONE":
                    assert text.count(name) >= 2, (name, text)


def test_rules_after_one_that_always_decides_are_not_written():
    two = dataclasses.replace(simple(), rules=(*simple(50).rules, *simple(150).rules))
    assert "150" not in render(two, PONG, "Pong", "x")


def test_what_a_policy_does_is_what_its_rules_say():
    policy = load_policy(PolicySource(render(simple(100, 4), PONG, "Pong", "x")))
    above = Observation({"Player": [ObjectBox(140, 30, 4, 15)]})
    below = Observation({"Player": [ObjectBox(140, 160, 4, 15)]})
    there = Observation({"Player": [ObjectBox(140, 92, 4, 15)]})
    assert [policy.act(obs) for obs in (above, below, there)] == [3, 2, 0]


def test_interception_bounces_off_the_walls():
    meet = Rule("y", Pick("Ball", "nearest"), (), Intercept(None, None))
    program = Program((meet,), (), (), Constant(1, 2), Constant(0, 0.4))
    policy = load_policy(PolicySource(render(program, PONG, "Pong", "x")))
    # 100 px to go at 10 a step, 8 px up a step: from y 60 to -20, off the wall at 34 to 88
    ball = ObjectBox(41, 58, 2, 4, 10, -8)
    at = {
        y: Observation({"Player": [ObjectBox(140, y, 4, 15)], "Ball": [ball]}) for y in (75, 80, 90)
    }
    assert [policy.act(at[y]) for y in (75, 80, 90)] == [3, 0, 2]


def test_nothing_is_aimed_at_the_thing_it_meets():
    for seed in range(200):
        for program in programs(PONG, seed, 3):
            for rule in program.rules:
                if isinstance(rule.target, Intercept) and rule.target.aim and rule.subject:
                    assert rule.target.aim.at.category != rule.subject.category


def test_niche_names_structure_and_not_numbers():
    def aimed(gain: float) -> Program:
        aim = Aim(Pick("Enemy", "nearest"), Constant(gain, 0.2), Constant(3, 4))
        rule = Rule("y", Pick("Ball", "nearest"), (), Intercept(None, aim))
        return dataclasses.replace(simple(), rules=(rule,))

    assert niche(aimed(0.1)) == niche(aimed(0.9)) == ("y: Intercept Ball by Enemy",)
    assert niche(simple()) == ("y: GoTo ",)


def test_parts_can_be_left_out():
    program = programs(PONG, 11, 1)[0]
    bare = without(program, {("rule", i, 0) for i in range(len(program.rules))})
    assert bare.rules == ()
    assert bare.dead_zone == program.dead_zone


def test_a_player_that_cannot_move_still_gets_programs():
    grammar = Grammar(FROZEN, random.Random(1))
    assert any(grammar.program().presses for _ in range(20))


def test_categories_become_variable_names():
    assert [snake(name) for name in ("Ball", "EnemyMissile", "P1Score")] == [
        "ball",
        "enemy_missile",
        "p1_score",
    ]


def test_programs_stay_readable():
    sizes = [measure(render(p, PONG, "Pong", "x")).cyclomatic for p in programs(PONG, 5, 40)]
    assert max(sizes) < 80


def test_what_gauges_show_decides() -> None:
    low = Rule(
        "y", Pick("Air", "nearest"), (Reading("Air", True, Constant(12, 4)),), GoTo(Constant(40, 9))
    )
    many = Rule(
        "y", Pick("Air", "nearest"), (Count("Cube", False, Constant(3, 1)),), GoTo(Constant(90, 9))
    )
    least = Rule("y", Pick("Cube", "least"), (), Track(None, None))
    most = Rule("x", Pick("Cube", "most"), (), Track(None, None))

    def written(*rules: Rule) -> str:
        program = Program(rules, (), (), Constant(2, 3), Constant(0, 0.4))
        return render(program, GAUGED, "A Game", "x")

    text = written(low, many, least)
    policy = load_policy(PolicySource(text))

    def steered(air: int, values: list[int]) -> str:
        cubes = [ObjectBox(60 * n, 150, 10, 10, value=v) for n, v in enumerate(values)]
        objects = {
            "Player": [ObjectBox(60, 100, 10, 10)],
            "Air": [ObjectBox(49, 170, air, 5, value=air)],
            "Cube": cubes,
        }
        action: int = policy.act(Observation(objects))
        return GAUGED.action_names[action]

    assert steered(11, []) == "UP"
    assert steered(60, [1]) == "DOWN"
    assert steered(60, [1, 1, 1]) == "UP", "three cubes: to y = 90"
    two = [ObjectBox(0, 9, 2, 2, value=1), ObjectBox(50, 9, 2, 2, value=2)]
    seen = Observation({"Player": [ObjectBox(9, 9, 2, 2)], "Cube": two})
    assert GAUGED.action_names[load_policy(PolicySource(written(most))).act(seen)] == "RIGHT"
    assert "AIR_LITTLE = 12" in text
    assert "is there with little Air" in text
    assert "is there with many Cube" in text
    assert "Go to the least valued Cube." in text


def test_gauges_are_asked_where_there_are_any() -> None:
    def texts(world: World) -> str:
        return "".join(
            render(program, world, "A Game", "x")
            for seed in range(40)
            for program in programs(world, seed, 4)
        )

    gauged, bare = texts(GAUGED), texts(dataclasses.replace(GAUGED, values={}))
    for asked in ("value_of(", "least(", "_MANY", "Speed"):
        assert asked in gauged
        assert asked not in bare
