"""What the SDK and its HTTP library raise, as errors of ours that say what to do."""

from __future__ import annotations

import contextlib
import email.utils
import math
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from gco_agent.core.errors import (
    KeyRefused,
    ModelError,
    ModelOverloaded,
    ModelTimedOut,
    ModelUnreachable,
    RateLimited,
    RequestRefused,
    StreamCut,
    UnknownModel,
)
from gco_agent.llm.secrets import scrub

if TYPE_CHECKING:
    import anthropic

_SAID = 300
"""Characters of a server's own words that are passed on."""
_SERVER_ERRORS = 500
"""HTTP status from which on the server is to blame."""

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
    RateLimited: (
        "{url} limits how often it may be asked",
        "wait, and run the command again",
    ),
    ModelOverloaded: ("{url} is overloaded or in trouble", "run the command again later"),
    RequestRefused: ("{url} does not take the request", ""),
}
"""What happened, and what to do."""


def of_status(error: anthropic.APIStatusError, url: str, model: str, *secrets: str) -> ModelError:
    """The error for an answer that is an error, in place of a message or in the middle of one."""
    kind = _kind(error)
    what, advice = (words.format(url=url, model=model) for words in _WORDS[kind])
    said = _said(error, *secrets)
    failure = kind(
        f"{what} ({said})" if said else what,
        advice=advice,
        retry_after_s=retry_after(error.response.headers),
    )
    if error.response.headers.get("x-should-retry") == "false":
        failure.is_passing = False
    return failure


def of_transport(error: Exception, url: str, *secrets: str) -> ModelError:
    """The error for a connection that was not made, or that brought no whole answer."""
    import httpx2

    chain = list(_chain(error))
    cause = scrub(" ".join(str(chain[-1]).split())[:_SAID], *secrets) or type(chain[-1]).__name__
    never_sent = (
        *(httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError),
        *(httpx2.UnsupportedProtocol, httpx2.InvalidURL, httpx2.LocalProtocolError),
    )
    if any(isinstance(link, never_sent) for link in chain):
        return ModelUnreachable(
            f"no connection to {url} ({cause})",
            advice="check the network, the proxy, and ANTHROPIC_BASE_URL if it is set",
        )
    return cut_off(cause, url)


def cut_off(why: str, url: str) -> StreamCut:
    """The error for an answer that broke off, or that is no answer."""
    return StreamCut(f"the answer of {url} broke off ({why})", is_bill_open=True)


def of_time(error: ModelError, url: str, seconds: float) -> ModelTimedOut:
    """The error for an answer whose time was up, which is why ``error`` came."""
    return ModelTimedOut(
        f"{url} gave no whole answer within {seconds:.3g} s", is_bill_open=error.is_bill_open
    )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds after which a server asks to be asked again; None if it does not."""
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        with contextlib.suppress(ValueError):
            seconds = float(headers.get(name, "")) * unit
            if math.isfinite(seconds) and seconds >= 0:
                return seconds
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        at = email.utils.parsedate_to_datetime(headers.get("retry-after", ""))
        return max(0.0, at.timestamp() - time.time())
    return None


def _kind(error: anthropic.APIStatusError) -> type[ModelError]:
    by_type = _BY_TYPE.get(str(error.type))
    if by_type is not None:
        return by_type
    if error.status_code >= _SERVER_ERRORS:
        return ModelOverloaded
    return _BY_STATUS.get(error.status_code, RequestRefused)


def _said(error: anthropic.APIStatusError, *secrets: str) -> str:
    """The server's own words, on one line, cut, and without keys."""
    words = error.api_message if isinstance(error.api_message, str) else ""
    line = " ".join(scrub(words, *secrets).split())
    return line if len(line) <= _SAID else line[:_SAID] + "…"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, what caused it, and so on."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
