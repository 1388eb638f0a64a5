"""One policy text as removals are looked for in it: its tree, its rows, and how they change."""

from __future__ import annotations

import ast
import enum
from collections.abc import Sequence
from dataclasses import dataclass

from gco_agent.policy.contract import FunctionNode
from gco_agent.policy.layout import Layout, Span
from gco_agent.policy.positions import Positions, Replacement
from gco_agent.policy.source import parse

_ATOMS = (ast.Name, ast.Attribute, ast.Call, ast.Constant, ast.Subscript)
_SHOWN = 60


class Kind(enum.Enum):
    """What a removal removes."""

    BRANCH = "a branch"
    STATEMENT = "a statement"
    TERM = "a term"
    UNUSED = "an unused name"
    DUPLICATE = "a duplicate"


@dataclass(frozen=True, slots=True)
class Removal:
    """One thing that could go.

    Attributes:
        kind: What it is.
        what: In a few words, with its own text where that is short.
        line: Where it stands, from 1.
        changes: What becomes of the text.
        weight: How many nodes of the syntax tree it takes away; more is better.
    """

    kind: Kind
    what: str
    line: int
    changes: tuple[Replacement, ...]
    weight: int

    @property
    def key(self) -> str:
        """The same for the same removal in a text where lines have moved."""
        return f"{self.kind.value}/{self.what}"

    def meets(self, other: Removal) -> bool:
        """Whether both change the same part of the text."""
        return any(
            (a.start < b.end and b.start < a.end) or a.start == b.start
            for a in self.changes
            for b in other.changes
        )


class Reading:
    """One text.

    Attributes:
        text: It.
        tree: Its syntax tree.
        layout: Its rows.
        parents: Node to the node that it is in.
    """

    def __init__(self, text: str) -> None:
        self.text, self.tree = text, parse(text)
        self.layout, self._positions = Layout.of(text), Positions(text)
        self.parents = {
            child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)
        }

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        """Indices of its first character, and of the one after its last."""
        return self._positions.span(node)

    def of(self, node: ast.expr) -> str:
        """Its text."""
        start, end = self._positions.span(node)
        return self.text[start:end]

    def wrapped(self, node: ast.expr) -> str:
        """Its text, in parentheses where it could come apart in another place."""
        text = self.of(node)
        return text if isinstance(node, _ATOMS) else f"({text})"

    def instead(self, node: ast.expr, *parts: ast.expr, word: str = "") -> Replacement:
        """``parts``, joined by ``word``, in the place of ``node``; in parentheses where need be."""
        start, end = self.span(node)
        bare = word.join(map(self.of, parts))
        safe = word.join(map(self.wrapped, parts))
        if len(parts) > 1:
            safe = f"({safe})"
        texts = [self.text[:start] + text + self.text[end:] for text in (bare, safe)]
        try:
            one, other = (ast.dump(ast.parse(text)) for text in texts)
        except (SyntaxError, RecursionError, MemoryError):
            return Replacement(start, end, safe)
        return Replacement(start, end, bare if one == other else safe)

    def head(self, node: ast.stmt) -> str:
        """The first row of a statement, which names it."""
        return short(self.layout.lines[node.lineno - 1].strip().removesuffix(":"))

    def margin(self, node: ast.stmt) -> str:
        """The white space before it."""
        return self.layout.margin(node.lineno)

    def rows(self, first: int, last: int, text: str) -> Replacement:
        """``text`` in the place of rows ``first`` to ``last``."""
        start, end = self._positions.row_start(first), self._positions.row_start(last + 1)
        return Replacement(start, end, text)

    def first_row(self, node: ast.stmt) -> int:
        """Where it begins, with decorators and the comments directly above."""
        decorators = getattr(node, "decorator_list", [])
        row: int = min([node.lineno, *(d.lineno for d in decorators)])
        margin = self.layout.margin(node.lineno)
        while row - 1 in self.layout.comments and self.layout.margin(row - 1) == margin:
            row -= 1
        return row

    def dedented(self, body: Sequence[ast.stmt], margin: str) -> list[str]:
        """Rows of ``body``, moved to ``margin``."""
        rows = Span(self.first_row(body[0]), last_row(body[-1]))
        shifted = self.layout.shifted(rows, self.margin(body[0]), margin)
        return [row if row.endswith("\n") else row + "\n" for row in shifted]

    def else_row(self, node: ast.If) -> int:
        """The row of the ``else:`` or ``elif`` of an ``if``."""
        margin = self.margin(node)
        row = last_row(node.body[-1]) + 1
        while not self.layout.lines[row - 1].startswith((f"{margin}else", f"{margin}elif")):
            row += 1
        return row

    def is_elif(self, node: ast.stmt) -> bool:
        """Whether it is an ``if`` that is written as ``elif``."""
        row = self.layout.lines[node.lineno - 1].lstrip()
        return isinstance(node, ast.If) and row.startswith("elif ")

    def has_elif(self, node: ast.If) -> bool:
        """Whether an ``elif`` follows."""
        return len(node.orelse) == 1 and self.is_elif(node.orelse[0])

    def function_of(self, node: ast.AST) -> FunctionNode | None:
        """The innermost function that it is in."""
        while not isinstance(node, ast.Module):
            if isinstance(node, FunctionNode):
                return node
            node = self.parents[node]
        return None


def is_docstring(node: ast.stmt) -> bool:
    """Whether it is text that does nothing."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def last_row(node: ast.stmt) -> int:
    """The row that it ends on."""
    return node.end_lineno or node.lineno


def n_nodes(*nodes: ast.AST) -> int:
    """How many nodes of the syntax tree they are, those in them included."""
    return sum(1 for node in nodes for _ in ast.walk(node))


def short(text: str) -> str:
    """``text`` on one line, cut if need be."""
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"
