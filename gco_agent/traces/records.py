"""The execution trace as plain, frozen data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from gco_agent.core.observation import ObjectBox
from gco_agent.core.records import ComponentCall, Plain


@dataclass(frozen=True, slots=True)
class TracedStep:
    """One step: what the policy saw, what its components did, and what came of it.

    Attributes:
        step: Number of the step, from 0.
        objects: Category to the objects that the policy saw.
        lives: Lives left when it looked; 0 where the game has none.
        calls: Calls of components in the order in which they began.
        action: Index of the action that was played, or its numbers; None if the policy failed.
        action_name: Its name: "LEFT"; its numbers as text; "" if the policy failed.
        reward: Points that the step brought.
        values: What the policy saw where that is not made of objects, by the words to write for
            it: "obs[2]".
    """

    step: int
    objects: Mapping[str, tuple[ObjectBox, ...]]
    lives: int
    calls: tuple[ComponentCall, ...]
    action: int | tuple[float, ...] | None
    action_name: str
    reward: float
    values: Mapping[str, Plain] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Window:
    """Some steps in a row of one episode that decided something.

    Attributes:
        title: What they decided: "a life is lost".
        is_good: Whether that is to be repeated; None if it is neither good nor bad.
        seed: Of the episode.
        event: Number of the step that it is about; one of ``steps``, or the last.
        steps: In order, without gaps.
        n_steps: Steps of the whole episode.
        episode_return: Its return.
        failure: If the episode ended because the policy failed, the traceback.
    """

    title: str
    is_good: bool | None
    seed: int
    event: int
    steps: tuple[TracedStep, ...]
    n_steps: int
    episode_return: float
    failure: str = ""


@dataclass(frozen=True, slots=True)
class ExecutionTrace:
    """The moments that decided some episodes of one policy.

    Attributes:
        windows: The most telling one first.
        notes: What a reader must know of how they were made, a sentence each; of what is missing.
        ranges: Category to how far its objects got in all episodes that were looked at: the
            smallest and largest ``x``, then ``y``, in pixels, of their top left corners.
        extents: The same of the numbers of an observation without objects, by the words for them.
        names: Words for such a number to what it is called: "obs[2]" to "angle".
    """

    windows: tuple[Window, ...] = ()
    notes: tuple[str, ...] = ()
    ranges: Mapping[str, tuple[int, int, int, int]] = field(default_factory=dict)
    extents: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)

    def without_names(self) -> ExecutionTrace:
        """The same for a reader who is told nothing but types: numbers for actions and fields."""
        windows = tuple(
            replace(window, steps=tuple(map(_nameless, window.steps))) for window in self.windows
        )
        return replace(self, windows=windows, names={})


def _nameless(step: TracedStep) -> TracedStep:
    if not isinstance(step.action, int):
        return step
    return replace(step, action_name=str(step.action))


def trace_json(trace: ExecutionTrace) -> dict[str, Any]:
    """The whole trace as data that `json.dumps` takes, whatever policies had in their values."""
    return {
        "notes": list(trace.notes),
        "ranges": {name: list(extent) for name, extent in trace.ranges.items()},
        "extents": {name: list(extent) for name, extent in trace.extents.items()},
        "names": dict(trace.names),
        "windows": [_window_json(window) for window in trace.windows],
    }


def _window_json(window: Window) -> dict[str, Any]:
    return {
        "title": window.title,
        "is_good": window.is_good,
        "seed": window.seed,
        "event": window.event,
        "n_steps": window.n_steps,
        "episode_return": window.episode_return,
        "failure": window.failure,
        "steps": [_step_json(step) for step in window.steps],
    }


def _step_json(step: TracedStep) -> dict[str, Any]:
    return {
        "step": step.step,
        "lives": step.lives,
        "objects": {
            category: [{n: v for n, v in box._asdict().items() if v is not None} for box in boxes]
            for category, boxes in step.objects.items()
        },
        "values": {name: _plain_json(value) for name, value in step.values.items()},
        "calls": [
            {
                "name": call.name,
                "depth": call.depth,
                "inputs": {name: _plain_json(value) for name, value in call.inputs.items()},
                "output": _plain_json(call.output),
                "lines": list(call.lines),
                "error": call.error,
            }
            for call in step.calls
        ],
        "action": step.action,
        "action_name": step.action_name,
        "reward": step.reward,
    }


def _plain_json(value: Plain) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no such number
    if isinstance(value, tuple):
        return [_plain_json(part) for part in value]
    if isinstance(value, dict):
        return {key: _plain_json(part) for key, part in value.items()}
    return value
