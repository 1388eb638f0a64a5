"""Traces of environments that are not made of objects: CartPole, LunarLander, Pendulum, others."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy
import pytest

from gco_agent.core.records import Outcome, Plain
from gco_agent.envs.environment import initial_policy, make_protocol, spec_of
from gco_agent.evaluation.episode import Rollout, play_episodes
from gco_agent.evaluation.workers import WorkerPool
from gco_agent.traces.moments import Captured, Replay, capture, choose_moments, follow, values_of
from gco_agent.traces.records import ExecutionTrace, TracedStep, trace_json
from gco_agent.traces.render import describe_extents, number_columns, render_trace, show_number
from tests.traces.samples import course

LEAN = '''"""CartPole: push towards the side that the pole leans to.

Environment: CartPole-v1
"""


class Policy:
    """One instance plays one episode."""

    def lean(self, obs):
        """How far the pole leans, heedless of how fast it falls."""
        return obs[2] + 0.01 * obs[3]

    def act(self, obs):
        """Return the index of the action to play."""
        return 1 if self.lean(obs) > 0 else 0
'''
SWING = '''"""Pendulum: push the way it swings.

Environment: Pendulum-v1
"""


class Policy:
    """One instance plays one episode."""

    def push(self, obs):
        """The torque."""
        return 2.0 if obs[2] > 0 else -2.0

    def act(self, obs):
        """Return the numbers of the action to play."""
        return [self.push(obs)]
'''


def captured(env_id: str, text: str = "", seeds: tuple[int, ...] = (1, 2, 3)) -> Captured:
    rules = make_protocol("default", env_id)
    return capture(WorkerPool(0), text or initial_policy(rules), seeds, rules)


def cells(text: str) -> list[dict[str, str]]:
    """The rows of all tables of a rendered trace, by heading."""
    found = []
    for block in re.findall(r"```\n(step\|.*?)\n```", text, re.DOTALL):
        heading, *rows = (line.split("|") for line in block.split("\n"))
        found += [dict(zip(heading, row, strict=True)) for row in rows]
    return found


@pytest.mark.filterwarnings("ignore")  # SWIG's, while Box2D is imported
@pytest.mark.parametrize(
    ("env_id", "text"),
    [("CartPole-v1", LEAN), ("Pendulum-v1", SWING), ("LunarLander-v3", ""), ("FrozenLake-v1", "")],
)
def test_a_course_is_the_same_episode_however_much_of_it_is_recorded(env_id: str, text: str):
    if "Lander" in env_id:
        pytest.importorskip("Box2D")
    rules = make_protocol("default", env_id, 120)
    task = Rollout(text or initial_policy(rules), (3,), rules)
    [episode] = play_episodes(task)
    for spans in ((), ((0, 5),), ((3, 30), (20, 40), (90, 200))):
        got = follow(Replay(task, spans))
        assert got.result == episode
        wanted = {n for first, end in spans for n in range(first, end) if n < episode.n_steps}
        assert [step.step for step in got.recorded] == sorted(wanted)


def test_cart_pole_shows_every_number_under_its_name_and_why_the_pole_fell():
    got = captured("CartPole-v1", LEAN)
    text = render_trace(got.trace).text
    worst, best = got.trace.windows[:2]
    assert worst.title == "the end of the worst episode: the game is over"
    assert (worst.is_good, best.is_good) == (False, True)
    assert worst.episode_return < best.episode_return
    assert "every step brings +1" in text
    assert "pixel" not in text
    rows = cells(text)
    first = rows[0]
    assert list(first) == [
        "step", "obs[0] x", "obs[1] speed", "obs[2] angle", "obs[3] spin", "lean", "action"
    ]  # fmt: skip
    for row in rows:
        assert (row["action"] == "RIGHT") == (float(row["lean"]) > 0)
        expected = float(row["obs[2] angle"]) + 0.01 * float(row["obs[3] spin"])
        assert float(row["lean"]) == pytest.approx(expected, abs=0.01)
    for one, two in itertools.pairwise(rows):  # an action pushes the cart that way
        if int(two["step"]) == int(one["step"]) + 1:
            faster = float(two["obs[1] speed"]) - float(one["obs[1] speed"])
            assert (faster > 0) == (one["action"] == "RIGHT")
    assert "obs[2] angle -0." in describe_extents(got.trace)


def test_pendulum_shows_numbers_for_actions_and_the_stretches_that_cost_most():
    got = captured("Pendulum-v1", SWING)
    titles = [window.title for window in got.trace.windows]
    assert titles[0].startswith("the end of the worst episode: the episode is truncated")
    assert any(title.startswith("the 40 steps that brought least, -") for title in titles)
    assert any(title.startswith("the 40 steps that brought most, ") for title in titles)
    rows = cells(render_trace(got.trace).text)
    assert {row["action"] for row in rows} == {"2", "-2"}
    assert all(float(row["reward"]) <= 0 for row in rows)
    assert all(len(window.steps) > 30 for window in got.trace.windows)
    step = got.trace.windows[0].steps[0]
    assert step.action in ((2.0,), (-2.0,))
    assert (
        trace_json(got.trace)["windows"][0]["steps"][0]["values"]["obs[2]"] == step.values["obs[2]"]
    )


@pytest.mark.filterwarnings("ignore")
def test_lunar_lander_shows_the_crash():
    pytest.importorskip("Box2D")
    got = captured("LunarLander-v3")
    window = got.trace.windows[0]
    assert window.title.endswith("the game is over, and the last step brings -100")
    assert window.is_good is False
    assert window.steps[-1].reward == -100.0
    assert (
        window.steps[0].action_name in spec_of(make_protocol("default", "LunarLander-v3")).actions
    )


def test_without_names_nothing_is_told_of_what_numbers_and_actions_mean():
    got = captured("CartPole-v1", LEAN)
    text = render_trace(got.trace.without_names()).text
    assert "|obs[2]|" in text
    for word in ("angle", "spin", "RIGHT", "LEFT"):
        assert word not in text


def test_a_policy_that_returns_what_is_no_action_is_told_so_when_it_is_traced():
    wild = SWING.replace("2.0 if obs[2] > 0 else -2.0", "99.0")
    got = captured("Pendulum-v1", wild, (1,))
    [episode] = got.evaluation.episodes
    assert episode.outcome is Outcome.BAD_ACTION
    assert got.trace.windows[0].steps[-1].action is None
    assert "it has to be from -2 to 2" in render_trace(got.trace).text


OBSERVATIONS: tuple[tuple[object, Mapping[str, Plain]], ...] = (
    (numpy.array([0.5, 2.0]), {"obs[0]": 0.5, "obs[1]": 2.0}),
    (7, {"obs": 7}),
    ((11, 2, True), {"obs[0]": 11, "obs[1]": 2, "obs[2]": True}),
    (
        {"a": 1, "b": (1.0, 2.0), "c": "go"},
        {"obs['a']": 1, "obs['b']": (1.0, 2.0), "obs['c']": "go"},
    ),
    ({"image": [[1, 2], [3, 4]]}, {"obs['image']": "<2 parts>"}),
    (numpy.zeros((84, 84, 3), numpy.uint8), {"obs": "<array 84 x 84 x 3>"}),
    (numpy.zeros(1000), {"obs": "<array 1000>"}),
    (None, {"obs": None}),
)


@pytest.mark.parametrize(("obs", "told"), OBSERVATIONS)
def test_observations_of_every_kind_are_told_in_short(obs: object, told: Mapping[str, Plain]):
    assert values_of(obs) == told


def test_a_value_cannot_end_a_cell_or_a_block():
    shown = show_number("a|b\n```" + "x" * 99)
    assert not set("|\n`") & set(shown)
    assert len(shown) <= 40


def test_of_many_numbers_the_first_that_change_are_shown_and_the_rest_is_counted():
    steps = [
        TracedStep(n, {}, 0, (), 0, "0", 0.0, {f"obs[{i}]": n * (i % 2) for i in range(90)})
        for n in range(3)
    ]
    columns, constant = number_columns(steps, {"obs[1]": "speed"})
    assert len(columns) == 20
    assert columns[0].heading == "obs[1] speed"
    assert columns[0].cells == ("0", "1", "2")
    assert constant[0] == "obs[0] is 0"
    assert constant[-2:] == [
        "25 more numbers do not change", "25 more numbers change and are not shown"
    ]  # fmt: skip
    extents = {f"obs[{i}]": (0.0, 1.0) for i in range(38)}
    assert describe_extents(ExecutionTrace(extents=extents)).endswith("; 6 more are left out.")


NAN = """
import gymnasium, numpy as np
class Nan(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return np.array([0.5, 0], np.float32), {}
    def step(self, a):
        self.t += 1
        return np.array([0.5, np.nan if self.t > 3 else 1], np.float32), 1.0, self.t > 9, False, {}
gymnasium.register("Nan-v0", entry_point=Nan)
"""


def test_numbers_that_are_nan_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "nan_game.py").write_text(NAN)
    monkeypatch.syspath_prepend(tmp_path)
    trace = captured("nan_game:Nan-v0", seeds=(1,)).trace
    assert "The environment returned NaN in obs[1]." in trace.notes
    assert trace.extents == {"obs[0]": (0.5, 0.5), "obs[1]": (0.0, 1.0)}
    assert "|nan|" in render_trace(trace).text


def dense(seed: int, rewards: list[float]) -> object:
    return course(seed, list(enumerate(rewards)), n_steps=len(rewards))


def test_among_dense_rewards_only_an_unusual_one_is_a_moment():
    crash, land = [-1.0] * 60 + [-100.0], [-1.0] * 60 + [100.0]
    moments = choose_moments([dense(1, crash), dense(2, land), dense(3, [-1.0] * 61)])  # type: ignore[list-item]
    end = "the end of the worst episode: the game is over, and the last step brings -100"
    assert [(m.seed, m.event, m.title, m.is_good) for m in moments[:2]] == [
        (1, 60, end, False), (2, 60, "a reward of +100", True)
    ]  # fmt: skip
    even = choose_moments([dense(1, [1.0] * 50), dense(2, [1.0] * 90)])  # type: ignore[list-item]
    assert [m.title for m in even] == [
        "the end of the worst episode: the game is over",
        "the end of the best episode: the game is over",
    ]  # fmt: skip
    assert [m.event for m in even] == [49, 89]


def test_the_stretches_that_brought_least_and_most_are_found():
    rewards = [1.0] * 50 + [-5.0] * 40 + [1.0] * 50 + [9.0] * 40 + [1.0] * 60
    moments = choose_moments([dense(1, rewards), dense(2, [value - 1 for value in rewards])])  # type: ignore[list-item]
    told = {m.title: (m.seed, m.event, m.is_good) for m in moments}
    assert told["the 40 steps that brought least, -240 together"] == (2, 89, False)
    assert told["the 40 steps that brought most, +360 together"] == (1, 179, True)


def test_equal_episodes_are_neither_good_nor_bad():
    moments = choose_moments([dense(1, [1.0] * 50), dense(2, [1.0] * 50)])  # type: ignore[list-item]
    assert [(m.seed, m.is_good) for m in moments] == [(1, None)]


def test_names_are_those_of_the_specification():
    assert captured("CartPole-v1", LEAN).trace.names == {
        "obs[0]": "x", "obs[1]": "speed", "obs[2]": "angle", "obs[3]": "spin"
    }  # fmt: skip
    assert replace(captured("FrozenLake-v1").trace).names == {}
