"""Exchanges of every shape, for Hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

from gco_agent.core.records import Usage
from gco_agent.llm.base import Completion, Exchange, ModelRequest, ToolSpec
from gco_agent.llm.prices import Price

texts = st.text(max_size=60)
counts = st.integers(0, 10**9)
dollars = st.floats(0, 1e6, allow_nan=False)
plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(texts, plain, max_size=4)
usages = st.builds(Usage, counts, counts, counts, counts, counts, st.none() | dollars)
tools = st.builds(ToolSpec, texts, texts, objects)
requests = st.builds(
    ModelRequest, texts, texts, texts, st.none() | tools, counts, st.floats(0, 1e5)
)
completions = st.builds(Completion, texts, st.none() | objects, usages, texts, texts)
exchanges = st.builds(
    Exchange, requests, texts, st.none() | completions, texts, texts, usages, usages, counts
)
prices = st.builds(Price, dollars, dollars, dollars, dollars)
