"""Records of what a language model is asked and answers, and the protocol of a model."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from gco_agent.core.codec import decode, require_schema
from gco_agent.core.errors import ModelError, StoreError, UsageError
from gco_agent.core.records import Usage
from gco_agent.llm.prices import FREE, Price, priced

SCHEMA = 1
REMOVED = "[key removed]"
"""Replacement of a key in records and messages."""

_OVERHEAD_BYTES = 2_000
"""Allowance for additions of the server to a request: instructions for tools, marks of turns."""
_CHARACTERS_PER_TOKEN = 4
_KEYS = re.compile(
    r"\bsk-[A-Za-z0-9_-]{16,}"  # model providers
    r"|\b(?:gh[pousr]_|github_pat_|glpat-|xox[abprs]-|hf_)[A-Za-z0-9_-]{16,}"
    r"|\bAKIA[0-9A-Z]{16}\b"
    r"|(?<=://)[^\s/@:]*:[^\s/@]+(?=@)"  # user and password of an address
    r"|(?<=Bearer )[A-Za-z0-9._~+/-]{16,}=*"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(?:-----END [A-Z ]*PRIVATE KEY-----)?"
)


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool that the model is offered, so that its answer has named fields.

    Attributes:
        schema: JSON schema of its input; an object with ``additionalProperties: false``.
    """

    name: str
    description: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One request; its texts are ordered from the most lasting to the newest.

    Attributes:
        system: Role of the model; the same for every request of a run.
        cached: First part of the message, the same from iteration to iteration; may be empty.
        user: Last part of the message, new each time.
        tool: Tool for the answer, or None for free text. A server may ignore it, so an answer in
            text must do as well.
        max_tokens: Limit of the reply, thinking included.
        seconds: Wall time for the answer, with all retries and waits.
    """

    system: str
    cached: str
    user: str
    tool: ToolSpec | None = None
    max_tokens: int = 16_000
    seconds: float = 600.0

    def __post_init__(self) -> None:
        """Refuse a request without a deadline."""
        if not math.isfinite(self.seconds):
            raise ValueError(f"a request needs a finite time limit, not {self.seconds} seconds")

    @property
    def most_input_tokens(self) -> int:
        """Upper bound of the tokens to be read: no token is shorter than a byte."""
        tool = "" if self.tool is None else f"{self.tool}"
        n_bytes = sum(len(t.encode()) for t in (self.system, self.cached, self.user, tool))
        return n_bytes + _OVERHEAD_BYTES


@dataclass(frozen=True, slots=True)
class Completion:
    """A complete answer of a model.

    Attributes:
        text: All text of the reply; empty if it is a tool call alone.
        tool_input: Input of the call of the requested tool; None if there was none, or it was not
            a JSON object.
        stop_reason: Why the reply ended: "end_turn", "tool_use" or "stop_sequence".
        is_bill_open: The server did not say what the answer used.
    """

    text: str
    tool_input: dict[str, Any] | None = None
    usage: Usage = field(default_factory=Usage)
    model: str = ""
    stop_reason: str = "end_turn"
    is_bill_open: bool = False


class LanguageModel(Protocol):
    """Answers requests, one try each.

    Optimizers call `gco_agent.llm.ask` instead, which retries, keeps within the budget and records
    the exchange.
    """

    @property
    def name(self) -> str:
        """Name of the model, as its server knows it."""

    @property
    def price(self) -> Price | None:
        """Price of its tokens, None if unknown."""

    def complete(self, request: ModelRequest) -> Completion:
        """Ask once.

        Raises:
            ModelError: There is no complete answer. Says whether a retry may help, and what was
                used; `ReplyRefused` if the model declined, `ReplyTruncated` if the reply is longer
                than ``max_tokens``.
        """


class ScriptedModel:
    """Answers from a list, in order: for tests, documentation and replay.

    Args:
        script: A `Completion` is returned as it is, a text as the text of one, and an exception is
            raised.
    """

    def __init__(
        self,
        script: Iterable[str | Completion | Exception],
        *,
        name: str = "scripted",
        price: Price | None = FREE,
    ) -> None:
        self._script: Iterator[str | Completion | Exception] = iter(script)
        self.name, self.price = name, price
        self.requests: list[ModelRequest] = []

    def complete(self, request: ModelRequest) -> Completion:
        """Return the next answer of the script."""
        self.requests.append(request)
        answer = next(self._script, None)
        if answer is None:
            n = len(self.requests) - 1
            raise ModelError(f"the script of the model {self.name!r} has no answer after {n}")
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Completion):
            return answer
        asked = len(request.system) + len(request.cached) + len(request.user)
        n_in, n_out = asked // _CHARACTERS_PER_TOKEN, len(answer) // _CHARACTERS_PER_TOKEN
        usage = priced(Usage(n_in, output_tokens=n_out), self.price)
        return Completion(answer, usage=usage, model=self.name)


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request with its answer or error.

    Attributes:
        partial: What arrived of an answer that broke off.
        usage: What was used by all tries, as far as the server said.
        at_risk: Upper bound of further costs.
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
    """Return exchanges as JSON, without anything that looks like a key."""
    data = {"schema": SCHEMA, "exchanges": [asdict(exchange) for exchange in exchanges]}
    return json.dumps(scrubbed(data), indent=1, allow_nan=False) + "\n"


def parse_exchanges(text: str) -> tuple[Exchange, ...]:
    """Read what `format_exchanges` wrote."""
    try:
        data = json.loads(text)
        require_schema(data["schema"], SCHEMA, "the record")
        return tuple(decode(list[Exchange], scrubbed(data["exchanges"]), "a record of exchanges"))
    except (ValueError, KeyError, TypeError, StoreError) as error:
        raise UsageError(f"this is not a record of exchanges: {error}") from error


def scrub(text: str, *secrets: str) -> str:
    """Remove what looks like a key, and each of ``secrets``."""
    for secret in filter(None, secrets):
        text = text.replace(secret, REMOVED)
    return _KEYS.sub(REMOVED, text)


def scrubbed(data: Any) -> Any:  # noqa: ANN401 - any JSON data
    """Return a copy of JSON data with every text scrubbed, and fit for UTF-8."""
    if isinstance(data, str):
        return scrub(data.encode("utf-8", "replace").decode())
    if isinstance(data, dict):
        return {scrubbed(key): scrubbed(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [scrubbed(item) for item in data]
    return data
