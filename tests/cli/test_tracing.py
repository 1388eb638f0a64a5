"""`gco-agent trace`: what a person is shown of it."""

from __future__ import annotations

import json
import re

from gco_agent.core.text import clean_text
from tests.cli.conftest import SHORT
from tests.cli.scripted import FOLLOW, RAISES
from tests.store.samples import git

FEW = (*SHORT, "--seeds", "1:3")


def untimed(text: str) -> str:
    """Leave out the processor time of a step, which varies."""
    return re.sub(r"A step takes the policy .*", "", text)


def test_a_file(cli, tmp_path):
    (tmp_path / "follow.py").write_text(FOLLOW)
    result = cli(tmp_path, "trace", "follow.py", "--tokens", "1500", *FEW)
    assert result.exit_code == 0
    told = result.stderr.splitlines()
    assert told[:2] == ["playing feedback", "recording moments"]
    for heading in ("### Stage: ", "### Results", "### Execution trace", "### Moment 1 ("):
        assert f"\n{heading}" in f"\n{result.stdout}"
    assert "over 2 episodes (seeds 1:3)" in result.stdout
    assert "not accepted" not in result.stdout
    assert clean_text(result.stdout) == result.stdout
    again = cli(tmp_path, "trace", "follow.py", "--tokens", "1500", *FEW, "--workers", "1")
    assert untimed(again.stdout) == untimed(result.stdout)


def test_as_json(cli, tmp_path):
    (tmp_path / "follow.py").write_text(FOLLOW)
    result = cli(tmp_path, "trace", "follow.py", "--json", *FEW)
    data = json.loads(result.stdout)
    assert set(data) == {
        "policy", "policy_sha256", "stage", "text", "tokens", "mean_return", "standard_error",
        "confidence_interval", "returns", "seeds", "protocol", "jail", "notes", "ranges", "extents",
        "names", "windows", "endings", "losses", "stalls",
    }  # fmt: skip
    assert data["seeds"] == "1:3"
    assert len(data["returns"]) == 2
    step = data["windows"][0]["steps"][0]
    assert set(step) == {
        "step", "lives", "objects", "values", "calls", "action", "action_name", "reward"
    }  # fmt: skip
    assert step["calls"][0]["name"] == "act"
    assert "max_steps=300" in data["protocol"]


def test_a_run_with_what_it_tried(cli, played):
    result = cli(played, "trace", *FEW)
    assert result.exit_code == 0
    assert "### Tried before, and not accepted" in result.stdout
    assert "- Iteration 3, failed" in result.stdout
    assert 'look at what is not there"' in result.stdout
    told = cli(played, "trace", "gco/pong/first", *FEW)
    assert told.exit_code == 0, told.stderr
    assert untimed(told.stdout) == untimed(result.stdout)
    older = cli(played, "trace", "0", *FEW)
    assert older.exit_code == 0
    assert "not accepted" not in older.stdout
    git(played, "switch", "-q", "main")
    by_name = cli(played, "trace", "gco/pong/first~4", *FEW)
    assert by_name.stdout == older.stdout
    assert "is not a file" in cli(played, "trace", "nosuch~4", *FEW).stderr


def test_hints_of_the_run_or_as_asked_for(cli, played):
    assert "|UP" in cli(played, "trace", *FEW).stdout
    untold = cli(played, "trace", "--hints", "none", *FEW).stdout
    assert "|UP" not in untold
    assert "ball" not in untold.partition("### Results")[0].lower()


def test_a_policy_that_fails_is_what_one_wants_to_see(cli, tmp_path):
    (tmp_path / "raises.py").write_text(RAISES)
    result = cli(tmp_path, "trace", "raises.py", *FEW)
    assert result.exit_code == 0
    assert "### Stage: fails" in result.stdout
    assert "No score: the policy failed in 2 of 2 episodes" in result.stdout
    assert "no_such_thing" in result.stdout
    data = json.loads(cli(tmp_path, "trace", "raises.py", "--json", *FEW).stdout)
    assert data["mean_return"] is None


def test_refusals(cli, tmp_path):
    (tmp_path / "wrong.py").write_text('"""Environment: gco/Pong-v5"""\nimport os\n')
    for arguments, message in {
        ("wrong.py",): "a policy may not import os",
        ("missing.py",): "there is no file missing.py",
        ("wrong.py", "--tokens", "5"): "5 is not in the range 100 or more",
        ("wrong.py", "--seeds", "3:3"): "hold nothing",
    }.items():
        result = cli(tmp_path, "trace", *arguments, *SHORT)
        assert result.exit_code == 2
        assert message in result.stderr
    (tmp_path / "follow.py").write_text(FOLLOW)
    result = cli(tmp_path, "trace", "follow.py", "--seeds", "0:2000", *SHORT)
    assert (result.exit_code, "2,000 episodes are too many" in result.stderr) == (2, True)
