"""The end of a command that advances a run: how the run stands, or what a broken end left of it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from gco_agent.cli.interrupts import Interrupted
from gco_agent.cli.words import count, number_with_error, tell
from gco_agent.core.errors import GcoError, ModelError

if TYPE_CHECKING:
    from gco_agent.loop.budget import Budget
    from gco_agent.store.entries import RunRef
    from gco_agent.store.run import Runs


def conclude(
    runs: Runs, ref: RunRef, budget: Budget, stopped_by: str, *, back: str | None, as_json: bool
) -> None:
    """Print how the run stands."""
    from gco_agent.cli.results import print_json, print_run, run_json

    view = runs.view(ref)
    seconds = time.perf_counter() - budget.started
    data = run_json(view, stopped_by=stopped_by, seconds=seconds)
    if as_json:
        print_json(data)
        return
    try:
        is_here = runs.current() == ref
    except GcoError:
        is_here = False
    tell("")
    print_run(data, view, back=back, home=runs.home(), is_here=is_here)


@contextlib.contextmanager
def told_what_is_saved(runs: Runs, ref: RunRef, again: str | None = None) -> Iterator[None]:
    """When a signal or a language model ends the command, say what is saved and how to go on.

    Args:
        runs: Of the repository.
        ref: The run.
        again: How to go on, if not with a plain step; "{run}" in it is the run's branch.
    """
    on = (again or "Go on with: gco-agent step --run {run}").format(run=ref.branch)
    try:
        yield
    except Interrupted as stop:
        with contextlib.suppress(GcoError):
            runs.open(ref).close()  # brings files along that a commit in the making left behind
        tell(_what_is_saved(runs, ref, stop.signal.name, on))
        raise
    except ModelError:
        tell(_what_is_saved(runs, ref, "no answer from the language model", on))
        raise


def _what_is_saved(runs: Runs, ref: RunRef, why: str, on: str) -> str:
    try:
        view = runs.view(ref)
        facts = view.standing.facts
    except GcoError:
        return f"Stopped ({why}) before the first commit; nothing was changed."
    done = view.last_iteration
    saved = f"the initial policy and {count(done, 'iteration')}" if done else "the initial policy"
    score = number_with_error(facts.return_mean, facts.return_se) if facts else "not measured"
    return f"Stopped ({why}). Saved on {ref.branch}: {saved}. Mean return now: {score}.\n{on}"
