"""What we observe beyond OCAtari is what the picture and the rewards show."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from gco_agent.envs.objects import Rules, make_object_env
from gco_agent.envs.ram_readers import READERS, _half

_SKY, _EDGE = 52, 8


def driven(n_steps: int, seed: int = 2, rules: Rules = Rules()) -> Any:  # noqa: B008 - frozen
    """Enduro with the throttle down: rows, grey picture and reward of every step."""
    env = make_object_env("enduro", repeat_action_probability=0.0, rules=rules)
    rng, action = random.Random(seed), 1
    env.begin(1)
    for step in range(n_steps):
        if step % 4 == 0:
            action = rng.choice([1, 1, 1, 7, 8])
        rows, _, reward, _, _ = env.step_rows(action)
        yield rows, env.unwrapped.ale.getScreenGrayscale().astype(int), reward  # type: ignore[attr-defined]


def marked(picture: Any, y: int) -> set[int]:
    """Columns of a line of the picture that are not of its background."""
    line = picture[y]
    background = np.bincount(line[_EDGE:]).argmax()
    return {x for x in range(_EDGE, 160) if line[x] != background}


def test_the_road_of_enduro_is_where_the_picture_shows_it() -> None:
    n_found, n_near, curved = 0, 0, 0
    for step, (rows, picture, _) in enumerate(driven(700)):
        if step < 60 or step % 5:
            continue
        assert [row[1] for row in rows["Road"]] == [60, 80, 100, 120, 140]
        middles = [row[0] + row[2] / 2 for row in rows["Road"]]
        curved += abs(middles[0] - middles[-1]) > 15
        for x, y, w, *_ in rows["Road"]:
            columns = marked(picture, y)
            edges = [left for left in columns if {left + w - 1, left + w, left + w + 1} & columns]
            if edges:
                n_found += 1
                n_near += min(abs(left - x) for left in edges) <= 3
    assert n_found > 300
    assert n_near > 0.95 * n_found
    assert curved > 10


def test_the_cars_of_enduro_are_where_the_picture_shows_them() -> None:
    """Between the player's own car and the dots at the horizon; OCAtari's are there less often."""
    ours: list[bool] = []
    theirs: list[bool] = []
    plain = driven(900, seed=4, rules=Rules(is_completed=False))
    for step, ((rows, picture, _), (raw, _, _)) in enumerate(
        zip(driven(900, seed=4), plain, strict=True)
    ):
        if step < 60 or step % 5:
            continue
        for hits, cars in ((ours, rows.get("Car", ())), (theirs, raw.get("Car", ()))):
            for x, y, w, h, *_ in cars:
                if 64 < y < 125:
                    middle, at = x + w / 2, y + min(h, 6) // 2
                    columns = marked(picture, at) | marked(picture, at + 2)
                    hits.append(any(abs(column - middle) <= 5 for column in columns))
    assert len(ours) > 80
    assert sum(ours) > 0.8 * len(ours)
    assert sum(theirs) / len(theirs) < sum(ours) / len(ours) - 0.1


def test_the_half_width_of_the_road_is_that_of_straight_road() -> None:
    assert [2 * _half(y) for y in (60, 100, 140)] == [7, 47, 87]


def test_the_gauges_of_enduro_tell_speed_and_cars_to_pass() -> None:
    env = make_object_env("enduro", repeat_action_probability=0.0)
    rows, _ = env.begin(1)
    speeds = [rows["Speed"][0][6] or 0]
    assert rows["CarsToPass"][0][6] == 200
    for step in range(360):
        rows, *_ = env.step_rows(1 if step < 300 else 4)
        speeds.append(rows["Speed"][0][6] or 0)
    assert speeds[0] == 0
    assert max(speeds[:300]) > 30, "FIRE speeds up"
    assert speeds[-1] < speeds[300], "DOWN brakes"
    total, best = 0.0, 0.0
    for rows, _, reward in driven(400):
        total += reward
        best = max(best, total)
        assert rows["CarsToPass"][0][6] == 200 - total
    assert best > 0


def test_cubes_of_qbert_count_their_changes() -> None:
    env = make_object_env("qbert", repeat_action_probability=0.0)
    rows, _ = env.begin(1)
    for _ in range(60):
        rows, *_ = env.step_rows(0)
    assert [row[6] for row in rows["Cube"]] == [0] * 21
    before = [row[7] for row in rows["Cube"]]
    total = 0.0
    for action in [3] * 4 + [0] * 14:  # a hop down to the right
        rows, _, reward, _, _ = env.step_rows(action)
        total += reward
    cubes = rows["Cube"]
    assert total % 100 == 25  # something harmless may be caught on the way
    assert [number for number, row in enumerate(cubes) if row[6]] == [2]
    assert cubes[2][6] == 1
    assert cubes[2][7] != before[2]
    assert cubes[1][7] == before[1]


def test_a_new_round_of_qbert_counts_from_its_own_first_colour() -> None:
    reader = READERS["qbert"]()
    ram, rounds = np.zeros(128, np.uint8), []
    cells = (21, 52, 54, 83, 85, 87, 98, 100, 102, 104, 1, 3, 5, 7, 9, 32, 34, 36, 38, 40, 42)
    a, b, c = 0x46, 0x86, 0x1E  # three colours
    ram[list(cells)] = a
    reader.reset(ram)
    for first, second, rest in ((a, b, a), (b, b, a), (b, b, b), (c, c, c), (a, a, a), (c, b, a)):
        ram[list(cells)] = rest
        ram[list(cells[:2])] = first, second
        rounds.append([row[6] for row in reader.step(ram)["Cube"][:3]])
    assert rounds == [[0, 1, 0], [1, 1, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0], [1, 2, 0]]


def test_things_of_asterix_have_the_velocity_that_ocatari_lacks() -> None:
    ours = make_object_env("asterix", repeat_action_probability=0.0)
    theirs = make_object_env(
        "asterix", repeat_action_probability=0.0, rules=Rules(is_completed=False)
    )
    ours.begin(3)
    theirs.begin(3)
    moved = 0
    for step in range(200):
        rows, plain = ours.step_rows(step % 9)[0], theirs.step_rows(step % 9)[0]
        for kind in ("Enemy", "Consumable"):
            assert [r[:4] for r in rows.get(kind, ())] == [r[:4] for r in plain.get(kind, ())]
            assert all(row[4] == 0 for row in plain.get(kind, ()))
            moved += sum(row[4] != 0 for row in rows.get(kind, ()))
    assert moved > 100


@pytest.mark.parametrize("game", ["asterix", "enduro", "qbert"])
def test_ocatari_alone_gives_its_own_categories_and_no_more(game: str) -> None:
    plain = make_object_env(game, rules=Rules(is_completed=False))
    assert {"Road", "Speed", "CarsToPass"}.isdisjoint(plain.categories)
    rows, _ = plain.begin(1)
    assert all(row[6] is None for members in rows.values() for row in members)


def test_aliens_are_in_the_corner_for_a_step_when_their_block_changes() -> None:
    """What the specification says of them, and no more: never two steps in a row."""
    env = make_object_env("space_invaders")
    right, left = (env.action_names.index(name) for name in ("RIGHTFIRE", "LEFTFIRE"))
    rows, _ = env.begin(10)
    corners, before, was_there, is_over = 0, 0, False, False
    while not is_over:
        aliens = rows.get("Alien", [])
        is_there = any(row[:2] == (0, 0) for row in aliens)
        assert not (is_there and was_there)
        assert not is_there or len(aliens) != before
        corners, before, was_there = corners + is_there, len(aliens), is_there
        outermost = max((row[0] + row[4] for row in aliens), default=80)
        rows, _, _, is_over, _ = env.step_rows(right if rows["Player"][0][0] < outermost else left)
    assert corners
