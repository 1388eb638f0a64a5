"""Space Invaders: shoot at what is overhead; go where most aliens are, away from most shots.

Environment: gco/SpaceInvaders-v5
"""

NOOP, FIRE, RIGHT, LEFT, RIGHT_FIRE, LEFT_FIRE = 0, 1, 2, 3, 4, 5
OVERHEAD = 5  # pixels beside the cannon, less than which an alien is a target
TOO_HIGH = 60  # pixels from the top; aliens up to there are left alone


def sides(things, x):
    """How many of things are left of x, and how many are not."""
    n_left = sum(thing.x < x for thing in things)
    return n_left, len(things) - n_left


class Policy:
    """One instance plays one episode."""

    def decide_shoot(self, obs):
        """Whether to shoot now; only one shot of mine flies at a time."""
        if any(shot.dy < 0 for shot in obs["Bullet"]):
            return False
        me = obs["Player"][0]
        return any(
            abs(alien.x - me.x) < OVERHEAD and alien.y > TOO_HIGH
            for alien in obs["Alien"]
        )

    def decide_movement(self, obs):
        """Which way to move: -1 left, 0 stay, +1 right."""
        x = obs["Player"][0].x
        shots = [shot for shot in obs["Bullet"] if shot.dy > 0]
        shots_left, shots_right = sides(shots, x)
        if shots_left != shots_right:
            return 1 if shots_left > shots_right else -1
        aliens_left, aliens_right = sides(obs["Alien"], x)
        return (aliens_right > aliens_left) - (aliens_left > aliens_right)

    def combine_actions(self, move, shoot):
        """The action that does both."""
        if shoot:
            return {-1: LEFT_FIRE, 0: FIRE, 1: RIGHT_FIRE}[move]
        return {-1: LEFT, 0: NOOP, 1: RIGHT}[move]

    def act(self, obs):
        """Return the index of the action to play."""
        return self.combine_actions(self.decide_movement(obs), self.decide_shoot(obs))
