"""What docs/models.md says is so."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from click import Context

from gco_agent.cli import main
from gco_agent.cli.options import EFFORTS
from gco_agent.llm.asking import Patience
from gco_agent.llm.prices import DEFAULT_MODEL, PRICES, Price, find_price, parse_prices
from gco_agent.optimizers.replies import LONGEST_S
from gco_agent.store.config import RunConfig
from tests.engine.pong_policies import RULES

PAGE = (Path(__file__).parents[2] / "docs/models.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def test_the_price_file_can_be_read() -> None:
    (text,) = blocks("toml")
    assert parse_prices(text) == {"my-model": Price.usual(2.0, 10.0)}


def test_every_option_exists() -> None:
    context = Context(main)
    commands = [main.get_command(context, name) for name in ("run", "step")]
    known = {
        name
        for command in commands
        if command is not None
        for parameter in command.params
        for name in parameter.opts
    }
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE))
    assert len(named) > 6
    assert named - {"--port", "--enable-auto-tool-choice", "--tool-call-parser", "--jinja"} <= known


def test_python_is_python() -> None:
    (text,) = blocks("python")
    ast.parse(text)


def test_numbers_are_those_of_the_code() -> None:
    assert f"`{DEFAULT_MODEL}`" in PAGE
    assert find_price(DEFAULT_MODEL, PRICES) is not None
    assert f"thinking included; {RunConfig('pong', RULES).max_tokens:,}" in PAGE
    assert f"{LONGEST_S / 60:.0f} minutes of wall time" in PAGE
    assert (Patience().tries, Patience().longest_wait_s) == (6, 60.0)
    assert f"`--effort {EFFORTS[0]}…{EFFORTS[-1]}`" in PAGE
