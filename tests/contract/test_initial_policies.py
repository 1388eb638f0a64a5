"""The policies that runs start from, and those that are published, keep the contract and play."""

from __future__ import annotations

import ast
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from gco_agent.core.records import Outcome
from gco_agent.core.seeds import Stream
from gco_agent.envs.atari import default_protocol
from gco_agent.envs.objects import make_object_env
from gco_agent.evaluation.episode import Rollout, play_episodes
from gco_agent.evaluation.judge import Judge
from gco_agent.evaluation.workers import WorkerPool
from gco_agent.games.registry import GAMES, find_game
from gco_agent.games.spec import GameSpec
from gco_agent.policy.contract import check_policy, load_policy
from gco_agent.policy.edit import components
from gco_agent.policy.source import PolicySource, environment_of, format_policy

ROOT = Path(__file__).parents[2]
PUBLISHED = tuple(sorted((ROOT / "policies").glob("*.py")))
SPECS = tuple(GAMES.values())
each_game = pytest.mark.parametrize("spec", SPECS, ids=list(GAMES))


@each_game
def test_an_initial_policy_keeps_the_contract(spec: GameSpec) -> None:
    source = PolicySource(spec.initial_policy())
    check_policy(source)
    assert environment_of(source) == spec.env_id
    assert format_policy(source.text) == source.text
    load_policy(source)
    names = [component.name.rpartition(".")[2] for component in components(source)]
    assert tuple(name for name in names if name != "act") == spec.components


@each_game
def test_an_initial_policy_plays_in_the_jail(spec: GameSpec) -> None:
    rules = default_protocol(spec.name, max_steps=60)
    played = play_episodes(Rollout(spec.initial_policy(), (1, 2), rules))
    assert [(e.outcome, e.n_steps, e.detail) for e in played] == [(Outcome.TRUNCATED, 60, "")] * 2


@each_game
def test_the_words_for_actions_are_the_emulators(spec: GameSpec) -> None:
    names = make_object_env(spec.name).action_names
    told = {
        name: value
        for name, value in numbers_of(spec.initial_policy()).items()
        if name.replace("_", "") in names
    }
    for name, value in told.items():
        assert names[value] == name.replace("_", ""), name
    assert told or spec.name in ("asterix", "pong")
    assert numbers_of(spec.initial_policy()).get("N_ACTIONS", len(names)) == len(names)


def numbers_of(text: str) -> dict[str, int]:
    """Module constants that are whole numbers."""
    found: dict[str, int] = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign):
            value = ast.literal_eval(node.value)
            target = node.targets[0]
            names = target.elts if isinstance(target, ast.Tuple) else [target]
            values = value if isinstance(target, ast.Tuple) else [value]
            for name, number in zip(names, values, strict=True):
                if isinstance(name, ast.Name) and isinstance(number, int):
                    found[name.id] = number
    return found


def test_space_invaders_combines_what_the_emulator_combines() -> None:
    names = make_object_env("space_invaders").action_names
    policy = load_policy(PolicySource(find_game("space_invaders").initial_policy()))
    words = {(-1, 0): "LEFT", (0, 0): "NOOP", (1, 0): "RIGHT"}
    words |= {(-1, 1): "LEFTFIRE", (0, 1): "FIRE", (1, 1): "RIGHTFIRE"}
    for (move, shoot), word in words.items():
        assert names[policy.combine_actions(move, bool(shoot))] == word  # type: ignore[attr-defined]


def moved(
    game: str, category: str, prefix: list[int], action: int, *, n: int, rest: int = 0
) -> tuple[int, int]:
    """By how much the first of ``category`` moves by ``n`` steps of ``action`` and some of none."""
    env = make_object_env(game, repeat_action_probability=0.0)
    rows, _ = env.begin(1)
    for before in prefix:
        rows, *_ = env.step_rows(before)
    x, y = rows[category][0][:2]
    for then in [action] * n + [0] * rest:
        rows, *_ = env.step_rows(then)
    return rows[category][0][0] - x, rows[category][0][1] - y


def test_the_paddle_of_pong_moves_as_the_names_say() -> None:
    constants = numbers_of(find_game("pong").initial_policy())
    prefix = [0] * 20
    assert moved("pong", "Player", prefix, constants["MOVES_UP"], n=4)[1] < 0
    assert moved("pong", "Player", prefix, constants["MOVES_DOWN"], n=4)[1] > 0


def test_the_hops_of_qbert_are_as_its_comment_says() -> None:
    hops = numbers_of(find_game("qbert").initial_policy())
    wait = [0] * 60

    def hop(prefix: list[int], word: str) -> tuple[int, int]:
        dx, dy = moved("qbert", "Player", prefix, hops[word], n=4, rest=14)
        return (dx > 0) - (dx < 0), (dy > 0) - (dy < 0)

    assert hop(wait, "RIGHT") == (1, 1)
    assert hop(wait, "DOWN") == (-1, 1)
    assert hop([*wait, *[hops["RIGHT"]] * 4, *[0] * 30], "LEFT") == (-1, -1)
    assert hop([*wait, *[hops["DOWN"]] * 4, *[0] * 30], "UP") == (1, -1)


def test_the_initial_policy_of_pong_loses_nearly_every_point() -> None:
    """Random play scores -20.7 (Wang et al. 2016); this is that."""
    with WorkerPool(0) as pool:
        source = PolicySource(find_game("pong").initial_policy())
        played = Judge(pool, default_protocol("pong")).evaluate(source, Stream.FEEDBACK.seeds(0, 4))
    assert played.mean_return is not None
    assert -21 <= played.mean_return <= -19.25
    assert {e.outcome for e in played.episodes} == {Outcome.GAME_OVER}


@pytest.mark.skipif(not PUBLISHED, reason="nothing is published yet")
@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_a_published_policy_keeps_the_contract_and_plays(path: Path) -> None:
    source = PolicySource.from_file(path)
    check_policy(source)
    assert format_policy(source.text) == source.text
    spec = find_game(environment_of(source) or "")
    assert spec.policy_path == f"policies/{path.name}"
    rules = replace(default_protocol(spec.name), max_steps=60)
    (episode,) = play_episodes(Rollout(source.text, (1,), rules))
    assert episode.outcome.is_scored, episode.detail


LOOP = """
import importlib.util, sys, gymnasium
import gco_agent.envs

spec = importlib.util.spec_from_file_location("policy", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
env, policy = gymnasium.make(sys.argv[2]), module.Policy()
obs, info = env.reset(seed=7)
for _ in range(60):
    obs, reward, terminated, truncated, info = env.step(policy.act(obs))
    if terminated or truncated:
        break
print(sorted(name for name in sys.modules if name.startswith("gco_agent.")))
"""


@pytest.mark.parametrize("where", ["initial", "published"])
def test_ten_lines_round_gymnasium_play_a_policy(tmp_path: Path, where: str) -> None:
    path = tmp_path / "pong.py"
    path.write_text(find_game("pong").initial_policy())
    if where == "published":
        path = ROOT / "policies" / "pong.py"
        if not path.exists():
            pytest.skip("nothing is published yet")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", LOOP, str(path), "gco/Pong-v5"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    packages = {name.split(".")[1] for name in ast.literal_eval(done.stdout)}
    assert packages == {"core", "envs", "games"}
