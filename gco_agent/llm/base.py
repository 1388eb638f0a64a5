"""What a language model is: one request in, one completion out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from gco_agent.core.records import Usage
from gco_agent.llm.prices import Price

_OVERHEAD_BYTES = 2_000
"""For what a server puts around a request: its own words on tools, marks of turns."""


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """The form that a reply is asked to have: a tool that the model must call.

    Attributes:
        name: Letters, digits and underscores.
        description: What the tool is for, and when to call it.
        schema: JSON schema of its input; an object with ``additionalProperties: false``.
    """

    name: str
    description: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """What a model is asked. The parts go from the most lasting to the newest.

    Attributes:
        system: Who the model is to be; the same for every request of a run.
        cached: First part of the message, the same from iteration to iteration; may be empty.
        user: Last part of the message, new each time.
        tool: The form of the answer, or None for free text. A server may ignore it, so an answer
            in text must do as well.
        max_tokens: Most tokens of the reply, thinking included.
        seconds: Wall time that the answer may take, tries and waits together.

    Raises:
        ValueError: The time has no end.
    """

    system: str
    cached: str
    user: str
    tool: ToolSpec | None = None
    max_tokens: int = 16_000
    seconds: float = 600.0

    def __post_init__(self) -> None:
        """Refuse what could neither be kept to nor be recorded."""
        if not math.isfinite(self.seconds):
            raise ValueError(f"a request has an end: {self.seconds} seconds is none")

    @property
    def most_input_tokens(self) -> int:
        """Upper bound of the tokens to be read: no token is shorter than a byte."""
        tool = "" if self.tool is None else f"{self.tool}"
        n_bytes = sum(len(t.encode()) for t in (self.system, self.cached, self.user, tool))
        return n_bytes + _OVERHEAD_BYTES


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model answered, whole.

    Attributes:
        text: All text of the reply; empty if it is a tool call alone.
        tool_input: Input of the tool call that was asked for, or None if there was none, or none
            that is a JSON object.
        usage: What it used.
        model: Who answered, as the server calls it.
        stop_reason: Why the reply ended: "end_turn", "tool_use" or "stop_sequence".
    """

    text: str
    tool_input: dict[str, Any] | None = None
    usage: Usage = field(default_factory=Usage)
    model: str = ""
    stop_reason: str = "end_turn"


class LanguageModel(Protocol):
    """What answers requests.

    Optimizers do not call it: `gco_agent.llm.ask` does, which tries again, keeps within the budget
    and records the exchange.
    """

    @property
    def name(self) -> str:
        """Name of the model, as its server knows it."""

    @property
    def price(self) -> Price | None:
        """What its tokens cost, or None where that is not known."""

    def complete(self, request: ModelRequest) -> Completion:
        """Ask once.

        Raises:
            ModelError: There is no answer. Says whether asking again may help, and what was used.
            ReplyRefused: The model declined.
            ReplyTruncated: The reply is longer than ``max_tokens``.
        """
