"""The repositories that the tests of the command line have."""

from __future__ import annotations

from tests.cli.conftest import (
    _surrounded,
    _templates,
    cli,
    played,
    project,
    surroundings,
)

__all__ = ["_surrounded", "_templates", "cli", "played", "project", "surroundings"]
