"""Numbers that are drawn: the position of each trial along four axes, and intervals of means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gco_agent.core.statistics import half_width
from gco_agent.store.entries import Facts
from gco_agent.store.view import Trial

_SECONDS_AN_HOUR = 3600
_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis of the curves: its key, what people choose, and the title with units."""

    key: str
    word: str
    title: str


AXES = (
    Axis("iteration", "iterations", "iteration"),
    Axis("hours", "wall time", "wall time of the iterations, hours"),
    Axis("frames", "frames", "frames of the emulator, millions"),
    Axis("usd", "dollars", "price of language models, US dollars"),
)

Position = dict[str, float]
"""A value for each of `AXES`, by key."""


def positions(trials: Sequence[Trial]) -> list[Position]:
    """Return what the run had used at the end of each trial's iteration.

    The candidates of one iteration share a place; what an iteration cost is counted once.
    """
    used = dict.fromkeys((axis.key for axis in AXES), 0.0)
    counted: dict[str, tuple[float, float]] = {}
    found: list[Position] = []
    for trial in trials:
        facts = trial.facts
        if facts is not None:
            seconds, usd = facts.seconds or 0.0, facts.usd or 0.0
            before_s, before_usd = counted.get(trial.line_commit, (0.0, 0.0))
            used["hours"] += max(0.0, seconds - before_s) / _SECONDS_AN_HOUR
            used["usd"] += max(0.0, usd - before_usd)
            used["frames"] = max(used["frames"], (facts.frames or 0) / _MILLION)
            used["iteration"] = float(facts.iteration)
            counted[trial.line_commit] = max(seconds, before_s), max(usd, before_usd)
        found.append(dict(used))
    return found


def half_interval(facts: Facts | None) -> float | None:
    """Return half of the 95 % interval of a mean return; None where there is none."""
    if facts is None or facts.return_se is None or not facts.episodes or facts.episodes <= 1:
        return None
    return half_width(facts.return_se, facts.episodes)


def thinned(indices: Sequence[int], most: int) -> list[int]:
    """Return at most ``most`` indices, evenly spread, the first and last among them."""
    if len(indices) <= most:
        return list(indices)
    step = (len(indices) - 1) / (most - 1)
    return [indices[round(i * step)] for i in range(most)]


def lanes(trials: Sequence[Trial]) -> list[int]:
    """Return the row of each trial in the lineage: 0 on the line, others of its iteration below."""
    depth: dict[str, int] = {}
    found = []
    for trial in trials:
        if not trial.is_kept:
            depth[trial.line_commit] = depth.get(trial.line_commit, 0) + 1
        found.append(0 if trial.is_kept else -depth[trial.line_commit])
    return found
