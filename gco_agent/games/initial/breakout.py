"""Breakout: serve the ball, and move at random.

Environment: gco/Breakout-v5
"""

import random

NOOP = 0
FIRE = 1
RIGHT = 2
LEFT = 3


class Policy:
    """One instance plays one episode."""

    def predict_ball_trajectory(self, obs):
        """Where the ball will be level with the paddle, in pixels from the left; None unknown."""
        return None

    def generate_paddle_target(self, obs, ball_x):
        """Where the paddle should be, in pixels from the left; None for anywhere."""
        return ball_x

    def select_paddle_action(self, obs, target_x):
        """The action that brings the paddle (the Player) to target_x; FIRE serves the ball."""
        if not obs["Ball"]:
            return FIRE
        if target_x is None:
            return random.choice((NOOP, RIGHT, LEFT))
        return RIGHT if target_x > obs["Player"][0].cx else LEFT

    def act(self, obs):
        """Return the index of the action to play."""
        ball_x = self.predict_ball_trajectory(obs)
        return self.select_paddle_action(obs, self.generate_paddle_target(obs, ball_x))
