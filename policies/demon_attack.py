"""Demon Attack: plan through space and time, dodge first, then shoot with lead.

The enemy fire falls in rows; only the topmost shot of a volley is seen, so every
sighting is remembered and let fall on until it has passed the player (ShotMemory);
in later waves the fire also drifts with the demon that fired it.  Demons are tracked
and their course is extrapolated; one that dives is shot at the top of its bouncing
and fled from at the bottom.  Each step two value tables over (time, player x) are
computed backwards: `survive` (the danger still to come; `freed` without divers) and
`attack` (the same, plus the best shot that can still be fired).  The move is the best first step of these
tables, with the stickiness inside; the button is pressed when shooting beats waiting.

Environment: gco/DemonAttack-v5
Mean return: 70974.00 ± 8550.47 (10 episodes, report 0:10)
Measured: default protocol, frame skip 4, sticky 0.25, 27000 steps at most
Run: gco/demon_attack/model, iteration 1
"""

import math

import numpy as np

# Actions by (direction, fire).
ACTION = {
    (0, False): 0,
    (0, True): 1,
    (1, False): 2,
    (-1, False): 3,
    (1, True): 4,
    (-1, True): 5,
}

# Player and playfield.
LEFT_WALL, RIGHT_WALL = 23, 135  # of the player's left edge
PLAYER_W, PLAYER_TOP, PLAYER_BOTTOM = 7, 174, 186
STEP = 4  # pixels the player moves in a step
MUZZLE = 3  # the missile's x minus the player's x
REST_Y = 173  # the missile rests on the player below this line
CEILING = 17  # where a missile that missed ends
STICKY = (
    (0, 0.75),
    (1, 0.19),
    (2, 0.06),
)  # (frames that repeat the old action, chance)

# Planning.
HORIZON = 16
WAIT_COST = 0.05  # in kills, per step without a shot
DEADLY = 8.0  # in kills, per step on a shot or a diving demon
DIVER_BONUS = 1.5  # in kills, for a shot that stops a diving demon
NO_SHOT = -1e6
GRID = np.arange(LEFT_WALL, RIGHT_WALL + 1, dtype=float)
PLAYER_CENTRES = GRID + (PLAYER_W - 1) / 2
STEPS = np.arange(1, HORIZON + 1, dtype=float)

# Enemy fire.
ROW = 8  # pixels between two rows
PACE_RATE = 0.12  # how fast the pace of the fire is learnt
FOLLOW_RATE = 0.08  # how fast it is learnt whether it drifts with its demon
SHOT_REACH = 5.0  # centre of the player to a shot that may hit

# Motion of demons: the lowest one turns often, and stands still while it fires.
MEMORY = 3  # positions kept for the velocity
LOWEST_KEEPS, OTHERS_KEEP = 2.2, 5.0  # steps that a course lasts
LOWEST_STRAYS, OTHERS_STRAY = (
    2.0,
    1.6,
)  # deviation from the expected place, pixels a step of flight
FIRING_STRAYS, FIRING_LASTS = (
    1.3,
    2.0,
)  # the same of one that fires, after so many steps
DEMON_LEFT, DEMON_RIGHT = 24, 150  # of a demon's centre
FAR_X, FAR_Y = 16, 14  # a demon does not move further in a step
DIVE_Y = 134  # a demon below this line dives
BOUNCE_TOP, BOUNCE_BOTTOM, BOUNCE_SPEED = 156.0, 176.0, 3.5  # how a diver bounces
TOUCH_Y = 165.0  # a demon below this line touches the player


def chance_within(off, half, scale):
    """Chance that off plus a logistic error of that scale is within +-half."""
    return 1 / (1 + np.exp((off - half) / scale)) - 1 / (
        1 + np.exp((off + half) / scale)
    )


class Demon:
    """A tracked demon and its recent positions."""

    def __init__(self, obj):
        self.is_lowest = False
        self.path = []
        self.see(obj)

    def see(self, obj):
        """Take over the present position."""
        self.x, self.y, self.w, self.h = obj.x, obj.y, obj.w, obj.h
        self.path = (self.path + [(obj.x, obj.y)])[-MEMORY:]

    def velocity(self):
        """Mean pixels a step over the remembered path."""
        n = len(self.path) - 1
        if n < 1:
            return 0.0, 0.0
        (x0, y0), (x1, y1) = self.path[0], self.path[-1]
        return (x1 - x0) / n, (y1 - y0) / n

    def last_dx(self):
        """Pixels moved sideways in the last step."""
        return self.path[-1][0] - self.path[-2][0] if len(self.path) > 1 else 0

    def is_diving(self):
        """It has left the others and comes down to ram."""
        return self.y > DIVE_Y

    def is_firing(self):
        """It stands still and rises slowly."""
        pairs = list(zip(self.path, self.path[1:]))
        return len(pairs) >= 2 and all(
            b[0] == a[0] and b[1] == a[1] - 1 for a, b in pairs
        )

    def centre_after(self, steps):
        """Expected x of the centre after so many steps (number or array)."""
        keeps = LOWEST_KEEPS if self.is_lowest and not self.is_diving() else OTHERS_KEEP
        drift = self.velocity()[0] * keeps * (1 - np.exp(-steps / keeps))
        return np.clip(self.x + self.w / 2 + drift, DEMON_LEFT, DEMON_RIGHT)

    def strays(self, flight):
        """Deviation from the expected place after the flight of a shot."""
        if self.is_firing():
            return 1.0 + FIRING_STRAYS * max(0.0, flight - FIRING_LASTS)
        return 1.0 + flight * (LOWEST_STRAYS if self.is_lowest else OTHERS_STRAY)

    def height_after(self, steps):
        """Expected y after so many steps (array): a diver bounces above the ground."""
        if not self.is_diving():
            return np.full_like(steps, self.y)
        rising = self.last_dy() < 0
        way = BOUNCE_SPEED * steps + (
            BOUNCE_TOP - self.y
            if rising and self.y > BOUNCE_TOP
            else self.y - BOUNCE_TOP
        )
        span = BOUNCE_BOTTOM - BOUNCE_TOP
        bouncing = BOUNCE_BOTTOM - np.abs(np.abs(way) % (2 * span) - span)
        return np.where((way < 0) & (self.y < BOUNCE_TOP), BOUNCE_TOP + way, bouncing)

    def last_dy(self):
        """Pixels moved downwards in the last step."""
        return self.path[-1][1] - self.path[-2][1] if len(self.path) > 1 else 0


class ShotMemory:
    """All falling enemy shots.  Only the newest (topmost) one of a volley is ever seen and
    the older ones below it are hidden, so each sighting is let fall on by itself."""

    def __init__(self):
        self.shots = []  # [x, y now]
        self.steps_per_row = 2.0  # the fire falls row by row
        self.follow = (
            0.0  # 1 when the fire drifts with its demon, 0 when it falls straight
        )
        self.shooter = None
        self.top = None  # the last sighting: x, y
        self.in_row = 0  # steps the top has been in its row
        self.falling = False  # the top came into its row by falling

    def fall(self):
        """Pixels a step."""
        return ROW / self.steps_per_row

    def update(self, seen, demons):
        """Let the known shots fall on and add what is seen; nothing seen means nothing left."""
        if not seen:
            self.shots, self.top, self.falling = [], None, False
            return
        if self.top is None:
            self.shooter = min(
                demons, key=lambda d: abs(d.x + d.w / 2 - seen[0].x) - d.y, default=None
            )
        elif self.shooter not in demons:
            self.shooter = None
        drift = self.shooter.last_dx() if self.shooter else 0
        for shot in self.shots:
            shot[0] += self.follow * drift
            shot[1] += self.fall()
        for obj in seen:
            self.learn(obj, drift)
            self.remember(obj)
        self.shots = [s for s in self.shots if s[1] < PLAYER_BOTTOM + ROW]

    def remember(self, obj):
        """Add a sighting, or correct the shot that it must be."""
        for shot in self.shots:
            if abs(shot[0] - obj.x) <= 1.5 and abs(shot[1] - obj.y) <= 3:
                shot[0] = obj.x
                return
        self.shots.append([float(obj.x), float(obj.y)])

    def learn(self, obj, drift):
        """Learn from the topmost shot how long it stays in a row and whether it follows its demon."""
        self.in_row += 1
        if self.top is None or abs(obj.x - self.top[0]) > 5 or obj.y < self.top[1]:
            self.falling, self.in_row = False, 0
        else:
            if abs(drift) >= 2:
                ratio = min(1.0, max(0.0, (obj.x - self.top[0]) / drift))
                self.follow += FOLLOW_RATE * (ratio - self.follow)
            if obj.y > self.top[1]:
                if self.falling:
                    pace = self.in_row * ROW / (obj.y - self.top[1])
                    self.steps_per_row += PACE_RATE * (
                        min(3.0, pace) - self.steps_per_row
                    )
                self.falling, self.in_row = True, 0
        self.top = (obj.x, obj.y)

    def danger(self):
        """Chance of a shot on the player at each x (column) after 1, 2, ... steps (row)."""
        danger = np.zeros((HORIZON, len(GRID)))
        drift, scale = np.zeros(HORIZON), np.full(HORIZON, 0.8)
        if self.shooter:
            drift = self.follow * (
                self.shooter.centre_after(STEPS) - self.shooter.centre_after(0.0)
            )
            scale = scale + self.follow * 0.8 * np.minimum(STEPS, 6)
        for x, y in self.shots:
            first = max(
                0, math.floor((PLAYER_TOP - 2 * ROW - y) / (1.1 * self.fall())) - 1
            )
            last = min(HORIZON, math.ceil((PLAYER_BOTTOM - y) / (0.95 * self.fall())))
            if first >= last:
                continue
            off = PLAYER_CENTRES[None, :] - (x + drift[first:last])[:, None]
            rows = danger[first:last]
            np.maximum(
                rows, chance_within(off, SHOT_REACH, scale[first:last, None]), out=rows
            )
        return danger


class Policy:
    """One instance plays one episode."""

    def __init__(self):
        self.demons = []  # the lowest first
        self.enemy_fire = ShotMemory()
        self.missile_y = None
        self.missile_speed = 12.0
        self.last_direction = 0
        self.held = 0  # steps the button was held without a launch

    def track_demons(self, seen):
        """Match the demons seen with those known, by distance."""
        known, now = list(self.demons), []
        for obj in seen:
            near = [
                d
                for d in known
                if abs(d.x - obj.x) <= FAR_X and abs(d.y - obj.y) <= FAR_Y
            ]
            if near:
                demon = min(near, key=lambda d: abs(d.x - obj.x) + abs(d.y - obj.y))
                known.remove(demon)
                demon.see(obj)
            else:
                demon = Demon(obj)
            now.append(demon)
        self.demons = sorted(now, key=lambda d: -d.y)
        for rank, demon in enumerate(self.demons):
            demon.is_lowest = rank == 0

    def steps_to_ready(self, missile):
        """Steps until the missile can be fired again."""
        if missile is None or missile.y >= REST_Y:
            self.missile_y = None
            return 0
        if self.missile_y is not None and 8 <= self.missile_y - missile.y <= 30:
            self.missile_speed += 0.3 * (
                self.missile_y - missile.y - self.missile_speed
            )
        self.missile_y = missile.y
        flight = (missile.y - CEILING) / self.missile_speed
        for demon in self.demons:
            steps = (missile.y - demon.y - demon.h) / self.missile_speed
            if (
                steps >= -0.5
                and abs(demon.centre_after(steps) - missile.x) < demon.w / 2
            ):
                flight = min(flight, max(0.0, steps))
        return int(flight)

    def shot_values(self, ready):
        """Firing after 0, 1, ... steps (row) from each player x (column): value in kills, and
        chance that it ends the threat of the diving demons."""
        times = np.arange(0, HORIZON + 1, dtype=float)
        flight_missed = (REST_Y - CEILING) / self.missile_speed
        missed = np.ones((len(times), len(GRID)))
        stops = np.zeros_like(missed)
        value = np.full_like(missed, -WAIT_COST * flight_missed)
        muzzle = GRID + MUZZLE + 0.5
        for demon in self.demons:
            flight = max(0.5, (REST_Y - demon.y - demon.h) / self.missile_speed + 0.5)
            off = demon.centre_after(times + flight)[:, None] - muzzle[None, :]
            hit = chance_within(
                off, max(2.0, demon.w / 2 - 0.5), demon.strays(flight) / 1.7
            )
            hit *= (demon.height_after(times + flight) < TOUCH_Y)[:, None]
            value += (
                missed
                * hit
                * (
                    1
                    + WAIT_COST * (flight_missed - flight)
                    + DIVER_BONUS * demon.is_diving()
                )
            )
            if demon.is_diving():
                stops = np.maximum(stops, missed * hit)
            missed *= 1 - hit
        value[times < ready] = NO_SHOT
        return value, stops

    def diver_danger(self):
        """Chance of a diving demon on the player at each x (column) after 1, 2, ... steps (row)."""
        danger = np.zeros((HORIZON, len(GRID)))
        for demon in self.demons:
            if demon.is_diving():
                off = demon.centre_after(STEPS)[:, None] - PLAYER_CENTRES[None, :]
                touch = chance_within(
                    off, demon.w / 2 + PLAYER_W / 2 + 1, 0.6 + 0.5 * STEPS[:, None]
                )
                np.maximum(
                    danger,
                    touch * (demon.height_after(STEPS) >= TOUCH_Y)[:, None],
                    out=danger,
                )
        return danger

    def idle_values(self):
        """Value at the end of the plan: near to the place below the lowest demon."""
        place = (
            self.demons[0].centre_after(HORIZON) - PLAYER_W / 2 if self.demons else 79.0
        )
        return -WAIT_COST * np.abs(GRID - min(RIGHT_WALL, max(LEFT_WALL, place))) / STEP

    @staticmethod
    def best_reachable(values):
        """The best value within one step to the left or right of each x."""
        best = values.copy()
        np.maximum(best[STEP:], values[:-STEP], out=best[STEP:])
        np.maximum(best[:-STEP], values[STEP:], out=best[:-STEP])
        return best

    def look_ahead(self, fire, divers, shots, stops):
        """Backward induction: values of being at x after one step with a shot still to come, and
        with one fired at once (which may have stopped the divers)."""
        danger = DEADLY * np.maximum(fire, divers)
        survive, freed, attack = (
            np.zeros(len(GRID)),
            np.zeros(len(GRID)),
            self.idle_values(),
        )
        for t in range(HORIZON - 1, -1, -1):
            survive = self.best_reachable(survive) - danger[t]
            freed = self.best_reachable(freed) - DEADLY * fire[t]
            shoot = shots[t + 1] + survive + stops[t + 1] * (freed - survive)
            attack = np.maximum(
                self.best_reachable(attack) - danger[t] - WAIT_COST, shoot
            )
        return attack, survive + stops[0] * (freed - survive)

    def expected(self, values, x, direction):
        """Mean of values after a step in direction, with sticky frames."""
        total = 0.0
        for frames, chance in STICKY:
            to = x + frames * self.last_direction + (STEP - frames) * direction
            total += (
                chance * values[int(min(RIGHT_WALL, max(LEFT_WALL, to))) - LEFT_WALL]
            )
        return total

    def choose(self, x, shots_now, attack, fired):
        """The best (direction, fire) of all six."""
        best, choice = -1e9, (0, False)
        for direction in (0, -1, 1):
            muzzle_at = int(min(RIGHT_WALL, max(LEFT_WALL, x + direction))) - LEFT_WALL
            wait = self.expected(attack, x, direction) - WAIT_COST
            fire = self.expected(fired, x, direction) + shots_now[muzzle_at]
            for value, pressed in ((wait, False), (fire, True)):
                if value > best + 1e-9:
                    best, choice = value, (direction, pressed)
        return choice

    def press(self, fire, ready):
        """The button, let go for a step when holding it launches nothing."""
        self.held = self.held + 1 if fire and ready == 0 else 0
        if self.held > 2:
            self.held = 0
            return False
        return fire

    def act(self, obs):
        """Return the index of the action to play."""
        self.track_demons(obs["Enemy"])
        self.enemy_fire.update(obs["EnemyMissile"], self.demons)
        missile = obs["PlayerMissile"][0] if obs["PlayerMissile"] else None
        ready = self.steps_to_ready(missile)
        if not obs["Player"]:
            return 0
        x = obs["Player"][0].x
        shots, stops = self.shot_values(ready)
        attack, fired = self.look_ahead(
            self.enemy_fire.danger(), self.diver_danger(), shots, stops
        )
        direction, fire = self.choose(x, shots[0], attack, fired)
        self.last_direction = direction
        return ACTION[(direction, self.press(fire, ready))]
