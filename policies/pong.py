"""Pong: go where the Enemy will be soon.

Environment: gco/Pong-v5
Mean return: 15.67 ± 0.68 (30 episodes, report 0:30)
Measured: default protocol, frame skip 4, sticky 0.25, 27000 steps at most
Run: gco/pong/first, iteration 7
"""

# The action for each way to move, and whether to fire.
ACTIONS = {
    (-1, False): 2,  # RIGHT
    (-1, True): 4,  # RIGHTFIRE
    (0, False): 0,  # NOOP
    (0, True): 1,  # FIRE
    (1, False): 3,  # LEFT
    (1, True): 5,  # LEFTFIRE
}
BALL_LINE_X = 47.73  # pixels
BALL_TOP = 32  # centre of the Ball, as far as it was seen to go
BALL_BOTTOM = 196  # centre of the Ball, as far as it was seen to go
BALL_OFFSET = 0.47  # pixels
ENEMY_LEAD = 8.11  # steps to look ahead
DEAD_ZONE = 8.34  # pixels off target: good enough
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
                self.choose_y(obs, player), player.cy + COASTING * player.dy
            ),
            self.wants_fire(obs, player),
        ]

    def choose_y(self, obs, player):
        """Where the Player should be in y; None to stay."""
        # Meet the nearest Ball where it will cross while it is on the right of the screen.
        ball = self.nearest(obs["Ball"], player)
        if ball is not None and ball.cx > BALL_LINE_X:
            return self.crossing_y(ball, player, BALL_TOP, BALL_BOTTOM) + BALL_OFFSET
        # Go to the nearest Ball while it comes in x.
        if ball is not None and self.approaches_x(ball, player):
            return ball.cy
        # Go where the nearest Enemy will be soon.
        enemy = self.nearest(obs["Enemy"], player)
        if enemy is not None:
            return enemy.cy + ENEMY_LEAD * enemy.dy
        return None

    def wants_fire(self, obs, player):
        """Whether to press the fire button now."""
        return not obs["Enemy"]

    @staticmethod
    def approaches_x(thing, me):
        """Whether thing moves towards me in x."""
        return (me.cx - thing.cx) * thing.dx > 0

    @staticmethod
    def bounce(place, low, high):
        """Where something ends up that flies to place but bounces off walls at low and high."""
        width = high - low
        if width <= 1:
            return place
        place = (place - low) % (2 * width)
        return low + min(place, 2 * width - place)

    def crossing_y(self, thing, me, low, high):
        """Centre of thing in y once it is level with me, bouncing between low and high."""
        steps = (me.cx - thing.cx) / thing.dx if thing.dx else 0
        if steps <= 0:
            return thing.cy
        return self.bounce(thing.cy + thing.dy * steps, low, high)

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
