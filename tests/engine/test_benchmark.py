"""The benchmark runs, and every way to play it does the same work."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.nightly
def test_it_measures_every_way_to_play() -> None:
    arguments = ["--games", "pong", "--rounds", "2", "--no-workers", "--json"]
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/benchmark.py", *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    data = json.loads(done.stdout)
    [row] = data["games"]
    assert row["game"] == "pong"
    assert row["raw_steps_per_cpu_second"] > 100
    names = {"judged of 1", "judged of 2", "judged of 4", "ocatari"} | (
        {"traced"} if find_spec("opto") else set()
    )
    assert all(0.02 < row[name] < 2 for name in names)
    assert set(data["geometric_mean"]) == names
    assert all(type(is_met) is bool for is_met in data["goals"].values())
