"""Asking again, within the caps, on the record."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from gco_agent.core.errors import (
    BudgetSpent,
    KeyRefused,
    ModelError,
    ModelOverloaded,
    ModelTimedOut,
    RateLimited,
    ReplyTruncated,
    RequestAbandoned,
    StreamCut,
    UsageError,
)
from gco_agent.core.records import Usage
from gco_agent.llm.asking import Patience, Spending, ask, worst_case
from gco_agent.llm.base import Completion, ModelRequest, ScriptedModel, ToolSpec
from gco_agent.llm.prices import Price, priced

PRICE = Price(1.0, 10.0, 1.25, 0.1)
REQUEST = ModelRequest("system", "cached", "user ü", ToolSpec("t", "d", {}), 1_000, 100.0)
USED = priced(Usage(300, output_tokens=50), PRICE)
ANSWER = Completion("Fine.", usage=USED, model="served")


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept.append(seconds)


def patient(clock: Clock, **how) -> Patience:
    return Patience(sleep=clock.sleep, clock=lambda: clock.now, chance=lambda: 0.0, **how)


def test_an_answer_is_charged_and_recorded() -> None:
    model, spending = ScriptedModel([ANSWER], price=PRICE), Spending()
    assert ask(model, REQUEST, spending) is ANSWER
    assert spending.spent == USED
    assert spending.at_risk == Usage()
    (exchange,) = spending.take_exchanges()
    assert (exchange.request, exchange.completion, exchange.error) == (REQUEST, ANSWER, "")
    assert (exchange.usage, exchange.tries, exchange.model) == (USED, 1, "scripted")
    assert spending.take_exchanges() == ()


def test_what_may_pass_is_asked_again_ever_later(caplog: pytest.LogCaptureFixture) -> None:
    clock, spending = Clock(), Spending()
    script: list[Exception | Completion] = [
        ModelOverloaded("busy"),
        RateLimited("slower"),
        StreamCut("cut"),
        ANSWER,
    ]
    with caplog.at_level(logging.WARNING):
        assert ask(ScriptedModel(script), REQUEST, spending, patient(clock)) is ANSWER
    assert clock.slept == [1.0, 2.0, 4.0]
    (exchange,) = spending.take_exchanges()
    assert exchange.tries == 4
    assert caplog.messages[0] == "busy; retrying in 1 s"


def test_waits_are_spread_and_bounded() -> None:
    spread = Patience(chance=lambda: 0.999)
    assert spread.wait_s(1, ModelOverloaded("")) == pytest.approx(0.75, abs=0.01)
    assert spread.wait_s(200, ModelOverloaded("")) == 60.0
    assert spread.wait_s(1, RateLimited("", retry_after_s=7.5)) == 7.5
    assert spread.wait_s(1, RateLimited("", retry_after_s=86_400.0)) == 60.0


def test_what_will_not_pass_is_asked_once() -> None:
    clock, spending = Clock(), Spending()
    with pytest.raises(KeyRefused, match="no"):
        ask(ScriptedModel([KeyRefused("no"), ANSWER]), REQUEST, spending, patient(clock))
    assert clock.slept == []
    (exchange,) = spending.take_exchanges()
    assert (exchange.completion, exchange.error, exchange.tries) == (None, "no", 1)


def test_patience_ends() -> None:
    clock, spending = Clock(), Spending()
    model = ScriptedModel([ModelOverloaded(f"busy {n}") for n in range(9)])
    with pytest.raises(ModelOverloaded, match="busy 2"):
        ask(model, REQUEST, spending, patient(clock, tries=3))
    assert len(model.requests) == 3
    assert spending.take_exchanges()[0].error == "busy 2"


def test_no_wait_goes_beyond_the_time_of_the_request() -> None:
    clock, spending = Clock(), Spending()
    model = ScriptedModel([RateLimited("slow down", retry_after_s=1e9)] * 9)
    with pytest.raises(ModelTimedOut, match=r"within 100 s, asked 2 times; .* slow down"):
        ask(model, REQUEST, spending, patient(clock))
    assert clock.now == 60.0
    assert [request.seconds for request in model.requests] == [100.0, 40.0]
    assert len(spending.take_exchanges()) == 1


def test_a_single_try_that_leaves_no_time() -> None:
    model = ScriptedModel([ModelOverloaded("busy", retry_after_s=50.0)])
    with pytest.raises(ModelTimedOut, match="asked once"):
        ask(model, replace(REQUEST, seconds=3.0), Spending(), patient(Clock()))


def test_what_was_paid_for_is_kept_though_no_answer_came() -> None:
    cut = ReplyTruncated("too long", usage=USED, text="class Pol")
    spending = Spending()
    with pytest.raises(ReplyTruncated):
        ask(ScriptedModel([cut], price=PRICE), REQUEST, spending)
    assert spending.spent == USED
    (exchange,) = spending.take_exchanges()
    assert (exchange.usage, exchange.partial, exchange.error) == (USED, "class Pol", "too long")


def test_an_open_bill_counts_at_its_worst() -> None:
    told = priced(Usage(200, output_tokens=1), PRICE)
    cut = StreamCut("cut", usage=told, is_bill_open=True)
    model, spending = ScriptedModel([cut, ANSWER], price=PRICE), Spending()
    ask(model, REQUEST, spending, patient(Clock()))
    worst = worst_case(model, REQUEST)
    assert spending.spent == told + USED
    assert (told + spending.at_risk).total_tokens == worst.total_tokens
    assert (told + spending.at_risk).usd == pytest.approx(worst.usd)
    (exchange,) = spending.take_exchanges()
    assert (exchange.usage, exchange.at_risk) == (spending.spent, spending.at_risk)


def test_an_answer_without_usage_counts_at_its_worst() -> None:
    unstated = Completion("Fine.", usage=priced(Usage(), PRICE), is_bill_open=True)
    model, spending = ScriptedModel([unstated] * 2, price=PRICE), Spending()
    ask(model, REQUEST, spending)
    worst = worst_case(model, REQUEST)
    assert spending.at_risk.usd == pytest.approx(worst.usd)
    spending.usd_cap = (worst.usd or 0) * 1.5
    with pytest.raises(BudgetSpent):
        ask(model, REQUEST, spending)


def test_the_worst_case_is_every_byte_a_token_and_the_longest_reply() -> None:
    worst = worst_case(ScriptedModel([], price=PRICE), REQUEST)
    n_bytes = len("systemcacheduser ü".encode()) + len(str(REQUEST.tool))
    assert worst.input_tokens == n_bytes + 2_000
    assert worst.output_tokens == 1_000
    assert worst.usd == pytest.approx((worst.input_tokens * 1.25 + 10_000) / 1e6)
    assert worst_case(ScriptedModel([], price=None), REQUEST).usd is None


def test_the_cap_is_held_against_the_worst_case_before_every_try() -> None:
    worst = worst_case(ScriptedModel([], price=PRICE), REQUEST).usd or 0
    model = ScriptedModel([ANSWER] * 3, price=PRICE)
    used = USED.usd or 0
    spending = Spending(usd_cap=worst + used)
    ask(model, REQUEST, spending)
    ask(model, REQUEST, spending)
    with pytest.raises(BudgetSpent) as caught:
        ask(model, REQUEST, spending)
    assert len(model.requests) == 2
    assert caught.value.limit == (
        f"${spending.usd_cap:.2f} (${2 * used:.4f} spent, and the next request could cost "
        f"${worst:.4f})"
    )


def test_the_cap_holds_between_tries_and_what_they_used_is_recorded() -> None:
    model = ScriptedModel([StreamCut("cut", is_bill_open=True), ANSWER], price=PRICE)
    worst = worst_case(model, REQUEST).usd or 0
    spending = Spending(usd_cap=1.5 * worst)
    with pytest.raises(BudgetSpent):
        ask(model, REQUEST, spending, patient(Clock()))
    assert len(model.requests) == 1
    (exchange,) = spending.take_exchanges()
    assert (exchange.error, exchange.tries) == ("cut", 1)
    assert exchange.at_risk.usd == pytest.approx(worst)


def test_tokens_are_capped_too() -> None:
    model = ScriptedModel([ANSWER] * 2, price=None)
    worst = worst_case(model, REQUEST).total_tokens
    spending = Spending(token_cap=worst, spent=Usage(usd=None))
    ask(model, REQUEST, spending)
    with pytest.raises(BudgetSpent, match=rf"{worst:,} tokens \(350 used, .* take {worst:,}\)"):
        ask(model, REQUEST, spending)


def test_dollars_cannot_be_capped_where_no_price_is_known() -> None:
    model = ScriptedModel([ANSWER], price=None)
    with pytest.raises(UsageError, match=r"scripted.*, so a limit of \$5.00 cannot"):
        ask(model, REQUEST, Spending(usd_cap=5.0))
    assert model.requests == []


def test_a_request_has_an_end() -> None:
    with pytest.raises(ValueError, match="inf seconds"):
        ModelRequest("", "", "Go.", seconds=float("inf"))


def test_scripted_models_answer_in_order_and_count() -> None:
    model = ScriptedModel(["x" * 40, ANSWER], price=PRICE, name="script")
    first = model.complete(REQUEST)
    assert (first.text, first.model, first.usage.output_tokens) == ("x" * 40, "script", 10)
    assert first.usage.usd == pytest.approx(PRICE.usd(first.usage))
    assert model.complete(REQUEST) is ANSWER
    with pytest.raises(ModelError, match="'script' has no answer after 2"):
        model.complete(REQUEST)
    assert ScriptedModel(["x"], price=None).complete(REQUEST).usage.tokens_in > 0


def test_what_a_request_took_before_ctrl_c_is_on_the_account() -> None:
    told = priced(Usage(200, output_tokens=9), PRICE)
    stop = RequestAbandoned(KeyboardInterrupt("SIGINT"), is_bill_open=True)
    stop.usage, stop.text = told, "class Pol"
    model, spending = ScriptedModel([stop], price=PRICE), Spending()
    with pytest.raises(RequestAbandoned, match=r"was ended \(SIGINT\) while"):
        ask(model, REQUEST, spending, patient(Clock()))
    worst = worst_case(model, REQUEST)
    assert spending.spent == told
    assert (told + spending.at_risk).usd == pytest.approx(worst.usd)
    (exchange,) = spending.take_exchanges()
    assert (exchange.usage, exchange.partial, exchange.tries) == (told, "class Pol", 1)


def test_ctrl_c_between_two_tries_loses_nothing_either() -> None:
    told = priced(Usage(200, output_tokens=1), PRICE)

    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    patience = Patience(sleep=interrupted, clock=lambda: 0.0, chance=lambda: 0.0)
    model = ScriptedModel([StreamCut("cut", usage=told), ANSWER], price=PRICE)
    spending = Spending()
    with pytest.raises(RequestAbandoned, match=r"ended \(Ctrl-C\) while"):
        ask(model, REQUEST, spending, patience)
    (exchange,) = spending.take_exchanges()
    assert (exchange.usage, exchange.error, exchange.tries) == (told, "cut", 1)
