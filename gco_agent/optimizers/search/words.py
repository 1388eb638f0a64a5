"""Programs in English: for comments, docstrings and commit messages."""

from __future__ import annotations

from gco_agent.optimizers.search.genome import (
    Approaching,
    ContactSoon,
    Count,
    Distance,
    FewerThan,
    Flee,
    GoTo,
    Guard,
    Heading,
    Intercept,
    Pick,
    Place,
    Plan,
    Program,
    Reading,
    Rule,
    Side,
    Stay,
    Subject,
    Sweep,
    Target,
    Threat,
    Track,
    WillHit,
)

_AIMLESS = GoTo | Stay | Sweep
_CHOICE_WORDS = {
    "nearest": "nearest",
    "nearest_in_x": "horizontally nearest",
    "nearest_in_y": "vertically nearest",
    "highest": "highest",
    "lowest": "lowest",
    "leftmost": "leftmost",
    "rightmost": "rightmost",
    "least": "least valued",
    "most": "most valued",
}


def subject_words(subject: Subject) -> str:
    """The object meant, with its article."""
    if isinstance(subject, Threat):
        return f"the {subject.category} that would hit first"
    return f"the {_CHOICE_WORDS[subject.choice]} {subject.category}"


def rule_words(rule: Rule) -> str:
    """What a rule does and when, in one clause without a full stop."""
    name = "it" if rule.subject is None else subject_words(rule.subject)
    text = _target_words(rule.target, name, rule.axis)
    conditions = [_guard_words(guard) for guard in rule.guards]
    if isinstance(rule.target, _AIMLESS) and isinstance(rule.subject, Pick | Threat):
        pronoun = subject_words(rule.subject)
        text += f" while {pronoun} " + (" and ".join(conditions) or "is there")
    elif conditions:
        text += " while it " + " and ".join(conditions)
    return text


def headline(program: Program) -> str:
    """The program in a few words: on each axis what the most general rule about a thing does."""
    if program.plan is not None:
        return plan_words(program.plan)
    parts = []
    for axis in ("x", "y"):
        rules = [rule for rule in program.rules if rule.axis == axis]
        if rules:
            main = min(rules, key=lambda r: (isinstance(r.target, _AIMLESS), len(r.guards)))
            parts.append(_brief_words(main))
    return ", ".join(dict.fromkeys(parts)) or "press buttons"


def plan_words(plan: Plan) -> str:
    """What a plan goes for and keeps clear of."""
    seek = [w.category for w in plan.worths if w.points.value > 0 and w.line_up is None]
    line_up = [w.category for w in plan.worths if w.points.value > 0 and w.line_up is not None]
    avoid = [w.category for w in plan.worths if w.points.value <= 0]
    kinds = (("to", seek), ("level with", line_up), ("clear of", avoid))
    parts = [f"{how} {' and '.join(dict.fromkeys(names))}" for how, names in kinds if names]
    return "plan a path " + (", ".join(parts) or "home")


def _brief_words(rule: Rule) -> str:
    """A rule's target in as few words as will do; the nearest of a kind is simply it."""
    name = "it" if rule.subject is None else _brief_subject(rule.subject)
    if isinstance(rule.target, Intercept):
        aim = rule.target.aim
        return f"intercept {name}" + (f", aimed by {_brief_subject(aim.at)}" if aim else "")
    return _target_words(rule.target, name, rule.axis)


def _brief_subject(subject: Subject) -> str:
    return subject_words(subject).replace("the nearest ", "the ")


def _target_words(target: Target, name: str, axis: str) -> str:
    if isinstance(target, Intercept):
        text = f"meet {name} where it will cross"
        return text + (f", aimed by {subject_words(target.aim.at)}" if target.aim else "")
    if isinstance(target, Track):
        return f"go where {name} will be soon" if target.steps else f"go to {name}"
    if isinstance(target, Flee):
        return f"keep away from {'where ' if target.from_crossing else ''}{name}" + (
            " will cross" if target.from_crossing else ""
        )
    if isinstance(target, GoTo):
        return f"go to {axis} = {target.place.value:.0f}"
    return "stay" if isinstance(target, Stay) else "sweep to and fro"


def _guard_words(guard: Guard) -> str:  # noqa: C901, PLR0911, PLR0912 - a line a kind
    match guard:
        case Approaching(axis, away):
            return f"{'leaves' if away else 'comes'} in {axis}"
        case Distance(axis, farther, _):
            return f"is {'far' if farther else 'near'} in {axis}"
        case Side("x", before, _):
            return f"is more to the {'left' if before else 'right'}"
        case Side(_, before, _):
            return f"is {'higher' if before else 'lower'}"
        case Place("x", before, _):
            return f"is on the {'left' if before else 'right'} of the screen"
        case Place(_, before, _):
            return f"is in the {'upper' if before else 'lower'} part of the screen"
        case Heading("x", negative):
            return f"moves {'left' if negative else 'right'}"
        case Heading(_, negative):
            return f"moves {'up' if negative else 'down'}"
        case ContactSoon():
            return "is about to touch"
        case WillHit():
            return "will cross close by"
        case FewerThan():
            return "is one of few"
        case Reading(category, below, _):
            return f"is there with {'little' if below else 'much'} {category}"
        case Count(category, fewer, _):
            return f"is there with {'few' if fewer else 'many'} {category}"
