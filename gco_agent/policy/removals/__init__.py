"""Smaller versions of a policy text: each removal that could be tried, none of them judged here.

A removal changes the rows or the expression it names and leaves the rest of the text alone,
comments included. Whether the policy still does what it did is for whoever plays it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass

from gco_agent.errors import ContractViolation
from gco_agent.policy.formatting import format_policy
from gco_agent.policy.layout import Layout
from gco_agent.policy.positions import replaced
from gco_agent.policy.removals.reading import Kind, Removal, is_docstring
from gco_agent.policy.removals.statements import Statements
from gco_agent.policy.removals.terms import Terms
from gco_agent.policy.source import PolicySource, parse

__all__ = ["Kind", "Removal", "Size", "removals", "size_of", "without"]


@dataclass(frozen=True, slots=True, order=True)
class Size:
    """How much there is to read: rows of code first, then what is on them."""

    sloc: int
    nodes: int


def size_of(source: PolicySource) -> Size:
    """Rows with code, and nodes of the syntax tree, docstrings not counted."""
    tree = parse(source.text)
    layout, nodes = Layout.of(source.text), 0
    rows: set[int] = set()
    for first, last in layout.statements:
        rows.update(row for row in range(first, last + 1) if layout.lines[row - 1].strip())
    for node in ast.walk(tree):
        nodes += 1
        if isinstance(node, ast.stmt) and is_docstring(node):
            rows.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return Size(len(rows), nodes)


def removals(source: PolicySource) -> tuple[Removal, ...]:
    """Everything that could be taken from ``source``, the largest first.

    Raises:
        ContractViolation: The text is not Python.
    """
    found = {
        removal.changes: removal
        for removal in (*Statements(source.text).all(), *Terms(source.text).all())
    }
    return tuple(sorted(found.values(), key=lambda r: (-r.weight, r.line)))


def without(source: PolicySource, gone: Iterable[Removal]) -> PolicySource | None:
    """``source`` less what is named, formatted; None where nothing that is Python is left.

    No two of ``gone`` may `Removal.meets` each other.
    """
    changes = [change for removal in gone for change in removal.changes]
    try:
        return PolicySource(format_policy(replaced(source.text, changes)))
    except ContractViolation:
        return None
