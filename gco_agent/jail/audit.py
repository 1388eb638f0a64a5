"""Python's own say, in the jail: clear messages for what the kernel refuses anyway.

Not a boundary: code in the same interpreter can switch an audit hook off. Where the kernel offers
nothing (macOS, Windows) this is all there is, which stops accidents and not attackers.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from typing import Any

_REFUSED = (
    "open",
    "os.",
    "socket.",
    "subprocess.",
    "ctypes.",
    "shutil.",
    "tempfile.",
    "glob.",
    "pty.",
    "fcntl.",
    "syslog.",
    "signal.",
    "mmap.",
    "resource.",
    "sqlite3.",
    "urllib.",
    "ftplib.",
    "http.",
    "smtplib.",
    "webbrowser.",
    "faulthandler.",
    "gc.get_",
    "_winapi.",
    "_posixsubprocess.",
    "winreg.",
    "msvcrt.",
)
_SHOWN = 80


class ImportRefused:
    """The last finder asked: says why a module cannot be imported."""

    @staticmethod
    def find_spec(name: str, *_: object) -> ModuleSpec | None:
        """Never finds anything."""
        raise ModuleNotFoundError(
            f"no module {name!r} in the jail: a policy has part of the standard library, and numpy",
            name=name,
        )


def install() -> None:
    """Leave only what is loaded, built in or frozen to be imported, and refuse with a reason."""
    sys.path.clear()
    sys.path_importer_cache.clear()
    sys.meta_path.append(ImportRefused)
    sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event.startswith(_REFUSED):
        shown = ""
        if arguments and type(arguments[0]) in (str, bytes, int):
            shown = repr(arguments[0])[:_SHOWN]
        raise PermissionError(f"the jail does not allow a policy {event}({shown})")
