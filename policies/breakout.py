"""Breakout: be exactly under the ball, and choose the part of the paddle that sends it to bricks.

How it plays, in four ideas:
1. Track: the ball's speed is kept from step to step; only a surprise (a bounce) replaces it.
2. Fly: a small simulation flies the ball past walls and bricks to the paddle's row. It tells where
   and in how many frames the ball comes down, and how many points a flight would bring.
3. Aim: each of seven parts of the paddle sends the ball off at another slope (learned while
   playing). A part is worth the points of the flight that starts there. If no brick fell during the
   last bounces the worths are drawn at random, so no cycle can trap the ball.
4. Steer: the paddle lags behind its knob and an action may stick for some frames. A dynamic program
   over the coming frames picks the action with the best expected worth of the paddle's place at the
   moment of contact. Catching always counts far more than aiming.

Environment: gco/Breakout-v5
Mean return: 483.03 ± 23.94 (30 episodes, report 0:30)
Measured: default protocol, frame skip 4, sticky 0.25, 27000 steps at most
Run: gco/breakout/model, iteration 1
"""

import math
import random

import numpy as np

NOOP, FIRE, RIGHT, LEFT = 0, 1, 2, 3
FRAMES = 4  # frames of the game in a step

# The field, for the left top corner of the ball (2 x 4 pixels).
WALL_LEFT, WALL_RIGHT, CEILING = 7.0, 151.0, 32.0
CONTACT_Y = 186.0  # the ball turns round on the paddle here
OPEN_Y = 94.0  # below this line there are no bricks
BRICKS_X, BRICKS_Y, BRICK_W, BRICK_H, ROWS, COLUMNS = 8, 57, 8, 6, 6, 18
ROW_POINTS = (7, 7, 4, 4, 1, 1)
FLIGHT_LIMIT = 300  # frames after which a simulated flight is cut off

# The paddle: a knob moves at once, the paddle shows where the knob was some frames ago.
KNOB_SPEED = 5.65  # pixels a frame
LAG = 1.8  # frames
STICKY = 0.25
MOVES = (NOOP, RIGHT, LEFT)  # the three moves, in the order of the planner's arrays
DIRECTION = (0, 1, -1)
PADDLE_LEFT, PADDLE_RIGHT = 8.0, 144.0
KNOB_MIN, KNOB_MAX = 5.0, 192.0

# The planner.
REACH = 30  # knob places: so many frames of motion to either side
HORIZON = 6  # steps it looks ahead at most
PLACES = np.arange(-REACH, REACH + 1)
NEXT_PLACE = np.stack(
    [
        m * len(PLACES) + np.clip(PLACES + DIRECTION[m], -REACH, REACH) + REACH
        for m in range(3)
    ]
)
MOVE_COST = np.array([0.0, 0.002, 0.002])[:, None, None]

# The aim.
PARTS = (-3, -2, -1, 0, 1, 2, 3)  # parts of the paddle, thirds of its half width
FIRST_SLOPES = {-3: -1.5, -2: -1.1, -1: -0.8, 0: 0.6, 1: 0.8, 2: 1.1, 3: 1.5}
AIM_WEIGHT = 0.2  # the best aim against a sure catch (1.0)
DRY_BOUNCES = 4  # bounces without a brick before the aim turns random


def fold(x, vx):
    """Reflect x at the side walls as often as needed; return the place and the speed there."""
    span = WALL_RIGHT - WALL_LEFT
    u = (x - WALL_LEFT) % (2 * span)
    if u > span:
        return WALL_LEFT + 2 * span - u, -vx
    return WALL_LEFT + u, vx


def brick_at(x, y, vy):
    """The cell (row, column) that the leading edge of the ball touches."""
    edge = y - 1 if vy < 0 else y + 4
    return int((edge - BRICKS_Y) // BRICK_H), int((x + 1 - BRICKS_X) // BRICK_W)


def fly(x, y, vx, vy, bricks):
    """Fly the ball (speeds a frame) to the paddle's row: its x there, the frames, the points won."""
    standing, frames, points = set(bricks), 0.0, 0
    while frames < FLIGHT_LIMIT:
        if y > OPEN_Y:
            goal = CONTACT_Y if vy > 0 else OPEN_Y - 0.01
            span = max(0.0, (goal - y) / vy)
            x, vx = fold(x + vx * span, vx)
            y, frames = goal, frames + span
            if vy > 0:
                break
        x, vx = fold(x + vx, vx)
        y, frames = y + vy, frames + 1
        if y < CEILING:
            y, vy = 2 * CEILING - y, abs(vy)
        cell = brick_at(x, y, vy)
        if cell in standing:
            standing.discard(cell)
            points += ROW_POINTS[cell[0]]
            vy = -vy
            y += vy
    return x, frames, points


class Policy:
    """One instance plays one episode."""

    def __init__(self):
        self.rng = random.Random(7)
        self.ball = None  # (x, y, vx, vy), speeds a frame
        self.surprised = False  # the vertical speed was a surprise in the last step
        self.knob = 99.0
        self.last_move = 0  # index into MOVES
        self.slopes = dict(FIRST_SLOPES)  # part of the paddle -> vx / |vy| afterwards
        self.landing = None  # (x, frames) predicted in the last step
        self.hit_part, self.hit_age = None, 0
        self.worths, self.worths_x = None, None
        self.brick_count, self.dry = 0, 0

    # -- seeing ---------------------------------------------------------------------------------

    def read_bricks(self, obs):
        """The standing bricks as a set of (row, column)."""
        bricks = set()
        for block in obs["Block"]:
            row = round((block.y - BRICKS_Y) / BRICK_H)
            if 0 <= row < ROWS:
                first = round((block.x - BRICKS_X) / BRICK_W)
                bricks.update(
                    (row, c)
                    for c in range(first, first + max(1, round(block.w / BRICK_W)))
                )
        return bricks

    def track_ball(self, seen):
        """The ball's place and speed: keep the speed as long as the ball is where it was expected."""
        x, y = float(seen.x), float(seen.y)
        if self.ball is None:
            self.surprised = False
            return x, y, seen.dx / FRAMES, (seen.dy or FRAMES) / FRAMES
        old_x, old_y, vx, vy = self.ball
        raw_x, raw_y = (x - old_x) / FRAMES, (y - old_y) / FRAMES
        expected_x, expected_vx = fold(old_x + FRAMES * vx, vx)
        if abs(expected_x - x) > 2.5:
            vx = raw_x
        elif expected_vx == vx and WALL_LEFT + 2 < x < WALL_RIGHT - 2:
            vx = (vx + raw_x) / 2
        else:
            vx = expected_vx
        if abs(raw_y - vy) * FRAMES <= 1.5:
            vy, self.surprised = (vy + raw_y) / 2, False
        elif self.surprised and raw_y:
            vy = raw_y
        else:
            vy, self.surprised = -vy, True
        if abs(vy) < 0.25:
            vy = 0.25 if vy >= 0 else -0.25
        return x, y, vx, vy

    def estimate_knob(self, player):
        """Where the knob is: the paddle plus its lag; beyond the right stop by counting the moves."""
        push = DIRECTION[self.last_move] * KNOB_SPEED
        shown = player.x + LAG * push
        if player.x >= PADDLE_RIGHT - 1:
            shown = max(shown, self.knob + FRAMES * push)
        return min(max(shown, KNOB_MIN), KNOB_MAX)

    # -- learning the paddle's parts ------------------------------------------------------------

    def part_of_paddle(self, ball_x, player):
        """Which part of the paddle is under a ball at ball_x."""
        offset = (ball_x + 1 - player.cx) / (player.w / 2)
        return max(-3, min(3, round(offset * 3)))

    def learn_slope(self, player, before):
        """After a bounce on the paddle, note the slope at which its part sent the ball off."""
        if (
            before
            and before[3] > 0
            and self.ball[3] < 0
            and self.ball[1] > 150
            and self.landing
        ):
            self.hit_part = self.part_of_paddle(self.landing[0], player)
            self.hit_age = 0
            self.dry += 1
        elif self.hit_part is not None:
            self.hit_age += 1
            if self.hit_age == 2:
                slope = max(-3.0, min(3.0, self.ball[2] / abs(self.ball[3])))
                self.slopes[self.hit_part] += 0.5 * (slope - self.slopes[self.hit_part])
                self.hit_part = None

    def count_bricks(self, bricks):
        """Note when a brick has fallen (or a new wall stands)."""
        if len(bricks) != self.brick_count:
            self.brick_count, self.dry = len(bricks), 0

    # -- deciding -------------------------------------------------------------------------------

    def predict_landing(self, bricks):
        """(x, frames): where the ball reaches the paddle's row and in how many frames."""
        x, frames, _ = fly(*self.ball, bricks)
        return x, frames

    def worth_of_parts(self, landing_x, bricks):
        """What hitting with each part is worth, 0 to 1: the points of the flight it starts."""
        if self.worths is None or abs(landing_x - self.worths_x) > 4:
            if self.dry >= DRY_BOUNCES:
                points = [self.rng.random() for _ in PARTS]
            else:
                speed = abs(self.ball[3])
                points = [
                    fly(landing_x, CONTACT_Y, self.slopes[p] * speed, -speed, bricks)[2]
                    for p in PARTS
                ]
            best = max(points)
            self.worths = [p / best if best else 0.0 for p in points]
            self.worths_x = landing_x
        return self.worths

    def worth_of_places(self, landing_x, player, worths):
        """What each place the knob may reach is worth when the ball comes down at landing_x."""
        left = np.clip(self.knob + KNOB_SPEED * PLACES, PADDLE_LEFT, PADDLE_RIGHT)
        half = player.w / 2
        offset = landing_x + 1 - (left + half)
        caught = np.clip((half + 1.5 - np.abs(offset)) / 4, 0, 1)
        aim = np.interp(offset * 3 / half, PARTS, worths)
        return caught * (1 + AIM_WEIGHT * aim) - 0.002 * np.abs(offset)

    def best_move(self, places, frames):
        """Dynamic program, backwards from the contact: the move with the best expected worth."""
        value = np.stack([places] * 3)  # [move before, place]
        steps, rest = divmod(frames, FRAMES)
        lengths = ([rest] if rest else []) + [FRAMES] * min(steps, HORIZON)
        choice = None
        for length in lengths:
            choice = np.stack([value] * 3)  # [move chosen, move before, place]
            for _ in range(length):
                moved = choice.reshape(3, -1).take(NEXT_PLACE, axis=1)
                taken = moved[(0, 1, 2), (0, 1, 2)][:, None, :]
                choice = (1 - STICKY) * taken + STICKY * moved
            choice = choice - MOVE_COST
            value = choice.max(axis=0)
        return 0 if choice is None else int(choice[:, self.last_move, REACH].argmax())

    def steer(self, player, bricks):
        """The move that brings the paddle under the ball, with the part that is worth most."""
        landing_x, frames = self.landing
        coming = self.ball[3] > 0 and self.ball[1] > OPEN_Y
        if coming:
            worths = self.worth_of_parts(landing_x, bricks)
        else:
            worths, self.worths = [0.0] * len(PARTS), None
        places = self.worth_of_places(landing_x, player, worths)
        return self.best_move(places, max(0, math.floor(frames - LAG + 0.5)))

    def act(self, obs):
        """Return the index of the action to play."""
        if not obs["Player"]:
            return FIRE
        player = obs["Player"][0]
        self.knob = self.estimate_knob(player)
        if not obs["Ball"]:
            self.ball, self.landing, self.worths, self.last_move = None, None, None, 0
            return FIRE
        bricks = self.read_bricks(obs)
        self.count_bricks(bricks)
        before, self.ball = self.ball, self.track_ball(obs["Ball"][0])
        self.learn_slope(player, before)
        self.landing = self.predict_landing(bricks)
        self.last_move = self.steer(player, bricks)
        return MOVES[self.last_move]
