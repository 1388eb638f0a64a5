"""What a run's commits hold is read back, at once, and damage is told as such."""

from __future__ import annotations

import json

import pytest

from gco_agent.cli.run import interval_in
from gco_agent.core.errors import StoreError
from gco_agent.core.seeds import parse_seed_range
from gco_agent.evaluation.judge import Judge
from gco_agent.loop import recording as accounts
from gco_agent.policy.source import PolicySource
from gco_agent.store.git import GitRepo
from gco_agent.store.run import Runs
from gco_agent.store.view import RunView
from tests.engine.policies import RULES
from tests.engine.test_train import REF, events, judge, project, runs, started

__all__ = ["events", "judge", "project", "runs", "started"]  # fixtures

DAMAGED = (
    "",
    "[]",
    "7",
    '{"schema": 7}',
    json.dumps({"schema": 1, "protocol": RULES.stamp, "policies": []}),
    json.dumps({"schema": 1, "protocol": RULES.stamp, "policies": {"x": [{"seed": 1}]}}),
)


@pytest.fixture
def other(judge: Judge) -> Judge:
    return Judge(judge.pool, RULES)


def test_episodes_are_recalled_without_a_process_for_each(
    started: Runs, other: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = started.view(REF)
    policy = PolicySource(view.policy())
    monkeypatch.setattr(RunView, "_read_text", None)  # what reads a single file
    accounts.recall_episodes(view, other)
    (facts,) = [step.facts for step in view.history()]
    seeds = parse_seed_range((facts and facts.seeds) or "")
    assert [episode.seed for episode in other.cached(policy).episodes] == list(seeds)
    assert other.n_steps == 0


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_record_of_episodes_is_told(
    started: Runs, other: Judge, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    view = started.view(REF)
    (step,) = view.history()
    monkeypatch.setattr(GitRepo, "read_files", lambda self, wanted: iter([text] * len(wanted)))
    told = rf"evaluation\.json of commit {step.commit[:9]} cannot be read"
    with pytest.raises(StoreError, match=told):
        accounts.recall_episodes(view, other)


@pytest.mark.parametrize("text", ["", "[]", "{}", json.dumps({"policies": {"x": [{}] * 8}})])
def test_so_is_one_that_an_interval_is_asked_of(started: Runs, text: str) -> None:
    (step,) = started.view(REF).history()
    with pytest.raises(StoreError, match=r"evaluation\.json of commit"):
        interval_in(text, step)
