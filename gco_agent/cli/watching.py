"""``watch``: follow a run that another process advances."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import click

from gco_agent.cli.options import examples, run_option
from gco_agent.cli.place import CliContext, find_shown, status_file
from gco_agent.cli.words import count, tell

if TYPE_CHECKING:
    from gco_agent.cli.display import Display
    from gco_agent.core.events import Committed
    from gco_agent.loop.budget import Budget
    from gco_agent.store.entries import Facts, RunRef
    from gco_agent.store.git import GitRepo
    from gco_agent.store.status import Status
    from gco_agent.store.view import RunView, Step

_POLL_S = 0.5
_EARLIER = 5


@click.command(
    short_help="Follow a run in another terminal.",
    epilog=examples(
        "gco-agent watch",
        "gco-agent watch --run gco/pong/first --keep",
    ),
)
@run_option
@click.option("--keep", is_flag=True, help="Stay when nobody advances the run.")
@click.option(
    "--last",
    type=click.IntRange(0, 10_000),
    default=_EARLIER,
    show_default=True,
    metavar="N",
    help="Iterations before now to show first.",
)
@click.pass_obj
def watch(place: CliContext, /, run_name: str | None, last: int, *, keep: bool) -> None:
    """Follow a run that another process of this machine advances.

    Shows what `run` and `step` show: a line for every iteration, and what is under way. Ends when
    the other process has ended, unless --keep says otherwise; Ctrl-C ends it at any time, and the
    run goes on.
    """
    from gco_agent.store.status import read_status

    repo, runs = place.repository(), place.runs()
    ref = find_shown(runs, run_name)
    path = status_file(repo, ref)
    status = read_status(path)
    tell(
        f"{ref.branch}: " + (f"process {status.pid} is at work" if status else "nobody is at work")
    )
    budget = _budget(status)
    display = _open_display(status, budget)
    follower = _Follower(repo, ref, display)
    with display:
        follower.catch_up(last)
        while status is not None or keep:
            if status is not None and budget is not None:
                _take_over(status, budget)
            if status is not None and status.event is not None:
                display(status.event)
            time.sleep(_POLL_S)
            status = read_status(path)
            follower.catch_up()
        follower.catch_up()  # what came between the last look and the end
    view = runs.view(ref)
    tell(f"{count(view.last_iteration, 'iteration')} on {ref.branch}.")


class _Follower:
    """Shows the steps of a run that have not been shown."""

    def __init__(self, repo: GitRepo, ref: RunRef, display: Display) -> None:
        self._repo, self._ref, self._display = repo, ref, display
        self._tip: str | None = None
        self._shown: set[str] = set()

    def catch_up(self, most: int | None = None) -> None:
        """Show what is new, or of that only the last ``most``."""
        from gco_agent.store.view import RunView

        if self._repo.ref(str(self._ref)) == self._tip:
            return
        view = RunView(self._repo, self._ref)
        fresh = [e for e in _events(view) if e.commit not in self._shown]
        for event in fresh[len(fresh) - most :] if most is not None else fresh:
            self._display(event)
        self._tip = view.tip
        self._shown.update(event.commit for event in fresh)


def _events(view: RunView) -> list[Committed]:
    """The steps of a run, as the process that made them told of them."""
    standing: Facts | None = None
    events = []
    for step in view.history():
        if step.facts is None:
            continue
        if step.facts.verdict.is_kept or standing is None:
            standing = step.facts
        events.append(_event(step, step.facts, standing))
    return events


def _event(step: Step, facts: Facts, standing: Facts) -> Committed:
    from gco_agent.core.statistics import Gain
    from gco_agent.loop.recording import committed_event
    from gco_agent.report.story import summary_of
    from gco_agent.store.entries import Entry

    gain = None
    if facts.gain is not None:
        gain = Gain(facts.gain, facts.gain_se, facts.pairs or 0, math.nan)
    entry = Entry(step.subject, step.body, facts)
    return committed_event(standing, entry, step.commit, gain, summary_of(step))


def _budget(status: Status | None) -> Budget | None:
    """The limits of the process at work."""
    from gco_agent.loop.budget import Budget

    if status is None:
        return None
    limits = status.limits
    budget = Budget(
        limits.iterations,
        limits.seconds,
        limits.frames,
        limits.usd,
        limits.tokens,
        started=status.started,
    )
    _take_over(status, budget)
    return budget


def _take_over(status: Status, budget: Budget) -> None:
    """What the process at work keeps for the end, and what the run has spent by now."""
    from gco_agent.core.records import Usage
    from gco_agent.llm import Spending

    budget.reserve_s = status.reserve_s
    spent = Usage(input_tokens=status.tokens, usd=status.usd)
    budget.spending = Spending(budget.usd, budget.tokens, spent=spent)


def _open_display(status: Status | None, budget: Budget | None) -> Display:
    """What the process at work shows, in this terminal."""
    from gco_agent.cli.display import open_display

    if status is None:
        return open_display(None, following=0)
    parting = "Ctrl-C stops looking; the run goes on"
    return open_display(budget, following=status.first, parting=parting)
