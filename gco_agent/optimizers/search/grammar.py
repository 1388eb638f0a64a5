"""Random programs for a `World`, and random changes to programs.

Everything is drawn from the generator that is passed in, so a seed gives the same programs.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence

from gco_agent.optimizers.search.genome import (
    CHOICES,
    Aim,
    Always,
    Anchor,
    Approaching,
    Axis,
    Constant,
    GoTo,
    Guard,
    Intercept,
    LineUp,
    Missing,
    Near,
    Need,
    Pick,
    Plan,
    Program,
    Pulse,
    Rule,
    Rules,
    Shows,
    Stay,
    Target,
    Track,
    Trigger,
    When,
    Worth,
    constants,
    with_values,
)
from gco_agent.optimizers.search.world import BEYOND_PX, World

MAX_RULES = 6
MAX_WORTHS = 8
MAX_GUARDS = 3
_PLANS = 0.5
"""Share of new programs that plan."""
_THOROUGH = 0.4
"""Share of new plans in which everything counts that is known to lead to something."""
_ANCHORED = 0.2
"""Share of new plans whose home goes with a thing."""
_TOLD = 2
"""Times as often as others that a category is drawn of which something is known."""
_BAD_SHARE = 0.2
"""Share of contacts followed by the loss of a life from which a category counts as bad."""


class Grammar:
    """Samples and mutates programs for one world."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self._world = world
        self._rng = rng

    def program(self) -> Program:
        """Draw a new program: one that plans, or one of one to four rules."""
        world = self._world
        if world.axes and world.strides and self._chance(_PLANS):
            return Program(self.plan(), self.triggers())
        rules = [self.rule() for _ in range(self._rng.choice((1, 1, 2, 2, 3, 4)))]
        if self._chance(0.4):
            axis = self.axis()
            rules.append(Rule(axis, None, (), GoTo(self._place(axis))))
        dead_zone = Constant(self._rng.uniform(0.5, 12), 3)
        coasting = Constant(0.0 if self._chance(0.4) else self._rng.uniform(0, 1.5), 0.4)
        return Program(Rules(tuple(rules), dead_zone, coasting), self.triggers())

    def mutate(self, program: Program, mate: Program) -> Program:
        """Make one to three random changes; ``mate`` lends parts for crossover."""
        for _ in range(self._rng.choice((1, 1, 1, 2, 3))):
            kind = self._rng.choices(("constant", "constants", "moves", "fire"), (24, 10, 36, 8))[0]
            moves = program.moves
            if kind == "moves" and isinstance(moves, Plan):
                mated = mate.moves if isinstance(mate.moves, Plan) else None
                program = dataclasses.replace(program, moves=self._change_plan(moves, mated))
            elif kind == "moves" and isinstance(moves, Rules):
                lent = mate.moves.rules if isinstance(mate.moves, Rules) else ()
                rules = self._change_rules(list(moves.rules), lent)[:MAX_RULES]
                changed = dataclasses.replace(moves, rules=tuple(map(self._meaningful, rules)))
                program = dataclasses.replace(program, moves=changed)
            elif kind == "fire":
                fire = mate.fire if self._chance(0.3) else self.triggers()
                program = dataclasses.replace(program, fire=fire)
            else:
                program = self._move_constants(program, all_at_once=kind == "constants")
        return program

    # Parts

    def _chance(self, share: float) -> bool:
        return self._rng.random() < share

    def axis(self) -> Axis:
        """Draw an axis that the player can be moved on (any, if it cannot be moved at all)."""
        return self._rng.choice(self._world.axes or ("x", "y"))

    def _any_axis(self) -> Axis:
        return self._rng.choice(("x", "y"))

    def category(self) -> str:
        """Draw something other than the player: more often what is known to lead to something."""
        names = self._world.categories or (self._world.player,)
        weights = [_TOLD if self._world.tells(name) else 1 for name in names]
        return self._rng.choices(names, weights)[0]

    def pick(self) -> Pick:
        """Draw an object; mostly the nearest, and always where there is but one."""
        category = self.category()
        choice = "nearest" if self._chance(0.4) else self._rng.choice(CHOICES)
        return Pick(category, choice if self._world.most.get(category, 2) > 1 else "nearest")

    def _place(self, axis: Axis) -> Constant:
        low, high = self._world.extent(axis)
        return Constant(self._rng.uniform(low, high), 20)

    def _offset(self, share: float, deviation: float) -> Constant | None:
        return Constant(self._rng.gauss(0, deviation), 5) if self._chance(share) else None

    def guard(self) -> Guard:
        """Draw a condition on the subject."""
        flag = self._chance(0.5)
        if self._chance(0.4):
            return Approaching(self._any_axis(), flag)
        limit = Constant(abs(self._rng.gauss(0, 25)) + 2, 10)
        return Near(self._any_axis(), farther=flag and self._chance(0.5), limit=limit)

    def target(self, axis: Axis) -> Target:
        """Draw a target on an axis."""
        kind = self._rng.choices(range(5), (3, 1, 4, 1, 1))[0]
        if kind in (0, 1):
            steps = Constant(self._rng.uniform(0, 8), 3) if kind else None
            return Track(steps, self._offset(0.5, 6))
        if kind == 2:  # noqa: PLR2004 - a kind
            return Intercept(self._offset(0.3, 6), self._aim() if self._chance(0.6) else None)
        return Stay() if kind == 3 else GoTo(self._place(axis))  # noqa: PLR2004 - a kind

    def _aim(self) -> Aim:
        rng = self._rng
        return Aim(self.pick(), Constant(rng.gauss(0, 0.2), 0.2), Constant(rng.uniform(1, 10), 4))

    def rule(self) -> Rule:
        """Draw a rule; a plain interception is the most frequent."""
        rng, axis = self._rng, self.axis()
        if self._chance(0.2):
            coming = (Approaching(self._any_axis(), away=False),) if self._chance(0.4) else ()
            nearest = Pick(self.category(), "nearest")
            return self._meaningful(Rule(axis, nearest, coming, Intercept(None, self._aim())))
        guards = tuple(self.guard() for _ in range(rng.choice((0, 0, 1, 1, 1, 2))))
        return self._meaningful(Rule(axis, self.pick(), guards, self.target(axis)))

    def _meaningful(self, rule: Rule) -> Rule:
        """Aim at something else if a rule was aimed at the very thing that it meets."""
        target, subject = rule.target, rule.subject
        if not isinstance(target, Intercept) or target.aim is None or subject is None:
            return rule
        at = target.aim.at
        if at.category != subject.category or self._world.most.get(subject.category, 2) > 1:
            return rule
        others = [c for c in self._world.categories if c != subject.category]
        aim = None
        if others:
            at = dataclasses.replace(at, category=self._rng.choice(others))
            aim = dataclasses.replace(target.aim, at=at)
        return dataclasses.replace(rule, target=Intercept(target.offset, aim))

    def triggers(self) -> tuple[Trigger, ...]:
        """Draw when to press fire; never, where no action does."""
        if not self._world.has_fire:
            return ()
        rng, kind = self._rng, self._rng.randrange(8)
        pulse = Pulse(Constant(float(rng.choice((2, 2, 2, 3, 5, 8, 16, 32))), 4))
        if kind == 0:
            return ()
        if kind in (1, 2):
            return (Always(),)
        if kind in (4, 5):
            missing = Missing(self.category())
            return (missing, pulse) if kind == 5 else (missing,)  # noqa: PLR2004 - a kind
        if kind in (3, 6):
            return (pulse,)
        level = Near(self._any_axis(), farther=False, limit=Constant(rng.uniform(2, 20), 6))
        return (When(self.pick(), (level if self._chance(0.6) else self.guard(),)),)

    # Plans

    def plan(self) -> Plan:
        """Draw a plan from the observed consequences of contact; guess the unknown ones."""
        rng, world = self._rng, self._world
        known = 1.0 if self._chance(_THOROUGH) else 0.8
        wanted = [
            c for c in world.categories if self._chance(known if world.tells(c) else 1.15 - known)
        ]
        hop = world.hop if self._chance(0.8) else None
        strides = hop[:2] if hop else [rng.choice(pair) for pair in world.strides]
        worths = [worth for category in wanted for worth in self._worths(category)]
        if hop and world.ground:
            worths = [*self._grounded(), *(w for w in worths if w.category != world.ground)]
        is_aiming = any(worth.line_up for worth in worths) and self._chance(0.6)
        return Plan(
            tuple(worths[:MAX_WORTHS]),
            self._home("x"),
            self._home("y"),
            Constant(rng.choice((0.1, 0.3, 1.0, 3.0)) * world.unit, 0.3 * world.unit),
            Constant(strides[0] if "x" in world.axes else 0.0, 0.15 * strides[0]),
            Constant(strides[1] if "y" in world.axes else 0.0, 0.15 * strides[1]),
            Constant(hop[2], 0.1 * hop[2]) if hop else None,
            Constant(rng.choice((0.0, 0.5, 1.0)), 0.3),
            Constant(float(rng.choice((1, 4, 8, 16))), 3),
            Constant(float(rng.choice((8, 15) if hop else (10, 15, 20, 25, 30))), 5),
            Constant(rng.uniform(0, 20) * world.unit, 4 * world.unit) if is_aiming else None,
            self._anchor() if self._chance(_ANCHORED) else None,
            self._need() if self._chance(0.8 if self._refilled() else 0.3) else None,
        )

    def _grounded(self) -> list[Worth]:
        """Draw what keeps the player on the ground, and what makes it go over all of it."""
        rng, world = self._rng, self._world
        margin, size = Constant(rng.uniform(-2, 5), 2), world.unit * 10 ** rng.uniform(0.3, 1)
        stay = Worth(world.ground, Constant(size, 0.4 * size), margin, None)
        if world.ground not in world.values or self._chance(0.2):
            return [stay]
        shows: Shows = "the least" if self._chance(0.7) else "the most"
        points = Constant(world.unit, 0.4 * world.unit)
        return [stay, Worth(world.ground, points, margin, None, shows)]

    def _worths(self, category: str) -> list[Worth]:
        """Draw what a category may be worth: of what hurts and can be shot, mostly both."""
        if self._hurts(category) and self._is_target(category) and self._chance(0.7):
            return [self.worth(category, is_shot_at=is_shot_at) for is_shot_at in (False, True)]
        return [self.worth(category)]

    def _hurts(self, category: str) -> bool:
        known = self._world.contacts.get(category)
        if known is None:
            return False
        return known.n_lost > _BAD_SHARE * known.n or known.sets_back

    def _is_target(self, category: str) -> bool:
        return self._world.pays(self._world.hits.get(category))

    def worth(self, category: str, *, is_shot_at: bool | None = None) -> Worth:
        """Draw what a category may be worth, by what followed contact with it."""
        rng, world = self._rng, self._world
        known = world.contacts.get(category)
        if is_shot_at is None:
            is_shot_at = self._is_target(category) and self._chance(0.8)
        is_bad = self._hurts(category) and not is_shot_at
        is_good = is_shot_at or (world.pays(known) and not is_bad)
        if not is_bad and not is_good:
            is_bad = self._chance(0.5)
        line_up, margin = None, rng.uniform(0, 6) if is_bad else rng.uniform(-3, 2)
        if world.has_fire and not is_bad and (is_shot_at or self._chance(0.4)):
            line_up, margin = self._line_up(category)
        powers = (0.3, 2.5) if is_bad else (-0.5, 0.7) if line_up is None else (-1.2, 0.5)
        size = world.unit * 10 ** rng.uniform(*powers)
        shows: Shows = "anything"
        if world.most.get(category, 0) > 1 and category in world.values and self._chance(0.6):
            shows = rng.choice(("the least", "the most"))
        points = Constant(-size if is_bad else size, 0.4 * size)
        return Worth(category, points, Constant(margin, 2), line_up, shows)

    def _line_up(self, category: str) -> tuple[LineUp, float]:
        """Draw how to line up, as shots fly, or where rewards came, or at random; and how well."""
        shot, gap, rng = self._world.shot, self._world.gaps.get(category), self._rng
        axis, lead, reach = self._any_axis(), rng.uniform(0, 0.4), rng.uniform(10, 80)
        margin = rng.uniform(2, 12)
        if shot is not None and self._chance(0.8):
            axis, lead = shot[0], rng.uniform(0.5, 1.2) / max(1.0, shot[1])
        elif gap is not None and self._chance(0.8):
            axis, lead = ("y" if gap.x > gap.y else "x"), 0.0
            reach, margin = max(gap.x, gap.y), min(gap.x, gap.y) + 1
            reach, margin = reach * rng.uniform(0.8, 1.3), margin * rng.uniform(0.6, 1.4)
        is_any = rng.random() < (0.2 if shot is None else 0.6)
        return LineUp(axis, Constant(lead, 0.1), None if is_any else Constant(reach, 10)), margin

    def _refilled(self) -> list[str]:
        """Return the gauges that were seen to rise."""
        return [gauge for gauge in self._world.gauges if gauge in self._world.places]

    def _need(self) -> Need | None:
        """Draw a place to be at while a gauge is low: mostly where it was seen to rise."""
        world, rng = self._world, self._rng
        gauges = self._refilled() or list(world.gauges)
        if not gauges or not world.axes:
            return None
        gauge, axis = rng.choice(gauges), self.axis()
        place, (low, high) = world.places.get(gauge), world.values[gauge]
        limit = Constant(rng.uniform(low, (low + 2 * high) / 3), (high - low) / 6)
        where = self._place(axis)
        if place is not None and self._chance(0.8):
            where = Constant(place.x if axis == "x" else place.y, 10)
        pull = Constant(rng.choice((10.0, 30.0, 100.0)) * world.unit, 10 * world.unit)
        return Need(gauge, limit, axis, where, pull)

    def _home(self, axis: Axis) -> Constant | None:
        """Draw a place to prefer: an end, the middle, where a reward came, anywhere, or none."""
        world, kind = self._world, self._rng.randrange(6)
        low, high = world.extent(axis, world.player)
        reward = world.places.get("")
        paid = None if reward is None else (reward.x if axis == "x" else reward.y)
        places = (low - BEYOND_PX, high + BEYOND_PX, (low + high) / 2, paid)
        place = (*places, self._rng.uniform(low, high), None)[kind]
        return None if place is None or axis not in world.axes else Constant(place, 10)

    def _anchor(self) -> Anchor:
        """Draw what to be beside, and how far off: mostly less than where rewards came."""
        subject = self.pick()
        gap = self._world.gaps.get(subject.category)
        offs: list[Constant | None] = []
        for axis in ("x", "y"):
            usual = 20.0 if gap is None else gap.x if axis == "x" else gap.y
            off = 0.0 if self._chance(0.2) else usual * self._rng.uniform(0.2, 1.2)
            is_meant = axis in self._world.axes and self._chance(0.9)
            offs.append(Constant(off, 4) if is_meant else None)
        return Anchor(subject, *offs)

    def _change_plan(self, plan: Plan, mate: Plan | None) -> Plan:
        """Change what counts in a plan or where it is at home, or take that from another plan."""
        worths, rng = list(plan.worths), self._rng
        kinds = ("drop", "redraw", "borrow", "x", "y", "anchor", "need", "turn", "add", "add")
        kind = rng.choice(kinds)
        if kind == "x":
            return dataclasses.replace(plan, home_x=self._home("x"))
        if kind == "y":
            return dataclasses.replace(plan, home_y=self._home("y"))
        if kind == "anchor":
            anchor = self._anchor() if self._chance(0.7) else None
            return dataclasses.replace(plan, anchor=anchor)
        if kind == "need":
            return dataclasses.replace(plan, need=self._need())
        if kind == "turn" and self._world.has_fire:
            unit = self._world.unit
            turn = Constant(rng.uniform(0, 20) * unit, 4 * unit) if self._chance(0.7) else None
            return dataclasses.replace(plan, turn=turn)
        if kind == "drop" and worths:
            worths.pop(rng.randrange(len(worths)))
        elif kind == "redraw" and worths:
            at = rng.randrange(len(worths))
            worths[at] = self.worth(worths[at].category)
        elif kind == "borrow" and mate is not None and mate.worths:
            worths.append(rng.choice(mate.worths))
        else:
            worths.append(self.worth(self.category()))
        kept = {(w.category, w.line_up and w.line_up.axis, w.shows): w for w in worths}
        return dataclasses.replace(plan, worths=tuple(kept.values())[-MAX_WORTHS:])

    # Rules

    def _change_rules(self, rules: list[Rule], lent: Sequence[Rule]) -> list[Rule]:
        """Add, drop, borrow, refine or swap a rule, or change a part of one."""
        rng = self._rng
        kinds = ("add", "drop", "swap", "lend", "refine", "guard", "target", "subject", "axis")
        kind = rng.choices(kinds, (10, 5, 4, 6, 3, 12, 8, 8, 2))[0]
        place = rng.randrange(len(rules) + 1)
        if kind == "add" or not rules:
            rules.insert(place, self.rule())
        elif kind == "lend" and lent:
            rules.insert(place, rng.choice(lent))
        elif kind == "refine":  # a special case of a rule before it: the same with one more guard
            rules.insert(place, self._with_guard(rng.choice(rules)))
        elif kind == "drop":
            del rules[place : place + 1]
        elif kind == "swap":
            other = rng.randrange(len(rules))
            rules.insert(other, rules.pop(place % len(rules)))
        else:
            at = place % len(rules)
            rules[at] = self._changed(rules[at], kind)
        return rules or [self.rule()]

    def _with_guard(self, rule: Rule) -> Rule:
        guards = (*rule.guards, self.guard())[-MAX_GUARDS:]
        return dataclasses.replace(rule, subject=rule.subject or self.pick(), guards=guards)

    def _changed(self, rule: Rule, part: str) -> Rule:
        subject = rule.subject or self.pick()
        if part == "axis":
            return dataclasses.replace(rule, axis=self.axis())
        if part == "target":
            return dataclasses.replace(rule, subject=subject, target=self.target(rule.axis))
        if part == "subject":
            category = self.pick().category if self._chance(0.5) else subject.category
            choice = subject.choice if self._chance(0.3) else self.pick().choice
            return dataclasses.replace(rule, subject=Pick(category, choice))
        if rule.guards and self._chance(0.5):
            at = self._rng.randrange(len(rule.guards))
            fewer = dataclasses.replace(rule, guards=(*rule.guards[:at], *rule.guards[at + 1 :]))
            return fewer if self._chance(0.5) else self._with_guard(fewer)
        return self._with_guard(rule)

    # Constants

    def _move_constants(self, program: Program, *, all_at_once: bool) -> Program:
        """Move one constant, or a good part of all."""
        found = constants(program)
        if not found:
            return program
        chosen = self._rng.randrange(len(found))
        moved = [self._chance(0.4) if all_at_once else i == chosen for i in range(len(found))]
        values = [
            self._nudged(c) if is_moved else c.value
            for c, is_moved in zip(found, moved, strict=True)
        ]
        return with_values(program, values)

    def _nudged(self, constant: Constant) -> float:
        step = constant.scale * self._rng.choice((0.15, 0.5, 1.5))
        return constant.value + self._rng.gauss(0, 1) * step
