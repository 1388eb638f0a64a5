"""The reference of the Python API is built by a command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import gco_agent

SCRIPT = Path(__file__).parents[2] / "scripts" / "reference.py"


def test_every_public_name_has_a_text(tmp_path):
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path)], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == str(tmp_path / "gco_agent.html")
    page = (tmp_path / "gco_agent.html").read_text("utf-8")
    for name in set(gco_agent.__all__) - {"__version__"}:
        assert f'id="{name}"' in page, name
        assert getattr(gco_agent, name).__doc__, name
    assert (tmp_path / "gco_agent" / "optimizers" / "testing.html").exists()
