"""What a proposal changes in the parent's text, in words: for the subject and body of its commit.

Read from the two texts as the renderer writes them: a comment above each rule says what it does,
and constants have names. So the parent may be any file; one that was not rendered has neither.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_RULE = re.compile(r"^ {8}# (?P<words>[A-Z][^\n]*)\.$", re.MULTILINE)
_CONSTANT = re.compile(r"^(?P<name>[A-Z][A-Z0-9_]*) = (?P<value>-?[0-9.e+-]+)(?= |$)", re.MULTILINE)

_PLACE = re.compile(r" = -?[0-9]+")


@dataclass(frozen=True, slots=True)
class Change:
    """The difference between two rendered programs.

    Attributes:
        added: Rules that are new, in words.
        dropped: Rules that are gone.
        moved: Constants of another value: "DEAD_ZONE 8.3 to 7.1", the largest change first.
    """

    added: tuple[str, ...]
    dropped: tuple[str, ...]
    moved: tuple[str, ...]

    @property
    def summary(self) -> str:
        """In a few words; empty where nothing of it can be said."""
        parts = [
            _some(verb, rules, 1)
            for verb, rules in (("add:", self.added), ("drop:", self.dropped))
            if rules
        ]
        if not parts and self.moved:
            parts = [_some("move", self.moved, 2)]
        return "; ".join(parts)

    @property
    def paragraph(self) -> str:
        """The whole of it, a line each."""
        lines = [
            *(f"- new rule: {rule}" for rule in self.added),
            *(f"- rule dropped: {rule}" for rule in self.dropped),
            *(f"- constant moved: {constant}" for constant in self.moved),
        ]
        return "\n".join(lines)


def compare(parent: str, child: str) -> Change | None:
    """What makes the policy text ``child`` another than ``parent``; None if parent has no rules."""
    before, after = _rules(parent), _rules(child)
    if not before:
        return None
    old, new = _constants(parent), _constants(child)
    moved = sorted(
        (name for name in new if name in old and new[name] != old[name]),
        key=lambda name: -abs(new[name] - old[name]) / (abs(new[name]) + abs(old[name])),
    )
    return Change(
        _without(after, before),
        _without(before, after),
        tuple(f"{name} {old[name]:g} to {new[name]:g}" for name in moved),
    )


def _rules(text: str) -> list[str]:
    words = [match["words"] for match in _RULE.finditer(text)]
    return [rule[0].lower() + rule[1:] for rule in words]


def _without(rules: Sequence[str], others: Sequence[str]) -> tuple[str, ...]:
    """The rules that are not among the others; a place named in a rule is one of its constants."""
    known = {_PLACE.sub("", rule) for rule in others}
    return tuple(dict.fromkeys(rule for rule in rules if _PLACE.sub("", rule) not in known))


def _constants(text: str) -> dict[str, float]:
    return {match["name"]: float(match["value"]) for match in _CONSTANT.finditer(text)}


def _some(verb: str, things: Sequence[str], n: int) -> str:
    more = f" and {len(things) - n} more" if len(things) > n else ""
    return f"{verb} {', '.join(things[:n])}{more}"
