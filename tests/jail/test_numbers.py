"""Actions made of numbers: what crosses, to the bit, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gco_agent.core.records import Outcome
from gco_agent.jail import wire
from gco_agent.jail.host import Jail, JailLimits, PolicyFailure
from tests.jail.policies import policy

LIMITS = JailLimits(with_numpy=True)


@given(st.lists(st.floats(allow_nan=False)))
def test_numbers_cross_to_the_bit(numbers: list[float]) -> None:
    integers = wire.floats_to_integers(numbers)
    assert len(integers) == 2 * len(numbers)
    assert wire.integers_to_floats(integers) == tuple(numbers)


@given(st.integers(-(2**40), 2**40), st.integers(0, 2**40))
def test_an_order_with_numbers_is_the_same_after_the_wire(pid: int, n_floats: int) -> None:
    order = wire.Order(wire.FORK, pid=pid, n_actions=0, n_floats=n_floats)
    assert wire.parse_order(order.pack()) == order


@pytest.mark.parametrize(
    "body",
    [
        "return [0.1, -2]",
        "return (0.1, -2.0)",
        "return numpy.array([0.1, -2.0])",
        "return [numpy.float64(0.1), numpy.int32(-2)]",
    ],
)
def test_a_list_of_numbers_is_an_action(body: str) -> None:
    with Jail(policy(body, "import numpy"), n_floats=2, limits=LIMITS) as jail:
        jail.reset(0)
        assert jail.act_plain([(0, np.zeros(3))]) == [(0.1, -2.0)]


def test_one_number_will_do_where_one_is_wanted_and_lanes_stay_apart() -> None:
    text = policy("return obs[0] * 2 if obs[0] < 5 else [obs[0]]")
    with Jail(text, n_floats=1, n_lanes=3, limits=LIMITS) as jail:
        for lane in range(3):
            jail.reset(lane)
        seen = [(lane, np.array([float(4 * lane)])) for lane in range(3)]
        assert jail.act_plain(seen) == [(0.0,), (8.0,), (8.0,)]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return [1.0]", "expected 2 finite numbers"),
        ("return 1.0", "1.0 (float); expected 2 finite numbers"),
        ("return [1.0, 'x']", "expected 2 finite numbers"),
        ("return [1.0, float('nan')]", "expected 2 finite numbers"),
        ("return [1.0, float('inf')]", "expected 2 finite numbers"),
        ("return [1.0, 10**400]", "int too large"),
        ("return None", "None (NoneType); expected 2 finite"),
    ],
)
def test_anything_else_is_none(body: str, words: str) -> None:
    with Jail(policy(body), n_floats=2, n_lanes=2) as jail:
        jail.reset(0)
        jail.reset(1)
        bad, other = jail.act_plain([(0, None), (1, None)])
        for failure in (bad, other):
            assert isinstance(failure, PolicyFailure)
            assert words in failure.detail
        assert bad.lane == 0
        assert bad.outcome in (Outcome.BAD_ACTION, Outcome.POLICY_RAISED)


def test_a_worker_that_sends_what_is_no_number_is_at_an_end() -> None:
    with Jail(policy("return [1.0]"), n_floats=1) as jail:
        jail.reset(0)
        jail._with_floats([0], wire.floats_to_integers([1.0]), [])
        with pytest.raises(PolicyFailure, match="answered what was not asked"):
            jail._with_floats([0], wire.floats_to_integers([math.nan]), [])
