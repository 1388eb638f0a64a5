"""Space Invaders: predict every object, survive first, then take the quickest shot.

1. Track: every shot is followed from step to step (the screen drops one now and then), and the
   speed and direction of the marching aliens are measured.
2. Survive: sets of cannon positions are bit masks (bit i = x LEFT_WALL + i). Working back from the
   future gives the positions from which every flying shot can still be dodged (`escape_positions`),
   and those that would even survive a new shot from any column (`calm_positions`).
3. Shoot: for each column the earliest moment is sought at which a bullet from a position that can
   be reached, is calm and is not under a shield meets the lowest alien; the quickest one is taken.
   A satellite is shot through a gap whenever one can be.
4. Move: of the moves that stay safe take the one that leads to the place of the next shot.

Environment: gco/SpaceInvaders-v5
Mean return: 28302.00 ± 3136.39 (30 episodes, report 0:30)
Measured: default protocol, frame skip 4, sticky 0.25, 27000 steps at most
Run: gco/space_invaders/model, iteration 1
"""

from collections import Counter, deque

NOOP, FIRE, RIGHT, LEFT, RIGHT_FIRE, LEFT_FIRE = 0, 1, 2, 3, 4, 5
ACTIONS = {
    (0, False): NOOP,
    (1, False): RIGHT,
    (-1, False): LEFT,
    (0, True): FIRE,
    (1, True): RIGHT_FIRE,
    (-1, True): LEFT_FIRE,
}

LEFT_WALL, RIGHT_WALL = 34, 116  # the cannon's x goes from here to there
PLACES = RIGHT_WALL - LEFT_WALL + 1
ALL = (1 << PLACES) - 1
CANNON_SPEED = 2  # pixels a step
CANNON_WIDTH = 7
BARREL = 4  # a shot starts at the cannon's x + BARREL
MUZZLE_Y, BULLET_SPEED = 177, 8  # my shot: y 177 when fired, 8 up a step
LETHAL_TOP, LETHAL_BOTTOM = 173, 194  # an alien's shot hits the cannon at these y
OFF_SCREEN_Y = 199  # spent shots are put here and below
HORIZON = 20  # steps that dodging looks ahead
ALIEN_WIDTH, ALIEN_DROP = 8, 10
SHOT_OFFSET_X, SHOT_OFFSET_Y = 3, 4  # where an alien's new shot appears
LOW_ALIEN_Y = 105  # lower aliens can surprise the cannon
URGENT_Y = 131  # below this the lowest aliens go first
LANDING_Y = 151  # below this no satellite is worth a shot
SATELLITE_FLIGHT, SATELLITE_WIDTH = 19, 7
PATIENCE = 6  # steps a satellite may wait for an alien's shot
SEARCH = 45  # steps that aiming looks ahead
FORECAST = 130  # steps that the march is foreseen
RISK_COST = 12  # steps that a risky place counts as


class Shot:
    """One tracked shot; v is its speed downwards in pixels a step."""

    def __init__(self, x, y, v, mine, seen):
        self.x, self.y, self.v, self.mine, self.seen = x, y, v, mine, seen
        self.missing = 0


class Plan:
    """Fire in `wait` steps from x; `end` is when it hits."""

    def __init__(self, wait, end, x, cost, risky=False):
        self.wait, self.end, self.x, self.cost, self.risky = wait, end, x, cost, risky


def places(low, high):
    """The mask of the cannon positions with low <= x <= high."""
    low, high = max(low, LEFT_WALL) - LEFT_WALL, min(high, RIGHT_WALL) - LEFT_WALL
    return ((1 << (high - low + 1)) - 1) << low if high >= low else 0


def places_before(goal):
    """The mask of the positions from which one step leads into the mask goal."""
    to_left = goal << CANNON_SPEED | (3 if goal & 1 else 0)
    to_right = goal >> CANNON_SPEED | (3 << PLACES - 2 if goal >> PLACES - 1 else 0)
    return (goal | to_left | to_right) & ALL


def nearest_place(mask, x):
    """The position in the mask that is nearest to x, one of x's own parity if there is one."""
    for distances in (range(0, PLACES, 2), range(1, PLACES, 2)):
        for distance in distances:
            for place in (x - distance, x + distance):
                if LEFT_WALL <= place <= RIGHT_WALL and mask >> place - LEFT_WALL & 1:
                    return place
    return x


class Policy:
    """One instance plays one episode."""

    def __init__(self):
        self.step = 0
        self.shots = []  # tracked shots, mine too
        self.shot_speed = 4
        self.march_moves = deque(maxlen=4)
        self.march_speed, self.march_direction = 0.125, 1
        self.march_edges = [22, 129]  # the least and greatest x of an alien
        self.x = LEFT_WALL
        self.aliens = []

    # ---- tracking -------------------------------------------------------------------------

    def track_shots(self, bullets):
        """Match the bullets seen to the tracked shots; keep missing ones for a moment."""
        bullets = [b for b in bullets if 0 < b.y < OFF_SCREEN_Y]
        for shot in self.shots:
            shot.y += shot.v
            shot.missing += 1
        pairs = sorted(
            (abs(b.y - s.y) + abs(b.x - s.x), i, j)
            for i, b in enumerate(bullets)
            for j, s in enumerate(self.shots)
            if abs(b.y - s.y) <= 6 and abs(b.x - s.x) <= 3
        )
        used_bullets, used_shots = set(), set()
        for _, i, j in pairs:
            if i not in used_bullets and j not in used_shots:
                used_bullets.add(i)
                used_shots.add(j)
                self.update_shot(self.shots[j], bullets[i])
        self.shots = [s for s in self.shots if self.still_flies(s)]
        for i, bullet in enumerate(bullets):
            if i not in used_bullets:
                self.shots.append(self.new_shot(bullet))

    def update_shot(self, shot, bullet):
        """Take over what was seen of a shot, and learn how fast they fall."""
        speed = bullet.y - (shot.y - shot.v)
        if not shot.mine and shot.missing == 1 and 1 <= speed <= 10:
            shot.v = self.shot_speed = speed
        shot.x, shot.y, shot.missing, shot.seen = bullet.x, bullet.y, 0, True

    def still_flies(self, shot):
        """Whether a tracked shot is kept; the screen hides a shot for one or two steps."""
        if shot.mine:
            return shot.y > 8 and shot.missing <= (1 if shot.seen else 2)
        return shot.y <= LETHAL_BOTTOM and shot.missing <= 2

    def new_shot(self, bullet):
        """A shot seen for the first time: mine at the muzzle or rising, else an alien's."""
        at_muzzle = (
            bullet.y >= 150
            and abs(bullet.x - self.x - BARREL) <= 5
            and self.lowest_y() < bullet.y - 20
        )
        mine = at_muzzle or (abs(bullet.dx) <= 1 and -12 <= bullet.dy <= -4)
        return Shot(
            bullet.x, bullet.y, -BULLET_SPEED if mine else self.shot_speed, mine, True
        )

    def watch_march(self):
        """Measure the direction and the speed of the march from the aliens' steps."""
        if not self.aliens:
            return
        shift = Counter(a.dx for a in self.aliens).most_common(1)[0][0]
        drop = Counter(a.dy for a in self.aliens).most_common(1)[0][0]
        if drop > 0 and shift == 0:
            self.march_direction = -self.march_direction
            self.march_moves.clear()
        if 0 < abs(shift) <= 6:
            self.march_direction = 1 if shift > 0 else -1
            self.march_moves.append((self.step, abs(shift)))
            moves = list(self.march_moves)
            if len(moves) > 1:
                self.march_speed = sum(m[1] for m in moves[1:]) / (
                    moves[-1][0] - moves[0][0]
                )
        self.march_edges[0] = min(self.march_edges[0], min(a.x for a in self.aliens))
        self.march_edges[1] = max(self.march_edges[1], max(a.x for a in self.aliens))

    def forecast_march(self):
        """By how much (dx, dy) the aliens will have moved in 0, 1, 2, ... steps."""
        if not self.aliens:
            return [(0, 0)] * FORECAST
        left = self.march_edges[0] - min(a.x for a in self.aliens)
        right = self.march_edges[1] - max(a.x for a in self.aliens)
        speed, direction, drop = self.march_speed, self.march_direction, 0
        since = self.step - self.march_moves[-1][0] if self.march_moves else 0
        shift = direction * min(0.99, since * speed) if speed < 1 else 0.0
        forecast = [(0, 0)]
        for _ in range(FORECAST - 1):
            ahead = shift + direction * speed
            if int(ahead) < left or int(ahead) > right:
                direction, drop = -direction, drop + ALIEN_DROP
            else:
                shift = ahead
            forecast.append((int(shift), drop))
        return forecast

    def lowest_y(self):
        """The y of the lowest alien."""
        return max((a.y for a in self.aliens), default=0)

    # ---- survival -------------------------------------------------------------------------

    def mark_danger(self, danger, x, y, v, first, margin):
        """Add to danger[k] the positions that a shot makes deadly in step k."""
        mask = places(x - CANNON_WIDTH + 1 - margin, x + margin)
        for k in range(first, HORIZON + 1):
            if LETHAL_TOP <= y + v * k <= LETHAL_BOTTOM:
                danger[k] |= mask

    def danger_of_shots(self, margin):
        """For each step to come the mask of the positions where a flying shot kills."""
        danger = [0] * (HORIZON + 1)
        for shot in self.shots:
            if not shot.mine:
                self.mark_danger(danger, shot.x, shot.y, shot.v, 1, margin)
        return danger

    def escape_positions(self, danger):
        """The positions after this step from which all danger to come can be dodged."""
        safe = ALL
        for k in range(HORIZON, 0, -1):
            safe = places_before(safe) & ~danger[k]
        return safe

    def calm_positions(self, bottoms):
        """The positions from which also a new shot of any low alien can be dodged."""
        flying = self.danger_of_shots(1)
        calm = ALL
        for alien in bottoms:
            if alien.y >= LOW_ALIEN_Y:
                danger = list(flying)
                self.mark_danger(
                    danger,
                    alien.x + SHOT_OFFSET_X,
                    alien.y + SHOT_OFFSET_Y - self.shot_speed,
                    self.shot_speed,
                    1,
                    1,
                )
                calm &= self.escape_positions(danger)
        return calm or ALL

    # ---- aiming ---------------------------------------------------------------------------

    def bottom_aliens(self, aliens):
        """The lowest alien of each column."""
        bottoms = []
        for alien in sorted(aliens, key=lambda a: -a.y):
            if all(abs(alien.x - other.x) > 4 for other in bottoms):
                bottoms.append(alien)
        return bottoms

    def my_flying_shot(self):
        """My shot in the air, or None."""
        for shot in self.shots:
            if shot.mine and (shot.missing == 0 or not shot.seen):
                return shot
        return None

    def flight_end(self, shot):
        """In how many steps my shot ends, and the alien that it will hit (or None)."""
        end, victim = max(1, int((shot.y - 8) // BULLET_SPEED)), None
        for alien in self.aliens:
            k = max(0, -int((alien.y + 8 - shot.y) // BULLET_SPEED))
            if (
                k < end
                and 0
                <= shot.x - alien.x - self.march[min(k, FORECAST - 1)][0]
                < ALIEN_WIDTH
            ):
                end, victim = k, alien
        return end + 1, victim

    def open_positions(self, shields):
        """The positions from which a shot does not hit a shield."""
        blocked = 0
        for shield in shields:
            blocked |= places(shield.x - BARREL - 1, shield.x + shield.w - BARREL)
        return ALL & ~blocked

    def reachable(self, x, steps):
        """The positions that can be reached from x in so many steps."""
        return places(x - CANNON_SPEED * steps, x + CANNON_SPEED * steps)

    def steps_to_height(self, y):
        """How long a shot flies from the muzzle to an alien at y."""
        return max(1, -((y + 8 - MUZZLE_Y) // BULLET_SPEED))

    def plan_alien(self, alien, ready, handicap):
        """The earliest shot at this alien: calm if possible, else risky, or None."""
        risky = None
        for wait in range(ready, ready + SEARCH):
            flight = self.steps_to_height(alien.y + self.march[wait][1])
            x = alien.x + self.march[wait + flight][0] - BARREL
            fit = (
                places(x + 1, x + ALIEN_WIDTH - 2)
                & self.open
                & self.reachable(self.x, wait)
            )
            cost = wait + flight + handicap
            if fit & self.calm:
                calm = Plan(
                    wait, wait + flight, nearest_place(fit & self.calm, self.x), cost
                )
                return calm if risky is None or cost < risky.cost else risky
            if fit and risky is None:
                risky = Plan(
                    wait,
                    wait + flight,
                    nearest_place(fit, self.x),
                    cost + RISK_COST,
                    True,
                )
        return risky

    def plan_aliens(self, aliens, ready):
        """The quickest shot at any alien; low ones and outer columns are preferred."""
        if not aliens:
            return None
        bottoms = self.bottom_aliens(aliens)
        lowest = self.lowest_y()
        outer = {min(a.x for a in bottoms), max(a.x for a in bottoms)}
        plans = []
        for alien in bottoms:
            handicap = 0.2 * (lowest - alien.y) if lowest >= URGENT_Y else 0
            plans.append(
                self.plan_alien(alien, ready, handicap - 2 * (alien.x in outer))
            )
        return min((p for p in plans if p), key=lambda p: p.cost, default=None)

    def gaps(self, aliens, wait):
        """The positions from which a shot fired after wait steps passes between all aliens."""
        blocked = 0
        for alien in aliens:
            x = alien.x + self.march[wait + self.steps_to_height(alien.y)][0] - BARREL
            blocked |= places(x - 2, x + ALIEN_WIDTH + 1)
        return ALL & ~blocked

    def plan_satellite(self, satellites, aliens, ready, start):
        """The earliest shot at a satellite from x start on, or None."""
        for satellite in satellites:
            speed = (
                satellite.dx
                if 0 < abs(satellite.dx) <= 3
                else (1 if satellite.x < 80 else -1)
            )
            for wait in range(ready, ready + SEARCH):
                x = satellite.x + speed * (wait + SATELLITE_FLIGHT) - BARREL
                fit = (
                    places(x + 1, x + SATELLITE_WIDTH - 2)
                    & self.open
                    & self.reachable(start, wait)
                )
                fit = fit and fit & self.gaps(aliens, wait)
                if fit:
                    return Plan(
                        wait, wait + SATELLITE_FLIGHT, nearest_place(fit, start), 0
                    )
        return None

    def choose_plan(self, satellites):
        """The next shot: a satellite if one can be met, an alien if it does not cost it."""
        flying = self.my_flying_shot()
        ready, victim = self.flight_end(flying) if flying else (0, None)
        aliens = [a for a in self.aliens if a is not victim]
        alien_plan = self.plan_aliens(aliens, ready)
        if not satellites or self.lowest_y() >= LANDING_Y:
            return alien_plan
        now = self.plan_satellite(satellites, aliens, ready, self.x)
        if now is None or alien_plan is None:
            return alien_plan or now
        later = self.plan_satellite(
            satellites, aliens, min(alien_plan.end + 2, 40), alien_plan.x
        )
        return alien_plan if later and later.wait <= now.wait + PATIENCE else now

    # ---- moving ---------------------------------------------------------------------------

    def place_after(self, move):
        """Where the cannon is after a move of -1, 0 or 1."""
        return min(RIGHT_WALL, max(LEFT_WALL, self.x + CANNON_SPEED * move))

    def moves_into(self, mask, moves=(0, -1, 1)):
        """Those moves that end in the mask."""
        return [m for m in moves if mask >> self.place_after(m) - LEFT_WALL & 1]

    def survivable_moves(self):
        """The moves after which all shots can be dodged, by the widest margin possible."""
        for margin in (2, 1, 0):
            moves = self.moves_into(self.escape_positions(self.danger_of_shots(margin)))
            if moves:
                return moves
        return [self.flight_from_shots()]

    def flight_from_shots(self):
        """The move away from the lowest shot, when no move is safe."""
        shots = [s for s in self.shots if not s.mine]
        if not shots:
            return 0
        lowest = max(shots, key=lambda s: s.y)
        return 1 if self.x + CANNON_WIDTH // 2 >= lowest.x else -1

    def decide_movement(self, plan):
        """The safe move that leads to the place of the next shot."""
        moves = self.survivable_moves()
        if plan is None or not plan.risky:
            moves = self.moves_into(self.calm, moves) or moves
        goal = plan.x if plan else 75
        return min(moves, key=lambda m: abs(self.place_after(m) - goal))

    def decide_shoot(self, plan):
        """Whether to shoot now: none of mine flies and the planned moment is here."""
        return plan is not None and plan.wait == 0 and self.my_flying_shot() is None

    def remember_my_shot(self, move):
        """Track the shot that is fired now; it shows up two steps later."""
        self.shots = [s for s in self.shots if not s.mine]
        self.shots.append(
            Shot(self.x + BARREL + move, MUZZLE_Y, -BULLET_SPEED, True, False)
        )

    def act(self, obs):
        """Return the index of the action to play."""
        self.step += 1
        if not obs["Player"]:
            return NOOP
        self.x = min(RIGHT_WALL, max(LEFT_WALL, obs["Player"][0].x))
        self.aliens = [a for a in obs["Alien"] if a.x > 0 and a.y > 0]
        self.track_shots(obs["Bullet"])
        self.watch_march()
        self.march = self.forecast_march()
        self.open = self.open_positions(obs["Shield"])
        self.calm = self.calm_positions(self.bottom_aliens(self.aliens))
        plan = self.choose_plan(obs["Satellite"])
        move, shoot = self.decide_movement(plan), self.decide_shoot(plan)
        if shoot:
            self.remember_my_shot(move)
        return ACTIONS[move, shoot]
