from __future__ import annotations

import pytest

from gco_agent.core.errors import UsageError
from gco_agent.games import GAMES, find_game


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
    with pytest.raises(UsageError, match=r"no game called .*lists them: pong, breakout") as caught:
        find_game(name)
    assert "Did you mean" not in str(caught.value)
