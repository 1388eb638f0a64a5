"""A run's curves as TensorBoard reads them.

The only module that imports tensorboardX, lazily: it is in the extra ``export``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gco_agent.errors import UsageError
from gco_agent.report.curves import half_interval
from gco_agent.report.summary import RunReport
from gco_agent.store.entries import Verdict

Scalar = tuple[str, int, float, float]
"""Tag, step (the iteration), value, and when, in seconds since 1970."""


def scalars(report: RunReport) -> Iterator[Scalar]:
    """Every number of a run that changes with the iterations.

    ``return/in_force`` is of the policy that the run had after an iteration, on selection seeds;
    ``return/candidate`` of the one that was tried; ``return/report`` on report seeds.
    """
    for trial, used in zip(report.trials, report.positions, strict=True):
        facts = trial.facts
        if facts is None:
            continue
        when = trial.when.timestamp()
        numbers: dict[str, float | None] = {
            "used/hours": used["hours"],
            "used/million_frames": used["frames"],
            "used/usd": used["usd"],
            "search/gain": facts.gain,
        }
        is_report = trial.verdict == Verdict.REPORTED.value
        kind = "report" if is_report else "in_force" if trial.is_kept else "candidate"
        numbers[f"return/{kind}"] = facts.return_mean
        numbers[f"return/{kind}_half_interval"] = half_interval(facts)
        if kind == "in_force" and facts.iteration:
            numbers["return/candidate"] = facts.return_mean
        if trial.is_kept:
            numbers["complexity/lines"] = facts.loc
            numbers["complexity/cyclomatic"] = facts.cyclomatic
            numbers["complexity/nested_if"] = facts.nested_if
        for tag, value in numbers.items():
            if value is not None:
                yield tag, facts.iteration, float(value), when


def write_scalars(report: RunReport, folder: Path) -> int:
    """Write an event file into ``folder``; how many numbers it has.

    Raises:
        UsageError: tensorboardX is not installed, or the folder cannot be written.
    """
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        raise UsageError(
            "TensorBoard's format needs the extra: pip install 'gco-agent[export]'"
        ) from None
    n = 0
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with SummaryWriter(str(folder)) as writer:
            for tag, step, value, when in scalars(report):
                writer.add_scalar(tag, value, step, walltime=when)
                n += 1
    except OSError as error:
        raise UsageError(f"cannot write {folder}: {error.strerror}") from error
    return n
