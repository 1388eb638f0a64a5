"""The games, as data: one `GameSpec` each.

Reference scores: random and human from Mnih et al. 2015 (doi:10.1038/nature14236, extended data
table 2) as kept in deepmind/dqn_zoo's atari_data.py.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

from gco_agent.errors import UsageError


@dataclass(frozen=True, slots=True)
class GameSpec:
    """What is known of a game before it is played.

    Attributes:
        name: In snake case, as ALE names the ROM; also the name of the policy file.
        title: As people write it.
        env_id: Gymnasium id of the game observed as objects.
        goal: What earns reward, in one sentence.
        random_return: Mean return of uniformly random play.
        human_return: Mean return of a professional games tester.
    """

    name: str
    title: str
    env_id: str
    goal: str
    random_return: float
    human_return: float

    @property
    def policy_path(self) -> str:
        """Where the policy lives in a repository, with forward slashes."""
        return f"policies/{self.name}.py"

    def initial_policy(self) -> str:
        """Text of the policy that a run starts from."""
        return resources.files("gco_agent.initial").joinpath(f"{self.name}.py").read_text("utf-8")


def _spec(name: str, title: str, goal: str, random_return: float, human_return: float) -> GameSpec:
    camel = "".join(word.capitalize() for word in name.split("_"))
    return GameSpec(name, title, f"gco/{camel}-v5", goal, random_return, human_return)


GAMES: Mapping[str, GameSpec] = {
    spec.name: spec
    for spec in (
        _spec(
            "pong",
            "Pong",
            "Return the ball; +1 when the opponent misses, -1 when you miss, to 21 points.",
            -20.7,
            14.6,
        ),
        _spec(
            "breakout",
            "Breakout",
            "Keep the ball in play and break bricks; 1 to 7 points a brick, five lives.",
            1.7,
            30.5,
        ),
        _spec(
            "space_invaders",
            "Space Invaders",
            "Shoot aliens, 5 to 30 points each, and do not be shot; three lives.",
            148.0,
            1668.7,
        ),
        _spec(
            "freeway",
            "Freeway",
            "Cross ten lanes of cars as often as possible in two minutes; 1 point a crossing.",
            0.0,
            29.6,
        ),
        _spec(
            "asterix",
            "Asterix",
            "Collect what floats by and avoid the lyres; three lives.",
            210.0,
            8503.3,
        ),
        _spec(
            "enduro",
            "Enduro",
            "Pass cars without hitting them; a point a car, a quota a day.",
            0.0,
            860.5,
        ),
        _spec(
            "qbert",
            "Q*bert",
            "Hop on every cube to change its colour and stay clear of what hunts you.",
            163.9,
            13455.0,
        ),
        _spec(
            "seaquest",
            "Seaquest",
            "Shoot sharks and submarines, bring divers up, surface before the air is gone.",
            68.4,
            42054.7,
        ),
    )
}


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
