"""Sort the tests into tiers: quick, whole (everything but nightly), and nightly.

* quick: what a developer runs while working, under a minute on two cores; by folder, below.
* nightly: what takes minutes by itself, marked ``@pytest.mark.nightly``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import settings

HERE = Path(__file__).parent
QUICK = ("unit", "core", "games", "policy", "store", "traces", "report", "test_architecture.py")
"""Folders and files of tests/ that are quick as a whole, apart from tests marked slow."""
Once = Callable[[str, Callable[[Path], None]], Path]

settings.register_profile("repeatable", deadline=None, derandomize=True, max_examples=50)
settings.register_profile("nightly", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        first = item.path.relative_to(HERE).parts[0]
        slow = any(item.get_closest_marker(name) for name in ("slow", "nightly"))
        if first in QUICK and not slow:
            item.add_marker(pytest.mark.quick)


@pytest.fixture(autouse=True)
def _same_every_time(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory):
    """Draw the same selection seeds in every test, and leave the user's own key alone."""
    monkeypatch.setattr("gco_agent.loop.selection.new_secret", lambda: "of the tests")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.getbasetemp() / "state"))


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """Fill a folder once for all processes of pytest-xdist, and return it."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent

    def folder(name: str, fill: Callable[[Path], None]) -> Path:
        made, part = root / name, root / f"{name}.part"
        with FileLock(root / f"{name}.lock"):
            if not made.exists():
                part.mkdir()
                fill(part)
                part.rename(made)
        return made

    return folder
