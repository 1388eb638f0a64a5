"""What ``--hints paper`` states as a fact is one in the emulator.

Where walls and lanes are is in test_specs; this is the rest: what things are worth, what kills,
what is under way at once.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from gco_agent.core.observation import Row, build_observation
from gco_agent.envs.objects import ObjectObservation, make_object_env
from gco_agent.games.registry import GAMES
from gco_agent.policy.contract import load_policy
from gco_agent.policy.source import PolicySource

Rows = Mapping[str, Sequence[Row]]
HOP, REST, SETTLE = 4, 14, 60
"""Steps in which a hop of Q*bert's is asked for, of its flight, and before the first."""


def still(game: str) -> ObjectObservation:
    """The game without sticky actions, so that what is told to it happens."""
    return make_object_env(game, repeat_action_probability=0.0)


def lowest_value(rows: Rows, category: str) -> int:
    value = rows[category][0][6]
    assert isinstance(value, int)
    return value


def hops(*words: str) -> tuple[float, int]:
    """Points of the last hop, and lives lost in it."""
    env = still("qbert")
    _, lives = env.begin(1)
    for _ in range(SETTLE):
        _, lives, *_ = env.step_rows(0)
    points, before = 0.0, lives
    for word in words:
        points, before = 0.0, lives
        for number in range(HOP + REST):
            action = env.action_names.index(word) if number < HOP else 0
            _, lives, reward, *_ = env.step_rows(action)
            points += reward
    for _ in range(30):
        _, lives, *_ = env.step_rows(0)
    return points, before - lives


EDGES = (
    *((("DOWN", "LEFT"), True), (("DOWN", "DOWN", "LEFT"), True), (("DOWN", "UP"), False)),
    *((("RIGHT", "UP"), True), (("RIGHT", "RIGHT", "UP"), True), (("RIGHT", "LEFT"), False)),
    *((("DOWN",) * 6, True), (("RIGHT",) * 6, True), ((*("DOWN",) * 5, "RIGHT"), True)),
    *((("DOWN", "DOWN"), False), (("RIGHT", "RIGHT"), False)),
)


@pytest.mark.parametrize(("words", "is_fatal"), EDGES, ids=["-".join(w) for w, _ in EDGES])
def test_which_hops_lead_off_the_pyramid(words: tuple[str, ...], is_fatal: bool) -> None:
    """The paper's own program says the opposite of the left and the right edge."""
    points, lost = hops(*words)
    assert bool(lost) == is_fatal
    assert points == (0 if is_fatal else 25)


def test_rows_of_bricks_are_worth_what_is_said_and_the_upper_ones_make_the_ball_fast() -> None:
    path = Path(__file__).parents[2] / "policies/breakout.py"
    policy, env = load_policy(PolicySource.from_file(path)), still("breakout")
    rows, lives = env.begin(3)
    points: dict[int, set[float]] = {}
    fallen: dict[bool, Counter[int]] = {False: Counter(), True: Counter()}
    was_upper = is_over = False
    for _ in range(3_000):
        before = rows
        rows, lives, reward, is_over, _ = env.step_rows(policy.act(build_observation(rows, lives)))
        if reward:
            [y] = [y for y, width in bricks(before).items() if bricks(rows)[y] < width]
            points.setdefault(y, set()).add(reward)
            was_upper = was_upper or reward == 7
        if ball := rows.get("Ball"):
            fallen[was_upper][abs(ball[0][5])] += ball[0][1] > 100
        if is_over:
            break
    facts = GAMES["breakout"].facts
    tops = [facts["top_row"] + facts["row_height"] * number for number in range(6)]
    assert points == {y: {worth} for y, worth in zip(tops, (7, 7, 4, 4, 1, 1), strict=True)}
    assert fallen[False].most_common(1)[0][0] < fallen[True].most_common(1)[0][0]


def bricks(rows: Rows) -> Counter[int]:
    """Top edge of a row of bricks to the pixels of it that stand."""
    widths: Counter[int] = Counter()
    for row in rows["Block"]:
        widths[row[1]] += row[2]
    return widths


def watched(game: str, n_steps: int, seed: int = 1) -> Iterator[Rows]:
    """What is seen in random play."""
    env, rng = make_object_env(game), random.Random(seed)
    rows, _ = env.begin(seed)
    for _ in range(n_steps):
        yield rows
        rows, _, _, is_over, _ = env.step_rows(rng.randrange(len(env.action_names)))
        if is_over:
            rows, _ = env.begin(seed + 1)


def test_one_shot_of_the_cannon_flies_at_a_time_and_upwards() -> None:
    own: Counter[int] = Counter()
    theirs = 0
    for rows in watched("space_invaders", 1_500):
        shots = rows.get("Bullet", ())
        own[sum(row[5] < 0 for row in shots)] += 1
        theirs += any(row[5] > 0 for row in shots)
    assert own[1] > 300
    assert (
        sum(n for many, n in own.items() if many > 1) < 0.03 * own.total()
    )  # a slot changes hands
    assert theirs > 300


def test_the_sizes_of_chicken_and_cars() -> None:
    facts = GAMES["freeway"].facts
    for rows in watched("freeway", 200):
        assert {row[2] for row in rows["Chicken"]} == {facts["chicken_width"]}
        assert {row[2] for row in rows["Car"]} == {facts["car_width"]}


def test_one_thing_at_a_time_crosses_a_lane_of_asterix() -> None:
    for rows in watched("asterix", 800):
        lanes = [row[1] for name in ("Enemy", "Consumable", "Reward") for row in rows.get(name, ())]
        assert len(lanes) == len(set(lanes))


def surfaced(n_waiting: int) -> tuple[int, int]:
    """Lives lost, and divers on board before, when one comes up after so many steps below."""
    env = still("seaquest")
    rows, lives = env.begin(1)
    n_divers = 0
    for number in range(400):
        word = "DOWNFIRE" if 60 <= number < 90 + n_waiting // 5 else "FIRE"
        if number >= 90 + n_waiting:
            word = "UP"
        n_divers = max(n_divers, len(rows.get("CollectedDiver", ())))
        rows, lives, *_ = env.step_rows(env.action_names.index(word))
    return GAMES["seaquest"].lives - lives, n_divers


def test_coming_up_without_a_diver_costs_a_life_and_with_one_fills_the_air() -> None:
    assert surfaced(0) == (1, 0)
    lost, n_divers = surfaced(90)
    assert n_divers == 1
    assert lost == 0


def test_a_shark_or_a_submarine_is_worth_twenty_points_at_first() -> None:
    env, rng = still("seaquest"), random.Random(5)
    env.begin(0)
    rewards = [env.step_rows(rng.randrange(18))[2] for _ in range(1_000)]
    assert {reward for reward in rewards if reward} == {20.0}


def test_fire_speeds_the_car_up_and_a_collision_costs_most_of_its_speed() -> None:
    env = still("enduro")
    rows, _ = env.begin(1)
    speeds, touched = [], []
    for _ in range(300):
        rows, *_ = env.step_rows(env.action_names.index("FIRE"))
        speeds.append(lowest_value(rows, "Speed"))
        touched.append(bool(rows.get("Car")))
    falls = [n for n in range(1, 300) if speeds[n] < speeds[n - 1] - 8]
    assert max(speeds[: falls[0]]) > 5 * speeds[0]
    for number in falls:
        assert touched[number - 1]
        assert speeds[number] < speeds[number - 1] / 3
