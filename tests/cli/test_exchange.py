"""``prompt``, ``apply``, a step that waits, and ``replay``, from end to end."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from gco_agent.api import open_run
from gco_agent.loop.replay import parse_recording
from gco_agent.store.control import read_notes
from gco_agent.store.entries import RunRef
from gco_agent.store.git import GitRepo
from gco_agent.store.view import RunView
from tests.cli.conftest import Cli, Start
from tests.cli.scripted import FOLLOW, IDLE
from tests.store.samples import git

ONE = ("--workers", "1")
FOLDER = "gco-exchange/pong-first"
BETTER = FOLLOW.replace("abs(gap) < 3", "abs(gap) < 2")
ANSWER = f"Summary: a narrower dead zone\n\nIt waits too long.\n\n```python\n{BETTER}```\n"


def tip(project: Path) -> str:
    return git(project, "rev-parse", "gco/pong/first")


def body(project: Path) -> str:
    return git(project, "log", "-1", "--format=%B", "gco/pong/first")


def test_prompt_and_apply(played: Path, cli: Cli) -> None:
    before = tip(played)
    asked = cli(played, "prompt", *ONE)
    assert asked.exit_code == 0, asked.output
    prompt = played / FOLDER / "0005-prompt.md"
    assert asked.stdout.strip() == str(prompt)
    assert "gco-agent apply ANSWER gco/pong/first" in asked.stderr
    assert "playing feedback" in asked.stderr
    text = prompt.read_text()
    assert "## The present policy" in text
    assert "keep the paddle level with the ball" in text
    assert "run from it" in text
    assert "object has no attribute 'no_such_thing'" in text
    assert git(played, "status", "--porcelain") == ""
    assert cli(played, "prompt", "-o", "-", *ONE).stdout == text
    assert cli(played, "prompt", "-o", "ask.md", *ONE).stdout.strip() == "ask.md"
    assert (played / "ask.md").read_text() == text
    assert tip(played) == before

    (played / "words.md").write_text("I would move faster.")
    refused = cli(played, "apply", "words.md", *ONE)
    assert refused.exit_code == 2
    assert "There is no code in the reply" in refused.stderr
    missing = cli(played, "apply", *ONE)
    assert missing.exit_code == 2
    assert "there is no answer in" in missing.stderr
    assert tip(played) == before

    (played / FOLDER / "0005-reply.md").write_text(ANSWER)
    applied = cli(played, "apply", "--json", *ONE)
    assert applied.exit_code == 0, applied.output
    assert tip(played) != before
    assert "a narrower dead zone" in body(played)
    assert "Gco-Optimizer: exchange" in body(played)
    kept = git(
        *(played, "log", "-1", "--format=%H", "--full-history", "--no-merges"),
        *("--", "iterations/0005/reply.md"),
    )
    assert git(played, "show", f"{kept}:iterations/0005/prompt.md") == text.strip()
    assert "narrower" in git(played, "show", f"{kept}:iterations/0005/reply.md")


def wait_for(path: Path, seconds: float = 180) -> None:
    give_up = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < give_up, path
        time.sleep(0.1)


def test_a_step_waits_and_ctrl_c_loses_nothing(played: Path, start: Start) -> None:
    before = tip(played)
    waiting = start(played, "step", "--optimizer", "exchange", *ONE)
    wait_for(played / FOLDER / "0005-prompt.md")
    time.sleep(0.5)
    os.kill(waiting.pid, signal.SIGINT)
    _, errors = waiting.communicate(timeout=60)
    assert waiting.returncode == 130, errors
    assert "0005-reply.md" in errors
    assert "gco-agent step --optimizer exchange gco/pong/first" in errors
    assert "playing feedback" in errors
    assert "recording moments" in errors
    assert tip(played) == before
    (played / FOLDER / "0005-reply.md").write_text(f"```python\n{IDLE}```\n")
    again = start(played, "step", "--optimizer", "exchange", *ONE)
    _, errors = again.communicate(timeout=120)
    assert again.returncode == 0, errors
    assert "Gco-Outcome: rejected" in body(played)
    assert "Gco-Iteration: 5" in body(played)


def view(project: Path) -> RunView:
    return RunView(GitRepo.find(project), RunRef("cart_pole", "first"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x" * 2_001], "a note has 1 to 2,000"),
        ([""], "and this has 0"),
        (["nothing", "x"], "there is no run"),
    ],
)
def test_a_note_that_cannot_be_left(
    played: Path, cli: Cli, arguments: list[str], message: str
) -> None:
    refused = cli(played, "note", *arguments)
    assert refused.exit_code == 2
    assert message in refused.stderr


AGENT = """
import re, sys
prompt, reply = sys.argv[1:]
n = re.search(r"iteration ([0-9]+)", open(prompt).read())[1]
code = f"def act(obs):\\n    return int(obs[2] + obs[3] / {n} > 0)"
answer = f"Summary: lean {n}\\n\\n```python\\n{code}\\n```"
open(reply, "w").write(answer)
"""


def test_a_command_answers_a_whole_run(project: Path, cli: Cli) -> None:
    (project / "agent.py").write_text(AGENT)
    answer = f"{sys.executable} agent.py {{prompt}} {{reply}}"
    played = cli(
        *(project, "run", "CartPole-v1", "--optimizer", "exchange", "--answer", answer, *ONE),
        *("--name", "first", "--iterations", "1", "--report-episodes", "0", "--max-steps", "60"),
        "--no-switch",
    )
    assert played.exit_code == 0, played.output
    assert "1 of 1 iteration accepted" in played.stdout
    message = git(project, "log", "-1", "--format=%B", "gco/cart_pole/first")
    assert "lean 1" in message
    assert "agent.py" not in git(project, "show", "gco/cart_pole/first:run.toml")
    # notes are shown once, and kept with the iteration that was told
    assert cli(project, "note", "cart_pole", "Lean ``` \x1b[31mearlier.").exit_code == 0
    open_run(project, "cart_pole").note("Or later.")
    assert len(read_notes(view(project))) == 2
    assert cli(project, "step", "cart_pole", "-n", "2", "--answer", answer, *ONE).exit_code == 0
    asked, again = (project / f"gco-exchange/cart_pole-first/000{n}-prompt.md" for n in (2, 3))
    assert "### Note from the user\n\n````text\nLean ``` earlier.\n````" in asked.read_text()
    assert "Note from the user" not in again.read_text()
    told = git(project, "log", "--all", "--full-history", "--format=%s", "--", "*/note.md")
    assert "candidate, return 60.0 (+0.00): lean 2" in told
    assert not read_notes(view(project))
    # questions are answered, and leave the run as it is
    (project / "ask.md").write_text("```ask\nshow 0 1-2\n```\n")
    for n in range(1, 5):
        asked_more = cli(project, "apply", "ask.md", "cart_pole", *ONE)
        assert asked_more.exit_code == (0 if n < 4 else 2), asked_more.output
    assert "no more questions are answered" in asked_more.stderr
    prompt = project / "gco-exchange/cart_pole-first/0004-prompt.md"
    assert prompt.read_text().count("\n## Your questions, round") == 3
    (project / "agent.py").write_text("import sys; sys.exit('no credit')")
    failed = cli(project, "step", "cart_pole", "--answer", answer, "--time", "5s", *ONE)
    assert failed.exit_code == 2
    assert "ended with exit status 1 (no credit)" in failed.stderr
    assert "gco-agent step --answer" in failed.stderr
    refused = cli(project, "run", "pong", "--answer", answer)
    assert refused.exit_code == 2
    assert "add --optimizer exchange" in refused.stderr


def test_a_run_is_recorded_and_played_back(project: Path, cli: Cli, tmp_path: Path) -> None:
    ran = cli(
        *(project, "run", "CartPole-v1", "--optimizer", "scripted", "--name", "first", *ONE),
        *("--iterations", "2", "--report-episodes", "2", "--max-steps", "200"),
    )
    assert ran.exit_code == 0, ran.output
    branch = "gco/cart_pole/first"
    recorded = cli(project, "replay", branch, "--record", "first.json")
    assert recorded.exit_code == 0, recorded.output
    assert f"2 iterations of {branch} recorded" in recorded.stderr
    text = (project / "first.json").read_text()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "run.json").write_text(text)
    again = cli(elsewhere, "replay", "run.json", "--create-repo", "--json", *ONE)
    assert again.exit_code == 0, again.output
    data = json.loads(again.stdout)
    assert data["is_same"] is True
    assert data["run"] == data["recorded"] == branch
    assert len(data["iterations"]) == 4
    for n in range(4):
        trees = [
            git(place, "rev-parse", f"{branch}~{n}:{folder}")
            for place in (project, elsewhere)
            for folder in ("policies", "iterations")
        ]
        assert trees[:2] == trees[2:]
        words = [
            git(place, "log", "-1", "--format=%B", f"{branch}~{n}")
            for place in (project, elsewhere)
        ]
        lines = [
            [
                x
                for x in w.splitlines()
                if not x.startswith(("Gco-Seconds", "Gco-Cpu", "Gco-Signature", "    git show"))
            ]
            for w in words
        ]
        assert lines[0] == lines[1]

    changed = text.replace("UPRIGHT = 0.0", "UPRIGHT = 1.0")
    assert changed != text
    (elsewhere / "run.json").write_text(changed)
    differs = cli(elsewhere, "replay", "run.json", "--name", "other", *ONE)
    assert differs.exit_code == 2
    assert "DIFFERS in " in differs.stdout
    taken = cli(elsewhere, "replay", "run.json", "--name", "other", *ONE)
    assert taken.exit_code == 2
    assert "choose another --name" in taken.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "there is no file nothing, and no such run"),
        (["README.md"], "not a recording of a run"),
    ],
)
def test_what_cannot_be_played_back_is_said(
    project: Path, cli: Cli, arguments: list[str], message: str
) -> None:
    refused = cli(project, "replay", *arguments)
    assert refused.exit_code == 2
    assert message in refused.stderr


def test_the_demo_is_a_recording_of_answers_by_a_model() -> None:
    from gco_agent.loop.checks import rules_here
    from gco_agent.loop.replay import demo, format_recording

    recording = demo()
    assert recording.run == "gco/pong/exchange"
    assert recording.left_out == ""
    assert (recording.n_iterations, len(recording.iterations)) == (2, 3)  # the third is a report
    rules = recording.settings.protocol
    assert rules.versions == rules_here(rules).versions  # else record it anew: the numbers differ
    assert parse_recording(format_recording(recording)) == recording
    for each in recording.iterations:
        for one in each.tries:
            assert {"prompt.md", "reply.md"} <= set(one.files)
