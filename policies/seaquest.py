"""Seaquest: plan a path through places and time, shoot whatever is in line, and surface in time.

Every step the motion of all objects is predicted HORIZON steps ahead. On a grid of the places that
the submarine can reach (4 pixels apart, one step), each place and time gets a worth: touching an
enemy or a shot costs much, touching a diver or being in line with an enemy pays. Going backwards in
time over this worth (dynamic programming) gives the value of each of the nine moves. A move is made
with the trigger pulled if the shot will meet an enemy. The surface costs a life without divers, so it
is closed, until six divers are on board or the air runs low with a diver on board: then it pays.

Environment: gco/Seaquest-v5
Mean return: 387933.00 ± 43741.59 (30 episodes, report 0:30)
Measured: default protocol, frame skip 4, sticky 0.25, 27000 steps at most
Run: gco/seaquest/model, iteration 1
"""

import numpy as np

HORIZON, DISCOUNT, STEP = 22, 0.95, 4
LEFT_END, RIGHT_END, SURFACE, BOTTOM = 21, 134, 46, 141
PLAYER_W, PLAYER_H, GUN_ROW = 16, 11, 7
SHOT_SPEED = 20.0
LANE_TOP, LANE_HEIGHT = 65, 24  # a shark swings over y = 65..72 in the top lane
FULL_CREW = 6
AIR_RESERVE, AIR_PIXELS = (
    8,
    32,
)  # air units kept back; pixels that one unit of air lasts

DEATH_COST, MARGIN, RAMP, DRIFT = 60.0, 3.0, 4.0, 0.12
DIVER_GAIN, NEED_GAIN, IN_LINE_GAIN, HIT_GAIN = 2.0, 4.0, 0.3, 1.5
SURFACE_GAIN, SURFACE_COST = 15.0, 40.0
NEAREST_AIM, FARTHEST_AIM = 28.0, 110.0
HOME_X, HOME_Y, HOME_PULL = 78, 88, 0.006
DIVER_PULL, DIVER_REACH, RISE_PULL = 10.0, 150.0, 0.5

TIMES = np.arange(1, HORIZON + 1, dtype=np.float32)
# (dx, dy) -> (action, the same action with a shot)
ACTIONS = {
    (0, 0): (0, 1),
    (0, -1): (2, 10),
    (1, 0): (3, 11),
    (-1, 0): (4, 12),
    (0, 1): (5, 13),
    (1, -1): (6, 14),
    (-1, -1): (7, 15),
    (1, 1): (8, 16),
    (-1, 1): (9, 17),
}


def lane_of(thing):
    """The number of the lane that a thing is in, from the top."""
    return int(round((thing.cy - 74) / LANE_HEIGHT))


class Policy:
    """One instance plays one episode."""

    def __init__(self):
        self.speeds = {}  # (category, lane) -> pixels a step
        self.usual = {
            "Shark": 1.6,
            "Submarine": 1.7,
            "SurfaceSubmarine": 1.5,
            "EnemyMissile": 4.0,
            "Diver": 0.8,
        }

    # ---- prediction -------------------------------------------------------------------------

    def learn_speeds(self, obs, player):
        """Average how fast each lane moves; at the surface the sea stands still."""
        if player.y <= SURFACE + 1:
            return
        seen = {}
        for kind in self.usual:
            for thing in obs[kind]:
                key = (kind, lane_of(thing))
                if key not in seen or abs(thing.dx) > abs(seen[key]):
                    seen[key] = thing.dx if abs(thing.dx) <= 14 else 0
        for key, dx in seen.items():
            old = self.speeds.get(key)
            if old is None or old * dx < 0:
                if dx:
                    usual = self.usual[key[0]]
                    self.speeds[key] = 0.5 * dx + 0.5 * (usual if dx > 0 else -usual)
            else:
                self.speeds[key] = old + 0.2 * (dx - old)
                self.usual[key[0]] += 0.01 * (
                    abs(self.speeds[key]) - self.usual[key[0]]
                )
        self.speeds = {key: speed for key, speed in self.speeds.items() if key in seen}

    def speed(self, kind, thing):
        """Pixels a step; what has just come in moves away from its edge."""
        known = self.speeds.get((kind, lane_of(thing)))
        if known is not None:
            return known
        return self.usual[kind] if thing.cx < 80 else -self.usual[kind]

    def heights(self, kind, thing, times):
        """The top edge at the times: sharks swing up and down by seven pixels, the rest keeps level."""
        if kind != "Shark":
            return np.full(len(times), thing.y, dtype=np.float32)
        base = LANE_TOP + LANE_HEIGHT * lane_of(thing)
        deep = min(7, max(0, thing.y - base))
        rising = thing.dy < 0 or (thing.dy == 0 and deep >= 4)
        phase = 15 - deep if rising else deep
        phases = np.mod(phase + times, 16)
        return base + np.minimum(phases, 15 - phases).clip(0, 7)

    def forecast(self, obs, kinds):
        """Centres over time (time x thing) and sizes of all things of these kinds."""
        things = [(kind, thing) for kind in kinds for thing in obs[kind]]
        if not things:
            return None
        across = np.array([thing.cx for _, thing in things], dtype=np.float32)
        speeds = np.array(
            [self.speed(kind, thing) for kind, thing in things], dtype=np.float32
        )
        wide = np.array([thing.w for _, thing in things], dtype=np.float32)
        high = np.array([thing.h for _, thing in things], dtype=np.float32)
        tops = np.stack(
            [self.heights(kind, thing, TIMES) for kind, thing in things], axis=1
        )
        return across + TIMES[:, None] * speeds, tops + high / 2, wide, high

    # ---- what a place is worth at a time ----------------------------------------------------

    def lay_grid(self, player):
        """The places that the submarine can reach in steps, and its own place among them."""
        left = (player.x - LEFT_END + STEP - 1) // STEP
        right = (RIGHT_END - player.x + STEP - 1) // STEP
        above = (player.y - SURFACE + STEP - 1) // STEP
        below = (BOTTOM - player.y + STEP - 1) // STEP
        left, right, above, below = (
            max(0, int(n)) for n in (left, right, above, below)
        )
        self.xs = np.clip(
            player.x + STEP * np.arange(-left, right + 1), LEFT_END, RIGHT_END
        )
        self.ys = np.clip(
            player.y + STEP * np.arange(-above, below + 1), SURFACE, BOTTOM
        )
        self.xs, self.ys = self.xs.astype(np.float32), self.ys.astype(np.float32)
        return left, above

    def distances(self, forecast):
        """How far each column and each row of the grid is from each thing at each time."""
        across, down = forecast[0], forecast[1]
        return (
            np.abs(self.xs + PLAYER_W / 2 - across[:, :, None]),
            np.abs(self.ys + PLAYER_H / 2 - down[:, :, None]),
        )

    def danger(self, obs):
        """The cost of touching what kills, softened around it; surer now than later."""
        forecast = self.forecast(
            obs, ("Shark", "Submarine", "SurfaceSubmarine", "EnemyMissile")
        )
        if forecast is None:
            return []
        far_x, far_y = self.distances(forecast)
        reach_x = (forecast[2] + PLAYER_W) / 2 + MARGIN + DRIFT * TIMES[:, None]
        reach_y = (forecast[3] + PLAYER_H) / 2 + MARGIN
        near_x = np.clip((reach_x[:, :, None] - far_x) / RAMP, 0, 1) ** 2
        near_y = np.clip((reach_y[None, :, None] - far_y) / RAMP, 0, 1) ** 2
        return [(-DEATH_COST * near_y, near_x)]

    def rescue(self, obs, gain):
        """The gain of touching divers."""
        forecast = self.forecast(obs, ("Diver",))
        self.meeting = None if forecast is None else (forecast[0][-1], forecast[1][-1])
        if forecast is None or not gain:
            return []
        far_x, far_y = self.distances(forecast)
        near_x = np.clip(
            ((forecast[2] + PLAYER_W)[None, :, None] / 2 - far_x) / RAMP, 0, 1
        )
        near_y = np.clip(
            ((forecast[3] + PLAYER_H)[None, :, None] / 2 - far_y) / RAMP, 0, 1
        )
        return [(gain * near_y, near_x)]

    def aim(self, obs):
        """The gain of being level with an enemy, rather near than far but not too near."""
        forecast = self.forecast(obs, ("Shark", "Submarine"))
        if forecast is None:
            return []
        far_x = np.abs(self.xs + PLAYER_W / 2 - forecast[0][:, :, None])
        far_y = np.abs(self.ys + GUN_ROW + 0.5 - forecast[1][:, :, None])
        level = np.clip((forecast[3] / 2 + 1.5)[None, :, None] - far_y, 0, 3) / 3
        ahead = np.clip(1.2 - far_x / FARTHEST_AIM, 0, 1) * (far_x > NEAREST_AIM)
        return [(IN_LINE_GAIN * level, ahead)]

    def worth(self, obs, surfacing, diver_gain):
        """Worth of each time x row x column."""
        total = np.zeros((HORIZON, len(self.ys), len(self.xs)), dtype=np.float32)
        parts = self.danger(obs) + self.rescue(obs, diver_gain) + self.aim(obs)
        for by_row, by_column in parts:
            total += np.matmul(
                by_row.transpose(0, 2, 1).astype(np.float32),
                by_column.astype(np.float32),
            )
        total -= HOME_PULL * np.abs(self.xs - HOME_X)
        if surfacing:
            total[:, self.ys <= SURFACE + 1] += SURFACE_GAIN
        else:
            total[:, self.ys <= SURFACE + 2] -= SURFACE_COST
        return total

    def outlook(self, surfacing, diver_gain):
        """What a place is worth at the horizon: near to the surface, to a diver, or to the middle."""
        rows, columns = self.ys[:, None], self.xs[None, :]
        if surfacing:
            return -RISE_PULL * (rows - SURFACE) + 0 * columns
        value = -HOME_PULL * 4 * (np.abs(columns - HOME_X) + np.abs(rows - HOME_Y))
        if diver_gain and self.meeting is not None:
            best = 0
            for x, y in zip(*self.meeting):
                if -20 < x < 180:
                    gap = np.maximum(
                        np.abs(columns + PLAYER_W / 2 - x),
                        np.abs(rows + PLAYER_H / 2 - y),
                    )
                    best = np.maximum(best, 1 - gap / DIVER_REACH)
            value = value + DIVER_PULL * best
        return value

    # ---- planning ---------------------------------------------------------------------------

    def values_after_a_step(self, worth, outlook):
        """Dynamic programming backwards in time: the value of each place one step from now."""
        rows, columns = outlook.shape
        value = np.full((rows + 2, columns + 2), -1e6, dtype=np.float32)
        inner = value[1:-1, 1:-1]
        inner[:] = outlook
        for now in worth[::-1]:
            side = np.maximum(value[:, :-2], value[:, 2:])
            np.maximum(side, value[:, 1:-1], out=side)
            best = np.maximum(side[:-2], side[2:])
            np.maximum(best, side[1:-1], out=best)
            best *= DISCOUNT
            np.add(best, now, out=inner)
        return value

    def list_targets(self, obs):
        """Enemies that a shot can hit: (left edge, width, height, speed, tops over the next steps)."""
        times = np.arange(0, 9)
        return [
            (e.x, e.w, e.h, self.speed(kind, e), self.heights(kind, e, times).tolist())
            for kind in ("Shark", "Submarine")
            for e in obs[kind]
        ]

    def shot_gain(self, muzzle, row, side, targets):
        """The gain of a shot from there: more for a hit that comes sooner, 0 without one."""
        best = 0.0
        for x, w, h, speed, tops in targets:
            gap = (x - muzzle) if side > 0 else (muzzle - x - w)
            if gap < -w:
                continue
            time = max(0.0, gap) / max(8.0, SHOT_SPEED - side * speed)
            if time > 7.5 or not 0 <= x + speed * time <= 158:
                continue
            top = tops[int(time + 0.7)]
            if top <= row <= top + h - 1:
                best = max(best, 1.0 - 0.1 * time)
        return HIT_GAIN * best

    def choose(self, obs, player, value, column, row):
        """The move with the best value, with a shot if the shot will meet something."""
        targets = self.list_targets(obs)
        shot = obs["PlayerMissile"][0] if obs["PlayerMissile"] else None
        facing = -1 if player.orientation == "W" else 1
        best_score, best_action = -1e9, 0
        for (dx, dy), (plain, firing) in ACTIONS.items():
            score = float(value[row + 1 + dy, column + 1 + dx])
            side = dx or facing
            muzzle = player.x + STEP * dx + (PLAYER_W if side > 0 else 0)
            level = player.y + STEP * dy + GUN_ROW
            gain = self.shot_gain(muzzle, level, side, targets)
            if shot is None:
                score += gain
            else:  # a shot under way keeps level with the submarine
                way = (
                    (1 if shot.dx > 0 else -1)
                    if shot.dx
                    else (1 if shot.cx > player.cx else -1)
                )
                score += self.shot_gain(shot.cx, level, way, targets) + 0.2 * gain
            if (dx, dy) == (0, 0):
                score += 0.01
            if score > best_score:
                best_score, best_action = score, firing if gain > 0 else plain
        return best_action

    def must_surface(self, player, crew, air):
        """Six divers pay most; with less the surface is for air only."""
        if crew >= FULL_CREW:
            return True
        return crew >= 1 and air <= AIR_RESERVE + (player.y - SURFACE) / AIR_PIXELS

    def act(self, obs):
        """Return the index of the action to play."""
        if not obs["Player"]:
            return 0
        player = obs["Player"][0]
        self.learn_speeds(obs, player)
        gauge = obs["OxygenBar"]
        air = gauge[0].value if gauge and gauge[0].value is not None else 0
        crew = len(obs["CollectedDiver"])
        surfacing = self.must_surface(player, crew, air) and player.y > SURFACE
        diver_gain = (
            0.0
            if crew >= FULL_CREW
            else NEED_GAIN if crew == 0 and air < 24 else DIVER_GAIN
        )
        column, row = self.lay_grid(player)
        worth = self.worth(obs, surfacing, diver_gain)
        value = self.values_after_a_step(worth, self.outlook(surfacing, diver_gain))
        return self.choose(obs, player, value, column, row)
