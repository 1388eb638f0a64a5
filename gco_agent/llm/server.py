"""What models behind servers share: requests under a deadline, partial replies, errors, settings.

The SDKs retry nothing once a stream has begun, know no deadline, and return part of a message
without an error if the connection ends cleanly. So their retries are off, the deadline is ours, and
a message counts only if the server said why it ended. Nor do their accumulations of a stream serve:
they raise on the first malformed tool input or missing usage, which loses an answer that is paid
for, and hide that the input of a tool was cut.
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
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Self

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

    import httpx2

_CHARACTERS_PER_TOKEN = 3
"""Fewer than most tokens of words and code have, so that a guess is rather too high."""
_LONGEST = 8_000_000
"""Characters after which a reply is not read any further."""
_MOST_COUNTED = 10**9
"""Tokens that a server may state for an answer: more are no count."""
_MOST_QUOTED = 300
"""Characters of a server's message that are passed on."""
_CONNECT_S = 15.0
_SERVER_ERROR = 500
"""And above."""
_PROXIES = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_COMPLETE = frozenset({"end_turn", "tool_use", "stop_sequence"})
_OF_OTHER_APIS = {
    **dict.fromkeys(("stop", "eos"), "end_turn"),
    **dict.fromkeys(("tool_calls", "function_call"), "tool_use"),
    "length": "max_tokens",
    "content_filter": "refusal",
}
"""Stop reasons of the chat-completions API in the words of the Messages API."""
_BAD_REQUEST = (400, 422)
_OTHER_CAUSE = re.compile("prompt|token|context|credit|billing|too long", re.IGNORECASE)
_LIMIT = "max_tokens"
"""An option that bounds the cost, so it is not left out by guess."""
_UNSUPPORTED = re.compile("support|extra inputs|unknown|unrecognized|unexpected", re.IGNORECASE)
_REQUIRES = re.compile("support|require", re.IGNORECASE)
_CONTEXT = re.compile(r"context.?(length|size|window)|too long", re.IGNORECASE)

_REFUSALS: Mapping[type[ModelError], tuple[frozenset[object], str, str]] = {
    KeyRefused: (
        frozenset({"authentication_error", "permission_error", "invalid_api_key", 401, 403}),
        "{url} does not take the key",
        "set {key} to a key that it knows and that may use {model}",
    ),
    UnknownModel: (
        frozenset({"not_found_error", "model_not_found", 404}),
        "{url} has no model {model}, or does not speak the {api} there",
        "choose another with --model, or set {base_url}",
    ),
    RateLimited: (
        frozenset({"rate_limit_error", "rate_limit_exceeded", 429}),
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
"""Types of errors and statuses of the APIs, what happened, and what to do."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Api:
    """The settings of an API and its servers.

    Attributes:
        home: The server that is asked unless ``url_variable`` names another.
        url_variable: Environment variable with the address of another server.
        key_variables: Environment variables with the key; the first that is set counts.
        options: Optional parts of a request, with a pattern of the words by which a server that
            refuses them names them.
    """

    name: str
    home: str
    url_variable: str
    key_variables: tuple[str, ...]
    options: Mapping[str, str]

    def server_url(self, environ: Mapping[str, str]) -> str:
        """Return the address of the server."""
        url = environ.get(self.url_variable, "").strip().rstrip("/") or self.home
        if not url.startswith(("http://", "https://")):
            raise UsageError(
                f"{self.url_variable} is {url!r}: give an address such as http://127.0.0.1:8080"
            )
        return url

    def find_key(self, environ: Mapping[str, str], url: str) -> str:
        """Return the API key, or a placeholder for servers without authentication."""
        keys = (environ.get(name, "").strip() for name in self.key_variables)
        key = next(filter(None, keys), "")
        if not key and url == self.home:
            raise KeyRefused(
                f"there is no key for a language model. Set {self.key_variables[0]}, or set "
                f"{self.url_variable} to a server of your own, or name a model of another "
                "provider (--model openai:NAME, anthropic:NAME), or work without a model: "
                "--optimizer search needs no model, --optimizer exchange any chat"
            )
        return key or "none"


@dataclass(frozen=True, slots=True)
class StatedError:
    """An error that a server sent, in place of an answer or within it.

    Attributes:
        kinds: Types and codes by which the API names it.
    """

    kinds: tuple[object, ...]
    status: int
    said: object
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ServerModel(ABC):
    """A model behind a server.

    A subclass states `api` and translates requests, events and errors of its SDK.

    Attributes:
        api_key: Sent to the server, and kept out of every message.
        effort: How much the model is to think, in the API's words; None leaves it to the server.
    """

    name: str
    price: Price | None
    api_key: str = field(repr=False)
    base_url: str
    effort: str | None = None
    _refused: set[str] = field(default_factory=set, init=False, repr=False)
    """Options that the server has refused."""
    api: ClassVar[Api]

    @classmethod
    def open(cls, name: str, *, price: Price | None, effort: str | None = None) -> Self:
        """Open a model with the key and the server that the environment names."""
        url = cls.api.server_url(os.environ)
        model = cls(name, price, cls.api.find_key(os.environ, url), url, effort)
        cls.sdk_errors()
        open_client(Deadline(1.0)).close()
        return model

    @property
    def address(self) -> str:
        """The server, for messages: without a user, a password or a query, which may be keys."""
        return re.sub(r"//[^/]*@", "//", self.base_url.partition("?")[0])

    def __post_init__(self) -> None:
        """Refuse a key that no header can carry, before a library quotes it."""
        if not self.api_key.isascii() or not self.api_key.isprintable() or " " in self.api_key:
            raise KeyRefused(
                "the key has a character that no key has, such as a space or a line end: "
                f"set {self.api.key_variables[0]} anew"
            )

    @classmethod
    @abstractmethod
    def sdk_errors(cls) -> tuple[type[Exception], ...]:
        """Import the SDK, and return the errors that it raises."""

    def client_settings(self, http: httpx2.Client) -> dict[str, Any]:
        """Return the arguments of the SDK's client, which is not to retry."""
        return {
            "api_key": self.api_key,
            "base_url": self.base_url,
            "http_client": http,
            "timeout": http.timeout,
            "max_retries": 0,
        }

    @abstractmethod
    def stream(self, request: ModelRequest, http: httpx2.Client) -> Any:  # noqa: ANN401 - a Stream
        """Send ``request`` and return the SDK's stream of events."""

    @abstractmethod
    def add_event(self, reply: PartialReply, event: Mapping[str, Any]) -> None:
        """Add an event of the stream, which may be malformed, to ``reply``."""

    @abstractmethod
    def add_whole(self, reply: PartialReply, data: Mapping[str, Any]) -> None:
        """Add a message that came as one JSON document."""

    @abstractmethod
    def stated(self, error: Exception) -> StatedError | None:
        """Return what the server stated, if an error of the SDK came from it."""

    @abstractmethod
    def wanted_options(self, request: ModelRequest) -> list[str]:
        """Return the keys of ``api.options`` that would be sent."""

    def complete(self, request: ModelRequest) -> Completion:
        """Ask once, streaming; return a complete answer.

        A request of which the server refuses an optional part is sent again without it.
        """
        import httpx2  # as the SDK, it takes seconds, which are not the request's

        errors: tuple[type[Exception], ...] = (ModelError, httpx2.HTTPError, httpx2.InvalidURL)
        errors += (*self.sdk_errors(), ValueError)  # the last for malformed JSON
        guessed: set[str] = set()
        with Deadline(request.seconds) as deadline:
            while True:
                reply = PartialReply()
                try:
                    self._read(request, reply, deadline)
                    return self._completion(request, reply)
                except errors as raised:
                    error = self._translate(raised, reply)
                    if self._drop_option(error, request):
                        continue
                    if self._drop_all(error, getattr(raised, "status_code", 0), request, guessed):
                        continue
                    if deadline.is_over and not reply.stop_reason:
                        what = f"{self.address} gave no complete answer"
                        what += f" within {request.seconds:.3g} s"
                        error = ModelTimedOut(what, is_bill_open=error.is_bill_open)
                    raise self._billed(error, reply) from raised
                except KeyboardInterrupt as stop:
                    abandoned = RequestAbandoned(stop, is_bill_open=True)
                    raise self._billed(abandoned, reply) from stop

    def _read(self, request: ModelRequest, reply: PartialReply, deadline: Deadline) -> None:
        with open_client(deadline) as http, self.stream(request, http) as stream:
            kind = stream.response.headers.get("content-type", "").partition(";")[0].strip()
            if kind == "application/json":  # a gateway that does not stream
                self.add_whole(reply, mapping(json.loads(_read_body(stream.response))))
            elif kind not in ("text/event-stream", ""):
                raise RequestRefused(
                    f"{self.address} answers with {kind[:80]!r} instead of a message",
                    advice=f"check {self.api.url_variable}, and that no proxy or login page "
                    "answers in its place",
                )
            else:
                for event in stream:
                    if hasattr(event, "to_dict"):  # a server may send anything
                        self.add_event(reply, event.to_dict(warnings=False))

    def options(self, request: ModelRequest) -> list[str]:
        """Return the optional parts of a request that the server has not refused."""
        return [option for option in self.wanted_options(request) if option not in self._refused]

    def _drop_option(self, error: ModelError, request: ModelRequest) -> bool:
        """Leave out an option that ``error`` is about; return whether there was one."""
        is_refusal = isinstance(error, RequestRefused)
        if not is_refusal and not (
            isinstance(error, ModelOverloaded) and _REQUIRES.search(error.what)
        ):
            return False
        options, patterns = self.options(request), self.api.options
        named = [o for o in options if re.search(patterns[o], error.what, re.IGNORECASE)]
        if not named and is_refusal and _UNSUPPORTED.search(error.what):
            named = options
        if named:
            _log.warning("%s; asking again without %s", error.what, named[0])
            self._refused.add(named[0])
        return bool(named)

    def _drop_all(
        self, error: ModelError, status: int, request: ModelRequest, guessed: set[str]
    ) -> bool:
        """Leave out every option where a server does not say what it refuses, once a request.

        What was left out, which is in ``guessed``, is offered again in the next request if it was
        not that.
        """
        if not isinstance(error, RequestRefused):
            return False
        is_vague = status in _BAD_REQUEST and not _OTHER_CAUSE.search(error.what)
        if is_vague and not guessed:
            guessed.update({*self.options(request)} - {_LIMIT})
            self._refused.update(guessed)
            return bool(guessed)
        self._refused.difference_update(guessed)
        return False

    def _translate(self, error: Exception, reply: PartialReply) -> ModelError:
        """Return our error for one of ours, of the SDK, of HTTP, or of malformed JSON."""
        if isinstance(error, ModelError):
            return error
        stated = self.stated(error)
        return self._of_transport(error) if stated is None else self._of_server(stated, reply)

    def _of_server(self, stated: StatedError, reply: PartialReply) -> ModelError:
        kinds = {kind for kind in stated.kinds if isinstance(kind, str)}
        by_kind = (kind for kind, (codes, *_) in _REFUSALS.items() if codes & kinds)
        status = min(stated.status, _SERVER_ERROR)
        by_status = (kind for kind, (codes, *_) in _REFUSALS.items() if status in codes)
        kind = [*by_kind, *by_status, RequestRefused][0]
        _, what, advice = _REFUSALS[kind]
        said = stated.said if isinstance(stated.said, str) else ""
        said = " ".join(scrub(said[: 10 * _MOST_QUOTED], self.api_key).split())
        said = said if len(said) <= _MOST_QUOTED else said[:_MOST_QUOTED] + "…"
        if kind is RequestRefused and _CONTEXT.search(said):
            advice = "give the model less to read, with a lower --trace-tokens or --max-tokens, or "
            advice += "run the server with a longer context"
        names = {
            "url": self.address,
            "model": self.name,
            "api": self.api.name,
            "key": self.api.key_variables[0],
            "base_url": self.api.url_variable,
        }
        what = what.format_map(names)
        failure: ModelError = kind(
            f"{what} ({said})" if said else what,
            advice=advice.format_map(names),
            retry_after_s=retry_after(stated.headers),
            is_bill_open=reply.is_begun,
        )
        if stated.headers.get("x-should-retry") == "false" or "insufficient_quota" in kinds:
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
                f"no connection to {self.address} ({why})",
                advice=f"check the network, the proxy, and {self.api.url_variable} if it is set",
            )
        return self._cut_off(why)

    def _cut_off(self, why: str) -> StreamCut:
        return StreamCut(f"the answer of {self.address} broke off ({why})", is_bill_open=True)

    def _completion(self, request: ModelRequest, reply: PartialReply) -> Completion:
        """Return the answer, if it ended as answers end."""
        if not reply.stop_reason:
            raise self._cut_off("it ended early")
        reason = _OF_OTHER_APIS.get(reply.stop_reason, reply.stop_reason)
        if reason not in _COMPLETE:
            raise self._incomplete(reason, request)
        tool_input = None if request.tool is None else reply.tool_input(request.tool.name)
        text = reply.text or ("" if tool_input is not None else reply.everything)
        usage = priced(reply.usage, self.price)
        return Completion(text, tool_input, usage, reply.model, reason, not reply.is_counted)

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

    def _billed(self, error: ModelError, reply: PartialReply) -> ModelError:
        """Return the error with what the answer, as far as it arrived, has used."""
        usage = reply.usage
        if isinstance(error, RequestAbandoned):  # the server's final count was not awaited
            guessed = -(-reply.length // _CHARACTERS_PER_TOKEN)
            usage = replace(usage, output_tokens=max(usage.output_tokens, guessed))
        error.usage = priced(usage, self.price)
        error.text = reply.everything
        if reply.stop_reason:
            error.is_bill_open = not reply.is_counted
        return error


class PartialReply:
    """The parts of a reply that have arrived.

    Attributes:
        stop_reason: Why the server ended it; empty until it says so.
        has_final_count: Whether the server said what the whole reply used.
    """

    def __init__(self) -> None:
        self.stop_reason = self.model = ""
        self.is_begun = self.has_final_count = False
        self.length = 0
        self._blocks: dict[str, tuple[str, list[str]]] = {}
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
        return self.has_final_count and usage.tokens_in > 0 and has_output

    def tool_input(self, name: str) -> dict[str, Any] | None:
        """Return the input of the first call of a tool; None if it is not a JSON object."""
        texts = ("".join(parts) for tool, parts in self._blocks.values() if tool == name)
        try:
            data = json.loads(next(texts, ""), parse_constant=_refuse)
        except (ValueError, RecursionError):
            return None
        return data if isinstance(data, dict) else None

    def begin(self, index: object, tool: str = "") -> None:
        """Begin a block: of text, or with the input of a tool."""
        self._blocks[str(index)] = tool, []

    def tool_of(self, index: object) -> str:
        """Return the name of the tool of a block; "" if it is text, or was not begun."""
        return self._blocks.get(str(index), ("", []))[0]

    def append(self, index: object, text: str) -> None:
        """Add to a block, which is one of text if it was not begun."""
        self.lengthen(text)
        self._blocks.setdefault(str(index), ("", []))[1].append(text)

    def lengthen(self, text: str) -> None:
        """Count characters that are not kept, such as thinking."""
        self.length += len(text)
        if self.length > _LONGEST:
            raise ReplyTruncated(
                f"the reply has more than {_LONGEST:,} characters", is_bill_open=True
            )

    def count(self, usage: Mapping[str, Any]) -> None:
        """Take over what the server counted; its numbers are totals, not increments."""
        for name, count in (*usage.items(), *mapping(usage.get("output_tokens_details")).items()):
            if isinstance(count, int):
                self._counts[name] = max(min(count, _MOST_COUNTED), self._counts.get(name, 0))


def mapping(value: object) -> Mapping[str, Any]:
    """Return ``value`` if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def text_of(value: Mapping[str, Any], name: str) -> str:
    """Return a text in a JSON object, or ""."""
    text = value.get(name)
    return text if isinstance(text, str) else ""


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)  # NaN and infinities are not JSON


class Deadline:
    """A context that ends HTTP requests after a wall time in seconds.

    A read timeout restarts with every byte, so it is not a deadline. Here a timer shuts the
    connection's socket down, which ends the current read.
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


def open_client(deadline: Deadline) -> httpx2.Client:
    """Return a client for requests under ``deadline``, with the proxies of the environment."""
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
