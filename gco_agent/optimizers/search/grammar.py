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
    CliContext,
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
    constants,
    with_values,
)
from gco_agent.optimizers.search.world import World

MAX_RULES = 8
MAX_GUARDS = 4
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
            lambda: CliContext(axis, before=flag, place=self.place(axis)),
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
        """A new program of one to four rules."""
        rng = self._rng
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

    # Changes

    def mutate(self, program: Program, mate: Program) -> Program:
        """One to three random changes; ``mate`` lends parts for crossover."""
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
