"""Options for the language model of a command."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from gco_agent.cli.options import AtLeast, all_of
from gco_agent.llm.prices import DEFAULT_MODEL

if TYPE_CHECKING:
    from gco_agent.llm import LanguageModel, Price
    from gco_agent.store.config import RunConfig

EFFORTS = ("low", "medium", "high", "xhigh", "max")
"""The words of the Messages API for how much a model is to think."""

model_options = all_of(
    click.option(
        "--model",
        metavar="NAME",
        help="Language model for the optimizers that ask one.  "
        f"[default: {DEFAULT_MODEL}, or what the run was started with]",
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
    """Return what opens the model of a configuration, once an optimizer needs it."""
    from gco_agent.llm.providers import open_model

    return lambda: open_model(config.model, config.effort)


def model_price(name: str) -> Price | None:
    """Return the price of a model, by the user's price file, or else by the table."""
    from gco_agent.llm.providers import model_price

    return model_price(name)


def require_model(name: str = "") -> None:
    """Check, before anything is played, that a language model can be asked.

    Raises:
        KeyRefused: There is no key, and the server needs one.
        UsageError: A setting of the environment cannot be used.
    """
    from gco_agent.llm.providers import open_model

    open_model(name)
