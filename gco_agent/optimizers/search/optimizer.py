"""The embedded optimizer: a slice of program search an iteration, with no key and no network."""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from gco_agent.core.codec import decode, dumps, readable
from gco_agent.core.errors import ProposalError
from gco_agent.core.events import Searching
from gco_agent.core.records import PlayProtocol
from gco_agent.core.seeds import Stream, seed_of_chance
from gco_agent.evaluation.workers import WorkerPool
from gco_agent.games.registry import find_game
from gco_agent.optimizers.base import Capabilities, Optimizer, Proposal, Request, Tools
from gco_agent.optimizers.cma import StepBudget
from gco_agent.optimizers.search.evolve import (
    BREEDING,
    Arena,
    Member,
    evolve,
    keep,
    prune,
    race,
    ranked,
    screen,
    tune,
    unlike,
)
from gco_agent.optimizers.search.genome import Constant, Program, constants, headline, niche, nodes
from gco_agent.optimizers.search.play import Names, Probe, names_of, probe
from gco_agent.optimizers.search.world import Step, World, identify
from gco_agent.optimizers.vectors.optimizer import VectorSearch
from gco_agent.policy.source import PolicySource, format_policy

STATE_FILE = "search.json"
_SCHEMA = 5
_PROBES, _PROBE_STEPS, _RESTED, _REST_STEPS = 2, 800, 3, 1_600
_TUNING_BEGINS = 1_000_000
"""Index of the first feedback seed that is for tuning."""
_TUNED_IN_TURN = (0, 1, 0, 2)
"""The best, or the best of the next niches, that each slice of tuning works on."""
_TUNES_EVERY = 3
"""One in so many slices tunes constants; the others breed."""
_STALE = 10
"""Iterations without an accepted proposal after which new random programs are screened."""
_MOST_SLICES = 3
"""Largest slice, in slices: after each iteration without an accepted proposal the next is larger,
since what is easily found is found.
"""
_OVERDRAWN = 2.0
"""Budgets up to which a program is pruned."""
_LARGEST = 1e6
"""No place, distance or number of steps is larger."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A member of the archive as it is stored; fields as of `Member`."""

    program: Program
    spread: tuple[float, ...] | None
    n: int
    mean: float
    cell: str
    born: int


@dataclass(slots=True)
class SearchState:
    """What the search remembers between slices.

    Attributes:
        usual_rate: Lives lost a step by the best programs lately; by random play at first.
        proposed: Marks of former candidates, with their iterations.
        champion: Mark of the last one that was accepted, or "".
    """

    schema: int
    world: World
    usual_rate: float
    archive: list[Kept] = field(default_factory=list)
    slices: int = 0
    tunings: int = 0
    screened: int = 0
    proposed: dict[str, int] = field(default_factory=dict)
    champion: str = ""

    def members(self) -> list[Member]:
        """Return the archive as it is rated."""
        return [Member(k.program, k.spread, k.n, k.mean, k.cell, k.born) for k in self.archive]


def read_state(text: str, names: Names) -> SearchState | None:
    """Return the state in ``text``; None if an earlier version wrote it, whose search is over.

    The state is rendered as Python and played outside the jail, and anyone may have written it. So
    only known nodes, names that the environment itself has, and finite numbers are accepted.
    """
    with readable(STATE_FILE):
        data = json.loads(text)
        if data.get("schema") in range(1, _SCHEMA):
            return None
    state = decode(SearchState, data, STATE_FILE)
    with readable(STATE_FILE):
        if state.schema != _SCHEMA:
            raise ValueError(f"search state of schema {state.schema!r}; this reads {_SCHEMA}")
        _require_known(state, names)
    return state


def _require_known(state: SearchState, names: Names) -> None:
    world, used = state.world, set[str]()
    if world.action_names != names.actions or len(world.signs) != len(names.actions):
        raise ValueError(f"the actions are {world.action_names!r}; here they are {names.actions!r}")
    if not 0 <= world.player_index < _LARGEST:
        raise ValueError(f"the index of the player is {world.player_index}")
    if not 0 <= state.usual_rate <= 1:
        raise ValueError(f"the rate of losing lives is {state.usual_rate}")
    for table in (world.ranges, world.most, world.values, world.contacts, world.shots, world.hits):
        used.update(table)
    used.update((world.player, world.ground, *world.places, *world.gaps))
    for kept in state.archive:
        for node in nodes(kept.program):
            used.add(getattr(node, "category", ""))
            if isinstance(node, Constant) and not abs(node.value) + abs(node.scale) < _LARGEST:
                raise ValueError(f"a constant is out of range: {node.value!r}")
        if kept.spread is not None and len(kept.spread) != len(constants(kept.program)):
            raise ValueError("a spread has not one number for each constant")
    if not used <= {"", *names.categories}:
        raise ValueError(f"no such categories: {sorted(used - {'', *names.categories})!r}")


class SearchOptimizer(Optimizer):
    """Typed program search: screen, tune, evolve; deterministic per seed."""

    name = "search"
    capabilities = Capabilities(one_candidate=True, is_repeatable=True)
    only_screens = False

    def __init__(self, pool: WorkerPool) -> None:
        self._pool = pool

    @classmethod
    def create(cls, tools: Tools) -> SearchOptimizer:
        """Create the optimizer with the worker pool of the command."""
        return cls(tools.pool)

    def propose(self, request: Request) -> Proposal:
        """Play one slice and propose the best program that was not proposed before."""
        config = request.config
        if not config.protocol.has_objects:
            return VectorSearch(self._pool, only_screens=self.only_screens).propose(request)
        spec, protocol = find_game(config.game), config.protocol
        accepted = {a.iteration for a in request.attempts if a.verdict == "accepted"}
        last_accepted = max(accepted, default=0)
        n_slices = min(_MOST_SLICES, request.iteration - last_accepted)
        budget = StepBudget(
            min(n_slices * config.slice_steps, request.most_steps or 10**12),
            min(time.perf_counter() + n_slices * config.slice_seconds, request.deadline),
        )
        remembered, state = request.recall(STATE_FILE), None
        if remembered is not None:
            [names] = self._pool.map(names_of, [protocol])
            state = read_state(remembered, names)
        if state is None:
            world, usual_rate, budget.used = self._identify(protocol, config.seed)
            state = SearchState(_SCHEMA, world, usual_rate)
        for mark, iteration in state.proposed.items():
            if iteration in accepted:
                state.champion = mark
        seeds = Stream.FEEDBACK.cycle(100 * request.iteration, 100)
        arena = Arena(self._pool, protocol, state.world, seeds, (spec.title, spec.env_id))
        arena.budget, arena.usual_rate = budget, state.usual_rate
        slice_ = _Slice(request, arena, state, last_accepted)
        if self.only_screens:
            slice_.kind, slice_.breeds = "screen", False
        return slice_.proposal()

    def _identify(self, protocol: PlayProtocol, seed: int) -> tuple[World, float, int]:
        """Play at random, and return what that shows, lives lost a step, and the steps played."""
        seeds = Stream.FEEDBACK.cycle(500_000 + 1_000 * seed, 100 * (_PROBES + _RESTED))
        [names] = self._pool.map(names_of, [protocol])
        tasks = [Probe(protocol, seeds[100 * i], _PROBE_STEPS) for i in range(_PROBES)]
        played = self._pool.map(probe, tasks)
        more = [Probe(protocol, s, _REST_STEPS, rests=True) for s in seeds[100 * _PROBES :: 100]]
        rested: list[list[Step]] = []

        def rest() -> Iterator[list[Step]]:
            for task in more:
                rested.extend(self._pool.map(probe, [task]))
                yield rested[-1]

        world = identify(names.actions, played, rest())
        n_lost = sum(step.is_lost for steps in played for step in steps)
        n_steps = sum(map(len, (*played, *rested)))
        return world, n_lost / (_PROBES * _PROBE_STEPS), n_steps


class BestOfN(SearchOptimizer):
    """Baseline: the best of random programs, never changed; a control of the search's own work."""

    name = "best-of-n"
    only_screens = True


class _Slice:
    """One iteration's work."""

    def __init__(
        self, request: Request, arena: Arena, state: SearchState, last_accepted: int
    ) -> None:
        self._request, self._arena, self._state = request, arena, state
        self._members, self.breeds = state.members(), True
        self.kind = self._kind_of(max(last_accepted, state.screened))
        arena.on_batch = self._tell

    def _kind_of(self, last_news: int) -> str:
        """Screen first and where nothing new was found for long; else take turns."""
        if not self._members or self._request.iteration - last_news > _STALE:
            return "screen"
        return "evolve" if self._state.slices % _TUNES_EVERY else "tune"

    def _tell(self) -> None:
        budget = self._arena.budget
        words = headline(self._members[0].program) if self._members else ""
        done = min(1.0, budget.used / budget.n_steps)
        self._request.progress(Searching(self.kind, done, budget.used, words))

    def proposal(self) -> Proposal:
        """Play the slice and propose the result."""
        candidates, detail = self._play()
        state, arena, request = self._state, self._arena, self._request
        fresh = [m for m in [*candidates, *self._members] if m.mark not in state.proposed]
        if not fresh:
            raise ProposalError("every program of the search was proposed before")
        fresh = ranked(fresh)
        chosen = race(arena, self._unlike_champion(fresh) or fresh)
        in_time = arena.budget.share(_OVERDRAWN)
        pruned = prune(arena, chosen.program) if in_time else chosen.program
        proposed = Member(pruned, None, chosen.n, chosen.mean, chosen.cell, chosen.born)
        state.proposed[chosen.mark] = state.proposed[proposed.mark] = request.iteration
        if proposed.mark == chosen.mark:
            proposed = chosen
        members = [proposed if m is chosen else m for m in [*candidates, *self._members]]
        archive = keep(members, state.champion, state.screened)
        if proposed not in archive:
            archive[-1:] = [*archive[-1:], proposed]
        state.archive = [Kept(m.program, m.spread, m.n, m.mean, m.cell, m.born) for m in archive]
        state.slices += 1
        state.usual_rate = arena.learn_rate(list(chosen.episodes.values()))
        state.world = arena.world
        text = format_policy(arena.text(pruned))
        summary, changes = compare(request.parent.text, text)
        used = arena.budget.used
        learned = "".join(f"\n- {line}" for line in state.world.told())
        reason = (
            f"{detail} {used:,} steps played on feedback seeds; "
            f"{len(archive)} program{'s' * (len(archive) != 1)} in the archive.{changes}"
            f"\n\nWhat playing has shown:\n{learned}"
        )
        files = {STATE_FILE: dumps(state, indent=1) + "\n"}
        return Proposal(PolicySource(text), summary or headline(pruned), reason, files, used)

    def _unlike_champion(self, members: Sequence[Member]) -> list[Member]:
        """Return those of the first that do not play as the policy in force does."""
        own = [m.program for m in self._members if m.mark == self._state.champion]
        return unlike(self._arena, own[0], members) if own else list(members)

    def _play(self) -> tuple[Sequence[Member], str]:
        request, state, arena = self._request, self._state, self._arena
        number, seed = request.iteration, request.config.seed
        rng = random.Random(f"{seed}/{number}")  # noqa: S311 - no secret
        if self.kind == "screen":
            state.screened = number if self._members else 0
            found = screen(arena, rng, number)
            detail = "Screened random programs against what playing at random had shown."
            if not self.breeds or not arena.budget.share(BREEDING):
                return found, detail
            more = evolve(arena, keep(found), rng, number)
            return [*more, *found], f"{detail} Evolved the best: {len(more)} new programs."
        if self.kind == "evolve":
            found = evolve(arena, self._members, rng, number)
            return found, f"Evolved the archive: {len(found)} new programs."
        leaders: dict[str, Member] = {}
        for member in sorted(self._members, key=lambda m: m.mark != state.champion):
            leaders.setdefault(niche(member.program), member)
        rank = _TUNED_IN_TURN[state.tunings % len(_TUNED_IN_TURN)] % len(leaders)
        leader = list(leaders.values())[rank]
        state.tunings += 1
        seeds = Stream.FEEDBACK.cycle(_TUNING_BEGINS + number * 1_000, 1_000)
        tuned, n_generations = tune(arena, leader, seeds, seed_of_chance(seed * 1_000 + number))
        told = f"{n_generations} generations ({headline(leader.program)})."
        return tuned, f"Tuned constants with CMA-ES: {told}"


_RULE = re.compile(r"^ {8}# (?P<name>[A-Z][^\n]*)\.$", re.MULTILINE)
_CONSTANT = re.compile(r"^(?P<name>[A-Z][A-Z0-9_]*) = (?P<value>-?[0-9.e+-]+)(?= |$)", re.MULTILINE)
_WORTH = re.compile(r'^ {4}\("(?P<name>\w+)", (?P<value>-?[0-9.e+-]+), ', re.MULTILINE)
_PLACE = re.compile(r" = -?[0-9]+")


def compare(parent: str, child: str) -> tuple[str, str]:
    """Return what makes a policy another than its parent: in a few words, and a line each.

    Both are read as the renderer writes them; of any other parent nothing can be said.
    """
    before, after = _facts(parent), _facts(child)
    if not any(value is None for value in before.values()):
        return "", ""
    added = [name for name in after if name not in before]
    dropped = [name for name in before if name not in after]
    rules = [f"add: {name}" for name in added if after[name] is None]
    rules += [f"drop: {name}" for name in dropped if before[name] is None]
    moved = [
        f"{name} {before[name]:g} to {value:g}"
        for name, value in sorted(after.items(), key=lambda pair: -_shift(before, *pair))
        if value is not None and before.get(name, value) != value
    ]
    lines = "".join(f"\n- {line}" for line in (*rules, *(f"move: {line}" for line in moved)))
    some = rules[:2] or [f"move {', '.join(moved[:2])}"] if rules or moved else []
    return "; ".join(some), f"\n\nAgainst the policy before:\n{lines}" if lines else ""


def _shift(before: Mapping[str, float | None], name: str, value: float | None) -> float:
    old = before.get(name)
    if old is None or value is None or old == value:
        return 0.0
    return abs(value - old) / (abs(value) + abs(old))


def _facts(text: str) -> dict[str, float | None]:
    """Return rules and what counts in a plan, with None, and named constants with their values."""
    facts: dict[str, float | None] = {}
    for match in _RULE.finditer(text):
        words = _PLACE.sub("", match["name"])
        facts[words[0].lower() + words[1:]] = None
    for match in _WORTH.finditer(text):
        is_bad = match["value"].startswith("-")
        facts[f"{'keep clear of' if is_bad else 'go for'} {match['name']}"] = None
        facts[f"worth of {match['name']}"] = float(match["value"])
    facts.update((match["name"], float(match["value"])) for match in _CONSTANT.finditer(text))
    return facts
