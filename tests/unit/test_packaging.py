"""What a wheel of the package holds."""

from __future__ import annotations

import json
import subprocess
import tomllib
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

from gco_agent import __version__

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The files of a wheel that is built from this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    built = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    with zipfile.ZipFile(next(iter(built))) as wheel:
        return set(wheel.namelist())


def test_a_wheel_holds_every_module_and_every_file_that_one_reads(names: set[str]) -> None:
    here = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "gco_agent").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in names if name.startswith("gco_agent/")} == here
    assert {"gco_agent/py.typed", "gco_agent/loop/demo/demo.json"} <= here


def test_the_lock_names_the_packages_of_every_extra() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = (ROOT / "requirements-test.lock").read_text().splitlines()
    marked = {name for line in lines if line.startswith("# extras: ") for name in line.split()[2:]}
    always = {"models", "openai", "report", "trace", "video"}
    assert marked | always | {"ppo"} == {*project["optional-dependencies"]}
    assert not marked & always


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--extra", "nope"], "no extra is called 'nope'; there are box2d, "),
        (["--x"], "--extra NAME"),
    ],
)
def test_the_installer_refuses_what_it_does_not_know(arguments: list[str], words: str) -> None:
    script = str(ROOT / "scripts/install")
    done = subprocess.run([script, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr


def test_the_image_is_built_from_files_that_exist_and_are_let_in() -> None:
    let_in = [
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[0] == "!"
    ]
    assert all(list(ROOT.glob(pattern)) for pattern in let_in)
    needed = ("gco_agent", "scripts", "pyproject.toml", "README.md", "LICENSE")
    assert {*needed, "requirements*.lock"} == {*let_in}
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    assert "RUN scripts/install" in lines
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())
    assert container["postCreateCommand"].split()[0] == "scripts/install"
    requires = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert "3.11" in requires
    assert container["image"].endswith(":3.11")
    assert "FROM python:3.11-slim" in lines


def test_a_wheel_holds_nothing_else(names: set[str]) -> None:
    assert {name.split("/")[0] for name in names} == {
        "gco_agent",
        f"gco_agent-{__version__}.dist-info",
    }
