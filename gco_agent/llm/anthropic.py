"""Models behind a server of the Messages API, through the anthropic SDK.

The SDK retries nothing once a stream has begun, knows no deadline, and returns part of a message
without an error if the connection ends cleanly. So its retries are off, the deadline is ours, and a
message counts only if the server said why it ended. Nor does its accumulation of a stream serve:
it raises on the first malformed tool input or missing usage, which loses an answer that is paid
for, and hides that the input of a tool was cut.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn

from gco_agent.core.errors import (
    KeyRefused,
    ModelError,
    ModelOverloaded,
    RateLimited,
    ReplyRefused,
    ReplyTruncated,
    RequestAbandoned,
    RequestRefused,
    StreamCut,
    UnknownModel,
    UsageError,
)
from gco_agent.core.records import Usage
from gco_agent.llm.base import Completion, ModelRequest, ToolSpec, scrub
from gco_agent.llm.http import (
    MOST_QUOTED,
    Deadline,
    check_environment,
    cut_off,
    open_client,
    read_body,
    retry_after,
    timed_out,
    transport_error,
)
from gco_agent.llm.prices import Price, priced

if TYPE_CHECKING:
    import anthropic

HOME = "https://api.anthropic.com"
"""The server that is asked unless ANTHROPIC_BASE_URL names another."""

_NO_KEY = "none"
"""The key for a server that needs none."""
_CACHED = {"cache_control": {"type": "ephemeral"}}
_CHARACTERS_PER_TOKEN = 3
"""Fewer than most tokens of words and code have, so that a guess is rather too high."""
_LONGEST = 8_000_000
"""Characters after which a reply is not read any further."""
_COMPLETE = frozenset({"end_turn", "tool_use", "stop_sequence"})
_OF_OTHER_APIS = {"stop": "end_turn", "tool_calls": "tool_use", "length": "max_tokens"}
"""Stop reasons of gateways that pass on those of another API."""
_OPTIONS = {"strict": "strict", "tools": "tool|schema", "output_config": "output_config|effort"}
"""Optional parts of a request, with the words by which a server that refuses them names them."""
_UNSUPPORTED = re.compile("support|extra inputs|unknown|unrecognized|unexpected", re.IGNORECASE)
_SERVER_ERRORS = 500
_BY_TYPE: Mapping[str, type[ModelError]] = {
    "authentication_error": KeyRefused,
    "permission_error": KeyRefused,
    "not_found_error": UnknownModel,
    "rate_limit_error": RateLimited,
    "overloaded_error": ModelOverloaded,
    "api_error": ModelOverloaded,
    "timeout_error": ModelOverloaded,
}
_BY_STATUS: Mapping[int, type[ModelError]] = {
    401: KeyRefused,
    403: KeyRefused,
    404: UnknownModel,
    408: ModelOverloaded,
    409: ModelOverloaded,
    429: RateLimited,
}
_WORDS: Mapping[type[ModelError], tuple[str, str]] = {
    KeyRefused: (
        "{url} does not take the key",
        "set ANTHROPIC_API_KEY to a key that it knows and that may use {model}",
    ),
    UnknownModel: (
        "{url} has no model {model}, or does not speak the Messages API there",
        "choose another with --model, or set ANTHROPIC_BASE_URL",
    ),
    RateLimited: ("{url} limits how often it may be asked", "wait, and run the command again"),
    ModelOverloaded: ("{url} is overloaded or in trouble", "run the command again later"),
    RequestRefused: ("{url} does not take the request", ""),
}
"""What happened, and what to do."""

_log = logging.getLogger(__name__)


def open_model(name: str, *, price: Price | None, effort: str | None = None) -> AnthropicModel:
    """Open a model with the key and the server that the ANTHROPIC_* variables name.

    Raises:
        KeyRefused: There is no key, or it has characters that no key has.
        UsageError: A variable for the server, a proxy or certificates cannot be used.
    """
    url = server_url(os.environ)
    model = AnthropicModel(name, price, find_key(os.environ, url), url, effort)
    check_environment()
    return model


def server_url(environ: Mapping[str, str]) -> str:
    """Return the address of the server.

    Raises:
        UsageError: ANTHROPIC_BASE_URL is not an address.
    """
    url = environ.get("ANTHROPIC_BASE_URL", "").strip().rstrip("/") or HOME
    if not url.startswith(("http://", "https://")):
        raise UsageError(
            f"ANTHROPIC_BASE_URL is {url!r}: give an address such as http://127.0.0.1:8080"
        )
    return url


def find_key(environ: Mapping[str, str], url: str) -> str:
    """Return the API key, or a placeholder for servers without authentication.

    Raises:
        KeyRefused: There is none, and the server needs one.
    """
    key = environ.get("ANTHROPIC_API_KEY") or environ.get("ANTHROPIC_AUTH_TOKEN") or ""
    if key.strip():
        return key.strip()
    if url == HOME:
        raise KeyRefused(
            "there is no key for a language model. Set ANTHROPIC_API_KEY, or set "
            "ANTHROPIC_BASE_URL to a server of your own, or work without either: "
            "--optimizer search needs no model, --optimizer exchange any chat"
        )
    return _NO_KEY


@dataclass(frozen=True, slots=True)
class AnthropicModel:
    """A model of the Messages API.

    Attributes:
        name: Name of the model, as the server knows it.
        price: Price of its tokens; None if unknown.
        api_key: Sent to the server, and kept out of every message.
        base_url: The server.
        effort: How much the model is to think, in the API's words; None leaves it to the server.
    """

    name: str
    price: Price | None
    api_key: str = field(repr=False)
    base_url: str = HOME
    effort: str | None = None
    _refused: set[str] = field(default_factory=set, init=False, repr=False)
    """Keys of `_OPTIONS` that the server has refused."""

    def __post_init__(self) -> None:
        """Refuse a key that no header can carry, before a library quotes it."""
        if not self.api_key.isascii() or not self.api_key.isprintable() or " " in self.api_key:
            raise KeyRefused(
                "the key has a character that no key has, such as a space or a line end: "
                "set ANTHROPIC_API_KEY anew"
            )

    def complete(self, request: ModelRequest) -> Completion:
        """Ask once, streaming; return a complete answer.

        A request whose tool or effort the server refuses is sent again without it.

        Raises:
            ModelError: There is no complete answer; the type says why.
        """
        importlib.import_module("anthropic")  # takes seconds, which are not the request's
        with Deadline(request.seconds) as deadline:
            while True:
                message = _Message()
                try:
                    with self._translated(message):
                        self._read(request, message, deadline)
                except ModelError as error:
                    if isinstance(error, RequestRefused) and self._drop_option(error, request):
                        continue
                    failure = error
                    if deadline.is_over:
                        failure = timed_out(error, self.base_url, request.seconds)
                    raise self._billed(failure, message) from error
                except KeyboardInterrupt as stop:
                    abandoned = RequestAbandoned(stop, is_bill_open=True)
                    raise self._billed(abandoned, message) from stop
                return self._completion(request, message)

    def _read(self, request: ModelRequest, message: _Message, deadline: Deadline) -> None:
        """Send ``request`` and read the answer into ``message``."""
        import anthropic

        with open_client(deadline) as http:
            client = anthropic.Anthropic(
                api_key=self.api_key,
                base_url=self.base_url,
                http_client=http,
                timeout=http.timeout,
                max_retries=0,
            )
            with client.messages.create(**self._arguments(request), stream=True) as stream:
                kind = stream.response.headers.get("content-type", "").partition(";")[0].strip()
                if kind == "application/json":  # a gateway that does not stream
                    message.add_whole(json.loads(read_body(stream.response, _LONGEST)))
                elif kind not in ("text/event-stream", ""):
                    raise RequestRefused(
                        f"{self.base_url} answers with {kind[:80]!r} instead of a message",
                        advice="check ANTHROPIC_BASE_URL, and that no proxy or login page "
                        "answers in its place",
                    )
                else:
                    for event in stream:
                        message.add(event)

    def _arguments(self, request: ModelRequest) -> dict[str, Any]:
        """Return the request in the API's words; what lasts stands first and is cached."""
        content: list[dict[str, Any]] = [{"type": "text", "text": request.user}]
        if request.cached:
            content.insert(0, {"type": "text", "text": request.cached, **_CACHED})
        arguments: dict[str, Any] = {
            "model": self.name,
            "max_tokens": request.max_tokens,
            "messages": [{"role": "user", "content": content}],
        }
        if request.system:
            arguments["system"] = [{"type": "text", "text": request.system, **_CACHED}]
        options = self._options(request)
        if request.tool is not None and "tools" in options:
            arguments |= _tool_arguments(request.tool, strict="strict" in options)
        if "output_config" in options:
            arguments["output_config"] = {"effort": self.effort}
        return arguments

    def _options(self, request: ModelRequest) -> list[str]:
        """Return the optional parts of a request that the server has not refused."""
        wanted = ["strict", "tools"] if request.tool is not None else []
        wanted += ["output_config"] if self.effort is not None else []
        return [option for option in wanted if option not in self._refused]

    def _drop_option(self, error: RequestRefused, request: ModelRequest) -> bool:
        """Leave out an option that ``error`` is about; return whether there was one."""
        options = self._options(request)
        named = [o for o in options if re.search(_OPTIONS[o], error.what, re.IGNORECASE)]
        if not named and _UNSUPPORTED.search(error.what):
            named = options
        if not named:
            return False
        _log.warning("%s; asking again without %s", error.what, named[0])
        self._refused.add(named[0])
        return True

    @contextlib.contextmanager
    def _translated(self, message: _Message) -> Iterator[None]:
        """Raise our errors for those of the SDK, of HTTP, and of malformed JSON."""
        import anthropic
        import httpx2

        try:
            yield
        except anthropic.APIStatusError as error:
            raise self._of_status(error, message) from error
        except _TooLong as error:
            raise ReplyTruncated(
                f"the reply of {self.name} has more than {_LONGEST:,} characters",
                is_bill_open=True,
            ) from error
        except (anthropic.AnthropicError, httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
            raise transport_error(
                error, self.base_url, "ANTHROPIC_BASE_URL", self.api_key
            ) from error
        if not message.stop_reason:
            raise cut_off("it ended early", self.base_url)

    def _of_status(self, error: anthropic.APIStatusError, message: _Message) -> ModelError:
        """Return our error for one that the server sent, in place of a message or within it."""
        kind = _BY_TYPE.get(str(error.type))
        if kind is None and error.status_code >= _SERVER_ERRORS:
            kind = ModelOverloaded
        kind = kind or _BY_STATUS.get(error.status_code, RequestRefused)
        words = error.api_message if isinstance(error.api_message, str) else ""
        said = " ".join(scrub(words, self.api_key).split())
        said = said if len(said) <= MOST_QUOTED else said[:MOST_QUOTED] + "…"
        what, advice = (text.format(url=self.base_url, model=self.name) for text in _WORDS[kind])
        headers = error.response.headers
        failure = kind(
            f"{what} ({said})" if said else what,
            advice=advice,
            retry_after_s=retry_after(headers),
            is_bill_open=message.is_begun,
        )
        if headers.get("x-should-retry") == "false":
            failure.is_passing = False
        return failure

    def _completion(self, request: ModelRequest, message: _Message) -> Completion:
        """Return the answer, if it ended as answers end."""
        reason = _OF_OTHER_APIS.get(message.stop_reason, message.stop_reason)
        if reason not in _COMPLETE:
            raise self._billed(_incomplete(self.name, reason, request), message)
        tool_input = None if request.tool is None else message.tool_input(request.tool.name)
        text = message.text or ("" if tool_input is not None else message.everything)
        usage = priced(message.usage, self.price)
        return Completion(text, tool_input, usage, message.model, reason, not message.is_counted)

    def _billed(self, error: ModelError, message: _Message) -> ModelError:
        """Return the error with what the answer, as far as it arrived, has used."""
        usage = message.usage
        if isinstance(error, RequestAbandoned):  # the server's final count was not awaited
            usage = replace(usage, output_tokens=max(usage.output_tokens, message.guessed_tokens))
        error.usage = priced(usage, self.price)
        error.text = message.everything
        if message.stop_reason:
            error.is_bill_open = not message.is_counted
        return error


def _tool_arguments(tool: ToolSpec, *, strict: bool) -> dict[str, Any]:
    """Return the tool, offered and not forced.

    Newer models refuse a request that forces a tool (Claude Opus 5.5, "What's new": forced tool
    use returns an error), and older ones refuse one that does so while they think.
    """
    offered = {
        "name": tool.name,
        "description": tool.description,
        "input_schema": dict(tool.schema),
        **({"strict": True} if strict else {}),
    }
    return {
        "tools": [offered],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    }


def _incomplete(model: str, reason: str, request: ModelRequest) -> ModelError:
    """Return the error for a message with another stop reason than complete answers have."""
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
        case "pause_turn":
            return StreamCut(f"{model} paused in the middle of its answer (pause_turn)")
    return ModelError(f"{model} stopped for an unknown reason: {reason[:80]!r}")


class _TooLong(Exception):  # noqa: N818 - names the event
    """The reply has more characters than are read."""


@dataclass(slots=True)
class _Block:
    """A content block: text, or the input of a tool call if it has the name of a tool."""

    tool: str = ""
    parts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.parts)


class _Message:
    """The parts of a message that have arrived; events may be malformed.

    Attributes:
        stop_reason: Why the server ended it; empty until it says so.
        model: Name of the model that answers, as the server calls it.
        is_begun: Whether the server began to answer.
    """

    def __init__(self) -> None:
        self.stop_reason = self.model = ""
        self.is_begun = self._has_final_count = False
        self._blocks: dict[int, _Block] = {}
        self._counts: dict[str, int] = {}
        self._length = 0

    @property
    def text(self) -> str:
        """All text of the reply, without its thinking."""
        return "".join(block.text for block in self._blocks.values() if not block.tool)

    @property
    def everything(self) -> str:
        """The text, and the input of tool calls as it arrived."""
        inputs = (block.text for block in self._blocks.values() if block.tool)
        return "\n\n".join(filter(None, (self.text, *inputs)))

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
    def is_counted(self) -> bool:
        """Whether the server said what the whole message used."""
        usage = self.usage
        has_output = usage.output_tokens > 0 or self._length == 0
        return self._has_final_count and usage.tokens_in > 0 and has_output

    @property
    def guessed_tokens(self) -> int:
        """An estimate of the reply's tokens, where the server did not get to count them."""
        return -(-self._length // _CHARACTERS_PER_TOKEN)

    def tool_input(self, name: str) -> dict[str, Any] | None:
        """Return the input of the first call of a tool; None if it is not a JSON object."""
        for block in self._blocks.values():
            if block.tool == name:
                return _parse_object(block.text)
        return None

    def add_whole(self, data: object) -> None:
        """Add a message that came as one JSON document."""
        from anthropic.types import Message

        message = Message.construct(**data) if isinstance(data, dict) else None
        self.add(SimpleNamespace(type="message_start", message=message))
        content = getattr(message, "content", None)
        for index, block in enumerate(content if isinstance(content, list) else ()):
            self._begin_block(index, block)
        usage = getattr(message, "usage", None)
        self.add(SimpleNamespace(type="message_delta", delta=message, usage=usage))

    def add(self, event: object) -> None:
        """Add an event of the stream.

        Raises:
            _TooLong: The reply is longer than any reply may be.
        """
        delta = getattr(event, "delta", None)
        match getattr(event, "type", None):
            case "message_start":
                self.is_begun = True
                message = getattr(event, "message", None)
                self.model = _text(message, "model")
                self.stop_reason = _text(message, "stop_reason")
                self._count(getattr(message, "usage", None))
            case "content_block_start":
                self._begin_block(_index(event), getattr(event, "content_block", None))
            case "content_block_delta":
                block = self._blocks.setdefault(_index(event), _Block())
                kind = getattr(delta, "type", None)
                if kind == ("input_json_delta" if block.tool else "text_delta"):
                    self._append(block, _text(delta, "partial_json" if block.tool else "text"))
            case "message_delta":
                self.stop_reason = _text(delta, "stop_reason") or self.stop_reason
                usage = getattr(event, "usage", None)
                self._has_final_count |= isinstance(getattr(usage, "output_tokens", None), int)
                self._count(usage)

    def _begin_block(self, index: int, block: object) -> None:
        kind = getattr(block, "type", None)
        if kind not in ("text", "tool_use"):
            return
        begun = self._blocks[index] = _Block(_text(block, "name") if kind == "tool_use" else "")
        self._append(begun, _text(block, "text"))
        if whole := getattr(block, "input", None):  # some servers send it at once
            self._append(begun, json.dumps(whole))

    def _append(self, block: _Block, text: str) -> None:
        self._length += len(text)
        if self._length > _LONGEST:
            raise _TooLong
        block.parts.append(text)

    def _count(self, usage: object) -> None:
        """Take over what the server counted; its numbers are totals, not increments."""
        details = getattr(usage, "output_tokens_details", None)
        for source, name in (
            (usage, "input_tokens"),
            (usage, "cache_creation_input_tokens"),
            (usage, "cache_read_input_tokens"),
            (usage, "output_tokens"),
            (details, "thinking_tokens"),
        ):
            count = getattr(source, name, None)
            if isinstance(count, int) and count > self._counts.get(name, 0):
                self._counts[name] = count


def _parse_object(text: str) -> dict[str, Any] | None:
    try:
        data = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)  # NaN and infinities are not JSON


def _index(event: object) -> int:
    index = getattr(event, "index", 0)
    return index if isinstance(index, int) else 0


def _text(value: object, name: str) -> str:
    text = getattr(value, name, None)
    return text if isinstance(text, str) else ""
