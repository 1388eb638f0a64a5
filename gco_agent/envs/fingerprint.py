"""Hashes of the code that makes observations; docstrings and comments do not count."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
from collections.abc import Iterable
from pathlib import Path

from gco_agent.core.errors import GcoError
from gco_agent.core.records import PlayProtocol
from gco_agent.envs.extraction import source_digest

_HERE = Path(__file__).parent
_OBSERVING = (
    *(_HERE / f"{name}.py" for name in ("objects", "extraction", "ram_readers")),
    _HERE.parent / "core" / "observation.py",
)
_DIGITS = 12


@functools.cache
def observation_digest(module: str) -> str:
    """Return a hash of what reads a game's objects: OCAtari's files and ours."""
    parts = [source_digest(module), *(essence(path.read_text("utf-8")) for path in _OBSERVING)]
    return _digest("\0".join(parts).encode())


def module_digest(names: Iterable[str]) -> str | None:
    """Return a hash of the files of modules; None if none of them has a file."""
    names = [name for name in dict.fromkeys(names) if name]
    found = [importlib.util.find_spec(name) for name in names]
    files = [Path(spec.origin) for spec in found if spec is not None and spec.origin is not None]
    files = [path for path in files if path.is_file()]
    return _digest(b"\0".join(path.read_bytes() for path in files)) if files else None


def require_versions(protocol: PlayProtocol, here: Iterable[tuple[str, str]]) -> None:
    """Check that the versions ``here`` are those of the protocol.

    Raises:
        GcoError: One differs, as on another machine, or after a file was changed.
    """
    known = dict(here)
    for name, version in protocol.versions:
        if known.get(name) != version:
            raise GcoError(
                f"the rules of play ask for {name} {version}, and here is {known.get(name)}: "
                "install the same versions wherever episodes are played"
            )


def essence(text: str) -> str:
    """Return Python source without docstrings, comment lines and blank lines."""
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            for number in range(node.lineno - 1, node.end_lineno or node.lineno):
                lines[number] = ""
    return "\n".join(line for line in lines if line.strip() and line.lstrip()[0] != "#")


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:_DIGITS]
