"""The one way to ask a language model: again if need be, within the budget, on the record."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from gco_agent.core.errors import BudgetSpent, ModelError, ModelTimedOut, RequestAbandoned
from gco_agent.core.records import Usage
from gco_agent.llm.base import Completion, LanguageModel, ModelRequest
from gco_agent.llm.exchange import Exchange
from gco_agent.llm.secrets import scrub
from gco_agent.llm.spending import Spending, worst_case

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Patience:
    """How often, and after how long, a request that failed is sent again.

    Attributes:
        tries: Most requests, the first included.
        first_wait_s: Seconds before the second; they double from one to the next.
        longest_wait_s: Most seconds between two, whatever the server asks for.
        sleep: Waits for so many seconds.
        clock: Seconds of wall time, as `time.perf_counter`.
        chance: A number from [0, 1), which spreads the waits of many clients.
    """

    tries: int = 6
    first_wait_s: float = 1.0
    longest_wait_s: float = 60.0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.perf_counter
    chance: Callable[[], float] = random.random

    def wait_s(self, n_tries: int, error: ModelError) -> float:
        """Seconds to wait after so many tries, the last of which ended with ``error``."""
        grown = self.first_wait_s * 2.0 ** min(n_tries - 1, 30)
        asked = error.retry_after_s or 0.0
        return min(self.longest_wait_s, max(asked, grown * (1.0 - 0.25 * self.chance())))


@dataclass
class _Exchange:
    """A request under way, and what its tries came to so far."""

    model: LanguageModel
    request: ModelRequest
    spending: Spending
    usage: Usage = field(default_factory=Usage)
    at_risk: Usage = field(default_factory=Usage)
    tries: int = 0

    def send(self, seconds: float) -> Completion:
        """Try once, and charge what it took, answered or not."""
        self.spending.require(self.model, self.request)
        self.tries += 1
        try:
            completion = self.model.complete(replace(self.request, seconds=seconds))
        except ModelError as error:
            self._charge(error.usage, self._at_risk(error))
            raise
        self._charge(completion.usage, Usage())
        return completion

    def file(self, completion: Completion | None, error: ModelError | None = None) -> None:
        """Put the finished exchange on record."""
        self.spending.file(
            Exchange(
                self.request,
                self.model.name,
                completion,
                "" if error is None else scrub(str(error)),
                "" if error is None else error.text,
                self.usage,
                self.at_risk,
                self.tries,
            )
        )

    def _charge(self, usage: Usage, at_risk: Usage) -> None:
        self.usage += usage
        self.at_risk += at_risk
        self.spending.charge(usage, at_risk)

    def _at_risk(self, error: ModelError) -> Usage:
        """What the worst case leaves beyond what the server said."""
        if not error.is_bill_open:
            return Usage()
        worst, said = worst_case(self.model, self.request), error.usage
        usd = None if worst.usd is None else max(0.0, worst.usd - (said.usd or 0.0))
        n_in = max(0, worst.input_tokens - said.tokens_in)
        return Usage(n_in, output_tokens=max(0, worst.output_tokens - said.output_tokens), usd=usd)


def ask(
    model: LanguageModel,
    request: ModelRequest,
    spending: Spending,
    patience: Patience | None = None,
) -> Completion:
    """Ask ``model``, again where that may help, and put the exchange on the account.

    Before every try the caps of ``spending`` are held against the worst that it could cost.

    Raises:
        BudgetSpent: The next try could cost more than is left, and was not sent.
        UsageError: Dollars are capped, and the price of the model is not known.
        ModelError: There is no answer, after all tries; `ReplyRefused` or `ReplyTruncated` where
            one came that is of no use, `RequestAbandoned` where Ctrl-C ended it. What was used is
            on the account all the same.
    """
    patience = patience or Patience()
    give_up = patience.clock() + request.seconds
    exchange = _Exchange(model, request, spending)
    failed: ModelError | None = None
    while True:
        try:
            completion = exchange.send(give_up - patience.clock())
        except BudgetSpent:
            if failed is not None:
                exchange.file(None, failed)
            raise
        except ModelError as error:
            failed = error
            wait_s = patience.wait_s(exchange.tries, error)
            if not error.is_passing or exchange.tries >= patience.tries:
                exchange.file(None, error)
                raise
            if patience.clock() + wait_s >= give_up:
                exchange.file(None, error)
                raise _out_of_time(error, request, exchange.tries) from error
        else:
            exchange.file(completion)
            return completion
        _log.warning("%s; asking again in %.2g s", failed.what, wait_s)
        try:
            patience.sleep(wait_s)
        except KeyboardInterrupt as stop:
            exchange.file(None, failed)
            raise RequestAbandoned(stop) from stop


def _out_of_time(error: ModelError, request: ModelRequest, tries: int) -> ModelTimedOut:
    times = "once" if tries == 1 else f"{tries} times"
    return ModelTimedOut(
        f"no answer within {request.seconds:.3g} s, though asked {times}; at last: {error.what}",
        advice="run the command again later",
        retry_after_s=error.retry_after_s,
    )
