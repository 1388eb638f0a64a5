"""The games that nobody described by hand: what was found out about them by playing.

``generated.json`` is written by ``scripts/make_games``, which plays every game that OCAtari has an
extraction for.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from gco_agent.games.spec import MNIH, Category, GameSpec, Presence, Score

FILE = "generated.json"
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")


@dataclass(frozen=True, slots=True)
class Measured:
    """What playing a game showed.

    Attributes:
        name: In snake case.
        why: What is broken upstream; "" if it can be played.
        steps_per_second: Of random play with objects, on the machine that it was measured on.
        random_return: Mean return of random play under the default protocol.
        random_se: Its standard error.
        n_episodes: Episodes that these are over.
    """

    name: str
    why: str
    steps_per_second: int
    random_return: float | None
    random_se: float | None
    n_episodes: int


@functools.cache
def _records() -> Mapping[str, Any]:
    path = resources.files("gco_agent.games").joinpath(FILE)
    data: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return data


@functools.cache
def measured() -> Mapping[str, Measured]:
    """Every game that was tried, by name, the first-class ones too."""
    return {
        name: Measured(
            name,
            record["why"],
            record["steps_per_second"],
            record["random_return"],
            record["random_se"],
            record["n_episodes"],
        )
        for name, record in _records()["games"].items()
    }


@functools.cache
def described_by_play() -> Mapping[str, GameSpec]:
    """Specifications of the games that work, made from what was seen, by name."""
    return {
        name: _spec(name, record)
        for name, record in _records()["games"].items()
        if record["categories"] and not record["why"]
    }


def _spec(name: str, record: Mapping[str, Any]) -> GameSpec:
    scores = record["literature"] or ()
    camel = "".join(word.capitalize() for word in name.split("_"))
    return GameSpec(
        name=name,
        title=" ".join(word.capitalize() for word in name.split("_")),
        env_id=f"gco/{camel}-v5",
        goal="Make the score large.",
        actions=dict.fromkeys(record["actions"], ""),
        categories=tuple(_category(item) for item in record["categories"]),
        lives=record["lives"],
        scores=tuple(
            Score(label, value, MNIH)
            for label, value in zip(("random", "human"), scores, strict=False)
        ),
    )


def _category(item: Mapping[str, Any]) -> Category:
    words = " ".join(word.lower() for word in _WORD.findall(item["name"]))
    presence = Presence.ALWAYS if item["always"] else Presence.RARE
    return Category(
        item["name"],
        words,
        "always" if item["always"] else "at times",
        presence,
        most=item["most"],
        x=tuple(item["x"]),
        y=tuple(item["y"]),
        moves=item["moves"],
        value="a number that it shows" if item["value"] else "",
        orientation="the way it faces" if item["orientation"] else "",
    )
