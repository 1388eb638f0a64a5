"""The header of a policy: the module docstring, read and replaced."""

from __future__ import annotations

import ast
import re

from gco_agent.policy.positions import Positions
from gco_agent.policy.source import PolicySource, is_header_comment, parse, split_lines

_CLOSING_QUOTES = re.compile(r'"""|"\Z')  # what would end the literal too early
_ENVIRONMENT = re.compile(r"^[ \t]*Environment:[ \t]*(\S+)", re.MULTILINE)


def docstring_of(source: PolicySource) -> str | None:
    """The module docstring as the module would have it (not cleaned), or None.

    Raises:
        ContractViolation: The text is not Python.
    """
    node = _docstring_node(source)
    return None if node is None else str(node.value)


def replace_docstring(source: PolicySource, new: str) -> PolicySource:
    r"""Give the module the docstring ``new`` and leave every other byte alone.

    Where there is none it becomes the first statement, below a ``#!`` line or an encoding cookie.
    Whatever would not survive as itself (quotes at the end, backslashes, characters that do not
    print) is written as an escape, so that `docstring_of` gives ``new`` back.

    Raises:
        ContractViolation: The text is not Python, or becomes too large.
    """
    node = _docstring_node(source)
    lines = split_lines(source.text)
    newline = "\r\n" if lines and lines[0].endswith("\r\n") else "\n"
    literal = _literal(new).replace("\n", newline)
    if node is not None:
        start, end = Positions(source.text).span(node)
        return PolicySource(source.text[:start] + literal + source.text[end:])
    n_header = max((n for n in (1, 2) if _is_header(lines, n)), default=0)
    before, after = "".join(lines[:n_header]), "".join(lines[n_header:])
    if before and not before.endswith("\n"):
        before += newline
    gap = newline if after.strip() else ""
    return PolicySource(f"{before}{literal}{newline}{gap}{after}")


def environment_of(source: PolicySource) -> str | None:
    """The id in the line ``Environment: <id>`` of the module docstring, or None.

    Raises:
        ContractViolation: The text is not Python.
    """
    found = _ENVIRONMENT.search(docstring_of(source) or "")
    return found[1].rstrip(".,;:") or None if found else None


def _docstring_node(source: PolicySource) -> ast.Constant | None:
    match parse(source.text).body:
        case [ast.Expr(value=ast.Constant(value=str()) as node), *_]:
            return node
    return None


def _is_header(lines: list[str], number: int) -> bool:
    return number <= len(lines) and is_header_comment(lines[number - 1], number)


def _literal(value: str) -> str:
    """A triple-quoted literal whose value is ``value``."""
    body = _CLOSING_QUOTES.sub(lambda found: found[0].replace('"', r"\""), _escaped(value))
    return f'"""{body}"""'


def _escaped(value: str) -> str:
    return "".join(
        c if c in "\n\t" or (c.isprintable() and c != "\\") else c.encode("unicode_escape").decode()
        for c in value
    )
