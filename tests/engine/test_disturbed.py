"""Objects as a poorer eye would see them."""

from __future__ import annotations

import itertools
import statistics
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gco_agent.core.observation import Row
from gco_agent.core.records import PlayProtocol
from gco_agent.envs import environment as opening
from gco_agent.envs.atari import default_protocol, switches_of
from gco_agent.envs.environment import DisturbedEnvironment, open_environment

RULES = default_protocol("pong", 200)


def vary(**changed) -> PlayProtocol:
    return replace(RULES, **changed)


def play(
    rules: PlayProtocol, seed: int = 5, n: int = 120
) -> list[tuple[dict[str, list[Row]], float]]:
    env = open_environment(rules)
    rows, _ = env.begin(seed)
    seen: list[tuple[dict[str, list[Row]], float]] = [({k: list(v) for k, v in rows.items()}, 0.0)]
    for step in range(n):
        reward, _, _ = env.advance(2 + step // 20 % 2)
        rows, _ = env.observe()
        seen.append(({k: list(v) for k, v in rows.items()}, reward))
    return seen


def test_a_variation_of_nothing_is_what_it_varies():
    assert vary().stamp == RULES.stamp
    assert type(open_environment(vary())) is type(open_environment(RULES))
    assert play(vary()) == play(RULES)


def test_stamps_name_what_is_varied():
    assert vary(noise_px=1.5, mode=1).unusual == ["mode=1", "noise_px=1.5"]


@pytest.mark.parametrize("changed", [{"noise_px": 2.0}, {"dropout": 0.3}, {"noop_frames": 30}])
def test_disturbances_depend_on_the_seed_alone(changed):
    rules = vary(**changed)
    assert play(rules) == play(rules)
    assert play(rules) != play(RULES)
    assert play(rules, seed=6) != play(rules)


def test_noise_moves_what_is_seen_and_not_what_is_played():
    true, seen = play(RULES), play(vary(noise_px=2.0))
    assert [reward for _, reward in true] == [reward for _, reward in seen]
    off = [
        mine[0] - real[0]
        for (rows, _), (noisy, _) in zip(true, seen, strict=True)
        for category in rows
        for real, mine in zip(rows[category], noisy[category], strict=True)
    ]
    assert abs(statistics.fmean(off)) < 0.5
    assert 1.6 < statistics.stdev(off) < 2.4


def test_velocities_are_those_of_the_places_that_are_seen():
    seen = [rows["Player"][0] for rows, _ in play(vary(noise_px=2.0), n=60)[30:]]
    for before, after in itertools.pairwise(seen):
        assert after[4] == after[0] - before[0]
        assert after[5] == after[1] - before[1]


def test_objects_are_missed_as_often_as_asked_for():
    true, seen = play(RULES, n=199), play(vary(dropout=0.3), n=199)
    n_true = sum(len(members) for rows, _ in true for members in rows.values())
    n_seen = sum(len(members) for rows, _ in seen for members in rows.values())
    assert 0.6 < n_seen / n_true < 0.8
    assert all(members for rows, _ in seen for members in rows.values())


def test_no_op_starts_differ_in_length():
    env = open_environment(vary(noop_frames=30))
    assert isinstance(env, DisturbedEnvironment)
    frames = set()
    for seed in range(8):
        env.begin(seed)
        frames.add(env.unwrapped.ale.getEpisodeFrameNumber())
    assert len(frames) > 3
    assert max(frames) - min(frames) <= 28
    assert min(frames) >= 4


def test_modes_and_difficulties_change_the_game():
    assert switches_of("pong") == ([0, 1], [0, 1, 2, 3])
    for changed in ({"mode": 1}, {"difficulty": 2}):
        env: Any = open_environment(vary(**changed))
        base = env.unwrapped
        found = {"mode": base._game_mode, "difficulty": base._game_difficulty}
        assert {name: found[name] for name in changed} == changed


def test_replacing_a_field_keeps_the_kind():
    assert replace(vary(mode=1), max_steps=3).mode == 1


# -- any Gymnasium environment ------------------------------------------------------------------


def swing(rules: PlayProtocol, seed: int = 5, n: int = 30) -> list[list[float]]:
    """Observations under actions that are the same whatever is seen."""
    env = opening.open_environment(rules)
    seen = [np.asarray(env.begin(seed)[0]).tolist()]
    for step in range(n):
        env.advance(step // 2 % 2 * 2)
        seen.append(np.asarray(env.observe()[0]).tolist())
    env.close()
    return seen


def vary_plain(**changed) -> PlayProtocol:
    rules = opening.make_protocol("default", "MountainCar-v0")
    return replace(rules, **changed)


def test_a_variation_of_nothing_changes_no_environment():
    rules = opening.make_protocol("default", "MountainCar-v0")
    assert vary_plain().stamp == rules.stamp
    assert swing(vary_plain()) == swing(rules)


@pytest.mark.parametrize("changed", [{"sticky": 0.5}, {"noise_share": 0.1}, {"dropout": 0.3}])
def test_disturbances_of_any_environment_depend_on_the_seed_alone(changed):
    plain, one, again = swing(vary_plain()), *(swing(vary_plain(**changed)) for _ in range(2))
    assert one == again
    assert one != plain
    assert swing(vary_plain(**changed), seed=6) != one


def test_numbers_are_off_by_a_share_and_an_observation_may_be_late():
    plain = swing(vary_plain())
    noisy = swing(vary_plain(noise_share=0.1))
    ratios = [
        b / a for p, q in zip(plain, noisy, strict=True) for a, b in zip(p, q, strict=True) if a
    ]
    assert statistics.fmean(ratios) == pytest.approx(1, abs=0.05)
    assert 0.05 < statistics.pstdev(ratios) < 0.2
    late = swing(vary_plain(dropout=0.3))
    n_late = sum(a == b for a, b in itertools.pairwise(late))
    assert 2 < n_late < 20
    assert all(obs in plain for obs in late)
