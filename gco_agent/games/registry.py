"""The games there are: first-class, generated, installed by a package, or documented by Gymnasium.

* ``atari/NAME.toml``   a first-class game, with its initial policy
* ``generated.json``    what ``scripts/make_games`` saw in playing every game that OCAtari extracts
* ``gymnasium.toml``    what Gymnasium's documentation says of its environments

An installed package can add games: an entry point of the group ``gco_agent.games`` names a
`GameSpec`, as ``corridor = "my_package.corridor:SPEC"``.
"""

from __future__ import annotations

import difflib
import functools
import json
import math
import re
import tomllib
from collections.abc import Mapping
from importlib import resources
from importlib.metadata import entry_points
from typing import Any

from gco_agent.core.errors import UsageError
from gco_agent.core.text import shorten
from gco_agent.games.spec import (
    Category,
    Control,
    Field,
    GameSpec,
    Reference,
    Stage,
    published,
)

GROUP = "gco_agent.games"
_FILES = resources.files("gco_agent.games")
_LIKE = 0.6
_LEAST: Mapping[str, float | None] = {
    "boxing": -100,
    "fishing_derby": -99,
    "tennis": -24,
    **dict.fromkeys(("double_dunk", "ice_hockey", "pitfall", "private_eye", "skiing")),
}
"""Smallest possible returns of games with negative rewards; None where there is no bound."""
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")


def find_game(name: str) -> GameSpec:
    """Return the game called ``name``: "pong", "SpaceInvaders", "ALE/Pong-v5"."""
    wanted = _squash(name)
    for group in (every_game, installed_games):  # packages are only imported if need be
        for spec in group().values():
            if wanted and wanted in (_squash(spec.name), _squash(spec.title), _squash(spec.env_id)):
                return spec
    if why := why_not_played(name):
        raise UsageError(f"{name} cannot be played with objects: {why.rstrip('.')}.")
    near = nearest_game(name)
    hint = f" Did you mean {near}?" if likeness(name, near) >= _LIKE else ""
    raise UsageError(
        f"no game called {shorten(name)!r}.{hint} `gco-agent games` lists them: "
        f"{', '.join(GAMES)} and {len(generated_games())} more."
    )


def why_not_played(name: str) -> str:
    """Return why a game cannot be played with objects; empty if it can, or was never tried."""
    return next((why for game, why in broken_games().items() if _squash(game) == _squash(name)), "")


def nearest_game(name: str) -> str:
    """Return the name of the game most similar to ``name``."""
    return max((*every_game(), *installed_games()), key=lambda game: likeness(name, game))


def likeness(one: str, other: str) -> float:
    """Return the similarity of two names of games or environments, from 0 to 1."""
    return difflib.SequenceMatcher(None, _squash(one), _squash(other)).ratio()


def imports_code(name: str) -> bool:
    """Return whether ``name`` refers to code to import: ``FILE.py`` or ``module:id``.

    Such code runs outside the jail, so such a name has to come from a person.
    """
    return name.endswith(".py") or ":" in name


def every_game() -> Mapping[str, GameSpec]:
    """Return all Atari games by name, the first-class ones first."""
    return {**GAMES, **generated_games()}


@functools.cache
def installed_games() -> Mapping[str, GameSpec]:
    """Return the games of installed packages by name; the first of a name counts."""
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


# First-class games


def _first_class() -> Mapping[str, GameSpec]:
    files = {path.name.removesuffix(".toml"): path for path in (_FILES / "atari").iterdir()}
    return {
        name: _from_file(name, _tidied(tomllib.loads(path.read_text("utf-8"))))
        for name, path in sorted(files.items())
    }


def _from_file(name: str, data: dict[str, Any]) -> GameSpec:
    """Return the specification in a file; a key that is not a field is a TypeError."""
    return GameSpec(
        name=name,
        env_id=_env_id(name),
        categories=tuple(Category(**part) for part in data.pop("categories")),
        stages=tuple(Stage(**part) for part in data.pop("stages")),
        scores=published(data.pop("scores"), data.pop("score_notes", {})),
        reference=Reference(**data.pop("reference")),
        **data,
    )


def _tidied(value: Any) -> Any:  # noqa: ANN401 - what TOML may hold
    """Return ``value`` with tuples for lists, and all text but policies on one line."""
    match value:
        case str():
            return " ".join(value.split())
        case list():
            return tuple(map(_tidied, value))
        case dict():
            return {k: part if k == "start" else _tidied(part) for k, part in value.items()}
    return value


def _env_id(name: str) -> str:
    return f"gco/{''.join(word.capitalize() for word in name.split('_'))}-v5"


GAMES: Mapping[str, GameSpec] = _first_class()


# Games described by playing them


@functools.cache
def _records() -> Mapping[str, Any]:
    games: dict[str, Any] = json.loads((_FILES / "generated.json").read_text("utf-8"))["games"]
    return games


@functools.cache
def broken_games() -> Mapping[str, str]:
    """Return what is broken upstream of each game that cannot be played, by its name."""
    return {name: record["why"] for name, record in _records().items() if record["why"]}


@functools.cache
def generated_games() -> Mapping[str, GameSpec]:
    """Return the Atari games with a generated specification, by name."""
    return {
        name: _generated(name, record)
        for name, record in _records().items()
        if name not in GAMES and record["categories"] and not record["why"]
    }


def _generated(name: str, record: Mapping[str, Any]) -> GameSpec:
    scores = record["literature"] or ()
    return GameSpec(
        name=name,
        title=name.replace("_", " ").title(),
        env_id=_env_id(name),
        goal="Make the score large.",
        actions=dict.fromkeys(record["actions"], ""),
        categories=tuple(_category(item) for item in record["categories"]),
        lives=record["lives"],
        least=_LEAST.get(name, 0.0 if scores else None),
        scores=published(dict(zip(("random", "human"), scores, strict=False)), {}),
    )


def _category(item: Mapping[str, Any]) -> Category:
    return Category(
        item["name"],
        " ".join(word.lower() for word in _WORD.findall(item["name"])),
        "always" if item["always"] else "at times",
        most=item["most"],
        x=tuple(item["x"]),
        y=tuple(item["y"]),
        moves=item["moves"],
        value="a number that it shows" if item["value"] else "",
        orientation="the way it faces" if item["orientation"] else "",
    )


# Environments of Gymnasium


@functools.cache
def documented() -> Mapping[str, GameSpec]:
    """Return what is documented of Gymnasium's environments, by id without namespace and version.

    Name and id are left to the environment, and so are the bounds of its controls.
    """
    data = _tidied(tomllib.loads((_FILES / "gymnasium.toml").read_text("utf-8")))
    return {name: _documented(name, part) for name, part in data.items()}


def _documented(title: str, data: dict[str, Any]) -> GameSpec:
    return GameSpec(
        name="",
        title=title,
        env_id="",
        fields=tuple(Field(*pair) for pair in data.pop("fields").items()),
        controls=tuple(
            Control(-math.inf, math.inf, meaning) for meaning in data.pop("controls", ())
        ),
        **data,
    )
