"""Enduro: know where every car will be, drive through the gaps, and never sit behind anyone.

All sideways places are pixels at the near end of the road, 0 in its middle. Each step the policy
1. reads its own place on the road and the lane of every car (a car keeps its lane),
2. learns how fast the others drive (faster from day to day), how far a bend pushes and how well
   the wheels grip (in each sixteenth of a day: snow),
3. plans backwards through time over all places: gas, hold or brake, left, straight or right,
4. drives only as fast as leaves enough room to dodge a car after it has shown,
5. falls back behind cars that block the road for long, to pass them in another lane.

Environment: gco/Enduro-v5
Mean return: 2168.17 ± 38.32 (30 episodes, report 0:30)
Measured: default protocol, frame skip 4, sticky 0.25, 27000 steps at most
Run: gco/enduro/model, iteration 2
"""

import math

import numpy as np

GAS, HOLD, BRAKE = 1, 0, -1
ACTIONS = {  # (throttle, steering) -> action
    (GAS, 0): 1,
    (GAS, 1): 7,
    (GAS, -1): 8,
    (HOLD, 0): 0,
    (HOLD, 1): 2,
    (HOLD, -1): 3,
    (BRAKE, 0): 4,
    (BRAKE, 1): 5,
    (BRAKE, -1): 6,
}
DAY, PARTS = 3328, 16  # steps of a day; parts of it with their own weather
HORIZON_Y = 53.0  # the road is y - 53 pixels wide at height y
NEAR_WIDTH = 87.0
RIVAL_SPEED = (
    25.0  # of the first day: at this speed the other cars stand still on the screen
)
GROWTH = 0.0034  # y - 53 of a car grows by this share a step and unit of excess speed
SIGHT_Y = 64.5  # where cars show first
PUSH = 0.0015  # a bend pushes outwards by this, per pixel of bend and unit of speed
GRIP = 0.085  # a step of steering moves the car by this share of its speed
BRAKING = 4.0
TOUCH, CLEAR = 14.5, 18.0  # sideways distances: a collision; nothing to fear
FRONT, BACK = 13, 11  # a car is beside me from this far above my y to this far below
EDGE = 28.0
GRID = np.arange(-34.0, 35.0, 1.0)
BLUR = 3.0
PLAN_STEPS = 24
DODGE = (
    68.0  # pixels I want to be able to steer between a car's showing and its arrival
)
MIN_EXCESS, MAX_EXCESS, HURRY_EXCESS = 22.0, 52.0, 68.0  # speed above the others'
TOP_SPEED = 108.0
RESERVE = 1.1
CARS_PER_GROWTH = 0.9  # cars passed while y - 53 grows e-fold
THROTTLE_PRICE = {GAS: 0.0, HOLD: 0.03, BRAKE: 0.07}
SLOW_PRICE = 0.1  # on top of it when I am no faster than the others
STUCK_STEPS, FALL_STEPS, FALL_BY, BOLD_AFTER, BOLD_STEPS = 10, 45, 12.0, 160, 40


def road_middle(rows, y):
    """The middle of the road at height y: a parabola through three rows, a line near me."""
    near = sorted(rows, key=lambda r: abs(r.y - y))[:3]
    if len(near) < 3 or y > 145:
        near = sorted(rows, key=lambda r: -r.y)[:2]
    total = 0.0
    for a in near:
        weight = 1.0
        for b in near:
            if b is not a and b.y != a.y:
                weight *= (y - b.y) / (a.y - b.y)
        total += weight * a.cx
    return total


def speed_course(speed, throttle, target, rival):
    """My speed in each of the next PLAN_STEPS steps."""
    steps = np.arange(PLAN_STEPS)
    if throttle == GAS:
        return np.minimum(
            speed + (1.0 if speed < 47 else 0.5) * steps, max(target, speed)
        )
    if throttle == HOLD:
        return np.full(PLAN_STEPS, speed)
    return np.maximum(speed - BRAKING * steps, min(speed, target, rival))


class Policy:
    """One instance plays one episode."""

    def __init__(self):
        self.step = -1
        self.before = None  # (place, speed, bend, corners of the cars)
        self.steered = [0, 0]  # the last two steerings
        self.bias = 0.0  # drift that the bend does not explain
        self.grip, self.push, self.rival_speed = GRIP, PUSH, RIVAL_SPEED
        self.grips = [None] * PARTS  # as last known in each part of a day
        self.stuck = self.falling = self.slow = self.bold = 0
        self.crashes_in = [0] * 8
        self.left_before = 200
        self.quota_steps = []

    # ---- what is seen ----

    def place(self, obs):
        """My place on the road: pixels right of its middle."""
        if not obs["Player"] or not obs["Road"]:
            return 0.0
        return obs["Player"][0].cx - max(obs["Road"], key=lambda r: r.y).cx

    def rivals(self, obs):
        """Each car as (place in pixels at the near end, y)."""
        found = []
        for c in obs["Car"]:
            depth = c.y - HORIZON_Y
            if depth > 4 and obs["Road"]:
                x = (c.cx - road_middle(obs["Road"], c.y)) / depth * NEAR_WIDTH
                found.append((max(-27.0, min(27.0, x)), c.y))
        return found

    def bend(self, obs):
        """How far the road leans to the right ahead of me."""
        rows = sorted(obs["Road"], key=lambda r: -r.y)
        return rows[min(2, len(rows) - 1)].cx - rows[0].cx if rows else 0.0

    # ---- what is learned ----

    def recall_grip(self):
        """At the start of each part of a day recall how the wheels gripped the day before."""
        part = self.step % DAY * PARTS // DAY
        if (self.step - 1) % DAY * PARTS // DAY != part and self.grips[part]:
            self.grip = self.grips[part]
        self.grips[part] = self.grip

    def learn(self, obs, place, speed):
        """Update grip, push, bias and the others' speed from what the last step did."""
        bend = self.bend(obs)
        if self.before:
            old_place, old_speed, old_bend, corners = self.before
            steady = speed > 12 and abs(speed - old_speed) < 9
            if steady and self.steered[0] == self.steered[1]:
                self.learn_steering(
                    place - old_place, old_speed, old_bend, self.steered[1]
                )
            if steady:
                self.learn_rival_speed(obs, corners, (speed + old_speed) / 2.0)
        self.before = (place, speed, bend, {(c.x, c.y) for c in obs["Car"]})

    def learn_steering(self, moved, speed, bend, steering):
        """How far the car moved sideways tells the grip, or the push of the bend."""
        rest = moved + self.push * bend * speed
        if steering and speed > 20:
            grip = (rest - self.bias) * steering / speed
            self.grip += 0.12 * (max(0.01, min(0.14, grip)) - self.grip)
        elif steering == 0 and abs(bend) > 5 and speed > 20:
            push = (self.bias - moved) / (bend * speed)
            self.push += 0.08 * (max(0.0, min(0.004, push)) - self.push)
        elif steering == 0:
            self.bias += 0.1 * (max(-2.0, min(2.0, rest)) - self.bias)

    def learn_rival_speed(self, obs, corners, speed):
        """How fast cars grow tells how much faster than they I am."""
        weight = total = 0.0
        for c in obs["Car"]:
            old_y = c.y - c.dy
            if (c.x - c.dx, old_y) in corners and old_y > 75 and 75 < c.y < 150:
                weight += old_y - HORIZON_Y
                total += (old_y - HORIZON_Y) * math.log(
                    (c.y - HORIZON_Y) / (old_y - HORIZON_Y)
                )
        if weight:
            rival = speed - total / weight / GROWTH
            self.rival_speed += 0.05 * (max(10.0, min(70.0, rival)) - self.rival_speed)

    def count(self, obs, speed):
        """Keep the tally of collisions and of the steps at which quotas were passed (for the trace)."""
        part = self.step % DAY * 8 // DAY
        if self.before and speed < self.before[1] - 14:
            self.crashes_in[part] += 1
        left = self.cars_left(obs)
        if left == 0 and self.left_before:
            self.quota_steps.append(self.step % DAY)
        self.left_before = left

    def collision_report(self):
        """Collisions in each eighth of a day, over all days."""
        return list(self.crashes_in)

    def quota_report(self):
        """At which step of each day its quota was passed."""
        return list(self.quota_steps)

    def grip_report(self):
        """Grip (in thousandths) in every second part of the day; push (in 1/10,000) and rival speed."""
        grips = [round(1000 * g) if g else None for g in self.grips[::2]]
        return grips + [round(10000 * self.push), round(self.rival_speed)]

    # ---- how fast ----

    def cars_left(self, obs):
        """Cars still to be passed today."""
        return (obs["CarsToPass"][0].value or 0) if obs["CarsToPass"] else 0

    def dodging_speed(self, my_y):
        """The speed at which I can steer DODGE pixels between a car's showing and its arrival."""
        sight = math.log((my_y - FRONT - HORIZON_Y) / (SIGHT_Y - HORIZON_Y))
        ratio = DODGE * GROWTH / (self.grip * sight)
        return self.rival_speed * ratio / (ratio - 1.0) if ratio > 1.05 else TOP_SPEED

    def schedule_speed(self, obs):
        """The speed that still fulfils today's quota, with a small reserve."""
        rate = self.cars_left(obs) / max(60.0, DAY - self.step % DAY - 100.0)
        return self.rival_speed + RESERVE * rate / (CARS_PER_GROWTH * GROWTH)

    def target_speed(self, obs, my_y):
        """As fast as dodging allows; faster when the quota is in danger."""
        rival = self.rival_speed
        safe = max(
            rival + MIN_EXCESS, min(rival + MAX_EXCESS, self.dodging_speed(my_y))
        )
        needed = min(rival + HURRY_EXCESS, self.schedule_speed(obs))
        return round(min(TOP_SPEED, max(safe, needed)), 1)

    # ---- where ----

    def dangers(self, rivals, my_y, course):
        """Cost of being at each place of GRID at each step ahead (a row a step)."""
        cost = np.zeros((PLAN_STEPS, len(GRID)))
        grown = np.exp(
            np.concatenate(([0.0], np.cumsum(GROWTH * (course - self.rival_speed))))
        )
        for x, y in rivals:
            ys = HORIZON_Y + (y - HORIZON_Y) * grown
            beside = (np.maximum(ys[1:], ys[:-1]) > my_y - FRONT) & (
                np.minimum(ys[1:], ys[:-1]) < my_y + BACK
            )
            if beside.any():
                cost[beside] += np.clip(
                    (CLEAR - np.abs(GRID - x)) / (CLEAR - TOUCH), 0.0, 1.0
                )
        return cost

    def moves(self, start, speed, bend):
        """Weights on GRID of where left, straight and right lead from each start."""
        reach = max(1.2, self.grip * speed)
        drift = self.bias - self.push * bend * speed
        ends = np.clip(
            np.concatenate([start + drift + u * reach for u in (-1, 0, 1)]),
            GRID[0],
            GRID[-1],
        )
        weights = np.maximum(0.0, 1.0 - np.abs(ends[:, None] - GRID[None, :]) / BLUR)
        return weights / weights.sum(axis=1, keepdims=True)

    def plan(self, cost, place, speed, bend):
        """The expected cost of the best way, and its first steering."""
        moves = self.moves(GRID, speed, bend)
        resting = 0.2 * np.maximum(0.0, np.abs(GRID) - EDGE) + 0.0001 * np.abs(GRID)
        effort = np.array([[0.003], [0.0], [0.003]])
        value = 0.003 * np.abs(GRID)
        for t in range(PLAN_STEPS - 1, 0, -1):
            value = (
                (moves @ (0.97 * (value + resting + cost[t]))).reshape(3, -1) + effort
            ).min(axis=0)
        first = self.moves(np.array([place]), speed, bend) @ (value + resting + cost[0])
        best = min((-1, 0, 1), key=lambda u: (first[u + 1] + 0.003 * abs(u), abs(u)))
        return float(first[best + 1]), best

    def decide(self, rivals, place, speed, bend, my_y, target, throttles):
        """The cheapest throttle and its steering: (throttle, steering, price)."""
        best = None
        slow = SLOW_PRICE * max(0.0, 1.0 - max(0.0, speed - self.rival_speed) / 20.0)
        for throttle in throttles:
            course = speed_course(speed, throttle, target, self.rival_speed)
            cost = self.dangers(rivals, my_y, course)
            pace = speed if throttle != BRAKE else max(20.0, speed - 10.0)
            price, steer = self.plan(cost, place, pace, bend)
            price = round(
                price + THROTTLE_PRICE[throttle] + slow * (throttle != GAS), 3
            )
            if best is None or price < best[2]:
                best = (throttle, steer, price)
            if best[2] < 0.08:
                break
        return best

    # ---- never sit behind anyone ----

    def fall_speed(self):
        """The speed at which cars ahead draw away."""
        return max(12.0, self.rival_speed - FALL_BY)

    def road_is_open(self, rivals, my_y):
        """Every car ahead is far away."""
        return all(y < 98 or y > my_y + BACK for _, y in rivals)

    def throttles(self, rivals, speed, my_y, target):
        """The throttles to choose from, most wanted first."""
        if self.falling:
            self.falling -= 1
            if self.road_is_open(rivals, my_y):
                self.falling = 0
            return [
                (
                    GAS
                    if speed < self.fall_speed() - 3
                    else HOLD if speed <= self.fall_speed() + 1 else BRAKE
                )
            ]
        if self.bold:
            self.bold -= 1
            return [GAS]
        if speed < target:
            return [GAS, HOLD, BRAKE]
        return [HOLD, BRAKE] if speed < target + 8 else [BRAKE]

    def watch_for_standstill(self, throttle, speed, target):
        """Fall back after a while behind slow cars; push through when even that does not help."""
        held = throttle != GAS and speed < min(target, self.rival_speed + 12)
        self.stuck = self.stuck + 1 if held else max(0, self.stuck - 1)
        self.slow = self.slow + 1 if speed < self.rival_speed + 7 else 0
        if self.slow > BOLD_AFTER:
            self.slow = self.falling = 0
            self.bold = BOLD_STEPS
        elif self.stuck > STUCK_STEPS and not self.falling and not self.bold:
            self.stuck, self.falling = 0, FALL_STEPS
        elif self.falling:
            self.stuck = 0

    def act(self, obs):
        """Return the index of the action to play."""
        self.step += 1
        if self.step % DAY == DAY - 1:
            self.quota_report(), self.collision_report(), self.grip_report()
        place = self.place(obs)
        speed = float(obs["Speed"][0].value or 0) if obs["Speed"] else 0.0
        my_y = obs["Player"][0].y if obs["Player"] else 140
        rivals = self.rivals(obs)
        self.count(obs, speed)
        self.recall_grip()
        self.learn(obs, place, speed)
        target = self.target_speed(obs, my_y)
        choices = self.throttles(rivals, speed, my_y, target)
        aim = self.fall_speed() if self.falling else target
        throttle, steer, _ = self.decide(
            rivals, place, speed, self.before[2], my_y, aim, choices
        )
        self.watch_for_standstill(throttle, speed, target)
        self.steered = [self.steered[1], steer]
        return ACTIONS[throttle, steer]
