"""Exchanges as JSON, prices as TOML, and keys in neither."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gco_agent.core.errors import UsageError
from gco_agent.core.records import Usage
from gco_agent.llm.base import (
    REMOVED,
    Completion,
    Exchange,
    ModelRequest,
    ToolSpec,
    format_exchanges,
    parse_exchanges,
    scrub,
    scrubbed,
)
from gco_agent.llm.prices import FREE, PRICES, Price, find_price, parse_prices, priced
from tests.llm import strategies

KEYS = [
    "sk-ant-api03-" + "Ab0_-" * 10,
    "sk-proj-0123456789abcdefghij",
    "ghp_" + "a1B2" * 9,
    "github_pat_" + "a1B2" * 9,
    "AKIA0123456789ABCDEF",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEow+/=\n-----END RSA PRIVATE KEY-----",
]


@given(st.lists(strategies.exchanges, max_size=3))
def test_exchanges_come_back_from_their_json(exchanges: list[Exchange]) -> None:
    assert parse_exchanges(format_exchanges(exchanges)) == tuple(exchanges)


@pytest.mark.parametrize("key", KEYS)
def test_no_key_is_recorded(key: str) -> None:
    said = f"before {key} after"
    tool = ToolSpec("t", said, {"d": [said]})
    request = ModelRequest(said, said, said, tool)
    answered = Completion(said, {"code": said, key: [said]}, Usage(1), said, "end_turn")
    text = format_exchanges([Exchange(request, said, answered, said, said)])
    assert key not in text
    assert json.loads(text) == scrubbed(json.loads(text))
    (exchange,) = parse_exchanges(text)
    assert exchange.request.user == f"before {REMOVED} after"


def test_a_bearer_loses_its_token_and_known_secrets_go_whatever_they_look_like() -> None:
    assert scrub("Authorization: Bearer abcdefgh.ijklmnop==") == f"Authorization: Bearer {REMOVED}"
    assert scrub("at http://me:pass@host/x") == f"at http://{REMOVED}@host/x"
    assert scrub("the word is swordfish", "swordfish", "") == f"the word is {REMOVED}"


@given(st.text())
def test_scrubbing_twice_is_scrubbing_once(text: str) -> None:
    assert scrub(scrub(text)) == scrub(text)


@pytest.mark.parametrize("text", ["class Policy:\n    sk = 3\n", "task-0123456789abcdefghij", ""])
def test_code_is_left_alone(text: str) -> None:
    assert scrub(text) == text


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 1, "exchanges": [{}]}', "null"])
def test_what_is_no_record_of_exchanges(text: str) -> None:
    with pytest.raises(UsageError, match="not a record of exchanges"):
        parse_exchanges(text)


def test_records_of_a_newer_version() -> None:
    with pytest.raises(UsageError, match="schema 2, and this version of gco-agent reads 1"):
        parse_exchanges('{"schema": 2, "exchanges": []}')


def test_what_is_no_number_in_json_is_not_written() -> None:
    odd = Completion("", {"x": float("nan")})
    with pytest.raises(ValueError, match="not JSON compliant"):
        format_exchanges([Exchange(ModelRequest("", "", ""), "m", odd)])


def test_a_price_file_states_what_it_must_and_the_rest_is_usual() -> None:
    prices = parse_prices('["my-model"]\ninput = 2\noutput = 10.0\n[free]\ninput=0\noutput=0\n')
    assert prices == {"my-model": Price(2.0, 10.0, 2.5, 0.2), "free": FREE}
    assert find_price("my-model", {**PRICES, **prices}) == Price(2.0, 10.0, 2.5, 0.2)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[", "not TOML"),
        ("a = 1", "must state the price of 'a'"),
        ("[a]\ninput = 1", "must state the price of 'a'"),
        ("[a]\ninput = 1\noutput = 2\nspeed = 3", "unknown key 'speed'"),
        ("[a]\ninput = -1\noutput = 2", "no price for 'a'"),
        ("[a]\ninput = 1\noutput = inf", "no price for 'a'"),
        ("[a]\ninput = true\noutput = 1", "no price for 'a'"),
    ],
)
def test_a_price_file_that_is_none(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_prices(text)


def test_prices_are_found_by_name_with_or_without_a_date() -> None:
    assert find_price("claude-opus-5-5", PRICES) == Price(4.0, 20.0, 5.0, 0.2)
    assert find_price("claude-haiku-4-5-20251001", PRICES) == find_price("claude-haiku-4-5", PRICES)
    assert find_price("claude-opus-4-5@20251101", PRICES) == Price(5.0, 25.0, 6.25, 0.5)
    assert find_price("claude-opus-6", PRICES) is None
    assert find_price("gpt", PRICES) is None


def test_every_kind_of_token_has_its_price() -> None:
    price = Price(1.0, 20.0, 300.0, 4000.0)
    assert price.usd(Usage(1, 1, 1, 1, 1)) == pytest.approx(4321e-6)
    assert priced(Usage(10), price).usd == pytest.approx(10e-6)


def test_a_long_prompt_makes_the_whole_request_dearer() -> None:
    haiku = find_price("claude-haiku-5-5", PRICES)
    assert haiku is not None
    assert haiku.usd(Usage(99_000, 500, 500, 10)) < 0.011
    long = Usage(100_001, output_tokens=1000)
    assert haiku.usd(long) == pytest.approx((100_001 * 0.5 + 1000 * 2.5) / 1e6)
    assert haiku.worst_usd(100_001, 1000) == pytest.approx((100_001 * 0.625 + 1000 * 2.5) / 1e6)


@given(strategies.prices, strategies.counts, strategies.counts, strategies.counts)
def test_nothing_costs_more_than_the_worst_case(price: Price, a: int, b: int, c: int) -> None:
    dear = replace(price, long_prompt=Price(9.0, 9.0, 9.0, 9.0), long_from=10_000)
    for each in (price, dear, *PRICES.values()):
        usage = Usage(a, b, c, a)
        assert each.usd(usage) <= each.worst_usd(a + b + c, a) * (1 + 1e-9)


@pytest.mark.parametrize("name", ["input_tokens", "output_tokens", "usd"])
def test_no_usage_is_negative(name: str) -> None:
    """It would raise the limits of whoever continues the run of a stranger."""
    with pytest.raises(ValueError, match="negative"):
        Usage(**{name: -1})
    owed = Usage(**{name: 7})
    exchange = Exchange(ModelRequest("", "", ""), "m", None, at_risk=owed)
    text = format_exchanges([exchange])
    assert parse_exchanges(text) == (exchange,)
    text = text.replace(f'"{name}": 7', f'"{name}": -7')
    with pytest.raises(UsageError, match="not a record of exchanges"):
        parse_exchanges(text)


@given(strategies.usages, strategies.usages, strategies.usages)
def test_usages_add_up(one: Usage, two: Usage, three: Usage) -> None:
    both = one + two
    assert both.total_tokens == one.total_tokens + two.total_tokens
    assert both.tokens_in == one.tokens_in + two.tokens_in
    assert (both.usd is None) == (None in (one.usd, two.usd))
    assert one + Usage() == one
    assert replace(both + three, usd=0) == replace(one + (two + three), usd=0)
