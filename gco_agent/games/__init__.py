"""The games, as data: a module for each first-class game, with one `GameSpec` in it.

* `spec`      what a specification is made of
* `generated` games and environments without a module of their own
* `describe`  the text of a specification for a language model

An installed package can add games: an entry point of the group ``gco_agent.games`` names a
`GameSpec`, as ``corridor = "my_package.corridor:SPEC"``.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Mapping
from importlib.metadata import entry_points

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
    Stage,
    random_policy,
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
    "Stage",
    "describe_interface",
    "every_game",
    "find_game",
    "generated_games",
    "imports_code",
    "installed_games",
    "likeness",
    "measured",
    "nearest_game",
    "random_policy",
    "why_not_played",
]

GROUP = "gco_agent.games"
_MODULES = (pong, breakout, space_invaders, freeway, asterix, enduro, qbert, seaquest)
GAMES: Mapping[str, GameSpec] = {module.SPEC.name: module.SPEC for module in _MODULES}
"""The first-class games by name."""
_LIKE = 0.6


def find_game(name: str) -> GameSpec:
    """Return the game called ``name``: "pong", "SpaceInvaders", "ALE/Pong-v5".

    Raises:
        UsageError: There is none; the message suggests the nearest.
    """
    wanted = _squash(name)
    games = every_game()
    for group in (every_game, installed_games):  # packages are only imported if need be
        for spec in group().values():
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
    """Return why a game cannot be played with objects; empty if it can, or was never tried."""
    tried = [each for each in measured().values() if _squash(each.name) == _squash(name)]
    return tried[0].why if tried else ""


def nearest_game(name: str) -> str:
    """Return the name of the game most similar to ``name``."""
    names = [*every_game(), *installed_games()]
    return max(names, key=lambda game: likeness(name, game))


def likeness(one: str, other: str) -> float:
    """Return the similarity of two names of games or environments, from 0 to 1."""
    return difflib.SequenceMatcher(None, _squash(one), _squash(other)).ratio()


def imports_code(name: str) -> bool:
    """Return whether ``name`` refers to code to import: ``FILE.py`` or ``module:id``.

    Such code runs outside the jail, so such a name has to come from a person.
    """
    return name.endswith(".py") or ":" in name


def generated_games() -> Mapping[str, GameSpec]:
    """Return the Atari games with a generated specification, by name."""
    return {name: spec for name, spec in described_by_play().items() if name not in GAMES}


def every_game() -> Mapping[str, GameSpec]:
    """Return all Atari games by name, the first-class ones first."""
    return {**GAMES, **generated_games()}


@functools.cache
def installed_games() -> Mapping[str, GameSpec]:
    """Return the games of installed packages by name; a name that is taken is ignored.

    Raises:
        UsageError: A package offers something else, or cannot be imported.
    """
    found: dict[str, GameSpec] = {}
    for point in entry_points(group=GROUP):
        package = point.dist.name if point.dist else "an installed package"
        try:
            spec = point.load()
        except Exception as error:
            raise UsageError(
                f"the game {point.name!r} of {package} cannot be loaded ({point.value}): {error}"
            ) from error
        if not isinstance(spec, GameSpec):
            raise UsageError(f"{point.value} of {package} is not a GameSpec")
        if spec.name not in every_game():
            found[spec.name] = spec if spec.has_objects else spec.in_module(point.module)
    return found


def _squash(name: str) -> str:
    base = name.lower().rpartition("/")[2].partition("-v")[0]
    return "".join(c for c in base if c.isalnum())
