"""Help is there, is fast, and loads nothing."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from click import Command, Context, Group
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from gco_agent.cli import evaluate, improve, look, main
from gco_agent.cli.options import result_schema
from gco_agent.envs.environment import make_protocol
from gco_agent.llm.prices import DEFAULT_MODEL
from gco_agent.store.config import RunConfig, default_slice
from tests.engine.policies import RULES

COMMANDS = (
    "run", "init", "step", "baseline", "watch", "dashboard", "runs", "log", "show", "compare",
    "report", "eval", "verify", "enjoy", "card", "export", "trace", "tune", "simplify", "note",
    "prompt", "apply", "replay", "bisect", "fork", "rollback", "publish", "push",
    "games", "check-game", "doctor",
)  # fmt: skip
HEAVY = (
    "rich", "git", "numpy", "gymnasium", "ale_py", "ocatari", "scipy", "black", "radon", "cma",
    "anthropic", "tomlkit", "multiprocessing", "concurrent", "plotly", "jinja2", "PIL",
    "matplotlib", "pygame",
)  # fmt: skip
CONTEXT = Context(main)
ROOT = Path(__file__).parents[2]


def test_every_command_is_listed():
    assert tuple(main.list_commands(CONTEXT)) == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_a_description_and_examples(command):
    result = CliRunner().invoke(main, [command, "--help"])
    assert result.exit_code == 0
    assert "Examples:\n    " in result.output
    assert f"gco-agent {command}" in result.output


def test_every_option_is_explained():
    found = {name: main.get_command(CONTEXT, name) for name in COMMANDS}
    exports = found["export"]
    assert isinstance(exports, Group)
    for name, command in {**found, **exports.commands}.items():
        assert command is not None, name
        for parameter in command.params:
            if parameter.param_type_name == "option":
                is_hidden = getattr(parameter, "hidden", False)
                assert is_hidden or getattr(parameter, "help", None), f"{name} {parameter.name}"


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"]])
def test_help_answers_at_once(arguments):
    spent: list[float] = []
    while not spent or (min(spent) >= 0.3 and len(spent) < 8):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, "-m", "gco_agent", *arguments], check=True, capture_output=True
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    assert min(spent) < 0.3, spent


@pytest.mark.parametrize(
    ("arguments", "missing"),
    [(["bisect"], "--skill"), (["fork"], "--name"), (["baseline", "pong"], "--method")],
)
def test_an_option_that_is_needed_is_asked_for(arguments, missing):
    refused = CliRunner().invoke(main, arguments)
    assert refused.exit_code == 2
    assert f"Missing option '{missing}'" in refused.stderr


def test_help_loads_nothing_heavy():
    """Import every module of commands: their help needs neither runs, games nor optimizers."""
    names = [f"gco_agent.cli.{path.stem}" for path in (ROOT / "gco_agent/cli").glob("[a-z]*.py")]
    code = f"import sys, {', '.join(names)}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = set(done.stdout.split())
    assert {"click", "gco_agent.cli.run", "gco_agent.cli.look"} <= loaded
    assert {name.partition(".")[0] for name in loaded}.isdisjoint(HEAVY)
    ours = {name.split(".")[1] for name in loaded if name.startswith("gco_agent.")}
    assert ours == {"cli", "core"}


def test_the_schema_of_results_is_whole() -> None:
    found = result_schema()
    Draft202012Validator.check_schema(found)
    for name, part in found["$defs"].items():
        assert part["required"] == list(part["properties"]), name
    commands = {name for name in COMMANDS if name not in ("export", "dashboard")}
    assert {name for name in found["properties"] if not name.startswith("export ")} == commands
    text = " ".join(CliRunner().invoke(main, ["rollback", "--help"]).output.split())
    assert "JSON: mean_return (null if an episode failed), " in text


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("log ", {"gco/pong/first"}),
        ("show ", {"gco/pong/first"}),
        ("run pon", {"pong"}),
        ("run pong --optimizer ref", {"reflect"}),
        ("eval gco", {"gco/pong/first", "gco"}),
    ],
)
def test_the_shell_completes_runs_games_and_optimizers(
    played: Path, words: str, offered: set[str]
) -> None:
    line = f"gco-agent -C {played} {words}"
    done = CliRunner().invoke(
        main, prog_name="gco-agent", complete_var="_GCO_AGENT_COMPLETE",
        env={
            "_GCO_AGENT_COMPLETE": "bash_complete",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(line.split(" ")) - 1),
        },
    )  # fmt: skip
    assert offered <= {each.partition(",")[2] for each in done.output.splitlines()}
    assert "gco/pong/first" not in done.output or "gco/pong/first" in offered


def test_nothing_is_completed_where_there_is_no_repository(tmp_path: Path) -> None:
    command = main.get_command(CONTEXT, "log")
    assert command is not None
    context = Context(main)
    context.params["directory"] = tmp_path
    assert command.params[0].shell_complete(Context(command, parent=context), "") == []


def test_version():
    result = CliRunner().invoke(main, ["--version"])
    assert result.exit_code == 0
    assert result.output.startswith("gco-agent 0")


@pytest.mark.parametrize("command", COMMANDS)
def test_no_help_shows_marks_that_are_meant_for_click(command: str) -> None:
    assert "\\b" not in CliRunner().invoke(main, [command, "--help"]).output


NAMED = re.compile(r"gco-agent ((?:export )?[a-z][a-z-]*)([^`\n\"']*)")


def hints() -> list[tuple[str, str, str]]:
    """Every command that messages, help and documentation tell people to type."""
    found = []
    pages = [
        *(ROOT / "gco_agent").rglob("*.py"),
        *(ROOT / "docs").glob("*.md"),
        ROOT / "README.md",
        *(ROOT / "gco_agent").rglob("*.toml"),
    ]
    for path in pages:
        for name, rest in NAMED.findall(path.read_text("utf-8")):
            found.append((str(path.relative_to(ROOT)), name, rest))
    return found


def options_of(name: str) -> set[str] | None:
    command: Command | None = main
    for part in name.split():
        command = command.get_command(CONTEXT, part) if isinstance(command, Group) else None
    if command is None:
        return None
    shown = [p for p in command.params if not getattr(p, "hidden", False)]
    return {opt for parameter in shown for opt in (*parameter.opts, *parameter.secondary_opts)}


def test_hints_name_commands_and_options_that_exist():
    seen = 0
    for path, name, rest in hints():
        known = options_of(name)
        if known is None:
            continue  # prose: "gco-agent writes"
        for option in re.findall(
            r"(?<!\S)(--?[a-z][a-z-]*)", rest.partition("|")[0].partition("&&")[0]
        ):
            assert option in {*known, "--help"}, f"{path}: gco-agent {name}{rest}"
            seen += 1
    assert seen > 50


def test_defaults_in_help_texts_are_those_of_the_code() -> None:
    def shown(*words: str) -> str:
        return " ".join(CliRunner().invoke(main, [*words, "--help"]).output.split())

    assert f"[default: {DEFAULT_MODEL}, or that of the run]" in shown("run")
    for command in ("tune", "simplify"):
        assert f"[default: {improve._SELECTION_STEPS:,}]" in shown(command)
    assert f"[default: {evaluate._EPISODES}]" in shown("eval")
    assert f"the first {look._TRACE_EPISODES} feedback seeds" in shown("trace")
    assert f"[default: {RunConfig('pong', RULES).max_tokens:,}]" in shown("step")
    for env_id, name in (("gco/Pong-v5", "an Atari game"), ("CartPole-v1", "anything else")):
        steps, _ = default_slice(make_protocol("default", env_id))
        assert f"{steps:,} of {name}" in shown("run")
