"""Staged feedback: everything that an optimizer is told of results, as text."""

from __future__ import annotations

from dataclasses import dataclass

from gco_agent.traces.records import ExecutionTrace


@dataclass(frozen=True, slots=True)
class Feedback:
    """What an optimizer is told of the results of its parent policy.

    Attributes:
        stage: Name of the band that the results are in.
        text: All of it: stage, numbers, changes, what failed before, the rendered trace.
        trace: What the last part of the text was rendered from.
    """

    stage: str
    text: str
    trace: ExecutionTrace
