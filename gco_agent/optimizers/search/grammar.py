"""Random programs for a `World`, and random changes to programs.

Everything is drawn from the generator that is passed in, so a seed gives the same programs.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Sequence

from gco_agent.optimizers.search import readings
from gco_agent.optimizers.search.genome import (
    CHOICES,
    Aim,
    Always,
    Approaching,
    Axis,
    Constant,
    ContactSoon,
    Distance,
    FewerThan,
    Flee,
    GoTo,
    Guard,
    Heading,
    Intercept,
    Missing,
    Pick,
    Place,
    Plan,
    Press,
    Program,
    Pulse,
    Rule,
    Side,
    Stay,
    Subject,
    Sweep,
    Target,
    Threat,
    Track,
    Trigger,
    When,
    WillHit,
    Worth,
    constants,
    with_values,
)
from gco_agent.optimizers.search.world import BEYOND_PX, SCREEN, World

MAX_RULES = 8
MAX_WORTHS = 6
MAX_GUARDS = 4
_PLANS = 0.5
"""Share of new programs that plan."""
_ARCHETYPES = 0.35
"""Share of new rules that are one of the five general behaviours rather than drawn part by part."""


class Grammar:
    """Samples and mutates programs for one world."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self._world = world
        self._rng = rng

    def _chance(self, share: float) -> bool:
        return self._rng.random() < share

    # Parts

    def axis(self) -> Axis:
        """An axis that the player can be moved on (any, if it cannot be moved at all)."""
        return "y" if self._rng.choice(self._world.axes or ("x", "y")) == "y" else "x"

    def any_axis(self) -> Axis:
        """Either axis: things move on both."""
        return self._rng.choice(("x", "y"))

    def category(self) -> str:
        """Something other than the player."""
        return self._rng.choice(self._world.categories or (self._world.player,))

    def pick(self) -> Pick:
        """An object by where it is; mostly the nearest, and always where there is but one."""
        category = self.category()
        choice = "nearest" if self._chance(0.35) else self._rng.choice(CHOICES)
        return Pick(category, choice if self._world.most.get(category, 2) > 1 else "nearest")

    def subject(self) -> Subject:
        """An object by where it is or by how soon it comes."""
        if self._chance(0.88):
            return self.pick()
        return self._threat(self._maybe(14.0), self._maybe(14.0))

    def _threat(self, shift_x: float, shift_y: float) -> Threat:
        margin = Constant(self._rng.uniform(0, 9), 4)
        return Threat(self.category(), Constant(shift_x, 8), Constant(shift_y, 8), margin)

    def _maybe(self, deviation: float) -> float:
        return 0.0 if self._chance(0.5) else self._rng.gauss(0, deviation)

    def _offset(self, share: float, deviation: float) -> Constant | None:
        if not self._chance(share):
            return None
        return Constant(self._rng.gauss(0, deviation), 5)

    def place(self, axis: Axis) -> Constant:
        """Somewhere that something was seen, on an axis."""
        first = 0 if axis == "x" else 2
        ranges = self._world.ranges.values()
        low, high = min(r[first] for r in ranges), max(r[first + 1] for r in ranges)
        return Constant(self._rng.uniform(low, high), 20)

    def guard(self) -> Guard:
        """A condition on an object; now and then on what a gauge shows."""
        if self._world.values and self._chance(readings.SHARE):
            return readings.guard(self._world, self._rng)
        rng, axis = self._rng, self.any_axis()
        flag = self._chance(0.5)
        makers: list[Callable[[], Guard]] = [
            lambda: Approaching(axis, flag),
            lambda: Distance(axis, farther=False, limit=Constant(abs(rng.gauss(0, 25)) + 2, 10)),
            lambda: Distance(axis, farther=flag, limit=Constant(abs(rng.gauss(0, 25)) + 2, 10)),
            lambda: Side(axis, before=flag, line=Constant(rng.gauss(0, 20), 10)),
            lambda: ContactSoon(Constant(rng.uniform(1, 12), 4), Constant(rng.uniform(0, 10), 5)),
            lambda: WillHit(self.axis(), Constant(rng.uniform(3, 25), 8)),
            lambda: Place(axis, before=flag, place=self.place(axis)),
            lambda: FewerThan(Constant(float(rng.choice((1, 2, 3, 5, 8, 13, 20))), 4)),
            lambda: Heading(axis, negative=flag),
        ]
        return rng.choice(makers)()

    def target(self, axis: Axis) -> Target:
        """Where to go on an axis."""
        rng = self._rng
        makers: list[tuple[int, Callable[[], Target]]] = [
            (2, lambda: Track(None, self._offset(0.5, 6))),
            (1, lambda: Track(Constant(rng.uniform(0, 8), 3), self._offset(0.5, 6))),
            (2, lambda: Intercept(self._offset(0.5, 6), None)),
            (1, lambda: Intercept(None, self.aim(0.3))),
            (2, lambda: Flee(Constant(rng.uniform(5, 40), 10), self._chance(0.5))),
            (1, lambda: GoTo(self.place(axis))),
            (1, Stay),
            (1, lambda: Sweep(Constant(float(rng.choice((10, 20, 40, 80))), 15))),
        ]
        weights = [weight for weight, _ in makers]
        return rng.choices(makers, weights)[0][1]()

    def aim(self, deviation: float) -> Aim:
        """Meet something off centre; gains may be of either sign."""
        rng = self._rng
        gain = Constant(rng.gauss(0, deviation), 0.2)
        return Aim(self.pick(), gain, Constant(rng.uniform(1, 10), 4))

    def _meaningful(self, rule: Rule) -> Rule:
        """``rule``, but aimed at something if it was aimed at the very thing it meets."""
        target, subject = rule.target, rule.subject
        if not isinstance(target, Intercept) or target.aim is None or subject is None:
            return rule
        alone = self._world.most.get(subject.category, 2) <= 1
        if alone and target.aim.at.category == subject.category:
            others = [c for c in self._world.categories if c != subject.category]
            if not others:
                return dataclasses.replace(rule, target=Intercept(target.offset, None))
            at = dataclasses.replace(target.aim.at, category=self._rng.choice(others))
            aim = dataclasses.replace(target.aim, at=at)
            return dataclasses.replace(rule, target=Intercept(target.offset, aim))
        return rule

    # Whole rules

    def archetype(self) -> Rule:
        """One of five general behaviours: dodge (twice), collect, intercept, keep away."""
        rng, axis = self._rng, self.axis()
        kind = rng.choice(("dodge", "dodge", "collect", "intercept", "keep away"))
        if kind == "dodge":
            ahead = 0.0 if self._chance(0.3) else rng.choice((-1, 1)) * rng.uniform(6, 20)
            threat = self._threat(*((ahead, 0.0) if axis == "x" else (0.0, ahead)))
            soon = ContactSoon(Constant(rng.uniform(1, 10), 3), threat.margin)
            away: Target = Flee(Constant(rng.uniform(8, 30), 8), from_crossing=False)
            return Rule(axis, threat, (soon,), Stay() if self._chance(0.5) else away)
        if kind == "collect":
            return Rule(axis, self.pick(), (), Track(None, None))
        nearest = Pick(self.category(), "nearest")
        if kind == "intercept":
            coming = (Approaching(self.any_axis(), away=False),) if self._chance(0.4) else ()
            return Rule(axis, nearest, coming, Intercept(None, self.aim(0.2)))
        close: tuple[Guard, ...] = (
            Distance("x", farther=False, limit=Constant(rng.uniform(8, 40), 10)),
            Distance("y", farther=False, limit=Constant(rng.uniform(8, 40), 10)),
        )
        return Rule(
            axis, nearest, close, Flee(Constant(rng.uniform(8, 30), 8), from_crossing=False)
        )

    def rule(self) -> Rule:
        """A rule, an archetype or drawn part by part."""
        if self._world.values and self._chance(readings.SHARE):
            return readings.rule(self._world, self._rng, self.axis())
        if self._rng.random() < _ARCHETYPES:
            return self.archetype()
        axis = self.axis()
        guards = tuple(self.guard() for _ in range(self._rng.choice((0, 1, 1, 1, 2))))
        target = self.target(axis)
        needs_subject = bool(guards) or not isinstance(target, GoTo | Stay | Sweep)
        subject = self.subject() if needs_subject or self._chance(0.5) else None
        return Rule(axis, subject, guards, target)

    def press(self) -> Press:
        """A rule that plays an action outright."""
        guards = tuple(self.guard() for _ in range(self._rng.choice((0, 1, 1))))
        action = self._rng.randrange(len(self._world.action_names))
        return Press(action, self.subject(), guards)

    def triggers(self) -> tuple[Trigger, ...]:
        """When to press fire; never, where no action does."""
        if not self._world.has_fire:
            return ()
        rng = self._rng
        pulse = Pulse(Constant(float(rng.choice((2, 3, 5, 8, 16, 32))), 4))
        line_up = Distance(self.any_axis(), farther=False, limit=Constant(rng.uniform(2, 20), 6))
        return rng.choice(
            (
                (),
                (Always(),),
                (Missing(self.category()),),
                (When(self.pick(), (line_up,)),),
                (pulse,),
                (Missing(self.category()), pulse),
                (When(self.subject(), (self.guard(),)),),
            )
        )

    def program(self) -> Program:
        """A new program: one that plans, or one of one to four rules."""
        rng = self._rng
        if self._world.axes and self._world.strides and self._chance(_PLANS):
            return self._planned()
        rules = [self.rule() for _ in range(rng.choice((1, 1, 2, 2, 3, 4)))]
        presses: list[Press] = []
        if not self._world.axes or self._chance(0.06):
            presses.append(self.press())
        if self._chance(0.4):
            axis = self.axis()
            rules.append(Rule(axis, None, (), GoTo(self.place(axis))))
        dead_zone = Constant(rng.uniform(0.5, 12), 3)
        coasting = Constant(0.0 if self._chance(0.4) else rng.uniform(0, 1.5), 0.4)
        return self._sensible(
            Program(tuple(rules), tuple(presses), self.triggers(), dead_zone, coasting)
        )

    # Plans

    def plan(self) -> Plan:
        """A plan by what contact was seen to lead to; of what is not known, a guess."""
        rng, world = self._rng, self._world
        wanted = [c for c in world.categories if self._chance(0.8 if self._tells(c) else 0.35)]
        worths = [self.worth(c) for c in wanted[:MAX_WORTHS]]
        strides = [rng.choice(pair) for pair in world.strides or ((0.0, 0.0), (0.0, 0.0))]
        homes = [self._home(axis) if axis in world.axes else None for axis in ("x", "y")]
        return Plan(
            tuple(worths),
            homes[0],
            homes[1],
            Constant(rng.choice((0.1, 0.3, 1.0, 3.0)) * self._unit, 0.3 * self._unit),
            Constant(strides[0] if "x" in world.axes else 0.0, 0.15 * strides[0]),
            Constant(strides[1] if "y" in world.axes else 0.0, 0.15 * strides[1]),
            Constant(rng.choice((0.0, 0.5, 1.0)), 0.3),
            Constant(float(rng.choice((8, 15, 20, 30))), 5),
        )

    @property
    def _unit(self) -> float:
        """A usual reward of this game, or 1 where none was seen."""
        rewards = [abs(c.reward) / c.n_rewarded for c in self._world.contacts.values() if c.reward]
        return max(1.0, min(rewards, default=1.0))

    def _tells(self, category: str) -> bool:
        known = self._world.contacts.get(category)
        return known is not None and bool(known.n_lost or known.reward)

    def worth(self, category: str) -> Worth:
        """What a category may be worth, by what followed contact with it."""
        rng, known = self._rng, self._world.contacts.get(category)
        is_bad = known is not None and known.n_lost * 5 > known.n
        is_good = known is not None and known.reward > 0 and not is_bad
        if not is_bad and not is_good:
            is_bad = self._chance(0.5)
        line_up: Axis | None = None
        if self._world.has_fire and not is_bad and self._chance(0.6):
            line_up = self.any_axis()
        size = self._unit * 10 ** (rng.uniform(0.3, 2.5) if is_bad else rng.uniform(-0.5, 0.7))
        margin = rng.uniform(0, 6) if is_bad else rng.uniform(-3, 2)
        return Worth(
            category,
            Constant(-size if is_bad else size, 0.4 * size),
            Constant(margin, 2),
            line_up,
            Constant(rng.uniform(0, 0.4) if line_up else 0.0, 0.1 if line_up else 0.0),
        )

    def _home(self, axis: Axis) -> Constant | None:
        left, right, top, bottom = self._world.ranges.get(self._world.player, SCREEN)
        low, high = (left, right) if axis == "x" else (top, bottom)
        kind = self._rng.randrange(5)
        places = {0: low - BEYOND_PX, 1: high + BEYOND_PX, 2: (low + high) / 2}
        place = {**places, 3: self._rng.uniform(low, high)}.get(kind)
        return None if place is None else Constant(place, 10)

    def _planned(self) -> Program:
        """A new program that plans."""
        presses = (self.press(),) if self._chance(0.05) else ()
        return Program((), presses, self.triggers(), Constant(0, 0), Constant(0, 0), self.plan())

    def _change_plan(self, program: Program, mate: Program) -> Program:
        """Change what counts in a plan, or where it is at home; or take that from another plan."""
        plan, rng = program.plan, self._rng
        assert plan is not None, program
        worths = list(plan.worths)
        other = mate.plan
        kind = rng.choice(("drop", "redraw", "borrow", "home_x", "home_y", "add", "add"))
        if kind == "drop" and worths:
            worths.pop(rng.randrange(len(worths)))
        elif kind == "redraw" and worths:
            at = rng.randrange(len(worths))
            worths[at] = self.worth(worths[at].category)
        elif kind == "borrow" and other is not None and other.worths:
            worths.append(rng.choice(other.worths))
        elif kind == "home_x" and "x" in self._world.axes:
            return dataclasses.replace(
                program, plan=dataclasses.replace(plan, home_x=self._home("x"))
            )
        elif kind == "home_y" and "y" in self._world.axes:
            return dataclasses.replace(
                program, plan=dataclasses.replace(plan, home_y=self._home("y"))
            )
        else:
            worths.append(self.worth(self.category()))
        kept = tuple({(w.category, w.line_up): w for w in worths}.values())[-MAX_WORTHS:]
        return dataclasses.replace(program, plan=dataclasses.replace(plan, worths=kept))

    # Changes

    def mutate(self, program: Program, mate: Program) -> Program:
        """One to three random changes; ``mate`` lends parts for crossover."""
        if program.plan is not None:
            return self._mutate_plan(program, mate)
        changes: list[tuple[int, Callable[[Program], Program]]] = [
            (24, self._move_constant),
            (8, self._move_constants),
            (10, self._add_rule),
            (5, self._drop_rule),
            (4, self._swap_rules),
            (14, self._change_guards),
            (8, self._change_target),
            (8, self._change_subject),
            (8 if self._world.has_fire else 0, self._change_fire),
            (8, lambda p: self._cross(p, mate)),
            (2, self._turn_axis),
            (3, self._refine_rule),
        ]
        weights = [weight for weight, _ in changes]
        for _ in range(self._rng.choice((1, 1, 1, 2, 3))):
            change = self._rng.choices(changes, weights)[0][1]
            program = change(program)
        return self._sensible(program)

    def _mutate_plan(self, program: Program, mate: Program) -> Program:
        changes: list[tuple[int, Callable[[Program], Program]]] = [
            (10, self._move_constant),
            (8, self._move_constants),
            (10, lambda p: self._change_plan(p, mate)),
            (5 if self._world.has_fire else 0, self._change_fire),
            (2 if self._world.has_fire else 0, lambda p: dataclasses.replace(p, fire=mate.fire)),
        ]
        weights = [weight for weight, _ in changes]
        for _ in range(self._rng.choice((1, 1, 2, 3))):
            program = self._rng.choices(changes, weights)[0][1](program)
        return program

    def _sensible(self, program: Program) -> Program:
        rules = tuple(self._meaningful(rule) for rule in program.rules[:MAX_RULES])
        return dataclasses.replace(program, rules=rules)

    def _nudged(self, constant: Constant) -> float:
        step = constant.scale * self._rng.choice((0.15, 0.5, 1.5))
        return constant.value + self._rng.gauss(0, 1) * step

    def _move_constant(self, program: Program) -> Program:
        found = list(constants(program))
        chosen = self._rng.randrange(len(found))
        return with_values(
            program, [self._nudged(c) if i == chosen else c.value for i, c in enumerate(found)]
        )

    def _move_constants(self, program: Program) -> Program:
        moved = [self._nudged(c) if self._chance(0.4) else c.value for c in constants(program)]
        return with_values(program, moved)

    def _insert(self, rules: Sequence[Rule], rule: Rule) -> tuple[Rule, ...]:
        at = self._rng.randrange(len(rules) + 1)
        return (*rules[:at], rule, *rules[at:])

    def _add_rule(self, program: Program) -> Program:
        return dataclasses.replace(program, rules=self._insert(program.rules, self.rule()))

    def _drop_rule(self, program: Program) -> Program:
        if program.presses and self._chance(0.5):
            return dataclasses.replace(program, presses=program.presses[1:])
        if len(program.rules) <= 1:
            return program
        at = self._rng.randrange(len(program.rules))
        return dataclasses.replace(program, rules=program.rules[:at] + program.rules[at + 1 :])

    def _swap_rules(self, program: Program) -> Program:
        if len(program.rules) <= 1:
            return program
        rules = list(program.rules)
        i, j = self._rng.sample(range(len(rules)), 2)
        rules[i], rules[j] = rules[j], rules[i]
        return dataclasses.replace(program, rules=tuple(rules))

    def _at_some_rule(self, program: Program, change: Callable[[Rule], Rule]) -> Program:
        if not program.rules:
            return program
        at = self._rng.randrange(len(program.rules))
        changed = change(program.rules[at])
        rules = (*program.rules[:at], changed, *program.rules[at + 1 :])
        return dataclasses.replace(program, rules=rules)

    def _change_guards(self, program: Program) -> Program:
        def change(rule: Rule) -> Rule:
            guards = list(rule.guards)
            if guards and self._chance(0.35):
                guards.pop(self._rng.randrange(len(guards)))
            elif guards and self._chance(0.4):
                guards[self._rng.randrange(len(guards))] = self.guard()
            elif len(guards) < MAX_GUARDS:
                guards.append(self.guard())
            return dataclasses.replace(
                rule, subject=rule.subject or self.subject(), guards=tuple(guards)
            )

        return self._at_some_rule(program, change)

    def _change_target(self, program: Program) -> Program:
        def change(rule: Rule) -> Rule:
            subject = rule.subject or self.subject()
            return dataclasses.replace(rule, subject=subject, target=self.target(rule.axis))

        return self._at_some_rule(program, change)

    def _change_subject(self, program: Program) -> Program:
        def change(rule: Rule) -> Rule:
            if rule.subject is None:
                return rule
            subject = self.subject()
            if self._chance(0.25):
                subject = dataclasses.replace(rule.subject, category=subject.category)
            elif self._chance(0.35):
                subject = dataclasses.replace(subject, category=rule.subject.category)
            return dataclasses.replace(rule, subject=subject)

        return self._at_some_rule(program, change)

    def _turn_axis(self, program: Program) -> Program:
        return self._at_some_rule(program, lambda r: dataclasses.replace(r, axis=self.axis()))

    def _refine_rule(self, program: Program) -> Program:
        """Put a special case of a rule before it: the same with one more guard."""
        if not program.rules:
            return program
        rule = self._rng.choice(program.rules)
        special = dataclasses.replace(
            rule,
            subject=rule.subject or self.subject(),
            guards=(*rule.guards, self.guard())[-MAX_GUARDS:],
        )
        return dataclasses.replace(program, rules=self._insert(program.rules, special))

    def _change_fire(self, program: Program) -> Program:
        return dataclasses.replace(program, fire=self.triggers())

    def _cross(self, program: Program, mate: Program) -> Program:
        if self._chance(0.3) or not mate.rules:
            return dataclasses.replace(program, fire=mate.fire)
        rules = self._insert(program.rules, self._rng.choice(mate.rules))
        return dataclasses.replace(program, rules=rules)
