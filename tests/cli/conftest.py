"""Real git, the real emulator and real processes; nobody's own configuration."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator

from gco_agent.api import Players
from gco_agent.cli import main
from gco_agent.cli.context import CliContext
from gco_agent.cli.options import result_schema
from gco_agent.optimizers import registry
from tests.cli import scripted
from tests.conftest import Once
from tests.store.samples import commit_file, git

ROOT = Path(__file__).parents[2]
SHORT = ("--max-steps", "300", "--workers", "1")
Cli = Callable[..., Result]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="session")
def surroundings(once: Once) -> dict[str, str]:
    """Environment variables of the tests: a home with an identity for git, and no terminal."""

    def fill(home: Path) -> None:
        (home / ".gitconfig").write_text(
            "[user]\n\tname = Test\n\temail = test@example.org\n"
            "[init]\n\tdefaultBranch = main\n\ttemplateDir =\n[advice]\n\tdetachedHead = false\n"
        )

    kept = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "XDG_"))}
    home = once("home", fill)
    return {**kept, "HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1", "GIT_TEST_FSYNC": "0"}


@pytest.fixture(autouse=True)
def _surrounded(surroundings: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in [name for name in os.environ if name not in surroundings]:
        monkeypatch.delenv(name)
    for name, value in surroundings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(registry, "_BUILT_IN", dict(registry._BUILT_IN))
    scripted.install()
    logger = logging.getLogger("gco_agent")
    before = logger.handlers[:], logger.level
    yield
    logger.handlers[:], level = before
    logger.setLevel(level)


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Call the command line in this process; what it prints as JSON is of the schema.

    It plays here, too, which gives the same results: to start workers takes longer than most of the
    tests play. Commands with workers are those of `start`, and of the run that is `played`.
    """

    def players(place: CliContext) -> Players:
        return Players(place.workers if place.executor else 0, place.jail_level, place.executor)

    monkeypatch.setattr(CliContext, "players", property(players))

    def call(directory: Path, *arguments: str | Path) -> Result:
        words = list(map(str, arguments))
        result = CliRunner().invoke(main, ["-C", str(directory), *words])
        if "--json" in words and result.stdout.strip():
            kinds, parts = result_schema()["properties"], {"$defs": result_schema()["$defs"]}
            name = next(n for n in kinds if words[: len(n.split())] == n.split())
            texts = result.stdout.splitlines() if name == "watch" else [result.stdout]
            for text in texts:
                Draft202012Validator({**kinds[name], **parts}).validate(json.loads(text))
        return result

    return call


@pytest.fixture
def start(surroundings: dict[str, str]) -> Iterator[Start]:
    """Start the command line as a process of its own; whatever is left of it ends with the test."""
    started = []

    def begin(directory: Path, *arguments: str) -> subprocess.Popen[str]:
        process = launch(directory, surroundings, *arguments)
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def launch(directory: Path, surroundings: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.cli.scripted", "-C", str(directory), *arguments],
        cwd=ROOT,
        env=surroundings,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="session")
def _project(once: Once, surroundings: dict[str, str]) -> Path:
    def fill(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in surroundings.items():
                patch.setenv(name, value)
            git(folder, "init", "--quiet", "project")
            commit_file(folder / "project", "README.md", "A project.\n", "Begin")

    return once("begun", fill) / "project"


@pytest.fixture(scope="session")
def _played(once: Once, _project: Path, surroundings: dict[str, str]) -> Path:
    """A repository with a whole run and what it printed."""

    def fill(folder: Path) -> None:
        here = shutil.copytree(_project, folder / "played")
        process = launch(
            here, surroundings, "run", "pong", "--optimizer", "scripted", "--json",
            "--name", "first", "--iterations", "3", "--report-episodes", "4", *SHORT,
            "--workers", "2",
        )  # fmt: skip
        output, errors = process.communicate()
        assert process.returncode == 0, errors
        (here / ".git" / "printed").write_text(output)
        (here / ".git" / "told").write_text(errors)

    return once("run", fill) / "played"


@pytest.fixture
def project(_project: Path, tmp_path: Path) -> Path:
    """A repository with a commit on main."""
    return shutil.copytree(_project, tmp_path / "project")


@pytest.fixture
def played(_played: Path, tmp_path: Path) -> Path:
    """A repository whose run gco/pong/first is checked out: better, worse, raised, reported."""
    return shutil.copytree(_played, tmp_path / "played")
