"""Skills that were won and lost, forks, baselines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import gco_agent
from gco_agent.core.errors import UsageError
from tests.cli.conftest import Cli
from tests.store.samples import commit_file, git

POLICY = '''"""CartPole: push {which}.

Environment: CartPole-v1
"""


def act(obs):
    return {action}
'''
BAD, GOOD = "1", "int(obs[2] + obs[3] > 0)"
PLAY = ("--seeds", "0:3", "--workers", "1")
FORKED = "gco/pong/other"


@pytest.fixture
def changed(project: Path) -> Path:
    """A run whose policy was changed by hand: bad, bad, good, good, good, bad."""
    gco_agent.run("CartPole-v1", repo=project, name="hand", iterations=0, max_steps=60, switch=True,
                  start=POLICY.format(which=0, action=BAD))  # fmt: skip
    for which, action in enumerate((BAD, GOOD, GOOD, GOOD, BAD), 1):
        text = POLICY.format(which=which, action=action)
        commit_file(project, "policies/cart_pole.py", text, f"Policy {which}")
    return project


def changes(cli: Cli, project: Path, *arguments: str) -> tuple[int, list[str]]:
    result = cli(project, "bisect", *arguments, *PLAY, "--json")
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    return len(data["tested"]), [change["summary"] for change in data["changes"]]


def test_bisect_plays_only_what_is_needed(cli: Cli, changed: Path) -> None:
    skill = ("--skill", "return >= 40")
    assert changes(cli, changed, *skill) == (2, [])
    assert changes(cli, changed, *skill, "--scan") == (6, ["Policy 2", "Policy 5"])
    text = cli(changed, "bisect", *skill, *PLAY).stdout
    assert "the first and the last policy lack it: try --scan" in text
    assert (
        "every policy lacks it"
        in cli(changed, "bisect", "--skill", "best > 99", "--scan", *PLAY).stdout
    )
    git(changed, "reset", "--hard", "--quiet", "HEAD~1")
    assert changes(cli, changed, *skill) == (4, ["Policy 2"])
    assert "won in iteration" in (text := cli(changed, "bisect", *skill, *PLAY).stdout)
    assert "4 of 5 policies were played" in text
    (changed / "skill.py").write_text(
        "def has_skill(played):\n    return min(played.returns) > 40\n"
    )
    assert changes(cli, changed, "--skill", "skill.py") == (4, ["Policy 2"])
    assert changes(cli, changed, "--skill", "no moment: the episode is truncated") == (
        4,
        ["Policy 2"],
    )
    run = gco_agent.open_run(changed)
    assert [c.summary for c in run.bisect("worst > 40", seeds=range(3)).changes] == ["Policy 2"]


@pytest.mark.parametrize(
    ("skill", "message"),
    [
        ("reward >= 1", "is not a skill: give `return >= 10`"),
        ("moment:  ", "is not a skill"),
        ("return >= 1; import os", "is not a skill"),
        ("none.py", "there is no file"),
        ("broken.py", "cannot be loaded: SyntaxError"),
        ("empty.py", "has no function has_skill(evaluation)"),
        ("wrong.py", "AttributeError"),
    ],
)
def test_what_is_not_a_skill(cli: Cli, changed: Path, skill: str, message: str) -> None:
    (changed / "broken.py").write_text("def")
    (changed / "empty.py").write_text("")
    (changed / "wrong.py").write_text("def has_skill(played):\n    return played.nothing\n")
    result = cli(changed, "bisect", "--skill", skill, *PLAY)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_fork_has_the_history_and_its_own_seeds(cli: Cli, played: Path) -> None:
    result = cli(played, "fork", "1", "--name", "other", "--json")
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert (data["forked_from"], data["iterations"]) == ("gco/pong/first", 1)
    assert data["commit"] == git(played, "rev-parse", FORKED).strip()
    stepped = cli(played, "step", "pong/other", "--workers", "1")
    assert stepped.exit_code == 0, stepped.output
    one, other = (gco_agent.open_run(played, name) for name in ("first", "other"))
    assert other.history[1] == one.history[1]
    assert other.history[2].commit != one.history[2].commit
    verified = cli(played, "verify", "--all", "other", "--episodes", "2", "--workers", "1")
    assert verified.exit_code == 0, verified.output
    again = cli(played, "fork", "1", "--name", "other")
    assert again.exit_code == 2
    assert "there is a run gco/pong/other already" in again.stderr


def test_a_fork_of_a_rejected_candidate_puts_its_policy_in_force(played: Path) -> None:
    run = gco_agent.open_run(played)
    rejected = run.runs.view(run.ref).step("2").candidates[0].commit
    fork = run.fork("lost", rejected)
    assert fork.policy == run.policy_of(rejected)
    assert fork.history[-1].verdict.value == "rolled-back"
    with pytest.raises(UsageError, match="already"):
        run.fork("lost")


def test_baselines_have_the_budget_and_the_rules_of_a_run(cli: Cli, project: Path) -> None:
    run = gco_agent.run("CartPole-v1", "search", repo=project, name="mine", iterations=1,
                        max_steps=50, slice_steps=2_000)  # fmt: skip
    run.measure(5)
    for method in ("best-of-n", "random-search"):
        result = cli(project, "baseline", "mine", "--method", method, "--workers", "1",
                     "--report-episodes", "5", "--iterations", "1", "--json")  # fmt: skip
        assert result.exit_code == 0, result.output
        data = json.loads(result.stdout)
        assert (data["run"], data["seeds"]) == (f"gco/cart_pole/{method}", "report 0:5")
    assert len(gco_agent.compare(repo=project).groups) == 3
    for arguments, message in (
        (("CartPole-v1",), "a baseline needs a budget"),
        (("cart_pole/none",), "there is no run"),
        (("cart_pole/mine",), "there is a run gco/cart_pole/best-of-n already"),
    ):
        refused = cli(project, "baseline", *arguments, "--method", "best-of-n")
        assert refused.exit_code == 2
        assert message in refused.stderr
