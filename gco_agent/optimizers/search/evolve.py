"""One slice of the search: screening, evolution, or tuning of constants.

The state between slices is plain data: the world and a small population with its ratings. What a
slice does depends on that state, the slice's number, the seed and the purse alone.
"""

from __future__ import annotations

import dataclasses
import hashlib
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gco_agent.optimizers.search.arena import TOP, Arena, Individual
from gco_agent.optimizers.search.genome import Program, niche, to_json
from gco_agent.optimizers.search.grammar import Grammar
from gco_agent.optimizers.search.memory import Names, finite, read_program, read_world, whole
from gco_agent.optimizers.search.render import render
from gco_agent.optimizers.search.world import World

Writer = Callable[[Program, World], str]

POPULATION = 10
_SCHEMA = 2
_PER_NICHE = 2
_CHILDREN = 12
_FINALISTS = 3
_FRESH = 0.07
"""Share of children that are new programs instead of changed ones."""
_SAME = 1e-4
"""Ratings nearer than this are taken for the same behaviour."""


@dataclass
class SearchState:
    """What the search remembers between slices.

    Attributes:
        population: Best first, by the dearest rating that all of them have.
        spread: For the tuner: how far each constant of a program still varies, by its mark.
        slices: How many have been played.
        tunings: How many of them were for tuning.
        proposed: Marks of what became candidates, with the iteration in which they did.
        champion: Mark of the last one that the judge accepted, or "".
    """

    world: World
    population: list[Individual] = field(default_factory=list)
    spread: dict[str, list[float]] = field(default_factory=dict)
    slices: int = 0
    tunings: int = 0
    proposed: dict[str, int] = field(default_factory=dict)
    champion: str = ""

    def to_json(self) -> dict[str, Any]:
        """As JSON data, without the episodes."""
        return {
            "schema": _SCHEMA,
            "world": self.world.to_json(),
            "population": [
                {
                    "program": to_json(member.program),
                    "ratings": {str(level): r for level, r in sorted(member.ratings.items())},
                }
                for member in self.population
            ],
            "spread": self.spread,
            "slices": self.slices,
            "tunings": self.tunings,
            "proposed": self.proposed,
            "champion": self.champion,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], names: Names, write: Writer) -> SearchState:
        """Inverse of `to_json`; no text is taken from the data, which anybody may have written.

        Args:
            data: What was written.
            names: Of the environment.
            write: Renders a program against a world.

        Raises:
            ValueError: The data were written by a version that this one cannot read, or by none.
            KeyError, TypeError, AttributeError: So they were.
        """
        schema = data.get("schema")
        if schema not in (1, _SCHEMA):
            raise ValueError(f"search state of schema {schema!r}; this reads {_SCHEMA}")
        world = read_world(data["world"], names)
        programs = [read_program(member["program"], names) for member in data["population"]]
        population = [
            Individual(
                program,
                _written(program, world, write),
                {int(level): finite(r, "rating") for level, r in member["ratings"].items()},
            )
            for program, member in zip(programs, data["population"], strict=True)
        ]
        played, tuned = (whole(data[name], name) for name in ("slices", "tunings"))
        state = cls(world, population, slices=played, tunings=tuned)
        if schema == _SCHEMA:  # the first one had texts in the place of marks
            state.spread = {
                str(mark): [finite(width, "spread") for width in widths]
                for mark, widths in data["spread"].items()
            }
            state.proposed = {str(mark): int(number) for mark, number in data["proposed"].items()}
            state.champion = str(data["champion"])
        return state


def _written(program: Program, world: World, write: Writer) -> str:
    try:
        return write(program, world)
    except AssertionError as error:  # such a combination of parts is never made
        raise ValueError(f"a program cannot be written out: {error}") from error


def mark(program: Program, world: World) -> str:
    """What a program is remembered by: a digest of its text, but for how far things were seen."""
    nowhere = dict.fromkeys(world.ranges, (0.0, 0.0, 0.0, 0.0))
    text = render(program, dataclasses.replace(world, ranges=nowhere), "", "")
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def screen(arena: Arena, rng: random.Random) -> list[Individual]:
    """A population out of random programs: many at little cost, the best of them at more."""
    members: dict[str, Individual] = {}
    while not members or arena.purse.share(0.4):
        grammar = Grammar(arena.world, rng)
        batch = [arena.individual(grammar.program()) for _ in range(_CHILDREN)]
        fresh = list({m.text: m for m in batch if m.text not in members}.values())
        arena.rate(fresh, 0)
        members.update((member.text, member) for member in fresh)
    best = _best(members.values(), 0, min(24, max(16, len(members) // 6)))
    for level, kept in ((1, POPULATION + 4), (TOP - 1, POPULATION + 4)):
        if not arena.purse.share(1.0):
            break
        best = arena.affordable(best, level)
        arena.rate(best, level)
        best = _best(best, level, kept)
    return distinct(best)


def evolve(arena: Arena, population: list[Individual], rng: random.Random) -> list[Individual]:
    """Generations of mutation and crossover until two thirds of the purse are used.

    The population is rated anew first, on this slice's seeds.
    """
    population = [Individual(member.program, member.text) for member in population]
    for level in range(TOP):
        if level == 0 or arena.purse.share(0.65):
            arena.rate(population, level)
    population = distinct(population)
    known = {member.text for member in population}
    while arena.purse.share(0.65):
        children = _breed(arena, population, known, rng)
        for level, kept in ((0, _CHILDREN // 2), (1, 3), (TOP - 1, 3)):
            arena.rate(children, level)
            bar = sorted(member.ratings[level] for member in population)
            least = bar[len(bar) // 3 if level < TOP - 1 else 0] - 1e-9
            children = [c for c in _best(children, level, kept) if c.ratings[level] >= least]
        population = distinct([*population, *children])
    return population


def _breed(
    arena: Arena, population: Sequence[Individual], known: set[str], rng: random.Random
) -> list[Individual]:
    """New individuals: changed, crossed, a few drawn afresh; the better ones have more."""
    grammar = Grammar(arena.world, rng)
    children: list[Individual] = []
    for _ in range(40 * _CHILDREN):
        parent = population[min(rng.randrange(len(population)) for _ in range(2))]
        mate = rng.choice(population)
        is_fresh = rng.random() < _FRESH
        child = arena.individual(
            grammar.program() if is_fresh else grammar.mutate(parent.program, mate.program)
        )
        if child.text not in known:
            known.add(child.text)
            children.append(child)
        if len(children) == _CHILDREN:
            break
    return children


def best_of(arena: Arena, candidates: Sequence[Individual]) -> Individual:
    """The best of a few by the top level, whose seeds none of them was selected on."""
    finalists = arena.affordable(candidates[:_FINALISTS], TOP)
    if len(finalists) > 1 and arena.purse.share(1.0):
        arena.rate(finalists, TOP)
        finalists.sort(key=lambda member: -member.ratings[TOP])
    return finalists[0]


def _best(members: Iterable[Individual], level: int, n: int) -> list[Individual]:
    return sorted(members, key=lambda member: -member.ratings[level])[:n]


def distinct(members: Sequence[Individual]) -> list[Individual]:
    """The best by the dearest rating that all have: no two the same, few of one niche.

    Structures need their constants tuned before they show what they are worth; niches keep a
    few of them alive until then.
    """
    level = min((member.level for member in members), default=0)
    kept: list[Individual] = []
    for member in _best(members, level, len(members)):
        rating = member.ratings[level]
        same = any(abs(rating - other.ratings[level]) < _SAME for other in kept)
        kin = sum(niche(member.program) == niche(other.program) for other in kept)
        if not same and kin < _PER_NICHE:
            kept.append(member)
    return kept[:POPULATION]
