"""Statements, branches and functions that could go."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from gco_agent.policy.contract import ENTRY, POLICY_CLASS, FunctionNode
from gco_agent.policy.positions import Replacement
from gco_agent.policy.removals.reading import (
    Kind,
    Reading,
    Removal,
    is_docstring,
    last_row,
    n_nodes,
)

_NEEDED = frozenset({ENTRY, POLICY_CLASS})
_ROW = 88
"""Longest row, as black has it."""


class Statements(Reading):
    """Finds them in one text."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._used = _names_used(self.tree)

    def all(self) -> Iterator[Removal]:
        """Every one of them; some meet each other."""
        for node in ast.walk(self.tree):
            for name in ("body", "orelse", "finalbody"):
                body = getattr(node, name, None)
                if isinstance(body, list):
                    yield from self._of_body(body)
            if isinstance(node, ast.Module | ast.ClassDef):
                yield from self._duplicates(node)

    def _of_body(self, body: Sequence[ast.stmt]) -> Iterator[Removal]:
        for number, statement in enumerate(body):
            if is_docstring(statement):
                continue
            if isinstance(statement, ast.If) and self.is_elif(statement):
                yield from self._of_elif(statement)
            else:
                yield from self._whole(statement, body)
            match statement:
                case ast.If():
                    yield from self._of_if(statement)
                case ast.Try() | ast.With():
                    yield self._unwrapped(statement, statement.body, "only the body of")
            if number + 1 < len(body):
                yield from self._pair(statement, body[number + 1])

    def _whole(self, statement: ast.stmt, body: Sequence[ast.stmt]) -> Iterator[Removal]:
        names = _names_bound(statement)
        is_global = isinstance(self.parents[statement], ast.Module | ast.ClassDef)
        if len(body) == 1 or (is_global and names & (self._used | _NEEDED)):
            return
        if isinstance(statement, ast.Return) and self._is_one_of_the_answers(statement, body):
            return
        kind = Kind.UNUSED if names and not names & self._used else Kind.STATEMENT
        if isinstance(statement, ast.If | ast.For | ast.While):
            kind = Kind.BRANCH
        change = self.rows(self.first_row(statement), last_row(statement), "")
        what = self.head(statement)
        yield Removal(kind, what, statement.lineno, (change,), n_nodes(statement))

    def _is_one_of_the_answers(self, statement: ast.Return, body: Sequence[ast.stmt]) -> bool:
        """Whether it ends a function that returns elsewhere: without it, it would return None."""
        function = self.function_of(statement)
        if function is None or function.body is not body or _leaves(body[:-1]):
            return False
        found = (n for n in ast.walk(function) if isinstance(n, ast.Return) and n is not statement)
        return any(node.value is not None for node in found)

    # Branches

    def _of_if(self, node: ast.If) -> Iterator[Removal]:
        """What an ``if`` or an ``elif`` could be without."""
        head, has_elif = self.head(node), self.has_elif(node)
        if not self.is_elif(node):
            yield self._unwrapped(node, node.body, "the condition of", node.test, *node.orelse)
            if node.orelse and not has_elif:
                gone = (node.test, *node.body)
                yield self._unwrapped(node, node.orelse, "all but the else of", *gone)
        if has_elif:
            yield self._without_arm(node)
        if node.orelse:
            change = self.rows(self.else_row(node), last_row(node), "")
            weight = n_nodes(*node.orelse)
            yield Removal(Kind.BRANCH, f"what follows {head}", node.lineno, (change,), weight)
        if node.orelse and not has_elif and _leaves(node.body):
            rows = "".join(self.dedented(node.orelse, self.margin(node)))
            change = self.rows(self.else_row(node), last_row(node), rows)
            yield Removal(Kind.BRANCH, f"the word else after {head}", node.lineno, (change,), 1)

    def _of_elif(self, node: ast.If) -> Iterator[Removal]:
        """The last ``elif`` of a chain as a whole, or its condition."""
        if not self.has_elif(node):
            end = last_row(node.body[-1]) if node.orelse else last_row(node)
            change = self.rows(self.first_row(node), end, "")
            weight = n_nodes(node.test, *node.body)
            yield Removal(Kind.BRANCH, self.head(node), node.lineno, (change,), weight)
        rows = "".join(self.dedented(node.body, self.margin(node) + "    "))
        change = self.rows(node.lineno, last_row(node), f"{self.margin(node)}else:\n{rows}")
        weight = n_nodes(node.test, *node.orelse)
        what = f"the condition of {self.head(node)}"
        yield Removal(Kind.BRANCH, what, node.lineno, (change,), weight)

    def _without_arm(self, node: ast.If) -> Removal:
        """The ``elif`` that follows takes the place of this arm."""
        start, _ = self.span(node.orelse[0])
        first = self.rows(node.lineno, node.lineno, "").start
        text = self.margin(node) + ("elif" if self.is_elif(node) else "if")
        change = Replacement(first, start + len("elif"), text)
        weight = n_nodes(node.test, *node.body)
        return Removal(Kind.BRANCH, self.head(node), node.lineno, (change,), weight)

    def _unwrapped(
        self, node: ast.stmt, kept: Sequence[ast.stmt], what: str, *gone: ast.AST
    ) -> Removal:
        """``node`` replaced by statements that are in it."""
        first = self.first_row(node)
        above = "".join(self.layout.lines[first - 1 : node.lineno - 1])
        rows = above + "".join(self.dedented(kept, self.margin(node)))
        change = self.rows(first, last_row(node), rows)
        what = f"{what} {self.head(node)}"
        return Removal(Kind.BRANCH, what, node.lineno, (change,), 1 + n_nodes(*gone))

    # Duplicates

    def _pair(self, one: ast.stmt, two: ast.stmt) -> Iterator[Removal]:
        """Two statements in a row that one can do."""
        match one, two:
            case ast.If(orelse=[]), ast.If(orelse=[]) if _leaves(one.body):
                if _dump(one.body) == _dump(two.body):
                    yield self._merged(one, two)
            case (
                ast.If(body=[ast.Return(value=ast.Constant(value=True))], orelse=[]),
                ast.Return(value=ast.Constant(value=False)),
            ) if _is_yes_or_no(one.test):
                text = f"{self.margin(one)}return {self.wrapped(one.test)}\n"
                change = self.rows(one.lineno, last_row(two), text)
                what = f"the if of {self.head(one)}, which returns its condition"
                yield Removal(Kind.DUPLICATE, what, one.lineno, (change,), n_nodes(one) - 4)
            case ast.Assign(targets=[ast.Name(id=name)], value=value), (
                ast.Return() | ast.Assign() | ast.Expr() | ast.AugAssign()
            ):
                yield from self._inlined(one, name, value, two)

    def _merged(self, one: ast.If, two: ast.If) -> Removal:
        changes = (
            self.instead(one.test, one.test, two.test, word=" or "),
            self.rows(self.first_row(two), last_row(two), ""),
        )
        what = f"the body that {self.head(one)} and {self.head(two)} share"
        return Removal(Kind.DUPLICATE, what, two.lineno, changes, n_nodes(*two.body))

    def _inlined(
        self, one: ast.stmt, name: str, value: ast.expr, two: ast.stmt
    ) -> Iterator[Removal]:
        """A local name that is used once, and at once."""
        function = self.function_of(one)
        if function is None:
            return
        uses = [n for n in ast.walk(function) if isinstance(n, ast.Name) and n.id == name]
        loads = [n for n in uses if isinstance(n.ctx, ast.Load)]
        is_once = len(loads) == 1 and len(uses) == len(loads) + 1
        if not is_once or loads[0] not in set(ast.walk(two)):
            return
        change = self.instead(loads[0], value)
        length = len(self.layout.lines[two.lineno - 1]) + len(change.text) - len(name)
        if two.lineno != two.end_lineno or length > _ROW:
            return
        changes = (self.rows(self.first_row(one), last_row(one), ""), change)
        yield Removal(Kind.UNUSED, f"the name {name}, used once", one.lineno, changes, 2)

    def _duplicates(self, owner: ast.Module | ast.ClassDef) -> Iterator[Removal]:
        """Functions that do what another one does."""
        known: dict[str, str] = {}
        for function in owner.body:
            if not isinstance(function, FunctionNode) or function.decorator_list:
                continue
            body = [s for s in function.body if not is_docstring(s)]
            other = known.setdefault(ast.dump(function.args) + _dump(body), function.name)
            if function.name not in (other, ENTRY):
                yield self._redirected(function, other)

    def _redirected(self, function: FunctionNode, other: str) -> Removal:
        """Without ``function``, whose calls go to ``other``."""
        name, own = function.name, set(ast.walk(function))
        changes = [self.rows(self.first_row(function), last_row(function), "")]
        for node in ast.walk(self.tree):
            match node:
                case ast.Attribute(attr=found) | ast.Name(id=found) if found == name:
                    _, end = self.span(node)
                    if node not in own:
                        changes.append(Replacement(end - len(name), end, other))
        what = f"{name}, which does what {other} does"
        weight = n_nodes(function)
        return Removal(Kind.DUPLICATE, what, function.lineno, tuple(changes), weight)


def _names_used(tree: ast.Module) -> set[str]:
    used = set()
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Load()) | ast.Attribute(attr=name, ctx=ast.Load()):
                used.add(name)
            case ast.AugAssign(target=ast.Name(id=name) | ast.Attribute(attr=name)):
                used.add(name)
            case ast.Constant(value=str(text)) if text.isidentifier():
                used.add(text)  # getattr(self, "name")
    return used


def _names_bound(statement: ast.stmt) -> set[str]:
    """Names that a definition, an import or an assignment binds."""
    match statement:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return {name}
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            return {(a.asname or a.name).partition(".")[0] for a in names}
        case ast.Assign(targets=targets):
            nodes = [n for target in targets for n in ast.walk(target)]
        case ast.AnnAssign(target=target):
            nodes = list(ast.walk(target))
        case _:
            return set()
    return {n.id for n in nodes if isinstance(n, ast.Name)}


def _leaves(body: Sequence[ast.stmt]) -> bool:
    return bool(body) and isinstance(body[-1], ast.Return | ast.Raise | ast.Continue | ast.Break)


def _is_yes_or_no(test: ast.expr) -> bool:
    """Whether its value can only be True or False."""
    match test:
        case ast.BoolOp(values=values):
            return all(map(_is_yes_or_no, values))
        case ast.UnaryOp(op=ast.Not()):
            return True
    return isinstance(test, ast.Compare)


def _dump(body: Sequence[ast.stmt]) -> str:
    return "\n".join(map(ast.dump, body))
