"""Hashes of the code that makes observations: other code, other numbers, whatever versions say.

Docstrings and lines of comment do not count: a better word is no other rule of play.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import inspect
from collections.abc import Iterable
from pathlib import Path

from gco_agent.core.errors import GcoError
from gco_agent.core.records import PlayProtocol
from gco_agent.envs.extraction import source_digest
from gco_agent.envs.readers import READERS
from gco_agent.envs.readers.base import Reader

_HERE = Path(__file__).parent
_EVERY_GAME = (
    *(_HERE / f"{name}.py" for name in ("objects", "extraction", "supplements")),
    _HERE.parent / "core" / "observation.py",
)
"""Ours, that every Atari game's observations go through."""
_DIGITS = 12


@functools.cache
def observation_digest(module: str) -> str:
    """Hash of what reads a game's objects: OCAtari's files and ours."""
    files = [*_EVERY_GAME]
    reader = READERS.get(module)
    if reader is not None:
        files += [Path(inspect.getfile(kind)) for kind in (Reader, reader)]
    parts = [source_digest(module), *(essence(path.read_text("utf-8")) for path in files)]
    return _digest("\0".join(parts).encode())


def module_digest(names: Iterable[str]) -> str | None:
    """Hash of the files of modules; None if none of them has a file."""
    found = [importlib.util.find_spec(name) for name in dict.fromkeys(names)]
    files = [Path(spec.origin) for spec in found if spec is not None and spec.origin is not None]
    files = [path for path in files if path.is_file()]
    return _digest(b"\0".join(path.read_bytes() for path in files)) if files else None


def require_versions(protocol: PlayProtocol, here: Iterable[tuple[str, str]]) -> None:
    """Refuse to play under a stamp that is not what is here.

    Raises:
        GcoError: A version is another one: a worker on another machine, or one that was started
            before a file was changed, would put its numbers under a stamp that is not theirs.
    """
    known = dict(here)
    for name, version in protocol.versions:
        if known.get(name) != version:
            raise GcoError(
                f"the rules of play ask for {name} {version}, and here is {known.get(name)}: "
                "install the same versions wherever episodes are played"
            )


def essence(text: str) -> str:
    """Python source without docstrings, lines of comment and blank lines."""
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            for number in range(node.lineno - 1, node.end_lineno or node.lineno):
                lines[number] = ""
    return "\n".join(line for line in lines if line.strip() and line.lstrip()[0] != "#")


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:_DIGITS]
