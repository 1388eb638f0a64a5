"""Requests for which nothing was played."""

from __future__ import annotations

from typing import Any

from gco_agent.core.records import Evaluation
from gco_agent.llm.asking import Spending
from gco_agent.optimizers.base import PastIteration, Request
from gco_agent.optimizers.feedback import Feedback
from gco_agent.store.config import RunConfig
from gco_agent.traces.records import ExecutionTrace
from tests.engine.pong_policies import RULES
from tests.optimizers.corpus import PARENT

CONFIG = RunConfig("pong", RULES, optimizer="exchange")
FEEDBACK = Feedback("outplayed", "### Stage: outplayed\n\nMove the paddle.\n", ExecutionTrace())


def bare_request(**changes: Any) -> Request:
    """The request of iteration 7, with what is given instead of the usual."""
    usual: dict[str, Any] = {
        "parent": PARENT,
        "evaluation": Evaluation((), RULES.stamp),
        "iteration": 7,
        "config": CONFIG,
        "attempts": [PastIteration(0, "initial", "Start", None, None, "", PARENT.text)],
        "recall": lambda _: None,
        "deadline": float("inf"),
        "feedback": lambda: FEEDBACK,
        "budget": Spending(),
    }
    return Request(**{**usual, **changes})
