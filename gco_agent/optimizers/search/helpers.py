"""The helper methods that a rendered policy may contain, each with what it calls in turn."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Helper:
    """One method of a rendered policy; ``calls`` names the helpers its text needs."""

    text: str
    calls: tuple[str, ...] = ()


def _method(text: str) -> str:
    return textwrap.indent(textwrap.dedent(text).strip("\n"), "    ")


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
_NEAREST = '''
    @staticmethod
    def nearest(things, me):
        """The one of things nearest to me; None if there is none."""
        return min(things, key=lambda o: abs(o.cx - me.cx) + abs(o.cy - me.cy), default=None)
'''
_NEAREST_IN = '''
    @staticmethod
    def nearest_in_{axis}(things, me):
        """The one of things nearest to me in {axis}; None if there is none."""
        return min(things, key=lambda o: abs(o.c{axis} - me.c{axis}), default=None)
'''
_EXTREME = '''
    @staticmethod
    def {name}(things):
        """The {name} of things; None if there is none."""
        return {pick}(things, key=lambda o: o.c{axis}, default=None)
'''
_BY_VALUE = '''
    @staticmethod
    def {choice}(things, me):
        """The one of things that shows the {choice}, of several the nearest to me; None if none."""
        return min(
            things,
            key=lambda o: ({sign}(o.value or 0), abs(o.cx - me.cx) + abs(o.cy - me.cy)),
            default=None,
        )
'''
_FIRST_VALUE = '''
    @staticmethod
    def value_of(things):
        """The number that the first of things shows; 0 if there is none."""
        return things[0].value or 0 if things else 0
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
_AWAY = '''
    @staticmethod
    def away_from(place, position, distance):
        """A place at distance from position, on the side away from place."""
        return position + distance if position > place else position - distance
'''
_APPROACHES = '''
    @staticmethod
    def approaches_{axis}(thing, me):
        """Whether thing moves towards me in {axis}."""
        return (me.c{axis} - thing.c{axis}) * thing.d{axis} > 0
'''
_LEAVES = '''
    @staticmethod
    def leaves_{axis}(thing, me):
        """Whether thing moves away from me in {axis}."""
        return (me.c{axis} - thing.c{axis}) * thing.d{axis} < 0
'''
_CONTACT = '''
    @staticmethod
    def steps_to_contact(thing, me, shift_x, shift_y, margin):
        """Steps until thing touches me, were I shifted so; infinite if it will pass by."""
        gap_x = thing.cx - me.cx - shift_x
        gap_y = thing.cy - me.cy - shift_y
        reach_x = (thing.w + me.w) / 2
        reach_y = (thing.h + me.h) / 2
        steps = math.inf
        if abs(gap_y) < reach_y + margin:
            if abs(gap_x) < reach_x:
                return 0
            if gap_x * thing.dx < 0:
                steps = (abs(gap_x) - reach_x) / abs(thing.dx)
        if abs(gap_x) < reach_x + margin and gap_y * thing.dy < 0:
            steps = min(steps, (abs(gap_y) - reach_y) / abs(thing.dy))
        return max(steps, 0)
'''
_FIRST = '''
    def first_to_reach(self, things, me, shift_x, shift_y, margin):
        """The one of things that would touch me first, were I shifted so; None if none will."""

        def steps(thing):
            return self.steps_to_contact(thing, me, shift_x, shift_y, margin)

        first = min(things, key=steps, default=None)
        return first if first is not None and steps(first) < math.inf else None
'''
_DIRECTION = '''
    @staticmethod
    def direction(target, position):
        """-1, 0 or +1: the way to go; nowhere without a target or within DEAD_ZONE of it."""
        if target is None or abs(target - position) <= DEAD_ZONE:
            return 0
        return 1 if target > position else -1
'''

HELPERS: dict[str, Helper] = {
    "nearest": Helper(_NEAREST),
    "highest": Helper(_EXTREME.format(name="highest", pick="min", axis="y")),
    "lowest": Helper(_EXTREME.format(name="lowest", pick="max", axis="y")),
    "leftmost": Helper(_EXTREME.format(name="leftmost", pick="min", axis="x")),
    "rightmost": Helper(_EXTREME.format(name="rightmost", pick="max", axis="x")),
    "least": Helper(_BY_VALUE.format(choice="least", sign="")),
    "most": Helper(_BY_VALUE.format(choice="most", sign="-")),
    "value_of": Helper(_FIRST_VALUE),
    "first_to_reach": Helper(_FIRST, ("steps_to_contact",)),
    "steps_to_contact": Helper(_CONTACT),
    "away_from": Helper(_AWAY),
    "bounce": Helper(_BOUNCE),
    "direction": Helper(_DIRECTION),
}
for _axis, _other in (("x", "y"), ("y", "x")):
    HELPERS[f"nearest_in_{_axis}"] = Helper(_NEAREST_IN.format(axis=_axis))
    HELPERS[f"crossing_{_axis}"] = Helper(_CROSSING.format(axis=_axis, other=_other), ("bounce",))
    HELPERS[f"aim_{_axis}"] = Helper(_AIM.format(axis=_axis))
    HELPERS[f"approaches_{_axis}"] = Helper(_APPROACHES.format(axis=_axis))
    HELPERS[f"leaves_{_axis}"] = Helper(_LEAVES.format(axis=_axis))


def helper_methods(names: Iterable[str]) -> list[str]:
    """Texts of the helpers called ``names`` and of all that they call, in a fixed order."""
    needed = set(names)
    for name in tuple(needed):
        needed.update(HELPERS[name].calls)
    return [_method(HELPERS[name].text) for name in sorted(needed)]


PLANNER = '''
    def best_move(self, obs, me):
        """The first move, columns and rows, of the best path through the next HORIZON steps."""
        xs, column = self.places(me.cx, STRIDE[0], FIELD[0], FIELD[1])
        ys, row = self.places(me.cy, STRIDE[1], FIELD[2], FIELD[3])
        future = self.solve(self.costs(obs, me, xs, ys))
        best, chosen = np.inf, (0, 0)
        for move_x, move_y in MOVES:
            i, j = column + move_x, row + move_y
            if 0 <= i < len(xs) and 0 <= j < len(ys) and future[i, j] < best - 1e-9:
                best, chosen = future[i, j], (move_x, move_y)
        return chosen

    @staticmethod
    def places(here, stride, low, high):
        """Places within reach on one axis, in strides from here, and which of them is here."""
        if not stride:
            return np.array([here]), 0
        back = min(HORIZON, max(0, int((here - low) / stride + 0.5)))
        ahead = min(HORIZON, max(0, int((high - here) / stride + 0.5)))
        return here + stride * np.arange(-back, ahead + 1), back

    @staticmethod
    def costs(obs, me, xs, ys):
        """What it costs to be at each place after each step: (HORIZON + 1, len(xs), len(ys))."""
        cost = np.zeros((len(xs), len(ys)))
        if HOME[0] is not None:
            cost += PULL / 100 * np.abs(xs - HOME[0])[:, None]
        if HOME[1] is not None:
            cost += PULL / 100 * np.abs(ys - HOME[1])
        table = []
        for category, points, margin, line_up, lead in WORTHS:
            late = LATE if points < 0 else 0
            for thing in obs[category]:
                reach_x = (thing.w + me.w) / 2 + margin + late * abs(thing.dx)
                reach_y = (thing.h + me.h) / 2 + margin + late * abs(thing.dy)
                flight = 0
                if line_up == "x":
                    reach_y, flight = 999, lead * abs(thing.cy - me.cy)
                elif line_up == "y":
                    reach_x, flight = 999, lead * abs(thing.cx - me.cx)
                x, y = thing.cx + flight * thing.dx, thing.cy + flight * thing.dy
                table.append((x, y, thing.dx, thing.dy, reach_x, reach_y, points))
        if not table:
            return np.broadcast_to(cost, (HORIZON + 1, *cost.shape))
        x, y, dx, dy, reach_x, reach_y, points = np.array(table).T
        steps = np.arange(HORIZON + 1.0)[:, None]
        gap_x = np.abs((x + steps * dx)[:, :, None] - xs)
        gap_y = np.abs((y + steps * dy)[:, :, None] - ys)
        touch_x = (gap_x < reach_x[:, None]) * -points[:, None]
        touch_y = (gap_y < reach_y[:, None]) * 1.0
        return np.matmul(touch_x.transpose(0, 2, 1), touch_y) + cost

    @staticmethod
    def solve(cost):
        """The cost of the best path from each place after one step to the horizon."""
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


def planner_methods() -> str:
    """Text of the methods that a policy with a plan has."""
    return _method(PLANNER)
