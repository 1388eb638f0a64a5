"""Freeway: plan through space and time between the lanes of cars.

Every lane has one car that drives at a constant, known speed around a belt of
160 pixels, so where each car will be is certain. While it plays, the policy
pins down each car's position to a fraction of a pixel. From that it draws up a
table of which heights of the road are deadly in which frame, and works
backwards in time through it (dynamic programming): for each step, each height
of the chicken and each action before, which action earns most crossings? The
chance that a frame repeats the action before is part of the sum, and so is the
price of being hit (thrown back and stunned). Playing is then looking up the
table, which is renewed now and then; a surprise needs no new table, as it holds
an answer for every height.

Environment: gco/Freeway-v5
Mean return: 32.00 ± 0.00 (30 episodes, report 0:30)
Measured: default protocol, frame skip 4, sticky 0.25, 27000 steps at most
Run: gco/freeway/model, iteration 1
"""

import numpy as np

NOOP, UP, DOWN = 0, 1, 2
PREFERENCE = (
    UP,
    NOOP,
    DOWN,
)  # the order of actions in the tables: the first wins a tie
MOVES = np.array([-1, 0, 1])  # pixels a frame, in that order
REPEAT = 0.25  # chance that a frame repeats the action before
FRAMES = 4  # frames in a step
GAME_STEPS = 2048

FINISH_Y, START_Y = 15, 187  # a chicken at the finish scores
CHICKEN_W, CHICKEN_H, CAR_W, CAR_H = 6, 8, 8, 10
BELT = 160  # a car is back at its place after so many pixels
FIRST_LANE_Y, LANE_GAP = 27, 16
LANE_SPEEDS = (
    -1 / 5,
    -1 / 4,
    -1 / 3,
    -1 / 2,
    -1,
    1,
    1 / 2,
    1 / 3,
    1 / 4,
    1 / 5,
)  # pixels a frame
MARGIN_X, MARGIN_Y = 1, 1  # how near a car counts as a hit

HIT_FALL, HIT_STEPS = 25, 14  # a hit throws back so many pixels and stuns so many steps
SCORE_STEPS = 15  # first guess of the steps at the start after a crossing
LONGEST_REST = 40
HORIZON, PLAN_LIFE, SETTLE_STEPS = 150, 40, 10
CYCLE = 60.0  # steps of an ordinary crossing, with the rest after it
HASTE = 0.0005  # how much a step earlier is worth at a crossing


class CarTrack:
    """Where the car of one lane is: floor(place + speed * frame), around the belt."""

    def __init__(self, x, frame, speed):
        self.speed = speed
        self.restart(x, frame)

    def restart(self, x, frame):
        self.base = x - self.speed * frame
        self.low, self.high = 0.0, 1.0

    def observe(self, x, frame):
        """Narrow the place down: the car is drawn at x, so it is in [x, x + 1)."""
        offset = (x - self.speed * frame - self.base + BELT / 2) % BELT - BELT / 2
        self.low, self.high = max(self.low, offset), min(self.high, offset + 1.0)
        if self.low >= self.high - 1e-6:
            self.restart(x, frame)

    def predict(self, frames):
        """The left edge of the car in each of the frames."""
        return np.floor(self.base + (self.low + self.high) / 2 + self.speed * frames)


class Policy:
    """One instance plays one episode."""

    def __init__(self):
        self.step = -1
        self.tracks = {}
        self.last_action = NOOP
        self.last_y = START_Y
        self.plan_step = None
        self.plan = None
        self.score_steps = SCORE_STEPS
        self.rest_since = None

    def track_cars(self, obs):
        """Follow the car of each lane."""
        frame = self.step * FRAMES
        for car in obs["Car"]:
            lane = int(round((car.y - FIRST_LANE_Y) / LANE_GAP))
            if not 0 <= lane < len(LANE_SPEEDS):
                continue
            if lane in self.tracks:
                self.tracks[lane].observe(car.x, frame)
            else:
                self.tracks[lane] = CarTrack(car.x, frame, LANE_SPEEDS[lane])

    def measure_rest(self, y):
        """Learn how many steps the chicken is held at the start after a crossing."""
        if y - self.last_y > 100:
            self.rest_since = self.step
        elif self.rest_since is not None:
            rest = self.step - self.rest_since
            if y < START_Y:
                self.score_steps = max(0, rest - 1)
            if y < START_Y or self.last_action != UP or rest > LONGEST_REST:
                self.rest_since = None
        self.last_y = y

    def deadly_heights(self, chicken_x, steps):
        """For each coming frame and each y of the chicken: does a car touch it?"""
        frames = self.step * FRAMES + 1 + np.arange(steps * FRAMES)
        heights = np.arange(START_Y + 1)
        deadly = np.zeros((len(frames), START_Y + 1), dtype=bool)
        for lane, track in self.tracks.items():
            gap = (track.predict(frames) - chicken_x + CAR_W - 1 + MARGIN_X) % BELT
            crossing = gap < CAR_W + CHICKEN_W - 1 + 2 * MARGIN_X
            top = FIRST_LANE_Y + LANE_GAP * lane
            in_lane = (heights > top - CHICKEN_H - MARGIN_Y) & (
                heights < top + CAR_H + MARGIN_Y
            )
            deadly |= crossing[:, None] & in_lane[None, :]
        return deadly

    def value_beyond(self, steps, late):
        """The worth of each height at the end of the plan, and some steps later."""
        values = np.zeros((late, len(PREFERENCE), START_Y + 1))
        if self.step + steps < GAME_STEPS:
            to_finish = (np.arange(START_Y + 1) - FINISH_Y) / FRAMES
            waited = np.arange(late)
            values -= (to_finish[None, None, :] + waited[:, None, None]) / CYCLE
        return values

    def value_before_frame(self, after, deadly, hit_value):
        """The worth of (chosen action, action before, y) a frame earlier."""
        heights = np.arange(START_Y + 1)
        reached = np.clip(heights[None, :] + MOVES[:, None], 0, START_Y)
        moved = after[:, np.arange(len(MOVES))[:, None], reached]
        moved = np.where(deadly[reached][None], hit_value[reached][None], moved)
        chosen = np.arange(len(MOVES))
        obeyed = moved[chosen, chosen]
        return (1 - REPEAT) * obeyed[:, None, :] + REPEAT * moved

    def make_plan(self, chicken_x):
        """Work backwards through time; keep the best action of (step, action before, y)."""
        steps = max(1, min(HORIZON, GAME_STEPS - self.step))
        late = max(HIT_STEPS, self.score_steps) + 2
        deadly = self.deadly_heights(chicken_x, steps)
        values = np.concatenate(
            [np.zeros((steps, len(MOVES), START_Y + 1)), self.value_beyond(steps, late)]
        )
        fallen = np.minimum(np.arange(START_Y + 1) + HIT_FALL, START_Y)
        plan = np.zeros((steps, len(MOVES), START_Y + 1), dtype=np.int8)
        for t in range(steps - 1, -1, -1):
            hit_value = values[t + HIT_STEPS, 0, fallen]
            crossed = (
                1.0 + values[t + 1 + self.score_steps, 0, START_Y] + HASTE * (steps - t)
            )
            worth = np.broadcast_to(
                values[t + 1], (len(MOVES),) + values[t + 1].shape
            ).copy()
            for frame in range(FRAMES - 1, -1, -1):
                worth[:, :, : FINISH_Y + 1] = crossed
                worth = self.value_before_frame(
                    worth, deadly[t * FRAMES + frame], hit_value
                )
            plan[t] = worth.argmax(axis=0)
            values[t] = worth.max(axis=0)
        self.plan, self.plan_step = plan, self.step

    def plan_is_stale(self):
        """A new plan is due now and then, and sooner while the cars are being pinned down."""
        if self.plan is None:
            return True
        age = self.step - self.plan_step
        return age >= min(PLAN_LIFE, len(self.plan)) or self.step == SETTLE_STEPS

    def planned_action(self, y):
        """Look the action up in the plan."""
        before = PREFERENCE.index(self.last_action)
        height = min(max(y, 0), START_Y)
        return PREFERENCE[self.plan[self.step - self.plan_step, before, height]]

    def act(self, obs):
        """Return the index of the action to play."""
        self.step += 1
        self.track_cars(obs)
        chickens = obs["Chicken"]
        if not chickens:
            self.last_action = UP
            return UP
        chicken = chickens[0]
        self.measure_rest(chicken.y)
        if self.plan_is_stale():
            self.make_plan(chicken.x)
        self.last_action = self.planned_action(chicken.y)
        return self.last_action
