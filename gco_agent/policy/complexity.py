"""How large and how branched a policy is; the only module that uses radon.

The figures are of the text alone: same text, same figures.
"""

from __future__ import annotations

import ast
import tokenize
from dataclasses import dataclass

from gco_agent.policy.source import PolicySource, parse, split_lines

_NO_STATEMENT = frozenset(
    (tokenize.COMMENT, tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
)
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


@dataclass(frozen=True, slots=True)
class Complexity:
    """The size of a policy, in five numbers.

    Attributes:
        loc: Lines of the file, empty ones and comments included.
        sloc: Lines with code on them: no empty lines, comments or docstrings.
        cyclomatic: Sum over all functions of their cyclomatic complexity, which is 1 and one more
            for each branch, loop, boolean operator, handler and comprehension. Code outside of
            functions is not counted.
        nested_if: Deepest chain of ``if`` statements within one another in one function (or at
            the top level). An ``elif`` is as deep as its ``if``; a loop in between adds nothing.
        functions: Functions, methods and nested functions; no lambdas.

    Source: McCabe 1976, section 2 (doi:10.1109/TSE.1976.233837), as radon counts it.
    """

    loc: int
    sloc: int
    cyclomatic: int
    nested_if: int
    functions: int


def measure(text: str) -> Complexity:
    """Count ``text``; nothing is run.

    Raises:
        ContractViolation: The text is not Python.
    """
    from radon.visitors import ComplexityVisitor

    tree = parse(text)
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    # One function at a time, as radon's rows for classes repeat what their methods have, and its
    # rows for functions leave out the classes in them.
    cyclomatic = sum(ComplexityVisitor.from_ast(n).functions[0].complexity for n in functions)
    return Complexity(
        loc=len(split_lines(text)),
        sloc=_count_code(text, tree),
        cyclomatic=cyclomatic,
        nested_if=_deepest_if(tree),
        functions=len(functions),
    )


@dataclass(frozen=True, slots=True, order=True)
class Size:
    """How much there is to read: rows of code first, then nodes of the syntax tree."""

    sloc: int
    nodes: int


def size_of(source: PolicySource) -> Size:
    """Return the size of a policy, docstrings not counted as rows."""
    tree = parse(source.text)
    return Size(_count_code(source.text, tree), sum(1 for _ in ast.walk(tree)))


def _count_code(text: str, tree: ast.Module) -> int:
    """Count the rows of statements, less the empty ones and those of docstrings.

    As ``radon.raw`` counts (tests/unit/test_complexity.py compares them), which itself needs time
    in the square of the longest statement: 60,000 rows of a table never end.
    """
    lines = split_lines(text)
    rows: set[int] = set()
    start = 0
    for token in tokenize.generate_tokens(iter(split_lines(text + "\n")).__next__):
        if token.type not in _NO_STATEMENT and not start:
            start = token.start[0]
        if token.type == tokenize.NEWLINE:
            rows.update(range(start, min(token.start[0], len(lines)) + 1))
            start = 0
    rows = {row for row in rows if lines[row - 1].strip()}
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant(value=str()), lineno=first, end_lineno=int(last)):
                rows.difference_update(range(first, last + 1))
    return len(rows)


def _deepest_if(tree: ast.Module) -> int:
    deepest = 0
    stack: list[tuple[ast.AST, int]] = [(tree, 0)]
    while stack:
        node, depth = stack.pop()
        match node:
            case ast.If():
                deepest = max(deepest, depth + 1)
                stack.extend((child, depth + 1) for child in node.body)
                # An elif is an If alone in the orelse, at the column of its if.
                is_elif = _is_elif(node)
                stack.extend((child, depth + (not is_elif)) for child in node.orelse)
            case _:
                inner = 0 if isinstance(node, _SCOPES) else depth
                stack.extend((child, inner) for child in ast.iter_child_nodes(node))
    return deepest


def _is_elif(node: ast.If) -> bool:
    match node.orelse:
        case [ast.If(col_offset=column)]:
            return column == node.col_offset
    return False
