"""The text of a game that a language model is given."""

from __future__ import annotations

import math

import pytest

from gco_agent.games.describe import HINTS, describe_interface
from gco_agent.games.registry import GAMES
from gco_agent.games.spec import Control, Field, GameSpec

each_game = pytest.mark.parametrize("spec", GAMES.values(), ids=list(GAMES))


@each_game
def test_layers_tell_more_and_more(spec: GameSpec) -> None:
    nothing, interface, paper = (describe_interface(spec, hints) for hints in HINTS)
    assert len(nothing) < len(interface) < len(paper)
    assert interface in paper
    assert spec.goal not in nothing
    for word, meaning in spec.actions.items():
        [shown] = spec.words_for([word])
        assert f" {shown}" in interface
        assert f": {meaning}"[:60] in " ".join(interface.split())
        assert word not in nothing.split()
    for category in spec.categories:
        assert f"- {category.name}: " in interface
        assert category.name in nothing
        assert category.meaning[:40] not in nothing
    assert "{" not in paper
    for line in paper.splitlines():
        assert len(line) <= 100


@each_game
def test_no_wall_is_told_unless_asked_for(spec: GameSpec) -> None:
    """What a model can find out from traces stays to be found out."""
    interface = describe_interface(spec)
    if spec.name in {"pong", "breakout"}:
        assert "wall" not in interface
    for hint in spec.hints:
        assert hint.format(**spec.facts)[:40] not in interface


def test_actions_of_pong_are_called_by_what_they_do() -> None:
    text = describe_interface(GAMES["pong"])
    assert "- 2 UP (RIGHT in the emulator): moves the paddle up" in text
    assert "- 3 DOWN (LEFT in the emulator): moves the paddle down" in text
    assert "- Ball: the ball (from the serve until a point is made)." in text


def test_another_action_set_is_named_with_the_meanings_that_are_known() -> None:
    names = ("NOOP", "FIRE", "UP", "RIGHT")
    text = describe_interface(GAMES["pong"], action_names=names)
    assert "- 2 UP\n- 3 RIGHT: moves the paddle up" in text


def test_a_vector_is_told_number_by_number() -> None:
    spec = GameSpec(
        "pole", "Pole", "Pole-v1", "Balance.", fields=(Field("x", "metres"), Field("speed"))
    )
    text = describe_interface(spec)
    assert "obs is a numpy array of 2 float numbers" in " ".join(text.split())
    assert "- obs[0], x: metres\n- obs[1]: speed" in text
    assert "metres" not in describe_interface(spec, "none")


def test_an_action_of_numbers_is_told_with_its_bounds() -> None:
    controls = (Control(-2.0, 2.0, "torque"), Control(0.0, math.inf), Control(-math.inf, 1.0))
    spec = GameSpec("arm", "Arm", "Arm-v1", "Reach.", fields=(Field("x"),), controls=controls)
    text = describe_interface(spec)
    assert "returns an int" not in text
    assert (
        "act returns a list of 3 float numbers, each within its bounds:\n"
        "- number 0: -2 to 2, torque\n- number 1: any from 0\n- number 2: any up to 1"
    ) in text
    assert "- number 0: -2 to 2\n" in describe_interface(spec, "none")


def test_what_was_measured_stands_in_only_where_nothing_is_said() -> None:
    moved = {"RIGHT": "moves sideways", "UP": "moves it up in random play"}
    names = ("NOOP", "UP", "RIGHT")
    text = describe_interface(GAMES["pong"], action_names=names, moved=moved)
    assert "- 1 UP: moves it up in random play\n- 2 RIGHT: moves the paddle up" in text
    assert "random play" not in describe_interface(
        GAMES["pong"], "none", action_names=names, moved=moved
    )
