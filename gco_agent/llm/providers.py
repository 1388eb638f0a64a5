"""Models by name: "MODEL", or "PROVIDER:MODEL" for another provider than anthropic.

A provider is a function with the signature of `gco_agent.llm.server.ServerModel.open`, which
another package offers as an entry point of the group ``gco_agent.models``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from gco_agent.core.errors import UsageError
from gco_agent.llm.base import LanguageModel
from gco_agent.llm.prices import DEFAULT_MODEL, PRICES, Price, find_price, parse_prices

GROUP = "gco_agent.models"
_DEFAULT = "anthropic"
_BUILT_IN = {
    _DEFAULT: "gco_agent.llm.anthropic:AnthropicModel.open",
    "openai": "gco_agent.llm.openai:OpenAIModel.open",
}
MOST_MODELS = 16


def open_model(name: str = "", effort: str = "") -> LanguageModel:
    """Open a model with the settings of the environment; nothing is sent."""
    provider, model = split_provider(name or DEFAULT_MODEL)
    try:
        open_it = _providers()[provider].load()
    except (ImportError, AttributeError) as error:
        raise UsageError(f"the model provider {provider!r} cannot be loaded: {error}") from error
    opened: LanguageModel = open_it(model, price=model_price(name), effort=effort or None)
    return opened


def split_models(names: str) -> list[str]:
    """Return the names in "openai:a,b", of which each may state its provider."""
    each = [name.strip() for name in names.split(",")]
    if len(each) > 1 and not all(each):
        raise UsageError(f"--model {names}: there is an empty name between the commas")
    if len(each) > MOST_MODELS:
        raise UsageError(f"--model names {len(each)} models; at most {MOST_MODELS} take turns")
    return each


def split_provider(name: str) -> tuple[str, str]:
    """Return the provider and its name of the model; what is before a ":" may be neither."""
    provider, colon, model = name.partition(":")
    if colon and model and provider in _providers():
        return provider, model
    return _DEFAULT, name


def model_price(name: str) -> Price | None:
    """Return the price of a model, by the user's price file, or else by the table."""
    name = name or DEFAULT_MODEL
    prices = {**PRICES, **own_prices(os.environ)}
    return find_price(name, prices) or find_price(split_provider(name)[1], prices)


def own_prices(environ: Mapping[str, str]) -> dict[str, Price]:
    """Return the prices in the file that GCO_AGENT_PRICES names, if any."""
    path = environ.get("GCO_AGENT_PRICES")
    if not path:
        return {}
    try:
        return parse_prices(Path(path).read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"GCO_AGENT_PRICES names {path}, which cannot be read: {error}") from error


def _providers() -> dict[str, EntryPoint]:
    installed = {point.name: point for point in entry_points(group=GROUP)}
    built_in = {name: EntryPoint(name, value, GROUP) for name, value in _BUILT_IN.items()}
    return {**installed, **built_in}
