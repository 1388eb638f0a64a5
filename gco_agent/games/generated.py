"""Games and environments without a module of their own.

Atari games were described by playing them: ``scripts/make_games`` plays every game that OCAtari
has an extraction for, and writes ``generated.json``. Names for the numbers of well-known Gymnasium
environments (`DOCUMENTED`) are those of Gymnasium's documentation.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from gco_agent.games.spec import MNIH, Category, Field, GameSpec, Presence, Score

FILE = "generated.json"
_LEAST: Mapping[str, float | None] = {
    "boxing": -100,
    "fishing_derby": -99,
    "tennis": -24,
    **dict.fromkeys(("double_dunk", "ice_hockey", "pitfall", "private_eye", "skiing")),
}
"""Smallest possible returns of games with negative rewards; None where there is no bound."""
_MEASURED = ("why", "steps_per_second", "random_return", "random_se", "n_episodes")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")


@dataclass(frozen=True, slots=True)
class Measured:
    """What playing a game showed.

    Attributes:
        name: In snake case.
        why: What is broken upstream; "" if it can be played.
        steps_per_second: Of random play with objects, on the machine that measured it.
        random_return: Mean return of random play under the default protocol.
        random_se: Its standard error.
        n_episodes: Number of episodes.
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
    """Return every game that was tried, by name, the first-class ones too."""
    return {
        name: Measured(name, **{part: record[part] for part in _MEASURED})
        for name, record in _records()["games"].items()
    }


@functools.cache
def described_by_play() -> Mapping[str, GameSpec]:
    """Return specifications made from what was seen in play, by name."""
    return {
        name: _spec(name, record)
        for name, record in _records()["games"].items()
        if record["categories"] and not record["why"]
    }


def _spec(name: str, record: Mapping[str, Any]) -> GameSpec:
    scores = record["literature"] or ()
    words = [word.capitalize() for word in name.split("_")]
    return GameSpec(
        name=name,
        title=" ".join(words),
        env_id=f"gco/{''.join(words)}-v5",
        goal="Make the score large.",
        actions=dict.fromkeys(record["actions"], ""),
        categories=tuple(_category(item) for item in record["categories"]),
        lives=record["lives"],
        least=_LEAST.get(name, 0.0 if scores else None),
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


@dataclass(frozen=True, slots=True)
class Documented:
    """The documentation of a Gymnasium environment.

    Attributes:
        goal: What earns reward, in one sentence.
        fields: Of the observation, in order.
        actions: Word to meaning, in the order of the indices; empty where actions are numbers.
        controls: Meanings of the numbers of an action, where it is made of numbers.
        most_a_step: Largest possible reward of a step, where that bounds a return well.
        least: Smallest possible return, where it is known.
    """

    goal: str
    fields: tuple[Field, ...] = ()
    actions: Mapping[str, str] = field(default_factory=dict)
    controls: tuple[str, ...] = ()
    most_a_step: float | None = None
    least: float | None = None


def _fields(text: str) -> tuple[Field, ...]:
    pairs = (line.strip().partition(": ") for line in text.strip().splitlines())
    return tuple(Field(name, meaning) for name, _, meaning in pairs)


_CAR = _fields(
    """
    position: of the car along the valley, -1.2 to 0.6
    velocity: of the car, -0.07 to 0.07
    """
)
_LANDER = _fields(
    """
    x: horizontal place, 0 above the pad
    y: height above the pad
    vx: horizontal speed
    vy: vertical speed, negative when it falls
    angle: in radians, positive to the left
    spin: angular speed
    left_leg: 1 while the left leg touches the ground, else 0
    right_leg: 1 while the right leg touches the ground, else 0
    """
)
_LAND = (
    "Land softly on the pad between the flags: closer and slower is better, a crash costs 100, "
    "rest earns 100, engines cost a little."
)

DOCUMENTED: Mapping[str, Documented] = {
    "CartPole": Documented(
        "Keep the pole upright: +1 a step until it leans over 12 degrees or the cart leaves.",
        _fields(
            """
            x: place of the cart, the middle is 0, the episode ends beyond 2.4
            speed: of the cart
            angle: of the pole in radians, positive to the right, the end is beyond 0.21
            spin: angular speed of the pole
            """
        ),
        {"LEFT": "pushes the cart left", "RIGHT": "pushes the cart right"},
        most_a_step=1,
        least=0,
    ),
    "MountainCar": Documented(
        "Reach position 0.5 up the right hill with a weak engine: -1 a step until then.",
        _CAR,
        {"LEFT": "accelerates left", "NOOP": "rolls", "RIGHT": "accelerates right"},
    ),
    "MountainCarContinuous": Documented(
        "Reach position 0.45 up the right hill with a weak engine: +100 there, force costs.",
        _CAR,
        controls=("force, positive to the right",),
    ),
    "Acrobot": Documented(
        "Swing the tip of a two-link pendulum above the bar by torque at the joint: -1 a step.",
        _fields(
            """
            cos1: cosine of the first angle, 1 hanging down
            sin1: sine of the first angle
            cos2: cosine of the second angle, relative to the first link
            sin2: sine of the second angle
            spin1: speed of the first angle
            spin2: speed of the second angle
            """
        ),
        {"LEFT": "torque -1", "NOOP": "no torque", "RIGHT": "torque +1"},
    ),
    "Pendulum": Documented(
        "Swing the pendulum up and hold it: a cost each step for angle, speed and torque.",
        _fields(
            """
            cos: cosine of the angle, 1 upright
            sin: sine of the angle
            spin: angular speed, -8 to 8
            """
        ),
        controls=("torque",),
    ),
    "LunarLander": Documented(
        _LAND,
        _LANDER,
        {
            "NOOP": "does nothing",
            "LEFT": "fires the left engine",
            "MAIN": "fires the main engine",
            "RIGHT": "fires the right engine",
        },
    ),
    "LunarLanderContinuous": Documented(
        _LAND, _LANDER, controls=("main engine, off below 0", "side engines")
    ),
    "HalfCheetah": Documented(
        "Run forward: the reward is speed less the cost of control.",
        _fields(
            """
            z: height of the front tip
            angle: of the front tip
            back_thigh: angle
            back_shin: angle
            back_foot: angle
            front_thigh: angle
            front_shin: angle
            front_foot: angle
            vx: speed of the front tip, forward
            vz: speed of the front tip, up
            spin: angular speed of the front tip
            back_thigh_spin: angular speed
            back_shin_spin: angular speed
            back_foot_spin: angular speed
            front_thigh_spin: angular speed
            front_shin_spin: angular speed
            front_foot_spin: angular speed
            """
        ),
        controls=(
            *("torque on back thigh", "torque on back shin", "torque on back foot"),
            *("torque on front thigh", "torque on front shin", "torque on front foot"),
        ),
    ),
}
"""By id without namespace and version."""
