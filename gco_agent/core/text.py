"""Text of others (policies, models, recordings), made safe for a terminal, a commit or a prompt.

`clean_text` and `clean_line` drop what acts on a terminal or is invisible; `escape` and
`escape_lines` show it as an escape sequence, for text that is evidence. `wrap_body` makes the body
of a commit message, `quote` and `fence` make parts of a prompt or a Markdown file.
"""

from __future__ import annotations

import re
import textwrap
import unicodedata

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
    """As `escape`, but line ends stay."""
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
    that git would take for one of our trailers, for the begin of a patch or for a mail header is
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
        elif c in "\n\t":
            shown.append({"\n": "\\n", "\t": "\\t"}[c])
        elif c.isascii():
            shown.append(f"\\x{ord(c):02x}")
        else:
            shown.append(c.encode("ascii", "backslashreplace").decode())
    return "".join(shown)
