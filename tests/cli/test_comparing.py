"""Several seeds by one command, and runs beside each other."""

from __future__ import annotations

import json
from pathlib import Path

import gco_agent
from tests.cli.conftest import Cli
from tests.store.samples import git

SEEDS = (
    "run", "CartPole-v1", "--name", "two", "--optimizer", "scripted", "--max-steps", "30",
    "--iterations", "1", "--report-episodes", "5", "--workers", "1",
)  # fmt: skip


def test_a_run_for_each_seed_which_the_same_command_continues(cli: Cli, project: Path) -> None:
    first = cli(project, *SEEDS, "--seeds", "0:1", "--report-episodes", "0")
    assert first.exit_code == 0, first.output
    assert git(project, "rev-parse", "--abbrev-ref", "HEAD").strip() == "main"
    both = cli(project, *SEEDS, "--seeds", "0:2", "--json")
    assert both.exit_code == 0, both.output
    assert "gco/cart_pole/two-seed0 is continued" in both.stderr
    rows = json.loads(both.stdout)
    assert [(row["run"], row["seed"]) for row in rows] == [
        ("gco/cart_pole/two-seed0", 0), ("gco/cart_pole/two-seed1", 1)
    ]  # fmt: skip
    again = cli(project, *SEEDS, "--seeds", "0:2")
    assert "gco/cart_pole/two-seed1 is finished" in again.stderr
    assert "gco-agent compare cart_pole/two" in again.stdout

    compared = cli(project, "compare", "two", "--json")
    assert compared.exit_code == 0, compared.output
    (group,) = json.loads(compared.stdout)["groups"]
    assert (group["name"], group["runs"]) == ("two", 2)
    text = cli(project, "compare", "-o", "c.html")
    assert "gco/cart_pole/two-seed1" in text.stdout
    assert (project / "c.html").is_file()
    table = cli(project, "compare", "cart_pole/two", "--format", "markdown").stdout
    assert table == gco_agent.compare(["two"], repo=project).table("markdown") + "\n"

    for arguments, message in (
        (("--seeds", "0:2", "--max-steps", "20"), "another protocol: choose another --name"),
        (("--seeds", "0:200"), "give 1 to 100 seeds"),
        (("--seeds", "report 0:2"), "give 1 to 100 seeds"),
        (("--seeds", "2:1"), "A must be below B"),
    ):
        refused = cli(project, *SEEDS, *arguments)
        assert refused.exit_code == 2
        assert message in refused.stderr
    assert "--seeds needs --name" in cli(project, "run", "CartPole-v1", "--seeds", "0:2").stderr


def test_step_can_measure_only(cli: Cli, played: Path) -> None:
    result = cli(played, "step", "-n", "0", "--report-episodes", "5", "--workers", "1", "--json")
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert (data["iterations"], data["seeds"]) == (3, "report 0:5")
