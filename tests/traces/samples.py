"""Steps, windows and courses made by hand."""

from __future__ import annotations

from collections.abc import Sequence

from gco_agent.core.observation import ObjectBox
from gco_agent.core.records import ComponentCall, EpisodeResult, Outcome, Plain, Shown
from gco_agent.traces.moments import Trajectory
from gco_agent.traces.records import TracedStep, Window

PLAYER_Y = 100


def call(name: str, output: Plain, depth: int = 1, **more: object) -> ComponentCall:
    lines = more.pop("lines", (3, 4))
    error = more.pop("error", None)
    inputs = more or {"obs": Shown("obs")}
    return ComponentCall(name, inputs, output, lines, depth, error)  # type: ignore[arg-type]


def step(number: int, ball: tuple[int, int] | None, x: int = 50, **more: object) -> TracedStep:
    """A ball of 2x4 that falls to a paddle of 16x4 at the bottom."""
    objects = {
        "Player": (ObjectBox(x, PLAYER_Y, 16, 4),),
        "Ball": (ObjectBox(*ball, 2, 4),) if ball else (),
        "Block": (ObjectBox(0, 0, 144, 6),),
    }
    calls = more.pop("calls", (call("act", 1, 0), call("aim", 60.0)))
    values = {"lives": 3, "action": 1, "action_name": "LEFT", "reward": 0.0, **more}
    return TracedStep(number, objects, calls=calls, **values)  # type: ignore[arg-type]


def falling(n: int = 10, *, first: int = 0, dx: int = 4) -> list[TracedStep]:
    """Steps in which the ball falls along a straight line, and the paddle moves."""
    return [step(first + i, (40 + dx * i, 70 + 4 * i), x=50 + i % 3) for i in range(n)]


def window(steps: Sequence[TracedStep], **more: object) -> Window:
    values: dict[str, object] = {
        "title": "a life is lost",
        "is_good": False,
        "seed": 7,
        "event": steps[-1].step if steps else 0,
        "n_steps": 100,
        "episode_return": 3.0,
        **more,
    }
    return Window(steps=tuple(steps), **values)  # type: ignore[arg-type]


def course(
    seed: int = 1,
    rewards: Sequence[tuple[int, float]] = (),
    lives: Sequence[tuple[int, int, int]] = (),
    n_steps: int = 200,
    outcome: Outcome = Outcome.GAME_OVER,
    detail: str = "",
) -> Trajectory:
    total = sum(reward for _, reward in rewards)
    result = EpisodeResult(seed, total, n_steps, outcome, detail, "")
    return Trajectory(result, tuple(rewards), tuple(lives), {})
