"""Complexity, against numbers counted by hand."""

from dataclasses import astuple

import pytest
from radon.raw import analyze

from gco_agent.core.errors import ContractViolation
from gco_agent.policy.source import Complexity, measure

POLICY = '''"""Pong.

Environment: ALE/Pong-v5.
"""

import math  # a comment beside code

# a comment
SPEED = (
    1,
    # within

    2,
)


class Policy:
    """One an episode."""

    def predict(self, obs):
        """Where the ball lands."""
        for ball in obs["Ball"]:
            if ball.dx > 0 and ball.dy > 0:
                return ball.y
            elif ball.dx < 0:
                return 0
        return [b for b in obs if b]

    def act(self, obs):
        text = """
        a # b

        """
        return 0
'''


def test_class_does_not_count_what_its_methods_have():
    # predict: 1 + for + if + and + elif + comprehension + its if = 7; act: 1
    assert measure(POLICY) == Complexity(loc=34, sloc=19, cyclomatic=8, nested_if=1, functions=2)


@pytest.mark.parametrize(
    "text", [POLICY, "", "\n", "x = 1", "# a\n", "'''a\n\nb'''\n'c'\nx = '''\n'''"]
)
def test_lines_are_counted_as_radon_counts(text):
    raw, ours = analyze(text), measure(text)
    assert (ours.loc, ours.sloc) == (raw.loc, raw.sloc)


def test_nothing_is_nothing():
    assert astuple(measure("")) == (0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("text", "cyclomatic", "functions"),
    [
        ("def f(): pass", 1, 1),
        ("x = 1 if a else 2", 0, 0),  # outside of functions
        ("def f():\n    while a: pass\n    else: pass", 3, 1),
        ("def f():\n    try: pass\n    except A: pass\n    except B: pass", 3, 1),
        ("def f():\n    return a or b or c", 3, 1),
        ("async def f():\n    def g():\n        if a: pass\n    return g", 3, 2),
        ("def f():\n    class A:\n        def g(self):\n            if a: pass", 3, 2),
        ("class A:\n    class B:\n        def f(self): pass\n    def g(self): pass", 2, 2),
        ("if a:\n    def f(): pass\nelse:\n    def f(): return lambda: 0", 2, 2),
        ("def f(x):\n    match x:\n        case 1: pass\n        case _: pass", 2, 1),
    ],
)
def test_cyclomatic_is_the_sum_over_functions(text, cyclomatic, functions):
    found = measure(text)
    assert (found.cyclomatic, found.functions) == (cyclomatic, functions)


@pytest.mark.parametrize(
    ("depth", "text"),
    [
        (0, "def f():\n    for a in b:\n        pass\n"),
        (1, "if a: pass\nelif b: pass\nelif c: pass\nelse: pass\n"),
        (2, "if a: pass\nelse:\n    if b: pass\n"),
        (2, "if a: pass\nelse:\n    x = 1\n    if b: pass\n"),
        (2, "if a: pass\nelif b:\n    if c: pass\nelse: pass\n"),
        (2, "if a: pass\nelif b: pass\nelse:\n    if c: pass\n"),
        (
            3,
            "if a:\n  for b in c:\n    if b:\n      while d:\n        if e: pass\n",
        ),
        (1, "if a:\n    def f():\n        if b: pass\n"),
        (1, "if a:\n    class A:\n        if b: pass\n"),
        (0, "x = 1 if a else 2 if b else 3\n"),
        (1, "if a: pass\nif b: pass\n"),
        (2, "if a:\n    try: pass\n    except A:\n        if b: pass\n"),
    ],
)
def test_nested_if_is_the_deepest_chain(depth, text):
    assert measure(text).nested_if == depth


def test_long_table_is_counted_promptly():
    assert measure("x = [\n" + "1,\n" * 20_000 + "]\n").sloc == 20_002


def test_separators_that_are_no_line_ends_of_python():
    assert measure("x = '\x0b\u2028'\n\x0cy = 1\n").loc == 2


def test_text_that_is_not_python_is_refused():
    with pytest.raises(ContractViolation, match="line 1"):
        measure("x =")
