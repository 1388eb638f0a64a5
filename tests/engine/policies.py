"""Policies of Breakout that behave, and that misbehave, and the rules they play by."""

from __future__ import annotations

from gco_agent.envs.atari import default_protocol
from gco_agent.policy.source import PolicySource

RULES = default_protocol("breakout", max_steps=90)
"""Long enough for a point. Where no point can be lost, a race is soon decided."""

FOLLOW = '''"""Breakout: follow the ball.

Environment: gco/Breakout-v5
"""


class Policy:
    """One instance plays one episode."""

    def select_action(self, obs):
        """Go where the ball is."""
        if not obs["Ball"] or not obs["Player"]:
            return 1
        return 2 if obs["Ball"][0].cx > obs["Player"][0].cx else 3

    def act(self, obs):
        """Return the index of the action to play."""
        return self.select_action(obs)
'''
HIDE = (
    FOLLOW.replace("follow", "hide from")
    .replace("return 1", "return 0")
    .replace("return 2 if", "return 3 if")
    .replace("else 3", "else 2")
)
STILL = '"""Breakout: stand still."""\n\n\ndef act(obs):\n    return 0\n'

HEAD = "class Policy:\n    n = 0\n\n    def act(self, obs):\n        self.n += 1\n"


def failing(body: str, n: int = 3) -> str:
    """A policy whose ``n``-th step is ``body``, the others standing still."""
    return f"{HEAD}        if self.n == {n}:\n            {body}\n        return 0\n"


def source(text: str) -> PolicySource:
    return PolicySource(text)
