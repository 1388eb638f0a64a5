"""The text of a game that a language model is given."""

from __future__ import annotations

import pytest

from gco_agent.games import GAMES, HINTS, Field, GameSpec, describe_interface

each_game = pytest.mark.parametrize("spec", GAMES.values(), ids=list(GAMES))


@each_game
def test_layers_tell_more_and_more(spec: GameSpec) -> None:
    nothing, interface, paper = (describe_interface(spec, hints) for hints in HINTS)
    assert len(nothing) < len(interface) < len(paper)
    assert interface in paper
    assert spec.goal not in nothing
    for word, meaning in spec.actions.items():
        assert f" {word}: {meaning}"[:60] in " ".join(interface.split())
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


def test_the_default_layer_of_pong_says_that_right_is_up() -> None:
    text = describe_interface(GAMES["pong"])
    assert "- 2 RIGHT: moves the paddle up" in text
    assert "- 3 LEFT: moves the paddle down" in text
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
    assert "obs is a numpy array of 2 float numbers" in text
    assert "- obs[0], x: metres\n- obs[1]: speed" in text
    assert "metres" not in describe_interface(spec, "none")
