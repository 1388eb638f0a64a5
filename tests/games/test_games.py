from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from gco_agent.core.errors import UsageError
from gco_agent.games import registry
from gco_agent.games.registry import GAMES, find_game, installed_games
from tests.ale.checking import TRIALS


@pytest.mark.parametrize("spec", GAMES.values(), ids=list(GAMES))
def test_a_game_is_found_by_all_its_names(spec) -> None:
    for name in (spec.name, spec.title, spec.env_id, spec.env_id.replace("gco/", "ALE/")):
        assert find_game(name) is spec
        assert find_game(name.upper()) is spec
    assert spec.policy_path == f"policies/{spec.name}.py"
    assert spec.random_return < spec.human_return


@pytest.mark.parametrize(
    ("name", "hint"),
    [("pnog", "Did you mean pong?"), ("space invader", "Did you mean space_invaders?")],
)
def test_the_nearest_game_is_suggested(name: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        find_game(name)
    assert hint in str(caught.value)


@pytest.mark.parametrize("name", ["", "chess", "☃"])
def test_no_game_is_suggested_where_none_is_near(name: str) -> None:
    with pytest.raises(
        UsageError, match=r"no game called .*lists them: asterix, breakout"
    ) as caught:
        find_game(name)
    assert "Did you mean" not in str(caught.value)


def test_words_shown_for_actions_agree_with_what_the_actions_do() -> None:
    directions = {"UP": (0, -1), "DOWN": (0, 1), "RIGHT": (1, 0), "LEFT": (-1, 0)}
    for spec in GAMES.values():
        words = spec.words_for(tuple(spec.actions))
        assert len(set(words)) == len(words)
        for action, word in zip(spec.actions, words, strict=True):
            way = directions.get(word.removesuffix("FIRE"))
            effect = TRIALS[spec.name].effects.get(action)
            if way and effect:
                assert way[0] * effect[0] + way[1] * effect[1] > 0, (spec.name, action, word)


def test_a_misleading_word_stays_where_the_better_one_is_taken() -> None:
    assert GAMES["pong"].words_for(("UP", "RIGHT", "LEFT")) == ("UP", "RIGHT", "DOWN")


def test_the_least_return_is_below_random_play() -> None:
    assert (GAMES["pong"].least, find_game("boxing").least) == (-21, -100)
    for spec in GAMES.values():
        assert spec.least is not None
        assert spec.random_return is not None
        assert spec.least <= spec.random_return


def test_an_unknown_category_is_found_with_a_suggestion() -> None:
    policy = "def act(obs):\n    return obs['Ball'] or obs['ball'] or obs['Puck'] or obs['ball']\n"
    [one, other] = GAMES["pong"].unknown_categories(policy)
    assert GAMES["pong"].unknown_categories("no Python") == []
    assert find_game("pong").unknown_categories(GAMES["pong"].initial_policy()) == []
    assert "'ball'; did you mean 'Ball'?" in one
    assert "the categories are Player, Ball, Enemy." in other


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Install a package with an entry point that names ``value``."""

    def install(value: str) -> None:
        (tmp_path / "corridors.py").write_text(
            "from gco_agent.games import GameSpec\n"
            "SPEC = GameSpec('corridor', 'Corridor', 'Corridor-v0', 'Walk.')\n"
            "OTHER = 3\n"
        )
        info = tmp_path / "corridors-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: corridors\nVersion: 1\n")
        (info / "entry_points.txt").write_text(f"[gco_agent.games]\ncorridor = {value}\n")
        monkeypatch.syspath_prepend(tmp_path)
        importlib.invalidate_caches()

    installed_games.cache_clear()
    yield install
    installed_games.cache_clear()
    sys.modules.pop("corridors", None)


def test_a_package_can_offer_a_game(package) -> None:
    package("corridors:SPEC")
    spec = find_game("corridor")
    assert (spec.title, spec.module, spec.env_id) == (
        "Corridor", "corridors", "corridors:Corridor-v0"
    )  # fmt: skip


@pytest.mark.parametrize("value", ["corridors:OTHER", "corridors:NONE", "nowhere:SPEC"])
def test_a_package_that_offers_something_else_is_named(package, value: str) -> None:
    package(value)
    with pytest.raises(UsageError, match="corridors"):
        find_game("corridor")


def test_an_empty_name_is_no_game(monkeypatch: pytest.MonkeyPatch) -> None:
    nameless = replace(find_game("pong"), title="…")
    monkeypatch.setattr(registry, "installed_games", lambda: {"short": nameless})
    with pytest.raises(UsageError, match="no game called ''"):
        find_game("")
