"""Games that were described by playing them, and the table of all of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gco_agent.core.errors import UsageError
from gco_agent.envs.atari import default_protocol
from gco_agent.games.registry import GAMES, every_game, find_game, generated_games, measured
from gco_agent.policy.contract import check_policy
from gco_agent.policy.source import PolicySource, format_policy

PAGE = Path(__file__).parents[2] / "docs" / "games.md"


def test_every_game_that_ocatari_extracts_was_tried() -> None:
    tried = measured()
    assert len(tried) >= 60
    assert set(GAMES) <= set(tried)
    assert set(every_game()) == {name for name, m in tried.items() if not m.why}
    assert not set(GAMES) & set(generated_games())
    for one in tried.values():
        assert one.why or (one.random_return is not None and one.steps_per_second > 0)


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
    broken = [m for m in measured().values() if m.why]
    for one in broken:
        with pytest.raises(UsageError, match=f"{one.name} cannot be played with objects: OCAtari"):
            find_game(one.name)
        with pytest.raises(UsageError):
            find_game(one.name.replace("_", ""))


def test_the_table_of_the_page_is_of_what_was_measured() -> None:
    rows = re.findall(r"^\| (\w+) \| (first class|generated|broken)", PAGE.read_text("utf-8"), re.M)
    assert {name for name, _ in rows} == set(measured())
    for name, status in rows:
        expected = "first class" if name in GAMES else "generated"
        assert status == ("broken" if measured()[name].why else expected)
