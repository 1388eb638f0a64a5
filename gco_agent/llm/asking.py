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
        first_wait_s: Seconds before the second; they double from try to try.
        chance: Returns a number from [0, 1), to spread the waits of many clients.
    """

    tries: int = 6
    first_wait_s: float = 1.0
    longest_wait_s: float = 60.0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.perf_counter
    chance: Callable[[], float] = random.random

    def wait_s(self, n_tries: int, error: ModelError) -> float:
        """Return the seconds to wait after ``n_tries`` tries, the last with ``error``."""
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
        at_risk: Upper bound of further costs, for answers whose usage the server did not state;
            counts against the limits.
    """

    usd_cap: float | None = None
    token_cap: int | None = None
    spent: Usage = field(default_factory=Usage)
    at_risk: Usage = field(default_factory=Usage)
    _exchanges: list[Exchange] = field(default_factory=list)

    def require(self, model: LanguageModel, request: ModelRequest) -> None:
        """Check that the worst case of one more request stays within the limits."""
        used = self.spent + self.at_risk
        most = used + worst_case(model, request)
        if self.token_cap is not None and most.total_tokens > self.token_cap:
            raise BudgetSpent(
                f"{self.token_cap:,} tokens ({used.total_tokens:,} used, and the next request "
                f"could take {most.total_tokens - used.total_tokens:,})"
            )
        if self.usd_cap is None:
            return
        if used.usd is None or most.usd is None:
            raise UsageError(
                f"the price of {model.name}, or of a model used earlier, is unknown, so a limit of "
                f"${self.usd_cap:.2f} cannot be kept: state the price, or omit the limit"
            )
        if most.usd > self.usd_cap:
            raise BudgetSpent(
                f"${self.usd_cap:.2f} (${used.usd:.4f} spent, and the next request could cost "
                f"${most.usd - used.usd:.4f})"
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
    n_in, n_out = request.most_input_tokens, request.max_tokens
    usd = None if model.price is None else model.price.worst_usd(n_in, n_out)
    return Usage(n_in, output_tokens=n_out, usd=usd)


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
        ModelError: There is no answer after all tries; `ReplyRefused` or `ReplyTruncated` where the
            answer is of no use, `RequestAbandoned` after Ctrl-C. The usage is charged anyway.
    """
    from tenacity import Retrying, retry_if_exception

    patience = patience or Patience()
    give_up = patience.clock() + request.seconds
    tries = _Tries(model, request, spending)

    def must_stop(state: RetryCallState) -> bool:
        is_late = patience.clock() + state.upcoming_sleep >= give_up
        return state.attempt_number >= patience.tries or is_late

    retrying = Retrying(
        sleep=patience.sleep,
        retry=retry_if_exception(lambda error: isinstance(error, ModelError) and error.is_passing),
        wait=lambda state: patience.wait_s(state.attempt_number, tries.error),
        stop=must_stop,
        before_sleep=lambda state: _log.warning(
            "%s; retrying in %.2g s", tries.error.what, state.upcoming_sleep
        ),
        reraise=True,
    )
    try:
        return retrying(lambda: tries.send(give_up - patience.clock()))
    except KeyboardInterrupt as stop:  # between two tries
        raise RequestAbandoned(stop) from stop
    except ModelError as error:
        if not error.is_passing or tries.n >= patience.tries:
            raise
        times = "once" if tries.n == 1 else f"{tries.n} times"
        raise ModelTimedOut(
            f"no answer within {request.seconds:.3g} s, asked {times}; the last error: "
            f"{error.what}",
            advice="run the command again later",
            retry_after_s=error.retry_after_s,
        ) from error
    finally:
        if tries.n:
            tries.file()


@dataclass
class _Tries:
    """A request under way, and what its tries used and returned so far."""

    model: LanguageModel
    request: ModelRequest
    spending: Spending
    n: int = 0
    usage: Usage = field(default_factory=Usage)
    at_risk: Usage = field(default_factory=Usage)
    last: Completion | ModelError | None = None

    @property
    def error(self) -> ModelError:
        """The error of the last try, which failed."""
        assert isinstance(self.last, ModelError)
        return self.last

    def send(self, seconds: float) -> Completion:
        """Try once, and charge what was used."""
        self.spending.require(self.model, self.request)
        self.n += 1
        try:
            answer = self.model.complete(replace(self.request, seconds=seconds))
        except ModelError as error:
            self._charge(error)
            raise
        self._charge(answer)
        return answer

    def _charge(self, answer: Completion | ModelError) -> None:
        self.last, stated, at_risk = answer, answer.usage, Usage()
        if answer.is_bill_open:
            worst = worst_case(self.model, self.request)
            at_risk = Usage(
                max(0, worst.input_tokens - stated.tokens_in),
                output_tokens=max(0, worst.output_tokens - stated.output_tokens),
                usd=None if worst.usd is None else max(0.0, worst.usd - (stated.usd or 0.0)),
            )
        self.usage += stated
        self.at_risk += at_risk
        self.spending.charge(stated, at_risk)

    def file(self) -> None:
        """Keep the exchange."""
        completion = self.last if isinstance(self.last, Completion) else None
        error, partial = "", ""
        if isinstance(self.last, ModelError):
            error, partial = scrub(str(self.last)), self.last.text
        self.spending.file(
            Exchange(
                self.request,
                self.model.name,
                completion,
                error,
                partial,
                self.usage,
                self.at_risk,
                self.n,
            )
        )
