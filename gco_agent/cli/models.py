"""The language model a command works with. The only module that reads keys from the environment."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gco_agent.cli.options import AtLeast, all_of
from gco_agent.core.errors import KeyRefused, UsageError

if TYPE_CHECKING:
    from gco_agent.llm import LanguageModel, Price
    from gco_agent.store.config import RunConfig

USUAL_MODEL = "claude-opus-5-5"
"""What is asked unless something else is named."""
EFFORTS = ("low", "medium", "high", "xhigh", "max")
"""The words of the Messages API for how much a model is to think."""

_NO_KEY = "none"
"""What a server that wants no key is given for one."""

model_options = all_of(
    click.option(
        "--model",
        metavar="NAME",
        help="Language model for the optimizers that ask one.  "
        f"[default: {USUAL_MODEL}, or what the run was started with]",
    ),
    click.option(
        "--effort",
        type=click.Choice(EFFORTS),
        help="How much it is to think.  [default: what its server does]",
    ),
    click.option(
        "--max-tokens",
        type=AtLeast(100),
        metavar="N",
        help="Most tokens of one reply, thinking included.  [default: 32,000]",
    ),
)
usd_option = click.option(
    "--usd",
    type=click.FloatRange(min=0.0),
    metavar="N",
    help="Most US dollars that the run may spend on a language model, earlier commands included. "
    "Held against the worst case before each request.  [default: no limit]",
)


def with_model(config: RunConfig, given: Mapping[str, Any]) -> RunConfig:
    """The configuration with whatever the command says of the language model."""
    names = ("model", "effort", "max_tokens")
    return replace(config, **{name: given[name] for name in names if given.get(name)})


def model_for(config: RunConfig) -> Callable[[], LanguageModel]:
    """What opens the model of a configuration, once an optimizer asks for it."""
    return lambda: open_model(config.model, config.effort)


def open_model(name: str, effort: str = "") -> LanguageModel:
    """The model called ``name`` behind the server that the environment names.

    Raises:
        KeyRefused: There is no key, or none that could be one.
        UsageError: The server's address, or the price file, is none.
    """
    from gco_agent.llm.client import AnthropicModel

    name = name or USUAL_MODEL
    url = server_url(os.environ)
    key = find_key(os.environ, url)
    return AnthropicModel(name, model_price(name), key, url, effort or None)


def model_price(name: str) -> Price | None:
    """What the model costs, by the user's own price file, or else by the list."""
    from gco_agent.llm.prices import PRICES, find_price

    return find_price(name or USUAL_MODEL, {**PRICES, **own_prices(os.environ)})


def own_prices(environ: Mapping[str, str]) -> dict[str, Price]:
    """The prices in the file that GCO_AGENT_PRICES names; none if it names none.

    Raises:
        UsageError: The file cannot be read, or is no price file.
    """
    from gco_agent.llm.prices import parse_prices

    path = environ.get("GCO_AGENT_PRICES")
    if not path:
        return {}
    try:
        return parse_prices(Path(path).read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"GCO_AGENT_PRICES names {path}, which cannot be read: {error}") from error


def server_url(environ: Mapping[str, str]) -> str:
    """The server that speaks the Messages API.

    Raises:
        UsageError: ANTHROPIC_BASE_URL is no address.
    """
    from gco_agent.llm.client import HOME

    url = environ.get("ANTHROPIC_BASE_URL", "").strip().rstrip("/") or HOME
    if not url.startswith(("http://", "https://")):
        raise UsageError(
            f"ANTHROPIC_BASE_URL is {url!r}: give an address such as http://127.0.0.1:8080"
        )
    return url


def require_key() -> None:
    """Find out before anything is done that a language model could not be asked.

    Raises:
        KeyRefused: There is no key, and the server needs one.
        UsageError: The server's address is none.
    """
    find_key(os.environ, server_url(os.environ))


def find_key(environ: Mapping[str, str], url: str) -> str:
    """The key for the server; one that means nothing where a server of one's own needs none.

    Raises:
        KeyRefused: There is none, and the server needs one.
    """
    from gco_agent.llm.client import HOME

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
