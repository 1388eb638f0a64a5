"""Q*bert: look a few hops ahead, stay alive first, and take the hop that leaves the least work.

Work is the number of hops that still finish the round: the hops that each cube wants, and the done
cubes that must be crossed to join the wanted ones (dear in the levels where a hop spoils a done cube).
A situation met before in the round counts as more work, so that the player leaves every loop.
The search plays every hop of a ball or of Coily near the player as chance, and lets the player answer
it. Beyond it a table, made by value iteration, tells the chance to outrun Coily. A hop of the player
takes eight steps, one of an enemy up to sixteen. While in the air the action for the landing is held
early, so that a repeated action does no harm. After a round the player is put on the tip, from where
a hop up is deadly: rest until then. What a hop makes of a cube is learned anew in each level.

Environment: gco/Qbert-v5
Mean return: 90663.33 ± 2091.94 (30 episodes, report 0:30)
Measured: default protocol, frame skip 4, sticky 0.25, 27000 steps at most
Run: gco/qbert/model, iteration 7
"""

from collections import Counter
from functools import lru_cache

import numpy as np

NOOP, UP, RIGHT, LEFT, DOWN = 0, 2, 3, 4, 5
MOVES = {UP: (-1, 0), RIGHT: (1, 1), LEFT: (-1, -1), DOWN: (1, 0)}
CUBES = [(r, c) for r in range(6) for c in range(r + 1)]
INDEX = {rc: i for i, rc in enumerate(CUBES)}
NEIGHBOURS = [
    {
        a: INDEX[r + dr, c + dc]
        for a, (dr, dc) in MOVES.items()
        if (r + dr, c + dc) in INDEX
    }
    for r, c in CUBES
]
BELOW = [[n[a] for a in (DOWN, RIGHT) if a in n] for n in NEIGHBOURS]
BIT = [
    1 << (8 * r + c) for r, c in CUBES
]  # sets of cubes are integers, eight bits a row
PYRAMID = sum(BIT)
ENEMIES = ("PurpleBall", "RedBall", "Coily", "Sam", "GreenBall")
STAND_ABOVE = (
    17,
    17,
    17,
    17.5,
    18,
    19,
)  # pixels from the player's top to the cube's, by row

HOP = 8  # steps that a hop of the player takes
ENEMY_PERIOD = 16  # steps between two hops of an enemy, until measured
CALM_DEPTH, COILY_DEPTH, BALL_DEPTH = (
    5,
    5,
    4,
)  # hops looked ahead: nobody, Coily, balls around
NEAR = 3  # hops within which each thing that an enemy may do is looked at
PLAN_AGE, WAIT_AGE = 5, 2  # steps that a plan is kept while no enemy hops
LEAD = 2  # steps before landing from which the next action is held
HOP_COST = 50.0  # points that a hop is worth
ROUND_GAIN = 800.0
LIFE, LAST_LIFE, GAME_STEPS = (
    4000.0,
    10000.0,
    27000,
)  # what a life is worth, and the last one more
SAM_GAIN, GREEN_GAIN, LURE_GAIN = 330.0, 130.0, 650.0
LURE_DISTANCE, LURE_WALK, RIDE_HOPS = 2, 8.0, 7
SPAWN_CUBES, SPAWN_COST = (
    1,
    2,
), 90.0  # where balls appear out of nowhere, while there is none
CROSSING, LEAVING, LANDED_ON = (
    0.8,
    0.3,
    {4: 0.2, 3: 0.6},
)  # chances to die in doubtful meetings
SEES_TAKEOFF = (
    5  # steps after a take-off in which Coily still hops at the cube that was left
)
UNSURE = 6  # pixels beside a cube from which an enemy may as well be on the other one
OUTRUN_HOPS = 10  # hops that the table of Coily looks ahead
LEVEL_RULES = {1: (1, {}), 2: (2, {}), 3: (1, {1: 0}), 4: (2, {2: 1}), 5: (2, {2: 0})}
REST, DONE_REST = (
    150,
    3,
)  # steps to wait at most for the tip; to wait for the round to end
REPEAT_HOPS = (
    3  # work added to a situation each time that it was met: no going round in circles
)
STRANDED = 10  # steps without a move after which the player is taken to stand
STUCK = 24  # steps with every cube done after which one more colour is wanted


def distances_from(start):
    """Hops from one cube to each other cube."""
    dist, queue = {start: 0}, [start]
    for i in queue:
        for j in NEIGHBOURS[i].values():
            if j not in dist:
                dist[j] = dist[i] + 1
                queue.append(j)
    return [dist[i] for i in range(len(CUBES))]


def coily_hops(coily, prey):
    """Where Coily may hop: first towards the player's row, then to the player's side."""
    (r, c), (pr, pc) = CUBES[coily], CUBES[prey]
    side = 2 * pc - pr - 2 * c + r
    ups, downs, lefts, rights = (UP, LEFT), (DOWN, RIGHT), (LEFT, DOWN), (UP, RIGHT)
    rows = ups if pr < r else downs if pr > r else ups + downs
    cols = lefts if side < 0 else rights if side > 0 else lefts + rights
    there = NEIGHBOURS[coily]
    hops = (
        [a for a in there if a in rows and a in cols]
        or [a for a in there if a in rows]
        or list(there)
    )
    return sorted((there[a] for a in hops), key=lambda j: DIST[j][prey])[:2]


DIST = [distances_from(i) for i in range(len(CUBES))]
COILY_HOPS = [[coily_hops(i, j) for j in range(len(CUBES))] for i in range(len(CUBES))]


def danger(here, there, old, new, wait):
    """The chance to die in a hop from here to there of an enemy that hops from old to new after wait steps."""
    if wait > HOP:
        return 1.0 if old == there else 0.0
    if new == there:
        return 1.0
    if old == there:
        return 1.0 if wait > 5 else CROSSING if new == here else LEAVING
    if new == here:
        return LANDED_ON.get(wait, 0.95 if wait <= 2 else 0.0)
    return 0.0


def coily_answers(coily, here, there, wait):
    """The cubes to which Coily may hop after wait steps of the player's hop."""
    return (
        [coily]
        if wait > HOP
        else COILY_HOPS[coily][here if wait <= SEES_TAKEOFF else there]
    )


def outrun_model():
    """Arrays over [wait, Coily, player, action, answer]: the risk, Coily's cube after it; and the player's cubes."""
    shape = (HOP + 2, 21, 21, 5, 2)
    risk, after, cubes = np.ones(shape), np.zeros(shape, int), np.zeros((21, 5), int)
    for here in range(21):
        for a, there in enumerate([here, *NEIGHBOURS[here].values()]):
            cubes[here, a] = there
            for coily in range(21):
                for wait in range(1, HOP + 2):
                    answers = coily_answers(coily, here, there, wait)
                    for k in (0, 1):
                        after[wait, coily, here, a, k] = answers[-k]
                        risk[wait, coily, here, a, k] = danger(
                            here, there, coily, answers[-k], wait
                        )
    return risk, after, cubes


RISK, AFTER, REACHED = outrun_model()


@lru_cache(maxsize=200)
def outrun_table(period, launch_cubes):
    """[steps to Coily's hop][Coily][player]: the chance to be alive after many hops."""
    alive = np.ones((period + 1, 21, 21))
    for _ in range(OUTRUN_HOPS):
        for steps in range(1, period + 1):
            wait, later = min(steps, HOP + 1), max(
                1, steps - HOP + period * (steps <= HOP)
            )
            chance = (
                (
                    (1 - RISK[wait])
                    * alive[later][AFTER[wait], REACHED[None, :, :, None]]
                )
                .mean(-1)
                .max(-1)
            )
            chance[:, list(launch_cubes)] = 1.0
            alive[steps] = chance
    return alive.tolist()


def spread(cubes):
    """A set of cubes and their neighbours."""
    return (cubes | cubes << 8 | cubes << 9 | cubes >> 8 | cubes >> 9) & PYRAMID


def cubes_between(some, others):
    """How many cubes lie between two sets of cubes; and those of others that are nearest."""
    between, reach = 0, spread(some)
    while not reach & others:
        between, reach = between + 1, spread(reach)
    return between, reach & others


@lru_cache(maxsize=60000)
def detours(wanted):
    """How many done cubes must be crossed to join all the wanted ones."""
    joined, crossed = wanted & -wanted, 0
    left = wanted ^ joined
    while left:
        between, nearest = cubes_between(joined, left)
        if between:
            nearest &= -nearest
        joined, left, crossed = joined | nearest, left & ~nearest, crossed + between
    return crossed


class Policy:
    """One instance plays one episode."""

    def __init__(self):
        self.step = 0
        self.lives = None
        self.cubes = [0] * 21
        self.level_round = 0  # rounds finished
        self.target, self.next_value = (
            1,
            {},
        )  # the value wanted; what a hop made of a value
        self.votes = (
            Counter()
        )  # how often a hop made one value into another, in this level
        self.visits = (
            Counter()
        )  # how often the same place and cubes were met in this round
        self.still = 0  # steps without a move of the player
        self.all_done_since = None
        self.standing = None  # cube the player stood on last
        self.takeoff = -99
        self.flight_to = None
        self.actions = [NOOP, NOOP]
        self.tracks = {k: [] for k in ENEMIES}  # [cube, step of arrival, came by a hop]
        self.period = {}
        self.plan_key, self.plan_step, self.plan_action = None, -99, NOOP
        self.rest_since = None  # step of the round that ended, until on the tip

    # --- reading the screen -------------------------------------------------------------------

    def player_cube(self, obs):
        """The cube that the player stands on, or None while in the air or away."""
        if not obs["Player"]:
            return None
        me = obs["Player"][0]
        for i, cube in enumerate(obs["Cube"]):
            off = abs(cube.y - STAND_ABOVE[CUBES[i][0]] - me.y)
            if abs(cube.cx - me.cx) <= 1 and (
                off <= 1 or (off <= 3 and me.dx == me.dy == 0)
            ):
                return i
        return None

    def resting_place(self, obs):
        """The cube stood on; the nearest one if the player has not moved for long."""
        me = obs["Player"][0]
        self.still = self.still + 1 if me.dx == me.dy == 0 else 0
        here = self.player_cube(obs)
        if here is None and self.still >= STRANDED:
            here = min(
                range(21),
                key=lambda i: abs(obs["Cube"][i].cx - me.cx)
                + abs(obs["Cube"][i].y - 17 - me.y),
            )
        return here

    def cubes_of(self, thing, obs):
        """The cubes that an enemy may be on, or above which it is about to land."""
        near = sorted(
            (abs(cube.cx - thing.cx), i)
            for i, cube in enumerate(obs["Cube"])
            if -6 <= cube.y - (thing.y + thing.h) <= 21 and abs(cube.cx - thing.cx) < 14
        )
        return [i for off, i in near if off <= UNSURE or near[0][0] > UNSURE]

    def track_of(self, thing, cube, category):
        """[cube, step of arrival, whether it came by a hop] of an enemy; measures how often it hops."""
        period = self.period.get(category, ENEMY_PERIOD)
        for old in self.tracks[category]:
            if old[0] == cube:
                return old
        for old in self.tracks[category]:
            if cube in NEIGHBOURS[old[0]].values():
                stayed = self.step - old[1]
                if old[2] and 6 <= stayed <= 20:
                    self.period[category] = stayed
                return [cube, self.step, True]
        low = (
            category.endswith("Ball") and thing.h < 8
        )  # it lies already: half its stay is over
        return [cube, self.step - period // 2 if low else self.step, False]

    def steps_left(self, arrived, period):
        """Steps to an enemy's next hop; now and then one stays for twice its period."""
        stayed = self.step - arrived
        return (
            max(1, period - stayed)
            if stayed <= period + 2
            else period - stayed % period
        )

    def track(self, obs, category):
        """[(cube, steps to its next hop)] of a category."""
        self.tracks[category] = [
            self.track_of(thing, cube, category)
            for thing in obs[category]
            for cube in self.cubes_of(thing, obs)
        ]
        period = self.period.get(category, ENEMY_PERIOD)
        return [
            (cube, self.steps_left(arrived, period))
            for cube, arrived, _ in self.tracks[category]
        ]

    def launch_actions(self, obs):
        """{cube: action} of the hops off the pyramid that end on a disk."""
        launches = {}
        for disk in obs["Disk"]:
            left = disk.cx < 80
            edges = [INDEX[r, 0 if left else r] for r in range(6)]
            row = min(
                range(6), key=lambda r: abs(obs["Cube"][edges[r]].y - 11 - disk.y)
            )
            launches[edges[row]] = LEFT if left else UP
        return launches

    # --- what the round wants -----------------------------------------------------------------

    def learn_cubes(self, obs):
        """Note what hops do to cubes, when a round ends, and how many colours it wants."""
        values = [cube.value or 0 for cube in obs["Cube"]]
        if len(values) < 21:
            return
        if not any(values) and sum(v > 0 for v in self.cubes) >= 12:
            self.start_round()
        else:
            changed = [i for i in range(21) if values[i] != self.cubes[i]]
            if (
                len(changed) == 1
                and not obs["Sam"]
                and changed[0] in (self.standing, self.flight_to)
            ):
                self.learn_transition(self.cubes[changed[0]], values[changed[0]])
        self.cubes = values
        if all(self.need(v) == 0 for v in values) and obs["Player"]:
            self.all_done_since = self.all_done_since or self.step
            if self.step - self.all_done_since > STUCK and min(values) == max(values):
                self.target, self.all_done_since = max(values) + 1, None
                self.next_value.pop(max(values), None)
        else:
            self.all_done_since = None

    def learn_transition(self, before, after):
        """A hop made the value before into after: what it did most often is the rule."""
        self.votes[before, after] += 1
        if self.votes[before, after] < max(
            n for (b, _), n in self.votes.items() if b == before
        ):
            return
        self.next_value[before] = after
        if after > self.target:
            self.target = after
        elif after < before:
            self.target = before

    def start_round(self):
        """The next round begins; every fourth begins a level with other rules."""
        self.level_round += 1
        self.rest_since = self.step
        self.visits = Counter()
        if self.level_round % 4 == 0:
            self.target, rule = LEVEL_RULES[min(5, 1 + self.level_round // 4)]
            self.next_value, self.votes = dict(rule), Counter()
        self.all_done_since = None

    def after_hop(self, value):
        """The value of a cube after one more hop on it."""
        return self.next_value.get(value, value + 1 if value < self.target else value)

    def need(self, value):
        """How many hops a cube with this value still wants."""
        for hops in range(4):
            if value == self.target:
                return hops
            value = self.after_hop(value)
        return 1

    def work_left(self, here, todo, wanted):
        """About how many hops finish the round, from the hops and the cubes that are wanted."""
        if not wanted:
            return 0
        if wanted & BIT[here]:
            away = wanted == BIT[here]
        else:
            away = cubes_between(BIT[here], wanted)[0]
        seen_before = (
            REPEAT_HOPS * self.visits[here, tuple(self.values)] if self.visits else 0
        )
        return todo + self.crossing_hops * (detours(wanted) + away) + seen_before

    # --- the model of the enemies -------------------------------------------------------------

    def fall_windows(self, fallers, period):
        """[(from, to, {cube: chance})]: where things that fall at random will be."""
        windows = []
        for cube, left in fallers:
            chances, start, end = {cube: 1.0}, -9, left
            while chances and start < HOP * CALM_DEPTH:
                windows.append((start, end, chances))
                below = {}
                for c, p in chances.items():
                    for j in BELOW[c]:
                        below[j] = below.get(j, 0.0) + p / 2
                chances, start, end = below, end, end + period
        return windows

    def chance_of_meeting(self, windows, cube, time):
        """The chance that something of these windows is on the cube when the player lands."""
        return min(
            1.0,
            sum(
                w.get(cube, 0.0)
                for a, b, w in windows
                if a <= time + HOP + 1 and b >= time + 7
            ),
        )

    def answers_of(self, foe, here, there, time):
        """[(risk, foe afterwards)], equally likely, of what an enemy does during a hop of the player."""
        cube, when, falls, period = foe
        wait = when - time
        if wait > HOP:
            return [(danger(here, there, cube, cube, wait), foe)]
        cubes = (
            (BELOW[cube] or [cube]) if falls else coily_answers(cube, here, there, wait)
        )
        if len(cubes) > 1 and DIST[there][cube] > NEAR:
            cubes = cubes[:1]
        return [
            (danger(here, there, cube, new, wait), (new, when + period, falls, period))
            for new in cubes
        ]

    def outcomes(self, foes, here, there, time):
        """[(chance, risk, foes afterwards)] of a hop (or a wait) of the player."""
        results = [(1.0, 0.0, ())]
        for foe in foes:
            answers = self.answers_of(foe, here, there, time)
            results = [
                (chance / len(answers), 1 - (1 - risk) * (1 - more), (*after, moved))
                for chance, risk, after in results
                for more, moved in answers
            ]
        return results

    # --- the search ---------------------------------------------------------------------------

    def leaf_value(self, here, time, foes, todo, wanted):
        """The work left, and the chance to outrun Coily."""
        value = -HOP_COST * self.work_left(here, todo, wanted)
        for cube, when, falls, period in foes:
            if not falls:
                alive = self.outrun[max(1, min(period, when - time))][cube][here]
                value -= self.death * (1 - alive)
                if self.launches:
                    value -= LURE_WALK * min(DIST[here][c] for c in self.launches)
        return value

    def ride_value(self, here, foes, todo, wanted, depth):
        """Worth of a ride on a disk: it saves the player, and Coily jumps to death if near."""
        lured = any(
            not falls and DIST[here][cube] <= LURE_DISTANCE
            for cube, _, falls, _ in foes
        )
        return LURE_GAIN * lured - HOP_COST * (
            self.work_left(0, todo, wanted) + RIDE_HOPS - depth
        )

    def landing_gain(self, there, time):
        """Points of landing on a cube: Sam, the green ball; and the risk of a ball that appears."""
        gain = -self.spawn_cost if there in SPAWN_CUBES else 0.0
        if self.sams:
            gain += SAM_GAIN * self.chance_of_meeting(self.sams, there, time)
        if self.greens:
            gain += GREEN_GAIN * self.chance_of_meeting(self.greens, there, time)
        return gain

    def value_of(self, here, there, time, foes, todo, wanted, depth):
        """The value of one hop (or of waiting, when here is there), looking ahead."""
        results = self.outcomes(foes, here, there, time) if foes else [(1.0, 0.0, ())]
        if all(risk >= 0.9 for _, risk, _ in results):
            return -self.death * (1 + 0.02 * depth)
        gain, before = self.landing_gain(there, time), self.values[there]
        if here != there:
            after = self.values[there] = self.after[before]
            todo += self.needs[after] - self.needs[before]
            wanted = wanted | BIT[there] if self.needs[after] else wanted & ~BIT[there]
        value = 0.0
        for chance, risk, later in results:
            if risk >= 0.9:
                future = 0.0
            elif not wanted:
                future = ROUND_GAIN + HOP_COST * depth
            elif depth <= 1:
                future = self.leaf_value(there, time + HOP, later, todo, wanted)
            else:
                future = self.best_hop(
                    there, time + HOP, later, todo, wanted, depth - 1
                )[0]
            value += chance * ((1 - risk) * (gain + future) - risk * self.death)
        self.values[there] = before
        return value

    def best_hop(self, here, time, foes, todo, wanted, depth):
        """(value, action) of the best hop, ride or wait."""
        best = (-1e9, NOOP)
        for action, there in NEIGHBOURS[here].items():
            best = max(
                best,
                (self.value_of(here, there, time, foes, todo, wanted, depth), action),
            )
        if foes and (depth > 1 or here in self.launches):
            best = max(
                best, (self.value_of(here, here, time, foes, todo, wanted, depth), NOOP)
            )
            if here in self.launches:
                best = max(
                    best,
                    (
                        self.ride_value(here, foes, todo, wanted, depth),
                        self.launches[here],
                    ),
                )
        return best

    def worth_of_life(self):
        """Points that a death costs: more when few lives are left, less when little of the game is."""
        left = max(0.1, 1 - self.step / GAME_STEPS)
        return left * (LIFE + LAST_LIFE / (1 + max(0, self.lives or 0)))

    def foes_of(self, seen):
        """((cube, step of its next hop, whether it falls, period)) of what kills."""
        return tuple(
            (cube, left, k != "Coily", self.period.get(k, ENEMY_PERIOD))
            for k in ("Coily", "PurpleBall", "RedBall")
            for cube, left in seen[k][:3]
        )

    def prepare(self, obs, here, delay, seen):
        """Set what the search looks up: the rules of the round, Sam, the disks, Coily's table."""
        self.values = list(self.cubes)
        known = range(max(4, *self.values, self.target) + 2)
        self.after = [self.after_hop(v) for v in known]
        self.after = [min(v, len(self.after) - 1) for v in self.after]
        self.needs = [self.need(v) for v in known]
        self.crossing_hops = 1 + self.needs[self.after[self.target]]
        if delay > 0:
            self.values[here] = self.after[self.values[here]]
        self.sams, self.greens = (
            self.fall_windows(seen[k], self.period.get(k, ENEMY_PERIOD))
            for k in ("Sam", "GreenBall")
        )
        self.death = self.worth_of_life()
        self.spawn_cost = 0.0 if seen["PurpleBall"] or seen["RedBall"] else SPAWN_COST
        self.launches = self.launch_actions(obs)
        if seen["Coily"]:
            self.outrun = outrun_table(
                self.period.get("Coily", ENEMY_PERIOD), tuple(sorted(self.launches))
            )

    def plan(self, obs, here, delay, seen):
        """The action to take on the cube here, reached in so many steps."""
        key = (here, [[cube for cube, _ in seen[k]] for k in ENEMIES])
        age = WAIT_AGE if self.plan_action == NOOP else PLAN_AGE
        if key == self.plan_key and self.step - self.plan_step <= age:
            return self.plan_action
        self.prepare(obs, here, delay, seen)
        foes = self.foes_of(seen)
        falling = any(falls for _, _, falls, _ in foes)
        depth = BALL_DEPTH if falling else COILY_DEPTH if foes else CALM_DEPTH
        todo = sum(self.needs[v] for v in self.values)
        wanted = sum(BIT[i] for i, v in enumerate(self.values) if self.needs[v])
        self.plan_action = self.best_hop(here, delay, foes, todo, wanted, depth)[1]
        self.plan_key, self.plan_step = key, self.step
        return self.plan_action

    # --- acting -------------------------------------------------------------------------------

    def guess_flight(self, me):
        """The cube that the hop under way leads to, from how it began and the actions given."""
        if self.standing is None:
            return None
        if me.dx:
            side = (RIGHT, UP) if me.dx > 0 else (DOWN, LEFT)
            if self.step - self.takeoff <= 1:
                return NEIGHBOURS[self.standing].get(side[0])
            hops = [
                a for a in side if NEIGHBOURS[self.standing].get(a) == self.flight_to
            ]
            return self.flight_to if hops else NEIGHBOURS[self.standing].get(side[1])
        if self.step - self.takeoff <= 1 and me.dy < 0:
            ups = [a for a in self.actions if a in (UP, LEFT)]
            return NEIGHBOURS[self.standing].get(ups[0]) if ups else None
        return self.flight_to

    def notice_life_lost(self, obs):
        """A life lost: the player comes back where it was, or on the tip after a fall."""
        if self.lives is not None and obs.lives < self.lives:
            self.standing = self.flight_to = None
            self.plan_key = None
        self.lives = obs.lives

    def resting(self, obs):
        """Whether to wait: a round ended, and the player is not yet on the tip."""
        if self.rest_since is not None:
            waited = self.step - self.rest_since
            if waited > REST or (waited > 2 and self.player_cube(obs) == 0):
                self.rest_since = None
        just_done = (
            self.all_done_since is not None
            and self.step - self.all_done_since < DONE_REST
        )
        return self.rest_since is not None or just_done

    def choose(self, obs):
        """Plan when standing, and just before landing; otherwise do nothing."""
        if len(obs["Cube"]) < 21:
            return NOOP
        seen = {category: self.track(obs, category) for category in ENEMIES}
        if self.resting(obs) or not obs["Player"]:
            return NOOP
        here = self.resting_place(obs)
        if here is not None:
            if self.flight_to is not None:
                self.visits[here, tuple(self.cubes)] += 1
            self.standing, self.takeoff, self.flight_to = here, self.step, None
            return self.plan(obs, here, 0, seen)
        self.flight_to = self.guess_flight(obs["Player"][0])
        left = HOP - (self.step - self.takeoff)
        if self.flight_to is None or not -4 <= left <= LEAD:
            return NOOP
        return self.plan(obs, self.flight_to, max(1, left), seen)

    def act(self, obs):
        """Return the index of the action to play."""
        self.notice_life_lost(obs)
        self.learn_cubes(obs)
        action = self.choose(obs)
        self.actions = [action, self.actions[0]]
        self.step += 1
        return action
