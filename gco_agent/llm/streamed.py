"""Puts the events of a streamed message together; trusts nothing in them."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from gco_agent.core.records import Usage

_CHARACTERS_A_TOKEN = 3
"""Fewer than most tokens of words and code have, so that the guess is rather too high."""
_LONGEST = 8_000_000
"""Characters after which a reply is not read any further."""


class TooLong(Exception):  # noqa: N818 - names the event
    """The reply has more characters than any reply may have."""


class StreamedMessage:
    """What has come of a message so far.

    Attributes:
        stop_reason: Why the server ended it; None until it says so.
        model: Who answers, as the server calls it.
        is_begun: Whether the server began to answer.
    """

    def __init__(self) -> None:
        self.stop_reason: str | None = None
        self.model = ""
        self.is_begun = False
        self._text: list[str] = []
        self._tools: dict[int, str] = {}
        self._inputs: dict[int, list[str]] = {}
        self._counts: dict[str, int] = {}
        self._length = 0

    @property
    def text(self) -> str:
        """All text of the reply, without its thinking."""
        return "".join(self._text)

    @property
    def everything(self) -> str:
        """The text, and the input of its tool calls as it came."""
        return "\n\n".join(t for t in (self.text, *map("".join, self._inputs.values())) if t)

    @property
    def usage(self) -> Usage:
        """What the server says that it used, unpriced."""
        counts = self._counts
        return Usage(
            counts.get("input_tokens", 0),
            counts.get("cache_creation_input_tokens", 0),
            counts.get("cache_read_input_tokens", 0),
            counts.get("output_tokens", 0),
            counts.get("thinking_tokens", 0),
        )

    @property
    def guessed_tokens(self) -> int:
        """Tokens of what has come of the reply, where the server did not get to count them."""
        return -(-self._length // _CHARACTERS_A_TOKEN)

    def tool_input(self, name: str) -> dict[str, Any] | None:
        """Input of the first call of the tool ``name``; None if it is no JSON object."""
        for index, called in self._tools.items():
            if called == name:
                return _parse_object("".join(self._inputs.get(index, [])))
        return None

    def add(self, event: object) -> None:
        """Take in one event of the stream.

        Raises:
            TooLong: The reply has become too long to be one.
        """
        match getattr(event, "type", None):
            case "message_start":
                self.is_begun = True
                message = getattr(event, "message", None)
                self.model = _text(getattr(message, "model", None))
                self._count(getattr(message, "usage", None))
                self._stop(message)
            case "content_block_start":
                self._begin_block(_index(event), getattr(event, "content_block", None))
            case "content_block_delta":
                self._extend_block(_index(event), getattr(event, "delta", None))
            case "message_delta":
                self._stop(getattr(event, "delta", None))
                self._count(getattr(event, "usage", None))

    def _stop(self, part: object) -> None:
        self.stop_reason = _text(getattr(part, "stop_reason", None)) or self.stop_reason

    def _begin_block(self, index: int, block: object) -> None:
        match getattr(block, "type", None):
            case "text":
                self._append(self._text, getattr(block, "text", None))
            case "tool_use":
                self._tools[index] = _text(getattr(block, "name", None))
                whole = getattr(block, "input", None)
                if whole:  # some servers send it at once
                    self._append(self._inputs.setdefault(index, []), json.dumps(whole))

    def _extend_block(self, index: int, delta: object) -> None:
        match getattr(delta, "type", None):
            case "text_delta":
                self._append(self._text, getattr(delta, "text", None))
            case "input_json_delta":
                parts = self._inputs.setdefault(index, [])
                self._append(parts, getattr(delta, "partial_json", None))

    def _append(self, parts: list[str], piece: object) -> None:
        text = _text(piece)
        self._length += len(text)
        if self._length > _LONGEST:
            raise TooLong
        parts.append(text)

    def _count(self, usage: object) -> None:
        """Take over what the server counted; its numbers are totals, not increments."""
        for name in (
            *("input_tokens", "cache_creation_input_tokens"),
            *("cache_read_input_tokens", "output_tokens"),
        ):
            self._keep(name, getattr(usage, name, None))
        details = getattr(usage, "output_tokens_details", None)
        self._keep("thinking_tokens", getattr(details, "thinking_tokens", None))

    def _keep(self, name: str, count: object) -> None:
        if isinstance(count, int) and count > self._counts.get(name, 0):
            self._counts[name] = count


def _parse_object(text: str) -> dict[str, Any] | None:
    try:
        data = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)  # NaN and infinities are no JSON


def _index(event: object) -> int:
    index = getattr(event, "index", 0)
    return index if isinstance(index, int) else 0


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
