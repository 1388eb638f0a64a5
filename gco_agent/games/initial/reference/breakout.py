"""Breakout: a paddle that goes to a target, and nobody who names one.

Environment: gco/Breakout-v5
"""

NOOP, RIGHT, LEFT = 0, 2, 3
NEAR_ENOUGH = 2  # pixels


class Policy:
    """One instance plays one episode."""

    def predict_ball_trajectory(self, obs):
        """Where the ball will be level with the paddle, in pixels from the left; None unknown."""
        return None

    def generate_paddle_target(self, obs, ball_x):
        """Where the paddle should be, in pixels from the left; None for anywhere."""
        return None

    def select_paddle_action(self, obs, target_x):
        """The action that brings the paddle (the Player) to target_x."""
        if target_x is None or not obs["Player"]:
            return NOOP
        gap = target_x - obs["Player"][0].cx
        if abs(gap) < NEAR_ENOUGH:
            return NOOP
        return RIGHT if gap > 0 else LEFT

    def act(self, obs):
        """Return the index of the action to play."""
        ball_x = self.predict_ball_trajectory(obs)
        return self.select_paddle_action(obs, self.generate_paddle_target(obs, ball_x))
