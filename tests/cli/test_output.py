"""What is printed: JSON and nothing else, any encoding, any width."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gco_agent.cli.output import Column, _table_lines, races_note, score_text
from gco_agent.core.records import Verdict
from gco_agent.store.control import Limits, Status, status_path, write_status
from tests.cli.conftest import Cli, Start
from tests.cli.scripted import FOLLOW
from tests.store.samples import commit_file, git

SHORT = ("--max-steps", "60", "--workers", "1")
PRINTS = '''"""An environment that talks."""

import os

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete

from gco_agent.games import GameSpec

print("imported")


class Talker(gymnasium.Env):
    observation_space = Box(-1.0, 1.0, (1,), np.float64)
    action_space = Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        print("reset")
        os.write(1, b"from C\\n")
        {extra}
        return np.zeros(1), {{}}

    def step(self, action):
        print("step")
        return np.zeros(1), float(action), True, False, {{}}


gymnasium.register("{name}-v0", Talker)
SPEC = GameSpec(name="talker", title="Talker", env_id="{name}-v0", goal="Be quiet.")
'''
POLICY = '"""Talk.\n\nEnvironment: none\n"""\n\n\ndef act(obs):\n    return 1\n'


def run(surroundings: dict[str, str], folder: Path, *arguments: str, **environment: str):
    return subprocess.run(
        [sys.executable, "-m", "gco_agent", "-C", str(folder), *arguments],
        env={**surroundings, **environment},
        capture_output=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize(
    "command",
    [
        ("eval", "talk.py", "--env", "{game}", "--episodes", "2", "--workers", "1"),
        ("check-game", "{game}", "--steps", "20"),
    ],
    ids=str,
)
def test_what_an_environment_prints_is_no_result(surroundings, tmp_path: Path, command) -> None:
    (tmp_path / "talk.py").write_text(POLICY)
    (tmp_path / "loud.py").write_text(PRINTS.format(name="Loud", extra="pass"))
    arguments = [word.format(game="loud.py") for word in command]
    done = run(surroundings, tmp_path, *arguments, "--json")
    assert json.loads(done.stdout)
    assert b"reset" in done.stderr


def test_an_environment_that_exits_is_reported(surroundings, tmp_path: Path) -> None:
    text = PRINTS.format(name="Quits", extra="raise SystemExit(3)")
    (tmp_path / "quits.py").write_text(text)
    done = run(surroundings, tmp_path, "check-game", "quits.py", "--steps", "20")
    assert done.returncode == 2
    assert b"SystemExit: 3" in done.stdout or b"sys.exit(3)" in done.stderr


def test_a_thread_of_an_environment_does_not_keep_the_command(surroundings, tmp_path) -> None:
    extra = "import threading, time; threading.Thread(target=time.sleep, args=(90,)).start()"
    (tmp_path / "stays.py").write_text(PRINTS.format(name="Stays", extra=extra))
    begun = time.monotonic()
    done = run(surroundings, tmp_path, "check-game", "stays.py", "--steps", "20")
    assert time.monotonic() - begun < 60
    assert done.returncode in (0, 2), done.stderr


@pytest.mark.parametrize(
    ("encoding", "command"),
    [("ascii", "log"), ("ascii", "show 1"), ("cp1252", "runs"), ("latin-1", "games pong")],
)
def test_terminals_that_are_not_utf_8(surroundings, played: Path, encoding, command) -> None:
    done = run(surroundings, played, *command.split(), PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode(encoding)
    assert b"Traceback" not in done.stderr


def test_python_without_docstrings_is_refused_before_anything_is_played(
    surroundings, tmp_path: Path
) -> None:
    done = run(surroundings, tmp_path, "run", "CartPole-v1", PYTHONOPTIMIZE="2")
    assert done.returncode == 2
    assert done.stderr.startswith(b"Error: ")
    assert b"unset PYTHONOPTIMIZE" in done.stderr


COLUMNS = [
    Column("game"),
    Column("status", rank=2),
    Column("random", "right", 1),
    Column("goal", text="wrap"),
]
ROWS = [
    ["game", "status", "random", "goal"],
    ["space_invaders", "first class", "-1234.5", "Shoot all the extraordinarily many aliens."],
    ["pong", "broken upstream", "20", ""],
]


@pytest.mark.parametrize("width", [None, 200, 80, 60, 40, 20])
def test_tables_break_no_word_and_no_number(width) -> None:
    rows = list(_table_lines(COLUMNS, ROWS, width))
    words = {word for row in ROWS for cell in row for word in cell.split()}
    for row in rows:
        for line in row:
            assert set(line.split()) <= words
            assert width is None or width < 40 or len(line.rstrip()) <= width
    text = " ".join(line for row in rows for line in row)
    for word in ("space_invaders", "extraordinarily", "aliens."):
        assert word in text


@pytest.mark.parametrize(("longest", "is_told"), [(27_000, True), (4_500, False)])
def test_two_returns_of_one_policy_are_explained(longest: int, is_told: bool) -> None:
    def step(verdict: Verdict, stamp: str) -> Any:
        return SimpleNamespace(verdict=verdict, facts=SimpleNamespace(protocol=stamp))

    history = [
        step(Verdict.INITIAL, "default gco/Pong-v5 sticky=0.25 max_steps=4500 ale-py=0.12"),
        step(Verdict.REJECTED, f"default gco/Pong-v5 sticky=0.25 max_steps={longest} ale-py=0.12"),
        step(Verdict.REPORTED, f"default gco/Pong-v5 sticky=0.25 max_steps={longest} ale-py=0.12"),
    ]
    assert ("4,500" in races_note(history)) is is_told
    assert races_note(history[:1]) == ""


def test_few_episodes_have_no_interval() -> None:
    few = {"mean_return": 20.5, "standard_error": 10.5, "confidence_interval": None}
    alike = {"mean_return": 500.0, "standard_error": 0.0, "confidence_interval": (500.0, 500.0)}
    assert score_text(alike) == "500 ± 0, the same in every episode"
    text = score_text({**few, "returns": [10.0, 31.0]})
    assert text == "20.5 ± 10.5, too few episodes for an interval"


SHOWN = [
    "--help",
    "--version",
    "run --help",
    "games",
    "games --json",
    "runs",
    "log",
    "show 1 --json",
    "log --help",
    "_bash_source",
    "_zsh_source",
    "_fish_source",
    "_bash_complete",
]
FULL, CLOSED = "exec {python} >/dev/full", "exec {python} >&-"


def shell(surroundings: dict[str, str], folder: Path, line: str, words: str):
    """Run a command by the shell, which opens and closes descriptors as a user would."""
    environment = {**surroundings, "COMP_WORDS": "gco-agent g", "COMP_CWORD": "1"}
    if words.startswith("_"):
        environment["_GCO_AGENT_COMPLETE"] = words[1:]
        words = ""
    program = "import sys; from gco_agent.cli import main; main(prog_name='gco-agent')"
    python = f'"{sys.executable}" -c "{program}" -C "{folder}" {words}'
    return subprocess.run(
        ["sh", "-c", line.format(python=python)],
        env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize("words", SHOWN)
def test_a_full_standard_output_is_one_line(surroundings, played: Path, words: str) -> None:
    done = shell(surroundings, played, FULL, words)
    assert done.stderr == "Error: standard output: No space left on device\n"
    assert done.returncode == 2


@pytest.mark.parametrize("words", ["--help", "games --json", "_bash_source", "show 1"])
def test_a_closed_standard_output_is_one_line(surroundings, played: Path, words: str) -> None:
    done = shell(surroundings, played, CLOSED, words)
    assert done.stderr == "Error: standard output: Bad file descriptor\n"
    assert done.returncode == 2


@pytest.mark.parametrize("words", ["--help", "games", "_bash_source"])
def test_a_reader_that_has_gone_is_no_error(surroundings, played: Path, words: str) -> None:
    done = shell(surroundings, played, "{python} | sleep 0", words)
    assert done.stderr == ""


@pytest.mark.parametrize("stderr", ["2>/dev/full", "2>&-", "<&- 2>&-"])
def test_a_standard_error_that_takes_nothing_changes_no_result(
    surroundings, project: Path, stderr: str
) -> None:
    refused = shell(surroundings, project, f"exec {{python}} {stderr}", "no-such-command")
    assert refused.returncode == 2
    words = "init CartPole-v1 --name x --no-switch --json --workers 1 --max-steps 60"
    done = shell(surroundings, project, f"exec {{python}} {stderr}", words)
    assert done.returncode == 0
    assert json.loads(done.stdout)["run"] == "gco/cart_pole/x"
    assert git(project, "rev-parse", "--verify", "gco/cart_pole/x")


def test_runs_are_listed(cli: Cli, played: Path) -> None:
    git(played, "branch", "gco/pong/second", "gco/pong/first~1")
    git(played, "branch", "gco/pong/broken", "main")
    rows = {row["run"]: row for row in json.loads(cli(played, "runs", "--json").stdout)}
    assert set(rows) == {"gco/pong/first", "gco/pong/second", "gco/pong/broken"}
    first = rows["gco/pong/first"]
    assert (first["checked_out"], first["running"], first["iterations"]) == (True, False, 3)
    assert (first["accepted"], first["optimizer"], first["seed"]) == (1, "scripted", 0)
    assert rows["gco/pong/broken"]["problem"]
    shown = cli(played, "runs").stdout
    assert "* " in shown
    assert "gco/pong/second" in shown


def test_no_runs(cli: Cli, project: Path) -> None:
    assert json.loads(cli(project, "runs", "--json").stdout) == []
    assert "gco-agent run GAME" in cli(project, "runs").stdout


def test_a_run_is_named_in_the_same_way_everywhere(cli: Cli, played: Path) -> None:
    git(played, "switch", "--quiet", "main")
    for command in ("log", "show", "watch"):
        named = cli(played, command, "first")
        assert named.exit_code == 0, named.output
        for name in ("pong/first", "gco/pong/first", "pong"):
            assert cli(played, command, name).stdout == named.stdout
        assert cli(played, command).stdout == named.stdout  # the only run
    two = cli(played, "log", "first", "second")
    assert two.exit_code == 2
    shown = json.loads(cli(played, "show", "first", "1", "--json").stdout)
    assert shown["iteration"] == 1
    assert cli(played, "show", "first", "1", "2").exit_code == 2
    back = cli(played, "rollback", "first", "0", "--json")
    assert back.exit_code == 0, back.output
    data = json.loads(back.stdout)
    assert (data["run"], data["iteration"]) == ("gco/pong/first", 5)


def test_results_of_init_and_log_have_the_seed(cli: Cli, project: Path) -> None:
    begun = cli(
        project, "init", "pong", "--seed", "7", "--name", "s", "--no-switch", "--json", *SHORT
    )
    assert begun.exit_code == 0, begun.output
    assert json.loads(begun.stdout)["seed"] == 7
    assert json.loads(cli(project, "log", "s", "--json").stdout)["seed"] == 7


def test_an_untracked_file_in_the_way_is_refused_before_anything_is_played(
    cli: Cli, project: Path
) -> None:
    (project / "policies").mkdir()
    (project / "policies/pong.py").write_text(FOLLOW)
    words = ("run", "pong", "--start", "policies/pong.py", "--name", "x", "--iterations", "1")
    refused = cli(project, *words)
    assert refused.exit_code == 2
    assert "policies/pong.py" in refused.stderr
    assert "initial policy" not in refused.stderr
    assert git(project, "branch", "--list", "gco/*") == ""
    commit_file(project, "policies/pong.py", FOLLOW, "Mine")
    init = ("init", "pong", "--start", "policies/pong.py", "--name", "x")
    assert cli(project, *init, *SHORT).exit_code == 0


def test_watch_finds_a_run_that_has_no_commit_yet(cli: Cli, start: Start, project: Path) -> None:
    process = start(project, "run", "pong", "--name", "new", "--optimizer", "scripted",
                    "--iterations", "1", "--report-episodes", "0", *SHORT)  # fmt: skip
    status = status_path(project / ".git", "pong-new")
    end = time.monotonic() + 60
    while not status.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)
    watched = cli(project, "watch")
    assert watched.exit_code == 0, watched.output
    assert watched.stderr.startswith("gco/pong/new: process")
    assert "1 iteration on gco/pong/new" in watched.stderr


def test_watch_asks_which_run_where_several_are_advanced(cli: Cli, project: Path) -> None:
    for stem in ("pong-a", "pong-b"):
        path = status_path(project / ".git", stem)
        write_status(path, Status(os.getpid(), 0.0, 1, 0.0, Limits(), None))
    refused = cli(project, "watch")
    assert refused.exit_code == 2
    assert "gco/pong/a" in refused.stderr
