"""Asterix by planning through lanes, columns and time, frame by frame.

Every lane carries one object: even lanes run to the right, odd ones to the left.
The hero walks 8 pixels a step; later, as the slim Obelix, 16. Objects that stand
still are left-overs of a lost life: they neither hurt nor pay.
Each step the policy predicts all objects for HORIZON steps and, for each of the
nine moves from each cell (lane, column), what the move sweeps over: the old lane
until the frame of the step in which lanes are changed, the new lane from then on.
Dynamic programming backwards in time gives the value of every cell; an item counts
1, a life LIFE items, and the side where a lyre may spring up costs. The first step
is then played through frame by frame for each action, with the sticky frames and
what was learned about the frame in which lanes change; the best action is played.

Environment: gco/Asterix-v5
Mean return: 562100.00 ± 30521.91 (30 episodes, report 0:30)
Measured: default protocol, frame skip 4, sticky 0.25, 27000 steps at most
Run: gco/asterix/model, iteration 7
"""

import numpy as np

TOP_Y, LANE_H, LANES = 26, 16, 8
COLS, STRIDE, MAX_X = 17, 8, 128
HORIZON = 15
FRAMES = 4  # frames in a step
STALE = ((0, 0.75), (1, 0.1875), (2, 0.0625))  # frames that repeat, their chance
PHASE_PRIOR = (0.4, 0.2, 0.2, 0.2)  # in which frame of a step lanes change
PHASE_DOUBT, PHASE_FORGET, PHASE_MIN = 0.03, 0.02, 0.15
GAMMA = 0.97  # sooner is better
LIFE = 80.0  # what a life is worth, in items
OBJECT_W, SLIM_W, HURT_W = 7, 6, 12  # object; the fast Obelix; wider when hit
WALK, FAST_WALK = 8, 16  # pixels a step
MARGIN = 2.0  # pixels kept clear of a lyre
SOFT_MARGIN, SOFT_RISK = 3.0, 0.15  # further pixels that are a risk only
ITEM_OVERLAP = 2.0  # pixels that surely collect
FIRST_SPEED = 4.0  # of objects, pixels a step, until seen
SCREEN_LEFT, SCREEN_RIGHT = 2, 146
LEFT_SPAWN_END, RIGHT_SPAWN_START = 15, 140  # edges of an object that appears
SPAWN_DEADLY, SPAWN_NEAR, REWARD_QUIET = 6.0, 1.0, 0.2
CENTRE_X, CENTRE_COST = 64.0, 0.003
MIDDLE_LANE, LANE_COST = 3.5, 0.03
# action by (vertical + 1, horizontal + 1), and back
ACTION = ((6, 1, 5), (3, 0, 2), (8, 4, 7))
MOVE_OF = {ACTION[i][j]: (i - 1, j - 1) for i in range(3) for j in range(3)}


def build_moves(columns):
    """Cells reached [9, cells] by (vertical, horizontal), walking so many columns."""
    lane, col = np.divmod(np.arange(LANES * COLS), COLS)
    return np.array(
        [
            np.clip(lane + dv, 0, LANES - 1) * COLS
            + np.clip(col + dh * columns, 0, COLS - 1)
            for dv in (-1, 0, 1)
            for dh in (-1, 0, 1)
        ]
    )


MOVES = {walk: build_moves(walk // STRIDE) for walk in (WALK, FAST_WALK)}
TIMES = np.arange(HORIZON + 1, dtype=np.float32)


class Policy:
    """One instance plays one episode."""

    def __init__(self):
        self.tracks = {}  # lane -> (x, velocity) as last seen
        self.speed = FIRST_SPEED  # usual speed of the objects
        self.move = self.move_before = (0, 0)  # (vertical, horizontal) last played
        self.last_place = None  # (lane, x) of the player, None after a hit
        self.phase = list(PHASE_PRIOR)  # belief: lanes change in frame 1, 2, 3, 4

    # --- what is on the screen

    @staticmethod
    def lane_of(o):
        """The lane (0 on top) of an object or of the player."""
        return min(LANES - 1, max(0, int(round((o.y - TOP_Y) / LANE_H))))

    def velocity(self, o, lane):
        """Pixels a step of an object; 0 if it stands still, a left-over."""
        old = self.tracks.get(lane)
        usual = self.speed if lane % 2 == 0 else -self.speed
        if o.dx == 0:
            return 0.0 if old is not None and old[0] == o.x else usual
        if abs(o.dx) > 20:
            return usual
        self.speed += 0.1 * (abs(o.dx) - self.speed)
        if old is not None and old[1] * o.dx > 0:
            return old[1] + 0.6 * (o.dx - old[1])
        return float(o.dx) if abs(abs(o.dx) - self.speed) > 2 else usual

    def track_objects(self, obs):
        """Rows (is enemy, lane, x, velocity) of the moving objects; remembers the lanes."""
        rows, tracks = [], {}
        for name in ("Consumable", "Enemy"):
            for o in obs[name]:
                lane = self.lane_of(o)
                v = self.velocity(o, lane)
                tracks[lane] = (o.x, v)
                if v:
                    rows.append((name == "Enemy", lane, float(o.x), v))
        self.tracks = tracks
        return rows

    # --- in which frame of a step lanes change

    def stale_frames(self, x, walk):
        """How many frames of the last step repeated the action before; None if unseen."""
        new, old, edge = self.move[1], self.move_before[1], walk
        if new == old or not edge <= x <= MAX_X - edge:
            return None
        frames = (FRAMES * new - (x - self.last_place[1]) * FRAMES / walk) / (new - old)
        return int(frames) if frames in (0, 1, 2, 3, 4) else None

    def learn_phase(self, lane, x, walk):
        """Bayes: a lane change repeated the action before if its frame was stale."""
        if self.last_place is not None:
            meant, repeated = (
                min(LANES - 1, max(0, self.last_place[0] + m[0]))
                for m in (self.move, self.move_before)
            )
            if meant != repeated and lane in (meant, repeated):
                stale = self.stale_frames(x, walk)
                for i in range(FRAMES):
                    chance = 0.25 ** (i + 1)
                    if stale is not None:
                        chance = 1 - PHASE_DOUBT if stale > i else PHASE_DOUBT
                    self.phase[i] *= chance if lane == repeated else 1 - chance
        total = sum(self.phase)
        self.phase = [
            (1 - PHASE_FORGET) * p / total + PHASE_FORGET * prior
            for p, prior in zip(self.phase, PHASE_PRIOR)
        ]
        return [round(p, 2) for p in self.phase]

    def likely_phases(self):
        """(frame, chance) of the frames in which lanes may change."""
        likely = [(i + 1, p) for i, p in enumerate(self.phase) if p >= PHASE_MIN]
        total = sum(p for _, p in likely)
        return [(frame, p / total) for frame, p in likely]

    def slip(self):
        """Chance that a lane change is that of the action before."""
        return sum(p * 0.25 ** (i + 1) for i, p in enumerate(self.phase))

    # --- the map of risks and gains

    @staticmethod
    def grid_columns(me):
        """The x of every column; the player stands exactly on one of them."""
        xs = me.x % STRIDE + STRIDE * np.arange(COLS)
        return np.minimum(xs, MAX_X).astype(np.float32)

    @staticmethod
    def swept(start, end, part, width, margin):
        """Is an object touched while its distance goes from start to end, in a part of the step?"""
        one = start + part[0] * (end - start)
        two = start + part[1] * (end - start)
        low, high = np.minimum(one, two), np.maximum(one, two)
        return (low < OBJECT_W + margin) & (high > -width - margin)

    def sweeps(self, rows, xs, walk, width):
        """Risk and items [part, lane, time, horizontal, column] of staying in a lane,
        of the time in it before leaving, and of the time in it after entering."""
        shape = (3, LANES, HORIZON, 3, COLS)
        risk = np.zeros(shape, dtype=np.float32)
        item = np.zeros(shape, dtype=np.float32)
        if not rows:
            return risk, item
        frames = [frame for frame, _ in self.likely_phases()]
        leave, enter = (max(frames) - 0.5) / FRAMES, (min(frames) - 0.5) / FRAMES
        at = np.array([r[2] for r in rows], dtype=np.float32)[:, None]
        at = at + np.array([r[3] for r in rows], dtype=np.float32)[:, None] * TIMES
        inside = ((at > SCREEN_LEFT) & (at < SCREEN_RIGHT))[:, :-1, None, None]
        col = np.arange(COLS)
        to = np.array(
            [np.clip(col + d * walk // STRIDE, 0, COLS - 1) for d in (-1, 0, 1)]
        )
        start = (xs - at[:, :-1, None])[:, :, None, :]
        end = xs[to] - at[:, 1:, None, None]
        lanes = np.array([r[1] for r in rows])
        enemy = np.array([r[0] for r in rows])
        for i, part in enumerate(((0.0, 1.0), (0.0, leave), (enter, 1.0))):
            s, e = start[enemy], end[enemy]
            hit = self.swept(s, e, part, width, MARGIN).astype(np.float32)
            near = self.swept(s, e, part, width, MARGIN + SOFT_MARGIN)
            risk[i, lanes[enemy]] = np.maximum(hit, SOFT_RISK * near) * inside[enemy]
            s, e = start[~enemy], end[~enemy]
            met = self.swept(s, e, part, width, -ITEM_OVERLAP) & inside[~enemy]
            if i == 0:
                met &= ~self.swept(s, s, part, width, -ITEM_OVERLAP)
            item[i, lanes[~enemy]] = met
        return risk, item

    @staticmethod
    def by_move(sweeps, join):
        """[time, vertical, horizontal, lane, column] from staying, leaving and entering."""
        stay, leave, enter = sweeps
        up, down = stay.copy(), stay.copy()
        up[1:] = join(leave[1:], enter[:-1])
        down[:-1] = join(leave[:-1], enter[1:])
        return np.stack((up, stay, down)).transpose(2, 0, 3, 1, 4)

    def spawn_costs(self, rows, xs, width, quiet):
        """[time, cell]: the danger of a lyre that springs up in a lane without an object."""
        empty = np.ones((HORIZON + 1, LANES), dtype=np.float32)
        for _, lane, x, v in rows:
            at = x + v * TIMES
            empty[:, lane] = (at <= SCREEN_LEFT) | (at >= SCREEN_RIGHT)
        for lane in quiet:
            empty[:, lane] *= REWARD_QUIET
        gaps = np.stack((xs - LEFT_SPAWN_END, RIGHT_SPAWN_START - width - xs))
        cost = SPAWN_DEADLY * np.clip((self.speed + 2 - gaps) / 8, 0, 1)
        cost += SPAWN_NEAR * np.clip((2.5 * self.speed + 4 - gaps) / 8, 0, 1)
        side = np.arange(LANES) % 2
        return (empty[:, :, None] * cost[side]).reshape(HORIZON + 1, -1)

    @staticmethod
    def final_value(xs):
        """Value of the cells at the horizon: the middle has the most choices."""
        lanes = np.abs(np.arange(LANES) - MIDDLE_LANE)[:, None] * LANE_COST
        cell = -(lanes + np.abs(xs - CENTRE_X)[None, :] * CENTRE_COST)
        return np.tile(cell.reshape(1, -1), (3, 1)).astype(np.float32)

    # --- the plan

    def solve(self, rows, xs, walk, width, costs):
        """Backwards in time: the values [last vertical, cell] after the first step."""
        risk, item = self.sweeps(rows, xs, walk, width)
        moves = MOVES[walk]
        alive = 1 - self.by_move(risk, np.maximum).reshape(HORIZON, 9, -1)
        gain = self.by_move(item, lambda leave, enter: enter).reshape(HORIZON, 9, -1)
        add = alive * (gain - costs[1:][:, moves]) - (1 - alive) * LIFE
        add = add.astype(np.float32)
        alive *= GAMMA
        slip = np.float32(self.slip())
        value = self.final_value(xs)
        for t in range(HORIZON - 1, 0, -1):
            outcome = value.take(moves, axis=1)
            outcome *= alive[t]
            outcome += add[t]
            outcome = outcome.reshape(3, 3, 3, -1)  # chosen, happened, horizontal, cell
            meant = np.stack((outcome[0, 0], outcome[1, 1], outcome[2, 2]))
            mixed = outcome.transpose(1, 0, 2, 3) * slip
            mixed += meant * (1 - slip)
            value = mixed.reshape(3, 9, -1).max(axis=1)
        return value.reshape(3, LANES, COLS)

    def play_frames(self, place, move, stale, phase, walk, width, lanes):
        """One step in frames: (lane, x, items met), or None if a lyre is touched."""
        lane, x = place
        met = set()
        for frame in range(1, FRAMES + 1):
            vertical, horizontal = self.move if frame <= stale else move
            if horizontal:
                x = min(MAX_X, max(0, x + horizontal * walk / FRAMES))
            if frame == phase and vertical:
                lane = min(LANES - 1, max(0, lane + vertical))
            if lane not in lanes:
                continue
            enemy, at, v = lanes[lane]
            distance = x - at - v * frame / FRAMES
            margin = MARGIN if enemy else -ITEM_OVERLAP
            if -width - margin < distance < OBJECT_W + margin:
                if enemy:
                    return None
                met.add(lane)
        return lane, x, len(met)

    def action_value(self, move, place, walk, width, lanes, value, costs):
        """Mean over sticky frames and phases of what an action brings."""
        total, base = 0.0, place[1] % STRIDE
        for phase, chance in self.likely_phases():
            for stale, likely in STALE if move != self.move else ((0, 1.0),):
                end = self.play_frames(place, move, stale, phase, walk, width, lanes)
                if end is None:
                    total -= chance * likely * LIFE
                    continue
                lane, x, met = end
                col, part = divmod((x - base) / STRIDE, 1)
                col = min(COLS - 1, max(0, int(col)))
                row = value[move[0] + 1][lane]
                later = row[col] * (1 - part) + row[min(COLS - 1, col + 1)] * part
                later = GAMMA * later + met - costs[lane * COLS + col]
                total += chance * likely * later
        return total

    def choose(self, me, rows, quiet):
        """The best move (vertical, horizontal); standing still wins a tie."""
        width = min(me.w, WALK)
        walk = FAST_WALK if me.w <= SLIM_W else WALK
        xs = self.grid_columns(me)
        costs = self.spawn_costs(rows, xs, width, quiet)
        value = self.solve(rows, xs, walk, width, costs)
        place = (self.lane_of(me), me.x)
        lanes = {lane: (enemy, x, v) for enemy, lane, x, v in rows}
        value, cost = value.tolist(), costs[1].tolist()
        return max(
            MOVE_OF.values(),
            key=lambda move: self.action_value(
                move, place, walk, width, lanes, value, cost
            )
            + 0.001 * (move == (0, 0)),
        )

    def act(self, obs):
        """Return the index of the action to play."""
        rows = self.track_objects(obs)
        move, place = (0, 0), None
        if obs["Player"] and obs["Player"][0].w <= HURT_W:
            me = obs["Player"][0]
            place = (self.lane_of(me), me.x)
            self.learn_phase(*place, FAST_WALK if me.w <= SLIM_W else WALK)
            move = self.choose(me, rows, {self.lane_of(o) for o in obs["Reward"]})
        self.move_before, self.move = self.move, move
        self.last_place = place
        return ACTION[move[0] + 1][move[1] + 1]
