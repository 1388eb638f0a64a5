"""Models behind a server of the Messages API, through the anthropic SDK.

The SDK retries nothing once a stream has begun, knows no deadline, and returns part of a message
without an error if the connection ends cleanly. So its retries are off, the deadline is ours, and a
message counts only if the server said why it ended. Nor does its accumulation of a stream serve:
it raises on the first malformed tool input or missing usage, which loses an answer that is paid
for, and hides that the input of a tool was cut.
"""

from __future__ import annotations

import contextlib
import email.utils
import functools
import json
import logging
import math
import os
import re
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NoReturn, Self

from gco_agent.core.errors import (
    KeyRefused,
    ModelError,
    ModelOverloaded,
    ModelTimedOut,
    ModelUnreachable,
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
from gco_agent.llm.base import Completion, ModelRequest, scrub
from gco_agent.llm.prices import Price, priced

if TYPE_CHECKING:
    import ssl

    import anthropic
    import httpx2

HOME = "https://api.anthropic.com"
"""The server that is asked unless ANTHROPIC_BASE_URL names another."""

_CACHED = {"cache_control": {"type": "ephemeral"}}
_CHARACTERS_PER_TOKEN = 3
"""Fewer than most tokens of words and code have, so that a guess is rather too high."""
_LONGEST = 8_000_000
"""Characters after which a reply is not read any further."""
_MOST_QUOTED = 300
"""Characters of a server's message that are passed on."""
_CONNECT_S = 15.0
_SERVER_ERROR = 500
"""And above."""
_PROXIES = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_COMPLETE = frozenset({"end_turn", "tool_use", "stop_sequence"})
_OF_OTHER_APIS = {"stop": "end_turn", "tool_calls": "tool_use", "length": "max_tokens"}
"""Stop reasons of gateways that pass on those of another API."""
_OPTIONS = {"strict": "strict", "tools": "tool|schema", "output_config": "output_config|effort"}
"""Optional parts of a request, with the words by which a server that refuses them names them."""
_BAD_REQUEST = (400, 422)
_OTHER_CAUSE = re.compile("prompt|token|context|credit|billing|too long", re.IGNORECASE)
_UNSUPPORTED = re.compile("support|extra inputs|unknown|unrecognized|unexpected", re.IGNORECASE)


_REFUSALS: Mapping[type[ModelError], tuple[frozenset[str | int], str, str]] = {
    KeyRefused: (
        frozenset({"authentication_error", "permission_error", 401, 403}),
        "{url} does not take the key",
        "set ANTHROPIC_API_KEY to a key that it knows and that may use {model}",
    ),
    UnknownModel: (
        frozenset({"not_found_error", 404}),
        "{url} has no model {model}, or does not speak the Messages API there",
        "choose another with --model, or set ANTHROPIC_BASE_URL",
    ),
    RateLimited: (
        frozenset({"rate_limit_error", 429}),
        "{url} limits how often it may be asked",
        "wait, and run the command again",
    ),
    ModelOverloaded: (
        frozenset({"overloaded_error", "api_error", "timeout_error", 408, 409, _SERVER_ERROR}),
        "{url} is overloaded or in trouble",
        "run the command again later",
    ),
    RequestRefused: (frozenset(), "{url} does not take the request", ""),
}
"""Types of errors and statuses of the API, what happened, and what to do."""

_log = logging.getLogger(__name__)


def open_model(name: str, *, price: Price | None, effort: str | None = None) -> AnthropicModel:
    """Open a model with the key and the server that the ANTHROPIC_* variables name.

    Raises:
        KeyRefused: There is no key, or it has characters that no key has.
        UsageError: A variable for the server, a proxy or certificates cannot be used.
    """
    url = server_url(os.environ)
    model = AnthropicModel(name, price, find_key(os.environ, url), url, effort)
    _open_client(Deadline(1.0)).close()
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
    if not key.strip() and url == HOME:
        raise KeyRefused(
            "there is no key for a language model. Set ANTHROPIC_API_KEY, or set "
            "ANTHROPIC_BASE_URL to a server of your own, or work without either: "
            "--optimizer search needs no model, --optimizer exchange any chat"
        )
    return key.strip() or "none"


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
        import anthropic  # takes seconds, which are not the request's
        import httpx2

        guessed: set[str] = set()
        with Deadline(request.seconds) as deadline:
            while True:
                message = _Message()
                try:
                    self._read(request, message, deadline)
                    return self._completion(request, message)
                except (
                    *(ModelError, anthropic.AnthropicError, httpx2.HTTPError, httpx2.InvalidURL),
                    ValueError,  # malformed JSON
                ) as raised:
                    error = self._translate(raised, message)
                    if isinstance(error, RequestRefused):
                        if self._drop_option(error, request):
                            continue
                        is_bad = getattr(raised, "status_code", 0) in _BAD_REQUEST
                        is_vague = is_bad and not _OTHER_CAUSE.search(error.what)
                        if is_vague and not guessed and (guessed := set(self._options(request))):
                            self._refused.update(guessed)  # it does not say what it dislikes
                            continue
                        self._refused.difference_update(guessed)
                    if deadline.is_over and not message.stop_reason:
                        what = f"{self.base_url} gave no complete answer"
                        what += f" within {request.seconds:.3g} s"
                        error = ModelTimedOut(what, is_bill_open=error.is_bill_open)
                    raise self._billed(error, message) from raised
                except KeyboardInterrupt as stop:
                    abandoned = RequestAbandoned(stop, is_bill_open=True)
                    raise self._billed(abandoned, message) from stop

    def _read(self, request: ModelRequest, message: _Message, deadline: Deadline) -> None:
        """Send ``request`` and read the answer into ``message``."""
        import anthropic

        with _open_client(deadline) as http:
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
                    message.add_whole(json.loads(_read_body(stream.response)))
                elif kind not in ("text/event-stream", ""):
                    raise RequestRefused(
                        f"{self.base_url} answers with {kind[:80]!r} instead of a message",
                        advice="check ANTHROPIC_BASE_URL, and that no proxy or login page "
                        "answers in its place",
                    )
                else:
                    for event in stream:
                        if hasattr(event, "to_dict"):  # a server may send anything
                            message.add(event.to_dict(warnings=False))

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
        options, tool = self._options(request), request.tool
        if tool is not None and "tools" in options:
            strict = {"strict": True} if "strict" in options else {}
            offered = {"name": tool.name, "description": tool.description, **strict}
            arguments["tools"] = [{**offered, "input_schema": dict(tool.schema)}]
            # Newer models refuse a request that forces a tool (Claude Opus 5.5, "What's new"),
            # and older ones refuse one that does so while they think.
            arguments["tool_choice"] = {"type": "auto", "disable_parallel_tool_use": True}
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
        if named:
            _log.warning("%s; asking again without %s", error.what, named[0])
            self._refused.add(named[0])
        return bool(named)

    def _translate(self, error: Exception, message: _Message) -> ModelError:
        """Return our error for one of ours, of the SDK, of HTTP, or of malformed JSON."""
        import anthropic

        if isinstance(error, ModelError):
            return error
        if isinstance(error, anthropic.APIStatusError):
            return self._of_status(error, message)
        return self._of_transport(error)

    def _of_status(self, error: anthropic.APIStatusError, message: _Message) -> ModelError:
        """Return our error for one that the server sent, in place of a message or within it."""
        by_type = (kind for kind, (codes, *_) in _REFUSALS.items() if error.type in codes)
        status = min(error.status_code, _SERVER_ERROR)
        by_status = (kind for kind, (codes, *_) in _REFUSALS.items() if status in codes)
        kind = [*by_type, *by_status, RequestRefused][0]
        _, what, advice = _REFUSALS[kind]
        said = error.api_message if isinstance(error.api_message, str) else ""
        said = " ".join(scrub(said, self.api_key).split())
        said = said if len(said) <= _MOST_QUOTED else said[:_MOST_QUOTED] + "…"
        what = what.format(url=self.base_url, model=self.name)
        headers = error.response.headers
        failure: ModelError = kind(
            f"{what} ({said})" if said else what,
            advice=advice.format(model=self.name),
            retry_after_s=retry_after(headers),
            is_bill_open=message.is_begun,
        )
        if headers.get("x-should-retry") == "false":
            failure.is_passing = False
        return failure

    def _of_transport(self, error: Exception) -> ModelError:
        """Return our error for a connection that failed, or that brought no complete answer."""
        import httpx2

        chain: list[BaseException] = [error]
        while cause := chain[-1].__cause__ or chain[-1].__context__:
            chain.append(cause)
        words = " ".join(str(chain[-1]).split())[:_MOST_QUOTED]
        why = scrub(words, self.api_key) or type(chain[-1]).__name__
        never_sent = (
            *(httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError),
            *(httpx2.UnsupportedProtocol, httpx2.InvalidURL, httpx2.LocalProtocolError),
        )
        if any(isinstance(link, never_sent) for link in chain):
            return ModelUnreachable(
                f"no connection to {self.base_url} ({why})",
                advice="check the network, the proxy, and ANTHROPIC_BASE_URL if it is set",
            )
        return self._cut_off(why)

    def _cut_off(self, why: str) -> StreamCut:
        return StreamCut(f"the answer of {self.base_url} broke off ({why})", is_bill_open=True)

    def _completion(self, request: ModelRequest, message: _Message) -> Completion:
        """Return the answer, if it ended as answers end."""
        if not message.stop_reason:
            raise self._cut_off("it ended early")
        reason = _OF_OTHER_APIS.get(message.stop_reason, message.stop_reason)
        if reason not in _COMPLETE:
            raise self._incomplete(reason, request)
        tool_input = None if request.tool is None else message.tool_input(request.tool.name)
        text = message.text or ("" if tool_input is not None else message.everything)
        usage = priced(message.usage, self.price)
        return Completion(text, tool_input, usage, message.model, reason, not message.is_counted)

    def _incomplete(self, reason: str, request: ModelRequest) -> ModelError:
        """Return the error for a message with another stop reason than complete answers have."""
        match reason:
            case "refusal":
                return ReplyRefused(f"{self.name} declined to answer")
            case "max_tokens":
                return ReplyTruncated(
                    f"the reply of {self.name} was cut off at its limit of "
                    f"{request.max_tokens:,} tokens"
                )
            case "model_context_window_exceeded":
                return ReplyTruncated(
                    f"prompt and reply together are longer than {self.name} can take: give it a "
                    "shorter trace, with a lower --trace-tokens"
                )
            case "pause_turn":
                return StreamCut(f"{self.name} paused in the middle of its answer (pause_turn)")
        return ModelError(f"{self.name} stopped for an unknown reason: {reason[:80]!r}")

    def _billed(self, error: ModelError, message: _Message) -> ModelError:
        """Return the error with what the answer, as far as it arrived, has used."""
        usage = message.usage
        if isinstance(error, RequestAbandoned):  # the server's final count was not awaited
            guessed = -(-message.length // _CHARACTERS_PER_TOKEN)
            usage = replace(usage, output_tokens=max(usage.output_tokens, guessed))
        error.usage = priced(usage, self.price)
        error.text = message.everything
        if message.stop_reason:
            error.is_bill_open = not message.is_counted
        return error


class _Message:
    """The parts of a message that have arrived; events may be malformed.

    Attributes:
        stop_reason: Why the server ended it; empty until it says so.
        model: Name of the model that answers, as the server calls it.
        is_begun: Whether the server began to answer.
        length: Characters so far.
    """

    def __init__(self) -> None:
        self.stop_reason = self.model = ""
        self.is_begun = self._has_final_count = False
        self.length = 0
        self._blocks: dict[Any, tuple[str, list[str]]] = {}
        """Index of a block to the name of its tool ("" for text) and its parts."""
        self._counts: dict[str, int] = {}

    @property
    def text(self) -> str:
        """All text of the reply, without its thinking."""
        return "".join(part for tool, parts in self._blocks.values() if not tool for part in parts)

    @property
    def everything(self) -> str:
        """The text, and the input of tool calls as it arrived."""
        inputs = ("".join(parts) for tool, parts in self._blocks.values() if tool)
        return "\n\n".join(filter(None, (self.text, *inputs)))

    @property
    def usage(self) -> Usage:
        """What the server says that it used, unpriced."""
        count = self._counts.get
        return Usage(
            count("input_tokens", 0),
            count("cache_creation_input_tokens", 0),
            count("cache_read_input_tokens", 0),
            count("output_tokens", 0),
            count("thinking_tokens", 0),
        )

    @property
    def is_counted(self) -> bool:
        """Whether the server said what the whole message used."""
        usage = self.usage
        has_output = usage.output_tokens > 0 or self.length == 0
        return self._has_final_count and usage.tokens_in > 0 and has_output

    def tool_input(self, name: str) -> dict[str, Any] | None:
        """Return the input of the first call of a tool; None if it is not a JSON object."""
        texts = ("".join(parts) for tool, parts in self._blocks.values() if tool == name)
        try:
            data = json.loads(next(texts, ""), parse_constant=_refuse)
        except (ValueError, RecursionError):
            return None
        return data if isinstance(data, dict) else None

    def add_whole(self, data: object) -> None:
        """Add a message that came as one JSON document."""
        message = _mapping(data)
        self.add({"type": "message_start", "message": message})
        content = message.get("content")
        for index, block in enumerate(content if isinstance(content, list) else ()):
            self.add({"type": "content_block_start", "index": index, "content_block": block})
        self.add({"type": "message_delta", "delta": message, "usage": message.get("usage")})

    def add(self, event: Mapping[str, Any]) -> None:
        """Add an event of the stream.

        Raises:
            ReplyTruncated: The reply is longer than any reply may be.
        """
        delta, usage = _mapping(event.get("delta")), _mapping(event.get("usage"))
        match event.get("type"):
            case "message_start":
                message = _mapping(event.get("message"))
                self.is_begun = True
                self.model, self.stop_reason = (
                    _text(message, "model"),
                    _text(message, "stop_reason"),
                )
                self._count(_mapping(message.get("usage")))
            case "content_block_start":
                self._begin_block(event.get("index"), _mapping(event.get("content_block")))
            case "content_block_delta":
                tool, _ = self._blocks.get(event.get("index"), ("", []))
                if delta.get("type") == ("input_json_delta" if tool else "text_delta"):
                    text = _text(delta, "partial_json" if tool else "text")
                    self._append(event.get("index"), tool, text)
            case "message_delta":
                self.stop_reason = _text(delta, "stop_reason") or self.stop_reason
                self._has_final_count |= isinstance(usage.get("output_tokens"), int)
                self._count(usage)

    def _begin_block(self, index: object, block: Mapping[str, Any]) -> None:
        tool = _text(block, "name") if block.get("type") == "tool_use" else ""
        if tool or block.get("type") == "text":
            self._blocks[index] = tool, []
            whole = block.get("input")  # some servers send it at once
            self._append(index, tool, json.dumps(whole) if whole else _text(block, "text"))

    def _append(self, index: object, tool: str, text: str) -> None:
        self.length += len(text)
        if self.length > _LONGEST:
            raise ReplyTruncated(
                f"the reply has more than {_LONGEST:,} characters", is_bill_open=True
            )
        self._blocks.setdefault(index, (tool, []))[1].append(text)

    def _count(self, usage: Mapping[str, Any]) -> None:
        """Take over what the server counted; its numbers are totals, not increments."""
        for name, count in (*usage.items(), *_mapping(usage.get("output_tokens_details")).items()):
            if isinstance(count, int):
                self._counts[name] = max(count, self._counts.get(name, 0))


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Mapping[str, Any], name: str) -> str:
    text = value.get(name)
    return text if isinstance(text, str) else ""


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)  # NaN and infinities are not JSON


class Deadline:
    """A context in which HTTP requests end after so many seconds of wall time.

    A read timeout starts anew with every byte, so it is not a deadline. Here a timer shuts the
    connection's socket down, which ends whatever read is under way.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = max(0.0, seconds)
        self._end_at = math.inf
        self._timer = threading.Timer(self.seconds, self._end)
        self._timer.daemon = True
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> Self:
        self._end_at = time.monotonic() + self.seconds
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    @property
    def is_over(self) -> bool:
        """Whether the time is up; on a busy machine the timer may be late."""
        return time.monotonic() >= self._end_at

    def watch(self, request: Any) -> None:  # noqa: ANN401 - an httpx2.Request
        """Put a request under the deadline; an event hook of the client."""
        request.extensions = {**request.extensions, "trace": self.note}

    def note(self, event: str, info: Mapping[str, Any]) -> None:
        """Remember the socket of a new connection; a trace extension of httpcore."""
        if not event.endswith(("connect_tcp.complete", "start_tls.complete")):
            return
        opened = info["return_value"].get_extra_info("socket")
        if isinstance(opened, socket.socket):
            with self._lock:
                self._sockets.append(opened)
                if self.is_over:
                    _shut(opened)

    def _end(self) -> None:
        with self._lock:
            for opened in self._sockets:
                _shut(opened)


def _shut(opened: socket.socket) -> None:
    """End reads of ``opened``, below its encryption if it has one."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(opened, socket.SHUT_RDWR)


def _open_client(deadline: Deadline) -> httpx2.Client:
    """Open a client for requests under ``deadline``, with the proxies of the environment.

    Raises:
        UsageError: A variable for proxies or certificates cannot be used; the message names it.
    """
    import httpx2

    seconds = max(deadline.seconds, 0.001)
    try:
        return httpx2.Client(
            verify=_certificates(),
            timeout=httpx2.Timeout(seconds, connect=min(_CONNECT_S, seconds)),
            follow_redirects=True,
            event_hooks={"request": [deadline.watch]},
        )
    except (OSError, ImportError, ValueError, httpx2.InvalidURL) as error:
        names = _CERTIFICATES if isinstance(error, OSError) else _PROXIES
        raise UsageError(f"{_set_variables(names)} cannot be used: {error}") from error


def _set_variables(names: tuple[str, ...]) -> str:
    """Return those variables that are set, as a list in words."""
    spelled = [variant for name in names for variant in (name, name.lower())]
    return " or ".join(name for name in spelled if os.environ.get(name)) or names[0]


@functools.cache
def _certificates() -> ssl.SSLContext:
    """Return the trusted certificates; reading them takes longer than a local request."""
    import httpx2

    return httpx2.create_ssl_context()


def _read_body(response: httpx2.Response) -> bytes:
    """Read the body of a response, up to a limit."""
    body = b""
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) >= _LONGEST:
            break
    return body[:_LONGEST]


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds after which a server wants to be asked again, None if it does not say."""
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        with contextlib.suppress(ValueError):
            seconds = float(headers.get(name, "")) * unit
            if math.isfinite(seconds) and seconds >= 0:
                return seconds
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        at = email.utils.parsedate_to_datetime(headers.get("retry-after", ""))
        return max(0.0, at.timestamp() - time.time())
    return None
