from __future__ import annotations

import ast
import io
import itertools
import tokenize

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gco_agent.policy.constants import (
    TunableConstant,
    tunable_constants,
    with_constants,
)
from gco_agent.policy.source import PolicySource

TRACKER = '''"""Pong: be where the ball will be; 152 is no constant here."""

UP, DOWN, NOOP = 2, 3, 0
ACTIONS = {1: 5, -1: 4}
LEAD = 2.0  # steps to look ahead
DEAD_ZONE = 6
TOP, BOTTOM = 34, 194
OFFSET: float = -1.5
SPARE = 77.0
STEP = 4


class Policy:
    HOME = 110
    n = 0
    since = 8

    def __init__(self):
        self.wait = 9
        self.far = 9.5

    def predict(self, ball):
        y = ball.cy + LEAD * ball.dy
        while y < TOP or y > 194:
            y = 2 * TOP - y if y < TOP else 2 * BOTTOM - y
        return y ** 2.5 / 2

    def steer(self, here, there, zone, name="x"):
        if abs(there - here) <= zone:
            return NOOP
        return UP if there < here else DOWN

    def act(self, obs):
        self.n += 1
        self.since += 1
        if self.n % 16 == 0 or obs["lives"] == 3 or obs["Ball"][5].x > 7:
            return ACTIONS[STEP]
        for i in range(12):
            self.n -= i * 1
        text = f"{4.25}" + "%d" % 40
        if min(self.n, 25) < 0.5 * here(11) or self.n > 1e3 or self.n < 0x20:
            return self.steer(self.HOME, 55, zone=5)
        return self.steer(0.75 * OFFSET + text, self.predict(obs["Ball"][0]), DEAD_ZONE) + 7
'''


def names(text: str = TRACKER) -> dict[str, TunableConstant]:
    return {c.name: c for c in tunable_constants(PolicySource(text))}


def test_quantities_are_found_and_labels_are_not() -> None:
    found = names()
    named = ["LEAD", "DEAD_ZONE", "TOP", "BOTTOM", "OFFSET", "HOME"]
    assert list(found)[:6] == named
    assert set(found) - set(named) == {
        "__init__ 9.5",
        *("act 16", "act 7", "act 25", "act 55", "act 5", "act 0.75", "act 1e3"),
    }


def test_equal_geometry_is_tied_wherever_it_stands_and_a_small_number_in_its_function() -> None:
    found = names()
    assert [len(found[name].places) for name in ("BOTTOM", "act 7", "DEAD_ZONE")] == [2, 2, 1]
    moved = with_constants(PolicySource(TRACKER), [found["BOTTOM"]], [190.4]).text
    assert moved == TRACKER.replace("194", "190")


def test_types_and_signs_stay() -> None:
    found = list(names().values())
    low = with_constants(PolicySource(TRACKER), found, [-1000.0] * len(found))
    assert "OFFSET: float = -0.075" in low.text
    assert "LEAD = 0.1 " in low.text
    assert "DEAD_ZONE = 1\n" in low.text
    before, after = (
        [n for n in ast.walk(ast.parse(t)) if isinstance(n, ast.Constant)]
        for t in (TRACKER, low.text)
    )
    assert [type(n.value) for n in before] == [type(n.value) for n in after]


def test_a_scale_is_a_share_of_a_large_number_and_enough_of_a_small_one() -> None:
    found = names()
    assert found["BOTTOM"].scale == pytest.approx(23.28)
    assert found["LEAD"].scale == pytest.approx(0.4)
    assert found["act 0.75"].scale == pytest.approx(0.375)
    assert found["DEAD_ZONE"].scale == 1.5


def split(text: str) -> tuple[str, dict[tuple[int, int], str]]:
    """``text`` with its numbers blanked out, and the numbers by where they stand."""
    lines = io.StringIO(text).readline
    numbers = [t for t in tokenize.generate_tokens(lines) if t.type == tokenize.NUMBER]
    starts = list(itertools.accumulate(map(len, text.splitlines(keepends=True)), initial=0))
    spans = {
        (starts[t.start[0] - 1] + t.start[1], starts[t.end[0] - 1] + t.end[1]): t.string
        for t in numbers
    }
    blank = text
    for start, end in sorted(spans, reverse=True):
        blank = f"{blank[:start]}#{blank[end:]}"
    return blank, spans


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-1e4, 1e4), min_size=14, max_size=14))
def test_only_the_numbers_change_and_they_are_what_was_asked_for(values: list[float]) -> None:
    source = PolicySource(TRACKER)
    found = tunable_constants(source)
    text, numbers = split(with_constants(source, found, values).text)
    before, old_numbers = split(TRACKER)
    assert text == before
    wanted = {place: c.fitted(v) for c, v in zip(found, values, strict=True) for place in c.places}
    for (place, old), number in zip(old_numbers.items(), numbers.values(), strict=True):
        if place in wanted:
            assert float(number) == wanted[place]
        else:
            assert number == old


def test_no_move_is_no_change() -> None:
    source = PolicySource(TRACKER)
    found = tunable_constants(source)
    assert with_constants(source, found, [c.value for c in found]) == source


def test_a_policy_without_numbers_has_none() -> None:
    assert tunable_constants(PolicySource("def act(obs):\n    return 3\n")) == ()


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        ("OFFSET = -6.0", -1),
        ("OFFSET: float = - 6.0", -1),
        ("OFFSET = 6.0", 1),
        ("OFFSET = +6.0", 1),
    ],
)
def test_a_minus_of_its_own_is_a_sign(text: str, sign: int) -> None:
    source = PolicySource(f"{text}\n\n\ndef act(obs):\n    return 1 if obs < OFFSET * 3 else 0\n")
    found = {c.name: c for c in tunable_constants(source)}
    assert found["OFFSET"].sign == sign


def test_a_subtraction_is_no_sign_and_both_signs_are_none() -> None:
    less = PolicySource("def act(obs):\n    return int(obs.x - 31 > obs.y * 3)\n")
    both = PolicySource("UP = -31\nDOWN = 31\n\n\ndef act(obs):\n    return int(UP < obs < DOWN)\n")
    for source in (less, both):
        (constant,) = (c for c in tunable_constants(source) if c.value == 31)
        assert constant.sign == 1
