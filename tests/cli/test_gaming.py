"""`games`, `check-game`, `--protocol`, and environments that are no Atari games."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from gco_agent.games.describe import describe_interface
from gco_agent.games.registry import GAMES, broken_games, every_game
from tests.cli.conftest import Cli
from tests.store.samples import git

PAGE = Path(__file__).parents[2] / "docs" / "own-game.md"


@pytest.fixture
def corridor(project: Path) -> str:
    """The game of the page, in the folder of the repository; under a name of its own."""
    code = re.search(r"```python\n# corridor\.py\n(.*?)```", PAGE.read_text("utf-8"), re.S)
    assert code is not None
    (project / "cli_corridor.py").write_text(code[1].replace("Corridor-v0", "CliCorridor-v0"))
    return "cli_corridor.py"


def test_the_list_has_every_game_with_its_status(cli: Cli, tmp_path: Path) -> None:
    listed = cli(tmp_path, "games").stdout
    told = json.loads(cli(tmp_path, "games", "--json").stdout)
    assert {one["name"] for one in told} == {*every_game(), *broken_games()}
    status = {one["name"]: one["status"] for one in told}
    assert [name for name, word in status.items() if word == "first class"] == list(GAMES)
    assert status["boxing"] == "generated"
    for one in told:
        assert bool(one["why"]) == (one["status"] == "broken upstream")
        assert f"{one['name']}  " in listed
        assert set(one) == set(told[0])


def test_one_game_is_described_in_layers(cli: Cli, tmp_path: Path) -> None:
    pong = GAMES["pong"]
    shown = cli(tmp_path, "games", "pong").stdout
    assert shown.startswith(describe_interface(pong))
    assert "- random: -20.7 (Wang et al. 2016" in shown
    paper = cli(tmp_path, "games", "pong", "--hints", "paper").stdout
    assert paper.startswith(describe_interface(pong, "paper"))
    assert json.loads(cli(tmp_path, "games", "pong", "--json").stdout)["status"] == "first class"
    pole = json.loads(cli(tmp_path, "games", "cartpole", "--json").stdout)
    assert (pole["env_id"], pole["status"]) == ("CartPole-v1", "described")
    assert pole["fields"] == ["x", "speed", "angle", "spin"]


def test_policies_to_start_from_are_printed(cli: Cli, tmp_path: Path) -> None:
    freeway = GAMES["freeway"]
    printed = cli(tmp_path, "games", "freeway", "--policy", "reference").stdout
    assert printed == freeway.reference_policy()
    assert (
        cli(tmp_path, "games", "freeway", "--policy", "initial").stdout == freeway.initial_policy()
    )
    refused = cli(tmp_path, "games", "pong", "--policy", "reference")
    assert refused.exit_code == 2
    assert "no starting policy that plays without chance" in refused.stderr


def test_a_published_score_comes_out_of_the_command_line(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "breakout.py").write_text(GAMES["breakout"].reference_policy())
    done = cli(
        tmp_path, "eval", "breakout.py", "--protocol", "reference", "--episodes", "1", "--json",
        "--workers", "1",
    )  # fmt: skip
    data = json.loads(done.stdout)
    assert data["mean_return"] == 0.0
    assert data["protocol"].startswith(
        "reference gco/Breakout-v5 frame_skip=4 sticky=0 max_steps=4000"
    )


BREATHLESS = '''"""Seaquest: stay, and fail at the sight of the gauge of air.

Environment: gco/Seaquest-v5
"""


class Policy:
    """One instance plays one episode."""

    def act(self, obs):
        """Return the index of the action to play."""
        return 1 // (not obs["OxygenBar"])
'''


def test_what_is_observed_can_be_chosen(cli: Cli, project: Path) -> None:
    (project / "breathless.py").write_text(BREATHLESS)
    short = ("--max-steps", "40", "--episodes", "1", "--workers", "1")
    failed = cli(project, "eval", "breathless.py", "--json", *short)
    assert json.loads(failed.stdout)["failures"][0]["outcome"] == "policy-raised"
    done = cli(project, "eval", "breathless.py", "--objects", "paper", "--json", *short)
    assert done.exit_code == 0, done.output
    assert " objects=paper " in json.loads(done.stdout)["protocol"]
    begun = cli(
        project, "init", "seaquest", "--objects", "ocatari", "--name", "o", "--no-switch",
        "--max-steps", "40", "--workers", "1",
    )  # fmt: skip
    assert begun.exit_code == 0, begun.output
    run = cli(project, "eval", "gco/seaquest/o", "--json", "--episodes", "1", "--workers", "1")
    assert " objects=ocatari " in json.loads(run.stdout)["protocol"]
    for words, why in (
        (("run", "boxing", "--objects", "paper"), "the paper does not have Boxing"),
        (("run", "CartPole-v1", "--objects", "ocatari"), "CartPole has no objects"),
        (("eval", "breathless.py", "--objects", "ram"), "'ram' is not one of"),
    ):
        refused = cli(project, *words)
        assert refused.exit_code == 2
        assert why in refused.stderr
        assert "Branch" not in refused.stderr


def test_a_game_of_ones_own_is_checked_improved_and_evaluated(
    cli: Cli, project: Path, corridor: str
) -> None:
    checked = cli(project, "check-game", corridor, "--steps", "60")
    assert checked.exit_code == 0, checked.output
    assert "Corridor: nothing wrong found" in checked.stdout
    git(project, "add", corridor)
    git(project, "commit", "--quiet", "-m", "A game")
    ran = cli(
        project, "run", corridor, "--iterations", "1", "--slice-steps", "3000", "--name", "own",
        "--report-episodes", "2", "--workers", "1", "--json",
    )  # fmt: skip
    assert ran.exit_code == 0, ran.output
    assert json.loads(ran.stdout)["run"] == "gco/corridor/own"
    stepped = cli(project, "step", "gco/corridor/own", "--workers", "1")
    assert stepped.exit_code == 0, stepped.output
    text = git(project, "show", "gco/corridor/own:policies/corridor.py")
    (project / "mine.py").write_text(text)
    asked = ("--episodes", "2", "--json", "--workers", "1")
    done = cli(project, "eval", "mine.py", "--env", corridor, *asked)
    assert json.loads(done.stdout)["protocol"].startswith("default cli_corridor:CliCorridor-v0")


def test_what_is_wrong_with_a_game_is_printed(cli: Cli, project: Path, corridor: str) -> None:
    path = project / "wrong_corridor.py"
    text = (project / corridor).read_text().replace("CliCorridor", "WrongCorridor")
    path.write_text(text.replace('"NOOP": "stays", ', ""))
    checked = cli(project, "check-game", path.name, "--steps", "40")
    assert checked.exit_code == 2
    assert "actions: there are 2 words, and 3 actions" in checked.stdout
    data = json.loads(cli(project, "check-game", path.name, "--steps", "40", "--json").stdout)
    assert [finding["about"] for finding in data["findings"]] == ["actions"]
    refused = cli(project, "check-game", "no_such_file.py")
    assert refused.exit_code == 2
    assert "there is no file" in refused.stderr
