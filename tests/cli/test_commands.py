"""What the commands do and print, on a run with four iterations."""

from __future__ import annotations

import json
import re
from importlib.metadata import metadata

import pytest

from gco_agent.core.errors import JailError
from gco_agent.policy.contract import load_policy
from gco_agent.report.film import has_screen
from tests.cli.conftest import SHORT
from tests.cli.scripted import FOLLOW, RAISES
from tests.report.samples import make_run
from tests.store.samples import commit_file, git

BRANCH = "gco/pong/first"
SCORE = {"mean_return", "standard_error", "confidence_interval", "episodes", "seeds", "protocol"}


def test_run_prints_one_json_object_and_nothing_else_on_stdout(played):
    data = json.loads((played / ".git/printed").read_text())
    assert data.keys() >= SCORE | {"run", "game", "commit", "policy", "iterations", "stopped_by"}
    assert (data["run"], data["episodes"], data["seeds"]) == (BRANCH, 4, "report 0:4")
    assert data["commit"] == git(played, "rev-parse", "HEAD")
    assert data["confidence_interval"] is None, "of four episodes"
    assert data["stopped_by"] == "3 iterations"


def test_run_tells_its_story_without_control_codes(played):
    told = (played / ".git/told").read_text()
    assert "\x1b" not in told
    assert "A.L.E" not in told
    lines = told.splitlines()
    assert lines[1].startswith(f"Branch {BRANCH}, optimizer scripted, 2 workers")
    assert lines[1].endswith("git switch main")
    heads = [line.partition(":")[0] for line in lines[2:]]
    assert heads == [
        "initial policy", "iteration 0 initial",
        "iteration 1", "iteration 1", "iteration 1 accepted",
        "iteration 2", "iteration 2", "iteration 2 rejected",
        "iteration 3", "iteration 3", "iteration 3 failed",
        "report seeds", "iteration 4 reported",
    ]  # fmt: skip
    assert "follow the [bold]ball[/bold]" in told


def test_the_run_is_checked_out_and_clean(played):
    assert git(played, "branch", "--show-current") == BRANCH
    assert git(played, "status", "--porcelain") == ""
    git(played, "fsck", "--strict")
    log = git(played, "log", "--first-parent", "--format=%s")
    assert len(log.splitlines()) == 6


def test_log_marks_the_policy_in_force(cli, played):
    result = cli(played, "log")
    assert result.exit_code == 0
    rows = result.stdout.splitlines()
    assert rows[0].startswith(BRANCH)
    assert rows[1].startswith("return ▁█ ")
    assert [row.split()[1] for row in rows[3:7]] == ["initial", "accepted", "rejected", "failed"]
    assert rows[7].split()[:3] == ["*", "4", "reported"]
    assert "follow the [bold]ball[/bold]" in rows[4]
    assert "…" not in result.stdout
    assert "\x1b" not in result.stdout


def test_log_as_json(cli, played):
    result = cli(played, "log", "first", "--json")
    data = json.loads(result.stdout)
    verdicts = [entry["verdict"] for entry in data["iterations"]]
    assert verdicts == ["initial", "accepted", "rejected", "failed", "reported"]
    for entry in data["iterations"]:
        assert entry.keys() >= SCORE | {"gain", "loc", "cyclomatic", "steps", "seconds", "summary"}
        if (entry["episodes"] or 0) >= 5 and entry["standard_error"]:
            low, high = entry["confidence_interval"]
            assert low < entry["mean_return"] < high
    assert data["iterations"][1]["gain"] > 0
    assert data["iterations"][1]["summary"] == "follow the [bold]ball[/bold]"
    assert data["iterations"][3]["mean_return"] is None
    assert [entry["in_force"] for entry in data["iterations"]] == [False] * 4 + [True]


def test_log_by_optimizer_where_there_are_several(cli, played):
    (row,) = json.loads(cli(played, "log", "--json").stdout)["optimizers"]
    assert (row["optimizer"], row["iterations"], row["candidates"]) == ("scripted", 3, 3)
    assert row["accepted"] == 1
    assert row["gain"] > 0
    assert row["steps"] > 1000
    assert "by optimizer" not in cli(played, "log").stdout
    make_run(played, 20)
    text = cli(played, "log", "sample").stdout
    _, _, table = text.partition("\nby optimizer\n")
    head, *rows = table.splitlines()
    assert head.split()[:4] == ["optimizer", "iterations", "candidates", "accepted"]
    assert [row.split()[:3] for row in rows] == [["search", "17", "17"], ["tune", "3", "3"]]
    assert re.search(r"^ *\*? +5 .* tune +try", text, re.MULTILINE)


def test_log_shows_what_a_person_committed(cli, played):
    commit_file(played, "NOTES.md", "x\n", "A note: by hand")
    assert "by hand" in cli(played, "log").stdout
    last = json.loads(cli(played, "log", "--json").stdout)["iterations"][-1]
    assert (last["iteration"], last["verdict"], last["summary"]) == (
        None,
        "by hand",
        "A note: by hand",
    )


def test_eval_of_the_current_run_is_what_the_run_reported(cli, played):
    ours = json.loads((played / ".git/printed").read_text())
    result = cli(played, "eval", "--episodes", "4", "--workers", "1", "--json")
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert data.keys() == SCORE | {
        "policy", "policy_sha256", "returns", "failures", "jail", "digest", "seconds",
        "steps_per_second",
    }  # fmt: skip
    for key in SCORE:
        assert data[key] == ours[key], key
    assert data["jail"] in ("strong", "medium", "basic")
    assert data["failures"] == []


@pytest.mark.parametrize(
    "target", ["1", "HEAD~2", "HEAD:policies/pong.py", BRANCH, "policies/pong.py"]
)
def test_eval_finds_the_policy(cli, played, target):
    options = ("--seeds", "5:7", "--max-steps", "40", "--json")
    result = cli(played, "eval", target, *options, "--workers", "1")
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert (data["seeds"], data["episodes"]) == ("5:7", 2)
    assert "max_steps=40 " in data["protocol"]
    assert target in data["policy"]


def test_eval_says_where_a_policy_failed(cli, project):
    (project / "bad.py").write_text(RAISES)
    result = cli(project, "eval", "bad.py", "--episodes", "2", "--workers", "1")
    assert result.exit_code == 2
    assert "no score: the policy failed in 2 of 2 episodes" in result.stdout
    assert re.search(r"seed 1200000000, step \d+: policy-raised", result.stdout)
    assert "no_such_thing" in result.stdout
    data = json.loads(
        cli(project, "eval", "bad.py", "--episodes", "2", "--workers", "1", "--json").stdout
    )
    assert data["mean_return"] is None
    assert data["failures"][0]["outcome"] == "policy-raised"


def test_rollback_goes_back_and_forth(cli, played):
    before = (played / "policies/pong.py").read_text()
    result = cli(played, "rollback", "0", "--reason", "to compare")
    assert result.exit_code == 0, result.output
    assert "rolled back to iteration 0" in result.stdout
    assert (played / "policies/pong.py").read_text() != before
    last = json.loads(cli(played, "log", "--json").stdout)["iterations"][-1]
    assert (last["verdict"], last["summary"], last["in_force"]) == (
        "rolled-back", "to iteration 0", True
    )  # fmt: skip
    assert cli(played, "rollback", BRANCH, "4").exit_code == 0
    assert (played / "policies/pong.py").read_text() == before
    assert cli(played, "rollback", "4").exit_code == 2


def test_publish_puts_the_measured_policy_on_the_branch(cli, played):
    git(played, "switch", "--quiet", "main")
    result = cli(played, "publish", "pong", "--episodes", "3", "--workers", "1")
    assert result.exit_code == 0, result.output
    path = played / "policies/pong.py"
    assert "(3 episodes, report 0:3)" in path.read_text()
    assert f"Run: {BRANCH}, iteration 1" in path.read_text()
    load_policy(path)
    trailers = git(played, "log", "-1", "--format=%(trailers)")
    assert f"Gco-Run: {BRANCH}" in trailers
    assert "Gco-Episodes: 3" in trailers
    assert git(played, "status", "--porcelain") == ""
    assert git(played, "branch", "--show-current") == "main"
    again = cli(played, "publish", "--episodes", "3", "--workers", "1")
    assert again.exit_code == 2
    assert "already so" in again.stderr


def test_init_and_step_leave_the_work_tree_alone_if_told_to(cli, project):
    options = ("--optimizer", "scripted", "--name", "quiet", "--no-switch", "--max-steps", "60")
    result = cli(project, "init", "cartpole", *options)
    assert result.exit_code == 0, result.output
    assert "gco-agent step gco/cart_pole/quiet -n 5" in result.stdout
    assert git(project, "branch", "--show-current") == "main"
    result = cli(project, "step", "gco/cart_pole/quiet", "--workers", "1")
    assert result.exit_code == 0, result.output
    assert "1 of 1 iteration accepted" in result.stdout
    assert not (project / "policies").exists()
    assert git(project, "log", "--format=%s", "-1", "gco/cart_pole/quiet").startswith(
        "Iteration 1 accepted"
    )


def test_games(cli, tmp_path):
    assert "space_invaders" in cli(tmp_path, "games").stdout
    names = [game["name"] for game in json.loads(cli(tmp_path, "games", "--json").stdout)]
    assert "pong" in names


def test_doctor_for_programs(cli, tmp_path, project, monkeypatch):
    told = json.loads(cli(project, "doctor", "--json").stdout)
    assert told["is_well"]
    assert (told["git"]["repository"], told["git"]["has_identity"]) == (str(project), True)
    assert told["jail"]["level"] in ("basic", "medium", "strong")
    assert told["jail"]["probes"]["open"]
    assert told["emulator"]["protocol"].startswith("default gco/Pong-v5")
    assert told["packages"]["ale-py"]
    assert told["extras"]["dask"]["distributed"]
    offered = {name.lower() for name in metadata("gco-agent").get_all("Provides-Extra", [])}
    assert set(told["extras"]) == offered
    assert told["has_screen"] is has_screen()
    outside = json.loads(cli(tmp_path, "doctor", "--json").stdout)
    assert outside["is_well"]
    assert "not a git repository" in outside["git"]["problem"]

    def fails():
        raise JailError("no process")

    monkeypatch.setattr("gco_agent.jail.host.probe_level", fails)
    without = cli(project, "doctor", "--json")
    assert without.exit_code == 2
    assert json.loads(without.stdout)["jail"]["problem"] == "no process"
    assert "FAILS: no process" in cli(project, "doctor").stdout


def test_doctor(cli, tmp_path, project):
    here = cli(project, "doctor")
    assert here.exit_code == 0, here.output
    for word in ("python", "git", "cores", "ocatari", "jail", "identity", "emulator   works"):
        assert word in here.stdout
    assert "not a git repository" in cli(tmp_path, "doctor").stdout


def test_eval_warns_of_categories_that_the_game_does_not_have(cli, project):
    text = FOLLOW.replace('obs["Ball"]', 'obs["ball"]')
    assert text != FOLLOW
    (project / "typo.py").write_text(text)
    result = cli(project, "eval", "typo.py", "--env", "gco/Pong-v5", "--episodes", "1", *SHORT)
    assert "Warning: There is no category 'ball'; did you mean 'Ball'?" in result.stderr
