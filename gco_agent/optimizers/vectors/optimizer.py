"""A slice of search an iteration, for environments whose observations are numbers."""

from __future__ import annotations

import functools
import random
import time

from gco_agent.core.codec import dumps, loads, readable
from gco_agent.core.errors import ProposalError
from gco_agent.core.events import Searching
from gco_agent.core.records import PlayProtocol
from gco_agent.core.seeds import Stream, seed_of_chance
from gco_agent.envs.environment import spec_of
from gco_agent.evaluation.episode import environment_of
from gco_agent.evaluation.workers import WorkerPool
from gco_agent.games.spec import GameSpec
from gco_agent.optimizers.base import Capabilities, Optimizer, Proposal, Request
from gco_agent.optimizers.cma import StepBudget
from gco_agent.optimizers.vectors.arms import State, Table, choose, prune, screen, thin, tune_all
from gco_agent.optimizers.vectors.play import MOST_NUMBERS, Probe, probe
from gco_agent.optimizers.vectors.program import Task, VectorProgram, headline, render
from gco_agent.policy.source import PolicySource, format_policy

STATE_FILE = "search.json"
_SCHEMA = 3
_SLICE_SEEDS = 100_000
_PROBE_STEPS, _PROBE_SHARE = 2_000, 0.2
"""Steps that tell the scale of observations, and the part of the time that they may take."""


class VectorSearch(Optimizer):
    """Sums of numbers, tuned by CMA-ES; deterministic per seed unless a clock cuts a slice."""

    name = "search"
    capabilities = Capabilities(one_candidate=True)

    def __init__(self, pool: WorkerPool, *, only_screens: bool = False) -> None:
        self._pool, self._only_screens = pool, only_screens

    def propose(self, request: Request) -> Proposal:
        """Play one slice and propose the best program of it that was not proposed before."""
        config = request.config
        table, state = self._begin(request)
        rng = random.Random(f"{config.seed}/{request.iteration}")  # noqa: S311 - no secret
        screen(table, state, rng)
        rng_seed = seed_of_chance(1_000 * config.seed + 20 * request.iteration)
        if self._only_screens:
            candidates = [(i, arm.program) for i, arm in enumerate(state.arms)]
        else:
            candidates = tune_all(table, state, rng_seed)
        if state.best is not None:
            candidates.append((-1, state.best))
        ranking = choose(table, candidates)
        if self._only_screens:
            state.arms = []
        else:
            thin(state, ranking)
        state.best = prune(table, ranking[0].program)
        texts = {
            format_policy(render(table.task, program)): program
            for program in (state.best, *(rated.program for rated in ranking))
        }
        sources = {PolicySource(text): program for text, program in texts.items()}
        fresh = [source for source in sources if source.digest not in state.proposed]
        if not fresh:
            raise ProposalError("the search came to a program that was proposed before")
        source, chosen = fresh[0], sources[fresh[0]]
        state.proposed[source.digest] = request.iteration
        words = ", ".join(
            f"{arm.family} sums ({arm.generations} generations, mean return of the last "
            f"{arm.score or 0:.4g}, {arm.n_seeds} episodes for each program)"
            for arm in state.arms
        )
        how = "Random sums of" if self._only_screens else "CMA-ES on"
        reason = (
            f"{how} {len(table.task.names)} numbers: {words or 'all that was begun is done'}. "
            f"{table.budget.used:,} steps played on feedback seeds."
        )
        files = {STATE_FILE: dumps(state) + "\n"}
        summary = headline(table.task, chosen)
        return Proposal(source, summary, reason, files, table.budget.used)

    def _begin(self, request: Request) -> tuple[Table, State]:
        config = request.config
        remembered = request.recall(STATE_FILE)
        if remembered is None:
            (seed,) = Stream.FEEDBACK.cycle(500_000 + config.seed, 1)
            now = time.perf_counter()
            seconds = min(config.slice_seconds, request.deadline - now)
            probed_by = now + _PROBE_SHARE * seconds
            (seen,) = self._pool.map(probe, [Probe(config.protocol, seed, _PROBE_STEPS, probed_by)])
            state = State(_SCHEMA, seen.scale, seen.is_vector)
        else:
            state = loads(State, remembered, STATE_FILE)
        with readable(STATE_FILE):
            if state.schema != _SCHEMA or min(state.scale, default=1.0) <= 0:
                raise ValueError(f"schema {state.schema} with scale {state.scale}")
        task = task_of(config.protocol, state)
        with readable(STATE_FILE):
            state.require_fits(task)
        now = time.perf_counter()
        deadline = min(now + config.slice_seconds, request.deadline)
        budget = StepBudget(config.slice_steps, deadline, begun=now)
        seeds = Stream.FEEDBACK.cycle(_SLICE_SEEDS * request.iteration, _SLICE_SEEDS)
        table = Table(self._pool, config.protocol, task, seeds, budget)
        table.on_batch = functools.partial(_tell, request, table)
        return table, state


def _tell(request: Request, table: Table, leader: VectorProgram) -> None:
    words = headline(table.task, leader)
    request.progress(Searching("tune", table.done, table.budget.used, words))


def task_of(protocol: PlayProtocol, state: State) -> Task:
    """Return what programs have to know of the environment."""
    spec: GameSpec = spec_of(protocol)
    env = environment_of(protocol)
    if not state.scale:
        raise ProposalError(f"observations of {spec.title} have no numbers in them")
    if len(state.scale) > MOST_NUMBERS:
        raise ProposalError(
            f"an observation of {spec.title} is {len(state.scale):,} numbers, a picture perhaps; "
            f"the search weighs {MOST_NUMBERS:,} at most"
        )
    low, high = env.bounds
    names = tuple(f.name for f in spec.fields) or tuple(f"n{i}" for i in range(len(state.scale)))
    if len(names) != len(state.scale):
        names = tuple(f"n{i}" for i in range(len(state.scale)))
    words = tuple(word if word else str(i) for i, word in enumerate(spec.actions))
    if env.n_actions and len(words) != env.n_actions:
        words = tuple(str(number) for number in range(env.n_actions))
    return Task(
        spec.title,
        spec.env_id,
        names,
        state.is_vector,
        words if env.n_actions else (),
        tuple(float(f"{max(-1e3, x):.7g}") for x in low),
        tuple(float(f"{min(1e3, x):.7g}") for x in high),
        state.scale,
    )
