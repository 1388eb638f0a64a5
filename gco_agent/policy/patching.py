"""Unified diffs, applied by what they say and not by their line numbers.

Whoever writes a diff by hand, a model or a person, gets the rows right and the numbers wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gco_agent.errors import EditRejected
from gco_agent.policy.source import PolicySource

_HUNK = re.compile(r"^@@(?: -(\d+)(?:,(\d+))? \+\d+(?:,\d+)? @@)?.*$")
_FILE = re.compile(r"^(?:--- |\+\+\+ |diff |index |new file|old mode|new mode)")
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Hunk:
    """One place of a diff.

    Attributes:
        number: Which one of the diff it is, from 1.
        row: Where it says that it is, from 1; None if it does not say.
        old: The rows that must be there, without line ends.
        new: The rows that take their place.
    """

    number: int
    row: int | None
    old: tuple[str, ...]
    new: tuple[str, ...]


def is_diff(text: str) -> bool:
    """Whether ``text`` has a hunk of a unified diff that changes something."""
    rows = text.splitlines()
    starts = [n for n, row in enumerate(rows) if _HUNK.match(row)]
    return any(
        row[:1] in ("+", "-") and not _FILE.match(row)
        for start in starts[:1]
        for row in rows[start + 1 :]
    )


def apply_diff(source: PolicySource, text: str) -> PolicySource:
    """``source`` with the changes of a unified diff.

    Line numbers only help to choose between equal places. Where the rows are found nowhere to the
    letter, white space at their ends is not looked at, and then none at all.

    Raises:
        EditRejected: There is no hunk, or the rows of one are nowhere in the policy.
        ContractViolation: The result is no text that a policy may be.
    """
    hunks = parse_hunks(text)
    if not hunks:
        raise EditRejected("there is no hunk in the diff: each begins with a row @@ ... @@")
    rows = source.text.split("\n")
    shift = 0
    for hunk in hunks:
        at = _find(rows, hunk, shift)
        rows[at : at + len(hunk.old)] = hunk.new
        shift += len(hunk.new) - len(hunk.old)
    return PolicySource("\n".join(rows))


def parse_hunks(text: str) -> list[Hunk]:
    """The hunks of a unified diff; rows without a sign count as rows that stay."""
    found: list[Hunk] = []
    row: int | None = None
    old: list[str] | None = None
    new: list[str] = []
    has_rows = True

    def close() -> None:
        nonlocal old, new
        if old is not None and old != new:
            while old and new and old[-1] == new[-1] == "":
                old, new = old[:-1], new[:-1]  # empty rows below a diff are hardly part of it
            # of an insertion a diff gives the row before it, of all else the first row
            at = row - 1 if row and has_rows and not old else row
            found.append(Hunk(len(found) + 1, at, tuple(old), tuple(new)))
        old, new = None, []

    for line in text.replace("\r\n", "\n").split("\n"):
        head = _HUNK.match(line)
        if head or _FILE.match(line):
            close()
            if head:
                row, old = int(head[1]) if head[1] else None, []
                has_rows = head[2] != "0"
        elif old is not None and not line.startswith("\\"):
            sign, rest = (line[:1], line[1:]) if line[:1] in ("+", "-", " ") else ("", line)
            if sign != "+":
                old.append(rest)
            if sign != "-":
                new.append(rest)
    close()
    return found


def _find(rows: Sequence[str], hunk: Hunk, shift: int) -> int:
    """Index of the row that a hunk begins at.

    Raises:
        EditRejected: It fits nowhere, or fits in several places and does not say where.
    """
    expected = (hunk.row or 1) - 1 + shift
    if not hunk.old:
        return min(max(0, expected + 1 if hunk.row else 0), len(rows))
    readings: tuple[Callable[[str], str], ...] = (str, str.rstrip, _without_space)
    for reading in readings:
        wanted = [reading(row) for row in hunk.old]
        text = [reading(row) for row in rows]
        last = len(rows) - len(wanted)
        places = [at for at in range(last + 1) if text[at : at + len(wanted)] == wanted]
        if len(places) > 1 and hunk.row is None:
            raise EditRejected(
                f"hunk {hunk.number} of the diff fits in {len(places)} places; give more rows "
                "around the change"
            )
        if places:
            return min(places, key=lambda at: abs(at - expected))
    shown = "\n".join(f"    {row}" for row in hunk.old[:_SHOWN])
    raise EditRejected(
        f"hunk {hunk.number} of the diff does not fit: the policy has nowhere the rows\n{shown}"
    )


def _without_space(row: str) -> str:
    return "".join(row.split())
