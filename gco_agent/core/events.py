"""Progress events of long computations, for the CLI to display."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from gco_agent.core.statistics import INTERIM_ANALYSES, Gain


@dataclass(frozen=True, slots=True)
class Searching:
    """An optimizer is running.

    Attributes:
        done: Share of its allowance that is used, from 0 to 1, or None if that is not known.
        n_steps: Steps it has played in this iteration.
        best: The best it has, in its own words, or "".
        detail: What it waits for, where steps do not show its progress, or "".
    """

    activity: str
    done: float | None
    n_steps: int
    best: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Racing:
    """The judge races a candidate against its parent.

    Attributes:
        gain: Child minus parent so far; None before the first look.
        at_most: Seeds that they may have to play.
        max_steps: Steps after which it truncates an episode; 0 if that is not known.
    """

    gain: Gain | None
    n_pairs: int
    at_most: int = INTERIM_ANALYSES[-1]
    n_steps: int = 0
    max_steps: int = 0


@dataclass(frozen=True, slots=True)
class Playing:
    """The judge plays a fixed number of episodes.

    Attributes:
        what: Which policy on which seeds.
    """

    what: str
    n_done: int
    n_wanted: int
    n_steps: int = 0


@dataclass(frozen=True, slots=True)
class Committed:
    """An iteration is on the branch.

    Attributes:
        verdict: "accepted", "rejected", "inconclusive", "failed", "initial", "reported".
        return_mean: Of the run's policy now, on the seeds it was selected on.
        why: What decided against the candidate, in a few words, or "".
        frames: Emulator frames that the run has used by now.
        usd: Price of the iteration's exchanges with a language model.
        tokens: Tokens of those exchanges, both ways.
    """

    iteration: int
    verdict: str
    return_mean: float | None
    return_se: float | None
    gain: Gain | None
    what: str
    seconds: float
    commit: str
    why: str = ""
    frames: int | None = None
    usd: float | None = None
    tokens: int | None = None


Event = Searching | Racing | Playing | Committed


class Progress(Protocol):
    """Receives progress events."""

    def __call__(self, event: Event, /) -> None:
        """Handle one event; must return at once and not raise."""


def silent(event: Event) -> None:
    """Ignore an event."""
    del event
