"""Passes events on to a display, and leaves them where ``gco-agent watch`` finds them."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Self

from gco_agent.cli.display import Display
from gco_agent.core.events import Committed, Event, Playing, Racing, Searching
from gco_agent.core.records import Usage
from gco_agent.loop.budget import Budget
from gco_agent.store.status import Limits, Status, remove_status, write_status

_PAUSE_S = 0.5
"""The file is not written more often; it takes about 0.1 ms."""


class Broadcast:
    """A display that also tells other processes.

    Args:
        display: What is shown here.
        path: The status file.
        budget: The limits of this command.
        first: Number of the first iteration that the limits are for.
    """

    def __init__(self, display: Display, path: Path, budget: Budget, first: int) -> None:
        self._display, self._path, self._budget, self._first = display, path, budget, first
        self._written, self._works = float("-inf"), True

    def __enter__(self) -> Self:
        self._display.__enter__()
        self._write(None)
        return self

    def __exit__(self, *exc_info: object) -> None:
        remove_status(self._path)
        self._display.__exit__(*exc_info)

    def __call__(self, event: Event) -> None:
        """Show an event, and tell of it unless another was told just now."""
        self._display(event)
        if isinstance(event, Committed):
            self._write(None)
        elif time.perf_counter() - self._written >= _PAUSE_S:
            self._write(event)

    def _write(self, event: Playing | Racing | Searching | None) -> None:
        if not self._works:
            return
        budget = self._budget
        spent = budget.spending.spent if budget.spending else Usage()
        self._written = time.perf_counter()
        self._works = write_status(
            self._path,
            Status(
                os.getpid(),
                budget.started,
                self._first,
                budget.reserve_s,
                Limits(budget.iterations, budget.seconds, budget.frames, budget.tokens, budget.usd),
                event,
                spent.total_tokens,
                spent.usd,
            ),
        )
