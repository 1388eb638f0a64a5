"""Code that a policy, a branch or a folder brings along is not run outside the jail unasked."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gco_agent import evaluate
from gco_agent.core.errors import UsageError
from gco_agent.policy.source import PolicySource
from tests.cli.conftest import Cli, Start
from tests.store.samples import git

PAGE = Path(__file__).parents[2] / "docs" / "own-game.md"
HOSTILE = '''"""Pong: wait.

Environment: {named}
"""


class Policy:
    def act(self, obs):
        return 0
'''
SHORT = ("--max-steps", "20", "--workers", "1")
GAME = "foreign_corridor"


def canary(folder: Path) -> Path:
    return folder / "it-ran"


def leaves_a_trace(folder: Path) -> str:
    return f"\nopen({str(canary(folder))!r}, 'a').close()\n"


@pytest.fixture
def _own_path(monkeypatch: pytest.MonkeyPatch):
    """What tests make importable is forgotten after them, as in a process of its own."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    sys.modules.pop(GAME, None)


@pytest.mark.parametrize(
    ("command", "named"),
    [
        (["eval"], "evil_game.py"),
        (["eval"], "{folder}/evil_game.py"),
        (["eval"], "evil_game:Evil-v0"),
        (["tune"], "evil_game.py"),
        (["simplify"], "evil_game.py"),
        (["card"], "evil_game.py"),
        (["enjoy", "--video", "x.mp4"], "evil_game.py"),
        (["trace"], "evil_game.py"),
        (["export", "minari"], "evil_game.py"),
        (["export", "model-card"], "evil_game:Evil-v0"),
    ],
    ids=str,
)
@pytest.mark.usefixtures("_own_path")
def test_a_policy_does_not_say_what_is_loaded(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str], named: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil_game.py").write_text(leaves_a_trace(tmp_path))
    named = named.format(folder=tmp_path)
    (tmp_path / "mine.py").write_text(HOSTILE.format(named=named))
    done = cli(tmp_path, *command, "mine.py")
    assert done.exit_code == 2, done.output
    assert f"name it yourself: --env {named}" in done.stderr
    assert not canary(tmp_path).exists()


@pytest.mark.usefixtures("_own_path")
def test_nor_from_python(tmp_path: Path) -> None:
    (tmp_path / "evil_game.py").write_text(leaves_a_trace(tmp_path))
    text = HOSTILE.format(named=tmp_path / "evil_game.py")
    with pytest.raises(UsageError, match="game="):
        evaluate(PolicySource(text), seeds=[1])
    assert not canary(tmp_path).exists()


def _corridor(folder: Path, more: str = "") -> str:
    code = re.search(r"```python\n# corridor\.py\n(.*?)```", PAGE.read_text("utf-8"), re.S)
    assert code is not None
    text = code[1].replace("Corridor-v0", "ForeignCorridor-v0")
    (folder / f"{GAME}.py").write_text(text + more)
    return f"{GAME}.py"


@pytest.mark.usefixtures("_own_path")
def test_a_run_of_somebody_elses_module_asks_for_trust(
    cli: Cli, start: Start, project: Path, tmp_path: Path
) -> None:
    begun = cli(project, "init", _corridor(project), "--name", "own", *SHORT)
    assert begun.exit_code == 0, begun.output
    kept = git(project, "config", "--local", "gco.trust")
    assert re.fullmatch(f"{GAME}={re.escape(str(project))}=[0-9a-f]{{64}}", kept)
    stepped = cli(project, "prompt", "-o", "-", "--workers", "1")
    assert GAME not in stepped.stderr, "what a person began here goes on without a question"

    git(tmp_path, "clone", "--quiet", "project", "clone")
    clone = tmp_path / "clone"
    git(clone, "switch", "--quiet", "gco/corridor/own")
    _corridor(clone, leaves_a_trace(tmp_path))
    branch = "gco/corridor/own"
    for command in (
        ["step"], ["tune"], ["simplify"], ["prompt"], ["eval"], ["card"], ["enjoy"], ["trace"],
        ["verify"], ["export", "model-card"], ["replay", branch], ["apply", "x.md"],
    ):  # fmt: skip
        refused = cli(clone, *command)
        assert refused.exit_code == 2, (command, refused.output)
        if command[0] != "apply":
            assert f"gco-agent --trust-module {GAME}" in refused.stderr, command
        assert not canary(tmp_path).exists(), command
    sys.modules.pop(GAME, None)
    sys.path.insert(0, str(clone))  # even if it could be imported
    for command in (["log"], ["show", "0"], ["report", "-o", str(tmp_path / "report.html")]):
        assert cli(clone, *command).exit_code == 0, "what only reads a run needs no trust"
        assert not canary(tmp_path).exists(), command
    sys.path.remove(str(clone))
    # nor does a repository that was received as a folder bring trust along
    for value in (f"{GAME}={clone}", f"{GAME}={clone}=", f"{GAME}={clone}={kept[-64:]}"):
        git(clone, "config", "--local", "gco.trust", value)
        assert cli(clone, "verify").exit_code == 2
        assert not canary(tmp_path).exists(), value

    for asked in (["--trust-module", GAME, "verify"], ["verify"]):  # it is remembered
        process = start(clone, *asked, "--workers", "1")
        told = process.communicate()
        assert canary(tmp_path).exists(), told
        assert process.returncode == 2, told
        assert "module: " in told[0], "its text is another than that which was played"


@pytest.mark.usefixtures("_own_path")
def test_only_what_is_there_can_be_trusted(cli: Cli, project: Path) -> None:
    for name, told in (("no_such_module", "there is no module"), ("../x", "is not a name")):
        refused = cli(project, "--trust-module", name, "log")
        assert refused.exit_code == 2
        assert told in refused.stderr
    cli(project, "--trust-module", "json.tool", "log")
    assert git(project, "config", "--local", "gco.trust").startswith("json.tool==")


@pytest.mark.parametrize("program", [["-m", "gco_agent"], []], ids=["module", "script"])
def test_no_module_of_the_folder_is_taken_for_another(
    played: Path, tmp_path: Path, program: list[str]
) -> None:
    shutil.copy(played / "policies/pong.py", tmp_path / "pong.py")
    first = [sys.executable, *program] if program else [Path(sys.executable).with_name("gco-agent")]
    names = ["gitdb_speedups", "pickle5", "backports_abc"]  # libraries try for these
    if not program:  # with -m, Python itself looks there before we are asked
        names += ["signal", "multiprocessing"]  # workers begin with these
    for name in names:
        (played / f"{name}.py").write_text(leaves_a_trace(tmp_path))
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    played_twice = ["--episodes", "2", "--max-steps", "20", "--workers", "2"]
    for command in (["log"], ["eval", str(tmp_path / "pong.py"), *played_twice]):
        done = subprocess.run(
            [*first, *command],
            check=False,
            cwd=played,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert not canary(tmp_path).exists(), command
