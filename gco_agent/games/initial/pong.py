"""Pong: know where the ball is, and move at random.

Environment: gco/Pong-v5
"""

import random

MOVES_UP = 2
MOVES_DOWN = 3


class Policy:
    """One instance plays one episode."""

    def predict_ball_trajectory(self, obs):
        """Where the ball will meet my paddle, in pixels from the top; None without a ball."""
        return obs["Ball"][0].y if obs["Ball"] else None

    def select_action(self, obs, target_y):
        """The action that brings my paddle (the Player) to target_y."""
        return random.choice((MOVES_UP, MOVES_DOWN))

    def act(self, obs):
        """Return the index of the action to play."""
        return self.select_action(obs, self.predict_ball_trajectory(obs))
