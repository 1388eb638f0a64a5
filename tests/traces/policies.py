"""Policies whose traces are kept as golden files; none of them knows where a wall is."""

from __future__ import annotations

import functools
from pathlib import Path

from gco_agent.envs.atari import default_protocol
from gco_agent.evaluation.workers import WorkerPool
from gco_agent.games.registry import find_game
from gco_agent.traces.moments import Captured, capture
from gco_agent.traces.render import render_trace

GOLDEN = Path(__file__).parents[1] / "golden"

BREAKOUT = '''"""Breakout: go to where a straight line from the ball meets the paddle's row.

Environment: gco/Breakout-v5
"""

NOOP, FIRE, RIGHT, LEFT = range(4)


class Policy:
    """One instance plays one episode."""

    def predict_ball_trajectory(self, obs):
        """Where the ball will be level with the paddle, in pixels; None unknown."""
        if not obs["Ball"] or not obs["Player"]:
            return None
        ball = obs["Ball"][0]
        if ball.dy <= 0:
            return ball.cx
        steps = (obs["Player"][0].y - ball.y) / ball.dy
        return ball.cx + ball.dx * steps

    def select_paddle_action(self, obs, target_x):
        """The action that brings the paddle to target_x; FIRE serves the ball."""
        if not obs["Ball"]:
            return FIRE
        if target_x is None:
            return NOOP
        gap = target_x - obs["Player"][0].cx
        if abs(gap) < 4:
            return NOOP
        return RIGHT if gap > 0 else LEFT

    def act(self, obs):
        """Return the index of the action to play."""
        return self.select_paddle_action(obs, self.predict_ball_trajectory(obs))
'''

PONG = '''"""Pong: go to where a straight line from the ball meets the paddle's column.

Environment: gco/Pong-v5
"""


class Policy:
    """One instance plays one episode."""

    def __init__(self):
        self.target = None

    def predict_ball_trajectory(self, obs):
        """Where the ball will meet my paddle, in pixels from the top; None unknown."""
        if not obs["Ball"] or not obs["Player"]:
            return None
        ball = obs["Ball"][0]
        if ball.dx <= 0:
            return ball.cy
        return ball.cy + ball.dy * (obs["Player"][0].x - ball.x) / ball.dx

    def select_action(self, obs, y):
        """The action that brings the paddle to y."""
        if y is None:
            return 0
        gap = y - obs["Player"][0].cy
        return 0 if abs(gap) < 3 else 3 if gap > 0 else 2

    def act(self, obs):
        """Return the index of the action to play."""
        self.target = self.predict_ball_trajectory(obs)
        return self.select_action(obs, self.target)
'''

BRITTLE = '''"""Space Invaders: shoot under the nearest alien, and forget that it may be gone.

Environment: gco/SpaceInvaders-v5
"""


class Policy:
    """One instance plays one episode."""

    def find_target(self, obs):
        """The alien nearest to the player."""
        x = obs["Player"][0].cx
        return min(obs["Alien"], key=lambda alien: abs(alien.cx - x))

    def act(self, obs):
        """Return the index of the action to play."""
        target = self.find_target(obs)
        gap = target.cx - obs["Player"][0].cx
        return 1 if abs(gap) < 3 else 2 if gap > 0 else 3
'''

CASES = {
    "breakout": ("breakout", BREAKOUT, 1000),
    "pong": ("pong", PONG, 450),
    "space_invaders": ("space_invaders", BRITTLE, 400),
    "seaquest": ("seaquest", find_game("seaquest").initial_policy(), 250),
}
"""Name of the golden file to game, policy and step limit."""


@functools.cache
def captured(name: str) -> Captured:
    """The trace of a case, on two plain seeds."""
    game, text, max_steps = CASES[name]
    return capture(WorkerPool(0), text, (1, 2), default_protocol(game, max_steps))


def rendered(name: str) -> str:
    """What its golden file should hold."""
    return render_trace(captured(name).trace, 4_000).text


def path_of(name: str) -> Path:
    """The golden file."""
    return GOLDEN / f"trace_{name}.md"


if __name__ == "__main__":  # python -m tests.traces.policies: write the golden files anew
    for case in CASES:
        path_of(case).write_text(rendered(case), "utf-8")
