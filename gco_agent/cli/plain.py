"""Progress where there is no terminal: a line a phase and a line an iteration, nothing else."""

from __future__ import annotations

from typing import Self

import click

from gco_agent.cli.display import following_after, phase_of
from gco_agent.cli.words import duration, gain_in_words, number_with_error, one_line
from gco_agent.progress import Committed, Event, Playing


class PlainDisplay:
    """Writes plain lines to standard error.

    Args:
        following: Number of the next iteration.
    """

    def __init__(self, following: int) -> None:
        self._following, self._phase = following, ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Nothing moves, so nothing has to go."""

    def __call__(self, event: Event) -> None:
        if isinstance(event, Committed):
            self._following, self._phase = following_after(event), ""
            click.echo(_line(event), err=True)
            return
        name = phase_of(event).name
        if name != self._phase:
            self._phase = name
            where = "" if isinstance(event, Playing) else f"iteration {self._following}: "
            click.echo(f"{where}{name}", err=True)


def _line(event: Committed) -> str:
    facts = [f"return {number_with_error(event.return_mean, event.return_se)}"]
    if event.gain is not None:
        facts.append(f"gain {gain_in_words(event.gain)}")
    facts.append(duration(event.seconds))
    return f"iteration {event.iteration} {event.verdict}: {', '.join(facts)}: {one_line(event.what)}"
