"""Programs as the search holds them: small typed trees that turn into Python and into JSON.

A program moves the player by a `Plan` or by `Rules`, and presses the fire button by triggers.
Nothing here knows a game: categories, axes and actions come from
`gco_agent.optimizers.search.world`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

Axis = Literal["x", "y"]
Choice = Literal["nearest", "highest", "lowest", "leftmost", "rightmost"]
CHOICES: tuple[Choice, ...] = get_args(Choice)
Shows = Literal["anything", "the least", "the most"]


@dataclass(frozen=True, slots=True)
class Constant:
    """A number that mutation and CMA-ES may move.

    Attributes:
        scale: Size of a typical change, in the same unit.
    """

    value: float
    scale: float


@dataclass(frozen=True, slots=True)
class Pick:
    """One object of a category, chosen by where it is."""

    category: str
    choice: Choice


@dataclass(frozen=True, slots=True)
class Near:
    """The subject is nearer than a limit on an axis (or farther)."""

    axis: Axis
    farther: bool
    limit: Constant
    kind: Literal["near"] = "near"


@dataclass(frozen=True, slots=True)
class Approaching:
    """The subject moves towards the player on an axis (or away from it)."""

    axis: Axis
    away: bool
    kind: Literal["approaching"] = "approaching"


Guard = Near | Approaching


@dataclass(frozen=True, slots=True)
class Track:
    """Be where the subject is, ``steps`` steps on, plus an offset."""

    steps: Constant | None
    offset: Constant | None
    kind: Literal["track"] = "track"


@dataclass(frozen=True, slots=True)
class Aim:
    """Meet the subject off centre, in proportion to where something else is."""

    at: Pick
    gain: Constant
    limit: Constant


@dataclass(frozen=True, slots=True)
class Intercept:
    """Be where the subject will cross, bouncing off the walls, plus an offset."""

    offset: Constant | None
    aim: Aim | None
    kind: Literal["intercept"] = "intercept"


@dataclass(frozen=True, slots=True)
class GoTo:
    """Go to a place on the screen."""

    place: Constant
    kind: Literal["go to"] = "go to"


@dataclass(frozen=True, slots=True)
class Stay:
    """Do not move on this axis."""

    kind: Literal["stay"] = "stay"


Target = Track | Intercept | GoTo | Stay


@dataclass(frozen=True, slots=True)
class Rule:
    """If the subject is there and the guards hold, the target decides this axis."""

    axis: Axis
    subject: Pick | None
    guards: tuple[Guard, ...]
    target: Target


@dataclass(frozen=True, slots=True)
class Rules:
    """For each axis the first rule that applies decides.

    Attributes:
        dead_zone: Pixels off target that are good enough.
        coasting: Steps of its present movement that the player still makes once let go.
    """

    rules: tuple[Rule, ...]
    dead_zone: Constant
    coasting: Constant
    kind: Literal["rules"] = "rules"


@dataclass(frozen=True, slots=True)
class LineUp:
    """Be level with things on one axis, at a distance on the other: to shoot or to strike them.

    Attributes:
        lead: Steps that a shot takes for each pixel.
        reach: Pixels on the other axis beyond which it is worth nothing; None for any distance.
    """

    axis: Axis
    lead: Constant
    reach: Constant | None


@dataclass(frozen=True, slots=True)
class Worth:
    """What contact with a category is worth to a `Plan`.

    Attributes:
        points: Positive to seek contact, negative to avoid it.
        margin: Pixels by which boxes may miss each other and still touch; negative where they have
            to overlap. Of things lined up: pixels between centres that are allowed.
        line_up: In the place of contact itself; None for contact.
        shows: Only what shows this, of all numbers that the category is seen to show.
    """

    category: str
    points: Constant
    margin: Constant
    line_up: LineUp | None
    shows: Shows = "anything"


@dataclass(frozen=True, slots=True)
class Need:
    """While a gauge is low, be at another place than home."""

    category: str
    limit: Constant
    axis: Axis
    place: Constant
    pull: Constant


@dataclass(frozen=True, slots=True)
class Anchor:
    """A home that moves with a thing: at a distance from it, on the side where the player is.

    Attributes:
        off_x: Pixels between centres; None where the plan's own home counts.
        off_y: The same in y.
    """

    subject: Pick
    off_x: Constant | None
    off_y: Constant | None


@dataclass(frozen=True, slots=True)
class Plan:
    """Move along the best path through predicted places, planned again at every step.

    Attributes:
        home_x: Place to prefer, where nothing else decides; None for none.
        pull: Points that a step a hundred pixels from home costs.
        stride_x: Pixels of a move; 0 where the player does not move on the axis.
        tempo: Steps that a move takes; None for one.
        late: Steps by which things may come sooner or later than predicted.
        memory: Steps that the speed of a thing is averaged over: what moves two pixels a step is
            often seen to move four in every other one.
        turn: Points for turning to what is lined up behind; None where that does not count.
        anchor: What the home moves with while it is on the screen; None for a fixed home.
    """

    worths: tuple[Worth, ...]
    home_x: Constant | None
    home_y: Constant | None
    pull: Constant
    stride_x: Constant
    stride_y: Constant
    tempo: Constant | None
    late: Constant
    memory: Constant
    horizon: Constant
    turn: Constant | None
    anchor: Anchor | None
    need: Need | None
    kind: Literal["plan"] = "plan"


@dataclass(frozen=True, slots=True)
class Pulse:
    """Press once in every ``period`` steps."""

    period: Constant
    kind: Literal["pulse"] = "pulse"


@dataclass(frozen=True, slots=True)
class Missing:
    """Press while nothing of a category is on the screen."""

    category: str
    kind: Literal["missing"] = "missing"


@dataclass(frozen=True, slots=True)
class Always:
    """Press at every step."""

    kind: Literal["always"] = "always"


@dataclass(frozen=True, slots=True)
class When:
    """Press while the subject is there and the guards hold."""

    subject: Pick
    guards: tuple[Guard, ...]
    kind: Literal["when"] = "when"


Trigger = Pulse | Missing | Always | When


@dataclass(frozen=True, slots=True)
class Program:
    """A whole policy."""

    moves: Plan | Rules
    fire: tuple[Trigger, ...]


T = TypeVar("T")


def nodes(node: object) -> Iterator[Any]:
    """Yield every record of a tree, in a fixed order, parents first."""
    if isinstance(node, tuple):
        for item in node:
            yield from nodes(item)
    elif dataclasses.is_dataclass(node):
        yield node
        for part in dataclasses.fields(node):
            yield from nodes(getattr(node, part.name))


def constants(node: object) -> list[Constant]:
    """Return every constant of a tree, in a fixed order."""
    return [part for part in nodes(node) if isinstance(part, Constant)]


def with_values(node: T, values: Sequence[float]) -> T:
    """Return the same tree with other numbers, one for each of `constants`, in that order."""
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


def parts_of(program: Program) -> list[tuple[str, int, int]]:
    """Return everything that could be left out of a program; whole rules before their guards."""
    found = [("fire", i, 0) for i in range(len(program.fire))]
    if isinstance(program.moves, Plan):
        anchor = [("anchor", 0, 0)] if program.moves.anchor else []
        return [*(("worth", i, 0) for i in range(len(program.moves.worths))), *anchor, *found]
    rules = program.moves.rules
    found = [*(("rule", i, 0) for i in range(len(rules))), *found]
    return found + [
        ("guard", i, j) for i, rule in enumerate(rules) for j in range(len(rule.guards))
    ]


def without(program: Program, parts: set[tuple[str, int, int]]) -> Program:
    """Return ``program`` less ``parts``, which are some of `parts_of`."""
    fire = tuple(t for i, t in enumerate(program.fire) if ("fire", i, 0) not in parts)
    moves = program.moves
    if isinstance(moves, Plan):
        worths = tuple(w for i, w in enumerate(moves.worths) if ("worth", i, 0) not in parts)
        anchor = None if ("anchor", 0, 0) in parts else moves.anchor
        return Program(dataclasses.replace(moves, worths=worths, anchor=anchor), fire)
    rules = [
        dataclasses.replace(
            rule, guards=tuple(g for j, g in enumerate(rule.guards) if ("guard", i, j) not in parts)
        )
        for i, rule in enumerate(moves.rules)
        if ("rule", i, 0) not in parts
    ]
    return Program(dataclasses.replace(moves, rules=tuple(rules)), fire)


def niche(program: Program) -> str:
    """Return the kind of program: its structure without numbers."""
    moves = program.moves
    if isinstance(moves, Plan):
        kinds = sorted(
            f"{'seek' if w.points.value > 0 else 'avoid'} {w.category}"
            f"{' on ' + w.line_up.axis if w.line_up else ''}"
            for w in moves.worths
        )
        beside = [f"beside {moves.anchor.subject.category}"] if moves.anchor else []
        return "; ".join(["plan", *kinds, *beside])
    kinds = []
    for axis in ("x", "y"):
        rules = [rule for rule in moves.rules if rule.axis == axis]
        if rules:
            main = min(rules, key=lambda rule: len(rule.guards))
            about = main.subject.category if main.subject is not None else ""
            aim = main.target.aim if isinstance(main.target, Intercept) else None
            aimed = f" by {aim.at.category}" if aim is not None else ""
            kinds.append(f"{axis}: {main.target.kind} {about}{aimed}")
    return "; ".join(kinds)


def pick_words(pick: Pick) -> str:
    """Return the object meant, with its article."""
    return f"the {pick.choice} {pick.category}"


def rule_words(rule: Rule) -> str:
    """Return what a rule does and when, in one clause without a full stop."""
    name = "it" if rule.subject is None else pick_words(rule.subject)
    text = _target_words(rule, name)
    conditions = " and ".join(_guard_words(guard) for guard in rule.guards)
    if rule.subject is not None and isinstance(rule.target, GoTo | Stay):
        return f"{text} while {name} {conditions or 'is there'}"
    return f"{text} while it {conditions}" if conditions else text


def headline(program: Program) -> str:
    """Return the program in a few words: on each axis the most general rule about a thing."""
    if isinstance(program.moves, Plan):
        return plan_words(program.moves)
    parts = []
    for axis in ("x", "y"):
        rules = [rule for rule in program.moves.rules if rule.axis == axis]
        if rules:
            main = min(rules, key=lambda r: (isinstance(r.target, GoTo | Stay), len(r.guards)))
            name = pick_words(main.subject) if main.subject is not None else "it"
            text = _target_words(main, name.replace("the nearest ", "the "))
            parts.append(text.replace("meet", "intercept").replace(" where it will cross", ""))
    return ", ".join(dict.fromkeys(parts)) or "press buttons"


def plan_words(plan: Plan) -> str:
    """Return what a plan goes for and keeps clear of."""
    seek = [w.category for w in plan.worths if w.points.value > 0 and w.line_up is None]
    line_up = [w.category for w in plan.worths if w.points.value > 0 and w.line_up is not None]
    avoid = [w.category for w in plan.worths if w.points.value <= 0]
    beside = [pick_words(plan.anchor.subject).removeprefix("the nearest ")] if plan.anchor else []
    kinds = (("to", seek), ("level with", line_up), ("beside", beside), ("clear of", avoid))
    parts = [f"{how} {' and '.join(dict.fromkeys(names))}" for how, names in kinds if names]
    return "plan a path " + (", ".join(parts) or "home")


def _target_words(rule: Rule, name: str) -> str:
    match rule.target:
        case Intercept(_, aim):
            text = f"meet {name} where it will cross"
            return text + (f", aimed by {pick_words(aim.at)}" if aim else "")
        case Track(steps, _):
            return f"go where {name} will be soon" if steps else f"go to {name}"
        case GoTo(place):
            return f"go to {rule.axis} = {place.value:.0f}"
        case Stay():
            return "stay"


def _guard_words(guard: Guard) -> str:
    match guard:
        case Approaching(axis, away):
            return f"{'leaves' if away else 'comes'} in {axis}"
        case Near(axis, farther, _):
            return f"is {'far' if farther else 'near'} in {axis}"
