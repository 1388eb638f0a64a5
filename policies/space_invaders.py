"""Space Invaders: keep away from the Bullet that would hit first.

Environment: gco/SpaceInvaders-v5
Mean return: 607.33 ± 41.25 (30 episodes, report 0:30)
Measured: default protocol, frame skip 4, sticky 0.25, 27000 steps at most
Run: gco/space_invaders/first, iteration 16
"""

import math

# The action for each way to move, and whether to fire.
ACTIONS = {
    (-1, False): 3,  # LEFT
    (-1, True): 5,  # LEFTFIRE
    (0, False): 0,  # NOOP
    (0, True): 1,  # FIRE
    (1, False): 2,  # RIGHT
    (1, True): 4,  # RIGHTFIRE
}
BULLET_AHEAD_X = -2.36  # pixels right of the centre
BULLET_AHEAD_Y = 6.07  # pixels below the centre
BULLET_MARGIN = 5.57  # pixels that still count as a hit
BULLET_SOON = 6.9  # steps
BULLET_DISTANCE = 12  # pixels to keep away
PLAYER_LEFT = 37.5  # centre of the Player, as far as it was seen to go
PLAYER_RIGHT = 119.5  # centre of the Player, as far as it was seen to go
SWEEP_STEPS = 80  # steps each way
DEAD_ZONE = 7.47  # pixels off target: good enough
COASTING = 0.51  # steps of its movement that the player still makes once let go


class Policy:
    """One instance plays one episode."""

    def __init__(self):
        self.steps = 0

    def act(self, obs):
        """Return the index of the action to play."""
        self.steps += 1
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
        # Keep away from the Bullet that would hit first while it is about to touch.
        bullet = self.first_to_reach(
            obs["Bullet"], player, BULLET_AHEAD_X, BULLET_AHEAD_Y, BULLET_MARGIN
        )
        if (
            bullet is not None
            and self.steps_to_contact(
                bullet, player, BULLET_AHEAD_X, BULLET_AHEAD_Y, BULLET_MARGIN
            )
            < BULLET_SOON
        ):
            return self.away_from(bullet.cx, player.cx, BULLET_DISTANCE)
        # Sweep to and fro while the horizontally nearest Alien is there.
        alien = self.nearest_in_x(obs["Alien"], player)
        if alien is not None:
            return PLAYER_LEFT if self.steps // SWEEP_STEPS % 2 else PLAYER_RIGHT
        return None

    def wants_fire(self, obs, player):
        """Whether to press the fire button now."""
        return True

    @staticmethod
    def away_from(place, position, distance):
        """A place at distance from position, on the side away from place."""
        return position + distance if position > place else position - distance

    @staticmethod
    def direction(target, position):
        """-1, 0 or +1: the way to go; nowhere without a target or within DEAD_ZONE of it."""
        if target is None or abs(target - position) <= DEAD_ZONE:
            return 0
        return 1 if target > position else -1

    def first_to_reach(self, things, me, shift_x, shift_y, margin):
        """The one of things that would touch me first, were I shifted so; None if none will."""

        def steps(thing):
            return self.steps_to_contact(thing, me, shift_x, shift_y, margin)

        first = min(things, key=steps, default=None)
        return first if first is not None and steps(first) < math.inf else None

    @staticmethod
    def nearest_in_x(things, me):
        """The one of things nearest to me in x; None if there is none."""
        return min(things, key=lambda o: abs(o.cx - me.cx), default=None)

    @staticmethod
    def steps_to_contact(thing, me, shift_x, shift_y, margin):
        """Steps until thing touches me, were I shifted so; infinite if it will pass by."""
        gap_x = thing.cx - me.cx - shift_x
        gap_y = thing.cy - me.cy - shift_y
        reach_x = (thing.w + me.w) / 2
        reach_y = (thing.h + me.h) / 2
        steps = math.inf
        if abs(gap_y) < reach_y + margin:
            if abs(gap_x) < reach_x:
                return 0
            if gap_x * thing.dx < 0:
                steps = (abs(gap_x) - reach_x) / abs(thing.dx)
        if abs(gap_x) < reach_x + margin and gap_y * thing.dy < 0:
            steps = min(steps, (abs(gap_y) - reach_y) / abs(thing.dy))
        return max(steps, 0)
