"""Policies of Pong that behave, and that misbehave, and the rules they play by."""

from __future__ import annotations

from gco_agent.envs.atari import default_protocol
from tests.engine.policies import HEAD, failing, source

__all__ = ["FOLLOW", "HEAD", "HIDE", "RULES", "STILL", "failing", "source"]

RULES = default_protocol("pong", max_steps=150)
"""Long enough for a point or two."""

FOLLOW = '''"""Pong: follow the ball.

Environment: gco/Pong-v5
"""


class Policy:
    """One instance plays one episode."""

    def select_action(self, obs):
        """Go where the ball is."""
        if not obs["Ball"] or not obs["Player"]:
            return 0
        return 2 if obs["Ball"][0].cy < obs["Player"][0].cy else 3

    def act(self, obs):
        """Return the index of the action to play."""
        return self.select_action(obs)
'''
HIDE = (
    FOLLOW.replace("follow", "hide from")
    .replace("return 2 if", "return 3 if")
    .replace("else 3", "else 2")
)
STILL = '"""Pong: stand still."""\n\n\ndef act(obs):\n    return 0\n'
