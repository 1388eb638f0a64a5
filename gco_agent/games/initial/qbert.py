"""Q*bert: hop at random.

Environment: gco/Qbert-v5
"""

import random

# UP hops up to the right, RIGHT down to the right, LEFT up to the left, DOWN down to the left.
UP, RIGHT, LEFT, DOWN = 2, 3, 4, 5


class Policy:
    """One instance plays one episode."""

    def analyze_situation(self, obs):
        """What hunts me: Coily, PurpleBall and RedBall."""
        return [*obs["Coily"], *obs["PurpleBall"], *obs["RedBall"]]

    def select_action(self, obs, enemies):
        """The hop that changes a cube, stays on the pyramid, and is not into an enemy."""
        return random.choice((UP, RIGHT, LEFT, DOWN))

    def act(self, obs):
        """Return the index of the action to play."""
        return self.select_action(obs, self.analyze_situation(obs))
