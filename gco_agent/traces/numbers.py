"""Observations that are not made of objects: their numbers as columns, and in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gco_agent.calls import Plain, Shown
from gco_agent.traces.records import ExecutionTrace, TracedStep

MISSING = "-"
_MOST_NUMBERS = 20
"""Columns of numbers, the first ones that change."""
_MOST_EXTENTS = 24
_MOST_CELL = 40


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the table of a window."""

    heading: str
    cells: tuple[str, ...]


def number_columns(
    steps: Sequence[TracedStep], names: Mapping[str, str]
) -> tuple[list[Column], list[str]]:
    """A column for each number that changes, and a phrase for each that does not.

    Args:
        steps: Those of a window.
        names: What a number is called, by the words for it.
    """
    columns: list[Column] = []
    constant: list[str] = []
    n_more = 0
    for words in dict.fromkeys(words for step in steps for words in step.values):
        cells = tuple(
            tell_value(step.values[words]) if words in step.values else MISSING for step in steps
        )
        heading = named(words, names)
        if len(set(cells)) == 1 and len(steps) > 1:
            constant.append(f"{heading} is {cells[0]}")
        elif len(columns) < _MOST_NUMBERS:
            columns.append(Column(heading, cells))
        else:
            n_more += 1
    if len(constant) > _MOST_NUMBERS:
        constant[_MOST_NUMBERS:] = [f"{len(constant) - _MOST_NUMBERS} more numbers do not change"]
    if n_more:
        constant.append(f"{n_more} more numbers change and are not shown")
    return columns, constant


def named(words: str, names: Mapping[str, str]) -> str:
    """The words for a number with its name: "obs[2] angle"."""
    name = names.get(words)
    text = words if name is None else f"{words} {name}"
    return text.replace("|", "\\x7c").replace("`", "\\x60")


def tell_value(value: Plain) -> str:
    """A value in a few characters: three digits of a number."""
    if value is None or isinstance(value, Shown | bool):
        text = str(value)
    elif isinstance(value, float):
        text = f"{value:.3g}"
    elif isinstance(value, tuple):
        text = "(" + ", ".join(tell_value(part) for part in value) + ")"
    else:
        text = repr(value) if isinstance(value, str) else str(value)
    text = text.replace("|", "\\x7c").replace("`", "\\x60").replace("\n", " ")
    return text if len(text) <= _MOST_CELL else text[: _MOST_CELL - 3] + "..."


def describe_extents(trace: ExecutionTrace) -> str:
    """How far every number of the observation went; empty where there is none."""
    if not trace.extents:
        return ""
    told = [
        f"{named(words, trace.names)} {low:.3g} to {high:.3g}"
        for words, (low, high) in list(trace.extents.items())[:_MOST_EXTENTS]
    ]
    n_more = len(trace.extents) - len(told)
    more = f"; {n_more} more are left out" if n_more > 0 else ""
    return f"What was seen in all of these episodes: {'; '.join(told)}{more}."
