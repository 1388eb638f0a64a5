"""Every word of the games' specifications is true, and a wrong one is found by name."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import pytest

from gco_agent.core.observation import Row
from gco_agent.envs.objects import make_object_env
from gco_agent.games.registry import GAMES
from gco_agent.games.spec import GameSpec
from tests.ale.checking import TRIALS, Trial, check_objects
from tests.ale.games import actions

each_game = pytest.mark.parametrize("spec", GAMES.values(), ids=list(GAMES))
N_STEPS = {"seaquest": 2_400, "qbert": 1_800}


@each_game
def test_a_specification_is_true(spec: GameSpec) -> None:
    findings = check_objects(spec, TRIALS[spec.name], N_STEPS.get(spec.name, 900))
    assert [str(finding) for finding in findings] == []


PONG, TRIAL = GAMES["pong"], TRIALS["pong"]
PLAYER, BALL, ENEMY = PONG.categories


def with_categories(*categories: object) -> GameSpec:
    return replace(PONG, categories=categories)  # type: ignore[arg-type]


WRONG: dict[str, GameSpec | Trial] = {
    "Ball.x": with_categories(PLAYER, replace(BALL, x=(20, 140)), ENEMY),
    "Ball.y": with_categories(PLAYER, replace(BALL, y=(60, 90)), ENEMY),
    "Ball.value": with_categories(PLAYER, replace(BALL, value="its speed"), ENEMY),
    "Ball.orientation": with_categories(PLAYER, replace(BALL, orientation="its way"), ENEMY),
    "Ball.dx, dy": with_categories(PLAYER, replace(BALL, moves=False), ENEMY),
    "Ball": replace(TRIAL, presence={"Enemy": "usual"}),
    "Enemy": with_categories(PLAYER, BALL),
    "Ghost": with_categories(*PONG.categories, replace(BALL, name="Ghost")),
    "lives": replace(PONG, lives=3),
    "actions": replace(PONG, actions={**PONG.actions, "UP": "moves up"}),
    "action UP": replace(TRIAL, effects={"UP": (0, -1)}),
    "action RIGHT": replace(TRIAL, effects={"RIGHT": (0, 1)}),
    "action FIRE": replace(TRIAL, effects={"FIRE": (0, 1)}),
}


@pytest.mark.parametrize("about", WRONG)
def test_a_wrong_word_is_found_by_name(about: str) -> None:
    wrong = WRONG[about]
    spec, trial = (PONG, wrong) if isinstance(wrong, Trial) else (wrong, TRIAL)
    assert about in {finding.about for finding in check_objects(spec, trial, 400)}


def watched(game: str, n_steps: int = 1_500) -> dict[str, list[Row]]:
    """All rows of every category in random play."""
    env = make_object_env(game)
    rows, _ = env.begin(5)
    seen: dict[str, list[Row]] = defaultdict(list)
    for action in actions(5, len(env.action_names), n_steps):
        for category, members in rows.items():
            seen[category] += members
        rows, _, _, terminated, _ = env.step_rows(action)
        if terminated:
            rows, _ = env.begin(6)
    return seen


def test_the_walls_of_pong_are_where_the_hints_say() -> None:
    facts, seen = PONG.facts, watched("pong")
    heights = [row[1] for row in seen["Ball"]]
    assert 0 <= min(heights) - facts["top_wall"] <= 4  # a step takes it 4 pixels
    assert 0 <= facts["bottom_wall"] - max(heights) <= 4
    assert {row[0] for row in seen["Player"]} == {facts["paddle_x"]}
    assert {row[0] for row in seen["Enemy"]} == {facts["enemy_x"]}


def test_the_walls_of_breakout_are_where_the_hints_say() -> None:
    facts, seen = GAMES["breakout"].facts, watched("breakout")
    assert abs(min(row[0] for row in seen["Ball"]) - facts["left_wall"]) <= 1
    assert abs(max(row[0] + row[2] for row in seen["Ball"]) - facts["right_wall"]) <= 1
    assert {row[1] for row in seen["Player"]} == {facts["paddle_y"]}
    tops = {facts["top_row"] + facts["row_height"] * i for i in range(6)}
    assert {row[1] for row in seen["Block"]} == tops


def test_the_lanes_of_freeway_and_asterix_are_where_the_hints_say() -> None:
    facts, seen = GAMES["freeway"].facts, watched("freeway", 600)
    lanes = range(facts["top_lane"], facts["bottom_lane"] + 1, facts["lane_height"])
    assert {row[1] for row in seen["Car"]} == set(lanes)
    mine = [row for row in seen["Chicken"] if row[0] < 80]
    assert {row[0] for row in mine} == {facts["chicken_x"]}
    assert max(row[1] for row in mine) == facts["start_y"]
    for row in seen["Car"]:
        if row[4]:
            assert (row[4] < 0) == (row[1] < 100), "upper lanes drive left"
    facts, seen = GAMES["asterix"].facts, watched("asterix", 600)
    lanes = range(facts["top_lane"], facts["bottom_lane"] + 1, facts["lane_height"])
    assert {row[1] for row in seen["Player"]} <= set(lanes)
    assert {row[1] for row in [*seen["Enemy"], *seen["Reward"]]} == set(lanes)


def test_the_surface_of_seaquest_is_where_the_hints_say() -> None:
    seen = watched("seaquest", 800)
    assert min(row[1] for row in seen["Player"]) == GAMES["seaquest"].facts["surface_y"]


def test_what_asterix_calls_a_reward_is_made_where_points_were_and_cannot_be_collected() -> None:
    env = make_object_env("asterix", repeat_action_probability=0.0)
    rows, _ = env.begin(2)
    made = 0
    for action in actions(2, 9, 700):
        before, (rows, _, reward, terminated, _) = rows, env.step_rows(action)
        new = {row[1] for row in rows.get("Reward", ())} - {r[1] for r in before.get("Reward", ())}
        assert bool(new) == bool(reward)
        made += bool(reward)
        if terminated:
            break
    assert made > 2
