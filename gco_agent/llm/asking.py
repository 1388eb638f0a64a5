"""`ask` a language model: with retries, within the budget, and on record."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gco_agent.core.errors import (
    BudgetSpent,
    ModelError,
    ModelTimedOut,
    RequestAbandoned,
    UsageError,
)
from gco_agent.core.records import Usage
from gco_agent.llm.base import Completion, Exchange, LanguageModel, ModelRequest, scrub

if TYPE_CHECKING:
    from tenacity import RetryCallState

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Patience:
    """How often, and after how long, a failed request is retried.

    Attributes:
        tries: Most tries, the first included.
        first_wait_s: Seconds before the second; they double from try to try.
        longest_wait_s: Longest wait, whatever the server asks for.
        sleep: Sleeps for so many seconds.
        clock: Returns seconds of wall time, as `time.perf_counter`.
        chance: Returns a number from [0, 1), to spread the waits of many clients.
    """

    tries: int = 6
    first_wait_s: float = 1.0
    longest_wait_s: float = 60.0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.perf_counter
    chance: Callable[[], float] = random.random

    def wait_s(self, n_tries: int, error: ModelError) -> float:
        """Return the seconds to wait after so many tries, the last of which raised ``error``."""
        grown = self.first_wait_s * 2.0 ** min(n_tries - 1, 30)
        asked = error.retry_after_s or 0.0
        return min(self.longest_wait_s, max(asked, grown * (1.0 - 0.25 * self.chance())))


@dataclass
class Spending:
    """The account of a run: limits, usage, and the exchanges that are not committed yet.

    An iteration commits what `take_exchanges` returns, also when the optimizer raised: it was paid
    for.

    Attributes:
        usd_cap: Limit in US dollars of the whole run; None means no limit.
        token_cap: Limit of tokens of the whole run, sent and received; None means no limit.
        spent: What the run has used, earlier commands included.
        at_risk: Upper bound of what may be billed beyond that, for answers whose usage the server
            did not state; counts against the limits.
    """

    usd_cap: float | None = None
    token_cap: int | None = None
    spent: Usage = field(default_factory=Usage)
    at_risk: Usage = field(default_factory=Usage)
    _exchanges: list[Exchange] = field(default_factory=list)

    def require(self, model: LanguageModel, request: ModelRequest) -> None:
        """Check that the worst case of one more request stays within the limits.

        Raises:
            BudgetSpent: It might not.
            UsageError: There is a limit in dollars, and the price of the model is unknown.
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
                f"the price of {model.name}, or of a model used earlier, is unknown, so a limit of "
                f"${self.usd_cap:.2f} cannot be kept: state the price, or omit the limit"
            )
        if most.usd > self.usd_cap:
            used_usd = (self.spent + self.at_risk).usd or 0.0
            raise BudgetSpent(
                f"${self.usd_cap:.2f} (${used_usd:.4f} spent, and the next request could cost "
                f"${most.usd - used_usd:.4f})"
            )

    def charge(self, usage: Usage, at_risk: Usage) -> None:
        """Add what a request used, and may have used beyond that."""
        self.spent += usage
        self.at_risk += at_risk

    def file(self, exchange: Exchange) -> None:
        """Keep a finished exchange, which is charged already."""
        self._exchanges.append(exchange)

    def take_exchanges(self) -> tuple[Exchange, ...]:
        """Return the exchanges since the last call, oldest first."""
        taken = tuple(self._exchanges)
        self._exchanges.clear()
        return taken


def worst_case(model: LanguageModel, request: ModelRequest) -> Usage:
    """Return the most that a request can use: every byte a token, and the longest reply."""
    usage = Usage(request.most_input_tokens, output_tokens=request.max_tokens)
    if model.price is None:
        return replace(usage, usd=None)
    usd = model.price.worst_usd(usage.input_tokens, usage.output_tokens)
    return replace(usage, usd=usd)


def ask(
    model: LanguageModel,
    request: ModelRequest,
    spending: Spending,
    patience: Patience | None = None,
) -> Completion:
    """Ask ``model``, retrying where that may help, and file the exchange in ``spending``.

    The limits of ``spending`` are held against the worst case before every try.

    Raises:
        BudgetSpent: The next try could cost more than is left, and was not sent.
        UsageError: There is a limit in dollars, and the price of the model is unknown.
        ModelError: There is no answer after all tries; `ReplyRefused` or `ReplyTruncated` where
            the answer is of no use, `RequestAbandoned` after Ctrl-C. What was used is charged all
            the same.
    """
    from tenacity import Retrying

    patience = patience or Patience()
    give_up = patience.clock() + request.seconds
    exchange = _Exchange(model, request, spending)

    def must_stop(state: RetryCallState) -> bool:
        is_late = patience.clock() + state.upcoming_sleep >= give_up
        return state.attempt_number >= patience.tries or is_late

    retrying = Retrying(
        sleep=patience.sleep,
        retry=lambda state: not _raised(state) and _may_pass(exchange.failed),
        wait=lambda state: patience.wait_s(state.attempt_number, _error(exchange)),
        stop=must_stop,
        before_sleep=lambda state: _log.warning(
            "%s; retrying in %.2g s", _error(exchange).what, state.upcoming_sleep
        ),
        retry_error_callback=lambda _: None,
    )
    try:
        retrying(lambda: exchange.send(give_up - patience.clock()))
    except KeyboardInterrupt as stop:  # between two tries
        exchange.file()
        raise RequestAbandoned(stop) from stop
    except BudgetSpent:
        if exchange.failed is not None:
            exchange.file()
        raise
    exchange.file()
    if exchange.completion is not None:
        return exchange.completion
    error = _error(exchange)
    if error.is_passing and exchange.tries < patience.tries:
        times = "once" if exchange.tries == 1 else f"{exchange.tries} times"
        raise ModelTimedOut(
            f"no answer within {request.seconds:.3g} s, asked {times}; the last error: "
            f"{error.what}",
            advice="run the command again later",
            retry_after_s=error.retry_after_s,
        ) from error
    raise error


@dataclass
class _Exchange:
    """A request under way, and what its tries used and returned so far."""

    model: LanguageModel
    request: ModelRequest
    spending: Spending
    usage: Usage = field(default_factory=Usage)
    at_risk: Usage = field(default_factory=Usage)
    tries: int = 0
    completion: Completion | None = None
    failed: ModelError | None = None

    def send(self, seconds: float) -> None:
        """Try once, keep the completion or the error, and charge what was used."""
        self.spending.require(self.model, self.request)
        self.tries += 1
        answer: Completion | ModelError
        try:
            answer = self.completion = self.model.complete(replace(self.request, seconds=seconds))
            self.failed = None
        except ModelError as error:
            answer = self.failed = error
        at_risk = self._unstated(answer.usage) if answer.is_bill_open else Usage()
        self.usage += answer.usage
        self.at_risk += at_risk
        self.spending.charge(answer.usage, at_risk)

    def file(self) -> None:
        failed = self.failed
        self.spending.file(
            Exchange(
                self.request,
                self.model.name,
                self.completion,
                "" if failed is None else scrub(str(failed)),
                "" if failed is None else failed.text,
                self.usage,
                self.at_risk,
                self.tries,
            )
        )

    def _unstated(self, stated: Usage) -> Usage:
        """Return the worst case without what the server stated."""
        worst = worst_case(self.model, self.request)
        usd = None if worst.usd is None else max(0.0, worst.usd - (stated.usd or 0.0))
        n_in = max(0, worst.input_tokens - stated.tokens_in)
        n_out = max(0, worst.output_tokens - stated.output_tokens)
        return Usage(n_in, output_tokens=n_out, usd=usd)


def _raised(state: RetryCallState) -> bool:
    return state.outcome is not None and state.outcome.failed


def _may_pass(error: ModelError | None) -> bool:
    return error is not None and error.is_passing


def _error(exchange: _Exchange) -> ModelError:
    assert exchange.failed is not None
    return exchange.failed
