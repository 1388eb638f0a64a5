"""Programs as policy files: standalone Python that a person can follow.

Named constants, helper methods only where they are called, no branch that cannot be reached.
The search plays exactly the text that it would commit.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from gco_agent.optimizers.search.genome import (
    Aim,
    Always,
    Approaching,
    Axis,
    Constant,
    GoTo,
    Guard,
    Intercept,
    Missing,
    Near,
    Pick,
    Plan,
    Program,
    Pulse,
    Rule,
    Rules,
    Stay,
    Target,
    Track,
    Trigger,
    When,
    Worth,
    headline,
    pick_words,
    rule_words,
)
from gco_agent.optimizers.search.helpers import helper_methods, planner_methods
from gco_agent.optimizers.search.world import BEYOND_PX, World

_AXES: tuple[Axis, ...] = ("x", "y")
_FARTHEST_PX = 999
_DISCOUNT = 0.97


def render(program: Program, world: World, title: str, env_id: str) -> str:
    """Return the policy file of ``program``, not yet formatted.

    Args:
        world: Model of the game that it is written for, and that its docstring describes.
    """
    return _Writer(world).policy(program, title, env_id)


def snake(category: str) -> str:
    """Return a category as a variable name: "EnemyCar" as "enemy_car"."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", category).lower()


@dataclass
class _Writer:
    """Collects the constants and helpers that the text turns out to need."""

    world: World
    constants: dict[str, tuple[str, str]] = field(default_factory=dict)
    helpers: set[str] = field(default_factory=set)
    counts_steps: bool = False

    @property
    def me(self) -> str:
        """The player as a variable."""
        return snake(self.world.player) or "player"

    def policy(self, program: Program, title: str, env_id: str) -> str:
        fire = self._wants_fire(program.fire)
        if isinstance(program.moves, Plan):
            axes: Sequence[Axis] = self.world.axes
            bodies, tables = self._plan_methods(program.moves), self._plan_constants(program.moves)
        else:
            rules = program.moves.rules
            axes = [axis for axis in ("x", "y") if any(r.axis == axis for r in rules)]
            bodies, tables = [self._choose(axis, rules) for axis in axes], []
        act = self._act(program, axes, has_fire=bool(fire))
        state = ["        self.steps = 0"] if self.counts_steps else []
        if isinstance(program.moves, Plan):
            state.append("        self.speeds = {}")
            state += ["        self.facing = (0, 0)"] if program.moves.turn else []
        methods = ["\n".join(["    def __init__(self):", *state])] if state else []
        methods += [act, *fire, *bodies, *helper_methods(self.helpers)]
        learned = [f"- {line}" for line in self.world.told()]
        head = [
            f'"""{title}: {headline(program)}.\n\nWhat playing has shown:',
            *(learned or ["- Nothing."]),
            f'\nEnvironment: {env_id}.\n"""\n',
            *(["import numpy as np\n"] if tables else []),
            *self._actions(axes, has_fire=bool(fire)),
            *(f"{name} = {value}  # {why}" for name, (value, why) in self.constants.items()),
            *tables,
            '\n\nclass Policy:\n    """One instance plays one episode."""\n',
        ]
        return "\n".join([*head, "\n\n".join(methods)]) + "\n"

    # Names

    def _name(self, name: str, constant: Constant, why: str, *, whole: bool = False) -> str:
        """Name a constant; zero needs none, and equal ones of one name share it."""
        value = str(max(1, round(constant.value))) if whole else _number(constant)
        return "0" if value == "0" and name != "DEAD_ZONE" else self._put(name, value, why)

    def _put(self, name: str, value: str, why: str) -> str:
        number, full = 1, name
        while self.constants.setdefault(full, (value, why))[0] != value:
            number += 1
            full = f"{name}_{number}"
        return full

    def _edges(self, category: str, axis: Axis) -> str:
        """Name the least and largest place where a category was seen on an axis."""
        low, high = self.world.extent(axis, category)
        first, last = ("LEFT", "RIGHT") if axis == "x" else ("TOP", "BOTTOM")
        stem = snake(category).upper()
        where = f"centre of the {category}, as far as it was seen to go"
        return ", ".join(
            self._put(f"{stem}_{edge}", f"{value:g}", where)
            for edge, value in ((first, low), (last, high))
        )

    def _actions(self, axes: Sequence[Axis], *, has_fire: bool) -> list[str]:
        """Return the table from moves to actions, as far as it can be asked for."""
        ask = ", and whether to fire" if has_fire else ""
        lines = [f"# The action for each way to move{ask}.", "ACTIONS = {"]
        for move_x in (-1, 0, 1) if "x" in axes else (0,):
            for move_y in (-1, 0, 1) if "y" in axes else (0,):
                for fire in (False, True) if has_fire else (False,):
                    moves = {"x": move_x, "y": move_y}
                    key = [str(moves[axis]) for axis in axes] + ([str(fire)] if has_fire else [])
                    action = self.world.action_for(move_x, move_y, fire=fire)
                    shown = f"({', '.join(key)})" if len(key) != 1 else key[0]
                    lines.append(f"    {shown}: {action},  # {self.world.action_names[action]}")
        return [*lines, "}"]

    # Methods

    def _act(self, program: Program, axes: Sequence[Axis], *, has_fire: bool) -> str:
        category, index, me = self.world.player, self.world.player_index, self.me
        noop = self.world.action_for(0, 0, fire=False)
        absent = f'len(obs["{category}"]) <= {index}' if index else f'not obs["{category}"]'
        lines = ["    def act(self, obs):", '        """Return the index of the action to play."""']
        lines += ["        self.steps += 1"] if self.counts_steps else []
        if isinstance(program.moves, Plan):
            lines.append("        self.speeds = self.mean_speeds(obs)")
        lines += [
            f"        if {absent}:",
            f"            return {noop}  # {self.world.action_names[noop]}",
            f'        {me} = obs["{category}"][{index}]',
        ]
        if isinstance(program.moves, Plan):
            if program.moves.tempo:
                lines += [
                    f"        if {me}.dx or {me}.dy:",
                    f"            return {noop}  # under way; what is pressed now comes too late",
                ]
            names = ", ".join(f"move_{axis}" if axis in axes else "_" for axis in ("x", "y"))
            lines.append(f"        {names} = self.best_move(obs, {me})")
            asked = [f"move_{axis}" for axis in axes]
        else:
            asked = [self._direction(axis, program.moves) for axis in axes]
        asked += [f"self.wants_fire(obs, {me})"] if has_fire else []
        return "\n".join([*lines, f"        return ACTIONS[{', '.join(asked) or '()'}]"])

    def _direction(self, axis: Axis, rules: Rules) -> str:
        self.helpers.add("direction")
        self._name("DEAD_ZONE", rules.dead_zone, "pixels off target: good enough")
        why = "steps of its movement that the player still makes once let go"
        coasting, here = self._name("COASTING", rules.coasting, why), f"{self.me}.c{axis}"
        if coasting != "0":
            here += f" + {coasting} * {self.me}.d{axis}"
        return f"self.direction(self.choose_{axis}(obs, {self.me}), {here})"

    def _choose(self, axis: Axis, rules: Sequence[Rule]) -> str:
        lines = [
            f"    def choose_{axis}(self, obs, {self.me}):",
            f'        """Where the {self.world.player} should be in {axis}; None to stay."""',
        ]
        bound: dict[str, str] = {}
        for rule in rules:
            if rule.axis != axis:
                continue
            words = rule_words(rule)
            lines.append(f"        # {words[0].upper()}{words[1:]}.")
            if rule.subject is None:
                lines.append(f"        return {self._target(rule.target, axis, '', '')}")
                return "\n".join(lines)
            name, bind, test = self._condition(rule.subject, rule.guards, bound)
            lines += [*bind, f"        if {test}:"]
            if isinstance(rule.target, Intercept) and rule.target.aim is not None:
                lines.append(f"            at = {self._pick(rule.target.aim.at)}")
            target = self._target(rule.target, axis, name, rule.subject.category)
            lines.append(f"            return {target}")
        return "\n".join([*lines, "        return None"])

    def _wants_fire(self, triggers: Sequence[Trigger]) -> list[str]:
        if not triggers:
            return []
        lines = [
            f"    def wants_fire(self, obs, {self.me}):",
            '        """Whether to press the fire button now."""',
        ]
        tests = []
        for trigger in triggers:
            match trigger:
                case Pulse(period):
                    self.counts_steps = True
                    every = self._name("FIRE_EVERY", period, "steps", whole=True)
                    tests.append(f"self.steps % {every} == 0")
                case Missing(category):
                    tests.append(f'not obs["{category}"]')
                case When(subject, guards):
                    _, bind, test = self._condition(subject, guards, {})
                    lines += bind
                    tests.append(test)
                case Always():
                    tests.append("True")
        return ["\n".join([*lines, f"        return {' or '.join(tests)}"])]

    # Plans

    def _plan_methods(self, plan: Plan) -> list[str]:
        gauge = plan.need.category if plan.need else ""
        self.helpers.update(["value_of"] if gauge else [])
        shows = any(w.shows != "anything" for w in plan.worths)
        thing = self._pick(plan.anchor.subject, "me") if plan.anchor else ""
        return planner_methods(turns=plan.turn is not None, shows=shows, gauge=gauge, anchor=thing)

    def _plan_constants(self, plan: Plan) -> list[str]:
        player = self.world.player
        edges = [edge for axis in _AXES for edge in self.world.extent(axis, player, BEYOND_PX)]
        home = [_number(place) if place else "None" for place in (plan.home_x, plan.home_y)]
        stride = f"({_number(plan.stride_x)}, {_number(plan.stride_y)})"
        tempo = max(1.0, round(plan.tempo.value, 1)) if plan.tempo else 1
        late = max(0.0, round(plan.late.value, 2))
        lines = [
            f"MOVES = {self.world.moves()}  # columns and rows of each move",
            f"STRIDE = {stride}  # pixels of a column and of a row",
            f"TEMPO = {tempo:g}  # steps that a move takes",
            f"FIELD = ({', '.join(f'{edge:g}' for edge in edges)})  # left, right, top, bottom",
            f"HOME = ({', '.join(home)})  # where to be if nothing else counts, x and y",
            f"PULL = {_number(plan.pull)}  # points that a step 100 pixels from home costs",
            f"HORIZON = {max(3, min(30, round(plan.horizon.value)))}  # moves to look ahead",
            f"LATE = {late:g}  # steps by which a danger may be off",
            f"MEMORY = {max(1, min(30, round(plan.memory.value)))}  # steps to average speeds over",
            f"DISCOUNT = {_DISCOUNT}  # of what comes a move later",
        ]
        if plan.turn:
            lines.append(f"TURN = {_number(plan.turn)}  # points to turn to what is lined up")
        if plan.anchor:
            pair = ", ".join(
                f"{max(0.0, round(off.value, 1)):g}" if off else "None"
                for off in (plan.anchor.off_x, plan.anchor.off_y)
            )
            where = f"pixels from {pick_words(plan.anchor.subject)}; None: as HOME"
            lines.append(f"BESIDE = ({pair})  # {where}")
        if plan.need:
            places = ["None", _number(plan.need.place)]
            place = ", ".join(places[::-1] if plan.need.axis == "x" else places)
            lines += [
                f"NEED_BELOW = {_number(plan.need.limit)}  # {plan.need.category}: less is low",
                f"NEED_PLACE = ({place})  # where to be then, x and y",
                f"NEED_PULL = {_number(plan.need.pull)}  # as PULL",
            ]
        shows = any(w.shows != "anything" for w in plan.worths)
        lines += [
            "WORTHS = (",
            "    # category, points for contact, pixels of margin, axis to line up on, steps that",
            "    # a shot takes for a pixel, pixels that it reaches" + (", what to show" * shows),
            *(f"    {_worth(w, shows=shows)}," for w in plan.worths),
            ")",
        ]
        return lines

    # Expressions

    def _condition(
        self, subject: Pick, guards: Sequence[Guard], bound: dict[str, str]
    ) -> tuple[str, list[str], str]:
        """Return the subject's variable, the lines that bind it, and the test."""
        name = snake(subject.category)
        name = f"other_{name}" if name == self.me else name
        expression = self._pick(subject)
        bind = [] if bound.get(name) == expression else [f"        {name} = {expression}"]
        bound[name] = expression
        tests = [f"{name} is not None", *(self._guard(guard, name) for guard in guards)]
        return name, bind, " and ".join(dict.fromkeys(tests))

    def _pick(self, pick: Pick, me: str = "") -> str:
        self.helpers.add(pick.choice)
        me_too = f", {me or self.me}" if pick.choice == "nearest" else ""
        return f'self.{pick.choice}(obs["{pick.category}"]{me_too})'

    def _target(self, target: Target, axis: Axis, name: str, category: str) -> str:
        """Return the expression of a target about the object ``name`` of ``category``."""
        stem = snake(category).upper()
        match target:
            case GoTo(place):
                return self._name(f"HOME_{axis.upper()}", place, "pixels")
            case Stay():
                return "None"
            case Track(steps, offset):
                text = f"{name}.c{axis}"
                if steps is not None:
                    ahead = self._name(f"{stem}_LEAD", steps, "steps to look ahead")
                    text += f" + {ahead} * {name}.d{axis}" if ahead != "0" else ""
                return text + self._plus(offset, stem)
            case Intercept(offset, aim):
                self.helpers.update((f"crossing_{axis}", "bounce"))
                crossing = f"self.crossing_{axis}({name}, {self.me}, {self._edges(category, axis)})"
                return crossing + self._plus(offset, stem) + self._aim(aim, axis, name)

    def _plus(self, offset: Constant | None, stem: str) -> str:
        added = "0" if offset is None else self._name(f"{stem}_OFFSET", offset, "pixels")
        return f" + {added}" if added != "0" else ""

    def _aim(self, aim: Aim | None, axis: Axis, name: str) -> str:
        if aim is None:
            return ""
        self.helpers.add(f"aim_{axis}")
        gain = self._name("AIM_GAIN", aim.gain, f"off centre by {pick_words(aim.at)}")
        limit = self._name("AIM_LIMIT", aim.limit, "pixels off centre at most")
        return f" + self.aim_{axis}({name}, at, {gain}, {limit})"

    def _guard(self, guard: Guard, name: str) -> str:
        match guard:
            case Approaching(axis, away):
                helper = f"{'leaves' if away else 'approaches'}_{axis}"
                self.helpers.add(helper)
                return f"self.{helper}({name}, {self.me})"
            case Near(axis, farther, limit):
                stem = f"{name.upper()}_{'FAR' if farther else 'NEAR'}_{axis.upper()}"
                bound = self._name(stem, limit, "pixels")
                sign = ">" if farther else "<"
                return f"abs({name}.c{axis} - {self.me}.c{axis}) {sign} {bound}"


def _worth(worth: Worth, *, shows: bool) -> str:
    axis, lead, reach = None, "0", str(_FARTHEST_PX)
    if worth.line_up:
        axis, lead = worth.line_up.axis, f"{max(0.0, round(worth.line_up.lead.value, 3)):g}"
        reach = _number(worth.line_up.reach) if worth.line_up.reach else reach
    parts = [f'"{worth.category}"', _number(worth.points), _number(worth.margin), f"{axis!r}"]
    parts = [part.replace("'", '"') for part in [*parts, lead, reach]]
    if shows:
        parts.append({"the least": "min", "the most": "max"}.get(worth.shows, "None"))
    return f"({', '.join(parts)})"


def _number(constant: Constant) -> str:
    return f"{round(constant.value, 2) + 0.0:g}"
