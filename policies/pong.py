"""Pong: place the ball where the opponent cannot follow, and plan the paddle's way under sticky actions.

1. Ball: follow its velocity frame by frame, walls included, and know when and where it meets my column.
2. Worth: for each place of my paddle, the ball leaves at another angle. Play each angle out against the
   opponent, who only follows the ball at a limited speed, and go on with its return and my next shots: a shot
   it cannot reach is worth most, then one whose return I can make a point of, a miss least.
   How a place on the paddle bends the ball is learned from the contacts seen in the episode.
3. Paddle: it trails a hidden aim that moves AIM_SPEED a frame. Dynamic programming over the aim's place, the
   action that may repeat and the steps left finds the action that ends where the worth is highest.
FIRE is never pressed: it makes the ball cross faster, and a slow ball leaves the opponent more time to fall behind.

Environment: gco/Pong-v5
Mean return: 20.50 ± 0.11 (30 episodes, report 0:30)
Measured: default protocol, frame skip 4, sticky 0.25, 27000 steps at most
Run: gco/pong/model, iteration 3
"""

import numpy as np

ACTIONS = (0, 2, 3)  # rest, up, down
DIRECTIONS = (0, -1, 1)  # of these actions, in this order
FRAMES = 4  # frames a step
STICKY = (
    0.75,
    0.1875,
    0.046875,
    0.01171875,
    0.00390625,
)  # chance of 0..4 stuck frames in a step

AIM_SPEED = 5.6  # pixels a frame by which a held action moves the hidden aim
FOLLOW = 0.35  # part of the distance to the aim the paddle makes up in a frame
AIM_TOP, AIM_BOTTOM = 8, 191  # range of the aim
TOP, BOTTOM = 24, 190  # range of a paddle's top edge, the hidden part included
COURT_TOP = 34
PADDLE_H, BALL_H = 15, 4
GUESSES, STUCK_ERROR = (
    12,
    1.4,
)  # hypotheses of the hidden aim that are kept, and the price of a stuck frame
SETTLE_FRAMES = 5  # the paddle needs them to come up with its aim

WALL_TOP, WALL_BOTTOM = (
    31,
    192,
)  # the ball turns round in the frame after its top edge got there
MY_COLUMN, ENEMY_COLUMN = 139, 19  # where the ball's left edge turns round
LAST_CHANCE = 142  # further right the ball is lost
ENEMY_SPEED = 7.0  # pixels a step
ENEMY_REST = 1  # it keeps its top edge this much above the ball's
HOME = 106  # my paddle waits here
HOME_SLACK = 14

BENDS = np.array(
    (-8.0, -4.0, 0.0, 4.0, 8.0)
)  # vertical speeds, pixels a step, that a paddle gives the ball
FLUSH, ZONE = (
    5.5,
    2.6,
)  # first guess: at this offset the ball leaves level, and a zone is so wide
GUESS_WEIGHT = 0.3  # of the first guess against a contact seen
ALIKE = 0.9  # pixels of offset within which contacts count as alike
CLEAR_OF_WALLS = 60  # contacts are learned where no wall has turned the ball
MARGIN_SCALE = 1.0  # pixels by which the foreseen gap may be wrong
SHOTS_AHEAD = 3  # of mine that are played out
RALLY_WORTH = 0.3  # of a rally beyond them (a point is 1, a miss -1)
PATIENCE = 0.6  # worth of a point one exchange later
LONG_RALLY, RESTLESS = 8, 0.3  # after so many returns vary the shots, to leave a circle
BLUR = (
    0.05,
    0.1,
    0.2,
    0.3,
    0.2,
    0.1,
    0.05,
)  # how far from its target the paddle ends, -3 to 3
BE_THERE_EARLY = 0.03  # weight of standing well before the ball comes
MOVE_COST = 0.002
MAX_STEPS = 32
OFFSETS = np.arange(
    -BALL_H + 1, PADDLE_H
)  # of the ball's top edge to the paddle's, where they meet


class Paddle:
    """Hypotheses of my paddle's hidden aim: (error, aim, aim a frame ago, paddle, direction carried out)."""

    def __init__(self, top):
        self.top = top
        self.guesses = [(0.0, top, top, top, 0)]

    def update(self, seen_top, direction):
        """Grow each guess by 0..4 stuck frames and keep those that explain best where the paddle is now."""
        grown = {}
        for error, start_aim, start_late, start_top, old in self.guesses:
            for stuck in range(1 if old == direction else FRAMES + 1):
                aim, late, top = start_aim, start_late, start_top
                for frame in range(FRAMES):
                    moved = aim + AIM_SPEED * (old if frame < stuck else direction)
                    late, aim = aim, min(AIM_BOTTOM, max(AIM_TOP, moved))
                    top += FOLLOW * (late - top)
                miss = min(BOTTOM, max(TOP, top)) - seen_top
                if TOP < seen_top < BOTTOM:
                    aim, late, top = aim - 0.15 * miss, late - 0.15 * miss, seen_top
                held = old if stuck == FRAMES else direction
                guess = (
                    error + miss * miss / 3 + STUCK_ERROR * stuck,
                    aim,
                    late,
                    top,
                    held,
                )
                grown[round(aim), held] = min(
                    guess, grown.get((round(aim), held), guess)
                )
        best = sorted(grown.values())[:GUESSES]
        self.top = seen_top
        if best[0][3] != seen_top and abs(best[0][3] - seen_top) > 40:
            best = [(0.0, seen_top, seen_top, seen_top, direction)]
        self.guesses = [(guess[0] - best[0][0], *guess[1:]) for guess in best]
        return round(self.guesses[0][1], 1)


class Planner:
    """Dynamic programming over the paddle's aim under sticky actions."""

    def __init__(self):
        self.aims = np.arange(AIM_TOP, AIM_BOTTOM + 1)
        size = len(self.aims)
        self.next_state = np.zeros(
            (3, 3, FRAMES + 1, size), dtype=np.int64
        )  # old, new, stuck, aim
        for old, old_direction in enumerate(DIRECTIONS):
            for new, direction in enumerate(DIRECTIONS):
                for stuck in range(FRAMES + 1):
                    shift = AIM_SPEED * (
                        stuck * old_direction + (FRAMES - stuck) * direction
                    )
                    place = (
                        np.clip(np.rint(self.aims + shift), AIM_TOP, AIM_BOTTOM).astype(
                            int
                        )
                        - AIM_TOP
                    )
                    self.next_state[old, new, stuck] = place + size * (
                        old if stuck == FRAMES else new
                    )
        self.chance = np.array(STICKY)
        self.cost = MOVE_COST * np.abs(np.array(DIRECTIONS))[None, :, None]
        self.tables = []

    def solve(self, worth):
        """tables[n][old, new, aim] is the value of the new action with n + 1 steps left."""
        value, self.tables = np.tile(worth, 3), []
        for _ in range(MAX_STEPS):
            gain = (
                np.einsum("s,ijsk->ijk", self.chance, value[self.next_state])
                - self.cost
            )
            self.tables.append(gain)
            value = (gain.max(axis=1) + BE_THERE_EARLY * worth).ravel()

    def best(self, paddle, steps):
        """Index of the best action, on average over the guesses of the aim, with so many steps left."""
        table, total = self.tables[min(MAX_STEPS, max(1, steps)) - 1], 0
        for error, aim, _, _, held in paddle.guesses:
            place = min(AIM_BOTTOM, max(AIM_TOP, int(round(aim)))) - AIM_TOP
            total = total + np.exp(-error) * table[DIRECTIONS.index(held), :, place]
        return int(np.argmax(total))


class Policy:
    """One instance plays one episode."""

    def __init__(self):
        self.planner = Planner()
        self.paddle = None
        self.ball = None  # x, y, vx, vy
        self.before = None  # ball and both paddles a step ago
        self.pending = None  # a contact whose outcome is not measured yet
        self.contacts = []  # side, offset, vx before, vx after, vy after
        self.foreseen_gap = (
            None  # by how much my last shot should have passed the opponent
        )
        self.outcomes = []  # (foreseen gap, whether my shot won) of shots
        self.returns = 0  # in this rally
        self.solved_for = None
        self.enemy_top = HOME
        self.direction = 0

    def fly(self, y, vy, frames):
        """(y, vy) of the ball after so many frames, walls included; vy is in pixels a step."""
        v = vy / FRAMES
        for _ in range(int(frames)):
            if y <= WALL_TOP and v < 0:
                v, y = -v, y + 1
            elif y >= WALL_BOTTOM and v > 0:
                v, y = -v, y - 1
            y += v
        return y + v * (frames - int(frames)), v * FRAMES

    def follow_ball(self, obs):
        """The ball as x, y, vx, vy (velocities in pixels a step), or None without a ball."""
        if not obs["Ball"]:
            return None
        ball = obs["Ball"][0]
        if self.ball is None:
            return ball.x, ball.y, 0, 0
        x, y, vx, vy = self.ball
        foreseen, turned = self.fly(y, vy, FRAMES)
        return (
            ball.x,
            ball.y,
            ball.x - x,
            turned if vy and abs(foreseen - ball.y) <= 0.6 else ball.y - y,
        )

    def note_contact(self):
        """Learn how places on a paddle bend the ball, and what became of my shots."""
        if self.before is not None and self.before[0] is not None:
            (x, y, vx, vy), mine, theirs = self.before
            if self.ball is None:
                if self.foreseen_gap is not None and x < 80:
                    self.outcomes.append((self.foreseen_gap, True))
                self.pending = self.foreseen_gap = None
                self.returns = 0
            elif self.pending is not None:
                self.pending[-1] += 1
                if self.pending[-1] == 2:
                    if (
                        abs(self.ball[1] - (WALL_TOP + WALL_BOTTOM) / 2)
                        < CLEAR_OF_WALLS
                    ):
                        self.contacts.append(
                            (*self.pending[:3], self.ball[2], self.ball[3])
                        )
                    self.pending = None
            elif abs(vx - self.ball[2]) > 1 and (
                x > 110 and vx > 0 or x < 50 and vx < 0
            ):
                part = min(
                    1.0, max(0.0, ((MY_COLUMN if vx > 0 else ENEMY_COLUMN) - x) / vx)
                )
                old, new = (
                    (mine, self.paddle.top) if vx > 0 else (theirs, self.enemy_top)
                )
                offset = self.fly(y, vy, part * FRAMES)[0] - (old + part * (new - old))
                self.pending = ["I" if vx > 0 else "E", round(offset, 1), vx, 0]
                self.returns += vx < 0
                if vx < 0 and self.foreseen_gap is not None:
                    self.outcomes.append((self.foreseen_gap, False))
                    self.foreseen_gap = None
                elif vx > 0 and self.solved_for:
                    self.foreseen_gap = self.gap_of(offset)
        self.before = (self.ball, self.paddle.top, self.enemy_top)

    def score_book(self):
        """A text: of the shots that should pass the opponent, and of all others, how many did."""
        good, bad = (
            [won for gap, won in self.outcomes if (gap > 0) == side]
            for side in (True, False)
        )
        return f"gap {sum(good)}/{len(good)} none {sum(bad)}/{len(bad)}"

    def bend_map(self, side):
        """A text: for the offsets -4 to 15 how the ball left last (U, u, 0, d, D from steep up to steep down)."""
        latest = {int(round(c[1])): c[4] for c in self.contacts if c[0] == side}
        return "".join(
            (
                "?"
                if o not in latest
                else "UuodD"[int(latest[o] / 4 + 2)] if latest[o] in BENDS else "X"
            )
            for o in range(-4, 16)
        )

    def arrival(self, ball):
        """(frames until the ball meets my column, its y there, its vx), or None while it flies away."""
        if ball is None or ball[2] < 1 or ball[0] > LAST_CHANCE:
            return None
        x, y, vx, vy = ball
        frames = max(0.0, (MY_COLUMN - x) * FRAMES / vx)
        return round(frames, 1), round(self.fly(y, vy, frames)[0], 1), vx

    def bend_chances(self, side):
        """Matrix: for each offset of OFFSETS the chances of BENDS, from a first guess and the contacts seen."""
        guess = np.clip(np.rint((OFFSETS - FLUSH) / ZONE), -2, 2) * 4.0
        weights = GUESS_WEIGHT * (guess[:, None] == BENDS)
        for who, offset, _, _, vy in self.contacts[-150:]:
            near = np.exp(-0.5 * ((OFFSETS - offset) / ALIKE) ** 2) * (
                1.0 if who == side else 0.3
            )
            weights = weights + near[:, None] * (BENDS == 4 * round(vy / 4))
        return weights / weights.sum(axis=1, keepdims=True)

    def control(self):
        """Matrix: for each offset I may aim at the chances of BENDS and, last, of a miss, as I am not exact."""
        chances = np.column_stack([self.bend_chances("I"), np.zeros(len(OFFSETS))])
        beyond = np.tile([0.0] * len(BENDS) + [1.0], (3, 1))
        padded = np.vstack([beyond, chances, beyond])
        return sum(part * padded[i : i + len(OFFSETS)] for i, part in enumerate(BLUR))

    def play_out(self, enemy, y, vy, steps):
        """(enemy, y, vy) after so many steps in which the opponent follows the ball; y and vy may be arrays."""
        for left in np.arange(steps, 0, -1):
            part = min(1.0, left)
            y = y + vy * part
            over, under = y < WALL_TOP, y > WALL_BOTTOM
            y = np.where(
                over, 2 * WALL_TOP - y, np.where(under, 2 * WALL_BOTTOM - y, y)
            )
            vy = np.where(over | under, -vy, vy)
            pull = np.clip(
                y - ENEMY_REST - enemy, -ENEMY_SPEED * part, ENEMY_SPEED * part
            )
            enemy = np.clip(enemy + pull, TOP, BOTTOM)
        return enemy, y, vy

    def shot_worths(self, enemy, y, speed, answers, control, shots_left):
        """(worths, gaps) of each bend for a ball that leaves my paddle at y; y and enemy are arrays."""
        steps = (MY_COLUMN - ENEMY_COLUMN) / speed
        vy = np.broadcast_to(BENDS, (*y.shape, len(BENDS)))
        there, height, vy = self.play_out(
            np.repeat(enemy[..., None], len(BENDS), -1),
            y[..., None] + 0 * vy,
            vy,
            steps,
        )
        gaps = np.maximum(there - (height + BALL_H), height - (there + PADDLE_H))
        missed = 1 / (1 + np.exp(-np.clip(gaps / MARGIN_SCALE, -20, 20)))
        later = RALLY_WORTH
        if shots_left > 1:
            met = np.clip(
                np.rint(height - there) - OFFSETS[0], 0, len(OFFSETS) - 1
            ).astype(int)
            back, at, _ = self.play_out(there, height, BENDS[answers[met]], steps)
            worths, _ = self.shot_worths(
                back, at, speed, answers, control, shots_left - 1
            )
            later = (worths @ control[:, :-1].T - control[:, -1]).max(axis=-1)
        return missed + (1 - missed) * PATIENCE * later, gaps

    def plan_shot(self, arrival, ball):
        """(worths, gaps) of each bend I can give the ball that arrives."""
        frames, y, speed = arrival
        enemy, _, _ = self.play_out(
            float(self.enemy_top), ball[1], ball[3], frames / FRAMES
        )
        answers = self.bend_chances("E").argmax(axis=1)
        worths, gaps = self.shot_worths(
            np.array(enemy), np.array(y), speed, answers, self.control(), SHOTS_AHEAD
        )
        if self.returns > LONG_RALLY:
            worths = worths + RESTLESS * np.random.random(len(BENDS))
        return worths, gaps

    def gap_of(self, offset):
        """The gap foreseen for the shot that was played at this offset."""
        return round(float(np.interp(offset, OFFSETS, self.solved_for[2])), 1)

    def place_worths(self, worths, chances, y):
        """For each place of my aim, what it is worth to stand there when the ball comes at y."""
        hit_at = y - np.clip(self.planner.aims, TOP, BOTTOM)
        exact = np.where(
            (hit_at > -BALL_H) & (hit_at < PADDLE_H),
            np.interp(hit_at, OFFSETS, chances @ worths),
            -1.0,
        )
        return np.convolve(np.pad(exact, 3, mode="edge"), BLUR, mode="valid")

    def best_place(self, arrival, ball):
        """Plan for this arrival, if not done yet; a text with the best place and its worth."""
        if arrival is None:
            self.solved_for = None
            return None
        key = (int(round(arrival[1])), len(self.contacts), arrival[0] > 40)
        if self.solved_for is None or self.solved_for[0] != key:
            worths, gaps = self.plan_shot(arrival, ball)
            chances = self.bend_chances("I")
            worth = self.place_worths(worths, chances, arrival[1])
            self.planner.solve(worth)
            best = int(np.argmax(worth))
            text = f"{best + AIM_TOP} {worth[best]:.2f} bend {BENDS[worths.argmax()]:.0f} {worths.max():.2f}"
            self.solved_for = (key, text, chances @ gaps)
        return self.solved_for[1]

    def homeward(self):
        """Action index that brings the paddle back to the middle."""
        distance = HOME - self.paddle.guesses[0][1]
        return 0 if abs(distance) <= HOME_SLACK else 1 if distance < 0 else 2

    def see_paddles(self, obs):
        """Follow the top edges of both paddles, with what is hidden above the court; false without a paddle."""
        if not obs["Player"]:
            return False
        tops = [
            paddle[0].y
            + (min(0, paddle[0].h - PADDLE_H) if paddle[0].y <= COURT_TOP else 0)
            for paddle in (obs["Player"], obs["Enemy"])
            if paddle
        ]
        self.enemy_top = tops[1] if len(tops) > 1 else self.enemy_top
        if self.paddle is None:
            self.paddle = Paddle(tops[0])
        self.paddle.update(tops[0], self.direction)
        return True

    def act(self, obs):
        """Return the index of the action to play."""
        index = 0
        if self.see_paddles(obs):
            self.ball = self.follow_ball(obs)
            self.note_contact()
            self.score_book(), self.bend_map("I"), self.bend_map("E")
            arrival = self.arrival(self.ball)
            if self.best_place(arrival, self.ball):
                index = self.planner.best(
                    self.paddle, int((arrival[0] - SETTLE_FRAMES) // FRAMES)
                )
            else:
                index = self.homeward()
        else:
            self.paddle = self.ball = self.before = self.pending = None
        self.direction = DIRECTIONS[index]
        return ACTIONS[index]
