"""Stages: total and monotone over returns, for every game and for any other."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gco_agent.games.registry import GAMES, find_game
from gco_agent.games.spec import FAILED, SOLVED, GameSpec, Score, general_stages

SOLVABLE = GameSpec("pole", "Pole", "Pole-v1", "Balance.", scores=(Score(SOLVED, 475.0, "us"),))
UNKNOWN = GameSpec("chess", "Chess", "Chess-v0", "Win.")
SPECS = [*GAMES.values(), find_game("boxing"), SOLVABLE, UNKNOWN]
games = st.sampled_from(SPECS)
told = st.booleans()
returns = st.floats(allow_nan=False)
FIRST_CLASS = (
    "pong", "breakout", "space_invaders", "freeway", "asterix", "enduro", "qbert", "seaquest"
)  # fmt: skip


@settings(deadline=None)
@given(games, returns, told)
def test_every_return_is_in_a_band_of_its_game(game: GameSpec, value: float, told: bool):
    assert game.stage_at(value, told=told) in game.stages_for(told=told)


@settings(deadline=None)
@given(games, returns, returns)
def test_a_higher_return_is_never_in_an_earlier_band(game: GameSpec, a: float, b: float):
    bands = game.stages_for()
    lower, higher = sorted((a, b))
    assert bands.index(game.stage_at(lower)) <= bands.index(game.stage_at(higher))


@settings(deadline=None)
@given(st.floats() | st.none(), st.floats() | st.none(), returns)
def test_general_bands_cover_everything(low: float | None, high: float | None, value: float):
    bands = general_stages(low, high)
    limits = [stage.below for stage in bands]
    assert limits == sorted(limits)
    assert bands[-1].below == math.inf
    assert any(value < limit for limit in limits) or value == math.inf


@pytest.mark.parametrize("game", FIRST_CLASS)
def test_bands_are_distinct_and_say_something(game: str):
    bands = GAMES[game].stages
    assert [stage.below for stage in bands] == sorted({stage.below for stage in bands})
    assert len({stage.name for stage in bands}) == len(bands) >= 4
    assert bands[-1].below == math.inf
    for stage in bands:
        assert 40 < len(stage.advice) < 300
        assert stage.advice.endswith((".", "?"))
        assert not any(c.isdigit() for c in stage.advice)  # no position and no score is told


@pytest.mark.parametrize(
    ("game", "value", "name"),
    [
        ("pong", -21.0, "outplayed"), ("pong", -15.0, "losing"), ("pong", 0.0, "winning"),
        ("pong", 19.0, "nearly perfect"), ("breakout", 0.0, "misses"),
        ("breakout", 864.0, "nearly done"), ("freeway", 21.0, "quick"),
        ("seaquest", math.inf, "good"), ("pong", None, "fails"), ("pong", math.nan, "fails"),
        ("boxing", -100.0, "random-like"),
    ],
)  # fmt: skip
def test_examples(game: str, value: float | None, name: str):
    assert find_game(game).stage_at(value).name == name


def test_other_environments_have_bands_too():
    assert UNKNOWN.stage_at(3.0).name == "unknown"
    assert [SOLVABLE.stage_at(value).name for value in (-9.0, 474.9, 475.0, math.inf)] == [
        "unsolved", "unsolved", "solved", "solved"
    ]  # fmt: skip
    assert "475" in SOLVABLE.stage_at(0.0).advice
    named_alike = replace(SOLVABLE, name="pong")
    assert named_alike.stage_at(500.0).name == "solved"


@pytest.mark.parametrize("game", FIRST_CLASS)
def test_with_no_hints_the_words_are_of_no_game(game: str):
    general = GAMES[game].stages_for(told=False)
    assert general == general_stages(GAMES[game].random_return, GAMES[game].human_return)
    for word in ("ball", "paddle", "brick", "alien", "chicken", "car ", "lane", "diver", "disk"):
        assert not any(word in stage.advice.lower() for stage in general)


def test_random_play_is_in_the_first_bands_and_people_are_not():
    for game in FIRST_CLASS:
        spec = GAMES[game]
        bands = spec.stages_for()
        chance = bands.index(spec.stage_at(spec.random_return))
        person = bands.index(spec.stage_at(spec.human_return))
        assert chance <= 1
        assert person >= 2
    assert FAILED not in [stage for spec in GAMES.values() for stage in spec.stages]


def test_general_bands_lie_between_chance_and_people():
    bands = general_stages(0.0, 100.0)
    assert [(stage.name, stage.below) for stage in bands] == [
        ("random-like", 10.0), ("learning", 50.0), ("good", 100.0), ("strong", math.inf)
    ]  # fmt: skip
