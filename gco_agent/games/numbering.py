"""Actions of a policy's text numbered for another action set.

A policy names the actions that it plays as module constants: ``UP, RIGHT = 2, 3``. Their numbers
depend on the set of actions: the few that a game uses, or all 18 of the console.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence

_N_ACTIONS = "N_ACTIONS"
"""The constant that counts them."""


def renumbered(text: str, aliases: Mapping[str, str], names: Sequence[str]) -> str:
    """``text`` with every constant that names an action set to its index in ``names``.

    A constant names an action if it is called as the action is, underscores apart
    (``RIGHT_FIRE``), or if ``aliases`` says so. Nothing else changes.

    Args:
        text: Of a policy that parses.
        aliases: Constant to the emulator's word.
        names: The emulator's words in the order of the new indices.
    """
    lines = text.splitlines(keepends=True)
    found = sorted(_constants(ast.parse(text)), key=lambda c: (c[1].lineno, -c[1].col_offset))
    for name, literal in found:
        word = aliases.get(name, name.replace("_", ""))
        number = len(names) if name == _N_ACTIONS else None
        if word in names:
            number = list(names).index(word)
        if number is not None:
            line = lines[literal.lineno - 1].encode()
            end = literal.end_col_offset
            changed = line[: literal.col_offset] + str(number).encode() + line[end:]
            lines[literal.lineno - 1] = changed.decode()
    return "".join(lines)


def _constants(module: ast.Module) -> Iterator[tuple[str, ast.Constant]]:
    """Names that are assigned a whole number at the top level, and where the number stands."""
    for node in module.body:
        if not isinstance(node, ast.Assign) or len(node.targets) != 1:
            continue
        target, value = node.targets[0], node.value
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            pairs = zip(target.elts, value.elts, strict=False)
        else:
            pairs = zip([target], [value], strict=True)
        for name, number in pairs:
            is_number = isinstance(number, ast.Constant) and type(number.value) is int
            if isinstance(name, ast.Name) and isinstance(number, ast.Constant) and is_number:
                yield name.id, number
