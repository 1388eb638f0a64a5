"""Exchanges with a language model as records, and as JSON that replay reads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from gco_agent.core.errors import UsageError
from gco_agent.core.records import Usage
from gco_agent.llm.base import Completion, ModelRequest, ToolSpec
from gco_agent.llm.secrets import scrubbed

SCHEMA = 1
"""Version of the JSON. Raised only when an older reader would misread a newer file."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request, and what came of it.

    Attributes:
        request: What was asked.
        model: Name of the model that was asked.
        completion: The answer, or None.
        error: Why there is no answer, in words; empty if there is one.
        partial: What there is of an answer that broke off.
        usage: What was used, by tries that failed too, as far as the server said.
        at_risk: Most that may be billed beyond that, for tries that broke off unsaid.
        tries: How often the request was sent.
    """

    request: ModelRequest
    model: str
    completion: Completion | None
    error: str = ""
    partial: str = ""
    usage: Usage = field(default_factory=Usage)
    at_risk: Usage = field(default_factory=Usage)
    tries: int = 1


def format_exchanges(exchanges: Iterable[Exchange]) -> str:
    """Write exchanges as JSON, without what looks like a key."""
    data = {"schema": SCHEMA, "exchanges": [asdict(exchange) for exchange in exchanges]}
    return json.dumps(scrubbed(data), indent=1, allow_nan=False) + "\n"


def parse_exchanges(text: str) -> tuple[Exchange, ...]:
    """Read back what `format_exchanges` wrote.

    Raises:
        UsageError: It is no such file, or of a newer schema.
    """
    try:
        data = json.loads(text)
        if data["schema"] != SCHEMA:
            raise UsageError(
                f"the exchanges have schema {data['schema']!r}, and this version of gco-agent "
                f"reads {SCHEMA}: install the version that wrote them, or the newest one"
            )
        return tuple(_exchange(entry) for entry in data["exchanges"])
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"this is no record of exchanges: {error}") from error


def _exchange(data: Mapping[str, Any]) -> Exchange:
    request, completion = dict(data["request"]), data["completion"]
    if request["tool"] is not None:
        request["tool"] = ToolSpec(**request["tool"])
    return Exchange(
        ModelRequest(**request),
        data["model"],
        None if completion is None else _completion(completion),
        data["error"],
        data["partial"],
        Usage(**data["usage"]),
        Usage(**data["at_risk"]),
        data["tries"],
    )


def _completion(data: Mapping[str, Any]) -> Completion:
    return Completion(**{**data, "usage": Usage(**data["usage"])})
