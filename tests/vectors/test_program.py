"""Programs of weighted sums: what is written is what was meant."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gco_agent.optimizers.vectors.play import numbers
from gco_agent.optimizers.vectors.program import (
    Task,
    VectorProgram,
    headline,
    raw_weights,
    render,
    size,
    terms,
)
from gco_agent.policy.contract import check_policy
from gco_agent.policy.source import PolicySource, format_policy


@st.composite
def tasks(draw: st.DrawFn) -> Task:
    n = draw(st.sampled_from([1, 2, 4, 8, 30]))
    n_actions = draw(st.sampled_from([0, 2, 3, 4]))
    n_floats = 0 if n_actions else draw(st.sampled_from([1, 2]))
    scale = draw(st.lists(st.floats(0.01, 50), min_size=n, max_size=n))
    named = draw(st.booleans())
    names = tuple(f"x{i}" if named else f"obs[{i}]" for i in range(n))
    return Task(
        "Thing",
        "Thing-v0",
        names,
        is_vector=draw(st.booleans()),
        actions=tuple("ABCD"[:n_actions]),
        low=(-2.0,) * n_floats,
        high=(2.0,) * n_floats,
        scale=tuple(scale),
    )


@st.composite
def programs(draw: st.DrawFn) -> tuple[Task, VectorProgram]:
    task = draw(tasks())
    family = draw(st.sampled_from(task.families()))
    n = size(task, family)
    weights = draw(st.lists(st.sampled_from([0.0, 1.0, -0.5, 2.25]), min_size=n, max_size=n))
    return task, VectorProgram(family, tuple(weights))


def expected(task: Task, program: VectorProgram, values: list[float]) -> Any:
    """The action by the definition, without any text."""
    sums = []
    for row in raw_weights(task, program):
        total = 0.0
        for term, weight in zip(terms(task, program.family), row, strict=True):
            factor = 1.0
            for i in term:
                factor *= values[i] if i >= 0 else 1.0
            total += weight * (abs(factor) if term[1:] == (-1,) else factor)
        sums.append(total)
    if not task.actions:
        return [min(2.0, max(-2.0, x)) for x in sums]
    wanted = [0.0, *sums]
    return wanted.index(max(wanted))


@settings(deadline=None)  # black is slow on a busy machine
@given(programs(), st.randoms(use_true_random=False))
def test_the_text_does_what_the_program_says_and_keeps_the_contract(made, rng) -> None:
    task, program = made
    text = format_policy(render(task, program))
    check_policy(PolicySource(text))
    scope: dict[str, Any] = {}
    exec(text, scope)
    values = [float(rng.randrange(-8, 8)) / 4 for _ in task.names]
    obs: Any = (
        np.array(values) if task.is_vector else {"a": values[:1], "b": values[1:], "c": "text"}
    )
    action = scope["Policy"]().act(obs)
    wanted = expected(task, program, values)
    if task.actions:
        assert action == wanted
    else:
        assert action == pytest.approx(wanted)


def test_a_family_is_offered_where_its_sums_stay_readable() -> None:
    def families(n: int) -> tuple[str, ...]:
        names = tuple(map(str, range(n)))
        return Task("T", "T-v0", names, True, ("A", "B"), (), (), (1.0,) * n).families()

    assert families(4) == ("linear", "magnitudes", "products")
    assert families(6) == ("linear", "magnitudes")
    assert families(100) == ("linear",)


def test_the_headline_names_what_weighs_most() -> None:
    task = Task("T", "T-v0", ("x", "angle"), True, ("L", "R"), (), (), (1.0, 1.0))
    assert headline(task, VectorProgram("linear", (0.1, -3.0, 9.0))) == "weigh angle, x"
    assert headline(task, VectorProgram("linear", (0.0, 0.0, 1.0))) == "play one action"
    text = render(task, VectorProgram("linear", (0.1, -3.0, 9.0)))
    assert "return 0.1 * x - 3.0 * angle + 9.0" in text
    assert '"""Above 0 for R, else L."""' in text


@given(
    st.recursive(
        st.floats(-9, 9) | st.integers(-9, 9) | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3)
        ),
        max_leaves=12,
    )
)
def test_the_policy_picks_the_numbers_that_the_search_picks(obs) -> None:
    from gco_agent.optimizers.vectors.program import _NUMBERS

    scope: dict[str, Any] = {}
    exec(_NUMBERS, scope)
    assert scope["numbers"](obs) == list(numbers(obs))
    flat = itertools.chain([0.0], numbers(obs))
    assert all(isinstance(number, float) for number in flat)


@pytest.mark.parametrize(
    ("obs", "expected"),
    [
        (np.arange(6, dtype=np.float32).reshape(3, 2), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]),
        (np.array(7.0), [7.0]),
        ({"pos": np.ones((1, 2), np.uint8), "goal": (np.float32(3), np.int64(4))}, [3, 4, 1, 1]),
    ],
)
def test_arrays_of_any_shape_are_numbers_in_any_loop(obs: Any, expected: list[float]) -> None:
    """As an environment gives them, two-dimensional, without a dimension, or inside a Dict."""
    from gco_agent.optimizers.vectors.program import _NUMBERS

    scope: dict[str, Any] = {}
    exec(_NUMBERS, scope)
    assert scope["numbers"](obs) == list(numbers(obs)) == expected
