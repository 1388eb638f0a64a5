"""PPO as a baseline: stored beside runs, compared with them, drawn in their reports."""

from __future__ import annotations

import itertools
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import gco_agent
from gco_agent.core.errors import StoreError, UsageError
from gco_agent.core.seeds import Stream
from gco_agent.envs.environment import make_protocol
from gco_agent.envs.learning import make_learning_env
from gco_agent.report.baselines import Baseline, list_baselines, save_baseline
from gco_agent.report.summary import read_report
from gco_agent.store.entries import RunRef
from gco_agent.store.git import GitRepo
from gco_agent.store.view import RunView
from tests.cli.conftest import Cli
from tests.store.samples import git

PPO = ("baseline", "CartPole-v1", "--method", "ppo")


def test_a_baseline_stands_beside_a_run(project: Path) -> None:
    run = gco_agent.run("CartPole-v1", repo=project, name="mine", iterations=0, max_steps=50)
    stamp = run.measure(5).protocol
    repo = GitRepo.find(project)
    mine = Baseline(
        "cart_pole", "ppo-seed3", "ppo", 3, stamp, 4_096, (40.0, 50.0, 50.0, 30.0, 50.0),
        ((2_048, 20.0), (4_096, 44.0)), (("torch", "2"),), 9.0,
    )  # fmt: skip
    save_baseline(repo, mine)
    save_baseline(repo, replace(mine, name="other", protocol="other rules"))
    assert list_baselines(repo)[1] == mine

    compared = gco_agent.compare(["mine", "ppo"], repo=project)
    assert {group.name for group in compared.groups} == {"mine", "ppo"}
    (pair,) = compared.pairs
    assert (pair.paired_by, pair.pairs) == ("episode", 5)
    assert gco_agent.compare(["gco-baseline/cart_pole/ppo-seed3"], repo=project).runs[0].seed == 3
    with pytest.raises(UsageError, match="different rules"):
        gco_agent.compare(repo=project)

    report = read_report(RunView(repo, RunRef("cart_pole", "mine")))
    scores = {score.label: (score.value, score.source) for score in report.references}
    label = "ppo-seed3 here, 4,096 frames, seed 3"
    assert scores[label] == (44.0, "gco-baseline/cart_pole/ppo-seed3")
    assert not any("other" in name for name in scores)
    [text] = repo.read_files([("refs/heads/gco-baseline/cart_pole/ppo-seed3", "baseline.json")])
    theirs = repo.write_commit(
        [], None, {"baseline.json": (text or "").replace("ppo-seed3", "theirs").encode()}, "x"
    )
    repo.move_ref("refs/heads/gco-baseline/cart_pole/theirs", theirs, expected=None, reason="x")
    again = read_report(RunView(repo, RunRef("cart_pole", "mine"))).references
    (unsigned,) = (score for score in again if score.label.startswith("theirs"))
    assert "here" not in unsigned.label
    assert "did not sign it" in unsigned.how
    assert ("ppo-seed3 here 44.0", 44.0) in report.drawn_references

    commit = repo.write_commit([], None, {"baseline.json": b'{"game": "cart_pole"}'}, "x")
    repo.move_ref("refs/heads/gco-baseline/cart_pole/bad", commit, expected=None, reason="x")
    with pytest.raises(StoreError, match="gco-baseline/cart_pole/bad"):
        gco_agent.compare(repo=project)
    assert read_report(RunView(repo, RunRef("cart_pole", "mine"))).trials


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--frames", "10000", "--iterations", "3"), "not --iterations"),
        ((), "a baseline needs a budget"),
        (("--frames", "10000", "--name", "../x"), "cannot name a run"),
    ],
)
def test_what_ppo_is_not_given(
    cli: Cli, project: Path, arguments: tuple[str, ...], message: str
) -> None:
    refused = cli(project, *PPO, *arguments)
    assert refused.exit_code == 2
    assert message in refused.stderr
    assert git(project, "branch", "--list", "gco-baseline/*") == ""


def test_without_the_extra_its_command_is_named(
    cli: Cli, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    refused = cli(project, *PPO, "--frames", "10000")
    assert refused.exit_code == 2
    assert "scripts/install --extra ppo" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


def test_environments_to_learn_in_have_the_rules_of_the_protocol() -> None:
    rules = make_protocol("default", "pong", max_steps=3)
    env = make_learning_env(rules, itertools.count(Stream.FEEDBACK.value))
    seen, _ = env.reset()
    assert (seen.shape, seen.dtype, env.action_space.n) == ((84, 84, 1), np.uint8, 6)  # type: ignore[attr-defined]
    assert [env.step(0)[2:4] for _ in range(3)] == [(False, False)] * 2 + [(False, True)]
    env.close()
    numbers = make_learning_env(make_protocol("default", "Pendulum-v1"), itertools.repeat(7))
    first, _ = numbers.reset()
    after, reward, *_ = numbers.step(np.array([0.5], np.float32))
    again, _ = numbers.reset()
    assert numbers.observation_space.contains(after)
    assert first.tolist() == again.tolist()
    assert float(reward) < 0


def test_ppo_learns_and_is_scored(cli: Cli, project: Path) -> None:
    pytest.importorskip("stable_baselines3", reason="needs the extra ppo")
    done = cli(project, *PPO, "--frames", "4000", "--report-episodes", "2", "--json")
    assert done.exit_code == 0, done.output
    data = json.loads(done.stdout)
    assert (data["run"], data["frames"]) == ("gco-baseline/cart_pole/ppo", 2_048)
    assert (data["seeds"], data["policy"], data["iterations"]) == ("report 0:2", None, 0)
    (stored,) = list_baselines(GitRepo.find(project))
    assert stored.mean_return == data["mean_return"]
    assert [frames for frames, _ in stored.curve] == [2_048]
    again, _ = gco_agent.train_ppo("CartPole-v1", project, frames=2_048, episodes=2, name="again")
    assert again.returns == stored.returns
    for frames, name, message in (("100", "x", "2,048"), ("10000", "ppo", "already")):
        refused = cli(project, *PPO, "--frames", frames, "--name", name)
        assert refused.exit_code == 2
        assert message in refused.stderr


@pytest.mark.nightly
def test_ppo_plays_pixels(project: Path) -> None:
    pytest.importorskip("stable_baselines3", reason="needs the extra ppo")
    run = gco_agent.run("pong", repo=project, name="mine", iterations=0, max_steps=200)
    ppo, _ = gco_agent.train_ppo(repo=project, run="gco/pong/mine", frames=5_000, episodes=2)
    assert (ppo.frames, len(ppo.returns), ppo.protocol) == (4_096, 2, run.config.protocol.stamp)
