"""The Python API: what a person who never types a command uses."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import gco_agent
from gco_agent.core.errors import ContractViolation, PolicyError, UsageError
from gco_agent.core.seeds import Stream
from tests.engine.policies import FOLLOW, STILL


def test_a_file_is_evaluated_in_its_game(tmp_path: Path) -> None:
    path = tmp_path / "pong.py"
    path.write_text(FOLLOW)
    played = gco_agent.evaluate(path, seeds=range(2), max_steps=60)
    assert isinstance(played, gco_agent.Evaluation)
    assert [e.seed for e in played.episodes] == [0, 1]
    assert played.n_steps == 120
    assert gco_agent.evaluate(str(path), "Pong", seeds=range(2), max_steps=60) == played
    with_workers = gco_agent.evaluate(path, seeds=range(2), max_steps=60, workers=1)
    assert with_workers == played


def test_what_cannot_be_played_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="name the game"):
        gco_agent.evaluate(gco_agent.PolicySource(STILL))
    with pytest.raises(UsageError, match="no game called 'chess'"):
        gco_agent.evaluate(gco_agent.PolicySource(STILL), "chess")
    with pytest.raises(ContractViolation, match="import os"):
        gco_agent.evaluate(gco_agent.PolicySource("import os\n" + STILL), "pong")
    with pytest.raises(PolicyError):
        gco_agent.evaluate(tmp_path / "nothing.py", "pong")


def test_an_episode_counts_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a seed is given twice"):
        gco_agent.evaluate(gco_agent.PolicySource(FOLLOW), seeds=[5, 6, 5])


def test_the_default_seeds_are_the_first_thirty_report_seeds() -> None:
    defaults = inspect.signature(gco_agent.evaluate).parameters
    assert defaults["seeds"].default == Stream.REPORT.seeds(0, 30)


def test_a_script_needs_no_main_guard(tmp_path: Path) -> None:
    (tmp_path / "pong.py").write_text(FOLLOW)
    script = tmp_path / "score.py"
    script.write_text(
        "import gco_agent\n"
        "print(gco_agent.evaluate('pong.py', seeds=range(1), max_steps=20).mean_return)\n"
    )
    done = subprocess.run(
        [sys.executable, script.name], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "0.0\n"
    assert done.stderr == ""
