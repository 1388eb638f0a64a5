"""`gco-agent verify`: runs hold, forged commits differ, other versions cannot be compared."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from gco_agent.envs.atari import default_protocol
from gco_agent.loop import checks
from tests.cli.conftest import Cli
from tests.store.samples import git

ONE = ("--workers", "1")


def test_all_of_a_run_holds_and_json_says_so(cli: Cli, played: Path) -> None:
    told = cli(played, "verify", "--all", "--json", *ONE)
    assert told.exit_code == 0, told.output
    data = json.loads(told.stdout)
    assert (data["run"], data["holds"], data["differs"], data["incomparable"]) == (
        *("gco/pong/first", 5, 0, 0),
    )
    assert [c["verdict"] for c in data["claims"]] == [
        *("initial", "accepted", "rejected", "failed", "reported"),
    ]
    for claim in data["claims"]:
        assert (claim["answer"], claim["differences"], claim["first_difference"]) == (
            *("holds", [], None),
        )
        assert claim["is_signed"]
        assert claim["played_digest"] == claim["digest"]
        assert claim["claimed_in"] == claim["played_in"]
        assert claim["claimed_in"]["jail"]


def test_a_run_that_lost_its_signatures_is_said_to_have_none(cli: Cli, played: Path) -> None:
    """Without the codes of evidence and message, a commit of one's own is as a stranger's."""
    path = played / "iterations/0004/evaluation.json"
    data = json.loads(path.read_text())
    path.write_text(json.dumps({k: v for k, v in data.items() if k != "hmac-sha256"}))
    message = re.sub(r"Gco-Signature: .*\n?", "", git(played, "log", "-1", "--format=%B"))
    git(played, "commit", "--quiet", "--amend", "-m", message, "--", str(path))
    told = cli(played, "verify", *ONE)
    assert told.exit_code == 0, told.output
    assert "1 not signed on this machine: words, times" in told.output


def test_with_episodes_a_part_is_played_and_it_says_so(cli: Cli, played: Path) -> None:
    told = cli(played, "verify", "--all", "--episodes", "2", *ONE)
    assert told.exit_code == 0, told.output
    assert re.search(r"reported .* holds as far as it was played: 2 of 4 episodes", told.output)
    assert "1 holds, 4 as far as played" in told.output
    data = json.loads(cli(played, "verify", "--episodes", "2", "--json", *ONE).stdout)
    assert (data["holds"], data["part_holds"]) == (0, 1)
    [claim] = data["claims"]
    assert (claim["answer"], claim["played_episodes"]) == ("part_holds", 2)

    message = git(played, "log", "-1", "--format=%B")
    forged = re.sub(r"Gco-Return-Mean: .*", "Gco-Return-Mean: 20.5", message)
    git(played, "commit", "--quiet", "--amend", "-m", forged)
    told = cli(played, "verify", "--episodes", "2", *ONE)
    assert told.exit_code == 2
    assert "return mean: 20.5 claimed, -" in told.output


def test_a_forged_commit_differs(cli: Cli, played: Path) -> None:
    message = git(played, "log", "-1", "--format=%B")
    forged = re.sub(r"Gco-Return-Mean: .*", "Gco-Return-Mean: 20.5", message)
    git(played, "commit", "--quiet", "--amend", "-m", forged)
    told = cli(played, "verify", *ONE)
    assert told.exit_code == 2
    assert re.search(r"iteration 4 +reported .* differs", told.output)
    assert "return mean: 20.5 claimed, -" in told.output
    assert "of 1 claim of gco/pong/first, 0 hold, 1 differs" in told.output


@pytest.mark.parametrize("word", ["Digest", "Seeds"])
def test_a_number_without_what_it_can_be_checked_by_does_not_hold(
    cli: Cli, played: Path, word: str
) -> None:
    """It was passed over once, so that any number could stand there."""
    message = git(played, "log", "-1", "--format=%B")
    forged = re.sub(rf"Gco-{word}: .*\n", "", message)
    forged = re.sub(r"Gco-Return-Mean: .*", "Gco-Return-Mean: 20.5", forged)
    git(played, "commit", "--quiet", "--amend", "-m", forged)
    told = cli(played, "verify", *ONE)
    assert told.exit_code == 2
    assert re.search(r"iteration 4 +reported .* differs", told.output)
    assert f"{word.lower()}: nothing claimed, needed here" in told.output


def test_a_rejected_iteration_cannot_tell_other_numbers_than_its_candidate(
    cli: Cli, played: Path
) -> None:
    message = git(played, "log", "-1", "--format=%B")
    forged = message.replace("Gco-Outcome: reported", "Gco-Outcome: rejected")
    forged = re.sub(r"Gco-Return-Mean: .*", "Gco-Return-Mean: 20.5", forged)
    git(played, "commit", "--quiet", "--amend", "-m", forged)
    told = cli(played, "verify", "--all", "--episodes", "2", *ONE)
    assert told.exit_code == 2
    assert "return mean: 20.5 claimed" in told.output


def test_more_episodes_than_were_counted_are_not_played(cli: Cli, played: Path) -> None:
    message = git(played, "log", "-1", "--format=%B")
    forged = re.sub(r"Gco-Seeds: .*", "Gco-Seeds: report 0:90000000", message)
    git(played, "commit", "--quiet", "--amend", "-m", forged)
    told = cli(played, "verify", *ONE)
    assert told.exit_code == 2
    assert "90000000 here" in told.output


def test_an_edited_policy_differs_at_a_seed_and_a_step(cli: Cli, played: Path) -> None:
    file = played / "policies/pong.py"
    file.write_text(file.read_text().replace("< 3", "< 9"))
    git(played, "commit", "--quiet", "--amend", "--no-edit", "--", "policies/pong.py")
    told = cli(played, "verify", "--json", *ONE)
    assert told.exit_code == 2
    first = json.loads(told.stdout)["claims"][0]["first_difference"]
    assert first["what"] == "action"
    assert first["seed"] == 1_200_000_000
    assert first["claimed"] != first["here"]
    shown = cli(played, "verify", "HEAD", *ONE)
    assert f"first difference: seed {first['seed']}, step {first['step']}, action:" in shown.output


def test_other_versions_cannot_be_compared(
    cli: Cli, played: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = checks.rules_here

    def rules_here(rules):
        found = real(rules)
        versions = tuple((n, "9.9" if n == "ale-py" else v) for n, v in found.versions)
        return type(found)(**{**_fields(found), "versions": versions})

    monkeypatch.setattr("gco_agent.loop.checks.rules_here", rules_here)
    told = cli(played, "verify", "1", *ONE)
    assert told.exit_code == 2
    assert "cannot be compared" in told.output
    ale = dict(default_protocol("pong").versions)["ale-py"]
    assert f"ale-py: {ale} claimed, 9.9 here" in told.output


def _fields(record):
    return {name: getattr(record, name) for name in record.__dataclass_fields__}


def test_what_is_meant(cli: Cli, played: Path, project: Path) -> None:
    by_name = cli(played, "verify", "gco/pong/first", *ONE)
    assert "iteration 4" in by_name.output
    git(played, "switch", "--quiet", "main")
    by_commit = cli(played, "verify", "gco/pong/first~3", "--episodes", "2", *ONE)
    assert by_commit.exit_code == 0, by_commit.output
    assert "iteration 1" in by_commit.output
    assert "no branch" not in by_commit.output
    unknown = cli(played, "verify", "main", *ONE)
    assert (unknown.exit_code, "not a run" in unknown.output) == (2, True)
    numbered = cli(played, "verify", "3", *ONE)
    assert numbered.exit_code == 0, numbered.output
    assert "iteration 3" in numbered.output  # of the only run
    nothing = cli(project, "verify", *ONE)
    assert nothing.exit_code == 2


def test_a_file_is_evaluated_and_not_verified(cli: Cli, played: Path) -> None:
    refused = cli(played, "verify", "policies/pong.py")
    assert refused.exit_code == 2
    assert "`gco-agent eval policies/pong.py`" in refused.output
    assert "Traceback" not in refused.output


def test_executors_and_workers_exclude_each_other(cli: Cli, played: Path) -> None:
    both = cli(played, "verify", "--executor", "dask://localhost:1", *ONE)
    assert (both.exit_code, "exclude each other" in both.output) == (2, True)
    wrong = cli(played, "verify", "--executor", "slurm")
    assert (wrong.exit_code, "dask://host:port" in wrong.output) == (2, True)
