"""What may be spent on a language model, and what has been."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from gco_agent.core.errors import BudgetSpent, UsageError
from gco_agent.core.records import Usage
from gco_agent.llm.base import LanguageModel, ModelRequest
from gco_agent.llm.exchange import Exchange


def worst_case(model: LanguageModel, request: ModelRequest) -> Usage:
    """The most that a request can use: every byte a token, and the longest reply."""
    usage = Usage(request.most_input_tokens, output_tokens=request.max_tokens)
    if model.price is None:
        return replace(usage, usd=None)
    usd = model.price.worst_usd(usage.input_tokens, usage.output_tokens)
    return replace(usage, usd=usd)


@dataclass
class Spending:
    """The account of one run: caps, what is spent, and the exchanges nobody has filed yet.

    Every request goes through `gco_agent.llm.ask`, which calls `require` before it and `charge`
    after it, whether an answer came or not, and then `file`. Whoever commits an iteration keeps
    what `take_exchanges` gives, also when the optimizer raised: it was paid for.

    Attributes:
        usd_cap: Most US dollars of the whole run; None means no cap.
        token_cap: Most tokens of the whole run, sent and received together; None means no cap.
        spent: What the run has used, the commands before this one included.
        at_risk: Most that may be billed beyond that, for answers that broke off before the server
            said what it used; counts against the caps.
    """

    usd_cap: float | None = None
    token_cap: int | None = None
    spent: Usage = field(default_factory=Usage)
    at_risk: Usage = field(default_factory=Usage)
    _exchanges: list[Exchange] = field(default_factory=list)

    def require(self, model: LanguageModel, request: ModelRequest) -> None:
        """Allow one more request, if its worst case stays within the caps.

        Raises:
            BudgetSpent: It might not.
            UsageError: Dollars are capped and nobody knows what the model costs.
        """
        most = self.spent + self.at_risk + worst_case(model, request)
        if self.token_cap is not None and most.total_tokens > self.token_cap:
            used = (self.spent + self.at_risk).total_tokens
            raise BudgetSpent(
                f"{self.token_cap:,} tokens ({used:,} used, and the next request could take "
                f"{most.total_tokens - used:,})"
            )
        if self.usd_cap is None:
            return
        if most.usd is None:
            raise UsageError(
                f"no price is known for all that was asked of {model.name}, so a limit of "
                f"${self.usd_cap:.2f} cannot be kept: state its price, or leave the limit out"
            )
        if most.usd > self.usd_cap:
            used_usd = (self.spent + self.at_risk).usd or 0.0
            raise BudgetSpent(
                f"${self.usd_cap:.2f} (${used_usd:.4f} spent, and the next request could cost "
                f"${most.usd - used_usd:.4f})"
            )

    def charge(self, usage: Usage, at_risk: Usage) -> None:
        """Add what a request took, and may have taken beyond that."""
        self.spent += usage
        self.at_risk += at_risk

    def file(self, exchange: Exchange) -> None:
        """Keep a finished exchange, whose parts are charged already, until it is taken."""
        self._exchanges.append(exchange)

    def take_exchanges(self) -> tuple[Exchange, ...]:
        """The exchanges since this was last called, oldest first."""
        taken = tuple(self._exchanges)
        self._exchanges.clear()
        return taken
