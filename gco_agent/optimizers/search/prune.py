"""Programs without the parts that do nothing: what a person has to read counts."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

from gco_agent.optimizers.search.arena import Arena, Individual
from gco_agent.optimizers.search.genome import Program

_SCAN = (1, 400)
_PROOF = (2, 700)
"""Episodes and steps that a part is first tried on, and that all idle parts are dropped on."""
Part = tuple[str, int, int]
"""Kind ("rule", "press", "fire", "worth", "guard"), index, and for a guard its index there."""


def prune(arena: Arena, member: Individual) -> Individual:
    """``member`` without the rules, guards and triggers whose loss changes no action.

    "No action" on two seeds up to a horizon: what would matter only later is lost. Parts that do
    nothing alone are dropped together, as many in a row as still change nothing.
    """
    parts = _parts(member.program)
    alone = [without(member.program, {part}) for part in parts]
    changes_nothing = _same(arena, member, alone, _SCAN)
    idle = [part for part, same in zip(parts, changes_nothing, strict=True) if same]
    together = [without(member.program, set(idle[: i + 1])) for i in range(len(idle))]
    program = member.program
    for smaller, same in zip(together, _same(arena, member, together, _PROOF), strict=True):
        if same:
            program = smaller
    text = arena.individual(program).text
    return Individual(program, text, dict(member.ratings), member.episodes)


def _same(
    arena: Arena, member: Individual, programs: list[Program], extent: tuple[int, int]
) -> list[bool]:
    """For each program whether it plays exactly as ``member`` does, over (seeds, steps)."""
    if not programs:
        return []
    texts = [member.text, *(arena.individual(program).text for program in programs)]
    n_seeds, horizon = extent
    seeds = arena.seeds[:n_seeds]
    played = [
        [(episode.actions, episode.n_steps) for episode in episodes]
        for episodes in arena.returns_of_many(texts, seeds, horizon)
    ]
    return [actions == played[0] for actions in played[1:]]


def _parts(program: Program) -> list[Part]:
    """Everything that could be left out; whole rules before their guards."""
    parts: list[Part] = [("rule", i, 0) for i in range(len(program.rules))]
    if program.plan is not None:
        parts += [("worth", i, 0) for i in range(len(program.plan.worths))]
    parts += [("press", i, 0) for i in range(len(program.presses))]
    parts += [("fire", i, 0) for i in range(len(program.fire))]
    parts += [
        ("guard", i, j) for i, rule in enumerate(program.rules) for j in range(len(rule.guards))
    ]
    return parts


def without(program: Program, parts: Collection[Part]) -> Program:
    """``program`` less ``parts``."""
    rules = [
        dataclasses.replace(
            rule, guards=tuple(g for j, g in enumerate(rule.guards) if ("guard", i, j) not in parts)
        )
        for i, rule in enumerate(program.rules)
        if ("rule", i, 0) not in parts
    ]
    presses = [p for i, p in enumerate(program.presses) if ("press", i, 0) not in parts]
    fire = [t for i, t in enumerate(program.fire) if ("fire", i, 0) not in parts]
    plan = program.plan
    if plan is not None:
        worths = [w for i, w in enumerate(plan.worths) if ("worth", i, 0) not in parts]
        plan = dataclasses.replace(plan, worths=tuple(worths))
    return dataclasses.replace(
        program, rules=tuple(rules), presses=tuple(presses), fire=tuple(fire), plan=plan
    )
