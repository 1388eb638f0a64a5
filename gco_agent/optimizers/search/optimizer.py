"""The embedded optimizer: a slice of program search an iteration, with no key and no network."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

from gco_agent.errors import ProposalError
from gco_agent.games import find_game
from gco_agent.optimizers.base import Proposal, Request
from gco_agent.optimizers.search.arena import TOP, Arena, Individual, Purse
from gco_agent.optimizers.search.evolve import SearchState, crown, distinct, evolve, screen
from gco_agent.optimizers.search.genome import niche
from gco_agent.optimizers.search.play import Probe, Probed, Table, probe
from gco_agent.optimizers.search.prune import prune
from gco_agent.optimizers.search.tuning import Arm, tune
from gco_agent.optimizers.search.words import headline
from gco_agent.optimizers.search.world import Displacements, World, identify
from gco_agent.policy import PolicySource, format_policy
from gco_agent.progress import Searching
from gco_agent.seeds import Stream
from gco_agent.workers import WorkerPool

STATE_FILE = "search.json"
_PROBES, _PROBE_STEPS = 2, 800
_RATING_SEEDS = Stream.FEEDBACK.seeds(0, 100)
_TUNING_SEEDS = Stream.FEEDBACK.seeds(1_000, 1_000_000)
_ARMS = (3, 2, 1)
"""How many niches the first, the second and every later tuning slice works on."""


@dataclass
class _Slice:
    """One iteration's work: the arena it plays in, and what it came to."""

    arena: Arena
    state: SearchState
    kind: str
    detail: str = ""


class SearchOptimizer:
    """Typed program search: screen, evolve, tune; raced over seeds, deterministic per seed."""

    name = "search"

    def __init__(self, pool: WorkerPool) -> None:
        self._pool = pool

    def propose(self, request: Request) -> Proposal:
        """Play one slice and propose the best program that was not turned down before.

        Raises:
            ProposalError: Everything known was turned down before, which only a very small
                allowance can lead to.
        """
        config = request.config
        table = Table(config.game, config.protocol.frame_skip, config.protocol.sticky)
        spec = find_game(config.game)
        remembered = request.recall(STATE_FILE)
        purse = Purse(
            config.slice_steps,
            min(time.perf_counter() + config.slice_seconds, request.deadline),
        )
        if remembered is None:
            state = SearchState(self._identify(table, config.seed))
            purse.used += _PROBES * _PROBE_STEPS
        else:
            state = SearchState.from_json(json.loads(remembered))
        arena = Arena(self._pool, table, state.world, _RATING_SEEDS, spec.title, spec.env_id)
        arena.purse = purse
        work = self._play_slice(request, arena, state)
        return self._proposal(request, work)

    def _identify(self, table: Table, seed: int) -> World:
        """Find out who is moved and how, by playing at random."""
        first = Stream.FEEDBACK.value + 500_000 + 1_000 * seed
        tasks = [Probe(table, first + 100 * i, _PROBE_STEPS) for i in range(_PROBES)]
        found = self._pool.map(probe, tasks)
        return identify(found[0].action_names, _all_moves(found), [p.sightings for p in found])

    def _play_slice(self, request: Request, arena: Arena, state: SearchState) -> _Slice:
        number = request.iteration
        rng = random.Random(f"{request.config.seed}/{number}")
        work = _Slice(arena, state, _kind(state))

        def tell() -> None:
            best = state.population[0] if state.population else None
            words = headline(best.program) if best else ""
            done = min(1.0, arena.purse.used / arena.purse.n_steps)
            request.progress(Searching(work.kind, done, arena.purse.used, words))

        arena.on_batch = tell
        if work.kind == "screen":
            state.population = screen(arena, rng)
            work.detail = "the best of the random programs"
        elif work.kind == "evolve":
            before = {member.text for member in state.population}
            state.population = evolve(arena, state.population, rng)
            n_new = sum(member.text not in before for member in state.population)
            work.detail = f"{n_new} new programs by mutation and crossover"
        else:
            work.detail = _tune(arena, state, number, request.config.seed)
        state.slices += 1
        state.population = crown(arena, state.population)
        state.world = arena.world
        return work

    def _proposal(self, request: Request, work: _Slice) -> Proposal:
        state = work.state
        chosen = next((m for m in state.population if m.text not in state.proposed), None)
        if chosen is None:
            raise ProposalError("every program of the search was proposed before")
        pruned = prune(work.arena, chosen)
        state.population[state.population.index(chosen)] = pruned
        state.proposed[chosen.text] = state.proposed[pruned.text] = request.iteration
        for member in state.population:
            member.episodes.clear()
        summary = headline(pruned.program)
        rating = pruned.ratings.get(TOP, pruned.ratings[pruned.level])
        reason = (
            f"{_REASONS[work.kind]}: {work.detail}. {work.arena.purse.used:,} steps played on "
            f"feedback seeds; the proposed program came to {rating:.2f} in episodes cut short."
        )
        files = {STATE_FILE: json.dumps(state.to_json(), indent=1) + "\n"}
        text = format_policy(pruned.text)
        return Proposal(PolicySource(text), summary, reason, files, work.arena.purse.used)


_REASONS = {
    "screen": "Screened random programs against what playing at random had shown",
    "evolve": "Evolved the population",
    "tune": "Tuned constants with CMA-ES",
}


def _kind(state: SearchState) -> str:
    """Screen once; then one slice of evolution to two of tuning."""
    if not state.population:
        return "screen"
    return "evolve" if state.slices % 3 == 1 else "tune"


def _tune(arena: Arena, state: SearchState, number: int, seed: int) -> str:
    """Tune the leaders of the best niches and put what comes of it into the population."""
    wanted = _ARMS[min(state.tunings, len(_ARMS) - 1)]
    state.tunings += 1
    leaders: dict[tuple[str, ...], Individual] = {}
    for member in state.population:
        leaders.setdefault(niche(member.program), member)
    arms = [Arm(member, state.spread.get(member.text)) for member in leaders.values()][:wanted]
    seeds = _TUNING_SEEDS[number * 1_000 : number * 1_000 + 1_000]
    n_generations = tune(arena, arms, seeds, rng_seed=1 + seed * 1_000 + number)
    fresh: list[Individual] = []
    state.spread = {}
    for arm in arms:
        tuned = [arena.individual(program) for program in arm.programs]
        state.spread.update({member.text: arm.spread or [] for member in (*tuned, arm.leader)})
        fresh += tuned
    for level in range(TOP):
        arena.rate(fresh, level)
    fresh.sort(key=lambda member: -member.ratings[TOP - 1])
    arena.rate(fresh[:2], TOP)
    state.population = distinct([*state.population, *fresh])
    named = "; ".join(headline(arm.leader.program) for arm in arms)
    return f"{n_generations} generations on {len(arms)} programs ({named})"


def _all_moves(found: Sequence[Probed]) -> Displacements:
    merged: Displacements = {}
    for part in found:
        for key, per_action in part.moved.items():
            mine = merged.setdefault(key, {})
            for action, moves in per_action.items():
                mine.setdefault(action, []).extend(moves)
    return merged

