"""What is shown while a command runs: which phase it is in, and a line for every iteration."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Protocol, Self

from gco_agent.budget import Budget
from gco_agent.cli.words import count, gain_in_words, one_line
from gco_agent.progress import Committed, Event, Playing, Racing, Searching


@dataclass(frozen=True, slots=True)
class Phase:
    """What is being done.

    Attributes:
        name: In a word or two.
        done: Share that is done, from 0 to 1; None if that is not known.
        detail: How far it is, in words.
        best: The best of the search, in words, or "".
    """

    name: str
    done: float | None
    detail: str
    best: str = ""


class Display(Protocol):
    """Shows events; used as a context manager, and called with each event."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(self, *exc_info: object) -> None:
        """End; whatever moved on the screen is gone then."""

    def __call__(self, event: Event) -> None:
        """Show an event."""


def open_display(budget: Budget | None, *, following: int) -> Display:
    """The display that standard error can take.

    Args:
        budget: To tell what is left of it; None where nothing is saved in between.
        following: Number of the next iteration.
    """
    if sys.stderr.isatty() and os.environ.get("TERM") not in (None, "", "dumb"):
        from gco_agent.cli.live import LiveDisplay

        return LiveDisplay(budget, following)
    from gco_agent.cli.plain import PlainDisplay

    return PlainDisplay(following)


def phase_of(event: Searching | Racing | Playing) -> Phase:
    """An event in words."""
    match event:
        case Playing():
            detail = f"{event.n_done} of {count(event.n_wanted, 'episode')}"
            return Phase(one_line(event.what), event.n_done / max(1, event.n_wanted), detail)
        case Racing(gain=None):
            return Phase("race", 0.0, "against the present policy, on the same seeds")
        case Racing():
            gain = gain_in_words(event.gain)
            detail = f"{event.n_pairs} of at most {event.at_most} pairs, gain {gain}"
            return Phase("race", event.n_pairs / event.at_most, detail)
        case Searching():
            detail = count(event.n_steps, "step") if event.n_steps else ""
            return Phase(one_line(event.activity), event.done, detail, one_line(event.best))


def following_after(event: Committed) -> int:
    """Number of the iteration after the one that was committed."""
    return event.iteration + 1
