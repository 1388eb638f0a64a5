"""The games, as data: a module for each, with one `GameSpec` in it.

* `spec`      what a specification is made of
* `generated` the games that were described by playing them
* `describe`  the text of it that a language model is given
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from gco_agent.errors import UsageError
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
    "measured",
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
    for tried in measured().values():
        if tried.why and wanted == _squash(tried.name):
            raise UsageError(f"{tried.name} cannot be played with objects: {tried.why}")
    near = difflib.get_close_matches(wanted, [_squash(known) for known in games], n=1, cutoff=0.5)
    hint = next((f" Did you mean {known}?" for known in games if _squash(known) in near), "")
    raise UsageError(
        f"no game called {name!r}.{hint} `gco-agent games` lists them: {', '.join(GAMES)} and "
        f"{len(games) - len(GAMES)} more."
    )


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
