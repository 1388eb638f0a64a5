"""``tune`` and ``simplify`` on files and on runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import gco_agent
from gco_agent.cli.context import CliContext
from gco_agent.cli.improve import _write
from gco_agent.core.errors import PolicyError, UsageError
from gco_agent.core.records import EpisodeResult, Evaluation, Outcome
from gco_agent.core.seeds import Stream
from gco_agent.core.statistics import NO_WORSE_INTERIM_ANALYSES
from gco_agent.envs.atari import default_protocol
from gco_agent.evaluation.judge import Judge
from gco_agent.evaluation.workers import WorkerPool
from gco_agent.jail.limits import JailLevel
from gco_agent.loop.improving import _with_true_claim
from gco_agent.policy.source import PolicySource, docstring_of, with_measured_header
from tests.cli.conftest import Cli
from tests.cli.scripted import POLE
from tests.optimizers.test_simplify import BLOATED, IDLE
from tests.optimizers.test_tune import LATE

QUICK = ("--steps", "9000", "--time", "10m", "--max-steps", "150", "--workers", "1")
STEADY = IDLE.replace(
    "Pong: stand still, and press a button that does nothing",
    "CartPole: keep the pole up, and push to the right",
).replace("return 0", "return int(obs[2] + obs[3] > 0)")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "late.py").write_text(LATE)
    (tmp_path / "bloated.py").write_text(BLOATED)
    return tmp_path


def test_a_file_is_tuned_in_place_and_nothing_but_numbers_changes(cli: Cli, folder: Path) -> None:
    result = cli(folder, "tune", "late.py", *QUICK, "--json")
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    (move,) = data["constants"]
    assert data["written"].endswith("late.py")
    assert data["gain"] > 0
    assert data["mean_return"] > data["parent_mean_return"]
    assert data["p_value"] < 0.1
    text = (folder / "late.py").read_text()
    assert text == LATE.replace("WAIT = 120.0", f"WAIT = {move['after']!r}")
    assert [path.name for path in folder.glob(".*.part")] == []


def test_a_file_that_is_not_made_better_is_not_written(cli: Cli, folder: Path) -> None:
    good = LATE.replace("WAIT = 120.0", "WAIT = 1.5")
    (folder / "good.py").write_text(good)
    result = cli(folder, "tune", "good.py", "--steps", "1500", *QUICK[2:])
    assert result.exit_code == 0, result.output
    assert "not written" in result.stdout
    assert (folder / "good.py").read_text() == good


def test_a_stated_score_becomes_that_of_the_new_text() -> None:
    protocol = default_protocol("space_invaders", 150)
    judge = Judge(WorkerPool(0), protocol, JailLevel.NONE)
    plain = PolicySource(LATE)
    new = judge.evaluate(plain, Stream.SELECTION.seeds(0, 2))
    old = Evaluation((EpisodeResult(1, 5.0, 150, Outcome.TRUNCATED),), protocol.stamp)
    assert _with_true_claim(plain, judge, new, "gco-agent tune") == plain
    source = with_measured_header(plain, protocol, old, seeds="report 0:1", origin="a run")
    told = _with_true_claim(source, judge, new, "gco-agent tune")
    doc = docstring_of(told) or ""
    assert f"Mean return: {new.mean_return:.2f} ± " in doc
    assert "(2 episodes, selection 0:2)" in doc
    assert "Run: gco-agent tune" in doc
    assert told.text.partition('"""\n\n')[2] == LATE.partition('"""\n\n')[2]


def test_a_policy_that_acts_by_its_docstring_states_no_score() -> None:
    protocol = default_protocol("pong", 60)
    judge = Judge(WorkerPool(0), protocol, JailLevel.NONE)
    text = """\"\"\"P.

Mean return: 5.00
\"\"\"


def act(obs):
    return 2 if "5.00" in globals()["__do" + "c__"] else 3
"""
    source = PolicySource(text)
    played = judge.evaluate(source, Stream.SELECTION.seeds(0, 2))
    with pytest.raises(PolicyError, match="acts by its own docstring"):
        _with_true_claim(source, judge, played, "gco-agent tune")


def test_a_file_is_simplified_and_said_to_be(cli: Cli, folder: Path) -> None:
    result = cli(
        folder, "simplify", "bloated.py", "--exact", "--output", "lean.py", "--steps", "60000",
        "--time", "10m", "--max-steps", "45", "--workers", "1",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "  line 6: import math\n" in result.stdout
    assert "16 lines of code to 8, " in result.stdout
    assert "all 360 actions in 8 episodes are the same" in result.stdout
    assert (folder / "bloated.py").read_text() == BLOATED
    assert "import math" not in (folder / "lean.py").read_text()


@pytest.mark.parametrize("is_won", [True, False])
def test_removals_that_change_actions_have_to_win_a_race(
    cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch, *, is_won: bool
) -> None:
    if not is_won:
        monkeypatch.setattr("gco_agent.core.statistics.NO_WORSE_RARE_LOSS_ALPHA", 1e-99)
    (folder / "steady.py").write_text(STEADY)
    result = cli(
        folder, "simplify", "steady.py", "--env", "CartPole-v1", "--steps", "30000", "--json",
        "--time", "10m", "--max-steps", "20", "--workers", "1",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert (data["gain"], data["pairs"]) == (0.0, NO_WORSE_INTERIM_ANALYSES[-1])
    assert bool(data["removed"]) is is_won
    assert not any(removed["exact"] for removed in data["removed"])
    assert ("% 7" in (folder / "steady.py").read_text()) is not is_won
    assert (data["lines_after"] < data["lines_before"]) is is_won


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("tune", "."), "is a folder"),
        (("tune", "no.py"), "there is no file no.py"),
        (("tune", "empty.py"), "breaks the contract of a policy file"),
        (("simplify", "bare.py"), "no line `Environment: ID`"),
        (("tune", "bare.py", "--env", "gco/Pong-v5", "--steps", "1000"), "no numeric constants"),
    ],
)
def test_what_cannot_be_is_refused(
    cli: Cli, folder: Path, arguments: tuple[str, ...], message: str
) -> None:
    (folder / "empty.py").write_text("")
    (folder / "bare.py").write_text("def act(obs):\n    return 0\n")
    result = cli(folder, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_files_keep_their_mark_and_their_mode_and_what_cannot_be_written_is_said(
    tmp_path: Path,
) -> None:
    path = tmp_path / "policy.py"
    path.write_bytes(b"\xef\xbb\xbfA = 1\r\n")
    path.chmod(0o640)
    place = CliContext(tmp_path)
    assert _write(place, path, None, PolicySource("A = 2\r\n")) == path
    assert path.read_bytes() == b"\xef\xbb\xbfA = 2\r\n"
    assert path.stat().st_mode & 0o777 == 0o640
    with pytest.raises(UsageError, match=r"cannot write .*: No such file"):
        _write(place, path, tmp_path / "no" / "where.py", PolicySource("A = 3\n"))


# Runs


def test_simplify_on_a_run_is_an_iteration_that_has_to_be_no_worse(cli: Cli, project: Path) -> None:
    start = POLE.replace("def act(obs):", "UNUSED = 1\n\n\ndef act(obs):")
    gco_agent.run(
        "CartPole-v1", repo=project, name="first", iterations=0, max_steps=60, start=start,
        switch=True,
    )  # fmt: skip
    path = project / "policies" / "cart_pole.py"
    assert "UNUSED" in path.read_text()
    result = cli(
        project, "simplify", "--steps", "20000", "--time", "10m", "--workers", "1", "--json"
    )
    assert result.exit_code == 0, result.output
    log = json.loads(cli(project, "log", "--json").stdout)
    last = log["iterations"][-1]
    assert (last["verdict"], last["optimizer"]) == ("accepted", "simplify")
    assert last["summary"].startswith("simplify: ")
    assert "UNUSED" not in path.read_text()
    assert last["in_force"]


def test_accepted_candidates_are_tuned_in_iterations_of_their_own(cli: Cli, project: Path) -> None:
    result = cli(
        project, "run", "CartPole-v1", "--optimizer", "scripted", "--iterations", "2",
        "--tune", "1s", "--report-episodes", "0", "--max-steps", "200", "--workers", "1",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    log = json.loads(cli(project, "log", "--json").stdout)
    made = [(each["optimizer"], each["verdict"]) for each in log["iterations"]]
    assert made[1] == ("scripted", "accepted")
    assert made[2][0] == "tune"


def test_options_for_files_are_not_for_runs(cli: Cli, played: Path) -> None:
    result = cli(played, "tune", "--output", "x.py")
    assert result.exit_code == 2
    assert "--output is for policy files" in result.stderr
