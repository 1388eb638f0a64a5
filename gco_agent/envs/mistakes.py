"""What goes wrong in code of the user's own, told by its file and line instead of a traceback."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from gco_agent.errors import GcoError, UsageError


def import_users(name: str) -> ModuleType:
    """The module called ``name``, imported.

    Raises:
        UsageError: There is none, or something in it fails, in whatever way.
    """
    try:
        with told_by_line():
            return importlib.import_module(name)
    except GcoError:
        raise
    except Exception as error:  # a ValueError if the name is empty
        raise UsageError(f"the module {name} cannot be imported: {error}") from error


def require_own_name(path: Path) -> None:
    """See that importing the name of the file ``path`` gives that file.

    Raises:
        UsageError: Another module has the name, or no module can have it.
    """
    name = path.stem
    if "." in name:
        raise UsageError(f"{path.name} cannot be imported with a dot in its name: rename the file")
    known = sys.modules.get(name)
    found = getattr(known, "__spec__", None) if known else importlib.util.find_spec(name)
    where = getattr(known, "__file__", None) or (found.origin if found else None)
    if where is None or not Path(where).is_file() or not path.samefile(where):
        whose = f" ({where})" if where else ""
        raise UsageError(
            f"the name {name} is taken by another Python module{whose}, so {path.name} cannot be "
            "imported: rename the file"
        )


@contextlib.contextmanager
def told_by_line() -> Iterator[None]:
    """Around code of the user's own; raises as `tell_by_line`."""
    try:
        yield
    except BaseException as error:  # noqa: BLE001 - raised again, one way or the other
        tell_by_line(error)


def tell_by_line(error: BaseException) -> NoReturn:
    """Raise what was raised in code of the user's own as a message with the line at fault.

    What no line of theirs is at fault for is raised as it is: that a module is not there, for one.

    Raises:
        UsageError: A line is at fault.
    """
    if isinstance(error, GcoError | KeyboardInterrupt | GeneratorExit):
        raise error
    if isinstance(error, SyntaxError):
        where = f"{Path(error.filename or '?').name}, line {error.lineno}"
        raise UsageError(f"{where}: {error.msg}") from error
    where = _line_at_fault(error)
    if not where:
        raise error
    # of SystemExit, too, which would end the command without a word
    raise UsageError(f"{where}: {type(error).__name__}: {error}") from error


def _line_at_fault(error: BaseException) -> str:
    """The last line that is neither Python's, nor a package's, nor ours: "g.py, line 3"."""
    ours = str(Path(__file__).parents[1])
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        is_installed = "site-packages" in frame.filename or "dist-packages" in frame.filename
        is_pythons = frame.filename.startswith(("<", sys.base_prefix + "/lib/python"))
        if not is_installed and not is_pythons and not frame.filename.startswith(ours):
            return f"{Path(frame.filename).name}, line {frame.lineno}"
    return ""
