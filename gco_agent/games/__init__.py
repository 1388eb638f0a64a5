"""The games, as data: a module for each, with one `GameSpec` in it.

* `spec`      what a specification is made of
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
from gco_agent.games.spec import Category, Field, GameSpec, Presence, Reference, Score

__all__ = [
    "GAMES",
    "HINTS",
    "Category",
    "Field",
    "GameSpec",
    "Hints",
    "Presence",
    "Reference",
    "Score",
    "describe_interface",
    "find_game",
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
    for spec in GAMES.values():
        if wanted in (_squash(spec.name), _squash(spec.title), _squash(spec.env_id)):
            return spec
    near = difflib.get_close_matches(wanted, [_squash(known) for known in GAMES], n=1, cutoff=0.5)
    hint = next((f" Did you mean {known}?" for known in GAMES if _squash(known) in near), "")
    raise UsageError(
        f"no game called {name!r}.{hint} `gco-agent games` lists them: {', '.join(GAMES)}."
    )


def _squash(name: str) -> str:
    base = name.lower().rpartition("/")[2].partition("-v")[0]
    return "".join(c for c in base if c.isalnum())
