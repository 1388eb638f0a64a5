"""Episodes with real policies in the real jail: what a policy does wrong is an outcome."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import gymnasium
import numpy
import pytest

from gco_agent.core.errors import JailError
from gco_agent.core.records import EpisodeResult, Outcome, PlayProtocol
from gco_agent.evaluation.episode import Rollout, play_episodes
from gco_agent.jail.limits import JailLevel, JailLimits, Layer
from tests.engine.pong_policies import FOLLOW, HEAD, RULES, STILL, failing

ROOT = Path(__file__).parents[2]
SHORT = JailLimits(step_seconds=0.3, start_seconds=2.0)
SEEDS = (1, 2, 3, 4)


def play(text: str, seeds: tuple[int, ...] = (1,), **limits: object) -> tuple[EpisodeResult, ...]:
    rules = replace(RULES, max_steps=40)
    return play_episodes(Rollout(text, seeds, rules, limits=replace(SHORT, **limits)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "outcome", "n_steps", "detail"),
    [
        (failing("raise ValueError('no ball')"), Outcome.POLICY_RAISED, 2, "no ball"),
        (failing("return 'UP'"), Outcome.BAD_ACTION, 2, "UP"),
        (failing("return float('nan')"), Outcome.BAD_ACTION, 2, "nan"),
        (failing("return 6"), Outcome.BAD_ACTION, 2, "6"),
        (failing("return -1"), Outcome.BAD_ACTION, 2, "-1"),
        (failing("return None"), Outcome.BAD_ACTION, 2, "None"),
        (failing("while True: pass"), Outcome.TIMED_OUT, 2, "0.3 s"),
        ("import os\n" + failing("os._exit(3)"), Outcome.DIED, 2, "ended"),
        ("import no_such_module\n" + STILL, Outcome.POLICY_RAISED, 0, "no_such_module"),
        ("x = 1 / 0\n" + STILL, Outcome.POLICY_RAISED, 0, "ZeroDivisionError"),
        ("def act(obs:\n", Outcome.POLICY_RAISED, 0, "SyntaxError"),
        (HEAD + "        return 0\n\n    def __init__(self):\n        self.x = {}['y']\n",
         Outcome.POLICY_RAISED, 0, "KeyError"),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_an_outcome(
    text: str, outcome: Outcome, n_steps: int, detail: str
) -> None:
    (episode,) = play(text)
    assert (episode.outcome, episode.n_steps) == (outcome, n_steps)
    assert detail in episode.detail
    assert not episode.outcome.is_scored


def test_chance_of_a_policy_comes_from_the_seed_of_its_episode() -> None:
    text = "import random\n\n\ndef act(obs):\n    return random.randrange(6)\n"
    first = play(text, (1, 2, 3))
    assert len({episode.digest for episode in first}) == 3
    assert play(text, (3, 1)) == (first[2], first[0])
    for episode in first:
        assert 0 < episode.slowest_step_seconds < episode.cpu_seconds


def test_the_horizon_is_not_the_end_of_the_game() -> None:
    (cut,) = play(STILL)
    assert (cut.outcome, cut.n_steps, cut.detail) == (Outcome.TRUNCATED, 40, "")
    rules = replace(RULES, max_steps=27_000)
    (over,) = play_episodes(Rollout(STILL, (1,), rules))
    assert (over.outcome, over.episode_return) == (Outcome.GAME_OVER, -21)
    assert over.n_steps < 2000


def test_one_to_four_lanes_and_another_process_play_the_same() -> None:
    together = play(FOLLOW, SEEDS)
    assert tuple(play(FOLLOW, (seed,))[0] for seed in SEEDS) == together
    assert len({episode.digest for episode in together}) > 1
    script = (
        "from tests.engine.test_rollout import FOLLOW, SEEDS, comparable, play\n"
        "print(comparable(play(FOLLOW, SEEDS)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == comparable(together)


def comparable(episodes: Sequence[EpisodeResult]) -> str:
    """All that is told of episodes but the times that were measured."""
    timeless = [replace(e, cpu_seconds=0, slowest_step_seconds=0) for e in episodes]
    return json.dumps([asdict(episode) for episode in timeless], default=str)


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        ("raise ValueError", Outcome.POLICY_RAISED),
        ("os._exit(3)", Outcome.DIED),
        ("while True: pass", Outcome.TIMED_OUT),
    ],
)
def test_a_lane_that_fails_does_not_disturb_the_others(body: str, outcome: Outcome) -> None:
    """The policy fails where chance has put its paddle in the upper half at the 30th step."""
    text = (
        "import os\n\n\n" + HEAD + "        if self.n == 30 and obs['Player'][0].y < 80:\n"
        f"            {body}\n"
        "        return 2 + self.n // 2 % 2\n"
    )
    alone = tuple(play(text, (seed,))[0] for seed in SEEDS)
    assert {episode.outcome for episode in alone} == {outcome, Outcome.TRUNCATED}
    assert play(text, SEEDS) == alone


def test_no_second_beginning_for_who_ends_the_process_when_it_goes_badly() -> None:
    """In company it sees how an episode goes, ends the process, and alone it plays another way."""
    text = (
        "import os\nimport sys\n\n"
        "seats = sys.modules.setdefault('seats', type(sys)('seats'))\n\n\n" + HEAD +
        "        if self.n == 1:\n            seats.n = getattr(seats, 'n', 0) + 1\n"
        "        if seats.n > 1 and self.n == 30:\n            os._exit(0)\n"
        "        return 2 if seats.n > 1 else 3\n"
    )  # fmt: skip
    assert {episode.outcome for episode in play(text, (1,))} == {Outcome.TRUNCATED}
    told = play(text, SEEDS)
    assert {episode.outcome for episode in told} == {Outcome.DIED}
    assert all("acted otherwise from the beginning" in episode.detail for episode in told)


class Unbounded(gymnasium.Env[object, object]):
    """Whose reward is the square of the action, which may be anything."""

    observation_space = gymnasium.spaces.Box(-1.0, 1.0, (1,))
    action_space = gymnasium.spaces.Box(-numpy.inf, numpy.inf, (1,), numpy.float64)

    def reset(
        self, *, seed: object = None, options: object = None
    ) -> tuple[object, dict[str, object]]:
        return numpy.zeros(1, numpy.float32), {}

    def step(self, action: object) -> tuple[object, float, bool, bool, dict[str, object]]:
        value = float(action[0])  # type: ignore[index]
        return numpy.zeros(1, numpy.float32), value * value, False, False, {}


@pytest.mark.parametrize("action", ["1e200", "1e60"])
def test_a_return_without_end_is_no_score(action: str) -> None:
    gymnasium.register("Unbounded-v0", entry_point=Unbounded)  # type: ignore[arg-type]
    try:
        rules = PlayProtocol("default", "Unbounded-v0", frame_skip=1, sticky=0.0, max_steps=3)
        text = HEAD + f"        return [{action} if self.n == 2 else 2.0]\n"
        (episode,) = play_episodes(Rollout(text, (1,), rules))
    finally:
        del gymnasium.registry["Unbounded-v0"]
    assert (episode.outcome, episode.episode_return) == (Outcome.BAD_ACTION, 4.0)
    assert "takes the return from 4 to" in episode.detail


def test_a_jail_that_is_too_weak_is_no_outcome() -> None:
    task = Rollout(STILL, (1,), RULES, JailLevel.STRONG, JailLimits(layers=Layer.RLIMITS))
    with pytest.raises(JailError, match="jail level strong is required"):
        play_episodes(task)


def test_the_level_of_the_jail_is_told() -> None:
    played = play_episodes(Rollout(STILL, (1,), replace(RULES, max_steps=5)))
    assert all(JailLevel.parse(e.jail) > JailLevel.NONE for e in played)
