"""Names for the numbers of well-known environments, as Gymnasium's documentation describes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gco_agent.games.spec import Field


@dataclass(frozen=True, slots=True)
class Documented:
    """What is documented of one environment.

    Attributes:
        goal: What earns reward, in one sentence.
        fields: Of the observation, in order; empty where nobody names them.
        actions: Word to meaning, in the order of the indices; empty where actions are numbers.
        controls: What the numbers of an action are, where it is made of numbers.
        most_a_step: The most that a step can earn; None where that does not bound an episode well.
    """

    goal: str
    fields: tuple[Field, ...] = ()
    actions: Mapping[str, str] = field(default_factory=dict)
    controls: tuple[str, ...] = ()
    most_a_step: float | None = None


def _fields(text: str) -> tuple[Field, ...]:
    """``name: meaning`` lines as fields."""
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
