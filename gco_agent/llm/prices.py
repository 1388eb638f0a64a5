"""What tokens cost."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gco_agent.records import Usage

_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a million tokens of each kind.

    Attributes:
        input: Read at full price.
        output: Written, thinking included.
        cache_write: Read, and kept for five minutes.
        cache_read: Read from what was kept.
    """

    input: float
    output: float
    cache_write: float
    cache_read: float

    def usd(self, usage: Usage) -> float:
        """What ``usage`` costs."""
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
        return (input_tokens * dearest + output_tokens * self.output) / _MILLION


FREE = Price(0.0, 0.0, 0.0, 0.0)
"""The price of a model of one's own."""
