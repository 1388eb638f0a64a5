"""What a run begins with, where it begins, and what is printed at its end."""

from __future__ import annotations

import re

import pytest

from gco_agent.cli.output import command_lines
from tests.cli.scripted import FOLLOW, RAISES
from tests.store.samples import commit_file, git

SHORT = ("--max-steps", "60", "--workers", "1")
INIT = ("init", "pong", "--optimizer", "scripted", "--name", "new", *SHORT)
NEW = "gco/pong/new"


def refused(result) -> str:
    assert result.exit_code == 2, result.output
    return str(result.stderr)


def test_a_run_begins_with_a_policy_of_ones_own(cli, project):
    (project / "my.py").write_text(FOLLOW)
    result = cli(project, *INIT, "--start", "my.py")
    assert result.exit_code == 0, result.output
    assert "\nIt starts from the policy my.py.\n" in result.stderr
    text = git(project, "show", f"{NEW}:policies/pong.py")
    assert "Pong: keep the paddle level with the ball." in text
    assert "Environment: gco/Pong-v5" in text
    assert text.partition("def act")[2] == FOLLOW.partition("def act")[2].rstrip()
    assert "-> " not in git(project, "log", "-1", "--format=%s", NEW)
    assert cli(project, "step", "--workers", "1").exit_code == 0


def test_a_run_begins_with_the_policy_of_another(cli, played):
    result = cli(played, *INIT, "--no-switch", "--start", "HEAD~2")
    assert result.exit_code == 0, result.output
    mine, theirs = (git(played, "show", f"{rev}:policies/pong.py") for rev in (NEW, "HEAD~2"))
    assert mine.partition("def act")[1:] == theirs.partition("def act")[1:]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import os\n" + FOLLOW, "my.py breaks the contract of a policy file"),
        (
            FOLLOW.replace("Pong-v5", "Freeway-v5"),
            "says `Environment: gco/Freeway-v5`, and the run",
        ),
        (RAISES, "the initial policy failed on seed 1"),
        (None, "there is no file my.py"),
    ],
)
def test_a_policy_that_no_run_can_begin_with(cli, project, text, words):
    if text is not None:
        (project / "my.py").write_text(text)
    assert words in refused(cli(project, *INIT, "--start", "my.py"))
    assert git(project, "branch", "--list", "gco/*") == ""
    assert git(project, "branch", "--show-current") == "main"


def test_a_policy_that_is_there_and_is_not_used_is_told(cli, project):
    commit_file(project, "policies/pong.py", FOLLOW, "A policy of mine")
    result = cli(project, *INIT)
    assert result.exit_code == 0, result.output
    assert "The existing policies/pong.py is not used" in result.stderr
    assert "`--start policies/pong.py`" in result.stderr
    assert "level with the ball" not in (project / "policies/pong.py").read_text()


def test_a_run_begins_where_the_run_that_is_checked_out_began(cli, played):
    base = git(played, "rev-parse", "main")
    result = cli(played, *INIT)
    assert result.exit_code == 0, result.output
    assert f"It starts at {base[:9]}, where gco/pong/first starts, not on top" in result.stderr
    assert git(played, "rev-parse", "HEAD~1") == base
    hints = result.stdout.partition("Next:\n")[2]
    assert re.search(rf"^  git log --first-parent {base[:9]}\.\.{NEW} ", hints, re.MULTILINE)
    assert git(played, "log", "--format=%H", f"{base[:9]}..{NEW}") == git(played, "rev-parse", NEW)
    commands = [re.split("  +", line.strip())[0] for line in hints.splitlines()]
    assert commands[-3:] == [
        "git switch gco/pong/first",
        "git switch main",
        f"gco-agent publish {NEW}",
    ]
    assert not [command for command in commands if command.startswith("git diff")]


def test_hints_of_a_run_that_is_not_checked_out(cli, project):
    result = cli(project, *INIT, "--no-switch")
    hints = result.stdout.partition("Next:\n")[2]
    assert "git switch" not in hints
    assert re.search(rf"^  gco-agent publish {NEW} +from a branch of your own", hints, re.MULTILINE)
    assert f"gco-agent eval {NEW} --episodes 100" in hints


def test_hints_of_a_step_work_as_typed_in_a_subfolder(cli, played):
    result = cli(played, "step", "--workers", "1")
    hints = result.stdout.partition("Next:\n")[2]
    assert "  used " in result.stdout
    assert "stopped by" not in result.stdout
    assert re.search(r"^  gco-agent eval --episodes 100 ", hints, re.MULTILINE)
    difference = re.search(r"^  git (diff \w+ \w+ -- \S+) ", hints, re.MULTILINE)
    assert difference
    assert "policies/pong.py" in git(played / "iterations", *difference[1].split())


def test_a_run_by_exchange_goes_on_with_a_prompt(cli, project):
    result = cli(project, *INIT, "--optimizer", "exchange")
    assert result.exit_code == 0, result.output
    assert re.search("^  gco-agent prompt +the prompt for a chat", result.stdout, re.MULTILINE)
    assert "gco-agent step" not in result.stdout


def test_hints_fit_a_narrow_terminal(monkeypatch):
    hints = [("git log --first-parent 123456789..gco/space_invaders/first", "the story " * 4)]
    assert len(command_lines(hints)) == 1
    monkeypatch.setattr("gco_agent.cli.output.columns_of", lambda _: 80)
    assert command_lines(hints) == [f"  {hints[0][0]}", f"      {hints[0][1]}"]
    monkeypatch.setattr("gco_agent.cli.output.columns_of", lambda _: 120)
    assert len(command_lines(hints)) == 1
