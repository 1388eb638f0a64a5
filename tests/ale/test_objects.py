"""The object environment: starts, moments, Gymnasium's rules, and other people's wrappers."""

from __future__ import annotations

import copy
import hashlib
import pickle
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import RecordEpisodeStatistics, TimeLimit

import gco_agent.envs
from gco_agent.core.errors import GcoError, UsageError
from gco_agent.core.observation import ObjectBox, Observation
from gco_agent.core.records import PlayProtocol
from gco_agent.envs import extraction, objects
from gco_agent.envs.atari import default_protocol, open_environment
from gco_agent.envs.objects import (
    ObjectObservation,
    ObjectSpace,
    held_action,
    make_object_env,
    n_priming_frames,
)
from tests.ale.games import NAMES, SPECS, actions

ROOT = Path(__file__).parents[2]


def ram_of(env: Any) -> bytes:
    return bytes(env.unwrapped.ale.getRAM())


def path_of(env: Any, seed: int, n_steps: int, plan_seed: int = 0) -> list[tuple[bytes, float]]:
    """RAM and reward of every step; episodes that end are followed by an unseeded one."""
    env.reset(seed=seed)
    path = [(ram_of(env), 0.0)]
    for action in actions(plan_seed, int(env.action_space.n), n_steps):
        _, reward, terminated, truncated, _ = env.step(action)
        path.append((ram_of(env), float(reward)))
        if terminated or truncated:
            env.reset()
    return path


# -- starts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", SPECS, ids=NAMES)
def test_seeded_starts_are_those_of_gymnasium(spec: Any) -> None:
    theirs = gymnasium.make(spec.env_id.replace("gco/", "ALE/"), obs_type="ram")
    ours = make_object_env(spec.name)
    seeds = (11, 12, 11, 12)  # the first use of each loads the ROM, the second does not
    expected = {seed: path_of(theirs, seed, 100) for seed in set(seeds)}
    for seed in seeds:
        assert path_of(ours, seed, 100) == expected[seed], seed
    assert expected[11] != expected[12]


def test_an_unseeded_episode_after_a_restored_start_is_that_of_gymnasium() -> None:
    theirs = gymnasium.make("ALE/Breakout-v5", obs_type="ram", max_num_frames_per_episode=160)
    ours = make_object_env("breakout", max_num_frames_per_episode=160)
    expected = path_of(theirs, 21, 200)
    assert path_of(ours, 21, 200) == expected
    assert path_of(ours, 21, 200) == expected


def test_reset_says_what_the_environment_below_says() -> None:
    theirs, ours = gymnasium.make("ALE/Pong-v5", obs_type="ram"), make_object_env("pong")
    for _ in range(2):
        assert ours.reset(seed=31)[1] == theirs.reset(seed=31)[1]
        ours.step(0)


class RandomStart(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Plays a few random steps after each reset, by a generator of its own."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        if seed is not None:
            self.rng = random.Random(seed)
        self.env.reset(seed=seed, options=options)
        for _ in range(self.rng.randrange(5, 30)):
            result = self.env.step(self.rng.randrange(6))
        return result[0], result[4]


def test_a_wrapper_below_that_uses_the_seed_gets_it_and_spoils_no_start_of_others() -> None:
    plain = path_of(make_object_env("pong"), 41, 20)
    below = ObjectObservation(RandomStart(gymnasium.make("ALE/Pong-v5", obs_type="ram")))
    first = path_of(below, 41, 20)
    assert first != plain
    assert path_of(below, 42, 20) != first
    assert path_of(below, 41, 20) == first
    objects._starts.clear()
    assert path_of(below, 41, 20) == first
    assert path_of(make_object_env("pong"), 41, 20) == plain


def test_remembered_starts_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "_REMEMBERED_STARTS", 2)
    monkeypatch.setattr(objects, "_starts", {})
    env = make_object_env("pong")
    for seed in (1, 2, 1, 3):
        env.reset(seed=seed)
    assert [key[-1] for key in objects._starts] == [2, 3]


# -- moments --------------------------------------------------------------------------------------


def digest(env: ObjectObservation, plan: list[int]) -> str:
    """Of everything that is seen while ``plan`` is played."""
    seen = hashlib.sha256()
    for action in plan:
        step = env.step_rows(action)
        seen.update(repr(step).encode() + ram_of(env))
        if step[3] or step[4]:
            break
    return seen.hexdigest()


@pytest.mark.parametrize("game", NAMES)
def test_a_moment_goes_on_exactly(game: str) -> None:
    env, other = make_object_env(game), make_object_env(game)
    n_actions = len(env.action_names)
    other.begin(99)
    env.begin(3)
    for part in range(12):
        digest(env, actions(part, n_actions, 37 * min(part, 1)))  # the first is the start itself
        if env.unwrapped.ale.game_over():  # type: ignore[attr-defined]
            env.begin(100 + part)
        moment = env.save()
        plan = actions(500 + part, n_actions, 40)
        after = digest(env, plan)
        env.restore(moment)
        assert digest(env, plan) == after, f"the same environment, moment {part}"
        digest(other, actions(part, n_actions, 9))
        other.restore(moment)
        assert digest(other, plan) == after, f"another environment, moment {part}"


def test_a_moment_goes_on_exactly_in_another_process(tmp_path: Path) -> None:
    expected = []
    for game in NAMES:
        env = make_object_env(game)
        env.begin(5)
        digest(env, actions(5, len(env.action_names), 111))
        (tmp_path / game).write_bytes(env.save())
        expected.append(f"{game} {digest(env, actions(6, len(env.action_names), 40))}")
    script = (
        "import sys; from pathlib import Path\n"
        "from tests.ale.test_objects import NAMES, actions, digest, make_object_env\n"
        "for game in NAMES:\n"
        "    env = make_object_env(game)\n"
        "    env.restore((Path(sys.argv[1]) / game).read_bytes())\n"
        "    print(game, digest(env, actions(6, len(env.action_names), 40)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == expected


@pytest.mark.parametrize("repeat", [0.25, 0.8])
def test_the_action_that_is_held_is_found_at_every_step(repeat: float) -> None:
    """At 0.8 two steps in five end while an older action is held, 0.25 hides one in 256."""
    env = make_object_env("pong", repeat_action_probability=repeat)
    other = make_object_env("pong", repeat_action_probability=repeat)
    env.begin(7)
    n_older = 0
    rng = random.Random(1)
    for t in range(250):
        moment = env.save()
        _, held, _ = pickle.loads(moment)
        n_older += held not in (None, env._begun[-1][1])
        other.restore(moment)
        action = rng.randrange(6)
        assert other.step_rows(action) == env.step_rows(action), t
        assert ram_of(other) == ram_of(env), t
    assert (n_older > 50) == (repeat > 0.5)


def test_a_state_without_a_generator_says_nothing_of_what_is_held() -> None:
    assert held_action(b"no generator in it", 0.25, 100, [(92, 1), (96, 2)]) == 2


def test_priming_is_long_enough_for_any_probability() -> None:
    assert n_priming_frames(0.0) == 12
    assert n_priming_frames(1.0) == 12
    for repeat in (0.01, 0.25, 0.5, 0.9):
        assert repeat ** n_priming_frames(repeat) <= 1e-7


# -- Gymnasium ------------------------------------------------------------------------------------


@pytest.mark.filterwarnings(
    # inherent: ALE's own environment is below, and it observes something else
    "ignore:.*is different from the unwrapped version:UserWarning"
)
@pytest.mark.parametrize("spec", SPECS, ids=NAMES)
def test_check_env_is_content(spec: Any) -> None:
    env = gymnasium.make(spec.env_id, render_mode="rgb_array")
    assert env.spec is not None
    assert env.spec.id == spec.env_id
    check_env(env)


def test_registering_again_changes_nothing() -> None:
    before = dict(gymnasium.registry)
    gco_agent.envs.register()
    assert dict(gymnasium.registry) == before
    assert {spec.env_id for spec in SPECS} <= set(gymnasium.registry)


def test_a_spec_makes_the_same_environment_again() -> None:
    env = gymnasium.make("gco/Pong-v5", hud=True, repeat_action_probability=0.0)
    assert env.spec is not None
    again = gymnasium.make(env.spec)
    for one in (env, again):
        one.reset(seed=1)
    assert again.step(2)[0] == env.step(2)[0]
    assert "PlayerScore" in again.step(2)[0]


def test_rendering_works() -> None:
    env = gymnasium.make("gco/Pong-v5", render_mode="rgb_array")
    env.reset(seed=1)
    env.step(0)
    picture = env.render()
    assert isinstance(picture, np.ndarray)
    assert picture.shape == (210, 160, 3)


@pytest.mark.parametrize("obs_type", ["ram", "rgb", "grayscale"])
def test_wraps_an_ordinary_environment(obs_type: str) -> None:
    inner = gymnasium.make("ALE/Pong-v5", obs_type=obs_type)
    env = RecordEpisodeStatistics(
        TimeLimit(ObjectObservation(RecordEpisodeStatistics(inner)), max_episode_steps=30)
    )
    plain = gymnasium.make("gco/Pong-v5")
    assert env.reset(seed=1)[0] == plain.reset(seed=1)[0]
    truncated, n_steps = False, 0
    while not truncated:
        obs, reward, terminated, truncated, info = env.step(2)
        expected = plain.step(2)
        assert (obs, reward, terminated) == expected[:3]
        assert obs.lives == info["lives"]
        assert env.observation_space.contains(obs)
        n_steps += 1
    assert (n_steps, info["episode"]["l"]) == (30, 30)


def test_other_environments_are_refused() -> None:
    with pytest.raises(UsageError, match=r"CartPoleEnv is not an ALE environment"):
        ObjectObservation(gymnasium.make("CartPole-v1"))
    with pytest.raises(UsageError, match="actions are continuous"):
        ObjectObservation(gymnasium.make("ALE/Pong-v5", continuous=True))


def test_a_cut_episode_is_truncated_and_not_terminated() -> None:
    env = make_object_env("pong", max_num_frames_per_episode=40)
    env.begin(1)
    ends = [env.step_rows(0)[3:] for _ in range(10)]
    assert ends == [(False, False)] * 9 + [(False, True)]


# -- the space ------------------------------------------------------------------------------------


def test_space_samples_are_in_it_and_follow_the_seed() -> None:
    space = ObjectSpace(("Ball", "Player"), seed=5)
    samples = [space.sample() for _ in range(20)]
    assert all(sample in space for sample in samples)
    assert {category for sample in samples for category in sample} == {"Ball", "Player"}
    assert ObjectSpace(("Ball", "Player"), seed=5).sample() == samples[0]
    space.seed(5)
    assert [space.sample() for _ in range(20)] == samples
    assert len({repr(sample) for sample in samples}) == 20


def test_space_contains_observations_and_nothing_else() -> None:
    space = ObjectSpace(("Ball",))
    assert Observation({"Enemy": [ObjectBox(1, 2, 3, 4)]}) in space
    assert Observation() in space
    assert {"Ball": [ObjectBox(1, 2, 3, 4)]} not in space
    assert Observation({"Ball": [(1, 2, 3, 4)]}) not in space  # type: ignore[list-item]
    assert None not in space


def test_space_equality_and_words() -> None:
    assert ObjectSpace(("Ball",)) == ObjectSpace(("Ball",), seed=3)
    assert hash(ObjectSpace(("Ball",))) == hash(ObjectSpace(("Ball",), seed=3))
    assert ObjectSpace(("Ball",)) != ObjectSpace()
    assert ObjectSpace() != gymnasium.spaces.Discrete(2)
    assert repr(ObjectSpace(("Ball", "Player"))) == "ObjectSpace(Ball, Player)"
    assert not ObjectSpace().is_np_flattenable
    assert copy.deepcopy(ObjectSpace(("Ball",))) == ObjectSpace(("Ball",))
    with pytest.raises(ValueError, match="neither a mask nor probabilities"):
        ObjectSpace().sample(mask=())


# -- the rules of play ----------------------------------------------------------------------------


def test_default_protocol_names_what_decides_the_numbers() -> None:
    protocol = default_protocol("SpaceInvaders")
    assert protocol == default_protocol("space_invaders")
    assert protocol.env_id == "gco/SpaceInvaders-v5"
    assert [name for name, _ in protocol.versions] == ["ale-py", "ocatari", "extraction", "rom"]
    assert protocol.stamp.startswith(
        "default gco/SpaceInvaders-v5 frame_skip=4 sticky=0.25 max_steps=27000 ale-py="
    )
    with pytest.raises(UsageError, match="no game called 'pingpong'"):
        default_protocol("pingpong")


def test_environments_follow_their_protocol() -> None:
    env = open_environment(PlayProtocol("test", "gco/Pong-v5", frame_skip=3, sticky=0.0))
    env.begin(1)
    before = env.unwrapped.ale.getFrameNumber()  # type: ignore[attr-defined]
    env.step_rows(0)
    assert env.unwrapped.ale.getFrameNumber() - before == 3  # type: ignore[attr-defined]
    assert env.unwrapped.ale.getFloat("repeat_action_probability") == 0.0  # type: ignore[attr-defined]


def test_a_rom_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ale_py.roms.get_rom_path", lambda _: None)
    with pytest.raises(GcoError, match="ale-py has no ROM of Pong"):
        default_protocol("pong")


def test_rules_that_are_not_fulfilled_here_are_not_played_by() -> None:
    here = default_protocol("pong")
    versions = tuple((n, "0.0" if n == "ale-py" else v) for n, v in here.versions)
    with pytest.raises(GcoError, match=r"ask for ale-py 0\.0, and here is 0\.1"):
        open_environment(replace(here, versions=versions))


def test_the_objects_of_a_game_have_a_digest_of_their_own() -> None:
    digests = {dict(default_protocol(game).versions)["extraction"] for game in ("pong", "breakout")}
    assert len(digests) == 2
    assert all(len(digest) == 12 for digest in digests)


@pytest.mark.parametrize(
    ("game", "name"),
    [("enduro", f"{name}.py") for name in ("extraction", "ram_readers", "objects", "observation")],
)
def test_our_own_code_is_among_what_the_rules_name(
    game: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another step in it is another stamp; another word about it is not."""

    def digest_with(line: str) -> str:
        real = Path.read_text
        with monkeypatch.context() as patch:
            patch.setattr(
                Path,
                "read_text",
                lambda path, encoding=None: (
                    real(path, encoding) + (line if path.name == name else "")
                ),
            )
            extraction.observation_digest.cache_clear()
            return dict(default_protocol(game).versions)["extraction"]

    try:
        before = digest_with("")
        assert digest_with('\n# said\n"""of it"""\n') == before
        assert digest_with("\nX = 1\n") != before
    finally:
        extraction.observation_digest.cache_clear()
