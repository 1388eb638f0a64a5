"""One request for the whole policy: what it holds, and what is made of every kind of answer."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gco_agent.core.errors import (
    BudgetSpent,
    KeyRefused,
    ModelTimedOut,
    ReplyRefused,
    ReplyTruncated,
    UsageError,
)
from gco_agent.core.events import Event, Searching
from gco_agent.core.records import Evaluation, Usage
from gco_agent.evaluation.workers import WorkerPool
from gco_agent.llm.asking import Patience, Spending
from gco_agent.llm.base import Completion, ScriptedModel
from gco_agent.optimizers import prompts
from gco_agent.optimizers.base import PastIteration, Request, Tools, Unusable
from gco_agent.optimizers.feedback import Feedback
from gco_agent.optimizers.reflect import TOOL, ReflectOptimizer
from gco_agent.optimizers.replies import LONGEST_S
from gco_agent.policy.source import PolicySource, format_policy
from gco_agent.store.config import RunConfig
from gco_agent.traces.records import ExecutionTrace
from tests.engine.pong_policies import FOLLOW, HIDE, RULES, STILL
from tests.llm.outcomes import KINDS

PARENT = PolicySource(format_policy(STILL))
CONFIG = RunConfig("pong", RULES, optimizer="reflect")
USED = Usage(1_000, output_tokens=200, usd=0.01)


@pytest.fixture(autouse=True)
def _no_probing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The interface is measured elsewhere."""
    monkeypatch.setattr(prompts, "describe_run", lambda _: "(the interface)")


def request(**changes: Any) -> Request:
    told = Request(
        PARENT,
        Evaluation((), RULES.stamp),
        3,
        CONFIG,
        [],
        lambda _: None,
        float("inf"),
        feedback=lambda: Feedback("losing", "The ball passes the paddle.", ExecutionTrace(())),
        budget=Spending(),
    )
    return replace(told, **changes)


def handed_in(**fields: Any) -> Completion:
    whole = {
        "diagnosis": "Step 40: the ball passes.",
        "change": "Follow it.",
        "summary": "follow the ball",
        "policy": FOLLOW,
    }
    return Completion("", {**whole, **fields}, USED, "m", "tool_use")


def test_what_is_handed_in_is_proposed() -> None:
    model = ScriptedModel([handed_in()])
    told = request()
    proposal = ReflectOptimizer(model).propose(told)
    assert proposal.source.text == format_policy(FOLLOW)
    assert proposal.summary == "follow the ball"
    assert proposal.reason == "Step 40: the ball passes.\n\nFollow it."
    assert proposal.usage == USED
    assert told.budget is not None
    assert told.budget.spent == USED
    (asked,) = model.requests
    assert asked.tool is TOOL
    assert asked.max_tokens == CONFIG.max_tokens
    assert asked.seconds == pytest.approx(LONGEST_S, abs=1)
    assert "(the interface)" in asked.cached
    assert f"Call the tool `{TOOL.name}`" in asked.cached
    assert "The ball passes the paddle." in asked.user
    assert PARENT.text.strip() in asked.user


def test_it_says_what_it_waits_for() -> None:
    events: list[Event] = []
    ReflectOptimizer(ScriptedModel([handed_in()])).propose(request(progress=events.append))
    told = [event.activity for event in events if isinstance(event, Searching)]
    assert told == ["trace the present policy", "wait for scripted"]


def test_the_tool_asks_for_the_diagnosis_before_the_code() -> None:
    schema = TOOL.schema
    assert list(schema["properties"]) == schema["required"]
    assert schema["required"] == ["diagnosis", "change", "summary", "policy"]
    assert schema["additionalProperties"] is False
    json.dumps(schema)


def test_what_stays_the_same_is_the_same_to_the_letter() -> None:
    """Or no cache would ever be read."""
    model = ScriptedModel([handed_in()] * 2)
    tried = PastIteration(2, "rejected", "hide", -3.0, "reflect", "No good.", HIDE)
    optimizer = ReflectOptimizer(model)
    optimizer.propose(request(attempts=[tried]))
    assert "hide" in model.requests[0].user
    optimizer.propose(request(iteration=9, attempts=[tried], repair="It fell over."))
    first, second = model.requests
    assert (first.system, first.cached, first.tool) == (second.system, second.cached, second.tool)
    assert "It fell over." in second.user


@pytest.mark.parametrize(
    "answer",
    [
        Completion(f"Summary: follow\n\nIt passes.\n\n```python\n{FOLLOW}```", usage=USED),
        Completion(json.dumps({"policy": FOLLOW, "summary": "follow"}), usage=USED),
        Completion(f"```python\n{FOLLOW}```\n", {"diagnosis": "?", "policy": ""}, USED),
        Completion("", {"code": FOLLOW, "summary": "follow"}, USED),
        handed_in(policy=f"```python\n{FOLLOW}```"),
        handed_in(summary=None, change=3, diagnosis=["x"]),
    ],
    ids=["text", "JSON", "text beside an empty call", "another name", "fenced", "odd fields"],
)
def test_other_forms_of_answer_do_as_well(answer: Completion) -> None:
    proposal = ReflectOptimizer(ScriptedModel([answer])).propose(request())
    assert proposal.source.text == format_policy(FOLLOW)
    assert proposal.summary


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Completion("I would rather not touch it.", usage=USED), "no code"),
        (Completion("", usage=USED), "empty"),
        (handed_in(policy="class Policy:\n    def act(self, obs:"), "not Python"),
        (handed_in(policy=7), "no code"),
        (handed_in(policy=STILL), "no change"),
        (handed_in(policy="import os\n" + FOLLOW), "contract"),
        (handed_in(policy="x = 1\n" * 400_000), "too long"),
        (ReplyTruncated("cut at 32,000 tokens", usage=USED, text="class Pol"), "cut off"),
        (ReplyRefused("it declined", usage=USED), "declined"),
    ],
)
def test_an_answer_of_no_use_has_a_kind_and_a_price(
    answer: Completion | Exception, kind: str
) -> None:
    told = request()
    with pytest.raises(Unusable) as caught:
        ReflectOptimizer(ScriptedModel([answer])).propose(told)
    assert caught.value.kind == kind
    assert kind in KINDS
    assert caught.value.usage == USED
    assert told.budget is not None
    (exchange,) = told.budget.take_exchanges()
    assert exchange.usage == USED


def test_what_is_no_reply_is_not_blamed_on_the_reply() -> None:
    with pytest.raises(KeyRefused, match="no key"):
        ReflectOptimizer(ScriptedModel([KeyRefused("no key")])).propose(request())


def test_the_cap_of_the_run_binds() -> None:
    model = ScriptedModel([handed_in()])
    with pytest.raises(BudgetSpent, match="1,000 tokens"):
        ReflectOptimizer(model).propose(request(budget=Spending(token_cap=1_000)))
    assert model.requests == []
    ReflectOptimizer(model).propose(request(budget=None))


def test_without_time_nothing_is_asked_and_the_time_that_is_left_is_kept() -> None:
    model = ScriptedModel([handed_in()])
    optimizer = ReflectOptimizer(model)
    with pytest.raises(BudgetSpent, match="time"):
        optimizer.propose(request(deadline=time.perf_counter() + 1.0))
    assert model.requests == []
    optimizer.propose(request(deadline=time.perf_counter() + 60.0))
    assert 50.0 < model.requests[0].seconds <= 60.0


def test_a_reply_that_comes_too_late_ends_the_run_and_one_that_never_comes_is_an_error() -> None:
    late = ModelTimedOut("no whole answer")
    once = Patience(tries=1)
    with pytest.raises(BudgetSpent, match="the time: no whole answer"):
        ReflectOptimizer(ScriptedModel([late]), once).propose(
            request(deadline=time.perf_counter() + 60.0)
        )
    with pytest.raises(ModelTimedOut):
        ReflectOptimizer(ScriptedModel([late]), once).propose(request())


def test_it_is_made_with_the_model_of_the_command(tmp_path: Path) -> None:
    model = ScriptedModel([])
    with WorkerPool(0) as pool:
        made = ReflectOptimizer.create(Tools(pool, [lambda: model], tmp_path))
        assert isinstance(made, ReflectOptimizer)
        assert made.model is model
        assert made.capabilities.repairs
        with pytest.raises(UsageError, match="needs a language model"):
            ReflectOptimizer.create(Tools(pool))
