"""What a run is going to cost, before it is begun. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gco_agent.core.records import Usage
from gco_agent.llm.prices import Price

REPLY_TOKENS = 6_000
"""Of a usual reply: a policy of some hundred lines, the reasons for it, and as much thinking."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is going to be asked.

    Attributes:
        iterations: How many there will be.
        candidates: How many are asked for in each.
        lasting_tokens: Of a prompt, what stays the same.
        new_tokens: Of a prompt, what is new each time.
        most_input_tokens: Upper bound of a whole prompt.
        max_tokens: Most tokens of a reply.
    """

    iterations: int
    candidates: int
    lasting_tokens: int
    new_tokens: int
    most_input_tokens: int
    max_tokens: int

    def usual(self, price: Price | None) -> Usage:
        """What it takes if no reply has to be repaired and all are of usual length.

        What lasts is written to the cache anew for each iteration, since by then the cache of
        five minutes has often gone, and read from it for its further candidates.
        """
        reply = min(REPLY_TOKENS, self.max_tokens)
        first = Usage(self.new_tokens, self.lasting_tokens, 0, reply)
        further = Usage(self.new_tokens, 0, self.lasting_tokens, reply)
        # each is priced alone: a long prompt costs more a token, and many short ones are not long
        asked = _times(_priced(first, price), self.iterations)
        if self.candidates == 1:
            return asked
        return asked + _times(_priced(further, price), self.iterations * (self.candidates - 1))

    def most(self, price: Price | None) -> Usage:
        """What it takes at most: every reply of full length, and a repair in every iteration."""
        usage = Usage(self.most_input_tokens, output_tokens=self.max_tokens)
        usd = price.worst_usd(self.most_input_tokens, self.max_tokens) if price else None
        return _times(replace(usage, usd=usd), self.iterations * (self.candidates + 1))


def _priced(usage: Usage, price: Price | None) -> Usage:
    return replace(usage, usd=None) if price is None else price.priced(usage)


def _times(usage: Usage, n: int) -> Usage:
    return Usage(
        usage.input_tokens * n,
        usage.cache_write_tokens * n,
        usage.cache_read_tokens * n,
        usage.output_tokens * n,
        usage.thinking_tokens * n,
        None if usage.usd is None else usage.usd * n,
    )
