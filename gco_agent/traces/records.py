"""The execution trace as plain, frozen data."""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from gco_agent.core.observation import ObjectBox
from gco_agent.core.records import ComponentCall, Outcome, Plain

POINTS_STEPS = 100
"""Steps of which the return is kept as one number."""


@dataclass(frozen=True, slots=True)
class TracedStep:
    """One step: what the policy saw, what its components did, and what came of it.

    Attributes:
        step: Number of the step, from 0.
        objects: Category to the objects that the policy saw.
        lives: Lives left when it looked; 0 where the game has none.
        action: Index of the action that was played, or its numbers; None if the policy failed.
        action_name: "LEFT"; numbers as text; "" if the policy failed.
        values: What the policy saw where there are no objects, by expression: "obs[2]".
    """

    step: int
    objects: Mapping[str, tuple[ObjectBox, ...]]
    lives: int
    calls: tuple[ComponentCall, ...]
    action: int | tuple[float, ...] | None
    action_name: str
    reward: float
    values: Mapping[str, Plain] = field(default_factory=dict)

    def without_names(self) -> TracedStep:
        """Return the step with the number of its action in place of the name."""
        is_named = isinstance(self.action, int)
        return replace(self, action_name=str(self.action)) if is_named else self


@dataclass(frozen=True, slots=True)
class Ending:
    """How an episode went and ended.

    Attributes:
        lives: Lives left at the end; None where the game has none.
        points: Return of each `POINTS_STEPS` steps.
        stalled_since: Step of the last reward of a truncated episode that brought none in its last
            quarter; None for others.
    """

    seed: int
    episode_return: float
    n_steps: int
    outcome: Outcome
    lives: int | None = None
    points: tuple[float, ...] = ()
    stalled_since: int | None = None


@dataclass(frozen=True, slots=True)
class Stall:
    """The longest stretch of an episode in which nothing was gained or lost.

    Attributes:
        end: The step after its last.
        actions: Name of an action to how often it was played, the most frequent first.
        view: Category, or "Player at 40,58", to the steps in which it was seen, likewise.
    """

    seed: int
    first: int
    end: int
    n_steps: int
    actions: Mapping[str, int] = field(default_factory=dict)
    view: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Near:
    """An object that was near the player.

    Attributes:
        category: Of the object.
        step: When.
        gap: Pixels between the two boxes; 0 if they touched.
        player: Top left corner of the player.
        player_motion: Pixels a step.
        place: From the player's centre to that of the object.
        motion: Of the object, in pixels a step.
    """

    category: str
    step: int
    gap: int
    player: tuple[int, int]
    player_motion: tuple[int, int]
    place: tuple[int, int]
    motion: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Loss:
    """A life lost, the end of a game, or a negative reward in a game without lives.

    Attributes:
        seed: Of the episode.
        what: "life", "game over" or "-1".
        counted: The step in which the game counted it.
        lives: Lives left after it; None where the game has none.
        episode_return: The return until then.
        n_lost: Lives lost at once.
        step: When the contact was first seen, or else the last step in play.
        cause: Category of what touched the player; "" if nothing did.
        near: What touched the player, or else the nearest thing that moves; before `explain`, all
            that touched, and the nearest.
        gauge: What was at its lowest level: "OxygenBar at its lowest, 0".
        player_end: When and where the player was last seen before the loss was counted: step, x, y.
        still_since: Step from which on the player stayed there; None if it did so all the time
            that was looked at.
        actions: Names of the last actions, up to that of the step.
    """

    seed: int
    what: str
    counted: int
    lives: int | None
    episode_return: float
    n_lost: int = 1
    step: int = 0
    cause: str = ""
    near: tuple[Near, ...] = ()
    gauge: str = ""
    player_end: tuple[int, int, int] | None = None
    still_since: int | None = None
    actions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Window:
    """Consecutive steps of an episode, around an event.

    Attributes:
        title: The event: "a life is lost".
        is_good: Whether it is to be repeated; None if it is neither good nor bad.
        failure: If the episode ended because the policy failed, the traceback.
        is_ending: It shows how the episode ended, and is never left out.
    """

    title: str
    is_good: bool | None
    seed: int
    event: int
    steps: tuple[TracedStep, ...]
    n_steps: int
    episode_return: float
    failure: str = ""
    is_ending: bool = False


@dataclass(frozen=True, slots=True)
class ExecutionTrace:
    """The moments that decided some episodes of one policy.

    Attributes:
        notes: What a reader must know of how they were made, a sentence each; of what is missing.
        extents: Least and largest of what was seen in all episodes: of the top left corners of
            objects, in pixels, by "Ball x", or of the numbers of an observation, by "obs[2]".
        endings: How all episodes ended, in the order of the seeds.
        losses: Every life lost and game over in them, with what touched the player.
        stalls: The longest stretches without a gain or a loss, the longest first.
    """

    windows: tuple[Window, ...] = ()
    notes: tuple[str, ...] = ()
    extents: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    endings: tuple[Ending, ...] = ()
    losses: tuple[Loss, ...] = ()
    stalls: tuple[Stall, ...] = ()

    def without_names(self) -> ExecutionTrace:
        """Return the trace with numbers in place of the names of actions and fields."""
        nameless = TracedStep.without_names
        windows = tuple(replace(w, steps=tuple(map(nameless, w.steps))) for w in self.windows)
        losses = tuple(replace(loss, actions=()) for loss in self.losses)
        stalls = tuple(replace(stall, actions={}) for stall in self.stalls)
        return replace(self, windows=windows, names={}, losses=losses, stalls=stalls)


def trace_json(trace: ExecutionTrace) -> dict[str, Any]:
    """Return the whole trace as data for `json.dumps`, whatever values policies had.

    ``ranges`` has the extents of objects again, by category: x, then y.
    """
    seen = trace.extents
    objects = [name[:-2] for name in seen if name.endswith(" x")]
    return {**_json(trace), "ranges": {c: [*seen[f"{c} x"], *seen[f"{c} y"]] for c in objects}}


def _json(value: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, enum.Enum):
        return value.value
    if dataclasses.is_dataclass(value):
        return {part.name: _json(getattr(value, part.name)) for part in fields(value)}
    if isinstance(value, ObjectBox):
        return {name: _json(part) for name, part in value._asdict().items() if part is not None}
    if isinstance(value, tuple):
        return [_json(part) for part in value]
    if isinstance(value, Mapping):
        return {key: _json(part) for key, part in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no such number
    return value
