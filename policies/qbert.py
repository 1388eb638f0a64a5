"""Q*bert: look five hops ahead on the graph of cubes, and take the safest hop that changes cubes.

A hop takes about eight steps; Coily and the balls hop every sixteen. Balls fall at random to one of
the two cubes below (a distribution over time windows), Coily hops towards the player. The search
weighs the chance of dying against the colour changes, Sam, and luring Coily to a disk. While in the
air the action for the landing is planned and held early, so that a repeated action does no harm.
After a round or a life the player is put on the tip, from where a hop up is deadly: rest until then.
How often a cube must be hopped on is learned from what hops did to the cubes of this level.

Environment: gco/Qbert-v5
Mean return: 50887.50 ± 2162.92 (30 episodes, report 0:30)
Measured: default protocol, frame skip 4, sticky 0.25, 27000 steps at most
Run: gco/qbert/model, iteration 4
"""

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
    return sorted((there[a] for a in hops), key=lambda j: DIST[j][prey])


DIST = [distances_from(i) for i in range(len(CUBES))]
COILY_HOPS = [[coily_hops(i, j) for j in range(len(CUBES))] for i in range(len(CUBES))]
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
DEPTH, CALM_DEPTH = 5, 4  # hops looked ahead, with and without enemies
PLAN_AGE = 3  # steps that a plan is kept while no enemy hops
LEAD = 2  # steps before landing from which the next action is held
DISCOUNT = 0.93  # of a gain, for each hop it lies ahead
DEATH = 4000.0
CUBE_GAIN, ROUND_GAIN, SAM_GAIN, GREEN_GAIN = 50.0, 800.0, 200.0, 100.0
LURE_GAIN, DISK_LOSS, LURE_DISTANCE = 450.0, 80.0, 2
NEAR_COILY = {0: 400.0, 1: 90.0, 2: 15.0}
WALK, LURE_WALK = 8.0, 8.0
CROSSING, LEAVING = (
    0.6,
    0.3,
)  # risk to cross Coily's way, to land on the cube that it just leaves
TARGET_OF_LEVEL = {1: 1, 2: 2, 3: 1, 4: 2}
REST, DONE_REST = (
    150,
    3,
)  # steps to wait at most for the tip; to wait for the round to end
STUCK = 24  # steps with every cube done after which one more colour is wanted


class Policy:
    """One instance plays one episode."""

    def __init__(self):
        self.step = 0
        self.lives = None
        self.cubes = [0] * 21
        self.level_round = 0  # rounds finished
        self.target = 1  # the value that a cube must reach
        self.next_value = {}  # what a hop made of a value, in this level
        self.all_done_since = None
        self.standing = None  # cube the player stood on last
        self.takeoff = -99
        self.flight_to = None
        self.actions = [NOOP, NOOP]
        self.tracks = {}  # (category, number) -> (cube, step of arrival)
        self.period = {}
        self.plan_key, self.plan_step, self.plan_action = None, -99, NOOP
        self.depth = DEPTH
        self.rest_since = (
            None  # step of the round or life that ended, until back on the tip
        )

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

    def cube_of(self, thing, obs):
        """The cube that an enemy is on, or above which it is about to land."""
        best, best_cost = None, 14.0
        for i, cube in enumerate(obs["Cube"]):
            if -6 <= cube.y - (thing.y + thing.h) <= 21:
                cost = abs(cube.cx - thing.cx)
                if cost < best_cost:
                    best, best_cost = i, cost
        return best

    def track(self, obs, category):
        """[(cube, steps to its next hop)] of a category; measures how often it hops."""
        found = []
        for n, thing in enumerate(obs[category]):
            cube = self.cube_of(thing, obs)
            if cube is None:
                continue
            old = self.tracks.get((category, n))
            if old is None or old[0] != cube:
                if old is not None and cube in NEIGHBOURS[old[0]].values():
                    lasted = self.step - old[1]
                    if 5 <= lasted <= 20:
                        self.period[category] = lasted
                self.tracks[category, n] = old = (cube, self.step)
            period = self.period.get(category, ENEMY_PERIOD)
            found.append((cube, max(1, period - (self.step - old[1]))))
        for key in [
            k for k in self.tracks if k[0] == category and k[1] >= len(obs[category])
        ]:
            del self.tracks[key]
        return found

    def launch_cubes(self, obs):
        """{(cube, action)}: hops off the pyramid that end on a disk."""
        launches = set()
        if len(obs["Cube"]) < 21:
            return launches
        for disk in obs["Disk"]:
            left = disk.cx < 80
            edges = [INDEX[r, 0 if left else r] for r in range(6)]
            row = min(
                range(6), key=lambda r: abs(obs["Cube"][edges[r]].y - 11 - disk.y)
            )
            launches.add((edges[row], LEFT if left else UP))
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
        """A hop made the value before into after."""
        self.next_value[before] = after
        if after > self.target:
            self.target = after
        elif after < before:
            self.target = before

    def start_round(self):
        """The next round begins; every fourth begins a level with other rules."""
        self.level_round += 1
        self.rest_since = self.step
        if self.level_round % 4 == 0:
            self.next_value = {}
            self.target = TARGET_OF_LEVEL.get(1 + self.level_round // 4, 2)
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

    # --- the model of the enemies -------------------------------------------------------------

    def fall_windows(self, fallers, period):
        """[(from, to, {cube: chance})]: where things that fall at random will be."""
        windows = []
        for cube, left in fallers:
            chances, start, end = {cube: 1.0}, -9, left
            while chances and start < HOP * (DEPTH + 2):
                if CUBES[next(iter(chances))][0] == 5:
                    end += period
                windows.append((start, end, chances))
                below = {}
                for c, p in chances.items():
                    for a in (DOWN, RIGHT):
                        if a in NEIGHBOURS[c]:
                            j = NEIGHBOURS[c][a]
                            below[j] = below.get(j, 0.0) + p / 2
                chances, start, end = below, end, end + period
        return windows

    def chance_of_meeting(self, windows, cube, start, end):
        """The chance that something of these windows is on the cube between two times."""
        return min(
            1.0, sum(w.get(cube, 0.0) for a, b, w in windows if a <= end and b >= start)
        )

    def coily_risk(self, here, there, time, coily):
        """The chance that Coily kills in a hop from here to there, and Coily after it."""
        cube, when = coily
        risk = 1.0 if cube == there and when > time + 5 else 0.0
        while when <= time + HOP:
            hops = COILY_HOPS[cube][here if when < time + 1 else there]
            for hop in hops:
                if hop == there:
                    risk += 1.0 / len(hops)
                elif hop == here and (cube == there or when < time + 3):
                    risk += CROSSING / len(hops)
            if cube == there:
                risk += LEAVING
            cube, when = hops[0], when + self.period.get("Coily", ENEMY_PERIOD)
        return risk, (cube, when)

    def risk_of_hop(self, here, there, time, coily):
        """The chance to die in a hop (or a wait), and Coily as it is then."""
        risk = self.chance_of_meeting(self.balls, there, time + 4, time + HOP + 3)
        if here != there and risk:
            risk += 0.5 * min(
                self.chance_of_meeting(self.balls, there, time, time + 3),
                self.chance_of_meeting(self.balls, here, time + 3, time + HOP),
            )
        if coily is not None:
            by_coily, coily = self.coily_risk(here, there, time, coily)
            risk += by_coily
        return min(1.0, risk), coily

    # --- the search ---------------------------------------------------------------------------

    def leaf_value(self, here, coily, values):
        """How near the work is, and the disk when Coily follows."""
        wanted = [DIST[here][i] for i in range(21) if values[i] != self.target]
        value = -WALK * min(wanted) if wanted else 0.0
        if coily is not None:
            if self.launches:
                value -= LURE_WALK * min(DIST[here][c] for c, _ in self.launches)
            if DIST[here][coily[0]] <= 2:
                value -= 12.0 * (4 - len(NEIGHBOURS[here]))
        return value

    def disk_value(self, here, coily):
        """Worth of a ride: it saves the player, and Coily jumps to death if near."""
        if coily is not None and DIST[here][coily[0]] <= LURE_DISTANCE:
            return LURE_GAIN
        return -DISK_LOSS

    def hop_gain(self, there, time, values):
        """Points of landing on a cube: its colour, Sam, the green ball."""
        before = values[there]
        gain = CUBE_GAIN * (self.need(before) - self.need(self.after_hop(before)))
        gain += SAM_GAIN * self.chance_of_meeting(
            self.sams, there, time + 7, time + HOP + 1
        )
        return gain + GREEN_GAIN * self.chance_of_meeting(
            self.greens, there, time + 7, time + HOP + 1
        )

    def value_of(self, here, there, time, coily, values, depth):
        """The value of one hop (or of waiting, when here is there), looking ahead."""
        risk, coily = self.risk_of_hop(here, there, time, coily)
        if risk >= 0.95:
            return -DEATH * (0.9 + 0.02 * depth)
        before = values[there]
        gain = 0.0
        if here != there:
            gain = self.hop_gain(there, time, values)
            values[there] = self.after_hop(before)
        if coily is not None:
            gain -= NEAR_COILY.get(DIST[there][coily[0]], 0.0)
        if here != there and gain > 0 and all(v == self.target for v in values):
            future = ROUND_GAIN
        elif depth <= 1:
            future = self.leaf_value(there, coily, values)
        else:
            future = self.best_hop(there, time + HOP, coily, values, depth - 1)[0]
        values[there] = before
        return (1 - risk) * (gain + DISCOUNT * future) - risk * DEATH

    def best_hop(self, here, time, coily, values, depth):
        """(value, action) of the best hop, ride or wait."""
        best = (-1e9, NOOP)
        waits = depth == self.depth or any(c == here for c, _ in self.launches)
        for action, there in NEIGHBOURS[here].items():
            best = max(
                best, (self.value_of(here, there, time, coily, values, depth), action)
            )
        if waits:
            best = max(
                best,
                (self.value_of(here, here, time, coily, values, depth) - 3.0, NOOP),
            )
        for cube, action in self.launches:
            if cube == here and coily is not None:
                best = max(best, (self.disk_value(here, coily), action))
        return best

    def plan(self, obs, here, delay):
        """The action to take on the cube here, reached in so many steps."""
        seen = {k: self.track(obs, k) for k in ENEMIES}
        key = (here, [[cube for cube, _ in seen[k]] for k in ENEMIES])
        if (
            key == self.plan_key
            and self.step - self.plan_step <= PLAN_AGE
            and self.plan_action != NOOP
        ):
            return self.plan_action
        windows = {
            k: self.fall_windows(v, self.period.get(k, ENEMY_PERIOD))
            for k, v in seen.items()
        }
        self.balls = windows["PurpleBall"] + windows["RedBall"]
        self.sams, self.greens = windows["Sam"], windows["GreenBall"]
        self.launches = self.launch_cubes(obs)
        coily = seen["Coily"][0] if seen["Coily"] else None
        values = list(self.cubes)
        if delay > 0:
            values[here] = self.after_hop(values[here])
        self.depth = DEPTH if coily or self.balls else CALM_DEPTH
        self.plan_action = self.best_hop(here, delay, coily, values, self.depth)[1]
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
        """A life lost: the player comes back on the tip."""
        if self.lives is not None and obs.lives < self.lives:
            self.standing = self.flight_to = None
            self.rest_since = self.step
        self.lives = obs.lives

    def resting(self, obs):
        """Whether to wait: a round or a life ended, and the player is not yet back on the tip."""
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
        for category in ENEMIES:
            self.track(obs, category)
        if self.resting(obs) or not obs["Player"] or len(obs["Cube"]) < 21:
            return NOOP
        here = self.player_cube(obs)
        if here is not None:
            self.standing, self.takeoff, self.flight_to = here, self.step, None
            return self.plan(obs, here, 0)
        self.flight_to = self.guess_flight(obs["Player"][0])
        left = HOP - (self.step - self.takeoff)
        if self.flight_to is None or not -4 <= left <= LEAD:
            return NOOP
        return self.plan(obs, self.flight_to, max(1, left))

    def act(self, obs):
        """Return the index of the action to play."""
        self.notice_life_lost(obs)
        self.learn_cubes(obs)
        action = self.choose(obs)
        self.actions = [action, self.actions[0]]
        self.step += 1
        return action
