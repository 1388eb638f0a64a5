"""Stages: total and monotone over returns, for every game and for any other."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gco_agent.games import GAMES
from gco_agent.stages import FAILED, STAGES, find_stage, general_stages, stages_of

games = st.sampled_from([*GAMES, "no_such_game"])
returns = st.floats(allow_nan=False)
FIRST_CLASS = (
    "pong", "breakout", "space_invaders", "freeway", "asterix", "enduro", "qbert", "seaquest"
)  # fmt: skip


@settings(deadline=None)
@given(games, returns)
def test_every_return_is_in_a_band_of_its_game(game: str, value: float):
    assert find_stage(game, value) in stages_of(game)


@settings(deadline=None)
@given(games, returns, returns)
def test_a_higher_return_is_never_in_an_earlier_band(game: str, a: float, b: float):
    bands = stages_of(game)
    lower, higher = sorted((a, b))
    assert bands.index(find_stage(game, lower)) <= bands.index(find_stage(game, higher))


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
    bands = STAGES[game]
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
        ("chess", 3.0, "unknown"),
    ],
)  # fmt: skip
def test_examples(game: str, value: float | None, name: str):
    assert find_stage(game, value).name == name


def test_random_play_is_in_the_first_bands_and_people_are_not():
    for game in FIRST_CLASS:
        bands, spec = stages_of(game), GAMES[game]
        chance = bands.index(find_stage(game, spec.random_return))
        person = bands.index(find_stage(game, spec.human_return))
        assert chance <= 1
        assert person >= 2
    assert FAILED not in [stage for bands in STAGES.values() for stage in bands]


def test_general_bands_lie_between_chance_and_people():
    bands = general_stages(0.0, 100.0)
    assert [(stage.name, stage.below) for stage in bands] == [
        ("random-like", 10.0), ("learning", 50.0), ("good", 100.0), ("strong", math.inf)
    ]  # fmt: skip
