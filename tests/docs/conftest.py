"""The repositories that the tests of the command line have."""

from __future__ import annotations

from tests.cli.conftest import (
    _played,
    _project,
    _surrounded,
    cli,
    played,
    project,
    surroundings,
)

__all__ = ["_played", "_project", "_surrounded", "cli", "played", "project", "surroundings"]
