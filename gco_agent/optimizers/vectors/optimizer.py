"""A slice of search an iteration, for environments whose observations are numbers."""

from __future__ import annotations

import functools
import json
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gco_agent.envs.opening import spec_of
from gco_agent.errors import ProposalError
from gco_agent.games import GameSpec
from gco_agent.optimizers.base import Proposal, Request
from gco_agent.optimizers.vectors.play import Episodes, Probe, environment, play, probe
from gco_agent.optimizers.vectors.program import (
    Task,
    VectorProgram,
    headline,
    render,
    size,
)
from gco_agent.optimizers.vectors.tuning import Arm, tune
from gco_agent.policy import PolicySource, format_policy
from gco_agent.progress import Searching
from gco_agent.records import PlayProtocol
from gco_agent.seeds import Stream
from gco_agent.workers import WorkerPool

STATE_FILE = "search.json"
_PROBE_STEPS = 2_000
_SCREENED = 24
"""Random programs in a batch."""
_STARTS = 3
"""Arms to begin with, over all families."""
_SCREENING_SEEDS, _FINAL_SEEDS = 2, 30
"""Episodes that a random program and a finalist is rated on."""
_SEEDS = (4, 5, 6, 8)
"""Episodes for each program of a generation in the first slice, the second, and so on: the nearer
to the top, the smaller the differences."""
_SCREENING_SHARE, _TUNING_SHARE = 0.15, 0.85
_SAME = 0.01
"""A program with fewer weights may be worse by this share of what the full one scores."""


@dataclass
class _State:
    """What the search remembers between slices."""

    scale: tuple[float, ...]
    is_vector: bool
    arms: list[Arm]
    proposed: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "schema": 1,
            "scale": list(self.scale),
            "is_vector": self.is_vector,
            "arms": [arm.to_json() for arm in self.arms],
            "proposed": self.proposed,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> _State:
        if data.get("schema") != 1:
            raise ValueError(f"search state of schema {data.get('schema')!r}; this reads 1")
        arms = [Arm.from_json(arm) for arm in data["arms"]]
        return cls(tuple(data["scale"]), data["is_vector"], arms, dict(data["proposed"]))


@dataclass
class _Table:
    """Where programs are rated, and what has been spent on it.

    Attributes:
        next_seed: The first feedback seed that was not played yet in this slice.
    """

    pool: WorkerPool
    protocol: PlayProtocol
    task: Task
    next_seed: int
    n_steps: int
    deadline: float
    used: int = 0

    def rate(self, programs: Sequence[VectorProgram], n_seeds: int) -> list[float]:
        """Mean returns, all on the same new seeds."""
        seeds = tuple(range(self.next_seed, self.next_seed + n_seeds))
        self.next_seed += n_seeds
        tasks = [Episodes(self.protocol, render(self.task, p), seeds) for p in programs]
        results = self.pool.map(play, tasks)
        self.used += sum(played.n_steps for played in results)
        return [statistics.fmean(played.returns) for played in results]

    def is_within(self, share: float) -> bool:
        """Whether less than ``share`` of the slice is used up."""
        return self.used < share * self.n_steps and time.perf_counter() < self.deadline


class VectorSearch:
    """Linear policies tuned by CMA-ES; deterministic per seed unless a clock cuts a slice."""

    name = "search"
    one_candidate = True

    def __init__(self, pool: WorkerPool) -> None:
        self._pool = pool

    def propose(self, request: Request) -> Proposal:
        """Play one slice and propose the program it ends with.

        Raises:
            ProposalError: It was proposed before, or observations have no numbers in them.
        """
        config = request.config
        remembered = request.recall(STATE_FILE)
        table, state = self._begin(request, remembered)
        rng_seed = 1 + 1_000 * config.seed + request.iteration
        if remembered is None:
            _screen(table, state, random.Random(config.seed))  # noqa: S311 - no secret
        arm, best = _tune(table, state, request, rng_seed)
        chosen = _prune(table, _final(table, [arm.program, best]))
        text = format_policy(render(table.task, chosen))
        if text in state.proposed:
            raise ProposalError("the search came to a program that was proposed before")
        state.proposed[text] = request.iteration
        reason = (
            f"CMA-ES on {arm.family} sums of {len(table.task.names)} numbers, "
            f"{arm.generations} generations so far, mean return of the last {arm.score:.4g}. "
            f"{table.used:,} steps played on feedback seeds."
        )
        files = {STATE_FILE: json.dumps(state.to_json()) + "\n"}
        summary = headline(table.task, chosen)
        return Proposal(PolicySource(text), summary, reason, files, table.used)

    def _begin(self, request: Request, remembered: str | None) -> tuple[_Table, _State]:
        config = request.config
        first = Stream.FEEDBACK.value + 100_000 * request.iteration
        if remembered is None:
            seed = Stream.FEEDBACK.value + 500_000 + config.seed
            (seen,) = self._pool.map(probe, [Probe(config.protocol, seed, _PROBE_STEPS)])
            state = _State(seen.scale, seen.is_vector, [])
        else:
            state = _State.from_json(json.loads(remembered))
        task = _task(config.protocol, state)
        deadline = min(time.perf_counter() + config.slice_seconds, request.deadline)
        table = _Table(self._pool, config.protocol, task, first, config.slice_steps, deadline)
        return table, state


def _task(protocol: PlayProtocol, state: _State) -> Task:
    spec: GameSpec = spec_of(protocol)
    env = environment(protocol)
    if not state.scale:
        raise ProposalError(f"observations of {spec.title} have no numbers in them")
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


def _screen(table: _Table, state: _State, rng: random.Random) -> None:
    """Start every arm at one of the best of many random programs: most of them end soon."""
    families = table.task.families()
    n_starts = max(1, _STARTS // len(families))
    for number, family in enumerate(families):
        n = size(table.task, family)
        found: list[tuple[float, VectorProgram]] = []
        while not found or table.is_within(_SCREENING_SHARE * (number + 1) / len(families)):
            batch = [
                VectorProgram(family, tuple(round(rng.gauss(0, 1), 4) for _ in range(n)))
                for _ in range(_SCREENED)
            ]
            scores = table.rate(batch, _SCREENING_SEEDS)
            found += zip(scores, batch, strict=True)
        found.sort(key=lambda pair: -pair[0])
        likely = [program for _, program in found[: 4 * n_starts]]
        scores = table.rate(likely, 4 * _SCREENING_SEEDS)
        order = sorted(range(len(likely)), key=lambda i: -scores[i])[:n_starts]
        state.arms += [Arm(family, list(likely[i].weights), score=scores[i]) for i in order]


def _tune(
    table: _Table, state: _State, request: Request, rng_seed: int
) -> tuple[Arm, VectorProgram]:
    """Tune the arms that are still in the running; the best, and its best program.

    All of them in the first slice, one less in each that follows.
    """
    n_left = max(1, len(state.arms) + 1 - request.iteration)
    arms = sorted(state.arms, key=lambda arm: -arm.score)[:n_left]
    best: dict[int, VectorProgram] = {}
    n_seeds = _SEEDS[min(request.iteration, len(_SEEDS)) - 1]

    def rate(programs: Sequence[VectorProgram]) -> list[float]:
        scores = table.rate(programs, n_seeds)
        done = min(1.0, table.used / table.n_steps)
        words = headline(table.task, programs[scores.index(max(scores))])
        request.progress(Searching("tune", done, table.used, words))
        return scores

    begun = table.used / table.n_steps
    for number, arm in enumerate(arms):
        share = begun + (_TUNING_SHARE - begun) * (number + 1) / len(arms)
        best[number] = tune(
            arm, rate, functools.partial(table.is_within, share), rng_seed + 500 * number
        )
    number = max(best, key=lambda i: arms[i].score)
    return arms[number], best[number]


def _final(table: _Table, programs: Sequence[VectorProgram]) -> VectorProgram:
    """The better of some programs, on more seeds than a generation plays."""
    scores = table.rate(programs, _FINAL_SEEDS)
    return programs[scores.index(max(scores))]


def _prune(table: _Table, program: VectorProgram) -> VectorProgram:
    """The same program without the weights that do nothing for it: half of them, then halves."""
    order = sorted(range(len(program.weights)), key=lambda i: abs(program.weights[i]))
    kept, n_dropped, step = program, 0, len(order) // 2
    first = table.next_seed
    while step and table.is_within(1.0):
        table.next_seed = first  # the same episodes for all, and the whole one as the measure
        dropped = set(order[: n_dropped + step])
        weights = tuple(0.0 if i in dropped else w for i, w in enumerate(program.weights))
        smaller = replace(program, weights=weights)
        whole, part = table.rate([program, smaller], _FINAL_SEEDS)
        if part >= whole - _SAME * abs(whole):
            kept, n_dropped = smaller, n_dropped + step
        step //= 2
    return kept
