"""Games that were described by playing them, and the table of all of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gco_agent.core.errors import UsageError
from gco_agent.envs.atari import default_protocol
from gco_agent.games.registry import GAMES, broken_games, every_game, find_game, generated_games
from gco_agent.policy.contract import check_policy
from gco_agent.policy.source import PolicySource, format_policy

PAGE = Path(__file__).parents[2] / "docs" / "games.md"


def test_every_game_that_ocatari_extracts_was_tried() -> None:
    tried = {*every_game(), *broken_games()}
    assert len(tried) >= 60
    assert not set(every_game()) & set(broken_games())
    assert not set(GAMES) & set(generated_games())


@pytest.mark.parametrize("name", ["boxing", "ms_pacman", "montezuma_revenge"])
def test_a_generated_game_is_found_and_has_a_start(name: str) -> None:
    spec = find_game(name)
    assert spec is generated_games()[name]
    assert find_game(spec.env_id.replace("gco/", "ALE/")) is spec
    source = PolicySource(spec.initial_policy())
    check_policy(source)
    assert format_policy(source.text) == source.text
    assert default_protocol(name).env_id == spec.env_id
    assert spec.categories


def test_what_is_broken_says_why() -> None:
    for name in broken_games():
        with pytest.raises(UsageError, match=f"{name} cannot be played with objects: OCAtari"):
            find_game(name)
        with pytest.raises(UsageError):
            find_game(name.replace("_", ""))


def test_the_table_of_the_page_is_of_what_was_measured() -> None:
    rows = re.findall(r"^\| (\w+) \| (first class|generated|broken)", PAGE.read_text("utf-8"), re.M)
    assert {name for name, _ in rows} == {*every_game(), *broken_games()}
    for name, status in rows:
        expected = "first class" if name in GAMES else "generated"
        assert status == ("broken" if name in broken_games() else expected)
