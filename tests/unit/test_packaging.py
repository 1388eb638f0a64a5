"""What a wheel of the package holds."""

from __future__ import annotations

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


def test_a_wheel_holds_nothing_else(names: set[str]) -> None:
    assert {name.split("/")[0] for name in names} == {
        "gco_agent",
        f"gco_agent-{__version__}.dist-info",
    }
