from __future__ import annotations

import copy
import math
import pickle
from dataclasses import fields, replace
from typing import Any

import pytest

from gco_agent.core.observation import ObjectBox, Observation, Row, Still, build_observation
from gco_agent.core.records import EpisodeResult, Evaluation, Outcome, PlayProtocol


def episode(seed: int, episode_return: float, outcome: Outcome = Outcome.GAME_OVER):
    return EpisodeResult(seed, episode_return, 10, outcome, digest=f"d{seed}")


def test_mean_and_error_by_hand() -> None:
    evaluation = Evaluation(tuple(episode(n, r) for n, r in enumerate((1, 2, 3, 4))), "p")
    assert evaluation.mean_return == 2.5
    assert evaluation.standard_error == pytest.approx(math.sqrt(5 / 3) / 2)
    assert evaluation.n_steps == 40
    assert evaluation.failures == ()


@pytest.mark.parametrize(
    "outcome", [Outcome.POLICY_RAISED, Outcome.BAD_ACTION, Outcome.TIMED_OUT, Outcome.DIED]
)
def test_a_failure_is_not_a_number(outcome: Outcome) -> None:
    broken = episode(2, 5, outcome)
    evaluation = Evaluation((episode(1, 3), broken), "p")
    assert not evaluation.is_valid
    assert evaluation.mean_return is None
    assert evaluation.standard_error is None
    assert evaluation.failures == (broken,)


def test_few_episodes_have_no_error() -> None:
    assert Evaluation((), "p").mean_return is None
    assert Evaluation((), "p").standard_error is None
    assert Evaluation((episode(1, 3, Outcome.TRUNCATED),), "p").mean_return == 3
    assert Evaluation((episode(1, 3),), "p").standard_error is None


def test_the_digest_is_of_seeds_and_actions() -> None:
    one = Evaluation((episode(1, 3), episode(2, 4)), "p")
    assert one.digest == Evaluation((episode(1, 0), episode(2, 0)), "q").digest
    assert one.digest != Evaluation((episode(2, 4), episode(1, 3)), "p").digest


def test_stamps_tell_rules_apart() -> None:
    rules = PlayProtocol("default", "gco/Pong-v5", versions=(("rom", "abc"),))
    assert rules.stamp == ("default gco/Pong-v5 frame_skip=4 sticky=0.25 max_steps=27000 rom=abc")
    others: dict[str, Any] = {"str": "other", "int": 7, "float": 0.07, "bool": True}
    stamps = {
        rules.stamp,
        replace(rules, noise_share=0.01).stamp,
        replace(rules, dropout=0.01).stamp,
    }
    for part in fields(rules):
        value: Any = (("x", "1"),) if part.name == "versions" else others[str(part.type)]
        stamps.add(replace(rules, **{part.name: value}).stamp)
    assert len(stamps) == len(fields(rules)) + 3


def test_an_absent_category_is_empty() -> None:
    obs = Observation({"Ball": [ObjectBox(1, 2, 3, 4)]}, lives=3)
    assert obs["Enemy"] == ()
    assert "Enemy" not in obs
    assert obs["Ball"][0].cx == 2.5
    assert obs["Ball"][0].cy == 4


@pytest.mark.parametrize(
    "clone",
    [
        pytest.param(lambda obs: obs.copy(), id="copy"),
        pytest.param(copy.copy, id="copy.copy"),
        pytest.param(copy.deepcopy, id="deepcopy"),
        pytest.param(lambda obs: pickle.loads(pickle.dumps(obs)), id="pickle"),
    ],
)
def test_copies_are_observations(clone) -> None:
    obs = build_observation({"Ball": [(1, 2, 3, 4, 5, 6, None, (1, 2, 3), None)]}, 2)
    twin = clone(obs)
    assert (twin, twin.lives, twin["Nothing"]) == (obs, 2, ())
    assert twin["Ball"][0].rgb == (1, 2, 3)


def test_what_stands_still_is_seen_in_lists_of_their_own() -> None:
    """A policy may change its list, and must not change what it will see."""
    brick: Row = (8, 57, 8, 6, 0, 0, None, (1, 2, 3), None)
    for count in (1, 2):
        still = Still([brick] * count)
        first, second = (build_observation({"Block": still}, 3) for _ in range(2))
        assert first == second == build_observation({"Block": [brick] * count}, 3)
        assert all(type(box) is ObjectBox for box in second["Block"])
        assert isinstance(first["Block"], list)
        first["Block"].clear()
        assert len(second["Block"]) == len(build_observation({"Block": still}, 3)["Block"]) == count
