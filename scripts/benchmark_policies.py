"""A policy for each game, of the kind that an optimizer writes: look for something, then act.

Two functions a game, GAME_analyze(obs) and GAME_select(obs, found), so that the benchmark can play
them in the jail, in this process, and decorated by Trace. They read only what OCAtari's own objects
have too: x, y, w, h, dx, dy.
"""


def pong_analyze(obs):
    """Where the ball will cross my paddle's column, walls included."""
    if not obs.get("Ball") or not obs.get("Player"):
        return None
    ball, me = obs["Ball"][0], obs["Player"][0]
    if ball.dx <= 0:
        return ball.y
    y = ball.y + ball.dy * (me.x - ball.x) / ball.dx
    for _ in range(8):
        if y < 34:
            y = 68 - y
        elif y > 190:
            y = 380 - y
    return y


def pong_select(obs, target):
    if target is None:
        return 0
    me = obs["Player"][0]
    gap = target - (me.y + me.h / 2)
    return 0 if abs(gap) < 4 else 3 if gap > 0 else 2


def breakout_analyze(obs):
    """Where the ball will come down; above the wall, the column with the most bricks."""
    if not obs.get("Ball"):
        return None
    ball = obs["Ball"][0]
    if ball.dy <= 0:
        widest = max(obs.get("Block") or [ball], key=lambda block: (block.y, block.w))
        return (ball.x + widest.x + widest.w / 2) / 2
    return ball.x + ball.dx * (189 - ball.y) / ball.dy


def breakout_select(obs, target):
    if target is None or not obs.get("Player"):
        return 1
    me = obs["Player"][0]
    gap = target - (me.x + me.w / 2)
    return 0 if abs(gap) < 4 else 2 if gap > 0 else 3


def space_invaders_analyze(obs):
    """The alien to aim at, and whether a bullet falls on me."""
    if not obs.get("Player"):
        return None
    me = obs["Player"][0]
    falling = [b for b in obs.get("Bullet", ()) if abs(b.x - me.x) < 9 and b.y > 90]
    aliens = obs.get("Alien", ())
    nearest = min(aliens, key=lambda a: (-a.y, abs(a.x - me.x)), default=None)
    return nearest, falling


def space_invaders_select(obs, found):
    if found is None:
        return 1
    nearest, falling = found
    me = obs["Player"][0]
    if falling:
        return 2 if falling[0].x <= me.x + 3 else 3
    if nearest is None or abs(nearest.x - me.x) < 4:
        return 1
    return 4 if nearest.x > me.x else 5


def freeway_analyze(obs):
    """Whether a car is about to cross my way in the next lane."""
    if not obs.get("Chicken"):
        return False
    me = obs["Chicken"][0]
    ahead = [c for c in obs.get("Car", ()) if 0 < me.y - c.y < 22]
    return any(abs(c.x + 2 * c.dx - me.x) < 14 for c in ahead)


def freeway_select(obs, is_blocked):
    return 0 if is_blocked else 1


def asterix_analyze(obs):
    """The nearest thing to take that no enemy shares a row with."""
    if not obs.get("Player"):
        return None
    me = obs["Player"][0]
    rows = {e.y // 16 for e in obs.get("Enemy", ()) if abs(e.x - me.x) < 40}
    things = [
        t for kind, members in obs.items() if kind not in ("Enemy", "Player") for t in members
    ]
    safe = [t for t in things if t.y // 16 not in rows]
    return min(safe, key=lambda t: abs(t.x - me.x) + abs(t.y - me.y), default=None)


def asterix_select(obs, thing):
    if thing is None:
        return 0
    me = obs["Player"][0]
    if abs(thing.y - me.y) > 6:
        return 1 if thing.y < me.y else 4
    return 2 if thing.x > me.x else 3


def enduro_analyze(obs):
    """The car that I would hit next."""
    if not obs.get("Player"):
        return None
    me = obs["Player"][0]
    close = [c for c in obs.get("Car", ()) if abs(c.y - me.y) < 30 and abs(c.x - me.x) < 18]
    return max(close, key=lambda c: c.y, default=None)


def enduro_select(obs, car):
    if car is None:
        return 1
    return 8 if car.x > obs["Player"][0].x else 7


def qbert_analyze(obs):
    """Which cubes are near, and what hunts me."""
    if not obs.get("Player"):
        return None
    me = obs["Player"][0]
    hunters = [
        t
        for kind, members in obs.items()
        if kind not in ("Player", "Cube", "Disk")
        for t in members
    ]
    danger = [h for h in hunters if abs(h.x - me.x) + abs(h.y - me.y) < 50]
    cubes = sorted(obs.get("Cube", ()), key=lambda c: abs(c.x - me.x) + abs(c.y - me.y))
    return danger, cubes[:4]


def qbert_select(obs, found):
    if found is None:
        return 0
    danger, cubes = found
    me = obs["Player"][0]
    if danger:
        return 2 if danger[0].y > me.y else 5
    right = sum(c.x > me.x for c in cubes)
    return 3 if right * 2 >= len(cubes) and me.y < 150 else 4 if me.y < 150 else 2


def seaquest_analyze(obs):
    """The nearest enemy and the nearest diver."""
    if not obs.get("Player"):
        return None
    me = obs["Player"][0]
    enemies = [*obs.get("Shark", ()), *obs.get("Submarine", ())]
    nearest = min(enemies, key=lambda e: abs(e.x - me.x) + 2 * abs(e.y - me.y), default=None)
    diver = min(obs.get("Diver", ()), key=lambda d: abs(d.y - me.y), default=None)
    air = obs["OxygenBar"][0].w if obs.get("OxygenBar") else 0
    return nearest, diver, air


def seaquest_select(obs, found):
    if found is None:
        return 1
    nearest, diver, air = found
    me = obs["Player"][0]
    if air < 12 and me.y > 50:
        return 10
    goal = diver or nearest
    if goal is None:
        return 1
    if abs(goal.y - me.y) > 8:
        return 13 if goal.y > me.y else 10
    return 11 if goal.x > me.x else 12
