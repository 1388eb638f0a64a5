"""Nothing is left of an episode: scripts/leak-test, with few of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.nightly
@pytest.mark.skipif(sys.platform != "linux", reason="counts what /proc lists")
def test_many_episodes_leave_no_memory_descriptor_or_process() -> None:
    script = ROOT / "scripts/leak_test.py"
    done = subprocess.run(
        [sys.executable, script, "200"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["late"]["processes"] == told["early"]["processes"]
    assert told["late"]["descriptors"] == told["early"]["descriptors"]
    assert not told["leaks"]
