from __future__ import annotations

import ast
import textwrap
from dataclasses import replace

import libcst as cst
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gco_agent.policy.removals import Kind, Removal, removals, without
from gco_agent.policy.source import PolicySource, format_policy, measure, size_of
from tests.engine.pong_policies import FOLLOW, HIDE, STILL

HEAD = "class Policy:\n    def act(self, obs):\n        a, b, c = obs\n"


def body(text: str) -> PolicySource:
    """A policy whose act does ``text``."""
    return PolicySource(format_policy(HEAD + textwrap.indent(textwrap.dedent(text), " " * 8)))


def left(source: PolicySource) -> dict[str, str]:
    """What is left of the act of ``source``, for each removal."""
    texts = {}
    for removal in removals(source):
        smaller = without(source, [removal])
        if smaller is not None:
            texts[removal.what] = smaller.text
    return texts


def offers(text: str, wanted: str) -> bool:
    return body(wanted).text in left(body(text)).values()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("if a:\n    # why\n    b += 1\nreturn b", "return b"),
        ("if a:\n    # why\n    b += 1\nreturn b", "# why\nb += 1\nreturn b"),
        ("# when\nif a:\n    b += 1\nreturn b", "return b"),
        ("if a:\n    return b\nelse:\n    return c", "return b"),
        ("if a:\n    return b\nelse:\n    return c", "return c"),
        ("if a:\n    b = 1\nelse:\n    b = 2\nreturn b", "if a:\n    b = 1\nreturn b"),
        (
            "if a:\n    b = 1\nelif b:\n    b = 2\nelif c:\n    b = 3\nreturn b",
            "if b:\n    b = 2\nelif c:\n    b = 3\nreturn b",
        ),
        (
            "if a:\n    b = 1\nelif b:\n    b = 2\nelif c:\n    b = 3\nreturn b",
            "if a:\n    b = 1\nelif c:\n    b = 3\nreturn b",
        ),
        (
            "if a:\n    b = 1\nelif b:\n    b = 2\nelif c:\n    b = 3\nreturn b",
            "if a:\n    b = 1\nelif b:\n    b = 2\nreturn b",
        ),
        (
            "if a:\n    b = 1\nelif b:\n    b = 2\nelse:\n    b = 3\nreturn b",
            "if a:\n    b = 1\nelse:\n    b = 3\nreturn b",
        ),
        (
            "if a:\n    b = 1\nelif b:\n    b = 2\nelse:\n    b = 3\nreturn b",
            "if a:\n    b = 1\nelse:\n    b = 2\nreturn b",
        ),
        ("return a\nreturn b", "return a"),
        ("try:\n    b = a.x\nexcept IndexError:\n    b = 1\nreturn b", "b = a.x\nreturn b"),
        ("for b in a:\n    c += b\nreturn c", "return c"),
        ("while a < b:\n    a += c\nreturn a", "return a"),
        ("a = b + c\nreturn a", "return a"),
        ("return a if b else c", "return a"),
        ("return a if b else c", "return c"),
        ("return a and b and c", "return a and c"),
        ("return (a or b) * c", "return a or b"),
        ("return a - (b + 4) * c", "return a - (b + 4)"),
        ("return a - b", "return a"),
        ("return a + b", "return b"),
        ("return a // 2", "return a"),
        ("return a < b < c", "return b < c"),
        ("return max(a, min(b, c))", "return min(b, c)"),
        ("return max(a, min(b, c))", "return max(a, b)"),
        ("return int(a + b)", "return a + b"),
    ],
)
def test_a_part_can_be_left_out(text: str, wanted: str) -> None:
    assert offers(text, wanted)


@pytest.mark.parametrize(
    ("text", "unwanted"),
    [
        ("if a:\n    return b\nreturn c", "if a:\n    return b"),  # None would be an answer
    ],
)
def test_what_would_read_worse_or_be_something_else_is_not_offered(
    text: str, unwanted: str
) -> None:
    assert not offers(text, unwanted)


MODULE = '''"""What it says; Environment: gco/Pong-v5."""

import math
import random

UP = 2
UNUSED = 3


def helper(x):
    """It helps."""
    return x + UP


def other(x):
    """It does what helper does."""
    return x + UP


class Policy:
    """One instance plays one episode."""

    n = 0
    m = 0

    def act(self, obs):
        """Return the action."""
        self.n += 1
        return helper(random.random()) + other(getattr(self, "spare")(2))

    def spare(self):
        return self.act([])

    def idle(self, x):
        return x
'''


def test_unused_names_are_found_and_needed_ones_are_not() -> None:
    found = {r.what: r.kind for r in removals(PolicySource(MODULE))}
    unused = [what for what, kind in found.items() if kind is Kind.UNUSED]
    assert sorted(unused) == ["UNUSED = 3", "def idle(self, x)", "import math", "m = 0"]
    assert not any("class Policy" in what or "def act" in what for what in found)
    assert not any('"""' in what for what in found)


def test_what_leaves_no_python_is_said_to() -> None:
    source = body("return a + b")
    removal = next(r for r in removals(source) if r.kind is Kind.TERM)
    (node, _), *_ = removal.changes
    assert without(source, [replace(removal, changes=((node, cst.Name("class")),))]) is None


def test_the_size_is_rows_of_code_and_then_what_is_on_them() -> None:
    short, long = size_of(body("return a")), size_of(body("return a + b"))
    assert short.sloc == long.sloc == measure(body("return a").text).sloc
    assert short < long < size_of(body("a = 1\nreturn a"))
    assert size_of(PolicySource(MODULE)).sloc == measure(MODULE).sloc


def _independent(source: PolicySource, picks: list[int]) -> list[Removal]:
    chosen: list[Removal] = []
    offered = removals(source)
    for pick in picks:
        removal = offered[pick % len(offered)]
        if not any(removal.meets(other) for other in chosen):
            chosen.append(removal)
    return chosen


@settings(max_examples=25, deadline=None)
@given(st.sampled_from([FOLLOW, HIDE, STILL, MODULE]), st.lists(st.integers(0, 99), max_size=4))
def test_removals_that_do_not_meet_can_be_made_together(text: str, picks: list[int]) -> None:
    source = PolicySource(format_policy(text))
    if not removals(source):
        return
    chosen = _independent(source, picks)
    smaller = without(source, chosen)
    if smaller is not None:
        assert smaller.text == format_policy(smaller.text)
        assert (smaller == source) == (not chosen)
        doc = [ast.get_docstring(ast.parse(t)) for t in (smaller.text, source.text)]
        assert doc[0] == doc[1]
