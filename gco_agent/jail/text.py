"""Text that a policy wrote, made fit for a terminal, a commit, a report or a prompt.

A worker sends a summary and a list of (line, function); the traceback is put together here, from
the source that the judge itself holds. So a policy decides at most what one line of it says.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from gco_agent.core.text import INVISIBLE
from gco_agent.jail.wire import POLICY_FILE

MAX_SUMMARY = 400
MAX_NAME = 60
MAX_SOURCE_LINE = 120
MAX_FRAMES = 8
_FIRST_FRAMES = 2
_MAX_DIGITS = 7
_MOST_MARKS = 2
"""Of marks on one letter; a heap of them covers the lines above and below."""
_MARKS = frozenset({"Mn", "Me"})
_LINE_ENDS = re.compile("\r\n|\r|\n")

Frame = tuple[int, str]
"""Line of the policy, from 1, and the function it is in."""

_HANG_FRAME = re.compile(rf'  File "{re.escape(POLICY_FILE)}", line (\d+) in (.+)')


def escape(text: str, limit: int) -> str:
    """``text`` on one line, without control, bidi or invisible characters, cut to ``limit``."""
    cut = text[:limit]
    shown = cut if cut.isascii() and cut.isprintable() else "".join(_visible(cut))
    if len(shown) > limit or len(text) > limit:
        return shown[:limit] + " [cut]"
    return shown


def escape_lines(text: str, limit: int) -> str:
    """As `escape`, but line ends stay."""
    lines = text[:limit].split("\n")
    return "\n".join(escape(line, limit) for line in lines)[:limit]


def lines_of(source: str) -> list[str]:
    """The lines of a policy as Python counts them: a form feed, for one, does not end any."""
    return _LINE_ENDS.split(source)


def parse_failure(text: str) -> tuple[str, list[Frame]]:
    """Summary and frames of what a worker sent; what is not of that form is dropped."""
    summary, *rows = text.split("\n")
    frames: list[Frame] = []
    for row in rows:
        number, _, name = row.partition("\t")
        if number.isascii() and number.isdigit() and len(number) <= _MAX_DIGITS:
            frames.append((int(number), name))
    return summary, frames


def parse_hang(dump: str) -> list[Frame]:
    """The policy's frames, outermost first, in what the interpreter dumped when it was told to."""
    found = _HANG_FRAME.finditer(dump)
    return [(int(m[1]), m[2]) for m in found if len(m[1]) <= _MAX_DIGITS][::-1]


def format_failure(summary: str, frames: list[Frame], source: str) -> str:
    """A traceback as Python would print it, of at most `MAX_FRAMES` frames."""
    summary = escape(summary, MAX_SUMMARY)
    lines = lines_of(source)
    known = [(number, name) for number, name in frames if 1 <= number <= len(lines)]
    if not known:
        return summary
    shown = ["Traceback (most recent call last):"]
    skipped = known[_FIRST_FRAMES : len(known) - MAX_FRAMES + _FIRST_FRAMES]
    for number, name in known[:_FIRST_FRAMES]:
        shown += _format_frame(number, name, lines)
    if skipped:
        shown.append(f"  [{len(skipped)} more]")
    for number, name in known[_FIRST_FRAMES + len(skipped) :]:
        shown += _format_frame(number, name, lines)
    return "\n".join([*shown, summary])


def _format_frame(number: int, name: str, lines: list[str]) -> list[str]:
    return [
        f'  File "{POLICY_FILE}", line {number}, in {escape(name, MAX_NAME)}',
        "    " + escape(lines[number - 1].strip(), MAX_SOURCE_LINE),
    ]


def _visible(text: str) -> Iterator[str]:
    """Its characters, or what stands for those that act on what is around them, or are unseen."""
    n_marks = 0
    for c in text:
        n_marks = n_marks + 1 if unicodedata.category(c) in _MARKS else 0
        is_shown = c.isprintable() and not INVISIBLE.match(c) and n_marks <= _MOST_MARKS
        yield c if is_shown else _escaped(c)


def _escaped(character: str) -> str:
    named = {"\n": "\\n", "\t": "\\t"}
    if character in named:
        return named[character]
    if character.isascii():
        return f"\\x{ord(character):02x}"
    return character.encode("ascii", "backslashreplace").decode()
