"""Tracebacks of policies, put together by the judge.

A worker sends a summary and a list of (line, function). The text of the lines comes from the source
that the judge holds, so a policy decides at most what one line says.
"""

from __future__ import annotations

import re

from gco_agent.core.text import escape
from gco_agent.jail.wire import POLICY_FILE

MAX_FRAMES = 8
_MAX_SUMMARY = 400
_MAX_NAME = 60
_MAX_SOURCE_LINE = 120
_N_FIRST = 2
_MAX_DIGITS = 7
_LINE_ENDS = re.compile("\r\n|\r|\n")
_DUMPED_FRAME = re.compile(rf'  File "{re.escape(POLICY_FILE)}", line (\d+) in (.+)')

Frame = tuple[int, str]
"""Line of the policy, from 1, and the function it is in."""


def lines_of(source: str) -> list[str]:
    """Split a policy into lines as Python counts them: a form feed, for one, does not end any."""
    return _LINE_ENDS.split(source)


def parse_failure(text: str) -> tuple[str, list[Frame]]:
    """Parse summary and frames as a worker sends them; drop what has another form."""
    summary, *rows = text.split("\n")
    frames: list[Frame] = []
    for row in rows:
        number, _, name = row.partition("\t")
        if number.isascii() and number.isdigit() and len(number) <= _MAX_DIGITS:
            frames.append((int(number), name))
    return summary, frames


def parse_dump(dump: str) -> list[Frame]:
    """Return the policy's frames, outermost first, in a traceback that faulthandler wrote."""
    found = _DUMPED_FRAME.finditer(dump)
    return [(int(m[1]), m[2]) for m in found if len(m[1]) <= _MAX_DIGITS][::-1]


def format_failure(summary: str, frames: list[Frame], source: str) -> str:
    """Return a traceback as Python would print it, of at most `MAX_FRAMES` frames."""
    summary = escape(summary, _MAX_SUMMARY)
    lines = lines_of(source)
    known = [(number, name) for number, name in frames if 1 <= number <= len(lines)]
    if not known:
        return summary
    rows = [
        f'  File "{POLICY_FILE}", line {number}, in {escape(name, _MAX_NAME)}\n'
        f"    {escape(lines[number - 1].strip(), _MAX_SOURCE_LINE)}"
        for number, name in known
    ]
    n_skipped = len(rows) - MAX_FRAMES
    if n_skipped > 0:
        rows[_N_FIRST : _N_FIRST + n_skipped] = [f"  [{n_skipped} more]"]
    return "\n".join(["Traceback (most recent call last):", *rows, summary])
