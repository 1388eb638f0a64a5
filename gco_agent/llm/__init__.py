"""Language models: the protocol, providers, prices, and the record of every exchange.

* `base`       records of requests and answers, the protocol of a model, a model with a script
* `asking`     `ask`: retries, limits, the account of a run
* `prices`     prices of tokens, and the estimate of a run's cost
* `server`     what models behind servers share; `anthropic` and `openai` are these
* `providers`  models by name
"""

from __future__ import annotations

from gco_agent.core.records import Usage
from gco_agent.llm.asking import Patience, Spending, ask
from gco_agent.llm.base import (
    Completion,
    Exchange,
    LanguageModel,
    ModelRequest,
    ScriptedModel,
    ToolSpec,
    format_exchanges,
    parse_exchanges,
    scrub,
    scrubbed,
)
from gco_agent.llm.prices import FREE, Price

__all__ = [
    "FREE",
    "Completion",
    "Exchange",
    "LanguageModel",
    "ModelRequest",
    "Patience",
    "Price",
    "ScriptedModel",
    "Spending",
    "ToolSpec",
    "Usage",
    "ask",
    "format_exchanges",
    "parse_exchanges",
    "scrub",
    "scrubbed",
]
