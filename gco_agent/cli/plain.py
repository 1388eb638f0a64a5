"""Progress where there is no terminal: a line a phase and a line an iteration, nothing else."""

from __future__ import annotations

import time
from typing import Self

from gco_agent.cli.display import Ledger, following_after, phase_of, what_in_words
from gco_agent.cli.words import duration, gain_in_words, number_with_error, tell
from gco_agent.core.events import Committed, Event, Playing
from gco_agent.loop.budget import Budget


class PlainDisplay:
    """Writes plain lines to standard error.

    Args:
        following: Number of the next iteration.
        budget: To tell what is used and left of it; None where nothing is saved in between.
    """

    def __init__(self, following: int, budget: Budget | None = None) -> None:
        self._following, self._phase = following, ""
        self._ledger = Ledger(budget, following)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Nothing moves, so nothing has to go."""

    def __call__(self, event: Event) -> None:
        """Show an event, if it is a finished iteration or begins a phase."""
        if isinstance(event, Committed):
            self._following, self._phase = following_after(event), ""
            self._ledger.note(event)
            tell(_line(event) + self._account())
            return
        name = phase_of(event).name
        if name != self._phase:
            self._phase = name
            is_iteration = self._following > 0 and not isinstance(event, Playing)
            where = f"iteration {self._following}: " if is_iteration else ""
            tell(f"{where}{name}")

    def _account(self) -> str:
        """What is used and left of the budget, by kind."""
        ledger = self._ledger
        if ledger.budget is None:
            return ""
        parts = [*ledger.used(), ledger.time(time.perf_counter(), is_iteration=False)]
        return f" [{', '.join(parts)}]"


def _line(event: Committed) -> str:
    facts = [f"return {number_with_error(event.return_mean, event.return_se)}"]
    if event.gain is not None:
        facts.append(f"gain {gain_in_words(event.gain)}")
    facts.append(duration(event.seconds))
    lead = f"iteration {event.iteration} {event.verdict}"
    return f"{lead}: {', '.join(facts)}: {what_in_words(event)}"
