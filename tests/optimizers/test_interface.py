"""What a policy sees and may do, in words: as files, and as the emulator has it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gco_agent.envs.environment import make_protocol
from gco_agent.games.describe import HINTS
from gco_agent.games.registry import GAMES
from gco_agent.optimizers.prompts import describe_run
from gco_agent.store.config import RunConfig

GOLDEN = Path(__file__).parents[1] / "golden"
ENVIRONMENTS = (*GAMES, "CartPole-v1", "Pendulum-v1")


def config_of(game: str, **changes: object) -> RunConfig:
    rules = make_protocol("default", game)
    return replace(RunConfig(game, rules), **changes)  # type: ignore[arg-type]


def all_layers(game: str) -> str:
    """The three layers of an environment, as its golden file holds them."""
    texts = [
        f"## --hints {hints}\n\n{describe_run(config_of(game, hints=hints))}\n" for hints in HINTS
    ]
    return "\n".join(texts)


def path_of(game: str) -> Path:
    """The golden file of an environment."""
    return GOLDEN / f"interface_{game.lower().partition('-')[0]}.md"


@pytest.mark.parametrize("game", ENVIRONMENTS)
def test_what_is_told_is_what_the_files_say(game: str) -> None:
    """After a change that is meant: ``python -m tests.optimizers.test_interface``; read it."""
    assert all_layers(game) == path_of(game).read_text("utf-8")


def test_a_game_that_nobody_described_is_played_to_see_what_actions_do() -> None:
    text = describe_run(config_of("boxing"))
    assert "UP: moves Player up (y gets smaller) in random play" in text
    assert "LEFT: moves Player left (x gets smaller) in random play" in text
    assert "FIRE: no clear effect on the position of Player in random play; presses" in " ".join(
        text.split()
    )
    assert "random play" not in describe_run(config_of("boxing", hints="none"))


def test_actions_that_the_specification_has_no_word_for_are_measured_too() -> None:
    rules = make_protocol("machado", "pong")
    text = describe_run(RunConfig("pong", rules))
    assert "- 3 RIGHT: moves the paddle up" in text
    assert "- 2 UP: " in text
    assert len([line for line in text.splitlines() if line[2:4].strip().isdigit()]) == 18


def test_without_sticky_actions_nothing_is_said_of_them() -> None:
    rules = replace(make_protocol("default", "pong"), sticky=0.0)
    text = describe_run(RunConfig("pong", rules))
    assert "probability" not in text
    assert "A step is 4 frames of the game." in text


if __name__ == "__main__":  # python -m tests.optimizers.test_interface: write the files anew
    for name in ENVIRONMENTS:
        path_of(name).write_text(all_layers(name), "utf-8")
