"""Specifications of other environments: what is wrong is found by name."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gco_agent.envs.environment import find_spec
from gco_agent.evaluation.check_game import check_game
from gco_agent.games.spec import Field, GameSpec
from gco_agent.policy.contract import check_policy
from gco_agent.policy.source import PolicySource

PAGE = Path(__file__).parents[2] / "docs" / "own-game.md"


@pytest.fixture(scope="module")
def corridor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GameSpec]:
    """The game of the page, from a file of its own."""
    folder = tmp_path_factory.mktemp("corridor")
    code = re.search(r"```python\n# corridor\.py\n(.*?)```", PAGE.read_text("utf-8"), re.S)
    assert code is not None
    assert len(code[1].splitlines()) < 50
    (folder / "corridor.py").write_text(code[1])
    before = list(sys.path)
    spec = find_spec(str(folder / "corridor.py"))
    yield spec
    sys.path[:] = before


def test_the_game_of_the_page_is_as_specified(corridor: GameSpec) -> None:
    assert corridor.env_id == "corridor:Corridor-v0"
    assert check_game(corridor, 200) == []
    assert find_spec("corridor:Corridor-v0") == corridor
    assert find_spec("corridor:Corridor-v0").goal.startswith("Reach the door")


def test_the_game_of_the_readme_is_as_specified(tmp_path: Path) -> None:
    readme = PAGE.parents[1] / "README.md"
    code = re.search(r"```python\n# steep_hill\.py\n(.*?)```", readme.read_text("utf-8"), re.S)
    assert code is not None
    (tmp_path / "steep_hill.py").write_text(code[1])
    before = list(sys.path)
    spec = find_spec(str(tmp_path / "steep_hill.py"))
    assert check_game(spec, 200) == []
    sys.path[:] = before


def test_a_wrong_word_is_found_by_name(corridor: GameSpec) -> None:
    one = corridor.fields[:1]
    wrong = {
        "actions": replace(corridor, actions={"LEFT": ""}),
        "fields": replace(corridor, fields=one),
        "field place": replace(corridor, fields=one * 2),
        "env_id": replace(corridor, env_id="corridor:Tunnel-v0"),
    }
    for about, spec in wrong.items():
        assert about in {finding.about for finding in check_game(spec, 100)}, about
    (finding,) = check_game(wrong["fields"], 100)
    assert str(finding) == "fields: there are 1, and 2 numbers an observation"


def test_environments_that_break_their_own_word_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = """
import random
import gymnasium
import numpy as np

class Liar(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(0, 1, (1,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    def reset(self, seed=None, options=None):
        return np.array([START], np.float32), {}
    def step(self, action):
        return np.array([START], np.float32), 0.0, False, False, {}

gymnasium.register("Liar-v0", entry_point=Liar, max_episode_steps=9)
"""
    monkeypatch.syspath_prepend(str(tmp_path))
    for name, start, about in (
        ("liar_chance", "random.random()", "the same seed and actions give other observations"),
        ("liar_outside", "7.0", "does not hold array([7.]"),
        ("liar_same", "0.5", "every seed gives the same episode"),
    ):
        (tmp_path / f"{name}.py").write_text(
            text.replace("START", start).replace("Liar-v0", f"{name.replace('_', '')}-v0")
        )
        spec = find_spec(f"{name}:{name.replace('_', '')}-v0")
        told = " ".join(str(finding) for finding in check_game(spec, 50))
        assert about in told


def test_a_start_that_breaks_the_contract_or_fails_is_found(corridor: GameSpec) -> None:
    from gco_agent.evaluation import check_game as checking

    def found(start: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        monkeypatch.setattr(sys.modules["corridor"], "SPEC", replace(corridor, start=start))
        return [str(finding) for finding in checking.check_game(corridor, 50)]

    with pytest.MonkeyPatch.context() as patch:
        assert (
            "start: line 1: a policy may not import os"
            in found("import os\n\n\ndef act(obs):\n    return 0\n", patch)[0]
        )
        assert "bad-action after 0 steps" in found("def act(obs):\n    return 9\n", patch)[0]
        assert found("def act(obs):\n    return 2\n", patch) == []


def test_a_file_without_a_specification_is_refused(tmp_path: Path) -> None:
    from gco_agent.core.errors import UsageError

    (tmp_path / "empty_game.py").write_text("x = 1\n")
    with pytest.raises(UsageError, match=r"empty_game has no SPEC = GameSpec"):
        find_spec(str(tmp_path / "empty_game.py"))
    assert Field("x").meaning == ""
    check_policy(PolicySource("def act(obs):\n    return 0\n"))
