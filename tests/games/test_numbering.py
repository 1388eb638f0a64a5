"""Initial policies under other rules, where the numbers of actions are others."""

from __future__ import annotations

import ast

import pytest

from gco_agent.games.registry import GAMES
from gco_agent.games.spec import GameSpec

ALL = tuple(GAMES["seaquest"].actions)
ALIASES = {"MOVES_UP": "RIGHT", "MOVES_DOWN": "LEFT"}


@pytest.mark.parametrize("spec", GAMES.values(), ids=list(GAMES))
@pytest.mark.parametrize("names", [None, ALL], ids=["own", "all"])
def test_constants_of_an_initial_policy_name_the_actions(
    spec: GameSpec, names: tuple[str, ...] | None
) -> None:
    text = spec.initial_policy(names)
    actions = list(names or spec.actions)
    found = 0
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign):
            target, values = node.targets[0], ast.literal_eval(node.value)
            numbers = values if isinstance(values, tuple) else (values,)
            targets = ast.unparse(target).strip("()").split(", ")
            for name, number in zip(targets, numbers, strict=True):
                if name == "N_ACTIONS":
                    assert number == len(actions)
                else:
                    assert actions[number] == ALIASES.get(name, name.replace("_", ""))
                found += 1
    assert found
    assert "$" not in text
