"""The forms that code comes in within a reply: fenced blocks, JSON objects, escaped text."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_FENCE = re.compile(r"^[ \t]{0,12}(`{3,}|~{3,})[ \t]*([\w+.-]*)[^\n`]*$", re.MULTILINE)
_OPENING = re.compile(r"^[^\S\n]*\{", re.MULTILINE)
_MOST_OBJECTS = 5


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: the word behind its fence, and its contents."""

    language: str
    text: str


def fenced_blocks(text: str) -> tuple[list[Block], str, bool]:
    """The fenced blocks, the text outside of them, and whether the last is not closed."""
    blocks: list[Block] = []
    rest: list[str] = []
    opened: re.Match[str] | None = None
    end = 0
    for fence in _FENCE.finditer(text):
        if opened is None:
            opened = fence
            rest.append(text[end : fence.start()])
        elif fence[1].startswith(opened[1]) and not fence[2]:
            inner = text[opened.end() + 1 : fence.start()]
            blocks.append(Block(opened[2].lower(), inner))
            opened, end = None, fence.end()
    if opened is None:
        rest.append(text[end:])
    return blocks, "".join(rest).strip(), opened is not None


def json_objects(text: str) -> Iterator[dict[str, Any]]:
    """The objects that begin at the first braces of a text, read as JSON or else as Python."""
    decoder = json.JSONDecoder(strict=False)  # raw line ends in strings are no harm
    starts = [match.start() for match in _OPENING.finditer(text)][:_MOST_OBJECTS]
    for start in starts:
        try:
            value, _ = decoder.raw_decode(text[start:].lstrip())
        except (ValueError, RecursionError):
            try:
                value = ast.literal_eval(text[start:].strip())
            except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
                continue
        if isinstance(value, dict):
            yield {str(key).lower(): part for key, part in value.items()}


def unescaped(text: str) -> str:
    r"""Code that was escaped once too often: one row with ``\n`` where rows should end."""
    if text.count("\n") > text.count("\\n"):
        return text
    for escaped, meant in (("\\n", "\n"), ("\\t", "\t"), ('\\"', '"'), ("\\'", "'")):
        text = text.replace(escaped, meant)
    return text
