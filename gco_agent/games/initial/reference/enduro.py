"""Enduro: full speed, and away from the nearest car when it is close.

Environment: gco/Enduro-v5
"""

FIRE, RIGHT_FIRE, LEFT_FIRE = 1, 7, 8
CLOSE_X = 18  # pixels to the side
CLOSE_Y = 25  # pixels ahead or behind


class Policy:
    """One instance plays one episode."""

    def analyze_situation(self, obs):
        """The nearest car (Car), if it is close to me (the Player); else None."""
        if not obs["Player"] or not obs["Car"]:
            return None
        me = obs["Player"][0]
        car = max(obs["Car"], key=lambda car: car.y)
        is_close = abs(car.y - me.y) < CLOSE_Y and abs(car.x - me.x) < CLOSE_X
        return car if is_close else None

    def select_action(self, obs, car):
        """Speed up, and steer away from the car."""
        if car is None:
            return FIRE
        return LEFT_FIRE if car.x > obs["Player"][0].x else RIGHT_FIRE

    def act(self, obs):
        """Return the index of the action to play."""
        return self.select_action(obs, self.analyze_situation(obs))
