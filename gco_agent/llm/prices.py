"""Prices of tokens: a dated table, and price files of users."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date
from importlib import resources

from gco_agent.core.codec import finite_number
from gco_agent.core.errors import UsageError
from gco_agent.core.records import Usage

AS_OF = date(2026, 11, 10)
"""Date of the table. Prices change; the bill is what counts."""
SOURCE = "https://platform.claude.com/docs/en/about-claude/pricing"
DEFAULT_MODEL = "claude-opus-5-5"
"""The model that is asked unless another is named."""

_MILLION = 1_000_000
_CACHE_WRITE, _CACHE_READ = 1.25, 0.1
"""Share of the input price, where nothing else is stated."""
_DATED = re.compile(r"[-@]20\d{6}$")
_IN_FILES = ("input", "output", "cache_write", "cache_read")


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a million tokens of each kind.

    Attributes:
        output: Written, thinking included.
        cache_write: Read, and kept for five minutes.
        long_prompt: Price of a whole request with a prompt longer than `long_from`, if different.
        long_from: Tokens of the longest prompt at this price.
    """

    input: float
    output: float
    cache_write: float
    cache_read: float
    long_prompt: Price | None = None
    long_from: int = 0

    @classmethod
    def usual(cls, input: float, output: float, cache_read: float | None = None) -> Price:  # noqa: A002
        """Return a price with the usual surcharge for writing to the cache."""
        read = _CACHE_READ * input if cache_read is None else cache_read
        return cls(input, output, _CACHE_WRITE * input, read)

    def usd(self, usage: Usage) -> float:
        """Return the price of one request that used ``usage``."""
        if self.long_prompt is not None and usage.tokens_in > self.long_from:
            return self.long_prompt.usd(usage)
        return (
            usage.input_tokens * self.input
            + usage.output_tokens * self.output
            + usage.cache_write_tokens * self.cache_write
            + usage.cache_read_tokens * self.cache_read
        ) / _MILLION

    def worst_usd(self, input_tokens: int, output_tokens: int) -> float:
        """Return the highest price of the tokens, for any use of the cache."""
        dearest = max(self.input, self.cache_write, self.cache_read)
        worst = (input_tokens * dearest + output_tokens * self.output) / _MILLION
        if self.long_prompt is not None and input_tokens > self.long_from:
            worst = max(worst, self.long_prompt.worst_usd(input_tokens, output_tokens))
        return worst


FREE = Price(0.0, 0.0, 0.0, 0.0)


def find_price(model: str, prices: Mapping[str, Price]) -> Price | None:
    """Return the price of a model, whose name may end with a date; None if it is unknown."""
    return prices.get(model) or prices.get(_DATED.sub("", model))


def priced(usage: Usage, price: Price | None) -> Usage:
    """Return ``usage`` with its price, or none where the price is unknown."""
    return replace(usage, usd=None if price is None else price.usd(usage))


def parse_prices(text: str) -> dict[str, Price]:
    """Read a price file: TOML, a table for each model.

    Each table states ``input`` and ``output``, in US dollars for a million tokens, and may state
    ``cache_write`` and ``cache_read``, which are 1.25 and 0.1 times the input price otherwise. A
    table ``long_prompt`` in it states the price of requests with more than ``long_from`` tokens.
    """
    try:
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the price file is not TOML: {error}") from error
    return {model: _price(model, table) for model, table in tables.items()}


def _price(model: str, table: object) -> Price:
    if not isinstance(table, dict) or not table.keys() >= {"input", "output"}:
        raise UsageError(
            f'the price file must state the price of {model!r}: ["{model}"], then input = ... and '
            "output = ..., in US dollars for a million tokens"
        )
    if unknown := sorted(table.keys() - {*_IN_FILES, "long_prompt", "long_from"}):
        raise UsageError(f"the price file has an unknown key {unknown[0]!r} for {model!r}")
    try:
        stated = {name: finite_number(table[name], name) for name in _IN_FILES if name in table}
        long_from = int(finite_number(table.get("long_from", 0), "long_from"))
    except ValueError as error:
        raise UsageError(f"the price file has no price for {model!r}: {error}") from None
    if negative := [name for name, value in stated.items() if value < 0]:
        raise UsageError(f"the price file has no price for {model!r}: {negative[0]} is negative")
    long_prompt = None
    if "long_prompt" in table:
        long_prompt = _price(f"{model}.long_prompt", table["long_prompt"])
    usual = asdict(Price.usual(stated["input"], stated["output"]))
    return Price(**{**usual, **stated, "long_prompt": long_prompt, "long_from": long_from})


PRICES: Mapping[str, Price] = parse_prices(
    resources.files("gco_agent.llm").joinpath("prices.toml").read_text("utf-8")
)
"""List prices of the day `AS_OF`, by model; from `SOURCE`, that of Fable 5.2 from a reseller."""
