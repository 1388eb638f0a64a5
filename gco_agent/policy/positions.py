"""Where the nodes of a syntax tree stand in the text, and texts with parts of them replaced."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterable
from typing import NamedTuple

from gco_agent.policy.source import split_lines


class Replacement(NamedTuple):
    """Characters ``start`` up to but not including ``end`` become ``text``."""

    start: int
    end: int
    text: str


class Positions:
    """Translates lines and columns of a syntax tree (bytes of UTF-8) into indices of the text."""

    def __init__(self, text: str) -> None:
        self.lines = split_lines(text)
        self._starts = list(itertools.accumulate(map(len, self.lines), initial=0))

    def index(self, line: int, column: int) -> int:
        """Index of ``column`` in ``line`` (from 1)."""
        row = self.lines[line - 1] if line <= len(self.lines) else ""
        return self._starts[line - 1] + len(row.encode()[:column].decode())

    def row_start(self, line: int) -> int:
        """Index of the first character of ``line``; of the end, one line past the last."""
        return self._starts[min(line, len(self._starts)) - 1]

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        """Indices of the first character of ``node``, and of the one after its last."""
        assert node.end_lineno is not None, node
        assert node.end_col_offset is not None, node
        return (
            self.index(node.lineno, node.col_offset),
            self.index(node.end_lineno, node.end_col_offset),
        )


def replaced(text: str, replacements: Iterable[Replacement]) -> str:
    """``text`` with every replacement done.

    Raises:
        ValueError: Two of them overlap.
    """
    parts, at = [], 0
    for start, end, new in sorted(replacements):
        if start < at:
            raise ValueError(f"two replacements meet at character {start}")
        parts += [text[at:start], new]
        at = end
    return "".join([*parts, text[at:]])
