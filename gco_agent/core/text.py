"""Characters that have no look of their own, though they count as letters, marks or symbols.

A person sees nothing of them and a language model reads them: with variation selectors, for one, a
whole message can be written behind a single letter. Format characters (bidi, zero width, tags) are
not among them: whoever asks for printable text is rid of those already.

Source: Unicode 15.0, DerivedCoreProperties.txt, Default_Ignorable_Code_Point; and U+2800, the empty
Braille pattern.
"""

from __future__ import annotations

import contextlib
import math
import re
import textwrap
import unicodedata
from collections.abc import Iterator
from pathlib import PurePosixPath

from gco_agent.core.errors import StoreError

UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U000e0100-\U000e01ef]"
)


WIDTH = 72
"""Columns of a subject and of a wrapped body line, as git's own documentation advises."""

_MAX_LINE = 400
_MAX_LINES = 100

_ESCAPE_SEQUENCES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|(?:\x1b\]|\x9d)[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"  # OSC: titles, links
    r"|\x1b[ -/]*[0-~]"
)
_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029]")
_INVISIBLE = frozenset({"Cc", "Cf", "Cs"})
_JOINERS = frozenset("\u200c\u200d")  # letters of Persian, and of composed emoji
_BULLET = re.compile(r" *(?:(?:[-*+•]|\d{1,3}[.)]) )?")
_LIKE_OUR_TRAILER = re.compile(r"gco-[a-z-]*\s*:", re.IGNORECASE)
_LIKE_A_PATCH = re.compile(r"---(?:\s|$)")
"""For git, whatever follows is no part of the message any more: no trailers, for one."""


def clean_text(text: str) -> str:
    r"""Drop what acts on a terminal or is not seen; line ends become ``\n`` and tabs spaces."""
    text = _ESCAPE_SEQUENCES.sub("", UNSEEN.sub("", _LINE_ENDS.sub("\n", text)))
    return "".join(
        c
        for c in text.expandtabs(4)
        if c == "\n" or c in _JOINERS or unicodedata.category(c) not in _INVISIBLE
    )


def clean_line(text: str) -> str:
    """Clean text and put it on one line, with single spaces."""
    return " ".join(clean_text(text).split())


def shorten(line: str, limit: int = WIDTH) -> str:
    """Cut a line at a word, with an ellipsis, so that it has at most `limit` characters."""
    if len(line) <= limit:
        return line
    head = line[:limit]  # the last character is only there to see whether a word ends before it
    cut = head.rfind(" ")
    if cut < limit // 2:
        cut = limit - 1
    return head[:cut].rstrip(" ,;:-") + "…"


def wrap_body(text: str) -> str:
    """Clean the body of a message and wrap its prose.

    Lines indented by four spaces or fenced by three backticks are code and keep their shape. A
    line that reads like one of our trailers is indented, so that `git log --grep` finds none that
    the store has not written. What passes 100 lines is cut: the whole reply is in the tree.
    """
    lines: list[str] = []
    fenced = False
    for raw in clean_text(text).split("\n"):
        line = raw.rstrip()
        if line.startswith("```"):
            fenced = not fenced
        is_code = fenced or line.startswith(("    ", "```"))
        for piece in [line] if is_code else _wrap(line):
            if piece or (lines and lines[-1]):
                lines.append(_defuse(piece))
    while lines and not lines[-1]:
        lines.pop()
    if len(lines) > _MAX_LINES:
        lines[_MAX_LINES - 1 :] = [f"[{len(lines) - _MAX_LINES + 1} more lines]"]
    return "\n".join(lines)


def _defuse(line: str) -> str:
    """Bound the length of a line, and keep it from reading like what means something to git."""
    if _LIKE_OUR_TRAILER.match(line) or _LIKE_A_PATCH.match(line):
        line = "    " + line
    return line if len(line) <= _MAX_LINE else line[: _MAX_LINE - 1] + "…"


def _wrap(line: str) -> list[str]:
    """Break one line of prose at spaces; later lines hang under the text of a list item."""
    if len(line) <= WIDTH:
        return [line]
    match = _BULLET.match(line)
    indent = match.group() if match else ""
    pieces = textwrap.wrap(
        " ".join(line[len(indent) :].split()),
        WIDTH,
        initial_indent=indent,
        subsequent_indent=" " * len(indent),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return pieces or [""]


def checked_path(path: str) -> str:
    """Return a path that stays inside the tree.

    Raises:
        ValueError: It does not, or no file system takes it.
    """
    pure = PurePosixPath(path)
    if str(pure) != path or pure.is_absolute() or {"..", ".git"} & set(pure.parts) or "\0" in path:
        raise ValueError(f"{path!r} is no path of a file in a commit")
    return path


@contextlib.contextmanager
def readable(what: str) -> Iterator[None]:
    """Around what takes data of a commit apart: what is wrong with them is a `StoreError`.

    Args:
        what: File and commit, for the message.
    """
    try:
        yield
    except KeyError as error:
        raise StoreError(_told(what, f"{error} is missing")) from error
    except (ValueError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise StoreError(_told(what, str(error))) from error


def finite_number(data: object, name: str = "number") -> float:
    """``data`` as a number.

    Raises:
        ValueError: It is none, or not finite.
    """
    if isinstance(data, bool) or not isinstance(data, int | float) or not math.isfinite(data):
        raise ValueError(f"{name} is no finite number: {data!r}")
    return float(data)


def _told(what: str, why: str) -> str:
    return (
        f"{what} cannot be read ({why}); was it edited, or written by another version? "
        "`git log -p -- iterations/` shows what became of it"
    )
