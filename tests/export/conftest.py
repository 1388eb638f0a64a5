"""The runs that the tests of the report have."""

from __future__ import annotations

from tests.report.conftest import runs, view, written

__all__ = ["runs", "view", "written"]
