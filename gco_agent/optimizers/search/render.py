"""Programs as policy files: standalone Python that a person can follow.

Named constants, helper methods only where they are called, no branch that cannot be reached.
The search plays exactly the text that it would commit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gco_agent.optimizers.search.genome import (
    Aim,
    Always,
    Approaching,
    Constant,
    ContactSoon,
    Count,
    Distance,
    FewerThan,
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
    Relation,
    Rule,
    Side,
    State,
    Stay,
    Subject,
    Sweep,
    Target,
    Threat,
    Track,
    Trigger,
    When,
    WillHit,
)
from gco_agent.optimizers.search.helpers import helper_methods, planner_methods
from gco_agent.optimizers.search.words import headline, rule_words, subject_words
from gco_agent.optimizers.search.world import BEYOND_PX, SCREEN, World

_EDGES = {"x": ("LEFT", "RIGHT"), "y": ("TOP", "BOTTOM")}


def render(program: Program, world: World, title: str, env_id: str) -> str:
    """The policy file of ``program``, not yet formatted.

    Args:
        title: The game as people write it.
        env_id: Gymnasium id of the environment it plays, for the docstring.
    """
    return _Writer(world).policy(program, title, env_id)


def snake(category: str) -> str:
    """A category as a variable name: "EnemyCar" to "enemy_car"."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", category).lower()


@dataclass
class _Writer:
    """Collects the constants and helpers that the text turns out to need."""

    world: World
    constants: dict[str, tuple[str, str]] = field(default_factory=dict)
    helpers: set[str] = field(default_factory=set)
    counts_steps: bool = False

    def policy(self, program: Program, title: str, env_id: str) -> str:
        me = snake(self.world.player)
        if program.plan is not None:
            return self._planning(program, program.plan, title, env_id)
        axes = [axis for axis in ("x", "y") if any(r.axis == axis for r in program.rules)]
        bodies = [self._choose(axis, program.rules, me) for axis in axes]
        press = self._press(program.presses, me)
        fire = self._wants_fire(program.fire, me)
        dead_zone = self._name("DEAD_ZONE", program.dead_zone, "pixels off target: good enough")
        assert dead_zone == "DEAD_ZONE" or not axes, dead_zone
        self.helpers.update(["direction"] if axes else [])
        why = "steps of its movement that the player still makes once let go"
        coasting = self._name("COASTING", program.coasting, why)
        here = {axis: f"{me}.c{axis}" for axis in axes}
        if coasting != "0":
            here = {axis: f"{me}.c{axis} + {coasting} * {me}.d{axis}" for axis in axes}
        act = self._act(here, me, has_press=bool(press), has_fire=bool(fire))
        methods = [act, *press, *bodies, *fire, *helper_methods(self.helpers)]
        if self.counts_steps:
            methods.insert(0, "    def __init__(self):\n        self.steps = 0")
        head = [f'"""{title}: {headline(program)}.', "", f"Environment: {env_id}.", '"""', ""]
        if {"first_to_reach", "steps_to_contact"} & self.helpers:
            head += ["import math", ""]
        head += self._actions(axes, has_fire=bool(fire))
        head += [f"{name} = {value}  # {why}" for name, (value, why) in self.constants.items()]
        opening = ["", "", "class Policy:", '    """One instance plays one episode."""', ""]
        return "\n".join([*head, *opening, "\n\n".join(methods)]) + "\n"

    def _planning(self, program: Program, plan: Plan, title: str, env_id: str) -> str:
        """The policy of a program that plans."""
        me, axes = snake(self.world.player), list(self.world.axes)
        press = self._press(program.presses, me)
        fire = self._wants_fire(program.fire, me)
        act = self._act({}, me, has_press=bool(press), has_fire=bool(fire)).split("\n")
        keys = [f"move_{axis}" for axis in axes]
        keys += [f"self.wants_fire(obs, {me})"] if fire else []
        names = ", ".join(f"move_{axis}" if axis in axes else "_" for axis in ("x", "y"))
        act[-1] = f"        {names} = self.best_move(obs, {me})"
        act.append(f"        return ACTIONS[{', '.join(keys)}]")
        methods = ["\n".join(act), *press, *fire, *helper_methods(self.helpers), planner_methods()]
        if self.counts_steps:
            methods.insert(0, "    def __init__(self):\n        self.steps = 0")
        head = [f'"""{title}: {headline(program)}.', "", f"Environment: {env_id}.", '"""', ""]
        head += ["import math", ""] if "steps_to_contact" in self.helpers else []
        head += ["import numpy as np", "", *self._actions(axes, has_fire=bool(fire))]
        head += [f"{name} = {value}  # {why}" for name, (value, why) in self.constants.items()]
        head += self._plan_constants(plan)
        opening = ["", "", "class Policy:", '    """One instance plays one episode."""', ""]
        return "\n".join([*head, *opening, "\n\n".join(methods)]) + "\n"

    def _plan_constants(self, plan: Plan) -> list[str]:
        steps = {axis: (0, -1, 1) if axis in self.world.axes else (0,) for axis in ("x", "y")}
        moves = [(a, b) for a in steps["x"] for b in steps["y"]]
        left, right, top, bottom = self.world.ranges.get(self.world.player, SCREEN)
        field = (left - BEYOND_PX, right + BEYOND_PX, top - BEYOND_PX, bottom + BEYOND_PX)
        home = [_number(place) if place else "None" for place in (plan.home_x, plan.home_y)]
        stride = f"({_number(plan.stride_x)}, {_number(plan.stride_y)})"
        lines = [
            f"MOVES = {moves}  # columns and rows in a step",
            f"STRIDE = {stride}  # pixels of a column and of a row",
            f"FIELD = ({', '.join(f'{edge:g}' for edge in field)})  # left, right, top, bottom",
            f"HOME = ({', '.join(home)})  # where to be if nothing else counts, x and y",
            f"PULL = {_number(plan.pull)}  # points that a step 100 pixels from home costs",
            f"HORIZON = {max(3, min(30, round(plan.horizon.value)))}  # steps to look ahead",
            f"LATE = {max(0.0, round(plan.late.value, 2)):g}  # steps by which a danger may be off",
            "DISCOUNT = 0.97  # of what comes a step later",
            "WORTHS = (",
            "    # category, points for contact, pixels of margin,",
            "    # axis to line up on, steps that a shot takes for a pixel",
        ]
        lines += [
            f'    ("{w.category}", {_number(w.points)}, {_number(w.margin)}, '
            f"{w.line_up!r}, {max(0.0, round(w.lead.value, 3)):g}),"
            for w in plan.worths
        ]
        return [*lines, ")"]

    # Names

    def _name(self, name: str, constant: Constant, why: str, *, whole: bool = False) -> str:
        """Name a constant; zero needs none, and equal ones of one name share it."""
        value = str(max(1, round(constant.value))) if whole else f"{round(constant.value, 2):g}"
        return "0" if value in ("0", "-0") and name != "DEAD_ZONE" else self._put(name, value, why)

    def _put(self, name: str, value: str, why: str) -> str:
        for number in range(1, 1000):
            full = name if number == 1 else f"{name}_{number}"
            known = self.constants.setdefault(full, (value, why))
            if known[0] == value:
                return full
        raise AssertionError(name)

    def _edges(self, category: str, axis: str) -> str:
        """Names of the least and largest place where a category was seen on an axis."""
        left, right, top, bottom = self.world.ranges.get(category, SCREEN)
        low, high = (left, right) if axis == "x" else (top, bottom)
        first, last = _EDGES[axis]
        stem = snake(category).upper()
        where = f"centre of the {category}, as far as it was seen to go"
        return ", ".join(
            self._put(f"{stem}_{edge}", f"{value:g}", where)
            for edge, value in ((first, low), (last, high))
        )

    def _actions(self, axes: Sequence[str], *, has_fire: bool) -> list[str]:
        """The table from moves to actions, as far as it can be asked for."""
        lines = [
            "# The action for each way to move" + (", and whether to fire." if has_fire else ".")
        ]
        lines.append("ACTIONS = {")
        for move_x in (-1, 0, 1) if "x" in axes else (0,):
            for move_y in (-1, 0, 1) if "y" in axes else (0,):
                for fire in (False, True) if has_fire else (False,):
                    moves = {"x": move_x, "y": move_y}
                    key = [str(moves[axis]) for axis in axes] + ([str(fire)] if has_fire else [])
                    action = self.world.action_for(move_x, move_y, fire=fire)
                    shown = f"({', '.join(key)})" if len(key) != 1 else key[0]
                    name = self.world.action_names[action]
                    lines.append(f"    {shown or '()'}: {action},  # {name}")
        return [*lines, "}"]

    # Methods

    def _act(self, here: Mapping[str, str], me: str, *, has_press: bool, has_fire: bool) -> str:
        category, index = self.world.player, self.world.player_index
        noop = self.world.action_for(0, 0, fire=False)
        asked = [f"self.direction(self.choose_{a}(obs, {me}), {at})" for a, at in here.items()]
        asked += [f"self.wants_fire(obs, {me})"] if has_fire else []
        absent = f'len(obs["{category}"]) <= {index}' if index else f'not obs["{category}"]'
        lines = ["    def act(self, obs):", '        """Return the index of the action to play."""']
        lines += ["        self.steps += 1"] if self.counts_steps else []
        lines += [
            f"        if {absent}:",
            f"            return {noop}  # {self.world.action_names[noop]}",
            f'        {me} = obs["{category}"][{index}]',
        ]
        if has_press:
            lines += [
                f"        action = self.override(obs, {me})",
                "        if action is not None:",
                "            return action",
            ]
        return "\n".join([*lines, f"        return ACTIONS[{', '.join(asked) or '()'}]"])

    def _choose(self, axis: str, rules: Sequence[Rule], me: str) -> str:
        lines = [
            f"    def choose_{axis}(self, obs, {me}):",
            f'        """Where the {self.world.player} should be in {axis}; None to stay."""',
        ]
        bound: dict[str, str] = {}
        decided = False
        for rule in rules:
            if rule.axis != axis or decided:
                continue
            lines.append(f"        # {_sentence(rule_words(rule))}")
            if rule.subject is None:
                lines.append(f"        return {self._target(rule.target, axis, None, me)}")
                decided = True
                continue
            name, bind, test = self._condition(rule.subject, rule.guards, me, bound)
            lines += bind
            aim = rule.target.aim if isinstance(rule.target, Intercept) else None
            target = self._target(rule.target, axis, (name, rule.subject), me)
            lines.append(f"        if {test}:")
            if aim is not None:
                lines.append(f"            at = {self._pick(aim.at, me)}")
            lines.append(f"            return {target}")
        return "\n".join(lines if decided else [*lines, "        return None"])

    def _press(self, presses: Sequence[Press], me: str) -> list[str]:
        if not presses:
            return []
        lines = [
            f"    def override(self, obs, {me}):",
            '        """The action to play whatever else would be done; None for none."""',
        ]
        bound: dict[str, str] = {}
        for press in presses:
            assert press.subject is not None, press
            _, bind, test = self._condition(press.subject, press.guards, me, bound)
            lines += [*bind, f"        if {test}:"]
            name = self.world.action_names[press.action]
            lines.append(f"            return {press.action}  # {name}")
        return ["\n".join([*lines, "        return None"])]

    def _wants_fire(self, triggers: Sequence[Trigger], me: str) -> list[str]:
        if not triggers:
            return []
        lines = [
            f"    def wants_fire(self, obs, {me}):",
            '        """Whether to press the fire button now."""',
        ]
        tests = []
        for trigger in triggers:
            bind, test = self._trigger(trigger, me)
            lines += bind
            tests.append(test)
        return ["\n".join([*lines, f"        return {' or '.join(tests)}"])]

    # Expressions

    def _trigger(self, trigger: Trigger, me: str) -> tuple[list[str], str]:
        match trigger:
            case Pulse(period):
                self.counts_steps = True
                every = self._name("FIRE_EVERY", period, "steps", whole=True)
                return [], f"self.steps % {every} == 0"
            case Missing(category):
                return [], f'not obs["{category}"]'
            case When(subject, guards):
                _, bind, test = self._condition(subject, guards, me, {})
                return bind, test
            case Always():
                return [], "True"

    def _condition(
        self, subject: Subject, guards: Sequence[Guard], me: str, bound: dict[str, str]
    ) -> tuple[str, list[str], str]:
        """The subject's variable, the lines that bind it, and the test."""
        name = snake(subject.category)
        name = f"other_{name}" if name == me else name
        expression = self._subject(subject, me)
        bind = [] if bound.get(name) == expression else [f"        {name} = {expression}"]
        bound[name] = expression
        tests = [f"{name} is not None"]
        for guard in guards:
            if isinstance(guard, State):
                tests.append(self._state(guard))
            else:
                tests.append(self._guard(guard, name, subject, me))
        return name, bind, " and ".join(dict.fromkeys(tests))

    def _subject(self, subject: Subject, me: str) -> str:
        if isinstance(subject, Pick):
            return self._pick(subject, me)
        self.helpers.add("first_to_reach")
        return f'self.first_to_reach(obs["{subject.category}"], {me}, {self._point(subject)})'

    def _point(self, threat: Threat) -> str:
        stem = snake(threat.category).upper()
        shift_x = self._name(f"{stem}_AHEAD_X", threat.shift_x, "pixels right of the centre")
        shift_y = self._name(f"{stem}_AHEAD_Y", threat.shift_y, "pixels below the centre")
        margin = self._name(f"{stem}_MARGIN", threat.margin, "pixels that still count as a hit")
        return f"{shift_x}, {shift_y}, {margin}"

    def _pick(self, pick: Pick, me: str) -> str:
        self.helpers.add(pick.choice)
        needs_me = pick.choice.startswith("nearest") or pick.choice in ("least", "most")
        me_too = f", {me}" if needs_me else ""
        return f'self.{pick.choice}(obs["{pick.category}"]{me_too})'

    def _target(
        self, target: Target, axis: str, subject: tuple[str, Subject] | None, me: str
    ) -> str:
        if isinstance(target, GoTo):
            return self._name(f"HOME_{axis.upper()}", target.place, "pixels")
        if isinstance(target, Stay):
            return "None"
        if isinstance(target, Sweep):
            self.counts_steps = True
            low, high = self._edges(self.world.player, axis).split(", ")
            period = self._name("SWEEP_STEPS", target.period, "steps each way", whole=True)
            return f"{low} if self.steps // {period} % 2 else {high}"
        assert subject is not None, target
        name, about = subject
        stem = snake(about.category).upper()
        if isinstance(target, Track):
            text = f"{name}.c{axis}"
            if target.steps is not None:
                ahead = self._name(f"{stem}_LEAD", target.steps, "steps to look ahead")
                text += f" + {ahead} * {name}.d{axis}" if ahead != "0" else ""
            return text + self._plus(target.offset, stem)
        crossing = f"{name}.c{axis}"
        if isinstance(target, Intercept) or target.from_crossing:
            self.helpers.add(f"crossing_{axis}")
            edges = self._edges(about.category, axis)
            crossing = f"self.crossing_{axis}({name}, {me}, {edges})"
        if isinstance(target, Intercept):
            return crossing + self._plus(target.offset, stem) + self._aim(target.aim, axis, name)
        self.helpers.add("away_from")
        distance = self._name(f"{stem}_DISTANCE", target.distance, "pixels to keep away")
        return f"self.away_from({crossing}, {me}.c{axis}, {distance})"

    def _plus(self, offset: Constant | None, stem: str) -> str:
        if offset is None:
            return ""
        name = self._name(f"{stem}_OFFSET", offset, "pixels")
        return f" + {name}" if name != "0" else ""

    def _aim(self, aim: Aim | None, axis: str, name: str) -> str:
        if aim is None:
            return ""
        self.helpers.add(f"aim_{axis}")
        gain = self._name("AIM_GAIN", aim.gain, f"off centre by {subject_words(aim.at)}")
        limit = self._name("AIM_LIMIT", aim.limit, "pixels off centre at most")
        return f" + self.aim_{axis}({name}, at, {gain}, {limit})"

    def _guard(self, guard: Relation, name: str, subject: Subject, me: str) -> str:
        stem = snake(subject.category).upper()
        match guard:
            case Approaching(axis, away):
                helper = f"{'leaves' if away else 'approaches'}_{axis}"
                self.helpers.add(helper)
                return f"self.{helper}({name}, {me})"
            case Distance(axis, farther, limit):
                side = "FAR" if farther else "NEAR"
                bound = self._name(f"{stem}_{side}_{axis.upper()}", limit, "pixels")
                return f"abs({name}.c{axis} - {me}.c{axis}) {'>' if farther else '<'} {bound}"
            case Side(axis, before, line):
                bound = self._name(f"{stem}_BESIDE_{axis.upper()}", line, "pixels")
                return f"{name}.c{axis} - {me}.c{axis} {'<' if before else '>'} {bound}"
            case Place(axis, before, place):
                bound = self._name(f"{stem}_LINE_{axis.upper()}", place, "pixels")
                return f"{name}.c{axis} {'<' if before else '>'} {bound}"
            case Heading(axis, negative):
                return f"{name}.d{axis} {'<' if negative else '>'} 0"
            case FewerThan(count):
                bound = self._name(f"{stem}_FEW", count, "how many are few", whole=True)
                return f'len(obs["{subject.category}"]) < {bound}'
            case WillHit(axis, reach):
                self.helpers.add(f"crossing_{axis}")
                edges = self._edges(subject.category, axis)
                bound = self._name(f"{stem}_REACH", reach, "pixels")
                crossing = f"self.crossing_{axis}({name}, {me}, {edges})"
                return f"abs({crossing} - {me}.c{axis}) < {bound}"
            case ContactSoon(steps, margin):
                self.helpers.add("steps_to_contact")
                if isinstance(subject, Threat):
                    point = self._point(subject)
                else:
                    wide = self._name(f"{stem}_MARGIN", margin, "pixels that still count as a hit")
                    point = f"0, 0, {wide}"
                soon = self._name(f"{stem}_SOON", steps, "steps")
                return f"self.steps_to_contact({name}, {me}, {point}) < {soon}"

    def _state(self, guard: State) -> str:
        """A condition that is not about the rule's subject."""
        stem = snake(guard.category).upper()
        if isinstance(guard, Count):
            stem += "_FEW" if guard.fewer else "_MANY"
            bound = self._name(stem, guard.count, "how many", whole=True)
            return f'len(obs["{guard.category}"]) {"<" if guard.fewer else ">="} {bound}'
        self.helpers.add("value_of")
        stem += "_LITTLE" if guard.below else "_MUCH"
        bound = self._name(stem, guard.limit, "as it shows")
        return f'self.value_of(obs["{guard.category}"]) {"<" if guard.below else ">"} {bound}'


def _number(constant: Constant) -> str:
    return f"{round(constant.value, 2):g}"


def _sentence(words: str) -> str:
    return words[0].upper() + words[1:] + "."
