"""A model behind a server of the Messages API; the only door to anthropic.

The SDK retries nothing once a stream has begun, knows no deadline, and gives part of a message
without an error if the connection ends cleanly. So its own retries are off, the clock is ours, and
a message counts only if the server said why it ended.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from gco_agent.core.errors import (
    KeyRefused,
    ModelError,
    ReplyRefused,
    ReplyTruncated,
    RequestAbandoned,
)
from gco_agent.core.records import Usage
from gco_agent.llm import failures
from gco_agent.llm.base import Completion, ModelRequest, ToolSpec
from gco_agent.llm.prices import Price
from gco_agent.llm.streamed import StreamedMessage, TooLong
from gco_agent.llm.wallclock import WallClock

if TYPE_CHECKING:
    import ssl

HOME = "https://api.anthropic.com"
"""The server that is asked unless another is named."""

_CONNECT_S = 15.0
_WHOLE = frozenset({"end_turn", "tool_use", "stop_sequence"})
_KEPT = {"cache_control": {"type": "ephemeral"}}


@dataclass(frozen=True, slots=True)
class AnthropicModel:
    """A model asked through the anthropic SDK.

    Attributes:
        name: Name of the model, as the server knows it.
        price: What its tokens cost; None if that is not known.
        api_key: Given to the server, and kept out of every message.
        base_url: The server: any that speaks the Messages API.
        effort: How much it is to think, in the API's words; None leaves that to the server.
    """

    name: str
    price: Price | None
    api_key: str = field(repr=False)
    base_url: str = HOME
    effort: str | None = None

    def __post_init__(self) -> None:
        """Refuse a key that no header can carry, before a library tells it to the world.

        Raises:
            KeyRefused: It has a space, a line end, or a letter beyond ASCII.
        """
        if not self.api_key.isascii() or not self.api_key.isprintable() or " " in self.api_key:
            raise KeyRefused(
                "the key has a character that no key has, such as a space or a line end: "
                "set ANTHROPIC_API_KEY anew"
            )

    def complete(self, request: ModelRequest) -> Completion:
        """Ask once, streaming; the answer is whole or there is an error.

        Raises:
            ModelError: There is no whole answer; the kind says why.
        """
        importlib.import_module("anthropic")  # this takes seconds, which are not the request's,
        _trusted()  # and so does this
        message = StreamedMessage()
        with WallClock(request.seconds) as clock:
            try:
                with self._errors_translated(message):
                    self._read(request, message, clock)
            except ModelError as error:
                failure = error
                if clock.is_over:
                    failure = failures.of_time(error, self.base_url, request.seconds)
                raise self._billed(failure, message) from error
            except KeyboardInterrupt as stop:
                abandoned = RequestAbandoned(stop, is_bill_open=True)
                raise self._billed(abandoned, message) from stop
        return self._completion(request, message)

    def _read(self, request: ModelRequest, message: StreamedMessage, clock: WallClock) -> None:
        """Send ``request``, and read the answer into ``message``."""
        import anthropic
        import httpx2

        timeout = httpx2.Timeout(request.seconds, connect=min(_CONNECT_S, request.seconds))
        http = anthropic.DefaultHttpxClient(
            verify=_trusted(), timeout=timeout, event_hooks={"request": [clock.watch]}
        )
        with http:
            client = anthropic.Anthropic(
                api_key=self.api_key,
                base_url=self.base_url,
                http_client=http,
                timeout=timeout,
                max_retries=0,
            )
            with client.messages.create(**self._arguments(request), stream=True) as stream:
                for event in stream:
                    message.add(event)

    def _arguments(self, request: ModelRequest) -> dict[str, Any]:
        """The request in the words of the API; what lasts stands first and is cached."""
        content: list[dict[str, Any]] = [{"type": "text", "text": request.user}]
        if request.cached:
            content.insert(0, {"type": "text", "text": request.cached, **_KEPT})
        arguments: dict[str, Any] = {
            "model": self.name,
            "max_tokens": request.max_tokens,
            "messages": [{"role": "user", "content": content}],
        }
        if request.system:
            arguments["system"] = [{"type": "text", "text": request.system, **_KEPT}]
        if request.tool is not None:
            arguments |= _tool_arguments(request.tool)
        if self.effort is not None:
            arguments["output_config"] = {"effort": self.effort}
        return arguments

    @contextlib.contextmanager
    def _errors_translated(self, message: StreamedMessage) -> Iterator[None]:
        """Raise errors of ours for those of the SDK, of HTTP, and of what is no JSON."""
        import anthropic
        import httpx2

        key = self.api_key
        try:
            yield
        except anthropic.APIStatusError as error:
            failure = failures.of_status(error, self.base_url, self.name, key)
            failure.is_bill_open = message.is_begun
            raise failure from error
        except TooLong as error:
            raise ReplyTruncated(
                f"the reply of {self.name} is longer than any reply may be, and was not read on",
                is_bill_open=True,
            ) from error
        except (anthropic.AnthropicError, httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
            raise failures.of_transport(error, self.base_url, key) from error
        if message.stop_reason is None:
            raise failures.cut_off("it ended early", self.base_url)

    def _completion(self, request: ModelRequest, message: StreamedMessage) -> Completion:
        """The answer, if it ended as answers end."""
        reason = message.stop_reason or ""
        if reason not in _WHOLE:
            raise self._billed(_not_whole(self.name, reason, request), message)
        tool_input = None if request.tool is None else message.tool_input(request.tool.name)
        text = message.text or ("" if tool_input is not None else message.everything)
        return Completion(text, tool_input, self._priced(message.usage), message.model, reason)

    def _billed(self, error: ModelError, message: StreamedMessage) -> ModelError:
        """The same error with what the answer, as far as it came, has used."""
        usage = message.usage
        if isinstance(error, RequestAbandoned):  # nobody waits for the server to count
            usage = replace(usage, output_tokens=max(usage.output_tokens, message.guessed_tokens))
        error.usage = self._priced(usage)
        error.text = message.everything
        error.is_bill_open &= message.stop_reason is None
        return error

    def _priced(self, usage: Usage) -> Usage:
        return replace(usage, usd=None) if self.price is None else self.price.priced(usage)


@functools.cache
def _trusted() -> ssl.SSLContext:
    """The certificates that are trusted; reading them takes longer than a whole local request."""
    import httpx2

    return httpx2.create_ssl_context()


def _tool_arguments(tool: ToolSpec) -> dict[str, Any]:
    """The tool, offered and not forced.

    Newer models refuse a request that forces a tool (Claude Opus 5.5, "What's new": forced tool
    use returns an error), and older ones refuse one that does so while they think.
    """
    return {
        "tools": [
            {
                "name": tool.name,
                "description": tool.description,
                "input_schema": dict(tool.schema),
                "strict": True,
            }
        ],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    }


def _not_whole(model: str, reason: str, request: ModelRequest) -> ModelError:
    """The error for a message that ended otherwise than answers end."""
    match reason:
        case "refusal":
            return ReplyRefused(f"{model} declined to answer")
        case "max_tokens":
            return ReplyTruncated(
                f"the reply of {model} was cut off at its limit of {request.max_tokens:,} tokens"
            )
        case "model_context_window_exceeded":
            return ReplyTruncated(
                f"prompt and reply together are longer than {model} can take: give it a shorter "
                "trace, with a lower --trace-tokens"
            )
    return ModelError(f"{model} stopped for a reason that is not known here: {reason[:80]!r}")
