"""Asterix: know the nearest item, and move at random.

Environment: gco/Asterix-v5
"""

import random

N_ACTIONS = 9


class Policy:
    """One instance plays one episode."""

    def analyze_situation(self, obs):
        """The Consumable nearest to me (the Player); None if there is none."""
        if not obs["Player"]:
            return None
        me = obs["Player"][0]
        return min(
            obs["Consumable"],
            key=lambda o: abs(o.cx - me.cx) + abs(o.cy - me.cy),
            default=None,
        )

    def select_action(self, obs, item):
        """The action that goes to the item and stays clear of every Enemy."""
        return random.randrange(1, N_ACTIONS)

    def act(self, obs):
        """Return the index of the action to play."""
        return self.select_action(obs, self.analyze_situation(obs))
