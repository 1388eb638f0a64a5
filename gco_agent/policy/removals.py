"""One policy text as removals are looked for in it: its tree, its rows, and how they change."""

from __future__ import annotations

import ast
import enum
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from gco_agent.core.errors import ContractViolation
from gco_agent.policy.contract import ENTRY, POLICY_CLASS, FunctionNode
from gco_agent.policy.edit import Layout, Span
from gco_agent.policy.source import (
    PolicySource,
    Positions,
    Replacement,
    format_policy,
    parse,
    replaced,
)

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


class AcceptanceCriterion(Reading):
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
        for removal in (*Statements(source.text).all(), *AcceptanceCriterion(source.text).all())
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
