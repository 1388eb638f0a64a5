"""Action constants numbered anew."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gco_agent.games.registry import GAMES
from gco_agent.games.spec import renumber_actions

ALL = tuple(GAMES["seaquest"].actions)


def test_only_constants_that_name_actions_change() -> None:
    text = (
        '"""RIGHT = 2"""\n\nRIGHT, LEFT_FIRE = 2, 5  # 2\nSPEED = 2\nMOVES_UP = 2\nN_ACTIONS = 6\n'
        "\n\ndef act(obs):\n    UP = 2\n    return RIGHT\n"
    )
    assert renumber_actions(text, {"MOVES_UP": "RIGHT"}, ALL) == (
        '"""RIGHT = 2"""\n\nRIGHT, LEFT_FIRE = 3, 12  # 2\nSPEED = 2\nMOVES_UP = 3\n'
        "N_ACTIONS = 18\n\n\ndef act(obs):\n    UP = 2\n    return RIGHT\n"
    )


@pytest.mark.parametrize("spec", GAMES.values(), ids=list(GAMES))
def test_an_initial_policy_names_what_it_named(spec) -> None:
    text = spec.initial_policy(ALL)
    for before, after in zip(
        ast.parse(spec.initial_policy()).body, ast.parse(text).body, strict=True
    ):
        if not isinstance(before, ast.Assign):
            assert ast.dump(before) == ast.dump(after)
    back = renumber_actions(text, spec.constants, tuple(spec.actions))
    assert back == spec.initial_policy()


@given(st.permutations(ALL), st.lists(st.sampled_from(ALL), unique=True, min_size=1))
def test_numbering_twice_is_numbering_once(names: list[str], used: list[str]) -> None:
    text = "".join(f"{word} = {index}  # é\n" for index, word in enumerate(used))
    once = renumber_actions(text, {}, names)
    assert renumber_actions(once, {}, names) == once
    scope: dict[str, int] = {}
    exec(once, scope)
    assert {word: scope[word] for word in used} == {word: names.index(word) for word in used}
