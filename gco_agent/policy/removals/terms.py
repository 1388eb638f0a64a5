"""Parts of expressions that could go."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from gco_agent.policy.positions import Replacement
from gco_agent.policy.removals.reading import Kind, Reading, Removal, n_nodes, short


class Terms(Reading):
    """Finds them in one text."""

    def all(self) -> Iterator[Removal]:
        """Every one of them; some meet each other."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.expr):
                yield from self._of(node)

    def _of(self, node: ast.expr) -> Iterator[Removal]:
        match node:
            case ast.BoolOp():
                yield from self._of_bool(node)
            case ast.IfExp():
                yield self._smaller(node, [node.body], node.test, node.orelse)
                yield self._smaller(node, [node.orelse], node.test, node.body)
            case ast.BinOp(op=ast.Add() | ast.Mult()):
                yield self._smaller(node, [node.left], node.right)
                yield self._smaller(node, [node.right], node.left)
            case ast.BinOp(op=ast.Sub() | ast.Div() | ast.FloorDiv()):
                yield self._smaller(node, [node.left], node.right)
            case ast.Compare(comparators=[middle, _, *_]):
                start, _ = self.span(node)
                change = Replacement(start, self.span(middle)[0], "")
                yield self._removal(node, change, node.left)
            case ast.Call(func=ast.Name(id="min" | "max"), args=[one, two], keywords=[]):
                yield self._smaller(node, [one], two)
                yield self._smaller(node, [two], one)
            case ast.Call(func=ast.Name(id="int" | "round" | "abs" | "float"), args=[inner]):
                yield self._smaller(node, [inner], node.func)

    def _of_bool(self, node: ast.BoolOp) -> Iterator[Removal]:
        word = " and " if isinstance(node.op, ast.And) else " or "
        for gone in node.values:
            kept = [value for value in node.values if value is not gone]
            yield self._removal(node, self.instead(node, *kept, word=word), gone)

    def _smaller(self, node: ast.expr, kept: Sequence[ast.expr], *gone: ast.expr) -> Removal:
        return self._removal(node, self.instead(node, *kept), *gone)

    def _removal(self, node: ast.expr, change: Replacement, *gone: ast.expr) -> Removal:
        lost = " and ".join(short(self.of(part)) for part in gone)
        what = f"{lost} in {short(self.of(node))}"
        return Removal(Kind.TERM, what, node.lineno, (change,), 1 + n_nodes(*gone))
