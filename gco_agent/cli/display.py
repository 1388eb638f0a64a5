"""Progress on standard error: a live view in a terminal, plain lines elsewhere.

`Broadcast` also leaves what is shown in a file, where ``gco-agent watch`` reads it.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from gco_agent.cli.output import (
    VERDICT_STYLES,
    clock,
    count,
    duration,
    gain_text,
    tell,
)
from gco_agent.core.events import Committed, Event, Playing, Racing, Searching
from gco_agent.core.records import Usage
from gco_agent.core.text import clean_line, format_score

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.text import Text

    from gco_agent.loop.budget import Budget

_LEAST_S = 1.0
_PAUSE_S = 0.5
"""The status file is not written more often; it takes about 0.1 ms."""
_REFRESH_HZ = 5
_BAR_COLUMNS, _FEWEST_COLUMNS = 24, 6
_ROW_COLUMNS = 6
"""Of a row, what is neither words nor the bar: the spinner, and spaces between."""
_BETWEEN = "  ·  "


@dataclass(frozen=True, slots=True)
class Phase:
    """What is being done.

    Attributes:
        done: Share that is done, from 0 to 1; None if that is not known.
        best: The best of the search, in words, or "".
        n_steps: Steps played in it, or before it in the same iteration.
    """

    name: str
    done: float | None
    detail: str
    best: str = ""
    n_steps: int = 0


def phase_of(event: Searching | Racing | Playing) -> Phase:
    """Describe an event."""
    match event:
        case Playing():
            detail = f"{event.n_done} of {count(event.n_wanted, 'episode')}"
            done = event.n_done / max(1, event.n_wanted)
            return Phase(clean_line(event.what), done, detail, n_steps=event.n_steps)
        case Racing(gain=None):
            detail = "against the present policy, on the same seeds"
            longest = f", {count(event.max_steps, 'step')} at most" if event.max_steps else ""
            return Phase("race", 0.0, detail + longest)
        case Racing():
            detail = f"{event.n_pairs} of at most {event.at_most} pairs, gain "
            detail += gain_text(event.gain)
            return Phase("race", event.n_pairs / event.at_most, detail, n_steps=event.n_steps)
        case Searching():
            detail = count(event.n_steps, "step") if event.n_steps else clean_line(event.detail)
            name, best = clean_line(event.activity), clean_line(event.best)
            return Phase(name, event.done, detail, best, event.n_steps)


class Ledger:
    """What the iterations of this command used, and what is left, by kind.

    Args:
        budget: The limits; None where nothing is saved in between.
        following: Number of the first iteration that the limits are for.
    """

    def __init__(self, budget: Budget | None, following: int) -> None:
        self.budget, self._first = budget, max(1, following)
        self._frames, self._tokens, self._usd = 0, 0, 0.0
        self._n_done, self._n_timed, self._seconds = 0, 0, 0.0
        self._since = 0.0

    def note(self, event: Committed, now: float | None = None) -> None:
        """Count an iteration; the initial policy and a report are none."""
        self._frames = max(self._frames, event.frames or 0)
        self._since = time.perf_counter() if now is None else now
        if event.iteration < self._first or event.verdict in ("initial", "reported"):
            return
        self._tokens += event.tokens or 0
        self._usd += event.usd or 0.0
        self._n_done = event.iteration - self._first + 1
        self._n_timed += 1
        self._seconds += event.seconds

    def used(self) -> list[str]:
        """List iterations, frames, tokens and dollars, each with its limit if it has one."""
        budget, tokens, usd, risk = self.budget, self._tokens, self._usd, 0.0
        if budget is not None and budget.spending is not None:  # the account of the whole run
            tokens, usd = budget.spending.spent.total_tokens, budget.spending.spent.usd or 0.0
            risk = budget.spending.at_risk.usd or 0.0
        limits = (budget.frames, budget.tokens, budget.usd) if budget else (None, None, None)
        told = []
        if budget is not None and budget.iterations is not None:
            told.append(
                f"{min(self._n_done, budget.iterations)} of {count(budget.iterations, 'iteration')}"
            )
        for used, limit, noun in (
            (self._frames, limits[0], "frames"),
            (tokens, limits[1], "tokens"),
        ):
            if used or limit:
                of = f" of {short_count(limit)}" if limit else ""
                told.append(f"{short_count(used)}{of} {noun}")
        if usd or risk or limits[2]:
            unstated = f" (+ up to ${risk:.2f} unstated)" if risk else ""
            told.append(f"${usd:.2f}{unstated}" + (f" of ${limits[2]:.2f}" if limits[2] else ""))
        return told

    def to_go(self, now: float) -> str:
        """Estimate how long the iterations that are left take, unless the time ends them first."""
        budget = self.budget
        limit = budget.iterations if budget else None
        if budget is None or limit is None or not self._n_timed or limit <= self._n_done:
            return ""
        each = self._seconds / self._n_timed
        left = (limit - self._n_done) * each - min(each, max(0.0, now - self._since))
        if budget.seconds is not None and budget.started + budget.seconds < now + left:
            return ""
        return f"about {duration(left)} to go"

    def time(self, now: float, *, is_iteration: bool) -> str:
        """Say how much time is left, or has passed where there is no limit."""
        budget = self.budget
        if budget is None:
            return ""
        if budget.seconds is None:
            return f"{clock(now - budget.started)} elapsed"
        is_kept = budget.reserve_s and is_iteration
        kept = f" ({clock(budget.reserve_s)} kept for the report)" if is_kept else ""
        left = budget.started + budget.seconds - now
        return f"{clock(left)} of {clock(budget.seconds)} left{kept}"


def short_count(n: int) -> str:
    """Format a large number briefly: "12.3M", "4,520" below ten thousand."""
    for size, letter in ((10**9, "G"), (10**6, "M"), (10**4, "k")):
        if n >= size:
            value = n / (1000 if letter == "k" else size)
            return f"{value:.0f}{letter}" if value >= 100 else f"{value:.1f}{letter}"  # noqa: PLR2004
    return f"{n:,}"


def what_text(event: Committed) -> str:
    """Describe the edit; of an iteration that failed, also the reason."""
    what = clean_line(event.what)
    return f"{what}: {clean_line(event.why)}" if event.verdict == "failed" and event.why else what


class PlainDisplay:
    """Writes a line for every phase and every iteration.

    Args:
        budget: Shows what is used and left of it; None where nothing is saved in between.
    """

    def __init__(self, budget: Budget | None = None, following: int = 0) -> None:
        self._following, self._is_iteration = following, following > 0
        self._ledger = Ledger(budget, following)
        self._phase = Phase("", None, "")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        """End the display and clear the screen of progress bars."""

    def __call__(self, event: Event) -> None:
        """Show an event: a finished iteration, or what is under way."""
        if isinstance(event, Committed):
            self._following, self._is_iteration = event.iteration + 1, True
            self._phase = Phase("", None, "")
            self._ledger.note(event)
            self._show_committed(event)
            return
        before, self._phase = self._phase, phase_of(event)
        if self._phase.name != before.name:
            self._is_iteration = self._following > 0 and not isinstance(event, Playing)
            self._show_phase()

    @property
    def _where(self) -> tuple[str, ...]:
        lead = (f"iteration {self._following}",) if self._is_iteration else ()
        return *lead, self._phase.name or "starting"

    def _show_phase(self) -> None:
        tell(": ".join(self._where))

    def _show_committed(self, event: Committed) -> None:
        facts = [f"return {format_score(event.return_mean, event.return_se)}"]
        if event.gain is not None:
            facts.append(f"gain {gain_text(event.gain)}")
        facts.append(duration(event.seconds))
        ledger, account = self._ledger, ""
        if ledger.budget is not None:
            parts = [*ledger.used(), ledger.time(time.perf_counter(), is_iteration=False)]
            account = f" [{', '.join(parts)}]"
        lead = f"iteration {event.iteration} {event.verdict}"
        tell(f"{lead}: {', '.join(facts)}: {what_text(event)}{account}")


class LiveDisplay(PlainDisplay):
    """Finished iterations scroll up; what is under way stays below them."""

    def __init__(self, budget: Budget | None, following: int, parting: str | None = None) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.spinner import Spinner

        super().__init__(budget, following)
        self._last: Committed | None = None
        self._console = Console(stderr=True, highlight=False, markup=False, emoji=False)
        self._since, self._steps_before = time.perf_counter(), 0
        saved = "Ctrl-C stops; finished iterations are saved"
        self._parting = parting or ("Ctrl-C stops" if budget is None else saved)
        is_ascii = not self._console.encoding.startswith("utf")
        self._spinner = Spinner("line" if is_ascii else "dots", style="cyan")
        self._live = Live(
            self, console=self._console, refresh_per_second=_REFRESH_HZ, transient=True
        )

    def __enter__(self) -> Self:
        self._live.start(refresh=True)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._live.stop()

    def _show_phase(self) -> None:
        self._since, self._steps_before = time.perf_counter(), self._phase.n_steps

    def _show_committed(self, event: Committed) -> None:
        if self._last is None:
            self._print_row(("it", "verdict", "return now", "gain", "time", "what"), "dim")
        self._last = event
        self._show_phase()
        score = format_score(event.return_mean, event.return_se)
        cells = (str(event.iteration), event.verdict, score, gain_text(event.gain),
                 duration(event.seconds), what_text(event))  # fmt: skip
        self._print_row(cells, VERDICT_STYLES.get(event.verdict, ""))

    def _print_row(self, cells: tuple[str, str, str, str, str, str], style: str) -> None:
        number, verdict, score, gain, seconds, what = cells
        line = f"{number:>4}  {verdict:<11}  {score:>16}  {gain:>16}  {seconds:>11}  {what}"
        self._console.print(_cut(line, style), no_wrap=True, overflow="ellipsis", crop=True)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw what is under way, in a few lines."""
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        phase, width = self._phase, options.max_width
        where = "  ".join(self._where)
        share = f"{phase.done:4.0%}" if phase.done is not None else "    "
        told = "  ".join(part for part in (share, phase.detail, *self._pace()) if part)
        room = width - len(where) - len(told) - _ROW_COLUMNS
        bar = ProgressBar(
            total=1.0,
            completed=phase.done or 0.0,
            width=min(_BAR_COLUMNS, max(_FEWEST_COLUMNS, room)),
            pulse=phase.done is None,
            complete_style="cyan",
            finished_style="cyan",
        )
        row = Table.grid(padding=(0, 1))
        for least in (None, min(len(where), width // 2), _FEWEST_COLUMNS, None):
            row.add_column(no_wrap=True, min_width=least)
        row.add_row(self._spinner, Text(where, style="bold"), bar, Text(told))
        yield Text("")
        yield row
        if phase.best:
            yield _cut(f"  best so far: {phase.best}")
        if (last := self._last) is not None:
            now = format_score(last.return_mean, last.return_se)
            yield _cut(f"  policy now: {now}{_BETWEEN}last: {_last_verdict(last)}")
        for line in self._outlook(width):
            yield _cut(line, "dim")

    def _pace(self) -> tuple[str, str]:
        """Return steps a second, None if not known yet, and the seconds of the phase."""
        seconds = time.perf_counter() - self._since
        n_steps = self._phase.n_steps - self._steps_before
        pace = f"{n_steps / seconds:,.0f} steps/s" if n_steps > 0 and seconds > _LEAST_S else ""
        return pace, clock(seconds)

    def _outlook(self, width: int) -> list[str]:
        """List what is used and left of the budget, and how to stop, in lines that fit."""
        ledger, now = self._ledger, time.perf_counter()
        left = ledger.time(now, is_iteration=self._is_iteration)
        lines: list[str] = []
        for part in (*ledger.used(), ledger.to_go(now), left, self._parting):
            if part and lines and len(lines[-1]) + len(_BETWEEN) + len(part) <= width:
                lines[-1] += _BETWEEN + part
            elif part:
                lines.append(f"  {part}")
        return lines


def _last_verdict(event: Committed) -> str:
    lead = f"iteration {event.iteration} {event.verdict}"
    if event.gain is not None and not event.why:
        return f"{lead}: a gain of {gain_text(event.gain)} after {event.gain.n_pairs} pairs"
    return f"{lead}: {clean_line(event.why)}" if event.why else lead


def _cut(line: str, style: str = "") -> Text:
    from rich.text import Text

    return Text(line.rstrip(), style=style, no_wrap=True, overflow="ellipsis")


def open_display(
    budget: Budget | None = None, following: int = 0, parting: str | None = None
) -> PlainDisplay:
    """Return the display that standard error can take; a context, called with each event.

    Args:
        parting: How to stop, and what is kept then, if not the usual.
    """
    if sys.stderr.isatty() and os.environ.get("TERM") not in (None, "", "dumb"):
        return LiveDisplay(budget, following, parting)
    return PlainDisplay(budget, following)


class Broadcast:
    """A display that also writes a status file.

    Args:
        first: Number of the first iteration that the limits are for.
    """

    def __init__(self, path: Path, budget: Budget, first: int) -> None:
        self._display = open_display(budget, first)
        self._path, self._budget, self._first = path, budget, first
        self._written, self._works = float("-inf"), True

    def __enter__(self) -> Self:
        self._display.__enter__()
        self._write(None)
        return self

    def __exit__(self, *exc_info: object) -> None:
        from gco_agent.store.control import write_status

        write_status(self._path, None)
        self._display.__exit__(*exc_info)

    def __call__(self, event: Event) -> None:
        """Show an event, and write it down unless another was written just now."""
        self._display(event)
        if isinstance(event, Committed):
            self._write(None)
        elif time.perf_counter() - self._written >= _PAUSE_S:
            self._write(event)

    def _write(self, event: Playing | Racing | Searching | None) -> None:
        from gco_agent.store.control import Limits, Status, write_status

        if not self._works:
            return
        budget, self._written = self._budget, time.perf_counter()
        spent = budget.spending.spent if budget.spending else Usage()
        limits = Limits(budget.iterations, budget.seconds, budget.frames, budget.tokens, budget.usd)
        status = Status(
            os.getpid(), budget.started, self._first, budget.reserve_s, limits, event,
            spent.total_tokens, spent.usd,
        )  # fmt: skip
        self._works = write_status(self._path, status)
