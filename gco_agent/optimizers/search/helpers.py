"""The helper methods that a rendered policy may contain, as the texts that become part of it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

_NEAREST = '''
    @staticmethod
    def nearest(things, me):
        """The one of things nearest to me; None if there is none."""
        return min(things, key=lambda o: abs(o.cx - me.cx) + abs(o.cy - me.cy), default=None)
'''
_EXTREME = '''
    @staticmethod
    def {name}(things):
        """The {name} of things; None if there is none."""
        return {pick}(things, key=lambda o: o.c{axis}, default=None)
'''
_FIRST_VALUE = '''
    @staticmethod
    def value_of(things):
        """The number that the first of things shows; 0 if there is none."""
        return things[0].value or 0 if things else 0
'''
_BOUNCE = '''
    @staticmethod
    def bounce(place, low, high):
        """Where something ends up that flies to place but bounces off walls at low and high."""
        width = high - low
        if width <= 1:
            return place
        place = (place - low) % (2 * width)
        return low + min(place, 2 * width - place)
'''
_CROSSING = '''
    def crossing_{axis}(self, thing, me, low, high):
        """Centre of thing in {axis} once it is level with me, bouncing between low and high."""
        steps = (me.c{other} - thing.c{other}) / thing.d{other} if thing.d{other} else 0
        if steps <= 0:
            return thing.c{axis}
        return self.bounce(thing.c{axis} + thing.d{axis} * steps, low, high)
'''
_AIM = '''
    @staticmethod
    def aim_{axis}(thing, at, gain, limit):
        """How far off centre to meet thing, by where at is; 0 if it is nowhere."""
        if at is None:
            return 0
        return max(-limit, min(limit, gain * (at.c{axis} - thing.c{axis})))
'''
_APPROACHES = '''
    @staticmethod
    def {name}_{axis}(thing, me):
        """Whether thing moves {where} me in {axis}."""
        return (me.c{axis} - thing.c{axis}) * thing.d{axis} {sign} 0
'''
_DIRECTION = '''
    @staticmethod
    def direction(target, position):
        """-1, 0 or +1: the way to go; nowhere without a target or within DEAD_ZONE of it."""
        if target is None or abs(target - position) <= DEAD_ZONE:
            return 0
        return 1 if target > position else -1
'''
_BEST_MOVE = '''
    def best_move(self, obs, me):
        """The first move, columns and rows, of the best path through the next HORIZON moves."""
@FACING        xs, column = self.places(me.cx, STRIDE[0], FIELD[0], FIELD[1])
        ys, row = self.places(me.cy, STRIDE[1], FIELD[2], FIELD[3])
        future = self.solve(self.costs(obs, me, xs, ys))
        best, chosen = np.inf, (0, 0)
        for move_x, move_y in MOVES:
            i, j = column + move_x, row + move_y
            if not (0 <= i < len(xs) and 0 <= j < len(ys)):
                continue
            loss = future[i, j]@TURN
            if loss < best - 1e-9:
                best, chosen = loss, (move_x, move_y)
        return chosen
'''
_FACING = """        face_x, face_y = self.facing
        self.facing = np.sign(me.dx) or face_x, np.sign(me.dy) or face_y
"""
_PLACES = '''
    @staticmethod
    def places(here, stride, low, high):
        """Places within reach on one axis, in strides from here, and which of them is here."""
        if not stride:
            return np.array([here]), 0
        back = min(HORIZON, max(0, int((here - low) / stride + 0.5)))
        ahead = min(HORIZON, max(0, int((high - here) / stride + 0.5)))
        return here + stride * np.arange(-back, ahead + 1), back
'''
_COSTS = '''
    def costs(self, obs, me, xs, ys):
        """What it costs to be at each place after each move: (HORIZON + 1, len(xs), len(ys))."""
        cost = np.zeros((len(xs), len(ys)))
        home, pull = @HOME
        if home[0] is not None:
            cost += pull / 100 * np.abs(xs - home[0])[:, None]
        if home[1] is not None:
            cost += pull / 100 * np.abs(ys - home[1])
        table = [row for worth in WORTHS for row in self.touches(obs, me, *worth)]
        if not table:
            return np.broadcast_to(cost, (HORIZON + 1, *cost.shape))
        x, y, dx, dy, reach_x, reach_y, points = np.array(table).T
        steps = TEMPO * np.arange(HORIZON + 1.0)[:, None]
        gap_x = np.abs((x + steps * dx)[:, :, None] - xs)
        gap_y = np.abs((y + steps * dy)[:, :, None] - ys)
        touch_x = (gap_x < reach_x[:, None]) * -points[:, None]
        touch_y = (gap_y < reach_y[:, None]) * 1.0
        return np.matmul(touch_x.transpose(0, 2, 1), touch_y) + cost
'''
_TOUCHES = '''
    def touches(self, obs, me, category, points, margin, line_up, lead, reach@SHOWS_NAME):
        """Of each thing: place, speed, how near I count as touching it in x and y, and points."""
        late = LATE if points < 0 else 0
        things = obs[category]
@SHOWS        for thing in things:
            _, dx, dy = self.speeds[category, thing.x, thing.y]
            reach_x = (thing.w + me.w) / 2 + margin + late * abs(dx)
            reach_y = (thing.h + me.h) / 2 + margin + late * abs(dy)
@DONE            flight = 0
            if line_up == "x":
                reach_x, reach_y, flight = margin, reach, lead * abs(thing.cy - me.cy)
            elif line_up == "y":
                reach_x, reach_y, flight = reach, margin, lead * abs(thing.cx - me.cx)
            x, y = thing.cx + flight * dx, thing.cy + flight * dy
            yield x, y, dx, dy, reach_x, reach_y, points
'''
_SHOWS = """        if shows and things:
            shown = shows(thing.value or 0 for thing in things)
            things = [thing for thing in things if (thing.value or 0) == shown]
"""
_DONE = """            is_here = abs(thing.cx - me.cx) < reach_x and abs(thing.cy - me.cy) < reach_y
            if shows and is_here:
                continue  # it has been touched, and will change
"""
_MEAN_SPEEDS = '''
    def mean_speeds(self, obs):
        """Steps that each thing was seen for, and its mean speed over the last MEMORY of them."""
        speeds = {}
        for category in {worth[0] for worth in WORTHS}:
            for thing in obs[category]:
                before = category, thing.x - thing.dx, thing.y - thing.dy
                steps, dx, dy = self.speeds.get(before, (-1, 0, 0))
                steps = min(steps + 1, MEMORY)
                dx += (thing.dx - dx) / max(1, steps)
                dy += (thing.dy - dy) / max(1, steps)
                speeds[category, thing.x, thing.y] = steps, dx, dy
        return speeds
'''
_SOLVE = '''
    @staticmethod
    def solve(cost):
        """The cost of the best path from each place after one move to the horizon."""
        n_x, n_y = cost.shape[1:]
        wall = np.full((n_x + 2, n_y + 2), np.inf)
        inside = wall[1:-1, 1:-1]
        moved = [wall[1 + a : 1 + a + n_x, 1 + b : 1 + b + n_y] for a, b in MOVES]
        future = cost[HORIZON]
        best = np.empty((n_x, n_y))
        for step in range(HORIZON - 1, 0, -1):
            inside[...] = future
            best[...] = future
            for place in moved[1:]:
                np.minimum(best, place, out=best)
            future = DISCOUNT * best
            future += cost[step]
        return future
'''
_TURNS = '''
    def turns(self, obs, me, move_x, move_y):
        """Whether a move turns me towards something that is lined up behind me."""
        face_x, face_y = self.facing
        for category, _, margin, line_up, _, reach, *_ in WORTHS:
            for thing in obs[category] if line_up else ():
                gap_x, gap_y = thing.cx - me.cx, thing.cy - me.cy
                if line_up == "x" and abs(gap_x) < margin and abs(gap_y) < reach:
                    if gap_y * move_y > 0 >= gap_y * face_y:
                        return True
                if line_up == "y" and abs(gap_y) < margin and abs(gap_x) < reach:
                    if gap_x * move_x > 0 >= gap_x * face_x:
                        return True
        return False
'''
_HOME = '''
    def home(self, obs, me):
        """Where to be if nothing else counts, and what a step 100 pixels from there costs."""
@NEED@ANCHOR        return HOME, PULL
'''
_NEED = """        if self.value_of(obs["@GAUGE"]) < NEED_BELOW:
            return NEED_PLACE, NEED_PULL
"""
_ANCHOR = """        thing = @THING
        if thing is not None:
            return self.beside(thing, me), PULL
"""
_BESIDE = '''
    @staticmethod
    def beside(thing, me):
        """The place at the distance BESIDE from thing, on the side where I am."""
        x, y = HOME
        if BESIDE[0] is not None:
            x = thing.cx + (BESIDE[0] if me.cx > thing.cx else -BESIDE[0])
        if BESIDE[1] is not None:
            y = thing.cy + (BESIDE[1] if me.cy > thing.cy else -BESIDE[1])
        return x, y
'''

HELPERS: dict[str, str] = {
    "nearest": _NEAREST,
    "highest": _EXTREME.format(name="highest", pick="min", axis="y"),
    "lowest": _EXTREME.format(name="lowest", pick="max", axis="y"),
    "leftmost": _EXTREME.format(name="leftmost", pick="min", axis="x"),
    "rightmost": _EXTREME.format(name="rightmost", pick="max", axis="x"),
    "value_of": _FIRST_VALUE,
    "bounce": _BOUNCE,
    "direction": _DIRECTION,
}
for _axis, _other in (("x", "y"), ("y", "x")):
    HELPERS[f"crossing_{_axis}"] = _CROSSING.format(axis=_axis, other=_other)
    HELPERS[f"aim_{_axis}"] = _AIM.format(axis=_axis)
    for _name, _where, _sign in (("approaches", "towards", ">"), ("leaves", "away from", "<")):
        HELPERS[f"{_name}_{_axis}"] = _APPROACHES.format(
            name=_name, axis=_axis, where=_where, sign=_sign
        )


def _method(text: str) -> str:
    return textwrap.indent(textwrap.dedent(text).strip("\n"), "    ")


def helper_methods(names: Iterable[str]) -> list[str]:
    """Return the texts of the helpers called ``names``, in a fixed order."""
    return [_method(HELPERS[name]) for name in sorted(names)]


def planner_methods(*, turns: bool, shows: bool, gauge: str, anchor: str) -> list[str]:
    """Return the texts of the methods that a policy with a plan has.

    Args:
        turns: Turning towards what is lined up counts.
        shows: Some worths depend on what things show.
        gauge: The gauge that counts, or "".
        anchor: The expression of what the home goes with, or "".
    """
    need = _NEED.replace("@GAUGE", gauge) if gauge else ""
    home = _HOME.replace("@NEED", need).replace(
        "@ANCHOR", _ANCHOR.replace("@THING", anchor) if anchor else ""
    )
    turn = " - TURN * self.turns(obs, me, move_x, move_y)" if turns else ""
    best_move = _BEST_MOVE.replace("@TURN", turn).replace("@FACING", _FACING if turns else "")
    touches = _TOUCHES.replace("@SHOWS_NAME", ", shows" if shows else "")
    texts = [
        *([home] if gauge or anchor else []),
        *([_BESIDE] if anchor else []),
        best_move,
        *([_TURNS] if turns else []),
        _PLACES,
        _COSTS.replace("@HOME", "self.home(obs, me)" if gauge or anchor else "HOME, PULL"),
        _MEAN_SPEEDS,
        touches.replace("@SHOWS", _SHOWS if shows else "").replace("@DONE", _DONE if shows else ""),
        _SOLVE,
    ]
    return [_method(text) for text in texts]
