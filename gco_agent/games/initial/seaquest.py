"""Seaquest: move and shoot at random.

Environment: gco/Seaquest-v5
"""

import random

UP, RIGHT, LEFT, DOWN, RIGHT_FIRE, LEFT_FIRE = 2, 3, 4, 5, 11, 12


class Policy:
    """One instance plays one episode."""

    def analyze_situation(self, obs):
        """What can hurt me: Shark, Submarine and EnemyMissile."""
        return [*obs["Shark"], *obs["Submarine"], *obs["EnemyMissile"]]

    def select_action(self, obs, enemies):
        """The action that hits something, fetches a Diver, or comes up for air."""
        return random.choice((UP, RIGHT, LEFT, DOWN, RIGHT_FIRE, LEFT_FIRE))

    def act(self, obs):
        """Return the index of the action to play."""
        return self.select_action(obs, self.analyze_situation(obs))
