"""Progress in a terminal: finished iterations scroll up, what is under way stays below them."""

from __future__ import annotations

import time
from typing import Self

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from gco_agent.cli.display import (
    Ledger,
    Pace,
    Phase,
    following_after,
    phase_of,
    standing_in_words,
    verdict_in_words,
    what_in_words,
)
from gco_agent.cli.words import clock, duration, gain_in_words, number_with_error
from gco_agent.core.events import Committed, Event, Playing
from gco_agent.loop.budget import Budget

VERDICT_STYLES = {
    "initial": "cyan",
    "accepted": "bold green",
    "rejected": "dim",
    "failed": "red",
    "rolled-back": "yellow",
    "reported": "bold cyan",
}
_REFRESH_HZ = 5
_COLUMNS = ((4, "right"), (11, "left"), (16, "right"), (16, "right"), (11, "right"), (0, "left"))
_HEADINGS = ("it", "verdict", "return now", "gain", "time", "what")
_BAR_COLUMNS, _FEWEST_COLUMNS = 24, 6
_ROW_COLUMNS = 6
"""Of a row, what is neither words nor the bar: the spinner, and spaces between."""
_BETWEEN = "  ·  "


class LiveDisplay:
    """Draws on standard error.

    Args:
        budget: To tell what is left of it; None where nothing is saved in between.
        following: Number of the next iteration.
        parting: How to stop, and what is kept then.
    """

    def __init__(self, budget: Budget | None, following: int, parting: str | None = None) -> None:
        self._ledger, self._following = Ledger(budget, following), following
        self._pace = Pace()
        self._last: Committed | None = None
        self._console = Console(stderr=True, highlight=False, markup=False, emoji=False)
        self._phase = Phase("starting", None, "")
        self._is_iteration = following > 0
        self._since = time.perf_counter()
        self._has_headings = False
        saved = "Ctrl-C stops; finished iterations are saved"
        self._parting = parting or ("Ctrl-C stops" if budget is None else saved)
        self._spinner = Spinner("dots", style="cyan")
        self._live = Live(
            self, console=self._console, refresh_per_second=_REFRESH_HZ, transient=True
        )

    def __enter__(self) -> Self:
        self._live.start(refresh=True)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._live.stop()

    def __call__(self, event: Event) -> None:
        """Show an event: a finished iteration as a row, anything else below the rows."""
        if isinstance(event, Committed):
            self._following = following_after(event)
            self._ledger.note(event)
            self._last = event
            self._begin(Phase("starting", None, ""), is_iteration=True)
            self._print_row(event)
            return
        phase = phase_of(event)
        is_iteration = self._following > 0 and not isinstance(event, Playing)
        if phase.name != self._phase.name:
            self._begin(phase, is_iteration=is_iteration)
        self._phase = phase
        self._pace.note(phase, time.perf_counter())

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """What is under way, in a few lines."""
        phase = self._phase
        where = f"iteration {self._following}  {phase.name}" if self._is_iteration else phase.name
        elapsed = clock(time.perf_counter() - self._since)
        share = f"{phase.done:4.0%}" if phase.done is not None else "    "
        detail = "  ".join(part for part in (phase.detail, self._pace.words, elapsed) if part)
        told = f"{share}  {detail}"
        room = options.max_width - len(where) - len(told) - _ROW_COLUMNS
        bar = ProgressBar(
            total=1.0,
            completed=phase.done or 0.0,
            width=min(_BAR_COLUMNS, max(_FEWEST_COLUMNS, room)),
            pulse=phase.done is None,
            complete_style="cyan",
            finished_style="cyan",
        )
        row = Table.grid(padding=(0, 1))
        row.add_column(no_wrap=True)
        row.add_column(no_wrap=True, min_width=min(len(where), options.max_width // 2))
        row.add_column(no_wrap=True, min_width=_FEWEST_COLUMNS)
        row.add_column(no_wrap=True)
        row.add_row(self._spinner, Text(where, style="bold"), bar, Text(told))
        lines: list[RenderableType] = [Text(""), row]
        if phase.best:
            lines.append(_cut(f"  best so far: {phase.best}"))
        if self._last is not None:
            told = f"{standing_in_words(self._last)}  ·  last: {verdict_in_words(self._last)}"
            lines.append(_cut(f"  {told}"))
        lines += [_cut(line, style="dim") for line in self._outlook(options.max_width)]
        yield Group(*lines)

    def _outlook(self, width: int) -> list[str]:
        """What is used and left of the budget, by kind, and how to stop; in lines that fit."""
        ledger = self._ledger
        now = time.perf_counter()
        left = ledger.time(now, is_iteration=self._is_iteration)
        lines: list[str] = []
        for part in (*ledger.used(), ledger.to_go(now), left, self._parting):
            if part and lines and len(lines[-1]) + len(_BETWEEN) + len(part) <= width:
                lines[-1] += _BETWEEN + part
            elif part:
                lines.append(f"  {part}")
        return lines

    def _begin(self, phase: Phase, *, is_iteration: bool) -> None:
        self._phase, self._is_iteration = phase, is_iteration
        self._pace = Pace()
        self._since = time.perf_counter()

    def _print_row(self, event: Committed) -> None:
        if not self._has_headings:
            self._has_headings = True
            self._print(_row(_HEADINGS, "dim"))
        cells = (
            str(event.iteration),
            event.verdict,
            number_with_error(event.return_mean, event.return_se),
            gain_in_words(event.gain),
            duration(event.seconds),
            what_in_words(event),
        )
        self._print(_row(cells, VERDICT_STYLES.get(event.verdict, "")))

    def _print(self, row: Text) -> None:
        self._console.print(row, no_wrap=True, overflow="ellipsis", crop=True)


def _row(cells: tuple[str, ...], style: str) -> Text:
    """Cells in columns that stay where they are from one row to the next."""
    text = Text(no_wrap=True, overflow="ellipsis")
    for cell, (width, side) in zip(cells, _COLUMNS, strict=True):
        text.append(cell.rjust(width) if side == "right" else cell.ljust(width), style=style)
        text.append("  ")
    text.rstrip()
    return text


def _cut(line: str, style: str = "") -> Text:
    return Text(line, style=style, no_wrap=True, overflow="ellipsis")
