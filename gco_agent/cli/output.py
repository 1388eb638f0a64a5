"""What commands print: results on standard output, everything else on standard error.

`Result` is the one way to print a result, as text or as JSON; `print_table` the one table.
"""

from __future__ import annotations

import contextlib
import errno
import io
import itertools
import json
import os
import re
import shutil
import statistics
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, TextIO

from gco_agent.core.records import Verdict
from gco_agent.core.statistics import FEWEST_FOR_INTERVAL, confidence_interval
from gco_agent.core.text import clean_line, clean_text, format_score

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from gco_agent.core.records import Evaluation
    from gco_agent.core.statistics import Gain
    from gco_agent.store.entries import Facts
    from gco_agent.store.view import Step

VERDICT_STYLES = {
    "initial": "cyan",
    "accepted": "bold green",
    "rejected": "dim",
    "inconclusive": "dim yellow",
    "failed": "red",
    "rolled-back": "yellow",
    "reported": "bold cyan",
}
_BARS = "▁▂▃▄▅▆▇█"
_HEADING = re.compile(r"(.*?)(?:([<>])(\d?))?")
_GAP = 2
_LEAST_TEXT = 15
_STDOUT, _STDERR = 1, 2
STANDARD_OUTPUT = "standard output"
_results: TextIO | None = None


# Streams


class _StandardFile(io.FileIO):
    """A descriptor of standard output or standard error.

    An error of standard output says where it occurred. What standard error cannot take, as on a
    full disk, is lost: a message is no reason to end a run. A closed pipe ends the command.
    """

    def __init__(self, number: int, *, is_error: bool) -> None:
        super().__init__(number, "w", closefd=not is_error and number != _STDOUT)
        self._is_error = is_error

    def write(self, data: Buffer, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            if not self._is_error:
                error.filename = STANDARD_OUTPUT
                raise
            return memoryview(data).nbytes


def _open_standard(number: int, encoding: str, *, is_error: bool = False) -> TextIO:
    """Open a descriptor as text that shows ? for what its encoding cannot express."""
    buffer = io.BufferedWriter(_StandardFile(number, is_error=is_error))
    is_line_buffered = is_error or os.isatty(number)
    return io.TextIOWrapper(buffer, encoding, "replace", line_buffering=is_line_buffered)


def open_standard_streams() -> None:
    """Prepare standard output and standard error for a program's start.

    Raises:
        OSError: Standard output is closed.
    """
    is_open = sys.stdout is not None
    for number, stream in enumerate((sys.stdin, sys.stdout, sys.stderr)):
        if stream is None:  # or the next file that is opened would get the number
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
    if sys.stderr is sys.__stderr__:  # not one of a test
        encoding = getattr(sys.stderr, "encoding", "utf-8")
        sys.stderr = _open_standard(_STDERR, encoding, is_error=True)
    if sys.stdout is sys.__stdout__:
        sys.stdout = _open_standard(_STDOUT, getattr(sys.stdout, "encoding", "utf-8"))
    if not is_open:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF), STANDARD_OUTPUT)


def discard_output() -> None:
    """Discard what standard output did not take, or Python would try again at its end."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, _STDOUT)
    os.close(null)
    sys.stdout.flush()


@contextlib.contextmanager
def results_only() -> Iterator[None]:
    """Keep standard output for `echo`; redirect other output to standard error.

    Environments, libraries and worker processes print what they like; ``--json`` stays JSON.
    """
    global _results  # noqa: PLW0603 - there is one standard output
    before, stdout = _results, sys.stdout
    stdout.flush()
    saved = -1
    try:
        if stdout.fileno() == _STDOUT:
            saved = os.dup(_STDOUT)
            os.dup2(_STDERR, _STDOUT)
    except (OSError, ValueError):  # a stream of a test, or a descriptor that is closed
        pass
    _results = stdout if saved == -1 else _open_standard(saved, stdout.encoding)
    sys.stdout = sys.stderr
    try:
        yield
    finally:
        results, _results, sys.stdout = _results, before, stdout
        if saved == -1:
            results.flush()
        else:
            os.dup2(saved, _STDOUT)
            results.close()


def results_stream() -> TextIO:
    """Return the stream of results: standard output."""
    return _results or sys.stdout


def columns_of(stream: TextIO) -> int | None:
    """Return the width of the terminal behind a stream; None if there is none."""
    return shutil.get_terminal_size().columns if stream.isatty() else None


def echo(text: str = "", *, nl: bool = True) -> None:
    """Print a result."""
    results_stream().write(text + "\n" * nl)
    results_stream().flush()


def say(text: str) -> None:
    """Print lines of a result, cleaned of control characters and wrapped between words."""
    echo(fit(clean_text(text)))


def tell(text: str) -> None:
    """Write lines to standard error, above a live display.

    `click.echo` would bypass the redirection that makes this possible.
    """
    sys.stderr.write(f"{fit(text, sys.stderr)}\n")
    sys.stderr.flush()


@dataclass(frozen=True, slots=True)
class Result:
    """What a command comes to.

    Attributes:
        data: The result, of dataclasses and JSON values; printed with ``--json``.
        text: Its lines, or a function that prints them; printed without.
    """

    data: Any
    text: str | Callable[[], None]
    is_good: bool = True

    def print(self, *, as_json: bool) -> None:
        """Print it as JSON or as text."""
        if as_json:
            print_json(self.data)
        elif isinstance(self.text, str):
            say(self.text)
        else:
            self.text()


def print_json(data: Any, indent: int | None = 2) -> None:  # noqa: ANN401 - what JSON can hold
    """Print data as JSON; characters outside ASCII are escaped, numbers not finite are null."""
    from pydantic_core import to_jsonable_python

    plain = to_jsonable_python(data, inf_nan_mode="null")
    echo(json.dumps(plain, indent=indent, allow_nan=False))


# Words


def gain_text(gain: Gain | None) -> str:
    """Format a gain: "+1.25 ± 0.30"; "" for None."""
    return "" if gain is None else format_score(gain.mean, gain.standard_error, "+")


def score_text(data: dict[str, Any]) -> str:
    """Format the keys of a score: "6.05 ± 0.80, 95 % interval 4.41 to 7.69"."""
    error = data["standard_error"] or 0.0
    score = format_score(data["mean_return"], data["standard_error"])
    if not data["confidence_interval"]:
        has_too_few = 1 < len(data.get("returns", ())) < FEWEST_FOR_INTERVAL
        return score + ", too few episodes for an interval" * has_too_few
    if not error:
        return score + ", the same in every episode"
    ends = [format_score(end, error).split(" ")[0] for end in data["confidence_interval"]]
    return f"{score}, 95 % interval {ends[0]} to {ends[1]}"


def evaluation_json(played: Evaluation) -> dict[str, Any]:
    """Return the score of an evaluation, by the keys that every command uses."""
    interval = confidence_interval(played.returns) if played.is_valid else None
    return {
        "mean_return": played.mean_return,
        "standard_error": played.standard_error,
        "confidence_interval": interval,
        "returns": played.returns,
    }


def score_json(facts: Facts | None, interval: tuple[float, float] | None) -> dict[str, Any]:
    """Return the score that a commit states, by the keys that every command uses."""
    return {
        "mean_return": facts.return_mean if facts else None,
        "standard_error": facts.return_se if facts else None,
        "confidence_interval": interval,
        **pick(facts, "episodes seeds protocol"),
    }


def pick(record: object, names: str) -> dict[str, Any]:
    """Return attributes of a record by name; each is None where there is no record."""
    return {name: getattr(record, name, None) for name in names.split()}


def duration(seconds: float) -> str:
    """Format a time: "45 s", "3 min 12 s", "1 h 2 min"."""
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def age(past: timedelta) -> str:
    """Format how long ago something was: "2 h ago"."""
    seconds = max(0.0, past.total_seconds())
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:,.0f} {unit} ago"
    return "just now"


def clock(seconds: float) -> str:
    """Format a time that changes on the screen: "3:12", "1:02:05"."""
    whole = max(0, int(seconds))
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def count(n: int, noun: str) -> str:
    """Format a number of things: "1 iteration", "21,000 steps"."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def sparkline(values: Sequence[float]) -> str:
    """Return at most 60 bars in one line; a bar is the mean of the values it covers."""
    if not values:
        return ""
    n_bars = min(len(values), 60)
    edges = [i * len(values) // n_bars for i in range(n_bars + 1)]
    bars = [statistics.fmean(values[a:b]) for a, b in itertools.pairwise(edges)]
    low, high = min(bars), max(bars)
    span = (high - low) or 1.0
    return "".join(_BARS[min(len(_BARS) - 1, int((v - low) / span * len(_BARS)))] for v in bars)


def races_note(history: Sequence[Step]) -> str:
    """Say why returns of races and of the report differ; "" where the rules are the same."""
    limits: dict[bool, list[int]] = {True: [], False: []}
    for step in history:
        stamp = step.facts.protocol if step.facts else None
        if stamp and (found := re.search(r" max_steps=(\d+)", stamp)):
            limits[step.verdict is Verdict.REPORTED].append(int(found[1]))
    races, report = (min(limits[is_report], default=0) for is_report in (False, True))
    if not 0 < races < report:
        return ""
    limit = f"The shortest races truncated episodes at {races:,} steps, the report at {report:,}"
    return f"{limit}, so one policy has two returns."


def fit(text: str, stream: TextIO | None = None) -> str:
    """Wrap lines between words for a terminal; elsewhere return them as they are.

    A continuation is indented by two more columns.
    """
    columns = columns_of(stream or results_stream())
    if columns is None:
        return text
    return "\n".join(piece for line in text.split("\n") for piece in wrap(line, columns))


def wrap(line: str, columns: int) -> list[str]:
    """Break a line between words only."""
    pieces = textwrap.wrap(
        line,
        max(1, columns),
        subsequent_indent=" " * (len(line) - len(line.lstrip(" ")) + 2),
        break_long_words=False,
        break_on_hyphens=False,
        replace_whitespace=False,
    )
    return pieces or [""]


# Tables


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        rank: Columns with the highest rank are dropped first on a narrow terminal; a column with
            rank 0 is always shown.
        text: Prose, in the last column: wrapped ("wrap") or shortened ("cut") to the room left.
    """

    heading: str
    side: Literal["left", "right"] = "left"
    rank: int = 0
    text: Literal["", "wrap", "cut"] = ""

    @classmethod
    def row(cls, headings: str) -> list[Column]:
        """Return columns by their headings.

        Headings are divided by bars; one that ends in ">" is of a column of numbers, and a digit
        behind that, or behind "<", is its rank: "run | gain> | seed>5 | updated<4".
        """
        found = [_HEADING.fullmatch(each.strip()) for each in headings.split("|")]
        return [
            cls(match[1], "right" if match[2] == ">" else "left", int(match[3] or 0))
            for match in found
            if match
        ]


def print_table(
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    *,
    heading: str = "",
    styles: Sequence[str] = (),
) -> None:
    """Print a table that fits the terminal without breaking a word or a number."""
    from rich.console import Console
    from rich.text import Text

    stream = results_stream()
    console = Console(file=stream, highlight=False, markup=False, emoji=False, soft_wrap=True)
    if heading:
        console.print(fit(heading), style="bold")
    rows = [[clean_line(cell) for cell in row] for row in rows]
    width = columns_of(stream)
    lines = _table_lines(columns, [[c.heading for c in columns], *rows], width)
    for style, row in zip(("bold", *styles, *[""] * len(rows)), lines, strict=False):
        for line in row:
            console.print(Text(line.rstrip(), style=style))


def _table_lines(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None
) -> Iterator[list[str]]:
    """Yield the lines of each row, the headings first."""
    from rich.cells import cell_len, set_cell_size

    widths = [max(cell_len(row[i]) for row in rows) for i in range(len(columns))]
    shown = [i for i, column in enumerate(columns) if not column.text]
    prose = next((i for i, column in enumerate(columns) if column.text), None)
    if width is not None:
        need = _LEAST_TEXT if prose is not None else 0
        for i in sorted(shown, key=lambda i: -columns[i].rank):
            if sum(widths[j] + _GAP for j in shown) + need <= width or not columns[i].rank:
                break
            shown.remove(i)
    used = sum(widths[i] + _GAP for i in shown)
    room = None if width is None else width - used
    for number, row in enumerate(rows):
        cells = []
        for i in shown:
            pad = " " * (widths[i] - cell_len(row[i]))
            cells.append(pad + row[i] if columns[i].side == "right" else row[i] + pad)
        line = "".join(cell + " " * _GAP for cell in cells)
        if prose is None:
            yield [line]
        elif room is None:
            yield [line + row[prose]]
        elif columns[prose].text == "cut" and room > 0:
            fits = cell_len(row[prose]) <= room
            yield [line + (row[prose] if fits else set_cell_size(row[prose], room - 1) + "…")]
        elif room >= _LEAST_TEXT:
            first, *rest = wrap(row[prose], room)
            yield [line + first, *(" " * used + piece.strip() for piece in rest)]
        else:  # below the row
            yield [line, *(wrap("    " + row[prose], width or 0) if number else [])]


def command_lines(hints: Sequence[tuple[str, str]]) -> list[str]:
    """Lay out commands with what each is for beside it, or below on a narrow terminal."""
    width = max(len(command) for command, _ in hints)
    beside = [f"  {command.ljust(width)}  {what}" for command, what in hints]
    columns = columns_of(results_stream())
    if columns is None or max(map(len, beside)) <= columns:
        return beside
    return [line for command, what in hints for line in (f"  {command}", f"      {what}")]
