"""Frostbite: hop over the ice floes by a small plan through space and time.

The idea: every floe, bird, crab, clam, fish and bear keeps its measured speed, so where they all are
in the next 32 steps is known; the bear turns towards the player every 16 steps. A hop to the next row
takes 8 steps and can be steered by 1 or 2 pixels a step. Whenever Bailey stands, or is about to land, a dynamic programme over (time, hops made, x) looks
for the fastest way to lay the 15 blocks of the igloo and to walk through its door, where water costs
a life, a touch of an animal nearly as much, and a landing near the rim of a floe a little.
Which rows to visit follows from a table of the fewest hops that still lay all the missing blocks, and
a plan that ends where the next ice is far away pays for the wait.

Environment: gco/Frostbite-v5
Mean return: 120879.33 ± 5500.14 (30 episodes, report 0:30)
Measured: default protocol, frame skip 4, sticky 0.25, 27000 steps at most
Run: gco/frostbite/model, iteration 3
"""

from collections import deque

import numpy as np

STAND = (
    56,
    82,
    108,
    134,
    160,
)  # y of the standing player: the shore, then the four rows of ice
ROW_STEP, FLOE_Y, LANE_Y = 26, 96, 82
SHORE, LAST_ROW, ALL_BLUE = 0, 4, 15
BLOCKS = 15  # blocks of the igloo; then its door appears
WIDTH, PAD = 160, 12
LEFT_WALL, RIGHT_WALL = 8, 148  # x of the player stays between them
FLIGHT = 8  # steps of a hop
TICK = 2  # steps of one stage of the plan
STRIDE = 2  # pixels a step of the player's walk, on ice and ashore
HOP = FLIGHT // TICK
HORIZON = 16  # stages of the plan
DEPTH = 3  # hops looked ahead
DEATH, TOUCH, FISH = 2000.0, 120.0, 3.0  # in steps; animals for each stage of a touch
RIM = ((4, 150.0), (6, 12.0))  # half width of firm ice that is missed, its cost
NEVER = -1e6
DOOR_SIDE = 5  # half width of the place where the door is searched
MEMORY = 12  # steps over which a speed is measured
BEAR_LEFT, BEAR_RIGHT = 18, 142  # x of the bear stays between them
BEAR_TURN, BEAR_PHASE = (
    16,
    14,
)  # the bear turns towards the player in the steps 14, 30, 46 ...
BEAR_ROOM = 3  # pixels kept from the bear
LONG_WAIT, SLACK = (
    100.0,
    6,
)  # steps when no ice comes; pixels that a walk can make up for
TRAPPED = 1500.0  # steps that it costs to be ashore on the wrong side of the bear
NAMES = ("Bird", "Crab", "Clam", "KingCrab", "Goose", "Enemy")
FISH_NAMES = ("GreenFish", "Fish")
BEAR_NAMES = ("Bear", "PolarBear", "Grizzly")
ACTION = {
    (0, 0): 0,
    (-1, 0): 2,
    (0, 1): 3,
    (0, -1): 4,
    (1, 0): 5,
    (-1, 1): 6,
    (-1, -1): 7,
    (1, 1): 8,
    (1, -1): 9,
}
XS = np.arange(WIDTH)
EDGE = (np.maximum(LEFT_WALL + 12 - XS, XS - RIGHT_WALL + 12).clip(0) * 0.5).astype(
    np.float32
)
EDGE[:LEFT_WALL] = EDGE[RIGHT_WALL + 1 :] = (
    DEATH  # what it costs to be near the sides of the screen
)


class Mover:
    """Something that moves along a row, with its speed measured over the last steps."""

    def __init__(self, kind, row, thing):
        self.kind, self.row, self.x, self.w = kind, row, thing.x, thing.w
        self.past = deque([thing.x], MEMORY)
        self.speed = None

    def see(self, thing):
        """Note the new position; a change of width (cut off at the rim) starts a new measurement."""
        if thing.w != self.w:
            self.past.clear()
        self.x, self.w = thing.x, thing.w
        self.past.append(thing.x)
        if len(self.past) >= 4:
            self.speed = (self.past[-1] - self.past[0]) / (len(self.past) - 1)

    def is_ghost(self):
        """Whether it has not moved for so long that it is only a leftover of the picture."""
        return len(self.past) >= 8 and max(self.past) == min(self.past)

    def pace(self):
        """The bear's speed, without its direction."""
        past = list(self.past)
        return max([abs(b - a) / 2 for a, b in zip(past, past[2:])] + [1.5])

    def heading(self):
        """The bear's direction, -1 or 1."""
        return 1 if len(self.past) > 1 and self.past[-1] > self.past[-2] else -1

    def range_ahead(self, step, low, high, count):
        """Leftmost and rightmost x of the bear in each of the next steps, the player being between low and high."""
        left = right = self.x
        left_way = right_way = self.heading()
        pace, ranges = self.pace(), []
        for t in range(count):
            ranges.append((left, right))
            if (step + t) % BEAR_TURN == BEAR_PHASE:
                left_way = 1 if low > left - 4 else -1
                right_way = -1 if high < right - 8 else 1
            left = min(max(left + left_way * pace, BEAR_LEFT), BEAR_RIGHT)
            right = min(max(right + right_way * pace, BEAR_LEFT), BEAR_RIGHT)
        return ranges


def after_landing(row, blue, missing):
    """The blue rows (a bit each) and the missing blocks once Bailey has landed in a row."""
    bit = 1 << (row - 1) if row else 0
    if not bit or blue & bit or missing == 0:
        return blue, missing
    blue |= bit
    return (0 if blue == ALL_BLUE else blue), missing - 1


def hops_home_table():
    """table[missing][row][blue]: fewest hops that lay the missing blocks and end on the shore."""
    table = [[[row] * 16 for row in range(5)]]
    for missing in range(1, BLOCKS + 1):
        level = [[99] * 16 for _ in range(5)]
        for _ in range(6):
            for row in range(5):
                for blue in range(15):
                    for to in (row - 1, row + 1):
                        if SHORE <= to <= LAST_ROW:
                            new_blue, left = after_landing(to, blue, missing)
                            rest = level if left == missing else table[left]
                            level[row][blue] = min(
                                level[row][blue], 1 + rest[to][new_blue]
                            )
        table.append(level)
    return table


def widen(values, reach):
    """The best value within reach pixels to either side."""
    best = np.full((values.shape[0], WIDTH + 2 * reach), NEVER, np.float32)
    best[:, reach : reach + WIDTH] = values
    size, window = 1, 2 * reach + 1
    while size * 2 <= window:
        best = np.maximum(best[:, :-size], best[:, size:])
        size *= 2
    rest = window - size
    return np.maximum(best[:, :-rest], best[:, rest:]) if rest else best


class HopTree:
    """All sequences of up to DEPTH hops from a row; node 0 is the start, the last one a dead end."""

    def __init__(self, row, blue, missing):
        states, depths = [(row, blue, missing)], [0]
        ups, downs, self.by_up = [], [], [0]
        node = 0
        while node < len(states):
            row, blue, missing = states[node]
            children = []
            for to in (row - 1, row + 1):
                allowed = depths[node] < DEPTH and SHORE <= to <= LAST_ROW
                if allowed and (node == 0 or row != SHORE or missing):
                    children.append(len(states))
                    states.append((to,) + after_landing(to, blue, missing))
                    depths.append(depths[node] + 1)
                    self.by_up.append(int(to < row))
                else:
                    children.append(-1)
            ups.append(children[0])
            downs.append(children[1])
            node += 1
        self.states = states
        self.rows = np.array([s[0] for s in states] + [0])
        self.ups, self.downs = np.array(ups + [-1]), np.array(downs + [-1])
        self.by_up = np.array(self.by_up + [0])
        self.home = [n for n, s in enumerate(states) if s[0] == SHORE and s[2] == 0]
        self.wait_cost = np.array(
            [[0.0 if d == DEPTH else float(TICK)] for d in depths] + [[0.0]], np.float32
        )


class Forecast:
    """What standing in a row at an x costs at each stage of the plan, and how the ice drifts."""

    def __init__(self, movers, speeds, first, bear_ranges):
        self.speeds = speeds
        self.steps = first + TICK * np.arange(HORIZON + 5)
        solid = np.zeros((HORIZON + 5, 5, WIDTH + 2 * PAD), bool)
        solid[:, SHORE] = True
        self.danger = np.zeros((HORIZON + 5, 5, WIDTH), np.float32)
        for mover in movers:
            speed = speeds[mover.row] if mover.speed is None else mover.speed
            if mover.kind == "floe":
                self.paint_floe(solid, mover, speed)
            elif mover.kind != "bear" and not mover.is_ghost():
                self.paint_animal(mover, speed)
        for ranges in bear_ranges:
            self.paint_bear(ranges[first::TICK])
        self.cost = self.danger + self.water_cost(solid)
        drift = np.diff(
            np.rint(np.outer(self.steps - first, speeds)).astype(int), axis=0
        )
        self.after_drift = np.clip(XS + drift[:, :, None], LEFT_WALL, RIGHT_WALL)
        d = self.danger
        n = HORIZON + 1
        self.leave_down = d[1 : n + 1] + d[2 : n + 2]
        self.arrive = np.stack(
            [d[3 : n + 3], d[1 : n + 1] + d[2 : n + 2] + d[3 : n + 3]]
        )

    def wait_for_ice(self, row, to):
        """Steps at the end of the plan until ice of row `to` comes to a player that rides on `row`, per x."""
        if to == SHORE:
            return np.zeros(WIDTH)
        firm = self.cost[HORIZON + HOP, to] < RIM[0][1]
        ride = self.speeds[row] if row else 0.0
        closing = self.speeds[to] - ride
        if not firm.any() or abs(closing) < 0.1:
            return np.where(firm, 0.0, LONG_WAIT)
        if closing > 0:
            behind = XS - np.maximum.accumulate(
                np.where(firm, XS, XS[firm][-1] - WIDTH)
            )
        else:
            behind = (
                np.minimum.accumulate(np.where(firm, XS, XS[firm][0] + WIDTH)[::-1])[
                    ::-1
                ]
                - XS
            )
        wait = np.minimum((behind - SLACK).clip(0) / abs(closing), LONG_WAIT)
        end = XS + ride * wait
        return wait + LONG_WAIT * ((end < LEFT_WALL + 8) | (end > RIGHT_WALL - 8))

    def paint_floe(self, solid, floe, speed):
        """Mark the pixels of a floe as firm at each stage; floes leave at one side, come in at the other."""
        lefts = np.rint(floe.x + speed * self.steps).astype(int) % WIDTH
        for i, left in enumerate(lefts.tolist()):
            right = left + floe.w
            solid[i, floe.row, PAD + left : PAD + min(right, WIDTH)] = True
            if right > WIDTH:
                solid[i, floe.row, PAD : PAD + right - WIDTH] = True

    def paint_animal(self, animal, speed):
        """Mark where the player would touch an animal; the more distant in time, the wider."""
        price, room = (-FISH, -2) if animal.kind == "fish" else (TOUCH, 1)
        middle, side = animal.x + speed * self.steps, room + 0.05 * self.steps
        lefts = np.rint(middle - 7 - side).clip(0).astype(int).tolist()
        rights = np.rint(middle + animal.w + side).clip(0).astype(int).tolist()
        for i, (left, right) in enumerate(zip(lefts, rights)):
            self.danger[i, animal.row, left:right] += price

    def paint_bear(self, ranges):
        """Mark where the bear may touch the player, which is certain death."""
        for i, (left, right) in enumerate(ranges[: HORIZON + 5]):
            self.danger[
                i,
                SHORE,
                max(int(left) - 7 - BEAR_ROOM, 0) : int(right) + 15 + BEAR_ROOM,
            ] = DEATH

    def water_cost(self, solid):
        """Cost of standing at each x for want of firm ice below the middle of the player."""

        def firm(half):
            return (
                solid[..., PAD + 4 - half : PAD + 4 - half + WIDTH]
                & solid[..., PAD + 3 + half : PAD + 3 + half + WIDTH]
            )

        cost = ~firm(2) * np.float32(DEATH) + EDGE
        for half, price in RIM:
            cost += ~firm(half) * np.float32(price)
        return cost


class Plan:
    """The dynamic programme: the value of each node and x at each stage back to the stage `start`."""

    def __init__(self, tree, forecast, leaf_value, door, start, speed):
        zone, step, reach = (
            slice(door - DOOR_SIDE, door + DOOR_SIDE + 1),
            TICK * STRIDE,
            int(7 * speed),
        )
        rows, f, nodes = tree.rows, forecast, np.arange(len(tree.rows))[:, None]
        values = [None] * (HORIZON + 1)
        values[HORIZON] = leaf_value - f.cost[HORIZON][rows]
        for i in range(HORIZON - 1, start - 1, -1):
            stay = (
                widen(values[i + 1], step)[nodes, f.after_drift[i][rows]]
                - tree.wait_cost
            )
            best = stay
            if i + HOP <= HORIZON:
                self.landing = values[i + HOP] - f.arrive[tree.by_up, i, rows]
                hop = widen(self.landing, reach) - FLIGHT
                up, down = hop[tree.ups], hop[tree.downs] - f.leave_down[i][rows]
                best = np.maximum(stay, np.maximum(up, down))
            values[i] = best - f.cost[i][rows]
            values[i][-1] = NEVER
            values[i][tree.home, zone] = -f.danger[i, SHORE, zone]
        self.values, self.stay, self.up, self.down = values, stay[0], up[0], down[0]

    def next_hop(self, x):
        """-1 up, 1 down, 0 stay: the best move of a player that stands at x at the first stage."""
        up, down, stay = self.up[x], self.down[x], self.stay[x]
        if max(up, down) >= stay:
            return -1 if up > down else 1
        return 0


class Policy:
    """One instance plays one episode."""

    def __init__(self):
        self.movers = []
        self.speeds = [0.0] * 5
        self.hops_home = hops_home_table()
        self.laid, self.blue, self.bare = 0, 0, 0
        self.row, self.target, self.elapsed, self.pressed = SHORE, None, 0, 0
        self.x, self.door, self.sweep = 64, 123, 1
        self.held, self.goal, self.step = None, 64, -1
        self.air_speed, self.sides = 1.0, (0, 0)

    def act(self, obs):
        """Return the index of the action to play."""
        self.step += 1
        self.follow_movers(obs)
        self.blocks_laid(obs)
        vertical, side = (
            self.decide(obs["Player"][0]) if obs["Player"] else self.nothing()
        )
        self.sides = (self.sides[1], side)
        return ACTION[vertical, side]

    def decide(self, player):
        """(up or down, left or right) for a player that is seen."""
        if player.h < 17:
            self.target = None
            return 0, 0
        self.learn_speed(player)
        self.x = min(max(player.x, 0), WIDTH - 1)
        self.place(player)
        return self.fly(player) if self.target is not None else self.walk()

    def nothing(self):
        """Do nothing: the player is not seen."""
        self.elapsed += 1
        return 0, 0

    def learn_speed(self, player):
        """Pixels a step that a hop can be steered: 1 in the first level, 2 in later ones."""
        flying = self.target is not None and self.elapsed >= 2
        if (
            flying
            and self.sides[0] == self.sides[1] != 0
            and 1 <= abs(player.x - self.x) <= 3
        ):
            self.air_speed += 0.15 * (abs(player.x - self.x) - self.air_speed)

    # What is seen

    def follow_movers(self, obs):
        """Match floes and animals to those of the step before and measure their speeds."""
        seen = [("floe", o, FLOE_Y) for o in obs["FloatingBlock"]]
        for kind, names in (
            ("enemy", NAMES),
            ("fish", FISH_NAMES),
            ("bear", BEAR_NAMES),
        ):
            seen += [(kind, o, LANE_Y) for name in names for o in obs[name]]
        old, self.movers = self.movers, []
        for kind, thing, base in seen:
            row = (
                SHORE
                if kind == "bear"
                else min(max(round((thing.y - base) / ROW_STEP) + 1, 1), LAST_ROW)
            )
            near = [
                m
                for m in old
                if m.kind == kind and m.row == row and abs(m.x - thing.x) <= 5
            ]
            if near:
                mover = min(near, key=lambda m: abs(m.x + (m.speed or 0) - thing.x))
                old.remove(mover)
                mover.see(thing)
            else:
                mover = Mover(kind, row, thing)
                if kind != "floe":
                    mover.speed = 0.8 if thing.x < WIDTH // 2 else -0.8
            self.movers.append(mover)
        self.speeds = [self.row_speed(row) for row in range(5)]

    def row_speed(self, row):
        """Pixels a step by which the ice of a row drifts: the median of its floes."""
        known = sorted(
            m.speed
            for m in self.movers
            if m.kind == "floe" and m.row == row and m.speed is not None
        )
        return known[len(known) // 2] if known else 0.0

    def blue_rows(self, obs):
        """The rows whose ice is blue, a bit each."""
        blue = 0
        for floe in obs["FloatingBlock"]:
            if floe.rgb and max(floe.rgb) - min(floe.rgb) > 60:
                blue |= 1 << min(max(round((floe.y - FLOE_Y) / ROW_STEP), 0), 3)
        return blue

    def blocks_laid(self, obs):
        """Blocks of the igloo: each row that turns blue lays one, the fourth turns all white again."""
        blue = self.blue_rows(obs)
        before, now = bin(self.blue).count("1"), bin(blue).count("1")
        gained = now - before if now >= before else 4 - before + now
        self.blue = blue if blue != ALL_BLUE else 0
        self.laid = min(self.laid + gained, BLOCKS)
        house = obs["House"][0] if obs["House"] else None
        self.bare = self.bare + 1 if house is None else 0
        if obs["Door"]:
            self.laid, self.door = BLOCKS, obs["Door"][0].x
        elif self.bare > 6:
            self.laid = 0
        elif house is not None and house.h <= 4:
            self.laid = min(4, max(1, house.w // 8))
        elif self.laid == BLOCKS:
            self.laid -= 1
        return self.laid

    def missing(self):
        """Blocks that the igloo still needs."""
        return BLOCKS - self.laid

    # Where the player is

    def place(self, player):
        """Keep self.row (stood on or left) and self.target (where a hop ends, None when standing)."""
        ground = next((r for r in range(5) if abs(player.y - STAND[r]) <= 1), None)
        if self.target is None:
            if ground is None:
                self.guess_hop(player)
            else:
                self.row = ground
            return
        self.elapsed += 1
        if ground == self.target and self.elapsed >= 6:
            self.row, self.target = ground, None
        elif ground == self.row and self.elapsed == 2:
            self.target = None
        elif self.pressed:
            self.row = self.target
            self.start_hop(self.pressed, 1)
        elif self.elapsed >= 10:
            self.target = None
            self.guess_hop(player)
        self.pressed = 0

    def guess_hop(self, player):
        """Take up a hop whose start was not seen, from the height and its change."""
        height = (player.y - STAND[0]) / ROW_STEP
        rising = player.dy < -5
        self.target = min(
            max(int(height + 0.2) if rising else int(np.ceil(height)), SHORE), LAST_ROW
        )
        self.row = (
            min(self.target + 1, LAST_ROW) if rising else max(self.target - 1, SHORE)
        )
        left = STAND[self.target] - player.y
        self.elapsed = 2 if rising else 5 if left >= 20 else 6 if left >= 12 else 7

    def start_hop(self, way, elapsed):
        """Note a hop up (-1) or down (1)."""
        self.target, self.elapsed = min(max(self.row + way, SHORE), LAST_ROW), elapsed

    def lands_now(self, player):
        """Whether the hop ends within this step, so that the next one can be pressed already."""
        left = STAND[self.target] - player.y
        return self.elapsed >= 6 and 0 <= left <= (8 if self.target > self.row else 4)

    # What to do

    def trapped(self, missing):
        """What it costs at each x to be ashore at the end of the plan, with a bear that is nearer to the door."""
        cost = np.zeros(WIDTH)
        for ranges in self.bear_ranges():
            left, right = ranges[HORIZON * TICK]
            cost[: int(right) + 14 if missing == 0 else WIDTH] = TRAPPED
        return cost

    def leaf_value(self, tree, forecast):
        """Minus the steps still needed after the plan, per node and x."""
        value = np.full((len(tree.states) + 1, WIDTH), NEVER, np.float32)
        waits = {}
        for node, (row, blue, missing) in enumerate(tree.states):
            if row == SHORE and missing == 0:
                value[node] = -np.abs(XS - self.door) / STRIDE - self.trapped(missing)
                continue
            for to in (row - 1, row + 1):
                if SHORE <= to <= LAST_ROW:
                    if (row, to) not in waits:
                        waits[row, to] = forecast.wait_for_ice(row, to)
                    new_blue, left = after_landing(to, blue, missing)
                    hops = 1 + self.hops_home[left][to][new_blue]
                    value[node] = np.maximum(
                        value[node], -FLIGHT * hops - waits[row, to]
                    )
            if row == SHORE:
                value[node] -= self.trapped(missing)
            elif missing <= 4:
                value[node] -= 0.1 * np.abs(XS - self.door)
        return value

    def plan(self, row, blue, missing, steps_to_start):
        """Plan from standing in a row in some steps."""
        tree = HopTree(row, blue, missing)
        forecast = Forecast(
            self.movers, self.speeds, steps_to_start % TICK, self.bear_ranges()
        )
        leaf = self.leaf_value(tree, forecast)
        return (
            tree,
            forecast,
            Plan(
                tree, forecast, leaf, self.door, steps_to_start // TICK, self.air_speed
            ),
        )

    def bear_ranges(self):
        """Where each bear may be in the next steps."""
        goal = self.door if self.missing() == 0 else self.x
        low, high = min(self.x, goal) - 4, max(self.x, goal) + 4
        bears = [m for m in self.movers if m.kind == "bear"]
        return [
            b.range_ahead(self.step, low, high, (HORIZON + 6) * TICK) for b in bears
        ]

    def walk(self):
        """Stand, walk or hop, as the plan says."""
        if self.at_door():
            return self.search_door()
        if self.held is not None:
            move, self.held = self.held, None
            return move
        tree, forecast, plan = self.plan(self.row, self.blue, self.missing(), 0)
        way = plan.next_hop(self.x)
        if way:
            child = (tree.ups if way < 0 else tree.downs)[0]
            self.goal = self.best_x(plan.landing[child], int(7 * self.air_speed))
            self.start_hop(way, 0)
            return way, self.side(self.goal)
        drifted = forecast.after_drift[0][self.row][self.x]
        stride = TICK * STRIDE
        side = max(
            (0, -1, 1),
            key=lambda s: plan.values[1][0][
                min(max(drifted + stride * s, 0), WIDTH - 1)
            ],
        )
        lift = -1 if self.row == SHORE and self.missing() == 0 else 0
        self.held = lift, side
        return self.held

    def fly(self, player):
        """Steer to the best landing, thought over now and then; press the next hop when the landing is due."""
        self.held = None
        if self.elapsed % 2 == 0 and not self.lands_now(player):
            return 0, self.side(self.goal)
        left = max(1, FLIGHT - self.elapsed)
        blue, missing = after_landing(self.target, self.blue, self.missing())
        tree, forecast, plan = self.plan(self.target, blue, missing, left)
        start = left // TICK
        touched = forecast.danger[
            0 if self.target < self.row else max(start - 1, 0) : start, self.target
        ].sum(0)
        self.goal = self.best_x(
            plan.values[start][0] - touched, int(left * self.air_speed)
        )
        if self.lands_now(player):
            self.pressed = plan.next_hop(self.goal)
        return self.pressed, self.side(self.goal)

    def best_x(self, value, reach):
        """The best x within reach, the nearest of equals."""
        low, high = max(self.x - reach, 0), min(self.x + reach, WIDTH - 1)
        return max(range(low, high + 1), key=lambda x: value[x] - 0.1 * abs(x - self.x))

    def side(self, goal):
        """-1, 0 or 1: the way to an x."""
        if abs(goal - self.x) <= 0.6 * self.air_speed:
            return 0
        return 1 if goal > self.x else -1

    def at_door(self):
        """Whether the finished igloo is here and no bear is near."""
        bears = [m for m in self.movers if m.kind == "bear" and abs(m.x - self.x) < 26]
        return (
            self.row == SHORE
            and self.missing() == 0
            and abs(self.x - self.door) <= 9
            and not bears
        )

    def search_door(self):
        """Walk up and down before the door, always trying to go in."""
        if abs(self.x - self.door) >= 7:
            self.sweep = 1 if self.x < self.door else -1
        return -1, self.sweep
