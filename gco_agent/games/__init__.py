"""The games, as data: a module for each, with one `GameSpec` in it.

* `spec`      what a specification is made of
* `generated` the games that were described by playing them
* `describe`  the text of it that a language model is given
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from gco_agent.core.errors import UsageError
from gco_agent.games import (
    asterix,
    breakout,
    enduro,
    freeway,
    pong,
    qbert,
    seaquest,
    space_invaders,
)
from gco_agent.games.describe import HINTS, Hints, describe_interface
from gco_agent.games.generated import described_by_play, measured
from gco_agent.games.spec import (
    SOLVED,
    Category,
    Control,
    Field,
    GameSpec,
    Presence,
    Reference,
    Score,
)

__all__ = [
    "GAMES",
    "HINTS",
    "SOLVED",
    "Category",
    "Control",
    "Field",
    "GameSpec",
    "Hints",
    "Presence",
    "Reference",
    "Score",
    "describe_interface",
    "every_game",
    "find_game",
    "generated_games",
    "imports_code",
    "likeness",
    "measured",
    "nearest_game",
    "why_not_played",
]

GAMES: Mapping[str, GameSpec] = {
    module.SPEC.name: module.SPEC
    for module in (
        pong,
        breakout,
        space_invaders,
        freeway,
        asterix,
        enduro,
        qbert,
        seaquest,
    )
}
"""The first-class games by name."""


_LIKE = 0.6


def find_game(name: str) -> GameSpec:
    """The game that a person means by ``name``: "pong", "SpaceInvaders", "ALE/Pong-v5".

    Raises:
        UsageError: There is none; the message names the nearest.
    """
    wanted = _squash(name)
    games = every_game()
    for spec in games.values():
        if wanted in (_squash(spec.name), _squash(spec.title), _squash(spec.env_id)):
            return spec
    if why := why_not_played(name):
        raise UsageError(f"{name} cannot be played with objects: {why.rstrip('.')}.")
    near = nearest_game(name)
    hint = f" Did you mean {near}?" if likeness(name, near) >= _LIKE else ""
    raise UsageError(
        f"no game called {name!r}.{hint} `gco-agent games` lists them: {', '.join(GAMES)} and "
        f"{len(games) - len(GAMES)} more."
    )


def why_not_played(name: str) -> str:
    """Why a game that was tried cannot be played with objects; empty for any other."""
    tried = [each for each in measured().values() if _squash(each.name) == _squash(name)]
    return tried[0].why if tried else ""


def nearest_game(name: str) -> str:
    """The game whose name is most like another name."""
    return max(every_game(), key=lambda game: likeness(name, game))


def likeness(one: str, other: str) -> float:
    """How like two names of games or environments are, from 0 to 1 for the same."""
    return difflib.SequenceMatcher(None, _squash(one), _squash(other)).ratio()


def imports_code(name: str) -> bool:
    """Whether finding ``name`` runs somebody's own code: a file ``FILE.py``, or ``module:id``.

    Such code runs outside any jail, so such a name has to come from a person.
    """
    return name.endswith(".py") or ":" in name


def generated_games() -> Mapping[str, GameSpec]:
    """The games that nobody described by hand, by name."""
    return {name: spec for name, spec in described_by_play().items() if name not in GAMES}


def every_game() -> Mapping[str, GameSpec]:
    """The first-class games, then those with a generated specification, by name."""
    return {**GAMES, **generated_games()}


def _squash(name: str) -> str:
    base = name.lower().rpartition("/")[2].partition("-v")[0]
    return "".join(c for c in base if c.isalnum())
