"""Ends an HTTP request at its time, even one whose answer comes in drops.

A read timeout starts anew with every byte, so it is no deadline. Here a timer shuts the
connection's socket down, which ends whatever read is under way.
"""

from __future__ import annotations

import contextlib
import math
import socket
import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol, Self

_OPENED = ("connect_tcp.complete", "start_tls.complete")
"""Ends of the names of events that carry a new network stream (httpcore, "trace" extension)."""


class TracedRequest(Protocol):
    """A request of the HTTP library, as far as it is needed here."""

    extensions: Any


class WallClock:
    """A context in which the requests given to `watch` end after so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._timer = threading.Timer(max(0.0, seconds), self._end)
        self._timer.daemon = True
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._end_at = math.inf

    def __enter__(self) -> Self:
        self._end_at = time.monotonic() + self._timer.interval
        self._timer.start()
        return self

    @property
    def is_over(self) -> bool:
        """Whether the time is up; on a busy machine the timer may come to know of it late."""
        return time.monotonic() >= self._end_at

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._timer.cancel()

    def watch(self, request: TracedRequest) -> None:
        """See to it that ``request`` ends in time; to be called before it is sent."""
        request.extensions = {**request.extensions, "trace": self.note}

    def note(self, event: str, info: Mapping[str, Any]) -> None:
        """Remember the socket of a connection that was opened for a watched request."""
        if not event.endswith(_OPENED):
            return
        opened = info["return_value"].get_extra_info("socket")
        if not isinstance(opened, socket.socket):
            return
        with self._lock:
            self._sockets.append(opened)
            if self.is_over:
                _shut(opened)

    def _end(self) -> None:
        with self._lock:
            for opened in self._sockets:
                _shut(opened)


def _shut(opened: socket.socket) -> None:
    """End reads of ``opened``, under its encryption if it has one."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(opened, socket.SHUT_RDWR)
