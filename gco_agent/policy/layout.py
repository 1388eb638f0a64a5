"""Which rows of a text a function occupies, and how rows move sideways.

A row is a line, counted from 1 as Python counts them.
"""

from __future__ import annotations

import bisect
import operator
import tokenize
from dataclasses import dataclass
from typing import NamedTuple, Self

from gco_agent.policy.contract import FunctionNode
from gco_agent.policy.source import is_header_comment, split_lines

_NO_STATEMENT = frozenset(
    (tokenize.COMMENT, tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
)
_FSTRING_START = getattr(tokenize, "FSTRING_START", None)  # from Python 3.12; before, a STRING
_FSTRING_END = getattr(tokenize, "FSTRING_END", None)


class Span(NamedTuple):
    """Rows from ``first`` to ``last``, both included."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Layout:
    """A text in rows, and what the tokenizer says of them.

    Attributes:
        lines: The rows, with their line ends.
        comments: Rows that are nothing but a comment; without ``#!`` and encoding.
        in_strings: Rows that begin inside a string literal, whose white space is data.
        statements: Rows of each simple statement, or of the head of a compound one, in order.
    """

    lines: list[str]
    comments: frozenset[int]
    in_strings: frozenset[int]
    statements: list[Span]

    @classmethod
    def of(cls, text: str, *, is_whole: bool = True) -> Self:
        """Read ``text``; of a text that is not Python, as far as the tokenizer gets.

        The header comments of a file are looked for only if it ``is_whole``.
        """
        lines = split_lines(text)
        comments: set[int] = set()
        in_strings: set[int] = set()
        statements: list[Span] = []
        f_strings: list[int] = []
        start: int | None = None
        try:
            # One more line end, as without any at the end Python 3.11 may leave out a NEWLINE.
            for token in tokenize.generate_tokens(iter(split_lines(text + "\n")).__next__):
                (row, _), (end, _) = token.start, token.end
                if token.type == tokenize.COMMENT and lines[row - 1].lstrip(" \t\f")[:1] == "#":
                    comments.add(row)
                elif token.type == tokenize.STRING:
                    in_strings.update(range(row + 1, end + 1))
                elif token.type == _FSTRING_START:
                    f_strings.append(row)
                elif token.type == _FSTRING_END:
                    in_strings.update(range(f_strings.pop() + 1, end + 1))
                if start is None and token.type not in _NO_STATEMENT:
                    start = row
                if start is not None and token.type == tokenize.NEWLINE:
                    statements.append(Span(start, min(row, len(lines))))
                    start = None
        except (tokenize.TokenError, SyntaxError, UnicodeEncodeError):
            pass  # the parser says it better; half a surrogate pair, Python 3.12 does not read
        if is_whole:
            comments -= {row for row in comments if is_header_comment(lines[row - 1], row)}
        return cls(lines, frozenset(comments), frozenset(in_strings), statements)

    def span(self, node: FunctionNode) -> Span:
        """The rows of a function: its decorators, its comments, its body.

        Its comments are those directly above it, at its own indentation and with no empty row
        between, and those directly below it that are indented deeper than it is.
        """
        heads = [node.lineno, *(decorator.lineno for decorator in node.decorator_list)]
        first = self._statement(min(heads)).first
        margin = self.margin(first)
        while self._is_attached(first - 1, margin):
            first -= 1
        end = node.end_lineno or node.lineno
        last = row = max(end, self._statement(end).last)
        while row < len(self.lines):
            row += 1
            if row in self.comments:
                inner = self.margin(row)
                if inner == margin or not inner.startswith(margin):
                    break
                last = row
            elif self.lines[row - 1].strip():
                break
        return Span(first, last)

    def margin(self, row: int) -> str:
        """The white space that ``row`` begins with."""
        line = self.lines[row - 1]
        return line[: len(line) - len(line.lstrip(" \t\f"))]

    def text(self, span: Span) -> str:
        """The rows of ``span`` as they are, without the line end of the last."""
        return "".join(self.lines[span.first - 1 : span.last]).removesuffix("\n").removesuffix("\r")

    def shifted(self, span: Span, old: str, new: str) -> list[str]:
        """The rows of ``span`` with the margin ``new`` in place of ``old``.

        Rows inside of string literals stay as they are, as do empty ones and any that hang out
        to the left of ``old``.
        """
        rows = []
        for row in range(span.first, span.last + 1):
            line = self.lines[row - 1]
            moves = row not in self.in_strings and line.startswith(old) and line.strip()
            rows.append(new + line[len(old) :] if moves else line)
        return rows

    def _statement(self, row: int) -> Span:
        """The statement that ``row`` is in, white space that a backslash joins to it included."""
        after = bisect.bisect_right(self.statements, row, key=operator.attrgetter("first"))
        return self.statements[after - 1]

    def _is_attached(self, row: int, margin: str) -> bool:
        return row in self.comments and self.margin(row) == margin
