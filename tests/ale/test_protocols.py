"""Rules of play: the paper's starting scores come out, and each rule does what it says."""

from __future__ import annotations

import dataclasses
import statistics

import gymnasium
import pytest

from gco_agent.core.errors import UsageError
from gco_agent.core.records import Outcome
from gco_agent.envs import environment as opening
from gco_agent.envs.atari import (
    PROTOCOLS,
    default_protocol,
    emulator_spec,
    make_protocol,
    open_environment,
)
from gco_agent.evaluation.episode import Rollout, play_episodes
from gco_agent.games.registry import GAMES
from gco_agent.policy.contract import check_policy
from gco_agent.policy.source import PolicySource, format_policy
from gco_agent.store.config import RunConfig, format_config, parse_config

REPRODUCED = [spec for spec in GAMES.values() if spec.reference.starting_return is not None]  # type: ignore[union-attr]


@pytest.mark.parametrize("spec", REPRODUCED, ids=lambda spec: spec.name)
def test_the_published_starting_score_comes_out(spec) -> None:
    """Source: results of Kuang et al. 2026, step 0; SPACE INVADERS 570, FREEWAY 21.67."""
    rules = make_protocol("reference", spec.name)
    source = PolicySource(spec.reference_policy())
    check_policy(source)
    assert format_policy(source.text) == source.text
    seeds = tuple(range(100, 100 + spec.reference.n_episodes))
    played = play_episodes(Rollout(source.text, seeds, rules))
    assert {e.outcome for e in played} == {Outcome.GAME_OVER}
    score = statistics.fmean(e.episode_return for e in played)
    assert score == pytest.approx(spec.reference.starting_return)


def test_the_games_with_a_score_to_reproduce() -> None:
    scores = {s.name: s.reference.starting_return for s in REPRODUCED if s.reference is not None}
    assert scores == {
        "breakout": 0.0,
        "space_invaders": 570.0,
        "freeway": pytest.approx(21.67, abs=0.01),
        "enduro": 49.0,
    }
    with pytest.raises(UsageError, match="without chance"):
        GAMES["pong"].reference_policy()


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize("game", GAMES)
def test_a_protocol_is_stamped_kept_and_played(name: str, game: str) -> None:
    rules = make_protocol(name, game)
    assert rules.stamp.startswith(name)
    config = RunConfig(game, rules)
    assert parse_config(format_config(config)) == config
    env = opening.open_environment(rules)
    assert (len(env.action_names) == 18) == (name == "machado" or game == "seaquest")
    text = opening.initial_policy(rules)
    check_policy(PolicySource(text))
    (played,) = play_episodes(Rollout(text, (1,), make_protocol(name, game, max_steps=25)))
    assert (played.outcome, played.detail) == (Outcome.TRUNCATED, "")


def test_what_is_usual_is_not_in_the_stamp() -> None:
    assert make_protocol("default", "pong") == default_protocol("pong")
    assert default_protocol("pong").stamp.startswith(
        "default gco/Pong-v5 frame_skip=4 sticky=0.25 max_steps=27000 ale-py="
    )
    stamp = make_protocol("reference", "seaquest").stamp
    assert "sticky=0 max_steps=4000 objects=ocatari one_life=True restarts=1 ale-py=" in stamp
    assert "max_steps=4500 actions=all ale-py=" in make_protocol("machado", "pong").stamp
    assert len({make_protocol(name, "qbert").stamp for name in PROTOCOLS}) == len(PROTOCOLS)


def test_an_unknown_protocol_is_refused() -> None:
    with pytest.raises(UsageError, match="no protocol is called 'v4'; there are: default"):
        make_protocol("v4", "pong")


def test_the_emulator_alone_has_the_actions_and_switches_of_the_rules() -> None:
    for rules, n_actions in (
        (make_protocol("default", "pong"), 6),
        (make_protocol("machado", "pong"), 18),
    ):
        env = gymnasium.make(emulator_spec(rules))
        assert env.action_space.n == n_actions  # type: ignore[attr-defined]
        env.close()
    harder = dataclasses.replace(rules, mode=1, difficulty=1)
    kwargs = emulator_spec(harder).kwargs
    assert (kwargs["mode"], kwargs["difficulty"]) == (1, 1)


def test_one_life_ends_the_episode_and_fire_is_pressed_for_the_policy() -> None:
    env = open_environment(make_protocol("reference", "seaquest"))
    _, lives = env.begin(1)
    for _ in range(1_500):
        _, left, _, is_over, _ = env.step_rows(5)  # down, until something or the air ends it
        assert is_over == (left < lives)
        if is_over:
            break
    assert is_over
    env = open_environment(make_protocol("reference", "breakout"))
    _, lives = env.begin(1)
    n_lost, is_over = 0, False
    while not is_over:
        _, left, _, is_over, _ = env.step_rows(0)
        n_lost, lives = n_lost + (left < lives), left
    assert n_lost == 5, "no FIRE of the policy, and still every ball is served"


def test_games_in_a_row_are_told_apart_by_the_seed() -> None:
    env = open_environment(make_protocol("reference", "freeway"))

    def start(seed: int) -> bytes:
        env.begin(seed)
        return bytes(env._ale.getRAM())

    starts = [start(seed) for seed in range(6)]
    assert starts[:3] == starts[3:]
    assert starts[0] == starts[2] != starts[1]


def test_a_moment_goes_on_exactly_under_rules_of_our_own() -> None:
    env = open_environment(make_protocol("reference", "breakout"))
    env.begin(1)
    for _ in range(30):
        env.step_rows(0)
    moment = env.save()
    after = [env.step_rows(0) for _ in range(80)]
    env.restore(moment)
    assert [env.step_rows(0) for _ in range(80)] == after


@pytest.mark.parametrize(
    ("game", "unseen"),
    [
        ("seaquest", {"OxygenBar", "CollectedDiver", "PlayerMissile"}),
        ("qbert", {"Cube"}),
        ("enduro", set()),
    ],
)
def test_the_paper_s_observation_lacks_what_theirs_lack(game: str, unseen: set[str]) -> None:
    """Source: the published code of Kuang et al. 2026, which categories it passes on."""
    theirs = make_protocol("default", game, objects="paper")
    assert theirs.stamp == make_protocol("default", game).stamp.replace(
        " ale-py=", " objects=paper ale-py="
    )
    assert parse_config(format_config(RunConfig(game, theirs))).protocol == theirs
    plain = open_environment(make_protocol("default", game, objects="ocatari"))
    env = open_environment(theirs)
    assert set(plain.categories) - set(env.categories) == unseen
    seen, there = set(env.begin(3)[0]), set(plain.begin(3)[0])
    for step in range(300):
        action = step // 8 % len(env.action_names)
        rows, more = env.step_rows(action)[0], plain.step_rows(action)[0]
        assert rows == {name: boxes for name, boxes in more.items() if name not in unseen}
        seen, there = seen | set(rows), there | set(more)
    assert "Player" in seen
    assert there - seen == there & unseen
    moment = env.save()
    ahead = [env.step_rows(2)[0] for _ in range(20)]
    env.restore(moment)
    assert [env.step_rows(2)[0] for _ in range(20)] == ahead


def test_other_objects_are_refused_where_nobody_has_them() -> None:
    with pytest.raises(UsageError, match="the paper does not have Boxing"):
        make_protocol("default", "boxing", objects="paper")
    with pytest.raises(UsageError, match="CartPole has no objects"):
        opening.make_protocol("default", "CartPole-v1", objects="ocatari")
