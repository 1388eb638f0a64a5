"""Ms Pacman: a planner on a graph of the maze, which it reads from the pills.

1. Neighbouring pills of a fresh board are the links of the maze; places where movers are seen add the rest.
2. Every ghost is spread over the maze as chances in time: it goes on, never turns back, and chooses at junctions.
3. A search over paths of 13 cells keeps for each cell and tick (quarter of a cell) the best (points, survival).
   Only concentrated chances of a ghost count as danger, as thin ones can still be evaded later.
4. Edible ghosts look like others: they are known by the time since the power pill and by their slowness,
   eaten ones by the pause of the game. A power pill is kept until it promises a chain of ghosts.
5. The turn at the next cell is asked for a little early, so that a sticky action does not miss it.

Environment: gco/MsPacman-v5
Mean return: 25336.33 ± 664.24 (30 episodes, report 0:30)
Measured: default protocol, frame skip 4, sticky 0.25, 27000 steps at most
Run: gco/ms_pacman/model, iteration 2
"""

UP, RIGHT, LEFT, DOWN = 1, 2, 3, 4
OPPOSITE = {UP: DOWN, DOWN: UP, LEFT: RIGHT, RIGHT: LEFT}
COLUMNS, ROWS = 18, 14
CAUGHT = 1 << 400  # bit of a path that has met an edible ghost
TUNNEL = 300  # ids of the two cells outside the screen's edges: TUNNEL + 2 * row (left), + 1 (right)
CHASERS = {
    (200, 72, 72): 2.0,
    (198, 89, 179): 2.0,
}  # colour: urge of its way nearest to the player
PEN = (66, 84, 53, 90)
DOOR = (
    4 * COLUMNS + 8
)  # cell left of the pen's exit; the other one is its right neighbour
CELL, PILL_CELL = (
    4,
    5,
)  # ticks the player needs for a free cell, and for one with a pill
HORIZON = 52  # ticks that a plan looks ahead
STEP_TICKS = 1.5  # ticks in a step
CONTACT = 1.7  # ticks between two movers on a cell that touch
FORESIGHT = 0.98  # a danger counts this much less for each tick it is ahead
LIFE = 2500.0  # points that a life is worth
PATIENCE = 250  # steps without a gain after which reserves count for nothing, and a life for a fifth
PILL, POWER = 10.0, 50.0
TRAVEL = 8.0  # points that a cell of way to the nearest goal costs after the plan's end
HUNT_TRAVEL = 25.0
DISCOUNT = 0.9925
REVERSAL = 8.0
LOYALTY = 6.0  # bonus of a path that begins like the plan before
RESERVE = 900.0  # points expected of a power pill that is kept for later
LURK_PILLS = 10  # with so few pills left the power pills are used up first
EDIBLE_STEPS = 105  # first guess of how long ghosts stay edible
CATCH_STEPS = 3.3  # steps for each cell between the player and an edible ghost
TURN_GAP = 5  # pixels before a cell at which its turn is asked for


def column_of(x):
    """Column (a float) of a mover with left edge x."""
    if x <= 69:
        return (x - 5) / 8
    return 9 + (x - 81) / 8 if x >= 81 else 8 + (x - 69) / 12


def pixel_of(cell):
    """Left top corner of a mover that stands on cell."""
    if cell >= TUNNEL:
        r, right = divmod(cell - TUNNEL, 2)
        return (153 if right else -3), 3 + 12 * r
    r, c = divmod(cell, COLUMNS)
    return (5 + 8 * c if c < 9 else 81 + 8 * (c - 9)), 3 + 12 * r


def pill_cell(pill):
    """Cell of a pill or power pill."""
    c = round((pill.cx - 10) / 8) if pill.cx < 80 else 9 + round((pill.cx - 86) / 8)
    r = round((pill.cy - 8) / 12)
    return min(max(r, 0), ROWS - 1) * COLUMNS + min(max(c, 0), COLUMNS - 1)


def place(x, y):
    """(cell, next cell, direction, fraction) of a mover at x, y; the cells are the same on a cell."""
    rf = (y - 3) / 12
    r = min(max(round(rf), 0), ROWS - 1)
    if abs(rf - r) < 0.1:
        row, outside = r * COLUMNS, TUNNEL + 2 * r
        if x >= 153 or x <= -3:
            a, b, part = outside + 1, outside, (x - 153) / 4 if x >= 153 else 1.0
        elif x > 145:
            a, b, part = row + COLUMNS - 1, outside + 1, (x - 145) / 8
        elif x < 5:
            a, b, part = outside, row, (x + 3) / 8
        else:
            cf = column_of(x)
            c = min(int(cf), COLUMNS - 2)
            a, b, part = row + c, row + c + 1, cf - c
        if part < 0.1:
            return a, a, RIGHT, 0.0
        return (b, b, RIGHT, 0.0) if part > 0.9 else (a, b, RIGHT, part)
    c = min(max(round(column_of(x)), 0), COLUMNS - 1)
    lo = min(max(int(rf), 0), ROWS - 2)
    return lo * COLUMNS + c, (lo + 1) * COLUMNS + c, DOWN, rf - lo


def cells_between(a, b):
    """Cells of way between two movers, as the crow flies in the grid."""
    return abs(a[0] - b[0]) / 8 + abs(a[1] - b[1]) / 12


class Maze:
    """Graph of the cells: links[cell] maps a direction to the next cell."""

    def __init__(self, pills, powers):
        self.food = food = set(pills) | powers
        self.links = {cell: {} for cell in food}
        self.proved, self.misses = set(), {}
        for cell in food:
            if cell % COLUMNS < COLUMNS - 1 and cell + 1 in food:
                self.join(cell, RIGHT, cell + 1)
            if cell + COLUMNS in food:
                self.join(cell, DOWN, cell + COLUMNS)
        if (
            len(powers) == 4
        ):  # else power pills are still hidden, and corners look blind
            for r in range(ROWS):
                self.open_tunnel(r)

    def join(self, a, way, b):
        """Link two cells in both directions."""
        self.links.setdefault(a, {})[way] = b
        self.links.setdefault(b, {})[OPPOSITE[way]] = a

    def open_tunnel(self, r, seen=False):
        """Corridors that end blindly at both edges of a row, or where a mover is seen outside, go on outside."""
        left, right, outside = r * COLUMNS, (r + 1) * COLUMNS - 1, TUNNEL + 2 * r
        if outside in self.links:
            return
        if (
            seen
            or len(self.links.get(left, ())) == 1
            and len(self.links.get(right, ())) == 1
        ):
            self.join(outside, RIGHT, left)
            self.join(right, RIGHT, outside + 1)
            self.join(outside + 1, RIGHT, outside)

    def see(self, x, y):
        """A mover between two cells proves a link."""
        if not 1 < x < 149 and (y - 3) % 12 == 0:
            self.open_tunnel((y - 3) // 12, True)
        a, b, way, part = place(x, y)
        if not 0.2 < part < 0.8 or (a, b) in self.proved:
            return
        aligned = (y - 3) % 12 == 0 if way == RIGHT else pixel_of(a)[0] == x
        if aligned:
            self.proved.add((a, b))
            self.join(a, way, b)

    def miss(self, cell, way):
        """A turn that was asked for did not come: after the second time the link is taken for a wall."""
        other = self.links.get(cell, {}).get(way)
        if (
            other is None
            or (cell, other) in self.proved
            or (other, cell) in self.proved
        ):
            return
        self.misses[cell, way] = self.misses.get((cell, way), 0) + 1
        if self.misses[cell, way] >= 2:
            del self.links[cell][way]
            self.links[other].pop(OPPOSITE[way], None)

    def distances(self, sources, closed=()):
        """Cells from the nearest of sources, not through closed cells."""
        far = dict.fromkeys(sources, 0)
        queue = list(far)
        for cell in queue:
            if cell in closed and far[cell]:
                continue
            for other in self.links.get(cell, {}).values():
                if other not in far:
                    far[other] = far[cell] + 1
                    queue.append(other)
        return far


class Ghost:
    """A ghost that is followed from step to step; its state is normal, edible or eaten."""

    def __init__(self, x, y):
        self.x, self.y, self.way = x, y, None
        self.state, self.pace = "normal", 0.9  # pace: of the player's speed
        self.recent = [0.9] * 3

    def move(self, x, y, since_power, span):
        """Take over the position of this step, and tell the state from the speed."""
        dx, dy = x - self.x, y - self.y
        self.x, self.y = x, y
        if abs(dx) + abs(dy) > 12:
            self.way, self.state = None, "normal"
            return
        if dx or dy:
            self.way = (
                (RIGHT if dx > 0 else LEFT)
                if abs(dx) > abs(dy)
                else (DOWN if dy > 0 else UP)
            )
        self.recent = self.recent[1:] + [abs(dx) / 3 + abs(dy) / 4]
        speed = sum(self.recent) / 3
        if self.penned():
            self.state = "normal"
        elif self.state == "edible" and speed > 0.66 and since_power > 5:
            self.state = "normal"
        elif (
            self.state == "normal"
            and 0.3 < min(self.recent)
            and max(self.recent) < 0.55
            and since_power < span
        ):
            self.state = "edible"
        if self.state == "normal" and speed > 0.6:
            self.pace += 0.05 * (min(speed, 1.2) - self.pace)

    def scare(self):
        """A power pill was eaten: the ghost turns back and flees."""
        if self.state != "eaten" and not self.penned():
            self.state, self.way = "edible", OPPOSITE.get(self.way)

    def penned(self):
        """Whether it is in the pen."""
        return PEN[0] <= self.x <= PEN[1] and PEN[2] <= self.y <= PEN[3]

    def start(self, maze):
        """({(cell behind, cell ahead): chance}, ticks until it is there, ticks for a cell)."""
        ticks = CELL / (
            0.5 if self.state == "edible" else min(max(self.pace, 0.8), 1.1)
        )
        if self.penned():
            return (
                {(DOOR + 1, DOOR): 0.5, (DOOR, DOOR + 1): 0.5},
                6 + (self.y - 51) / 1.3,
                ticks,
            )
        a, b, way, part = place(self.x, self.y)
        if a == b:
            behind = maze.links.get(a, {}).get(OPPOSITE.get(self.way, 0), a)
            return {(behind, a): 1.0}, 0.0, ticks
        if self.way == way:
            return {(a, b): 1.0}, (1 - part) * ticks, ticks
        if self.way == OPPOSITE[way]:
            return {(b, a): 1.0}, part * ticks, ticks
        return {(a, b): 0.5, (b, a): 0.5}, 0.5 * ticks, ticks


class Forecast:
    """Chances of ghosts on cells at each tick; and when they come on links against the player's way."""

    def __init__(self):
        self.cells = [{} for _ in range(HORIZON + 1)]
        self.links = {}

    def spread(self, maze, ghost, urge, target, first, last):
        """Let a ghost walk from now on; count it from tick first to last."""
        states, arrive, ticks = ghost.start(maze)
        while arrive < HORIZON + 1:
            times = range(
                max(int(arrive - CONTACT + 1), first),
                min(int(arrive + CONTACT), last) + 1,
            )
            for (u, v), p in states.items():
                for k in times:
                    cell = self.cells[k]
                    cell[v] = cell.get(v, 0.0) + p
                if times:
                    self.links.setdefault((v, u), []).append((arrive, p))
            states = self.next_states(maze, states, urge, target)
            arrive += ticks

    def chance(self, prev, cell, tick):
        """Chance to touch a ghost on the way from prev to cell, reached at tick."""
        chance = self.cells[tick].get(cell, 0.0)
        crossing = self.links.get((prev, cell))
        if crossing:
            chance = max(
                chance, sum(p for arrive, p in crossing if abs(arrive - tick) < CELL)
            )
        return chance

    @staticmethod
    def next_states(maze, states, urge, target):
        """The chances one cell later."""
        following = {}
        for (u, v), p in states.items():
            ways = [w for w in maze.links.get(v, {}).values() if w != u]
            if len(ways) == 1:
                key = v, ways[0]
                following[key] = following.get(key, 0.0) + p
            elif not ways:
                following[v, u] = following.get((v, u), 0.0) + p
            elif p > 0.05:
                near = (
                    min(ways, key=lambda w: cells_between(pixel_of(w), target))
                    if urge > 1
                    else None
                )
                share = p / (len(ways) - 1 + urge)
                for w in ways:
                    following[v, w] = following.get((v, w), 0.0) + (
                        share * urge if w == near else share
                    )
        return following


class Search:
    """Label search over paths: the best (points, survival) for each cell at each tick."""

    def __init__(self, maze, pills, worth, danger, prey, bounty, life):
        self.links, self.pills, self.worth = maze.links, pills, worth
        self.danger, self.prey, self.bounty, self.life = danger, prey, bounty, life
        self.layers = [{} for _ in range(HORIZON + 1)]

    def push(self, tick, label, prev, cell, first, second, start, meets=True):
        """Extend label = (points, survival, bits eaten, bold) to cell at tick; meets: on the whole link."""
        value, alive, eaten, bold = label
        if not bold:
            chance = self.danger.chance(prev if meets else None, cell, tick)
            if chance > 0.05:
                alive *= 1 - min(0.97, chance * chance) * FORESIGHT**tick
        bit = 1 << cell
        if not eaten & bit:
            if cell in self.pills:
                value += alive * self.pills[cell] * DISCOUNT**tick
            elif cell in self.worth:
                value += alive * self.worth[cell] * DISCOUNT**tick
                bold = True
        if self.bounty and not eaten & CAUGHT:
            chance = self.prey.chance(prev, cell, tick)
            if chance > 0.1:
                value += alive * min(1.0, chance) * self.bounty * DISCOUNT**tick
                if chance > 0.4:
                    eaten |= CAUGHT
        total = value + alive * self.life
        old = self.layers[tick].get(cell)
        if old is None or old[0] < total:
            self.layers[tick][cell] = (
                total,
                (value, alive, eaten | bit, bold),
                prev,
                cell,
                first,
                second,
                start,
            )

    def cost(self, cell, eaten):
        """Ticks to the next cell: eating slows the player down."""
        return PILL_CELL if cell in self.pills and not eaten >> cell & 1 else CELL

    def best(self, far, travel):
        """(first direction, direction at the first cell, first cell) of the best path."""
        best, chosen = None, None
        for tick in range(HORIZON + 1):
            for total, label, prev, cell, first, second, start in list(
                self.layers[tick].values()
            ):
                if tick + PILL_CELL > HORIZON:
                    score = total - label[1] * travel * far.get(cell, 30)
                    if best is None or score > best:
                        best, chosen = score, (first, second, start)
                    continue
                stop = True
                for w, other in self.links.get(cell, {}).items():
                    if other != prev:
                        then = second or (w if cell == start else None)
                        self.push(
                            tick + self.cost(other, label[2]),
                            label,
                            cell,
                            other,
                            first,
                            then,
                            start,
                        )
                        stop = stop and self.links.get(prev, {}).get(w) != cell
                if stop:  # the way ahead is blocked: it can wait in the corner
                    then = second or (first if cell == start else None)
                    self.push(tick + CELL, label, None, cell, first, then, start)
        return chosen


class Policy:
    """One instance plays one episode."""

    def __init__(self):
        self.maze, self.ghosts, self.caught = None, {}, 0
        self.clock = self.idle = self.food = self.power_count = 0
        self.since_power, self.span = 999, EDIBLE_STEPS
        self.position, self.way, self.plan, self.asked = None, LEFT, None, (LEFT, LEFT)

    def act(self, obs):
        """Return the index of the action to play."""
        self.clock += 1
        if not obs["Player"]:
            return LEFT
        me = (obs["Player"][0].x, obs["Player"][0].y)
        pills = {pill_cell(p) for p in obs["Pill"]}
        powers = {pill_cell(p) for p in obs["PowerPill"]} - pills
        self.note_board(pills, powers)
        moving = self.follow_ghosts(obs["Ghost"], me)
        if moving and self.position and self.asked[0] == self.asked[1]:
            self.note_wall(me, self.asked[0])
        self.note_heading(me)
        if self.plan is None or moving and (self.clock % 2 or self.ghost_near(me)):
            self.plan = self.best_plan(me, pills, powers)
        self.asked = (self.asked[1], self.steer(me))
        return self.asked[1]

    def note_board(self, pills, powers):
        """Keep the maze of a fresh board, the steps without a gain, and scare the ghosts for a power pill."""
        food = len(pills) + len(powers)
        if self.maze is None or food > self.food + 20:
            self.maze, self.power_count, self.since_power = (
                Maze(pills, powers),
                len(powers),
                999,
            )
        elif not powers <= self.maze.food:
            self.maze, self.power_count = Maze(self.maze.food, powers), len(powers)
        self.idle = 0 if food != self.food else self.idle + 1
        self.food = food
        if len(powers) < self.power_count:
            self.since_power = self.caught = 0
            for ghost in self.ghosts.values():
                ghost.scare()
        self.power_count = len(powers)

    def follow_ghosts(self, seen, me):
        """Follow the ghosts, each by its colour; return whether any of them moved."""
        old = self.ghosts
        self.ghosts = {
            tuple(g.rgb): old.get(tuple(g.rgb)) or Ghost(g.x, g.y)
            for g in seen
            if g.rgb
        }
        moving = any(
            (self.ghosts[tuple(g.rgb)].x, self.ghosts[tuple(g.rgb)].y) != (g.x, g.y)
            for g in seen
            if g.rgb
        )
        if not moving:
            self.note_catch(me)
            return False
        self.since_power += 1
        for g in seen:
            if g.rgb:
                ghost = self.ghosts[tuple(g.rgb)]
                edible = ghost.state == "edible"
                ghost.move(g.x, g.y, self.since_power, self.span)
                if edible and ghost.state == "normal" and not ghost.penned():
                    self.span = max(20, self.since_power - 2)
                if not ghost.penned():
                    self.maze.see(g.x, g.y)
        if self.since_power >= self.span and self.edible_ghosts():
            self.span = self.since_power + 2
        return True

    def note_catch(self, me):
        """The game pauses when a ghost is eaten: the nearest edible one."""
        near = [
            g for g in self.edible_ghosts() if abs(g.x - me[0]) + abs(g.y - me[1]) < 12
        ]
        if near:
            ghost = min(near, key=lambda g: abs(g.x - me[0]) + abs(g.y - me[1]))
            if not any(
                g.state == "eaten" and abs(g.x - me[0]) + abs(g.y - me[1]) < 12
                for g in self.ghosts.values()
            ):
                ghost.state = "eaten"
                self.caught += 1

    def edible_ghosts(self):
        """Ghosts that can be eaten now."""
        return [g for g in self.ghosts.values() if g.state == "edible"]

    def note_wall(self, me, asked):
        """The player stands on, or passed straight over, a cell where it was asked for a turn."""
        (x0, y0), (x, y) = self.position, me
        a, b, _, _ = place((x0 + x) / 2, (y0 + y) / 2)
        for cell in {a, b}:
            cx, cy = pixel_of(cell)
            if (x0, y0) == (x, y) == (cx, cy):
                self.maze.miss(cell, asked)
            elif (
                asked in (UP, DOWN) and y0 == y == cy and (x0 <= cx < x or x < cx <= x0)
            ):
                self.maze.miss(cell, asked)
            elif (
                asked in (LEFT, RIGHT)
                and x0 == x == cx
                and (y0 <= cy < y or y < cy <= y0)
            ):
                self.maze.miss(cell, asked)

    def note_heading(self, me):
        """Follow the direction of the player, and the links it proves."""
        self.maze.see(*me)
        if self.position:
            dx, dy = me[0] - self.position[0], me[1] - self.position[1]
            if abs(dx) > abs(dy):
                self.way = RIGHT if 0 < dx < 20 or dx < -20 else LEFT
            elif dy:
                self.way = DOWN if dy > 0 else UP
        self.position = me

    def ghost_near(self, me):
        """Whether a ghost is so near that every step counts."""
        return any(cells_between((g.x, g.y), me) < 3 for g in self.ghosts.values())

    def edible_left(self):
        """Steps that the ghosts stay edible."""
        return max(2, self.span - self.since_power)

    def power_worth(self, cell):
        """Points of eating a power pill now: those of the chain of ghosts that time allows, nearest first."""
        here, time, worth = pixel_of(cell), 0.0, POWER
        free = [
            (g.x, g.y)
            for g in self.ghosts.values()
            if g.state == "normal" and not g.penned()
        ]
        for k in range(len(free)):
            ghost = min(free, key=lambda g: cells_between(g, here))
            time += cells_between(ghost, here) * CATCH_STEPS
            if time > self.span:
                break
            worth += 200 * 2**k * (1 - 0.5 * time / self.span)
            free.remove(ghost)
            here = ghost
        return worth

    def pill_worths(self, pills, powers):
        """Points of each pill; the last ones wait until the power pills are used."""
        if powers and len(pills) <= 2:
            return dict.fromkeys(pills, -RESERVE if self.idle < PATIENCE else PILL)
        return dict.fromkeys(pills, PILL)

    def forecasts(self, me):
        """(danger, prey) of the ghosts in time."""
        danger, prey = Forecast(), Forecast()
        left = min(int(self.edible_left() * STEP_TICKS), HORIZON)
        for colour, ghost in self.ghosts.items():
            if ghost.state == "normal":
                danger.spread(
                    self.maze, ghost, CHASERS.get(colour, 1.0), me, 0, HORIZON
                )
            elif ghost.state == "edible":
                prey.spread(self.maze, ghost, 1.0, me, 0, left)
                if left < HORIZON:
                    danger.spread(self.maze, ghost, 1.0, me, left + 1, HORIZON)
        return danger, prey

    def goals(self, pills, powers, bounty):
        """(cells worth going to, cost of a cell of way to them)."""
        left = self.edible_left() / CATCH_STEPS
        prey = {
            place(g.x, g.y)[0]
            for g in self.edible_ghosts()
            if cells_between((g.x, g.y), self.position) < left
        }
        prey &= set(self.maze.links)
        if prey:
            return prey, max(HUNT_TRAVEL, bounty / 20)
        if powers and len(pills) <= LURK_PILLS:
            return powers, TRAVEL
        return pills or powers, TRAVEL

    def best_plan(self, me, pills, powers):
        """Start of the best path: (first direction, direction at the first cell, first cell)."""
        reserve = RESERVE * max(0.0, 1 - self.idle / PATIENCE)
        worth = {c: self.power_worth(c) - reserve for c in powers}
        danger, prey = self.forecasts(me)
        bounty = 200 * 2 ** min(3, self.caught) if self.edible_ghosts() else 0
        life = LIFE / (1 + 4 * self.idle / PATIENCE)
        search = Search(
            self.maze,
            self.pill_worths(pills, powers),
            worth,
            danger,
            prey,
            bounty,
            life,
        )
        self.push_starts(search, me)
        goals, travel = self.goals(pills, powers, bounty)
        closed = [c for c in powers if worth[c] < 0]
        return search.best(self.maze.distances(goals, closed), travel)

    def push_starts(self, search, me):
        """The player's ways from here: to the neighbouring cells, or waiting where it is blocked."""
        a, b, way, part = place(*me)
        if a == b:
            links = self.maze.links.get(a, {})
            for w, other in links.items():
                search.push(
                    CELL, self.fresh_label(w, me, CELL), a, other, w, None, other
                )
            if self.way not in links:
                search.push(
                    CELL, self.fresh_label(0, me, 0), None, a, self.way, self.way, a
                )
        else:
            search.push(
                round(CELL * (1 - part)),
                self.fresh_label(way, me, CELL * (1 - part)),
                a,
                b,
                way,
                None,
                b,
                False,
            )
            back = OPPOSITE[way]
            search.push(
                round(CELL * part),
                self.fresh_label(back, me, CELL * part),
                b,
                a,
                back,
                None,
                a,
                False,
            )

    def fresh_label(self, way, me, ticks):
        """Empty label of a path that begins with way: turning back costs, keeping the plan pays."""
        loyal = LOYALTY if self.plan and way in self.plan[:2] else 0.0
        alive = (
            0.03
            if any(self.faces(g, way, me, ticks) for g in self.ghosts.values())
            else 1.0
        )
        return loyal - (REVERSAL if way == OPPOSITE[self.way] else 0.0), alive, 0, False

    def faces(self, ghost, way, me, ticks):
        """Whether a normal ghost stands before the player on the first ticks of way, and does not go away."""
        dx, dy = ghost.x - me[0], ghost.y - me[1]
        ahead = {UP: -dy / 3, DOWN: dy / 3, LEFT: -dx / 2, RIGHT: dx / 2}.get(way, -1)
        aside = abs(dx) if way in (UP, DOWN) else abs(dy)
        return (
            ghost.state == "normal"
            and ghost.way != way
            and aside < 4
            and 0 <= ahead <= ticks + 1
        )

    def steer(self, me):
        """Follow the plan; ask for the turn at its first cell a little early."""
        if self.plan is None:
            return LEFT
        first, second, cell = self.plan
        x, y = pixel_of(cell)
        return (
            second if second and abs(x - me[0]) + abs(y - me[1]) <= TURN_GAP else first
        )
