"""Two texts, line by line, as plain data that a terminal or a page shows in its own way."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass

ADDED, REMOVED, SAME, SKIPPED = "+", "-", " ", "@"
_CONTEXT = 3


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a difference.

    Attributes:
        kind: `ADDED`, `REMOVED`, `SAME`, or `SKIPPED` for lines that are left out.
        text: The line, without its end; for `SKIPPED`, where the next lines are.
    """

    kind: str
    text: str


def difference(before: str, after: str, context: int = _CONTEXT) -> list[Line]:
    """What has to be done to ``before`` to get ``after``; nothing where they are the same.

    Args:
        before: A text.
        after: Another.
        context: Lines that are the same to show round every change.
    """
    return list(_lines(before.splitlines(), after.splitlines(), context))


def count_changes(lines: list[Line]) -> tuple[int, int]:
    """How many lines are added, and how many removed."""
    kinds = [line.kind for line in lines]
    return kinds.count(ADDED), kinds.count(REMOVED)


def _lines(before: list[str], after: list[str], context: int) -> Iterator[Line]:
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    for group in matcher.get_grouped_opcodes(context):
        first, last = group[0], group[-1]
        if first[1] > 0 or last[2] < len(before):
            yield Line(SKIPPED, f" line {first[3] + 1}")
        for tag, i1, i2, j1, j2 in group:
            if tag == "equal":
                yield from (Line(SAME, text) for text in before[i1:i2])
                continue
            yield from (Line(REMOVED, text) for text in before[i1:i2])
            yield from (Line(ADDED, text) for text in after[j1:j2])
