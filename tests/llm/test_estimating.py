"""What a run is going to cost."""

from __future__ import annotations

import pytest

from gco_agent.core.records import Usage
from gco_agent.llm.prices import PRICES, Plan, priced


@pytest.mark.parametrize("name", PRICES)
def test_many_short_requests_cost_what_each_of_them_does(name: str) -> None:
    """A price for long prompts is for a long prompt, not for many."""
    price = PRICES[name]
    reply = 6_000
    first = priced(Usage(8_000, 8_000, 0, reply), price).usd
    further = priced(Usage(8_000, 0, 8_000, reply), price).usd
    assert first is not None
    assert further is not None
    usage = Plan(3, 20, 8_000, 8_000, 60_000, 32_000).usual(price)
    assert usage.usd == pytest.approx(3 * (first + 19 * further))
    assert usage.tokens_in == 3 * 20 * 16_000
    assert usage.output_tokens == 3 * 20 * reply
    assert Plan(1, 1, 8_000, 8_000, 60_000, 32_000).usual(price).usd == pytest.approx(first)


def test_without_a_price_there_is_none() -> None:
    assert Plan(2, 3, 10, 10, 60, 32).usual(None).usd is None
