"""Breakout: be surely under the ball, and choose the part of the paddle that sends it to bricks.

How it plays, in five ideas:
1. Track: the ball flies at a few exact speeds; both its speeds are fitted to those, and its fraction
   of a pixel is narrowed down from step to step.
2. Fly: a small simulation flies the ball past walls and bricks to the paddle's row. It tells where
   and in how many frames the ball comes down, and how many points a flight would bring.
3. Aim: where on the paddle the ball lands decides how it leaves. Each answer is remembered; a part is
   worth the points of the flight it starts and, near the end of a wall, of the best flights after
   it. If no brick has fallen for long, now and then a random answer is wanted: no cycle lasts.
4. Width: the paddle is 16 pixels wide until the ball has met the ceiling, and then only the left 12
   of them catch, although obs goes on saying 16.
5. Steer: a press moves the knob by 22 pixels, more than the paddle holds, the paddle lags behind it,
   and an action may stick. A dynamic program over the coming steps finds the moves (also odd ones,
   that only shift the phase of the knob) with the best chance of a catch, and then the best aim.

Environment: gco/Breakout-v5
Mean return: 706.23 ± 37.79 (30 episodes, report 0:30)
Measured: default protocol, frame skip 4, sticky 0.25, 27000 steps at most
Run: gco/breakout/model, iteration 8
"""

import math
import random
from collections import namedtuple

import numpy as np

NOOP, FIRE, RIGHT, LEFT = 0, 1, 2, 3
FRAMES = 4  # frames of the game in a step

# The field, for the left top corner of the ball (2 x 4 pixels).
WALL_LEFT, WALL_RIGHT, CEILING = 7.0, 151.0, 32.0
FIELD = WALL_RIGHT - WALL_LEFT
CONTACT_Y = 186.0  # the ball turns round on the paddle here
ABOVE_WALL_Y = 50  # above this line the ball is on its way to the ceiling
OPEN_Y = 94.0  # below this line there are no bricks
BRICKS_X, BRICKS_Y, BRICK_W, BRICK_H, ROWS = 8, 57, 8, 6, 6
ROW_POINTS = (7, 7, 4, 4, 1, 1)
FULL_WALL = 90  # more bricks than this: (nearly) a new wall
FLIGHT_LIMIT = 400  # frames after which a simulated flight is cut off
SPEEDS_ACROSS, SPEEDS_DOWN = (1.0, 2.0), (1.0, 1.5, 2.0, 3.375)  # pixels a frame

# The paddle: a knob moves at once, the paddle shows where the knob was some frames ago.
KNOB_SPEED = 5.65  # pixels a frame
LAG, LAG_FRAMES = 1.8, 2  # frames
STICKY = 0.25
MOVES = (NOOP, RIGHT, LEFT)  # the three moves, in the order of the planner's arrays
DIRECTION = (0, 1, -1)
PADDLE_LEFT, PADDLE_RIGHT = 8.0, 144.0
KNOB_MIN, KNOB_MAX = 5.0, 192.0
DEEPEST_Y, LATE = (
    190.0,
    0.5,
)  # below this line no catch is hoped for; trust in a late catch
WOBBLE = 2.5  # pixels by which the place of a moving paddle is uncertain
WIDE, NARROW = 15.0, 11.0  # largest offset (ball x - paddle x) that is still caught

# The planner: places of the knob from stop to stop, a quarter of a frame's motion apart.
HORIZON = 14  # steps it looks ahead at most
CELL = KNOB_SPEED / 4
CELLS = int((KNOB_MAX - KNOB_MIN) / CELL) + 1
PLACES = KNOB_MIN + CELL * np.arange(CELLS)
MOVE_COST = np.array([0.0, 0.002, 0.002])[:, None, None]
CENTRING = 0.0004  # for each pixel between the ball and the middle of the paddle


def shifted(cells, frames):
    """The cells after so many frames of motion to the right (negative: left); the stops hold."""
    return np.clip(cells + 4 * frames, 0, CELLS - 1)


# Where a frame, or a whole step in which the old move sticks for 0 to 4 frames, leads from a cell.
NEXT_PLACE = np.stack(
    [m * CELLS + shifted(np.arange(CELLS), DIRECTION[m]) for m in range(3)]
)
STICKS = np.array([(1 - STICKY) * STICKY**j for j in range(FRAMES)] + [STICKY**FRAMES])
STEP_PLACE = np.array(
    [
        [
            [
                c * CELLS
                + shifted(
                    shifted(np.arange(CELLS), j * DIRECTION[b]),
                    (FRAMES - j) * DIRECTION[c],
                )
                for b in range(3)
            ]
            for c in range(3)
        ]
        for j in range(FRAMES + 1)
    ]
)

# The aim.
PART_WIDTH = 2
PARTS = range(-1, 8)  # parts of the paddle by the ball's offset, 2 pixels each
PART_CENTRES = [PART_WIDTH * part + 1 for part in PARTS]
AIM_WEIGHT, LAST_AIM_WEIGHT = (
    0.06,
    0.12,
)  # the best aim against a sure catch (1.0); for last bricks
LATER = 0.6  # weight of the points of the next flight
DEEP_BRICKS, LAST_BRICKS = (
    16,
    6,
)  # with so few bricks left it pays to look 3 or 4 flights ahead
WALL_BONUS = 10  # points for the last brick, as it brings a new wall
DRY_BOUNCES = 6  # bounces without a brick before every third aim is random

Flight = namedtuple("Flight", "x y vx vy frames points standing")


def fly(x, y, vx, vy, bricks):
    """Fly the ball (speeds a frame) to the paddle's row; return its end, and the points it won."""
    standing, frames, points = set(bricks), 0, 0
    while frames < FLIGHT_LIMIT:
        if y > OPEN_Y:  # no bricks: many frames at once
            goal = CONTACT_Y if vy > 0 else OPEN_Y
            span = max(0, math.ceil((goal - y) / vy))
        else:
            span = 1
        x = (x + vx * span - WALL_LEFT) % (2 * FIELD)
        if x > FIELD:  # reflected at the right wall
            x, vx = 2 * FIELD - x, -vx
        x, y, frames = x + WALL_LEFT, y + vy * span, frames + span
        if y > OPEN_Y and vy > 0:
            if y >= CONTACT_Y:
                break
        elif y < CEILING:
            y, vy = 2 * CEILING - y, abs(vy)
        else:
            edge = y - 1 if vy < 0 else y + 4
            cell = int((edge - BRICKS_Y) // BRICK_H), int((x + 1 - BRICKS_X) // BRICK_W)
            if cell in standing:
                standing.discard(cell)
                points += ROW_POINTS[cell[0]]
                vy = -vy
                y += vy
    if bricks and not standing:
        points += WALL_BONUS
    return Flight(x, y, vx, vy, frames, points, standing)


class Axis:
    """One coordinate of the ball: where it is (between low and high) and its speed a frame."""

    def __init__(self, seen, speed, known):
        self.known = known
        self.turns = 0  # reflections at the side walls
        self.start(seen, speed)

    def start(self, seen, speed):
        """Begin anew after a bounce."""
        self.speed, self.origin, self.clean = self.settle(speed, 1), seen, 0
        self.low, self.high = float(seen), seen + 1.0  # obs cuts off the fraction

    @property
    def place(self):
        """The most likely place."""
        return (self.low + self.high) / 2

    def settle(self, speed, steps):
        """The known speed that agrees with a mean speed over so many steps, else that mean."""
        nearest = min(self.known, key=lambda s: abs(s - abs(speed)))
        return (
            math.copysign(nearest, speed)
            if abs(nearest - abs(speed)) <= 0.3 / steps
            else speed
        )

    def see(self, seen, walls=()):
        """Take in where the ball is now; a surprise is a bounce, and then the speed is taken anew."""
        way = FRAMES * self.speed
        expected, raw = self.place + way, (seen + 0.5 - self.place) / FRAMES
        if abs(expected - seen - 0.5) <= 1.4:
            self.clean += 1
            self.speed = self.settle(
                (seen - self.origin) / (FRAMES * self.clean), self.clean
            )
            self.low, self.high = max(self.low + way, seen), min(
                self.high + way, seen + 1.0
            )
            if self.low > self.high:
                self.low, self.high = float(seen), seen + 1.0
        elif any(abs(2 * wall - expected - seen) <= 2.5 for wall in walls):
            self.turns += 1
            self.start(seen, -self.speed)
        elif walls or self.clean == 0:
            self.start(seen, raw)
        else:
            self.start(seen, -self.speed)


class Policy:
    """One instance plays one episode."""

    def __init__(self):
        self.rng = random.Random(7)
        self.across, self.down = None, None  # the ball's two axes
        self.wide = True  # the ball has not met the ceiling yet
        self.left_end = 99.0  # the paddle's x in the last step
        self.knob = 99.0
        self.last_move = 0  # index into MOVES
        self.answers = {}  # (wide, pace, part, side) -> (vx, vy) after a bounce
        self.landing = None  # the flight predicted in the last step
        self.usual = {}  # pace -> |vx| after the last bounce
        self.hit, self.turns_before = None, None
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
        if len(bricks) != self.brick_count:
            self.brick_count, self.dry = len(bricks), 0
        return bricks

    def track_ball(self, seen):
        """Keep the ball's axes up to date, and note when it goes to the ceiling."""
        if self.down is None:
            self.across = Axis(seen.x, seen.dx / FRAMES, SPEEDS_ACROSS)
            self.down = Axis(seen.y, (seen.dy or FRAMES) / FRAMES, SPEEDS_DOWN)
        else:
            self.across.see(seen.x, (WALL_LEFT, WALL_RIGHT))
            self.down.see(seen.y)
        if abs(self.down.speed) < 0.5:
            self.down.speed = math.copysign(0.5, self.down.speed)
        if seen.y < ABOVE_WALL_Y:
            self.wide = False

    def estimate_knob(self, player):
        """Where the knob is: the paddle plus its lag; beyond the right stop by counting the moves."""
        push = DIRECTION[self.last_move] * KNOB_SPEED
        shown = player.x + LAG * push
        if player.x >= PADDLE_RIGHT - 1:
            shown = max(shown, self.knob + FRAMES * push)
        return min(max(shown, KNOB_MIN), KNOB_MAX)

    def predict_landing(self, bricks):
        """The flight to the place where the ball reaches the paddle's row."""
        if self.landing and self.down.speed > 0 and self.down.place > CONTACT_Y:
            return self.landing._replace(
                frames=0
            )  # it is past the paddle's top already
        return fly(
            self.across.place,
            self.down.place,
            self.across.speed,
            self.down.speed,
            bricks,
        )

    # -- learning -------------------------------------------------------------------------------

    def offset_at_contact(self, player):
        """How far right of the paddle's left end the ball came down during the last step."""
        share = min(1.0, self.landing.frames / FRAMES)
        return self.landing.x - (self.left_end + share * (player.x - self.left_end))

    def learn_bounce(self, player, falling):
        """After a bounce on the paddle, remember how the part that was hit answers."""
        if falling and self.down.speed < 0 and self.down.place > 150 and self.landing:
            part = int(self.offset_at_contact(player) // PART_WIDTH)
            self.hit = self.key(part, self.landing.vx > 0, self.landing.vy)
            self.turns_before = None
            self.dry += 1
        elif self.hit and self.turns_before is None:
            near_wall = not WALL_LEFT + 9 < self.across.place < WALL_RIGHT - 9
            self.hit = None if near_wall else self.hit
            self.turns_before = self.across.turns
        elif self.hit and self.down.speed > 0:
            self.hit = None
        elif self.hit and self.across.clean >= 2 and self.down.clean >= 2:
            turned = (self.across.turns - self.turns_before) % 2
            vx = -self.across.speed if turned else self.across.speed
            self.answers[self.hit] = (vx, self.down.speed)
            self.usual[self.hit[1]] = abs(vx)
        return self.hit

    def key(self, part, side, vy):
        """What the answer of the paddle depends on: its width, the ball's pace, the part, the side."""
        return self.wide, round(2 * abs(vy)), part, side

    def answer_of_part(self, part, side, vy):
        """(vx, vy) with which the ball will leave a part: remembered, or a guess."""
        wide, pace, _, _ = self.key(part, side, vy)
        for key in (
            (wide, pace, part, side),
            (not wide, pace, part, side),
            (wide, pace, part, not side),
        ):
            if key in self.answers:
                return self.answers[key]
        speed, right = (
            max(1.0, abs(vy)),
            PART_WIDTH * part + 1 - self.catching_end() / 2,
        )
        return math.copysign(self.usual.get(pace, min(speed, 2.0)), right), -speed

    def forget_ball(self):
        """The ball is lost; the next life begins with a wide paddle under a new wall."""
        self.across, self.down, self.landing, self.worths, self.hit = (
            None,
            None,
            None,
            None,
            None,
        )
        self.wide = self.wide or self.brick_count > FULL_WALL

    # -- deciding -------------------------------------------------------------------------------

    def catching_end(self):
        """The largest offset of the ball from the paddle's left end that is still caught."""
        return WIDE if self.wide else NARROW

    def value_of_answer(self, x, y, answer, bricks, depth):
        """Points of the flight that an answer starts, and of the best flights after it."""
        flight = fly(x, y, *answer, bricks)
        if depth == 1 or flight.frames >= FLIGHT_LIMIT or not flight.standing:
            return flight.points
        return flight.points + LATER * max(
            self.value_of_answer(
                flight.x, flight.y, next_answer, flight.standing, depth - 1
            )
            for next_answer in self.possible_answers(flight)
        )

    def possible_answers(self, flight):
        """The answers the paddle may give to a flight, one of each kind that nearly agree."""
        answers = [
            self.answer_of_part(part, flight.vx > 0, flight.vy) for part in PARTS
        ]
        return {(round(vx), round(vy)): (vx, vy) for vx, vy in answers}.values()

    def worth_of_parts(self, landing, bricks):
        """What hitting with each part is worth: the points of the flights it starts."""
        if self.worths is None or abs(landing.x - self.worths_x) > 3:
            self.worths_x = landing.x
            self.worths = self.points_of_parts(landing, bricks)
        return self.worths

    def points_of_parts(self, landing, bricks):
        """What to expect from hitting the ball with each part, as a share of the best."""
        answers = [
            self.answer_of_part(part, landing.vx > 0, landing.vy) for part in PARTS
        ]
        if self.dry >= DRY_BOUNCES and self.dry % 3 == 0:
            wanted = self.rng.choice(sorted(set(answers)))
            return [float(answer == wanted) for answer in answers]
        value = {
            answer: self.points_of_answer(landing, answer, bricks)
            for answer in set(answers)
        }
        best = max(value.values())
        return [round(value[answer] / best, 2) if best else 0.0 for answer in answers]

    def points_of_answer(self, landing, answer, bricks):
        """The value of an answer; for few bricks looked up deeper, and at near places too."""
        x, y, left = landing.x, landing.y, len(bricks)
        if left > DEEP_BRICKS:
            return fly(x, y, *answer, bricks).points
        near = sum(fly(x + shift, y, *answer, bricks).points for shift in (-1.5, 1.5))
        return near / 2 + self.value_of_answer(
            x, y, answer, bricks, 4 if left <= LAST_BRICKS else 3
        )

    def catch_of_places(self, ball_x, worths, trust):
        """For each place of the knob: the chance of a catch at ball_x, and its worth."""
        offset, end = (
            ball_x - np.clip(PLACES, PADDLE_LEFT, PADDLE_RIGHT),
            self.catching_end(),
        )
        resting, early, late = (
            np.interp(offset + wobble, (-2.0, 0.8, end - 1.8, end + 1.0), (0, 1, 1, 0))
            for wobble in (0.0, WOBBLE, -WOBBLE)
        )
        moving = np.minimum(early, late)
        caught = np.stack([resting, moving, moving]) * trust  # [move before, place]
        weight = LAST_AIM_WEIGHT if self.brick_count <= DEEP_BRICKS else AIM_WEIGHT
        aim = weight * np.interp(offset, PART_CENTRES, worths)
        return caught, caught * (1 + aim) - CENTRING * np.abs(offset - end / 2)

    def meetings(self, worths):
        """The frames of the knob that count: while the ball is level with the paddle, lag deducted."""
        x, frames = self.landing.x, self.landing.frames
        coming = self.down.speed > 0 and self.down.place > OPEN_Y
        vx = self.landing.vx if coming else 0.0
        first = frames - LAG_FRAMES
        if first > FRAMES * HORIZON:
            first = FRAMES * HORIZON + first % FRAMES
        y = self.landing.y if coming else DEEPEST_Y
        level = 1 + max(
            0, min(3, math.ceil((DEEPEST_Y - y) / abs(self.down.speed)) - 1)
        )
        return {
            first + i: self.catch_of_places(x + i * vx, worths, LATE**i)
            for i in range(level)
        }

    def best_move(self, meetings):
        """Dynamic program, backwards from the last meeting: the move with the best expected worth."""
        value, frame = np.zeros((3, CELLS)), max(meetings)  # value[move before, place]
        if frame <= 0:
            return 0
        while frame > 0:
            start = (frame - 1) // FRAMES * FRAMES
            if frame - start == FRAMES and all(
                f > frame or f <= start for f in meetings
            ):
                choice = np.tensordot(STICKS, value.ravel()[STEP_PLACE], 1)
            else:
                choice = self.frames_of_step(value, range(frame, start, -1), meetings)
            choice = choice - MOVE_COST  # [move chosen, move before, place]
            value, frame = choice.max(axis=0), start
        cell = min((self.knob - KNOB_MIN) / CELL, CELLS - 1.001)
        low, share = int(cell), cell % 1
        here = choice[:, self.last_move]
        return int(((1 - share) * here[:, low] + share * here[:, low + 1]).argmax())

    def frames_of_step(self, value, frames, meetings):
        """The worth of each move in a step with meetings, frame by frame backwards."""
        choice = np.stack([value] * 3)  # [move chosen, move before, place]
        for frame in frames:
            if frame in meetings:
                caught, worth = meetings[frame]
                choice = worth + (1 - caught) * choice
            moved = choice.reshape(3, -1).take(NEXT_PLACE, axis=1)
            taken = moved[(0, 1, 2), (0, 1, 2)][:, None, :]
            choice = (1 - STICKY) * taken + STICKY * moved
        return choice

    def steer(self, bricks):
        """The move that brings the paddle under the ball, with the part that is worth most."""
        if self.down.speed > 0 and self.down.place > OPEN_Y:
            worths = self.worth_of_parts(self.landing, bricks)
        else:
            worths, self.worths = [0.0] * len(PARTS), None
        return self.best_move(self.meetings(worths))

    def act(self, obs):
        """Return the index of the action to play."""
        if not obs["Player"]:
            return FIRE
        player = obs["Player"][0]
        self.knob = self.estimate_knob(player)
        if not obs["Ball"]:
            if self.down:
                self.forget_ball()
            self.last_move = 0
            return FIRE
        bricks = self.read_bricks(obs)
        falling = self.down is not None and self.down.speed > 0
        self.track_ball(obs["Ball"][0])
        self.learn_bounce(player, falling)
        self.landing = self.predict_landing(bricks)
        self.last_move = self.steer(bricks)
        self.left_end = player.x
        return MOVES[self.last_move]
