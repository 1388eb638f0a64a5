"""Which optimizer of a run did what, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gco_agent.store.entries import Facts, Verdict
from gco_agent.store.view import Step

_TRIED = (Verdict.ACCEPTED, Verdict.REJECTED, Verdict.FAILED)


@dataclass(slots=True)
class Earned:
    """What one optimizer brought and took.

    Attributes:
        optimizer: Its name, as the commits have it.
        iterations: Those in which it was asked.
        candidates: Policy texts that it proposed and that could be measured.
        accepted: Those that became the run's policy.
        gain: Sum of what the races say that the accepted gained, in points an episode. The races
            that decided are the ones it is read from, so it flatters; and what one optimizer
            gains depends on where the other left off.
        tokens: Sent to language models and received.
        usd: Their price in US dollars.
        steps: Played for its iterations, races and feedback included.
        seconds: Wall time of its iterations.
    """

    optimizer: str
    iterations: int = 0
    candidates: int = 0
    accepted: int = 0
    gain: float = 0.0
    tokens: int = 0
    usd: float = 0.0
    steps: int = 0
    seconds: float = 0.0


def earned_by_optimizer(steps: Sequence[Step]) -> list[Earned]:
    """A row for each optimizer that took part in the steps of a run's line, in order of turns."""
    rows: dict[str, Earned] = {}
    for step in steps:
        facts = step.facts
        if facts is None or facts.optimizer is None or facts.verdict not in _TRIED:
            continue
        row = rows.setdefault(facts.optimizer, Earned(facts.optimizer))
        row.iterations += 1
        row.tokens += (facts.tokens_in or 0) + (facts.tokens_out or 0)
        row.usd += facts.usd or 0.0
        row.steps += facts.steps or 0
        row.seconds += facts.seconds or 0.0
        row.candidates += sum(_is_measured(side.facts) for side in step.candidates)
        if facts.verdict is Verdict.ACCEPTED:
            row.candidates += 1
            row.accepted += 1
            row.gain += facts.gain or 0.0
    return list(rows.values())


def _is_measured(facts: Facts | None) -> bool:
    """Whether there was a text that played; a reply without one is no candidate."""
    return facts is not None and facts.loc is not None
