"""Asking a language model within the time that an iteration has left."""

from __future__ import annotations

import time
from dataclasses import replace

from gco_agent.errors import BudgetSpent, ModelTimedOut
from gco_agent.llm import Completion, LanguageModel, ModelRequest, Patience, Spending, ask
from gco_agent.optimizers.base import Request

LONGEST_S = 900.0
"""Wall time of a request, with its tries: a long answer streams for minutes."""
SHORTEST_S = 5.0
"""With less time than this left nothing is asked."""


def ask_in_time(
    model: LanguageModel, asked: ModelRequest, request: Request, patience: Patience
) -> Completion:
    """What the model answers in the time that is left.

    Args:
        model: Who is asked.
        asked: What; its time is set here.
        request: Of the iteration.
        patience: How often.

    Raises:
        BudgetSpent: There is no time for it, or the time was up before an answer came.
        ModelError: As `gco_agent.llm.ask`.
    """
    left_s = request.deadline - time.perf_counter()
    if left_s < SHORTEST_S:
        raise BudgetSpent("the time that a language model needs to answer")
    asked = replace(asked, seconds=min(left_s, LONGEST_S))
    try:
        return ask(model, asked, request.budget or Spending(), patience)
    except ModelTimedOut as error:
        if left_s < LONGEST_S:
            raise BudgetSpent(f"the time: {error.what}") from error
        raise
