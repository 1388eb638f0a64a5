"""Candidates for removal from a policy: branches, statements, terms, unused names.

Removals are only offered here; whether a policy plays the same without them is found by playing.
"""

from __future__ import annotations

import ast
import enum
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import libcst as cst
from libcst.metadata import CodeRange, MetadataWrapper, ParentNodeProvider, PositionProvider

from gco_agent.core.errors import ContractViolation
from gco_agent.policy.contract import ENTRY, POLICY_CLASS
from gco_agent.policy.edit import Statement, names_of, parsed, read_tree, statements
from gco_agent.policy.source import PolicySource, format_policy

_NEEDED = frozenset({ENTRY, POLICY_CLASS})
_COMPOUND = (cst.BinaryOperation, cst.BooleanOperation, cst.Comparison, cst.IfExp,
             cst.UnaryOperation, cst.Lambda, cst.NamedExpr)  # fmt: skip
"""Expressions that can come apart in another place without parentheses."""
_LEAVING = (cst.Return, cst.Raise, cst.Continue, cst.Break)
_TEXT = (cst.SimpleString, cst.ConcatenatedString, cst.Ellipsis, cst.Integer)
_SHOWN = 60

Change = tuple[cst.CSTNode, cst.CSTNode | tuple[Statement, ...] | None]
"""A node, and what takes its place."""


class Kind(enum.Enum):
    """Kinds of removals."""

    BRANCH = "a branch"
    STATEMENT = "a statement"
    TERM = "a term"
    UNUSED = "an unused name"


@dataclass(frozen=True, slots=True)
class Removal:
    """One thing that could be removed.

    Attributes:
        weight: Characters of code that it removes, white space aside.
    """

    kind: Kind
    what: str
    line: int
    weight: int
    changes: tuple[Change, ...] = field(repr=False)
    module: cst.Module = field(repr=False)
    ranges: tuple[CodeRange, ...] = field(repr=False)

    @property
    def key(self) -> str:
        """The same for the same removal in a text where lines have moved."""
        return f"{self.kind.value}/{self.what}"

    def meets(self, other: Removal) -> bool:
        """Return whether both change the same part of the text."""
        return any(
            (a.start.line, a.start.column) < (b.end.line, b.end.column)
            and (b.start.line, b.start.column) < (a.end.line, a.end.column)
            for a in self.ranges
            for b in other.ranges
        )


def removals(source: PolicySource) -> tuple[Removal, ...]:
    """Return everything that could be removed from ``source``, the largest first."""
    found = _Finder(source.text).found
    return tuple(sorted(found, key=lambda r: (-r.weight, r.line)))


def without(source: PolicySource, gone: Iterable[Removal]) -> PolicySource | None:
    """Return ``source`` less some of its `removals`, formatted; None if that is not Python.

    No two of ``gone`` may `Removal.meets` each other.
    """
    text, chosen = source.text, list(gone)
    if chosen:
        changes = {old: new for removal in chosen for old, new in removal.changes}
        try:
            changed = chosen[0].module.visit(_Changer(changes))
        except (cst.CSTValidationError, TypeError):  # two tokens would become one
            return None
        assert isinstance(changed, cst.Module), changed
        text = changed.code
    try:
        return PolicySource(format_policy(text))
    except ContractViolation:
        return None


class _Changer(cst.CSTTransformer):
    def __init__(self, changes: Mapping[cst.CSTNode, object]) -> None:
        super().__init__()
        self._changes = changes

    def on_leave(self, original_node, updated_node):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        if original_node not in self._changes:
            return updated_node
        new = self._changes[original_node]
        if isinstance(new, tuple):
            return cst.FlattenSentinel(new)
        return cst.RemoveFromParent() if new is None else new


class _Finder:
    """Finds the removals of one module."""

    def __init__(self, text: str) -> None:
        wrapper = MetadataWrapper(read_tree(text))
        self.found: list[Removal] = []
        self._module, self._used = wrapper.module, _names_used(ast.parse(text))
        self._places = wrapper.resolve(PositionProvider)
        self._parents = wrapper.resolve(ParentNodeProvider)
        for node in _walk(self._module):
            self._look_at(node)

    def _look_at(self, node: cst.CSTNode) -> None:
        match node:
            case cst.Module() | cst.IndentedBlock():
                self._body([part for part in node.body if isinstance(part, Statement)], node)
            case cst.If() if isinstance(self._parent(node), cst.If):
                self._of_elif(node)
            case cst.BaseExpression():
                for kept, *gone in _terms(node):
                    self._term(node, kept, *gone)

    # Terms

    def _term(self, node: cst.BaseExpression, kept: cst.BaseExpression, *gone: cst.CSTNode) -> None:
        lost = " and ".join(_short(self._code(part)) for part in gone)
        what = f"{lost} in {_short(self._code(node))}"
        self._add(Kind.TERM, what, node, [(node, self._fitted(node, kept))], *gone)

    def _fitted(self, node: cst.BaseExpression, kept: cst.BaseExpression) -> cst.BaseExpression:
        """Return ``kept`` with parentheses only if it needs them in the place of ``node``."""
        if not isinstance(kept, _COMPOUND):
            return kept
        bare = kept.with_changes(lpar=(), rpar=())
        safe = kept if kept.lpar else _in_parentheses(kept)
        around: cst.CSTNode | None = self._parent(node)
        while not isinstance(around, Statement):
            assert around is not None, node
            around = self._parent(around)
        try:
            trees = [parsed(around.deep_replace(node, one)) for one in (bare, safe)]
        except (SyntaxError, cst.CSTValidationError):
            return safe
        return bare if ast.dump(trees[0]) == ast.dump(trees[1]) else safe

    # Statements

    def _body(self, body: Sequence[Statement], block: cst.CSTNode) -> None:
        for statement in body:
            small = _small(statement)
            if isinstance(small, cst.Expr) and isinstance(small.value, _TEXT):
                continue
            self._whole(statement, body, block)
            if isinstance(statement, cst.If):
                self._of_if(statement)
            elif isinstance(statement, cst.Try | cst.With):
                self._unwrapped(statement, statement.body, "only the body of")

    def _whole(self, statement: Statement, body: Sequence[Statement], block: cst.CSTNode) -> None:
        names = set(names_of(parsed(statement)))
        is_global = isinstance(block, cst.Module) or isinstance(self._parent(block), cst.ClassDef)
        if len(body) == 1 or (is_global and names & (self._used | _NEEDED)):
            return
        if self._is_one_of_the_answers(_small(statement), body, block):
            return
        kind = Kind.UNUSED if names and not names & self._used else Kind.STATEMENT
        if isinstance(statement, cst.If | cst.For | cst.While):
            kind = Kind.BRANCH
        self._add(kind, self._head(statement), statement, [(statement, None)], statement)

    def _is_one_of_the_answers(
        self, small: cst.CSTNode, body: Sequence[Statement], block: cst.CSTNode
    ) -> bool:
        """Return whether it ends a function that returns elsewhere: it would return None."""
        function = self._parent(block)
        if not isinstance(small, cst.Return) or not isinstance(function, cst.FunctionDef):
            return False
        if _leaves(body[:-1]):
            return False
        returns = [n for n in ast.walk(parsed(function)) if isinstance(n, ast.Return) and n.value]
        return len(returns) > (small.value is not None)

    # Branches

    def _of_if(self, node: cst.If) -> None:
        self._unwrapped(node, node.body, "the condition of", node.test, node.orelse)
        if isinstance(node.orelse, cst.Else):
            self._unwrapped(node, node.orelse.body, "all but the else of", node.test, node.body)
        self._of_rest(node)

    def _of_elif(self, node: cst.If) -> None:
        if not isinstance(node.orelse, cst.If):
            gone = (node.test, node.body)
            self._add(Kind.BRANCH, self._head(node), node, [(node, node.orelse)], *gone)
        last = cst.Else(node.body, leading_lines=node.leading_lines)
        gone = (node.test, node.orelse) if node.orelse else (node.test,)  # type: ignore[assignment]
        what = f"the condition of {self._head(node)}"
        self._add(Kind.BRANCH, what, node, [(node, last)], *gone)
        self._of_rest(node)

    def _of_rest(self, node: cst.If) -> None:
        """Offer an arm that an ``elif`` follows, and all that follows an arm."""
        if isinstance(node.orelse, cst.If):
            following = node.orelse.with_changes(leading_lines=node.leading_lines)
            gone = (node.test, node.body)
            self._add(Kind.BRANCH, self._head(node), node, [(node, following)], *gone)
        if node.orelse:
            what = f"what follows {self._head(node)}"
            self._add(Kind.BRANCH, what, node.orelse, [(node.orelse, None)], node.orelse)

    def _unwrapped(
        self, node: Statement, kept: cst.BaseSuite, what: str, *gone: cst.CSTNode | None
    ) -> None:
        """Offer the statements of a suite in the place of the statement that it is in."""
        first, *rest = statements(kept)
        lines = (*node.leading_lines, *first.leading_lines)
        body = (first.with_changes(leading_lines=lines), *rest)
        what = f"{what} {self._head(node)}"
        self._add(Kind.BRANCH, what, node, [(node, body)], *(part for part in gone if part))

    # Nodes

    def _add(
        self,
        kind: Kind,
        what: str,
        node: cst.CSTNode,
        changes: Sequence[Change],
        *gone: cst.CSTNode,
    ) -> None:
        weight = 1 + sum(len("".join(self._code(part).split())) for part in gone)
        ranges = tuple(self._places[old] for old, _ in changes)
        line = self._places[node].start.line
        self.found.append(Removal(kind, what, line, weight, tuple(changes), self._module, ranges))

    def _parent(self, node: cst.CSTNode) -> cst.CSTNode | None:
        return self._parents.get(node)

    def _code(self, node: cst.CSTNode) -> str:
        if isinstance(node, _COMPOUND):
            node = node.with_changes(lpar=(), rpar=())
        return self._module.code_for_node(node)

    def _head(self, node: Statement) -> str:
        """Return the first row of a statement, which names it."""
        bare = node.with_changes(leading_lines=())
        if isinstance(bare, cst.FunctionDef | cst.ClassDef):
            bare = bare.with_changes(decorators=(), lines_after_decorators=())
        row = self._code(bare).split("\n")[0].strip()
        el = "el" if isinstance(self._parent(node), cst.If) else ""
        return _short(el + row.removesuffix(":"))


def _terms(node: cst.BaseExpression) -> list[tuple[cst.BaseExpression, ...]]:
    """Return possible replacements of ``node``, each with the parts that it would lose."""
    match node:
        case (
            cst.BooleanOperation(left=left, right=right)
            | cst.BinaryOperation(left=left, right=right, operator=cst.Add() | cst.Multiply())
        ):
            return [(left, right), (right, left)]
        case cst.BinaryOperation(operator=cst.Subtract() | cst.Divide() | cst.FloorDivide()):
            return [(node.left, node.right)]
        case cst.IfExp(test=test, body=body, orelse=orelse):
            return [(body, test, orelse), (orelse, test, body)]
        case cst.Comparison(left=left, comparisons=[first, *rest]) if rest:
            return [(node.with_changes(left=first.comparator, comparisons=rest), left)]
        case cst.Call(func=cst.Name(value=name)):
            values = [arg.value for arg in node.args if arg.keyword is None and not arg.star]
            if name in ("min", "max") and len(values) == len(node.args) == 2:  # noqa: PLR2004
                return [(values[0], values[1]), (values[1], values[0])]
            if name in ("int", "round", "abs", "float") and len(values) == len(node.args) == 1:
                return [(values[0], node.func)]
    return []


def _small(node: Statement) -> cst.CSTNode:
    if isinstance(node, cst.SimpleStatementLine) and len(node.body) == 1:
        return node.body[0]
    return node


def _in_parentheses(node: cst.BaseExpression) -> cst.BaseExpression:
    return node.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])


def _leaves(body: Sequence[Statement]) -> bool:
    return bool(body) and isinstance(_small(body[-1]), _LEAVING)


def _walk(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    yield node
    for child in node.children:
        yield from _walk(child)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"


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
