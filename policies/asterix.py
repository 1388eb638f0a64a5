"""Asterix by stochastic planning over lanes, columns and time.

Every lane carries at most one object, which crosses at a steady speed. Each
step the policy predicts where all of them will be for HORIZON steps, marks the
cells (lane, column) that a lyre will cover and those where an item is met, and
solves the game backwards in time by dynamic programming: eight lanes, columns
8 pixels apart (one step of walking), and the vertical part of the action
before, which a sticky frame may repeat. A lane is changed at once but a column
is walked, so a move into a lane must be clear of lyres at its old column too.
An item counts 1, a life LIFE items; edges where a lyre may spring up cost a
little. How often the last lane change repeats is learned. The best first action
is played.

Environment: gco/Asterix-v5
Mean return: 143626.67 ± 10609.27 (30 episodes, report 0:30)
Measured: default protocol, frame skip 4, sticky 0.25, 27000 steps at most
Run: gco/asterix/model, iteration 2
"""

import numpy as np

TOP_Y, LANE_H, LANES = 26, 16, 8
COLS, STRIDE, MAX_X = 17, 8, 128
HORIZON = 15
FIRST_SLIP, SLIP_RATE = (
    0.2,
    0.04,
)  # chance that the last vertical repeats; how fast it is learned
SLIP_RANGE = (0.06, 0.35)
GAMMA = 0.97  # sooner is better
LIFE = 250.0  # what a life is worth, in items
PLAYER_W, OBJECT_W = 8, 7
ENEMY_MARGIN = 2.0  # pixels kept clear of a lyre
LOOK_BACK, LOOK_ON = 0.6, 0.5  # parts of a step a lyre sweeps around its time
ITEM_OVERLAP = 2.0  # pixels that surely collect
FIRST_SPEED = 4.0  # pixels a step, until seen
SCREEN_LEFT, SCREEN_RIGHT = 3, 144
SPAWN_COST_LEFT, SPAWN_COST_RIGHT = 1.0, 0.25
CENTRE_X, CENTRE_COST = 64.0, 0.003
MIDDLE_LANE, LANE_COST = 3.5, 0.03
HURT_W = 12  # the player is wider than this when hit
# action by (vertical + 1, horizontal + 1)
ACTION = ((6, 1, 5), (3, 0, 2), (8, 4, 7))
VERTICAL = {1: -1, 5: -1, 6: -1, 4: 1, 7: 1, 8: 1}


def build_moves():
    """Cells reached [9, cells] by (vertical, horizontal); the lane stays [9, cells];
    cells first touched [3, cells], as the lane changes before the column."""
    lane, col = np.divmod(np.arange(LANES * COLS), COLS)
    cells, same = [], []
    for dv in (-1, 0, 1):
        for dh in (-1, 0, 1):
            to = np.clip(lane + dv, 0, LANES - 1)
            cells.append(to * COLS + np.clip(col + dh, 0, COLS - 1))
            same.append(to == lane)
    return np.array(cells), np.array(same, dtype=np.float32), np.array(cells)[[1, 4, 7]]


MOVES, SAME_LANE, ENTRIES = build_moves()
TIMES = np.arange(HORIZON + 1, dtype=np.float32)


class Policy:
    """One instance plays one episode."""

    def __init__(self):
        self.tracks = {}  # lane -> (x, speed) as last seen
        self.speed = FIRST_SPEED  # usual speed of the objects
        self.last_vertical = self.vertical_before = 0
        self.last_lane = None  # where the player stood, None after a hit
        self.slip = FIRST_SLIP

    @staticmethod
    def lane_of(o):
        """The lane (0 on top) of an object or of the player."""
        return min(LANES - 1, max(0, int(round((o.y - TOP_Y) / LANE_H))))

    def velocity(self, o, lane):
        """Pixels a step of an object, from what was seen of its lane."""
        old = self.tracks.get(lane)
        known = old is not None and abs(o.x - old[0]) <= abs(old[1]) + 5
        if o.dx == 0 or abs(o.dx) > 24:
            return old[1] if known else (self.speed if o.x < 75 else -self.speed)
        self.speed += 0.05 * (abs(o.dx) - self.speed)
        if known and old[1] * o.dx > 0 and abs(old[1] - o.dx) <= 2.5:
            return old[1] + 0.4 * (o.dx - old[1])
        return float(o.dx)

    def track_objects(self, obs):
        """Rows (is enemy, lane, x, velocity) of all objects; remembers the lanes."""
        rows, tracks = [], {}
        for name in ("Consumable", "Enemy"):
            for o in obs[name]:
                lane = self.lane_of(o)
                v = self.velocity(o, lane)
                tracks[lane] = (o.x, v)
                rows.append((name == "Enemy", lane, o.x, v))
        self.tracks = tracks
        return rows

    @staticmethod
    def grid_columns(me):
        """The x of every column; the player stands exactly on one of them."""
        return np.minimum(me.x % STRIDE + STRIDE * np.arange(COLS), MAX_X).astype(
            np.float32
        )

    def predict(self, rows, xs):
        """Over time, lanes and columns: deadly at the end of a step, deadly to enter
        at its start, item met; and lane taken [time, lane]."""
        shape = (HORIZON + 1, LANES, COLS)
        deadly = np.zeros(shape, dtype=bool)
        entry = np.zeros(shape, dtype=bool)
        items = np.zeros(shape, dtype=np.float32)
        taken = np.zeros((HORIZON + 1, LANES), dtype=bool)
        if not rows:
            return deadly, entry, items, taken
        x = np.array([r[2] for r in rows], dtype=np.float32)[:, None]
        v = np.array([r[3] for r in rows], dtype=np.float32)[:, None]
        at = x + v * TIMES
        inside = (at >= SCREEN_LEFT) & (at <= SCREEN_RIGHT)
        back, on = at - LOOK_BACK * v, at + LOOK_ON * v
        hit = np.array([r[0] for r in rows])[:, None]
        low = (
            np.where(hit, np.minimum(back, on) - ENEMY_MARGIN, at + ITEM_OVERLAP)
            - PLAYER_W
        )
        high = (
            np.where(hit, np.maximum(back, on) + ENEMY_MARGIN, at - ITEM_OVERLAP)
            + OBJECT_W
        )
        near = (xs > low[:, :, None]) & (xs < high[:, :, None])
        near_inside = near & inside[:, :, None]
        early = np.minimum(at, on) - ENEMY_MARGIN - PLAYER_W
        late = np.maximum(at, on) + ENEMY_MARGIN + OBJECT_W
        near_start = (xs > early[:, :, None]) & (xs < late[:, :, None])
        for i, (enemy, lane, _, _) in enumerate(rows):
            if enemy:
                deadly[:, lane] |= near[i]
                entry[:, lane] |= near_start[i]
            else:
                items[:, lane] = np.maximum(items[:, lane], near_inside[i])
            taken[:, lane] |= inside[i]
        return deadly, entry, items, taken

    def spawn_cost(self, xs):
        """What it costs to stand in each column of an empty lane, where a lyre may appear."""
        reach = 12.0 + 2.0 * self.speed
        left = np.clip((reach - xs) / 8.0, 0.0, 1.0) * SPAWN_COST_LEFT
        right = (
            np.clip((xs - (MAX_X + 12.0 - reach)) / 8.0, 0.0, 1.0) * SPAWN_COST_RIGHT
        )
        return left + right

    @staticmethod
    def move_gains(items, costs, entry):
        """Gain of every move in every cell at every time: an item pays when it is first
        met, an empty lane's edge costs, and so does a lyre where a lane is entered."""
        flat = items.reshape(HORIZON + 1, -1)
        met = flat[1:][:, MOVES]
        net = met * (1.0 - flat[:-1, None, :] * SAME_LANE)
        net -= costs.reshape(HORIZON + 1, -1)[1:][:, MOVES]
        killed = entry.reshape(HORIZON + 1, -1)[:-1][:, ENTRIES] * np.float32(LIFE)
        by_vertical = net.reshape(HORIZON, 3, 3, -1)
        by_vertical -= killed[:, :, None]
        return by_vertical.reshape(HORIZON, 9, -1)

    @staticmethod
    def final_value(xs):
        """Value of the cells at the horizon: the middle has the most choices."""
        lanes = np.abs(np.arange(LANES) - MIDDLE_LANE)[:, None] * LANE_COST
        cell = -(lanes + np.abs(xs - CENTRE_X)[None, :] * CENTRE_COST)
        return np.tile(cell.reshape(1, -1), (3, 1)).astype(np.float32)

    def action_values(self, future, dead, gains):
        """Values [last vertical, vertical, horizontal, cell], sticky frames included."""
        future = future * GAMMA
        future[:, dead] = -LIFE
        outcome = future.take(MOVES, axis=1)
        outcome += gains
        np.maximum(outcome, np.float32(-LIFE), out=outcome)
        outcome = outcome.reshape(3, 3, 3, -1)  # chosen, happened, horizontal, cell
        meant = np.stack((outcome[0, 0], outcome[1, 1], outcome[2, 2]))
        values = outcome.transpose(1, 0, 2, 3) * np.float32(self.slip)
        values += meant * np.float32(1.0 - self.slip)
        return values

    def plan(self, me, rows):
        """Solve backwards in time; the values [vertical, horizontal] of the first action."""
        xs = self.grid_columns(me)
        deadly, entry, items, taken = self.predict(rows, xs)
        costs = ((~taken)[:, :, None] * self.spawn_cost(xs)).astype(np.float32)
        gains = self.move_gains(items, costs, entry)
        dead = deadly.reshape(HORIZON + 1, -1)
        value = self.final_value(xs)
        for t in range(HORIZON - 1, 0, -1):
            q = self.action_values(value, dead[t + 1], gains[t])
            value = q.reshape(3, 9, -1).max(axis=1)
        first = self.action_values(value, dead[1], gains[0])
        column = min(COLS - 1, max(0, int(me.x) // STRIDE))
        return first[self.last_vertical + 1, :, :, self.lane_of(me) * COLS + column]

    @staticmethod
    def choose(values):
        """The best action; standing still wins a tie."""
        values = values.copy()
        values[1, 1] += 0.001
        return ACTION[int(values.argmax()) // 3][int(values.argmax()) % 3]

    def learn_slip(self, lane):
        """Note whether the last step made its own lane change or repeated the one before."""
        if self.last_lane is None:
            return
        meant, repeated = (
            min(LANES - 1, max(0, self.last_lane + v))
            for v in (self.last_vertical, self.vertical_before)
        )
        if meant != repeated and lane in (meant, repeated):
            self.slip += SLIP_RATE * ((lane == repeated) - self.slip)
            self.slip = min(SLIP_RANGE[1], max(SLIP_RANGE[0], self.slip))

    def act(self, obs):
        """Return the index of the action to play."""
        rows = self.track_objects(obs)
        action, lane = 0, None
        if obs["Player"] and obs["Player"][0].w <= HURT_W:
            lane = self.lane_of(obs["Player"][0])
            self.learn_slip(lane)
            action = self.choose(self.plan(obs["Player"][0], rows))
        self.vertical_before, self.last_vertical = self.last_vertical, VERTICAL.get(
            action, 0
        )
        self.last_lane = lane
        return action
