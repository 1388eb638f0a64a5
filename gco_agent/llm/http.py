"""HTTP for providers of models: deadlines, proxies, certificates, and errors in plain words."""

from __future__ import annotations

import contextlib
import email.utils
import functools
import math
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

from gco_agent.core.errors import (
    ModelError,
    ModelTimedOut,
    ModelUnreachable,
    StreamCut,
    UsageError,
)
from gco_agent.llm.base import scrub

if TYPE_CHECKING:
    import ssl

    import httpx2

MOST_QUOTED = 300
"""Characters of a server's message that are passed on."""
_CONNECT_S = 15.0
_OPENED = ("connect_tcp.complete", "start_tls.complete")
"""Ends of the names of trace events of httpcore that carry a new network stream."""
_PROXIES = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


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
    """End reads of ``opened``, below its encryption if it has one."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(opened, socket.SHUT_RDWR)


def open_client(deadline: Deadline) -> httpx2.Client:
    """Open a client for requests under ``deadline``, with the proxies of the environment.

    Raises:
        UsageError: A variable for proxies or certificates cannot be used; the message names it.
    """
    import httpx2

    seconds = max(deadline.seconds, 0.001)
    timeout = httpx2.Timeout(seconds, connect=min(_CONNECT_S, seconds))
    try:
        return httpx2.Client(
            verify=_certificates(),
            timeout=timeout,
            follow_redirects=True,
            event_hooks={"request": [deadline.watch]},
        )
    except OSError as error:
        names = _set_variables(_CERTIFICATES)
        raise UsageError(f"{names} cannot be used: {error.strerror or error}") from error
    except ImportError as error:
        names = _set_variables(_PROXIES, starting="socks")
        raise UsageError(
            f"{names} names a SOCKS proxy, which needs a package: pip install socksio, or unset it"
        ) from error
    except (ValueError, httpx2.InvalidURL) as error:
        names = _set_variables((*_PROXIES, "NO_PROXY"))
        raise UsageError(f"{names} is not a usable proxy setting: {error}") from error


def check_environment() -> None:
    """Check the variables for proxies and certificates.

    Raises:
        UsageError: One of them cannot be used; the message names it.
    """
    open_client(Deadline(1.0)).close()


def _set_variables(names: tuple[str, ...], starting: str = "") -> str:
    """Return the variables that are set, as a list in words."""
    spelled = [variant for name in names for variant in (name, name.lower())]
    found = [name for name in spelled if os.environ.get(name, "").startswith(starting or "")]
    return " or ".join(name for name in found if os.environ.get(name)) or names[0]


@functools.cache
def _certificates() -> ssl.SSLContext:
    """Return the trusted certificates; reading them takes longer than a local request."""
    import httpx2

    return httpx2.create_ssl_context()


def read_body(response: httpx2.Response, limit_bytes: int) -> bytes:
    """Read the whole body of a response, or its first ``limit_bytes`` bytes."""
    body = b""
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) >= limit_bytes:
            break
    return body[:limit_bytes]


def transport_error(error: Exception, url: str, setting: str, *secrets: str) -> ModelError:
    """Return our error for a connection that failed, or that brought no complete answer.

    Args:
        error: What the HTTP library raised.
        url: The server.
        setting: Environment variable that names the server.
        secrets: Texts that no message may have.
    """
    import httpx2

    chain = list(_chain(error))
    last = " ".join(str(chain[-1]).split())[:MOST_QUOTED]
    cause = scrub(last, *secrets) or type(chain[-1]).__name__
    never_sent = (
        *(httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError),
        *(httpx2.UnsupportedProtocol, httpx2.InvalidURL, httpx2.LocalProtocolError),
    )
    if any(isinstance(link, never_sent) for link in chain):
        return ModelUnreachable(
            f"no connection to {url} ({cause})",
            advice=f"check the network, the proxy, and {setting} if it is set",
        )
    return cut_off(cause, url)


def cut_off(why: str, url: str) -> StreamCut:
    """Return the error for an answer that broke off, or that is not an answer."""
    return StreamCut(f"the answer of {url} broke off ({why})", is_bill_open=True)


def timed_out(error: ModelError, url: str, seconds: float) -> ModelTimedOut:
    """Return the error for a deadline that passed, which is why ``error`` was raised."""
    return ModelTimedOut(
        f"{url} gave no complete answer within {seconds:.3g} s", is_bill_open=error.is_bill_open
    )


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


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the error, its cause, and so on."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
