"""Space Invaders: shoot and move at random.

Environment: gco/SpaceInvaders-v5
"""

import random

# (move, shoot) to action: move is -1 left, 0 stay, +1 right.
ACTIONS = {
    (-1, False): 3,
    (-1, True): 5,
    (0, False): 0,
    (0, True): 1,
    (1, False): 2,
    (1, True): 4,
}


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
        return ACTIONS[move, shoot]

    def act(self, obs):
        """Return the index of the action to play."""
        return self.combine_actions(self.decide_movement(obs), self.decide_shoot(obs))
