"""Programs as the search holds them: small typed trees that turn into Python and into JSON.

A program is a decision list for each axis that the player can move on, a rule for the fire
button, and a dead zone. Nothing here knows a game: categories, axes and actions come from
`gco_agent.optimizers.search.world`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

Axis = Literal["x", "y"]
Choice = Literal[
    "nearest", "nearest_in_x", "nearest_in_y", "highest", "lowest", "leftmost", "rightmost",
    "least", "most",
]  # fmt: skip
CHOICES: tuple[Choice, ...] = (
    "nearest",
    "nearest_in_x",
    "nearest_in_y",
    "highest",
    "lowest",
    "leftmost",
    "rightmost",
)
"""By where an object is; the other two are by the number that it shows."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A number that mutation and CMA-ES may move.

    Attributes:
        value: What it is now.
        scale: How far a typical change goes, in the same unit.
    """

    value: float
    scale: float


@dataclass(frozen=True, slots=True)
class Pick:
    """One object of a category, chosen by where it is."""

    category: str
    choice: Choice


@dataclass(frozen=True, slots=True)
class Threat:
    """The object that would first reach a point beside the player.

    Attributes:
        shift_x: Where that point is, in pixels right of the player's centre.
        shift_y: And below it.
        margin: Pixels by which it may pass and still count.
    """

    category: str
    shift_x: Constant
    shift_y: Constant
    margin: Constant


Subject = Pick | Threat


@dataclass(frozen=True, slots=True)
class Approaching:
    """It moves towards the player on an axis (or away from it)."""

    axis: Axis
    away: bool


@dataclass(frozen=True, slots=True)
class Distance:
    """It is nearer than a limit on an axis (or farther)."""

    axis: Axis
    farther: bool
    limit: Constant


@dataclass(frozen=True, slots=True)
class Side:
    """It is beyond a line beside the player: to the right of it or below (or before that line)."""

    axis: Axis
    before: bool
    line: Constant


@dataclass(frozen=True, slots=True)
class Place:
    """It is beyond a place on the screen (or before it)."""

    axis: Axis
    before: bool
    place: Constant


@dataclass(frozen=True, slots=True)
class Heading:
    """It moves right or down (or left or up)."""

    axis: Axis
    negative: bool


@dataclass(frozen=True, slots=True)
class ContactSoon:
    """It will touch the player, or the point a `Threat` watches, within so many steps."""

    steps: Constant
    margin: Constant


@dataclass(frozen=True, slots=True)
class WillHit:
    """It will cross the player's row or column within so many pixels of the player."""

    axis: Axis
    reach: Constant


@dataclass(frozen=True, slots=True)
class FewerThan:
    """There are fewer than so many of its category."""

    count: Constant


@dataclass(frozen=True, slots=True)
class Reading:
    """The number that the first of a category shows is below a limit (or above it)."""

    category: str
    below: bool
    limit: Constant


@dataclass(frozen=True, slots=True)
class Count:
    """There are fewer than so many of a category, whatever the rule is about (or not fewer)."""

    category: str
    fewer: bool
    count: Constant


Relation = Approaching | Distance | Side | Place | Heading | ContactSoon | WillHit | FewerThan
"""Conditions on what a rule is about."""
State = Reading | Count
"""Conditions on the rest of the screen."""
Guard = Relation | State


@dataclass(frozen=True, slots=True)
class Track:
    """Be where the object is, ``steps`` steps on, plus an offset."""

    steps: Constant | None
    offset: Constant | None


@dataclass(frozen=True, slots=True)
class Aim:
    """Meet it off centre, in proportion to where something else is."""

    at: Pick
    gain: Constant
    limit: Constant


@dataclass(frozen=True, slots=True)
class Intercept:
    """Be where the object will cross, bouncing off the walls, plus an offset."""

    offset: Constant | None
    aim: Aim | None


@dataclass(frozen=True, slots=True)
class Flee:
    """Go away from the object, or from where it will cross."""

    distance: Constant
    from_crossing: bool


@dataclass(frozen=True, slots=True)
class GoTo:
    """Go to a place on the screen."""

    place: Constant


@dataclass(frozen=True, slots=True)
class Stay:
    """Do not move on this axis."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """Go to and fro across the range the player was seen in."""

    period: Constant


Target = Track | Intercept | Flee | GoTo | Stay | Sweep


@dataclass(frozen=True, slots=True)
class Rule:
    """If the subject is there and the guards hold, the target decides this axis."""

    axis: Axis
    subject: Subject | None
    guards: tuple[Guard, ...]
    target: Target


@dataclass(frozen=True, slots=True)
class Press:
    """If the subject is there and the guards hold, play this action, whatever the rules say."""

    action: int
    subject: Subject | None
    guards: tuple[Guard, ...]


@dataclass(frozen=True, slots=True)
class Pulse:
    """Every so many steps."""

    period: Constant


@dataclass(frozen=True, slots=True)
class Missing:
    """While nothing of a category is on the screen."""

    category: str


@dataclass(frozen=True, slots=True)
class Always:
    """At every step."""


@dataclass(frozen=True, slots=True)
class When:
    """While the subject is there and the guards hold."""

    subject: Subject
    guards: tuple[Guard, ...]


Trigger = Pulse | Missing | Always | When


@dataclass(frozen=True, slots=True)
class Worth:
    """What contact with a category is worth to a `Plan`.

    Attributes:
        points: Positive to seek contact, negative to avoid it.
        margin: Pixels by which boxes may miss each other and still touch; negative where they have
            to overlap.
        line_up: None for contact itself. An axis to be level on it instead, at any distance on the
            other, as for a shot that flies along that.
        lead: Steps that such a shot takes for each pixel.
    """

    category: str
    points: Constant
    margin: Constant
    line_up: Axis | None
    lead: Constant


@dataclass(frozen=True, slots=True)
class Plan:
    """Move along the best path through where things will be, found anew at every step.

    Attributes:
        worths: Categories that count.
        home_x: Place to prefer, where nothing else decides; None for none.
        home_y: The same on the other axis.
        pull: Points that a step a hundred pixels from home costs.
        stride_x: Pixels that the player moves in a step; 0 where it does not move on the axis.
        stride_y: The same on the other axis.
        late: Steps by which things may come sooner or later than predicted.
        horizon: Steps to look ahead.
    """

    worths: tuple[Worth, ...]
    home_x: Constant | None
    home_y: Constant | None
    pull: Constant
    stride_x: Constant
    stride_y: Constant
    late: Constant
    horizon: Constant


@dataclass(frozen=True, slots=True)
class Program:
    """A whole policy.

    Attributes:
        rules: For each axis the first that applies decides.
        presses: The first that applies comes before all rules.
        fire: The button is pressed when any of these says so.
        dead_zone: Pixels off target that are good enough.
        coasting: Steps of its present movement that the player still makes once let go.
        plan: Decides how to move, and the rules do not; None where they do.
    """

    rules: tuple[Rule, ...]
    presses: tuple[Press, ...]
    fire: tuple[Trigger, ...]
    dead_zone: Constant
    coasting: Constant
    plan: Plan | None = None


T = TypeVar("T")


def constants(node: object) -> Iterator[Constant]:
    """Every constant of a tree, in a fixed order."""
    if isinstance(node, Constant):
        yield node
    elif isinstance(node, tuple):
        for item in node:
            yield from constants(item)
    elif dataclasses.is_dataclass(node) and not isinstance(node, type):
        for part in dataclasses.fields(node):
            yield from constants(getattr(node, part.name))


def with_values(node: T, values: Sequence[float]) -> T:
    """The same tree with other numbers, one for each of `constants`, in that order."""
    changed: T = _replace(node, iter(values))
    return changed


def _replace(node: Any, numbers: Iterator[float]) -> Any:  # noqa: ANN401 - trees of any node
    if isinstance(node, Constant):
        return Constant(float(next(numbers)), node.scale)
    if isinstance(node, tuple):
        return tuple(_replace(item, numbers) for item in node)
    if dataclasses.is_dataclass(node) and not isinstance(node, type):
        parts = {f.name: _replace(getattr(node, f.name), numbers) for f in dataclasses.fields(node)}
        return type(node)(**parts)
    return node


def niche(program: Program) -> tuple[str, ...]:
    """The kind of program: for each axis what its most general rule does, and about what."""
    if program.plan is not None:
        return tuple(
            sorted(
                f"{'seek' if w.points.value > 0 else 'avoid'} {w.category} {w.line_up or ''}"
                for w in program.plan.worths
            )
        )
    kinds = []
    for axis in ("x", "y"):
        rules = [rule for rule in program.rules if rule.axis == axis]
        if rules:
            main = min(rules, key=lambda rule: len(rule.guards))
            about = main.subject.category if main.subject is not None else ""
            aim = main.target.aim if isinstance(main.target, Intercept) else None
            aimed = f" by {aim.at.category}" if aim is not None else ""
            kinds.append(f"{axis}: {type(main.target).__name__} {about}{aimed}")
    return tuple(kinds)


def to_json(node: object) -> Any:  # noqa: ANN401 - JSON
    """The tree as JSON data; `gco_agent.optimizers.search.memory` reads it back."""
    if isinstance(node, tuple):
        return [to_json(item) for item in node]
    if dataclasses.is_dataclass(node) and not isinstance(node, type):
        parts = {f.name: to_json(getattr(node, f.name)) for f in dataclasses.fields(node)}
        return {"is": type(node).__name__, **parts}
    return node
