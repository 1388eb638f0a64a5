"""Runs and policies in the forms of other tools, read back by what those tools read with."""

from __future__ import annotations

import dataclasses
import json
import re
import struct
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gco_agent.cli.errors import EXTRAS
from gco_agent.core.errors import UsageError
from gco_agent.core.records import EpisodeResult, Evaluation, Outcome, Verdict
from gco_agent.core.text import fence
from gco_agent.envs.atari import default_protocol
from gco_agent.envs.environment import make_protocol
from gco_agent.evaluation.judge import Judge
from gco_agent.evaluation.workers import WorkerPool
from gco_agent.games.registry import find_game
from gco_agent.loop.recording import committed_events
from gco_agent.policy.source import PolicySource
from gco_agent.report.export import (
    Subject,
    compose_card,
    escape_markdown,
    record,
    require_new,
    write_dataset,
    write_scalars,
)
from gco_agent.report.loggers import numbers_of
from gco_agent.report.summary import read_report, score_in_words
from gco_agent.store.entries import Facts
from tests.cli.scripted import FOLLOW, RAISES

RULES = default_protocol("pong", 60)


def read_events(path: Path) -> list[tuple[str, int, float]]:
    """TensorBoard's format: length, checksum, an event, checksum."""
    event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")
    data, at, found = path.read_bytes(), 0, []
    while at < len(data):
        (size,) = struct.unpack_from("<Q", data, at)
        event = event_pb2.Event.FromString(data[at + 12 : at + 12 + size])
        found += [(v.tag, event.step, v.simple_value) for v in event.summary.value]
        at += 16 + size
    return found


def test_tensorboard_reads_what_is_written(view, tmp_path):
    pytest.importorskip("tensorboardX")
    n = write_scalars(view, tmp_path / "a" / "b")
    (path,) = (tmp_path / "a" / "b").iterdir()
    events = read_events(path)
    assert len(events) == n
    in_force = [(step, value) for tag, step, value in events if tag == "return/in_force"]
    assert [step for step, _ in in_force] == [step.iteration for step in view.history()]
    standing = view.standing.facts.return_mean
    assert in_force[-1][1] == pytest.approx(standing, rel=1e-6)
    logged = [n for event in committed_events(view) for n in numbers_of(event).items()]
    assert [tag for tag, _, _ in events] == [tag for tag, _ in logged]
    values = [value for _, _, value in events]
    assert values == pytest.approx([value for _, value in logged], rel=1e-6)


def test_what_is_not_installed_is_said(view, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ModuleNotFoundError, match="tensorboardX"):
        write_scalars(view, tmp_path)
    monkeypatch.setitem(sys.modules, "minari", None)
    kept = [record(FOLLOW, default_protocol("pong", 3), 1)]
    with pytest.raises(ModuleNotFoundError, match="minari"):
        write_dataset(kept, "x-v0", tmp_path, RULES, "")
    assert {EXTRAS[name] for name in ("minari", "tensorboardX")} == {"export"}  # the hint


def test_a_data_set_needs_no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pygame", None)  # with which Gymnasium draws CartPole
    kept = record("def act(obs):\n    return 1\n", make_protocol("default", "CartPole-v1", 20), 1)
    assert kept.observations.shape == (kept.result.n_steps + 1, 4)


def test_minari_gives_the_episodes_back(tmp_path, monkeypatch):
    minari = pytest.importorskip("minari")
    kept = [record(FOLLOW, RULES, seed) for seed in (3, 4)]
    path = write_dataset(kept, "pong/test-v0", tmp_path, RULES, "About <it>.")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    dataset = minari.load_dataset("pong/test-v0")
    assert path.is_dir()
    assert dataset.total_episodes == 2
    for episode, trajectory in zip(dataset.iterate_episodes(), kept, strict=True):
        assert (episode.observations == trajectory.observations).all()
        assert (episode.actions == trajectory.actions).all()
        assert (episode.rewards == trajectory.rewards).all()
        assert list(episode.truncations) == [False] * 59 + [True]
        assert not episode.terminations.any()
    env = dataset.recover_environment()
    for trajectory in kept:  # the emulator, without us, plays the same
        obs, _ = env.reset(seed=trajectory.result.seed)
        assert (obs == trajectory.observations[0]).all()
        for action, after, reward in zip(
            trajectory.actions, trajectory.observations[1:], trajectory.rewards, strict=True
        ):
            obs, got, *_ = env.step(action)
            assert (obs == after).all()
            assert got == reward
    env.close()
    with pytest.raises(UsageError, match="exists"):
        write_dataset(kept, "pong/test-v0", tmp_path, RULES, "")


def test_no_data_set_of_failures(tmp_path):
    with pytest.raises(UsageError, match="failed on seed 3: policy-raised"):
        write_dataset([record(RAISES, RULES, 3)], "x-v0", tmp_path, RULES, "")


@pytest.mark.parametrize("name", ["", "pong", "pong/x", "../x-v0", "a b-v0", "/x-v0", "x-v0/"])
def test_names_of_data_sets(tmp_path, name):
    with pytest.raises(UsageError, match="not the name of a data set"):
        require_new(name, tmp_path)


def subject(text: str, **changed) -> Subject:
    with WorkerPool(0) as pool:
        played = Judge(pool, RULES).evaluate(PolicySource(text), range(3))
    return Subject("x.py", PolicySource(text), find_game("pong"), played, "0:3", **changed)


def test_a_model_card_has_the_score_the_use_and_the_text(view):
    text = compose_card(subject(FOLLOW, run=read_report(view)))
    head = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    assert head
    facts = {key: json.loads(value) for key, _, value in
             (line.partition(": ") for line in head[1].splitlines())}  # fmt: skip
    assert facts["model-index"][0]["results"][0]["metrics"][0]["type"] == "mean_return"
    assert r"| random | -20.7 | up to 30 no\-op actions first, no sticky actions" in text
    assert "| PPO, sticky | 15.23 | " in text
    assert FOLLOW.strip() in text
    assert RULES.stamp in text
    assert f"commit `{view.tip}`" in text


def test_equal_returns_have_no_interval_on_a_model_card() -> None:
    alike = tuple(EpisodeResult(seed, 500.0, 500, Outcome.GAME_OVER) for seed in range(5))
    changed = dataclasses.replace(subject(FOLLOW), evaluation=Evaluation(alike, RULES.stamp))
    text = compose_card(changed)
    assert "500 (the same in every episode)" in text
    assert "interval" not in text
    facts = dataclasses.replace(
        Facts("x", 0, Verdict.INITIAL, return_mean=500.0, return_se=0.0),
        episodes=5,
        seeds="report 0:5",
    )
    assert score_in_words(facts) == "500, the same in every episode (5 episodes, report 0:5)"


def test_the_code_on_a_model_card_runs(tmp_path, monkeypatch):
    (tmp_path / "pong.py").write_text(FOLLOW)
    monkeypatch.chdir(tmp_path)
    code = re.search(
        r"```python\n(import gymnasium.*?)```", compose_card(subject(FOLLOW)), re.DOTALL
    )
    assert code
    once = code[1].replace("    done = terminated or truncated", "    done = True")
    names: dict[str, object] = {}
    exec(once, names)
    assert names["done"]


def test_a_policy_that_fails_has_no_score():
    assert "None: the policy failed in 3 of 3 episodes." in compose_card(subject(RAISES))


@given(st.text())
def test_no_text_ends_its_fence(text):
    first, *inside, last = fence(text).split("\n")
    assert last == first
    assert not any(line.strip() == first for line in inside)


@given(st.text(alphabet="ab*_<>`[]()#\\ \n", max_size=30))
def test_escaped_text_is_one_line_without_markup(text):
    escaped = escape_markdown(text)
    assert "\n" not in escaped
    assert not re.search(r"(?<!\\)(?:\\\\)*[*_<>`\[\]()#]", escaped)
