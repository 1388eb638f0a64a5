"""What a commit says of the edit: from two rendered texts to words."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from gco_agent.optimizers.search.changes import compare
from gco_agent.optimizers.search.genome import Program, constants, with_values
from gco_agent.optimizers.search.grammar import Grammar
from gco_agent.optimizers.search.render import render
from gco_agent.optimizers.search.words import rule_words
from tests.search.strategies import PONG

PARENT = '''"""Pong."""
DEAD_ZONE = 8.34  # pixels
LEAD = 4  # steps
HOME_Y = -100.5  # pixels


class Policy:
    def choose_y(self, obs, player):
        """Where."""
        # Meet the nearest Ball where it will cross.
        ball = None
        # Go to y = 100.
        return HOME_Y
'''


def text_of(program: Program) -> str:
    return render(program, PONG, "Pong", "gco/Pong-v5")


def test_rules_that_come_and_go_are_told_first() -> None:
    child = PARENT.replace("Go to y = 100", "Stay").replace("8.34", "9")
    change = compare(PARENT, child)
    assert change is not None
    assert change.summary == "add: stay; drop: go to y = 100"
    assert change.paragraph.splitlines() == [
        "- new rule: stay",
        "- rule dropped: go to y = 100",
        "- constant moved: DEAD_ZONE 8.34 to 9",
    ]


def test_constants_are_told_by_how_far_they_moved() -> None:
    child = PARENT.replace("8.34", "8.5").replace("= 4 ", "= 1.5 ").replace("-100.5", "99")
    change = compare(PARENT, child)
    assert change is not None
    assert change.summary == "move HOME_Y -100.5 to 99, LEAD 4 to 1.5 and 1 more"
    assert change.moved[-1] == "DEAD_ZONE 8.34 to 8.5"


def test_nothing_is_said_where_nothing_is_known() -> None:
    assert compare('"""By hand."""\n\n\ndef act(obs):\n    return 0\n', PARENT) is None
    same = compare(PARENT, PARENT)
    assert same is not None
    assert (same.summary, same.paragraph) == ("", "")


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000))
def test_every_rule_of_a_rendered_program_is_found(seed: int) -> None:
    grammar = Grammar(PONG, random.Random(seed))
    old, new = grammar.program(), grammar.program()
    change = compare(text_of(old), text_of(new))
    if change is None:
        return
    before = {rule_words(rule) for rule in old.rules}
    after = {rule_words(rule) for rule in new.rules}
    assert set(change.added) <= after - before
    assert set(change.dropped) <= before - after


def test_a_tuned_program_differs_in_constants_alone() -> None:
    program = Grammar(PONG, random.Random(4)).program()
    values = [constant.value * 1.25 + 1 for constant in constants(program)]
    change = compare(text_of(program), text_of(with_values(program, values)))
    assert change is not None
    assert not change.added
    assert not change.dropped
    assert change.moved
