"""The estimate of tokens."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gco_agent.traces.render import estimate_tokens

MEASURED = {"breakout": 3374, "pong": 3200, "seaquest": 3370, "space_invaders": 3441}
"""Tokens of the files in tests/data/tokens, by the tokenizer of Claude 2."""
SAMPLES = Path(__file__).parents[1] / "data" / "tokens"


@pytest.mark.parametrize(
    ("text", "n"),
    [
        ("", 0), ("ball", 1), ("predict_ball", 2 + 1 + 1), ("a b", 2), ("a\n\nb", 4),
        ("12|3456", 4), ("x  ", 2), ("é", 2), ("```", 3),
    ],
)  # fmt: skip
def test_pieces(text: str, n: int):
    assert estimate_tokens(text) == n


@settings(deadline=None)
@given(st.text(), st.text())
def test_more_text_is_never_fewer_tokens(a: str, b: str):
    assert max(estimate_tokens(a), estimate_tokens(b)) <= estimate_tokens(a + b) + 1
    assert estimate_tokens(a + b) <= estimate_tokens(a) + estimate_tokens(b) + 1


@pytest.mark.parametrize("name", MEASURED)
def test_estimate_against_a_real_tokenizer(name: str):
    """Measured with the tokenizer of Claude 2, the last that Anthropic released."""
    estimate = estimate_tokens((SAMPLES / f"trace_{name}.md").read_text("utf-8"))
    assert MEASURED[name] <= estimate <= 1.3 * MEASURED[name]
