"""A small server of the Messages API on loopback, which answers, and fails, as it is told.

    with MessagesServer([message("hello"), status(529), message("x", ending=Ending.RESET)]) as s:
        ...  # s.url, and s.requests afterwards

Real sockets, real HTTP, real server-sent events: what is under test is the real client.
"""

from __future__ import annotations

import enum
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
}
_SHORTEST_PIECE, _MOST_PIECES = 60, 200


class Ending(enum.Enum):
    """How an answer ends on the wire."""

    WHOLE = "whole"
    RESET = "reset"
    """The connection is torn down."""
    CHUNK = "chunk"
    """The connection is closed in the middle of a chunked body."""
    CLEAN = "clean"
    """The body just ends, as if that were all of it."""


@dataclass(frozen=True)
class Reply:
    """One answer of the server.

    Attributes:
        status: HTTP status.
        events: Server-sent events, name and data; data that is text is sent as it is.
        body: For a status that is no success, the JSON.
        raw: The whole body, in place of events or JSON.
        headers: Further headers.
        n_events: Events after which it ends; all of them unless told otherwise.
        ending: How it ends.
        wait: Seconds before the first byte.
        drip: Seconds between single bytes of the body; 0 sends it at once.
    """

    status: int = 200
    events: Sequence[tuple[str, Any]] = ()
    body: Mapping[str, Any] = field(default_factory=dict)
    raw: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    n_events: int | None = None
    ending: Ending = Ending.WHOLE
    wait: float = 0.0
    drip: float = 0.0

    def but(self, **changes: Any) -> Reply:
        """The same with changes."""
        return replace(self, **changes)


def message(
    text: str = "",
    tool: tuple[str, Any] | None = None,
    stop: str | None = None,
    usage: Mapping[str, Any] | None = None,
    **how: Any,
) -> Reply:
    """A message of text, or of one tool call, whose input may also be given as raw JSON text."""
    used = {"input_tokens": 100, "output_tokens": 20, **(usage or {})}
    blocks: list[tuple[dict[str, Any], list[dict[str, Any]]]] = []
    if text:
        deltas = [{"type": "text_delta", "text": piece} for piece in _pieces(text)]
        blocks.append(({"type": "text", "text": ""}, deltas))
    if tool is not None:
        raw = tool[1] if isinstance(tool[1], str) else json.dumps(tool[1])
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in _pieces(raw)]
        blocks.append(({"type": "tool_use", "id": "toolu_1", "name": tool[0], "input": {}}, deltas))
    reason = stop or ("end_turn" if tool is None else "tool_use")
    return Reply(events=list(_events(blocks, reason, used)), **how)


def status(code: int, said: str = "", kind: str | None = None, **how: Any) -> Reply:
    """An HTTP error with the JSON that the API gives."""
    error = {"type": kind or _TYPES.get(code, "api_error"), "message": said or f"it is {code}"}
    return Reply(code, body={"type": "error", "error": error, "request_id": "req_1"}, **how)


def error_event(kind: str, said: str = "told so") -> tuple[str, Any]:
    """The event of an error in the middle of a stream."""
    return "error", {"type": "error", "error": {"type": kind, "message": said}}


def chat(
    text: str = "",
    tool: tuple[str, str] | None = None,
    stop: str = "stop",
    usage: Mapping[str, Any] | None = None,
    **how: Any,
) -> Reply:
    """An answer of the chat-completions API, its usage in a chunk of its own; {} for none."""
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": piece} for piece in _pieces(text)]
    if tool is not None:
        name, raw = tool
        called = {"index": 0, "id": "call_1", "type": "function"}
        deltas.append({"tool_calls": [{**called, "function": {"name": name, "arguments": ""}}]})
        for piece in _pieces(raw):
            deltas.append({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
    events = [_chunk([{"index": 0, "delta": delta, "finish_reason": None}]) for delta in deltas]
    events.append(_chunk([{"index": 0, "delta": {}, "finish_reason": stop}]))
    if used := {"prompt_tokens": 100, "completion_tokens": 20} if usage is None else usage:
        events.append(_chunk([], usage=used))
    return Reply(events=[*events, ("", "[DONE]")], **how)


def _chunk(choices: list[Any], **more: Any) -> tuple[str, Any]:
    shared = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "served-model"}
    return "", {**shared, "created": 1, "choices": choices, **more}


def _pieces(text: str) -> Iterator[str]:
    size = max(_SHORTEST_PIECE, len(text) // _MOST_PIECES)
    return (text[i : i + size] for i in range(0, len(text), size))


def _events(
    blocks: list[tuple[dict[str, Any], list[dict[str, Any]]]], reason: str, used: dict[str, Any]
) -> Iterator[tuple[str, Any]]:
    start: dict[str, Any] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "served-model",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {**used, "output_tokens": 1},
    }
    yield "message_start", {"type": "message_start", "message": start}
    yield "ping", {"type": "ping"}
    for index, (block, deltas) in enumerate(blocks):
        at = {"index": index}
        yield "content_block_start", {"type": "content_block_start", "content_block": block, **at}
        for delta in deltas:
            yield "content_block_delta", {"type": "content_block_delta", "delta": delta, **at}
        yield "content_block_stop", {"type": "content_block_stop", **at}
    ended = {"stop_reason": reason, "stop_sequence": None}
    yield "message_delta", {"type": "message_delta", "delta": ended, "usage": used}
    yield "message_stop", {"type": "message_stop"}


@dataclass(frozen=True)
class Received:
    """A request that came in; names of headers in small letters."""

    path: str
    headers: Mapping[str, str]
    body: Any


class MessagesServer:
    """Serves a script: replies in order, the last one again and again, or a function's.

    Attributes:
        requests: What came in, oldest first.
    """

    def __init__(self, script: Iterable[Reply] | Callable[[Received], Reply]) -> None:
        self._answer = script if callable(script) else _in_order(list(script))
        self.requests: list[Received] = []
        self._lock = threading.Lock()
        self._http = _Http(self)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )

    def reply(self, received: Received) -> Reply:
        """What to answer; one request at a time."""
        with self._lock:
            self.requests.append(received)
            return self._answer(received)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


def _in_order(replies: list[Reply]) -> Callable[[Received], Reply]:
    def answer(_: Received) -> Reply:
        return replies.pop(0) if len(replies) > 1 else replies[0]

    return answer


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, owner: MessagesServer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.owner = owner

    def handle_error(self, *_: object) -> None:
        """Clients that hang up are part of the game."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        self.close_connection = True
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        received = Received(self.path, headers, json.loads(body or b"{}"))
        assert isinstance(self.server, _Http)
        reply = self.server.owner.reply(received)
        time.sleep(reply.wait)
        if reply.status == 0:  # not even a status
            self._hang_up()
        elif reply.events and reply.raw is None:
            self._stream(reply)
        else:
            self._tell(reply)

    def _tell(self, reply: Reply) -> None:
        data = json.dumps(reply.body).encode() if reply.raw is None else reply.raw
        self._head(reply, {"content-type": "application/json", "content-length": len(data)})
        self.wfile.write(data)

    def _stream(self, reply: Reply) -> None:
        is_chunked = reply.ending is not Ending.CLEAN
        framing = {"transfer-encoding": "chunked"} if is_chunked else {}
        self._head(reply, {"content-type": "text/event-stream", "connection": "close", **framing})
        for name, data in reply.events[: reply.n_events]:
            text = data if isinstance(data, str) else json.dumps(data)
            named = f"event: {name}\n" if name else ""
            self._send(f"{named}data: {text}\n\n".encode(), reply, chunked=is_chunked)
        if reply.ending is Ending.RESET:
            self._hang_up()
        elif reply.ending is Ending.WHOLE:
            self.wfile.write(b"0\r\n\r\n")

    def _send(self, data: bytes, reply: Reply, *, chunked: bool) -> None:
        pieces = [data[i : i + 1] for i in range(len(data))] if reply.drip else [data]
        for piece in pieces:
            framed = b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece
            self.wfile.write(framed)
            if reply.drip:
                self.wfile.flush()
                time.sleep(reply.drip)

    def _head(self, reply: Reply, headers: Mapping[str, Any]) -> None:
        self.send_response(reply.status)
        for name, value in {**headers, **reply.headers}.items():
            self.send_header(name, str(value))
        self.end_headers()

    def _hang_up(self) -> None:
        self.wfile.flush()
        at_once = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        self.connection.close()
