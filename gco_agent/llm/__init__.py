"""Language models: the protocol, the client, what it costs, and the record of every exchange.

* `base`       request, completion, and what a model is
* `asking`     the way to ask: tries again, keeps within the budget, records
* `spending`   caps, and what is spent
* `prices`     what tokens cost
* `exchange`   the record of a request and its answer, as JSON
* `secrets`    takes keys out of what is recorded
* `scripted`   a model that answers from a list
* `client`     a model behind a server of the Messages API; the only door to anthropic
"""

from __future__ import annotations

from gco_agent.core.records import Usage
from gco_agent.llm.asking import Patience, ask
from gco_agent.llm.base import Completion, LanguageModel, ModelRequest, ToolSpec
from gco_agent.llm.exchange import Exchange, format_exchanges, parse_exchanges
from gco_agent.llm.prices import FREE, Price
from gco_agent.llm.scripted import ScriptedModel
from gco_agent.llm.spending import Spending

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
]
