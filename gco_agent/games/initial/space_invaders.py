"""Space Invaders: shoot and move at random.

Environment: gco/SpaceInvaders-v5
"""

import random

NOOP, FIRE, RIGHT, LEFT, RIGHT_FIRE, LEFT_FIRE = 0, 1, 2, 3, 4, 5


class Policy:
    """One instance plays one episode."""

    def decide_shoot(self, obs):
        """Whether to shoot now; only one shot of mine flies at a time."""
        return random.random() < 0.5

    def decide_movement(self, obs):
        """Which way to move: -1 left, 0 stay, +1 right."""
        return random.choice((-1, 0, 1))

    def combine_actions(self, move, shoot):
        """The action that does both."""
        if shoot:
            return {-1: LEFT_FIRE, 0: FIRE, 1: RIGHT_FIRE}[move]
        return {-1: LEFT, 0: NOOP, 1: RIGHT}[move]

    def act(self, obs):
        """Return the index of the action to play."""
        return self.combine_actions(self.decide_movement(obs), self.decide_shoot(obs))
