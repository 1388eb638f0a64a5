"""Enduro: drive on, and steer away from a car that is close ahead.

Environment: gco/Enduro-v5
"""

FIRE = 1  # speeds up
RIGHT_FIRE = 7
LEFT_FIRE = 8


class Policy:
    """One instance plays one episode."""

    def analyze_situation(self, obs):
        """The car (Car) that I (the Player) would hit next; None if the way is free."""
        if not obs["Player"]:
            return None
        me = obs["Player"][0]
        close = [
            c for c in obs["Car"] if abs(c.cy - me.cy) < 25 and abs(c.cx - me.cx) < 18
        ]
        return max(close, key=lambda c: c.cy, default=None)

    def select_action(self, obs, car):
        """Speed up, and steer away from the car."""
        if car is None:
            return FIRE
        return LEFT_FIRE if car.cx > obs["Player"][0].cx else RIGHT_FIRE

    def act(self, obs):
        """Return the index of the action to play."""
        return self.select_action(obs, self.analyze_situation(obs))
