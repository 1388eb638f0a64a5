"""Breakout: intercept the Ball.

Environment: gco/Breakout-v5
Mean return: 208.40 ± 18.69 (30 episodes, report 0:30)
Measured: default protocol, frame skip 4, sticky 0.25, 27000 steps at most
Run: gco/breakout/first, iteration 5
"""

# The action for each way to move, and whether to fire.
ACTIONS = {
    (-1, False): 3,  # LEFT
    (-1, True): 3,  # LEFT
    (0, False): 0,  # NOOP
    (0, True): 1,  # FIRE
    (1, False): 2,  # RIGHT
    (1, True): 2,  # RIGHT
}
BALL_LEFT = 7  # centre of the Ball, as far as it was seen to go
BALL_RIGHT = 153  # centre of the Ball, as far as it was seen to go
BALL_OFFSET = -2.29  # pixels
HOME_X = 146.57  # pixels
DEAD_ZONE = 10.35  # pixels off target: good enough
COASTING = 0.38  # steps of its movement that the player still makes once let go


class Policy:
    """One instance plays one episode."""

    def act(self, obs):
        """Return the index of the action to play."""
        if not obs["Player"]:
            return 0  # NOOP
        player = obs["Player"][0]
        return ACTIONS[
            self.direction(
                self.choose_x(obs, player), player.cx + COASTING * player.dx
            ),
            self.wants_fire(obs, player),
        ]

    def choose_x(self, obs, player):
        """Where the Player should be in x; None to stay."""
        # Meet the nearest Ball where it will cross.
        ball = self.nearest(obs["Ball"], player)
        if ball is not None:
            return self.crossing_x(ball, player, BALL_LEFT, BALL_RIGHT) + BALL_OFFSET
        # Go to x = 147.
        return HOME_X

    def wants_fire(self, obs, player):
        """Whether to press the fire button now."""
        return True

    @staticmethod
    def bounce(place, low, high):
        """Where something ends up that flies to place but bounces off walls at low and high."""
        width = high - low
        if width <= 1:
            return place
        place = (place - low) % (2 * width)
        return low + min(place, 2 * width - place)

    def crossing_x(self, thing, me, low, high):
        """Centre of thing in x once it is level with me, bouncing between low and high."""
        steps = (me.cy - thing.cy) / thing.dy if thing.dy else 0
        if steps <= 0:
            return thing.cx
        return self.bounce(thing.cx + thing.dx * steps, low, high)

    @staticmethod
    def direction(target, position):
        """-1, 0 or +1: the way to go; nowhere without a target or within DEAD_ZONE of it."""
        if target is None or abs(target - position) <= DEAD_ZONE:
            return 0
        return 1 if target > position else -1

    @staticmethod
    def nearest(things, me):
        """The one of things nearest to me; None if there is none."""
        return min(
            things, key=lambda o: abs(o.cx - me.cx) + abs(o.cy - me.cy), default=None
        )
