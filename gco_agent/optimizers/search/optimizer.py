"""The embedded optimizer: a slice of program search an iteration, with no key and no network."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

from gco_agent.core.codec import readable
from gco_agent.core.errors import ProposalError
from gco_agent.core.events import Searching
from gco_agent.core.records import PlayProtocol
from gco_agent.core.seeds import Stream, seed_of_chance
from gco_agent.evaluation.workers import WorkerPool
from gco_agent.games import GameSpec, find_game
from gco_agent.optimizers.base import Capabilities, Optimizer, Proposal, Request, Tools
from gco_agent.optimizers.cma import StepBudget
from gco_agent.optimizers.search.arena import Arena, Individual
from gco_agent.optimizers.search.changes import compare
from gco_agent.optimizers.search.evolve import (
    POPULATION,
    SearchState,
    best_of,
    evolve,
    mark,
    screen,
)
from gco_agent.optimizers.search.genome import Program, constants, niche
from gco_agent.optimizers.search.play import Probe, all_moves, names_of, note_contacts, probe
from gco_agent.optimizers.search.prune import prune
from gco_agent.optimizers.search.render import render
from gco_agent.optimizers.search.tuning import TuningRun, tune
from gco_agent.optimizers.search.words import headline
from gco_agent.optimizers.search.world import World, identify
from gco_agent.optimizers.vectors.optimizer import VectorSearch
from gco_agent.policy import PolicySource, format_policy

STATE_FILE = "search.json"
_PROBES, _PROBE_STEPS = 2, 800
_TUNING_BEGINS = 1_000_000
"""Index of the first feedback seed that is for tuning."""
_TUNED_FIRST = 2
"""Slices of tuning after the screening, before evolution begins."""
_ARMS = (3, 2, 1)
"""How many niches the first, the second and every later tuning slice works on."""


@dataclass
class _Slice:
    """One iteration's work: the arena it plays in, and what it came to, best candidate first."""

    arena: Arena
    state: SearchState
    kind: str
    detail: str = ""
    candidates: Sequence[Individual] = ()


class SearchOptimizer(Optimizer):
    """Typed program search: screen, evolve, tune; raced over seeds, deterministic per seed."""

    name = "search"
    capabilities = Capabilities(one_candidate=True)

    def __init__(self, pool: WorkerPool) -> None:
        self._pool = pool

    @classmethod
    def create(cls, tools: Tools) -> SearchOptimizer:
        """Create the optimizer with the worker pool of the command."""
        return cls(tools.pool)

    def propose(self, request: Request) -> Proposal:
        """Play one slice and propose the best program that was not turned down before.

        Raises:
            ProposalError: Everything known was turned down before, which only a very small
                allowance can lead to.
        """
        config = request.config
        if not config.protocol.has_objects:
            return VectorSearch(self._pool).propose(request)
        spec = find_game(config.game)
        remembered = request.recall(STATE_FILE)
        purse = StepBudget(
            config.slice_steps,
            min(time.perf_counter() + config.slice_seconds, request.deadline),
        )
        if remembered is None:
            state = SearchState(self._identify(config.protocol, config.seed))
            purse.used += _PROBES * _PROBE_STEPS
        else:
            state = self._remembered(remembered, config.protocol, spec)
        _note_verdicts(state, request)
        seeds = Stream.FEEDBACK.cycle(100 * request.iteration, 100)
        arena = Arena(self._pool, config.protocol, state.world, seeds, spec.title, spec.env_id)
        arena.purse = purse
        work = self._play_slice(request, arena, state)
        return self._proposal(request, work)

    def _remembered(self, text: str, protocol: PlayProtocol, spec: GameSpec) -> SearchState:
        """What the slices before left in the run.

        Raises:
            StoreError: It is damaged, or not what this version writes.
        """
        (names,) = self._pool.map(names_of, [protocol])

        def write(program: Program, world: World) -> str:
            return render(program, world, spec.title, spec.env_id)

        with readable(STATE_FILE):
            return SearchState.from_json(json.loads(text), names, write)

    def _identify(self, protocol: PlayProtocol, seed: int) -> World:
        """Find out who is moved and how, by playing at random."""
        seeds = Stream.FEEDBACK.cycle(500_000 + 1_000 * seed, 100 * _PROBES)
        tasks = [Probe(protocol, seeds[100 * i], _PROBE_STEPS) for i in range(_PROBES)]
        found = self._pool.map(probe, tasks)
        world = identify(found[0].action_names, all_moves(found), [])
        note_contacts(found, world.player, world.player_index)
        return world.after(part.sightings for part in found)

    def _play_slice(self, request: Request, arena: Arena, state: SearchState) -> _Slice:
        number = request.iteration
        rng = random.Random(f"{request.config.seed}/{number}")  # noqa: S311 - no secret
        work = _Slice(arena, state, _kind(state))

        def tell() -> None:
            best = state.population[0] if state.population else None
            words = headline(best.program) if best else ""
            done = min(1.0, arena.purse.used / arena.purse.n_steps)
            request.progress(Searching(work.kind, done, arena.purse.used, words))

        arena.on_batch = tell
        if work.kind == "screen":
            state.population = work.candidates = screen(arena, rng)
            work.detail = "the best of the random programs"
        elif work.kind == "evolve":
            before = {member.text for member in state.population}
            state.population = evolve(arena, state.population, rng)
            work.candidates = [m for m in state.population if m.text not in before]
            work.detail = f"{len(work.candidates)} new programs by mutation and crossover"
        else:
            _tune(work, number, request.config.seed)
        state.slices += 1
        state.world = arena.world
        return work

    def _proposal(self, request: Request, work: _Slice) -> Proposal:
        state = work.state
        marked = [(mark(m.program, state.world), m) for m in [*work.candidates, *state.population]]
        fresh = list({known: m for known, m in marked if known not in state.proposed}.values())
        if not fresh:
            raise ProposalError("every program of the search was proposed before")
        chosen = fresh[0] if work.kind == "tune" else best_of(work.arena, fresh)
        pruned = prune(work.arena, chosen)
        state.population[state.population.index(chosen)] = pruned
        for each in (chosen, pruned):
            state.proposed[mark(each.program, state.world)] = request.iteration
        for member in state.population:
            member.episodes.clear()
        text = format_policy(pruned.text)
        change = compare(request.parent.text, text)
        summary = (change.summary if change else "") or headline(pruned.program)
        reason = (
            f"{_REASONS[work.kind]}: {work.detail}. "
            f"{work.arena.purse.used:,} steps played on feedback seeds."
        )
        if change and change.paragraph:
            reason += f"\n\nAgainst the policy before:\n\n{change.paragraph}"
        files = {STATE_FILE: json.dumps(state.to_json(), indent=1) + "\n"}
        return Proposal(PolicySource(text), summary, reason, files, work.arena.purse.used)


_REASONS = {
    "screen": "Screened random programs against what playing at random had shown",
    "evolve": "Evolved the population",
    "tune": "Tuned constants with CMA-ES",
}


def _note_verdicts(state: SearchState, request: Request) -> None:
    """Take the judge's word for which program is the best: full episodes on other seeds."""
    accepted = {a.iteration for a in request.attempts if a.verdict == "accepted"}
    for known, iteration in state.proposed.items():
        if iteration in accepted:
            state.champion = known


def _kind(state: SearchState) -> str:
    """Screen once, tune twice, then evolve and tune in turn."""
    if not state.population:
        return "screen"
    since = state.slices - 1 - _TUNED_FIRST
    return "evolve" if since >= 0 and since % 2 == 0 else "tune"


def _tune(work: _Slice, number: int, seed: int) -> None:
    """Tune the leaders of the best niches; what comes of one takes its place, the best first."""
    arena, state = work.arena, work.state
    wanted = _ARMS[min(state.tunings, len(_ARMS) - 1)]
    state.tunings += 1
    leaders: dict[tuple[str, ...], Individual] = {}
    marks = {id(member): mark(member.program, arena.world) for member in state.population}
    champion = [m for m in state.population if marks[id(m)] == state.champion]
    for member in [*champion, *state.population]:
        leaders.setdefault(niche(member.program), member)
    arms = [TuningRun(m, _spread_of(state, marks[id(m)], m)) for m in leaders.values()][:wanted]
    seeds = Stream.FEEDBACK.cycle(_TUNING_BEGINS + number * 1_000, 1_000)
    n_generations = tune(arena, arms, seeds, rng_seed=seed_of_chance(seed * 1_000 + number))
    arms.sort(key=lambda arm: -arm.score)
    tuned = [arena.individual(arm.mean or arm.leader.program) for arm in arms]
    marked = [mark(member.program, arena.world) for member in tuned]
    state.spread = {known: arm.spread or [] for known, arm in zip(marked, arms, strict=True)}
    used = [arm.leader for arm in arms]
    rest = [m for m in state.population if m not in used or marks[id(m)] == state.champion]
    state.population = [*tuned, *rest][:POPULATION]
    work.candidates = tuned
    named = "; ".join(headline(arm.leader.program) for arm in arms)
    work.detail = f"{n_generations} generations on {len(arms)} programs ({named})"


def _spread_of(state: SearchState, known: str, member: Individual) -> list[float] | None:
    """How far the constants of a program still vary, if that was noted for as many as it has."""
    spread = state.spread.get(known)
    n_constants = sum(1 for _ in constants(member.program))
    return spread if spread is not None and len(spread) == n_constants else None
