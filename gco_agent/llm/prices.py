"""What tokens cost: a dated table, which people override with a file of their own."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date

from gco_agent.core.errors import UsageError
from gco_agent.core.records import Usage

AS_OF = date(2026, 11, 10)
"""Day of the table. Prices change; what is billed is what counts."""
SOURCE = "https://platform.claude.com/docs/en/about-claude/pricing"

_MILLION = 1_000_000
_CACHE_WRITE, _CACHE_READ = 1.25, 0.1
"""Of the input price, where nothing else is stated."""
_DATED = re.compile(r"[-@]20\d{6}$")


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a million tokens of each kind.

    Attributes:
        input: Read at full price.
        output: Written, thinking included.
        cache_write: Read, and kept for five minutes.
        cache_read: Read from what was kept.
        long_prompt: What a whole request costs whose prompt is longer than `long_from`, if that
            is something else.
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
        """A price with the usual surcharge for writing to the cache."""
        read = _CACHE_READ * input if cache_read is None else cache_read
        return cls(input, output, _CACHE_WRITE * input, read)

    def usd(self, usage: Usage) -> float:
        """What the ``usage`` of one request costs."""
        if self.long_prompt is not None and usage.tokens_in > self.long_from:
            return self.long_prompt.usd(usage)
        return (
            usage.input_tokens * self.input
            + usage.output_tokens * self.output
            + usage.cache_write_tokens * self.cache_write
            + usage.cache_read_tokens * self.cache_read
        ) / _MILLION

    def priced(self, usage: Usage) -> Usage:
        """The same usage with its price."""
        return replace(usage, usd=self.usd(usage))

    def worst_usd(self, input_tokens: int, output_tokens: int) -> float:
        """The most that so many tokens can cost, whatever the cache does."""
        dearest = max(self.input, self.cache_write, self.cache_read)
        worst = (input_tokens * dearest + output_tokens * self.output) / _MILLION
        if self.long_prompt is not None and input_tokens > self.long_from:
            worst = max(worst, self.long_prompt.worst_usd(input_tokens, output_tokens))
        return worst


FREE = Price(0.0, 0.0, 0.0, 0.0)
"""The price of a model of one's own."""

_OPUS = Price.usual(5.0, 25.0)
_FABLE_5 = Price.usual(10.0, 50.0)
_FABLE_5_1 = Price.usual(10.0, 50.0, cache_read=0.25)
_HAIKU_5_5 = replace(Price.usual(0.1, 0.5), long_prompt=Price.usual(0.5, 2.5), long_from=100_000)

PRICES: Mapping[str, Price] = {
    "claude-fable-5-2": Price.usual(8.0, 40.0, cache_read=0.2),
    "claude-fable-5-1": _FABLE_5_1,
    "claude-mythos-5-1": _FABLE_5_1,
    "claude-fable-5": _FABLE_5,
    "claude-mythos-5": _FABLE_5,
    "claude-opus-5-5": Price.usual(4.0, 20.0, cache_read=0.2),
    "claude-opus-5": _OPUS,
    "claude-opus-4-8": _OPUS,
    "claude-opus-4-7": _OPUS,
    "claude-opus-4-6": _OPUS,
    "claude-opus-4-5": _OPUS,
    "claude-sonnet-5-5": Price.usual(2.0, 10.0, cache_read=0.1),
    "claude-sonnet-5": Price.usual(2.0, 10.0),
    "claude-sonnet-4-6": Price.usual(3.0, 15.0),
    "claude-sonnet-4-5": Price.usual(3.0, 15.0),
    "claude-haiku-5-5": _HAIKU_5_5,
    "claude-haiku-4-5": Price.usual(1.0, 5.0),
}
"""List prices of the day `AS_OF`, by model; from `SOURCE`, that of Fable 5.2 from a reseller."""


def find_price(model: str, prices: Mapping[str, Price] = PRICES) -> Price | None:
    """The price of a model, also where its name ends with a date; None if it is not known."""
    return prices.get(model) or prices.get(_DATED.sub("", model))


def parse_prices(text: str) -> dict[str, Price]:
    """Read a price file: TOML, a table for each model.

    Each table states ``input`` and ``output``, in US dollars for a million tokens, and may state
    ``cache_write`` and ``cache_read``, which are 1.25 and 0.1 times the input price otherwise.

    Raises:
        UsageError: It is no such file.
    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"the price file is no TOML: {error}") from error
    return {model: _price(model, table) for model, table in tables.items()}


def _price(model: str, table: object) -> Price:
    if not isinstance(table, dict) or not table.keys() >= {"input", "output"}:
        raise UsageError(
            f'the price file must say what {model!r} costs: ["{model}"], then input = ... and '
            "output = ..., in US dollars for a million tokens"
        )
    known = {"input", "output", "cache_write", "cache_read"}
    if unknown := table.keys() - known:
        raise UsageError(f"the price file has {sorted(unknown)[0]!r} for {model!r}: unknown word")
    for name, value in table.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value) or value < 0:
            raise UsageError(f"the price file says {name} = {value!r} for {model!r}: no price")
    usual = Price.usual(float(table["input"]), float(table["output"]))
    return replace(
        usual,
        cache_write=float(table.get("cache_write", usual.cache_write)),
        cache_read=float(table.get("cache_read", usual.cache_read)),
    )
