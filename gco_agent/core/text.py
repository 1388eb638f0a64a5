"""Text for people: foreign text made safe, and numbers formatted.

Text of policies, models and recordings goes to a terminal, a commit or a prompt. `clean_text` and
`clean_line` drop what acts on a terminal or is invisible; `escape` and `escape_lines` show it as an
escape sequence, for text that is evidence. `wrap_body` makes the body of a commit message, `quote`
and `fence` make parts of a prompt or a Markdown file.
"""

from __future__ import annotations

import math
import re
import textwrap
import unicodedata
from collections.abc import Sequence

WIDTH = 72
"""Columns of a subject and of a wrapped body line, as git's own documentation advises."""

INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U000e0100-\U000e01ef]"
)
"""Letters, marks and symbols that are not seen; variation selectors can hide a whole message.

Unicode 15.0, DerivedCoreProperties.txt, Default_Ignorable_Code_Point, and the empty Braille
pattern. Format characters (bidi, zero width, tags) are not printable anyhow.
"""

_MAX_LINE = 400
_MAX_LINES = 100
_MAX_MARKS = 2
"""Combining marks on one letter; a heap of them covers the lines above and below."""
_ESCAPE_SEQUENCES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|(?:\x1b\]|\x9d)[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"  # OSC: titles, links
    r"|\x1b[ -/]*[0-~]"
)
_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029]")
_CONTROL = frozenset({"Cc", "Cf", "Cs"})
_JOINERS = frozenset("\u200c\u200d")  # letters of Persian, and of composed emoji
_BULLET = re.compile(r" *(?:(?:[-*+•]|\d{1,3}[.)]) )?")
_MEANS_SOMETHING_TO_GIT = re.compile(
    r"gco-[a-z-]*\s*:"  # a trailer of ours
    r"|diff -|index:|---(?:\s|$)"  # git am and interpret-trailers take the rest for a patch
    r"|from .*\d:\d\d|(?:from|date|subject):",  # the next mail of a mailbox, headers in a body
    re.IGNORECASE,
)


def clean_text(text: str) -> str:
    r"""Drop what acts on a terminal or is not seen; line ends become ``\n`` and tabs spaces."""
    text = _ESCAPE_SEQUENCES.sub("", INVISIBLE.sub("", _LINE_ENDS.sub("\n", text)))
    return "".join(
        c
        for c in text.expandtabs(4)
        if c == "\n" or c in _JOINERS or unicodedata.category(c) not in _CONTROL
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


def escape(text: str, limit: int) -> str:
    """Return ``text`` on one line, cut to ``limit``, with everything invisible as an escape."""
    cut = text[:limit]
    shown = cut if cut.isascii() and cut.isprintable() else _escaped(cut)
    if len(shown) > limit or len(text) > limit:
        return shown[:limit] + " [cut]"
    return shown


def escape_lines(text: str, limit: int) -> str:
    """Escape text as `escape` does, but keep line ends."""
    lines = text[:limit].split("\n")
    return "\n".join(escape(line, limit) for line in lines)[:limit]


def quote(text: str, limit: int) -> str:
    """Return ``text`` on one line, cut to ``limit``, in quotation marks that it cannot close."""
    shown = escape(" ".join(text.split()), limit)
    return '"' + shown.replace("\\", "/").replace('"', "'").replace("`", "'") + '"'


def fence(text: str, language: str = "") -> str:
    """Return ``text`` as a Markdown code block that it cannot close."""
    longest = max((len(run) for run in re.findall("`{3,}", text)), default=2)
    ticks = "`" * (longest + 1)
    return f"{ticks}{language}\n{text.rstrip()}\n{ticks}"


def wrap_body(text: str) -> str:
    """Clean the body of a commit message and wrap its prose.

    Lines indented by four spaces or fenced by three backticks are code and keep their shape. A line
    that git would take for one of our trailers, for the start of a patch or for a mail header is
    indented. Of more than 100 lines the rest is cut.
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
    if _MEANS_SOMETHING_TO_GIT.match(line):
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


def _escaped(text: str) -> str:
    shown, n_marks = [], 0
    for c in text:
        n_marks = n_marks + 1 if unicodedata.category(c) in ("Mn", "Me") else 0
        if c.isprintable() and not INVISIBLE.match(c) and n_marks <= _MAX_MARKS:
            shown.append(c)
        else:
            shown.append(c.encode("unicode_escape").decode())
    return "".join(shown)


# Numbers

_LARGE, _TINY = 1e9, 1e-6
"""Numbers are written with an exponent from here on, up and down."""
_SMALL, _DIGITS = 0.1, 3


def format_points(value: float, sign: str = "-", decimals: int | None = None) -> str:
    """Format a return: at least three significant digits, two of a number below 0.1.

    Args:
        sign: "+" shows the sign of positive numbers, too.
        decimals: Digits behind the point, if they are given by another number.
    """
    if not math.isfinite(value) or abs(value) >= _LARGE or 0 < abs(value) < _TINY:
        return f"{value:{sign}.3g}"
    return f"{value:{sign}.{_decimals(value) if decimals is None else decimals}f}"


def format_score(mean: float | None, error: float | None, sign: str = "-", least: int = 0) -> str:
    """Format a mean and its standard error: "6.05 ± 0.80"; an en dash where there is no mean.

    Args:
        least: Digits behind the point, at least.
    """
    if mean is None:
        return "–"
    if error is None or not math.isfinite(error):
        return format_points(mean, sign, max(least, _decimals(mean)))
    if max(abs(mean), error) >= _LARGE or 0 < max(abs(mean), error) < _TINY:
        return f"{mean:{sign}.3g} ± {error:.2g}"
    decimals = max(least, _decimals(max(abs(mean), error)))
    if 0 < error < 0.5 * 10**-decimals:  # it would read as none
        decimals = min(-math.floor(math.log10(error)), 9)
    return f"{mean:{sign}.{decimals}f} ± {error:.{decimals}f}"


def _decimals(value: float) -> int:
    """Return how many digits behind the point `format_points` writes of a number."""
    if value == 0 or not math.isfinite(value):
        return _DIGITS - 1
    if abs(value) < _SMALL:
        return min(1 - math.floor(math.log10(abs(value))), 9)
    return max(0, _DIGITS - len(f"{abs(value):.0f}"))


# Differences


def difference(before: str, after: str, context: int = 3) -> list[str]:
    """Return a unified diff without its header, empty if the texts have the same lines."""
    import difflib

    old, new = before.splitlines(), after.splitlines()
    return list(difflib.unified_diff(old, new, n=context, lineterm=""))[2:]


def count_changes(lines: Sequence[str]) -> tuple[int, int]:
    """Return how many lines a difference adds and how many it removes."""
    return sum(line[0] == "+" for line in lines), sum(line[0] == "-" for line in lines)
