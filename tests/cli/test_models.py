"""Runs with a language model, from the command line, against a real server on loopback."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from gco_agent.core.errors import KeyRefused, UsageError
from gco_agent.llm.anthropic import API
from gco_agent.llm.prices import Price
from gco_agent.llm.providers import own_prices
from gco_agent.optimizers.reflect import TOOL
from tests.cli.conftest import launch
from tests.cli.scripted import POLE
from tests.messages_server import MessagesServer, Reply, message, status
from tests.store.samples import git

SHORT = ("--max-steps", "60", "--workers", "1")
ASKED = "gco/cart_pole/asked"
KEY = "sk-ant-api03-" + "Zz9_-aB0" * 8
RUN = ("run", "CartPole-v1", "--name", "asked", "--optimizer", "reflect", "--iterations", "1",
       "--report-episodes", "0", *SHORT)  # fmt: skip
STEP = ("step", ASKED, "--workers", "1")
USED = {"input_tokens": 5_000, "output_tokens": 1_000, "cache_creation_input_tokens": 2_000}


def handed_in(policy: str) -> Reply:
    fields = {"diagnosis": "It waits.", "change": "Go.", "summary": "follow", "policy": policy}
    return message(tool=(TOOL.name, fields), usage=USED)


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    return KEY


def at(server: MessagesServer, monkeypatch: pytest.MonkeyPatch) -> MessagesServer:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url + "/")
    return server


def refused(result) -> str:
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    assert KEY not in result.output
    return str(result.stderr)


def test_a_run_with_a_model(cli, project: Path, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with MessagesServer([handed_in(POLE)]) as server:
        at(server, monkeypatch)
        result = cli(project, *RUN, "--effort", "low", "--usd", "2", "--json")
    assert result.exit_code == 0, result.output
    assert KEY not in result.output
    (received,) = server.requests
    body = received.body
    assert received.headers["authorization"] == f"Bearer {KEY}"
    assert (body["model"], body["max_tokens"]) == ("claude-opus-5-5", 32_000)
    assert body["output_config"] == {"effort": "low"}
    trailers = git(project, "log", "-1", "--format=%B", ASKED)
    assert "Gco-Tokens-In: 7000\nGco-Tokens-Out: 1000\nGco-Usd: 0.05" in trailers
    assert 'effort = "low"' in (project / "run.toml").read_text()
    kept = project / "iterations/0001"
    assert json.loads((kept / "exchange.json").read_text())["schema"] == 1
    assert "The policy file" in (kept / "prompt.md").read_text()
    assert git(project, "log", "--all", "-m", "-p", "-S", KEY[:24], "--format=%H") == ""


@pytest.fixture(scope="module")
def _begun(
    _project: Path, surroundings: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    project = shutil.copytree(_project, tmp_path_factory.mktemp("begun") / "project")
    init = ("init", "CartPole-v1", "--name", "asked", "--optimizer", "reflect", *SHORT)
    environment = {**surroundings, "ANTHROPIC_API_KEY": KEY}
    process = launch(project, environment, *init, "--model", "claude-haiku-5-5")
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    return project


@pytest.fixture
def begun(_begun: Path, tmp_path: Path) -> Path:
    """A run that has only been started."""
    return shutil.copytree(_begun, tmp_path / "begun")


def test_no_key_is_said_before_anything_is_played(cli, project: Path) -> None:
    said = refused(cli(project, *RUN))
    assert "Set ANTHROPIC_API_KEY" in said
    assert "--optimizer search needs no model" in said
    assert git(project, "branch", "--list", "gco/*") == ""


REFUSALS = (
    (status(401), "does not take the key"),
    (status(404), "has no model claude-haiku-5-5"),
    (status(400, "prompt is too long"), "does not take the request (prompt is too long)"),
)


def test_what_a_server_refuses_leaves_the_run_as_it_was(
    cli, begun: Path, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = git(begun, "rev-parse", ASKED)
    with MessagesServer([reply for reply, _ in REFUSALS]) as server:
        at(server, monkeypatch)
        for _, words in REFUSALS:
            said = refused(cli(begun, *STEP))
            assert words in said
            assert f"Saved on {ASKED}: the initial policy." in said
            assert f"Go on with: gco-agent step {ASKED}" in said
    assert git(begun, "rev-parse", ASKED) == before
    assert git(begun, "status", "--porcelain") == ""


def test_a_limit_in_dollars_ends_a_run_before_it_is_passed(
    cli, begun: Path, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with MessagesServer([handed_in(POLE)]) as server:
        at(server, monkeypatch)
        result = cli(begun, *STEP, "-n", "5", "--usd", "0.001")
    assert result.exit_code == 0, result.output
    assert server.requests == []
    assert "$0.00 ($0.0000 spent, and the next request could cost $0.0" in result.output


def test_a_model_without_a_price_works_but_for_the_limit(
    cli, begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = (*STEP, "--model", "my-own")
    with MessagesServer([handed_in(POLE)]) as server:
        at(server, monkeypatch)
        assert "the price of my-own" in refused(cli(begun, *step, "--usd", "1"))
        assert server.requests == []
        (tmp_path / "prices.toml").write_text("[my-own]\ninput = 1.0\noutput = 2.0\n")
        monkeypatch.setenv("GCO_AGENT_PRICES", str(tmp_path / "prices.toml"))
        result = cli(begun, *step, "--usd", "1", "--max-tokens", "900")
    assert result.exit_code == 0, result.output
    (received,) = server.requests
    assert (received.body["model"], received.body["max_tokens"]) == ("my-own", 900)
    assert received.headers["authorization"] == "Bearer none"  # a server of one's own needs no key
    trailers = git(begun, "log", "-1", "--format=%B", ASKED)
    assert "Gco-Usd: 0.0095" in trailers


def test_keys_are_found_in_the_environment() -> None:
    assert (
        API.find_key({"ANTHROPIC_API_KEY": " a \n", "ANTHROPIC_AUTH_TOKEN": "b"}, API.home) == "a"
    )
    assert API.find_key({"ANTHROPIC_API_KEY": "", "ANTHROPIC_AUTH_TOKEN": "b"}, API.home) == "b"
    assert API.find_key({}, "http://127.0.0.1:1") == "none"
    with pytest.raises(KeyRefused, match="there is no key"):
        API.find_key({}, API.home)


def test_the_server_is_found_in_the_environment() -> None:
    assert API.server_url({}) == API.server_url({"ANTHROPIC_BASE_URL": " "}) == API.home
    assert API.server_url({"ANTHROPIC_BASE_URL": "http://h:1/"}) == "http://h:1"
    with pytest.raises(UsageError, match="ANTHROPIC_BASE_URL is 'localhost:80'"):
        API.server_url({"ANTHROPIC_BASE_URL": "localhost:80"})


def test_prices_of_one_s_own(tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    assert own_prices({}) == {}
    with pytest.raises(UsageError, match="cannot be read"):
        own_prices({"GCO_AGENT_PRICES": str(path)})
    path.write_text("[m]\ninput = 1\noutput = 2\n")
    assert own_prices({"GCO_AGENT_PRICES": str(path)}) == {"m": Price.usual(1.0, 2.0)}
    path.write_bytes(b"\xff")
    with pytest.raises(UsageError, match="cannot be read"):
        own_prices({"GCO_AGENT_PRICES": str(path)})
