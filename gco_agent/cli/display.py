"""What is shown while a command runs: which phase it is in, and a line for every iteration."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Protocol, Self

from gco_agent.cli.words import clock, count, duration, gain_in_words, number_with_error, one_line
from gco_agent.core.events import Committed, Event, Playing, Racing, Searching
from gco_agent.loop.budget import Budget

_LEAST_S = 1.0
_LARGE = 100


@dataclass(frozen=True, slots=True)
class Phase:
    """What is being done.

    Attributes:
        name: In a word or two.
        done: Share that is done, from 0 to 1; None if that is not known.
        detail: How far it is, in words.
        best: The best of the search, in words, or "".
        n_episodes: Episodes played in it, where they are counted.
        n_steps: Steps played in it, or before it in the same iteration.
    """

    name: str
    done: float | None
    detail: str
    best: str = ""
    n_episodes: int = 0
    n_steps: int = 0


class Pace:
    """How fast a phase plays, from its first event to its last."""

    def __init__(self) -> None:
        self._first: tuple[float, int, int] | None = None
        self._last = (0.0, 0, 0)

    def note(self, phase: Phase, now: float) -> None:
        """Take note of how far the phase is at ``now``, in seconds of any clock."""
        self._last = (now, phase.n_episodes, phase.n_steps)
        self._first = self._first or self._last

    @property
    def words(self) -> str:
        """Write the pace, as 1,234 steps/s  2.1 episodes/s; nothing in the first second."""
        if self._first is None or self._last[0] - self._first[0] < _LEAST_S:
            return ""
        seconds, n_episodes, n_steps = (b - a for a, b in zip(self._first, self._last, strict=True))
        told = [f"{n_steps / seconds:,.0f} steps/s"] if n_steps > 0 else []
        if n_episodes > 0:
            told.append(f"{n_episodes / seconds:.2g} episodes/s")
        return "  ".join(told)


class Display(Protocol):
    """Shows events; used as a context manager, and called with each event."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(self, *exc_info: object) -> None:
        """End; whatever moved on the screen is gone then."""

    def __call__(self, event: Event) -> None:
        """Show an event."""


def open_display(budget: Budget | None, *, following: int, parting: str | None = None) -> Display:
    """The display that standard error can take.

    Args:
        budget: To tell what is left of it; None where nothing is saved in between.
        following: Number of the next iteration.
        parting: How to stop, and what is kept then, if that is not what it says anyway.
    """
    if sys.stderr.isatty() and os.environ.get("TERM") not in (None, "", "dumb"):
        from gco_agent.cli.live import LiveDisplay

        return LiveDisplay(budget, following, parting)
    from gco_agent.cli.plain import PlainDisplay

    return PlainDisplay(following, budget)


def phase_of(event: Searching | Racing | Playing) -> Phase:
    """An event in words."""
    match event:
        case Playing():
            detail = f"{event.n_done} of {count(event.n_wanted, 'episode')}"
            done = event.n_done / max(1, event.n_wanted)
            what = one_line(event.what)
            return Phase(what, done, detail, n_episodes=event.n_done, n_steps=event.n_steps)
        case Racing(gain=None):
            return Phase("race", 0.0, "against the present policy, on the same seeds")
        case Racing():
            gain = gain_in_words(event.gain)
            detail = f"{event.n_pairs} of at most {event.at_most} pairs, gain {gain}"
            return Phase("race", event.n_pairs / event.at_most, detail, n_steps=event.n_steps)
        case Searching():
            detail = count(event.n_steps, "step") if event.n_steps else one_line(event.detail)
            best = one_line(event.best)
            return Phase(one_line(event.activity), event.done, detail, best, n_steps=event.n_steps)


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

    def note(self, event: Committed) -> None:
        """Count an iteration that is on the branch; the initial policy and a report are none."""
        self._frames = max(self._frames, event.frames or 0)
        if event.iteration < self._first or event.verdict in ("initial", "reported"):
            return
        self._tokens += event.tokens or 0
        self._usd += event.usd or 0.0
        self._n_done = event.iteration - self._first + 1
        self._n_timed += 1
        self._seconds += event.seconds

    def used(self) -> list[str]:
        """Iterations, frames, tokens and dollars, each of its limit where it has one."""
        budget = self.budget
        limit = budget.iterations if budget else None
        told = []
        if limit is not None:
            told.append(f"{self._n_done} of {count(limit, 'iteration')}")
        most = budget.frames if budget else None
        if self._frames or most:
            of = f" of {short_count(most)}" if most else ""
            told.append(f"{short_count(self._frames)}{of} frames")
        return told + self._spent()

    def _spent(self) -> list[str]:
        """Tokens and dollars: of the run where its account is open, else of this command."""
        budget, tokens, usd = self.budget, self._tokens, self._usd
        if budget is not None and budget.spending is not None:
            spent = budget.spending.spent
            tokens, usd = spent.total_tokens, spent.usd or 0.0
        most, most_usd = (budget.tokens, budget.usd) if budget else (None, None)
        told = []
        if tokens or most:
            of = f" of {short_count(most)}" if most else ""
            told.append(f"{short_count(tokens)}{of} tokens")
        if usd or most_usd:
            told.append(f"${usd:.2f}" + (f" of ${most_usd:.2f}" if most_usd else ""))
        return told

    def to_go(self, now: float) -> str:
        """How long the iterations that are left will take, unless the time ends them first."""
        limit = self.budget.iterations if self.budget else None
        if limit is None or not self._n_timed or limit <= self._n_done:
            return ""
        left = (limit - self._n_done) * self._seconds / self._n_timed
        budget = self.budget
        if budget and budget.seconds is not None and budget.started + budget.seconds < now + left:
            return ""
        return f"about {duration(left)} to go"

    def time(self, now: float, *, is_iteration: bool) -> str:
        """What is left of the time, or what has gone by where there is no limit."""
        budget = self.budget
        if budget is None:
            return ""
        if budget.seconds is None:
            return f"{clock(now - budget.started)} gone"
        left = budget.started + budget.seconds - now
        is_kept = budget.reserve_s and is_iteration
        kept = f" ({clock(budget.reserve_s)} kept for the report)" if is_kept else ""
        return f"{clock(left)} of {clock(budget.seconds)} left{kept}"


def short_count(n: int) -> str:
    """Write a large number briefly: "12.3M", "4,520" below ten thousand."""
    for size, letter in ((10**9, "G"), (10**6, "M"), (10**4, "k")):
        if n >= size:
            scaled = n / (1000 if letter == "k" else size)
            return f"{scaled:.{0 if scaled >= _LARGE else 1}f}{letter}"
    return f"{n:,}"


def verdict_in_words(event: Committed) -> str:
    """The last verdict, with what decided it: "iteration 7 rejected: a gain of ..."."""
    lead = f"iteration {event.iteration} {event.verdict}"
    if event.gain is not None and not event.why:
        return f"{lead}: a gain of {gain_in_words(event.gain)} after {event.gain.n_pairs} pairs"
    return f"{lead}: {one_line(event.why)}" if event.why else lead


def what_in_words(event: Committed) -> str:
    """The edit; of an iteration that failed, also why."""
    what = one_line(event.what)
    return f"{what}: {one_line(event.why)}" if event.verdict == "failed" and event.why else what


def standing_in_words(event: Committed) -> str:
    """What the run's policy plays like now."""
    return f"policy now: {number_with_error(event.return_mean, event.return_se)}"


def following_after(event: Committed) -> int:
    """Number of the iteration after the one that was committed."""
    return event.iteration + 1
