"""What people type, what it means, and how environments that are no games are played."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from gco_agent.core.errors import GcoError, UsageError
from gco_agent.core.records import Outcome
from gco_agent.envs import gymnasium_env as plain
from gco_agent.envs.environment import (
    find_spec,
    initial_policy,
    make_importable,
    make_protocol,
    named_environment,
    open_environment,
    spec_of,
)
from gco_agent.envs.gymnasium_env import GymnasiumEnvironment
from gco_agent.evaluation.episode import Rollout, play_episodes
from gco_agent.games.describe import describe_interface
from gco_agent.games.registry import GAMES, documented
from gco_agent.optimizers.vectors.play import Episodes, play
from gco_agent.policy.contract import check_policy
from gco_agent.policy.source import PolicySource, environment_of, format_policy
from gco_agent.store.config import RunConfig, default_slice, format_config, parse_config

INSTALLED = {
    "CartPole-v1": "cart_pole",
    "MountainCar-v0": "mountain_car",
    "Pendulum-v1": "pendulum",
    "Acrobot-v1": "acrobot",
    "MountainCarContinuous-v0": "mountain_car_continuous",
    "LunarLander-v3": "lunar_lander",
    "HalfCheetah-v5": "half_cheetah",
    "MiniGrid-Empty-5x5-v0": "mini_grid_empty_5x5",
    "FrozenLake-v1": "frozen_lake",
}
LIBRARIES = {
    "LunarLander-v3": "Box2D",
    "HalfCheetah-v5": "mujoco",
    "MiniGrid-Empty-5x5-v0": "minigrid",
}


def needs(env_id: str) -> None:
    if env_id in LIBRARIES:
        pytest.importorskip(LIBRARIES[env_id])


@pytest.mark.parametrize("env_id", INSTALLED)
@pytest.mark.filterwarnings("ignore")
def test_an_environment_is_described_and_played_in_the_jail(env_id: str) -> None:
    needs(env_id)
    spec = find_spec(env_id)
    assert (spec.name, spec.env_id) == (INSTALLED[env_id], env_id)
    rules = make_protocol("default", env_id)
    assert spec_of(rules) == spec
    assert rules.stamp.startswith(f"default {env_id} frame_skip=1 sticky=0 max_steps=")
    config = RunConfig(spec.name, rules)
    assert parse_config(format_config(config)) == config
    source = PolicySource(format_policy(initial_policy(rules)))
    check_policy(source)
    assert environment_of(source) == env_id
    task = Rollout(source.text, (3, 4), replace(rules, max_steps=12))
    first, second = play_episodes(task)
    assert (first.detail, first.n_steps) == ("", 12) or first.outcome is Outcome.GAME_OVER
    assert second.outcome.is_scored
    assert play_episodes(task) == (first, second)
    assert len(describe_interface(spec, "none")) < len(describe_interface(spec))


@pytest.mark.parametrize(
    ("typed", "env_id"),
    [
        ("pong", "gco/Pong-v5"),
        ("cartpole", "CartPole-v1"),
        ("CARTPOLE-V1", "CartPole-v1"),
        ("pendulum", "Pendulum-v1"),
    ],
)
def test_case_and_version_may_be_left_out(typed: str, env_id: str) -> None:
    assert find_spec(typed).env_id == env_id


def test_an_empty_name_is_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does it mean one that was registered without a version."""
    monkeypatch.setitem(gymnasium.registry, "short", gymnasium.spec("CartPole-v1"))
    with pytest.raises(UsageError, match="no game called ''"):
        find_spec("")
    assert find_spec("SHORT").env_id == "short"


@pytest.mark.parametrize("base", documented())
@pytest.mark.filterwarnings("ignore")
def test_documented_names_are_as_many_as_the_numbers(base: str) -> None:
    ids = [i for i in gymnasium.registry if i.rpartition("-v")[0] == base]
    env_id = max(ids, key=lambda i: int(i.rpartition("-v")[2]))
    needs({"LunarLanderContinuous-v3": "LunarLander-v3"}.get(env_id, env_id))
    env, told = GymnasiumEnvironment(env_id), documented()[base]
    assert env.n_numbers == len(told.fields)
    assert env.n_actions == len(told.actions)
    assert len({f.name for f in told.fields}) == len(told.fields)
    assert all(f.name.isidentifier() for f in told.fields)


def test_left_pushes_left_and_angles_lean_as_told() -> None:
    env = GymnasiumEnvironment("CartPole-v1")
    words = list(documented()["CartPole"].actions)
    for word, sign in (("LEFT", -1), ("RIGHT", 1)):
        env.begin(1)
        for _ in range(6):
            env.advance(words.index(word))
            obs, _ = env.observe()
        _, speed, angle, _ = np.asarray(obs)
        assert speed * sign > 0
        assert angle * sign < 0, "the pole leans against the push"
    env = GymnasiumEnvironment("MountainCar-v0")
    words = list(documented()["MountainCar"].actions)
    for word, sign in (("LEFT", -1), ("RIGHT", 1)):
        env.begin(1)
        for _ in range(3):
            env.advance(words.index(word))
            obs, _ = env.observe()
        assert np.asarray(obs)[1] * sign > 0


def test_the_engines_of_the_lander_do_as_told() -> None:
    pytest.importorskip("Box2D")
    words = list(documented()["LunarLander"].actions)
    after = {}
    for word in words:
        env = GymnasiumEnvironment("LunarLander-v3")
        env.begin(1)
        for _ in range(12):
            env.advance(words.index(word))
            obs, _ = env.observe()
        after[word] = np.asarray(obs)
    assert after["MAIN"][3] > after["NOOP"][3] + 0.1, "the main engine pushes up"
    assert after["LEFT"][5] > after["NOOP"][5] + 0.05, "the left engine turns it to the left"
    assert after["RIGHT"][5] < after["NOOP"][5] - 0.05


def test_what_is_no_vector_is_told_as_its_space() -> None:
    told = " ".join(describe_interface(find_spec("FrozenLake-v1")).split())
    assert "obs is of the Gymnasium space Discrete(16)" in told
    assert told.endswith("Actions: 0 to 3.")
    pytest.importorskip("minigrid")
    grid = find_spec("MiniGrid-Empty-5x5-v0")
    assert grid.fields == ()
    assert "'image': Box(0, 255, (7, 7, 3), uint8)" in describe_interface(grid).replace("\n", " ")


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"called 'CartPol'\. Did you mean CartPole-v1\?"):
        find_spec("CartPol")
    with pytest.raises(UsageError, match="Any id of Gymnasium will do too"):
        find_spec("qqqqqqqq")
    with pytest.raises(UsageError, match="the protocol machado is for Atari games"):
        make_protocol("machado", "CartPole-v1")
    with pytest.raises(UsageError, match=r"there is no file nowhere\.py"):
        find_spec("nowhere.py")
    with pytest.raises(UsageError, match="module no_such_module cannot be imported"):
        find_spec("no_such_module:X-v0")


def test_a_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "scripts/install --extra box2d" in plain._what_is_missing(
        "LunarLander-v3", "Box2D is not installed"
    )
    assert "--extra mujoco" in plain._what_is_missing("Ant-v5", "MuJoCo is not installed")
    monkeypatch.setitem(plain._REGISTERING, "no_such_minigrid", ("MiniGrid",))
    with pytest.raises(UsageError, match=r"pip install 'gco-agent\[minigrid\]'"):
        plain.register_for("MiniGrid-Empty-5x5-v0")


MODULE = """
import gymnasium
import numpy as np


class Corridor(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-9, 9, (1,), np.float32)
    action_space = gymnasium.spaces.{space}

    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        self.x = float(self.np_random.integers(-3, 3))
        return np.array([self.x], np.float32), {{}}

    def step(self, action):
        self.x += {move}
        return np.array([self.x], np.float32), -abs(self.x), False, False, {{}}


gymnasium.register("{name}-v0", entry_point=Corridor, max_episode_steps=15)
"""


@pytest.fixture
def corridor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Writes a module with an environment of the user's own, where modules are looked for."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    make_importable(tmp_path)

    def write(name: str, space: str, move: str) -> str:
        text = MODULE.format(space=space, move=move, name=name)
        (tmp_path / f"{name.lower()}_module.py").write_text(text)
        return f"{name.lower()}_module:{name}-v0"

    return write


@pytest.mark.parametrize("named", ["gco/Pong-v5", "CartPole-v1", "MiniGrid-Empty-5x5-v0", "pong"])
def test_a_policy_may_name_what_is_known(named: str) -> None:
    source = PolicySource(f'"""Wait.\n\nEnvironment: {named}\n"""\n')
    assert named_environment(source) == named


@pytest.mark.parametrize("named", ["x.py", "/tmp/x.py", "m:X-v0", "minigrid:MiniGrid-Empty-5x5-v0"])
def test_a_policy_may_name_no_code(named: str) -> None:
    source = PolicySource(f'"""Wait.\n\nEnvironment: {named}\n"""\n')
    with pytest.raises(UsageError, match="a policy is not believed about what to load"):
        named_environment(source)


def test_a_longer_episode_than_the_environment_s_is_not_claimed() -> None:
    assert make_protocol("default", "CartPole-v1", 5_000).max_steps == 500
    assert make_protocol("default", "CartPole-v1", 50).max_steps == 50
    assert make_protocol("default", "pong", 50_000).max_steps == 50_000


def test_a_module_of_the_users_own_is_imported(corridor) -> None:
    env_id = corridor("Hall", "Discrete(3, start=-1)", "int(action)")
    assert find_spec(env_id).name == "hall"
    rules = make_protocol("default", env_id)
    assert rules.max_steps == 15
    env = open_environment(rules)
    assert isinstance(env, GymnasiumEnvironment)
    start = float(np.asarray(env.begin(1)[0])[0])
    env.advance(0)
    assert float(np.asarray(env.observe()[0])[0]) == start - 1, "action 0 is the least of the space"
    text = "def act(obs):\n    return 0 if obs[0] > 0 else 2 if obs[0] < 0 else 1\n"
    (episode,) = play_episodes(Rollout(text, (1,), rules))
    assert (episode.detail, episode.n_steps) == ("", 15)
    with pytest.raises(UsageError, match="registers no environment Other-v0"):
        find_spec("hall_module:Other-v0")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = (\n", r"broken1\.py, line 1: '\(' was never closed"),
        ("\nprint(missing)\n", r"broken2\.py, line 2: NameError: name 'missing' is not defined"),
        ("\n\nraise SystemExit(3)\n", r"broken3\.py, line 3: SystemExit: 3"),
        ("import not_there_at_all\n", r"broken4\.py, line 1: ModuleNotFoundError: No module named"),
        ("import json\njson.loads('{')\n", r"broken5\.py, line 2: JSONDecodeError: "),
        ("SPEC = 3\n", r"broken6 has no SPEC = GameSpec"),
    ],
)
def test_what_is_wrong_in_a_game_file_is_told_by_its_line(
    text: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    path = tmp_path / f"{told[:7]}.py"  # a name of its own, since imports are remembered
    path.write_text(text)
    with pytest.raises(UsageError, match=told):
        find_spec(str(path))


@pytest.mark.parametrize("name", ["platform", "abc", "gco_agent"])
def test_a_game_file_with_the_name_of_another_module_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / f"{name}.py").write_text("SPEC = None\n")
    with pytest.raises(UsageError, match=f"the name {name} is taken by another Python module"):
        find_spec(str(tmp_path / f"{name}.py"))
    (tmp_path / "a.b.py").write_text("")
    with pytest.raises(UsageError, match="rename the file"):
        find_spec(str(tmp_path / "a.b.py"))


def test_what_fails_in_play_is_told_by_its_line(corridor, tmp_path: Path) -> None:
    env_id = corridor("Pit", "Discrete(3)", "int(action) / 0")
    env = open_environment(make_protocol("default", env_id))
    assert isinstance(env, GymnasiumEnvironment)
    env.begin(1)
    lines = (tmp_path / "pit_module.py").read_text().splitlines()
    number = next(n for n, line in enumerate(lines, start=1) if "/ 0" in line)
    with pytest.raises(UsageError, match=rf"pit_module\.py, line {number}: ZeroDivisionError"):
        env.advance(0)


def test_a_changed_module_is_another_stamp_and_is_not_played_under_the_old_one(
    corridor, tmp_path: Path
) -> None:
    env_id = corridor("Shaft", "Discrete(3)", "int(action)")
    rules = make_protocol("default", env_id)
    assert dict(rules.versions).keys() == {"gymnasium", "module"}
    assert make_protocol("default", env_id) == rules
    (tmp_path / "shaft_module.py").write_text(
        (tmp_path / "shaft_module.py").read_text().replace("-3, 3", "-4, 4")
    )
    assert make_protocol("default", env_id).stamp != rules.stamp
    with pytest.raises(GcoError, match="ask for module "):
        open_environment(rules)


def test_numbers_outside_their_range_are_a_bad_action(corridor) -> None:
    env_id = corridor("Slide", "Box(-0.1, 0.1, (1,), np.float32)", "float(action[0])")
    rules = make_protocol("default", env_id)
    for value, outcome in ((0.1, Outcome.TRUNCATED), (0.2, Outcome.BAD_ACTION)):
        text = f"def act(obs):\n    return [{value}]\n"
        (episode,) = play_episodes(Rollout(text, (1,), rules))
        assert episode.outcome is outcome
    assert "0.2 as number 0 of the action; it has to be from -0.1 to 0.1" in episode.detail


def test_spaces_that_no_policy_can_use_are_refused(corridor) -> None:
    env_id = corridor("Knot", "MultiDiscrete([2, 2])", "0")
    with pytest.raises(UsageError, match="has the action space MultiDiscrete"):
        find_spec(env_id)


def test_a_reward_that_is_not_finite_is_the_environment_s_fault(corridor) -> None:
    rules = make_protocol("default", corridor("Nowhere", "Discrete(2)", "float('nan')"))
    policy = "class Policy:\n    def act(self, obs):\n        return 0\n"
    for play_it in (
        lambda: play_episodes(Rollout(policy, (1,), rules)),
        lambda: play(Episodes(rules, policy, (1,))),
    ):
        with pytest.raises(UsageError, match=r"nowhere_module.py, line \d+: .*Nowhere-v0 .* nan"):
            play_it()


def test_slices_are_longer_of_cheap_steps_and_of_many_frames() -> None:
    pole, pong = make_protocol("default", "CartPole-v1"), make_protocol("default", "pong")
    assert [default_slice(rules) for rules in (pole, pong)] == [(1_000_000, 30), (70_000, 30)]
    assert default_slice(pong, 2_000_000) == (70_000, 3_600), "the clock ends no slice"
    assert default_slice(pong, 6_000_000) == (187_500, 3_600)
    assert GAMES["pong"].fields == ()
