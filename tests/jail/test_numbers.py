"""Actions made of numbers: what crosses, to the bit, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from gco_agent.core.records import Outcome
from gco_agent.jail import Jail, JailLimits, PolicyFailure
from tests.jail.policies import policy

LIMITS = JailLimits()


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
        jail.reset(0, 0)
        assert jail.act([(0, np.zeros(3))]) == [(0.1, -2.0)]


def test_one_number_will_do_where_one_is_wanted_and_lanes_stay_apart() -> None:
    text = policy("return obs[0] * 2 if obs[0] < 5 else [obs[0]]")
    with Jail(text, n_floats=1, n_lanes=3, limits=LIMITS) as jail:
        for lane in range(3):
            jail.reset(lane, 0)
        seen = [(lane, np.array([float(4 * lane)])) for lane in range(3)]
        assert jail.act(seen) == [(0.0,), (8.0,), (8.0,)]


@pytest.mark.parametrize("number", ["obs[0]", "obs[1:]", "numpy.array(2.0)", "obs[:, None][:1]"])
def test_one_number_of_numpy_will_do_too(number: str) -> None:
    with Jail(policy(f"return {number}", "import numpy"), n_floats=1) as jail:
        jail.reset(0, 0)
        assert jail.act([(0, np.full(2, 2.0, np.float32))]) == [(2.0,)]


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
        jail.reset(0, 0)
        jail.reset(1, 0)
        bad, other = jail.act([(0, None), (1, None)])
        for failure in (bad, other):
            assert isinstance(failure, PolicyFailure)
            assert words in failure.detail
        assert bad.lane == 0
        assert bad.outcome in (Outcome.BAD_ACTION, Outcome.POLICY_RAISED)
