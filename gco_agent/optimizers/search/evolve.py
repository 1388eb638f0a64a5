"""The archive of programs, and what a slice does with it: screen, evolve, tune, prune.

A rating is the mean return over seeds that are the same for all, so that luck is shared. Episodes
are cut at a horizon. Where lives are left, the return of the whole game is estimated from the rate
of reward and the rate at which lives are lost; otherwise recklessness would pay. Cheap ratings
choose who gets more expensive ones. Every slice plays its own seeds, or the luckiest of thousands
of programs would stay on top for good; the archive keeps the mean over all seeds that a program was
rated on.
"""

from __future__ import annotations

import functools
import hashlib
import random
import statistics
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field

from gco_agent.core.records import PlayProtocol
from gco_agent.evaluation.workers import WorkerPool
from gco_agent.optimizers.cma import Evolution, StepBudget
from gco_agent.optimizers.search.genome import (
    Program,
    constants,
    niche,
    parts_of,
    with_values,
    without,
)
from gco_agent.optimizers.search.grammar import Grammar
from gco_agent.optimizers.search.play import Played, Segment, play
from gco_agent.optimizers.search.render import render
from gco_agent.optimizers.search.world import Contact, World

LEVELS: tuple[tuple[int, int], ...] = ((1, 300), (2, 500), (3, 900))
"""Episodes and steps of each level of rating. An episode is resumed, not begun again."""
TOP = len(LEVELS) - 1
_RACE_FIRST, _RACE_SEEDS, _RACE_STEPS, _FINALISTS = 10, 2, 2_000, 4
"""The last comparison of a slice: index of its first seed, of those that no rating has selected on;
seeds of the first round, which double when half of the finalists is left; steps of an episode."""
_DOUBT = 2.0
"""Lives' worth of doubt about how fast a program loses lives, which is drawn to the usual rate."""
_SURVIVAL = 1e-5
"""Worth of one more step played, so that equal returns are not equal ratings."""
ARCHIVE, _YOUNG, _PER_NICHE = 12, 4, 2
"""Programs in the archive, the places in it for those since the last restart, and of one niche."""
_PRIOR = 2
"""Episodes' worth of doubt about a mean, which is drawn to the mean of the archive by it."""
_SAME = 1e-4
"""Programs whose ratings differ by less count as the same behaviour."""
_PARENTS, _EXPLORED = 4, 2
"""Members that a slice breeds from: the best, and some of the others."""
_CHILDREN = 12
_FRESH = 0.07
"""Share of children that are new programs instead of changed ones."""
_SCREENING, BREEDING, _TUNING = 0.35, 0.7, 0.8
"""Shares of the budget, the rest of which is for ratings and for the race."""
_TUNING_SEEDS, _TUNING_STEPS, _REWARDS = 2, (600, 1_800), 10
"""Episodes of a program in a generation of CMA-ES; least and most steps of one; rewards that the
leader should see in it."""
_TUNED = 8
"""Most constants that are tuned at a time."""
_FIRST_SPREAD = 0.36
"""Standard deviation of the first generation, in units of each constant's scale."""
_SCAN, _PROOF = (1, 400), (2, 700)
"""Episodes and steps that a part is first left out for, and all idle parts together."""


@dataclass(eq=False)
class Member:
    """One program, and what is known of it.

    Attributes:
        spread: How far each constant still varies, for the tuner; None before it was tuned.
        n: Episodes of the top level that it was rated on, over all slices.
        cell: Its behaviour, coarsely: what it touches most, and where on the screen it stays.
    """

    program: Program
    spread: tuple[float, ...] | None = None
    n: int = 0
    mean: float = 0.0
    cell: str = ""
    born: int = 0
    text: str = ""
    ratings: dict[int, float] = field(default_factory=dict)
    episodes: dict[int, Played] = field(default_factory=dict)

    @functools.cached_property
    def mark(self) -> str:
        """A digest of the program, which it is remembered by."""
        values = [round(constant.value, 3) for constant in constants(self.program)]
        told = repr(with_values(self.program, values))
        return hashlib.sha256(told.encode()).hexdigest()[:16]


class Arena:
    """Rates members with a pool of workers; counts steps, and learns of the world from play.

    Attributes:
        usual_rate: Lives that are lost a step, as known before.
    """

    def __init__(
        self,
        pool: WorkerPool,
        protocol: PlayProtocol,
        world: World,
        seeds: Sequence[int],
        names: tuple[str, str],
    ) -> None:
        self.world, self.seeds = world, seeds
        self.budget = StepBudget(0, 0.0)
        self.usual_rate = 0.0
        self.on_batch: Callable[[], None] = lambda: None
        self._pool, self._protocol, self._names = pool, protocol, names

    def text(self, program: Program) -> str:
        """Return ``program`` as it would be played and committed, against the world as known."""
        return render(program, self.world, *self._names)

    def rate(self, members: Sequence[Member], level: int) -> None:
        """Give every member its rating at ``level``, an index of `LEVELS`."""
        n_seeds, horizon = LEVELS[level]
        members = [member for member in members if level not in member.ratings]
        self.play_on(members, self.seeds[:n_seeds], horizon)
        for member in members:
            episodes = [member.episodes[seed] for seed in self.seeds[:n_seeds]]
            member.ratings[level] = self.rating(episodes)
            if level == TOP:
                total = member.n * member.mean + n_seeds * member.ratings[level]
                member.n += n_seeds
                member.mean = round(total / member.n, 4)
                member.cell = _cell(episodes, self.world)

    def play_on(self, members: Sequence[Member], seeds: Sequence[int], horizon: int) -> None:
        """Play the episodes of ``members`` on ``seeds`` up to ``horizon``, from where they are."""
        wanted = []
        for member in members:
            member.text = member.text or self.text(member.program)
            for seed in seeds:
                played = member.episodes.get(seed)
                if played is None or not (played.is_over or played.n_steps >= horizon):
                    wanted.append((member, seed, played.checkpoint if played else None))
        tasks = [self._segment(m.text, seed, horizon, state) for m, seed, state in wanted]
        for (member, seed, _), played in zip(wanted, self._play(tasks), strict=True):
            member.episodes[seed] = played

    def episodes_of(
        self, programs: Sequence[Program], seeds: Sequence[int], horizon: int
    ) -> list[list[Played]]:
        """Return for each program its episodes on ``seeds``, cut at ``horizon``."""
        texts = [self.text(program) for program in programs]
        tasks = [self._segment(text, seed, horizon) for text in texts for seed in seeds]
        results = iter(self._play(tasks))
        return [[next(results) for _ in seeds] for _ in texts]

    def rating(self, episodes: Sequence[Played]) -> float:
        """Return the mean return, estimated to the end of the game where lives are left."""
        n_steps = sum(played.n_steps for played in episodes)
        mean = statistics.fmean(played.total for played in episodes)
        lives = max(played.lives for played in episodes)
        if lives and not all(played.is_over for played in episodes):
            most = self._protocol.max_steps
            usual, n_lost = max(self.usual_rate, 1 / most), sum(e.n_lost for e in episodes)
            rate = (_DOUBT + n_lost) / (_DOUBT / usual + n_steps)
            mean *= min(most, lives / rate) * len(episodes) / max(1, n_steps)
        return mean + _SURVIVAL * n_steps / len(episodes)

    def learn_rate(self, episodes: Sequence[Played]) -> float:
        """Return the usual rate of losing lives after these episodes of the best program."""
        n_lost, n_steps = (sum(e.n_lost for e in episodes), sum(e.n_steps for e in episodes))
        known = _DOUBT / self.usual_rate if self.usual_rate else 0.0
        return (_DOUBT * bool(known) + n_lost) / max(1.0, known + n_steps)

    def _segment(
        self, text: str, seed: int, horizon: int, checkpoint: bytes | None = None
    ) -> Segment:
        player = (self.world.player, self.world.player_index)
        return Segment(self._protocol, text, seed, horizon, checkpoint, player, self.world.signs)

    def _play(self, tasks: Sequence[Segment]) -> list[Played]:
        results = self._pool.map(play, tasks)
        self.budget.used += sum(played.n_new_steps for played in results)
        self.world = self.world.after(played.sightings for played in results)
        self.on_batch()
        return results


def _cell(episodes: Sequence[Played], world: World) -> str:
    """Return what was touched most, and in which ninth of its field the player was on average."""
    touched: dict[str, Contact] = {}
    for played in episodes:
        for category, contact in played.sightings.contacts.items():
            if not category:
                continue  # all steps
            touched[category] = touched.get(category, Contact()) + contact
    most = max(sorted(touched), key=lambda category: touched[category].n, default="nothing")
    place = []
    for axis in world.axes:
        low, high = world.extent(axis, world.player)
        mean = statistics.fmean(played.at["xy".index(axis)] for played in episodes)
        place.append(f"{axis}{min(2, max(0, int(3 * (mean - low) / max(1.0, high - low))))}")
    return " ".join([most, *place])


def keep(members: Iterable[Member], champion: str = "", restarted: int = 0) -> list[Member]:
    """Return the archive of ``members``, the best first.

    Structures need tuned constants before they show their worth: so only a few of one niche are
    kept, none that behaves as a better one of its niche does, and those since the last restart have
    separate places.
    """
    best_first = ranked(members)
    kept: list[Member] = []
    n_old = 0
    for member in sorted(best_first, key=lambda m: m.mark != champion):
        kin = [other for other in kept if niche(other.program) == niche(member.program)]
        same = any(m.n == member.n and abs(m.mean - member.mean) < _SAME for m in kept)
        if same or len(kin) >= _PER_NICHE or member.cell in [other.cell for other in kin]:
            continue
        is_old = not restarted or member.born < restarted or member.mark == champion
        if not is_old or n_old < ARCHIVE - (_YOUNG if restarted else 0):
            n_old += is_old
            kept.append(member)
    return sorted(kept[:ARCHIVE], key=best_first.index)


def ranked(members: Iterable[Member]) -> list[Member]:
    """Return each different member once, the best first: by its mean, less sure of few episodes."""
    unique = list({member.mark: member for member in members}.values())
    rated = [member for member in unique if member.n]
    prior = statistics.fmean(m.mean for m in rated) if rated else 0.0

    def score(member: Member) -> float:
        return (member.n * member.mean + _PRIOR * prior) / (member.n + _PRIOR)

    return sorted(unique, key=lambda member: -score(member))


def _best(members: Iterable[Member], level: int, n: int) -> list[Member]:
    return sorted(members, key=lambda member: -member.ratings[level])[:n]


def screen(arena: Arena, rng: random.Random, slice_: int) -> list[Member]:
    """Return the best of many random programs, rated at the top level."""
    members: dict[str, Member] = {}
    while not members or arena.budget.share(_SCREENING):
        grammar = Grammar(arena.world, rng)
        batch = [Member(grammar.program(), born=slice_) for _ in range(_CHILDREN)]
        fresh = list({m.mark: m for m in batch if m.mark not in members}.values())
        arena.rate(fresh, 0)
        members.update((member.mark, member) for member in fresh)
    best = _best(members.values(), 0, max(16, len(members) // 6))
    for level in range(1, TOP + 1):
        if not arena.budget.share(1.0):
            break
        n_seeds, horizon = LEVELS[level]
        best = best[: max(1, arena.budget.left // (n_seeds * horizon))]
        arena.rate(best, level)
        best = _best(best, level, ARCHIVE + 2)
    return best


def evolve(
    arena: Arena, archive: Sequence[Member], rng: random.Random, slice_: int
) -> list[Member]:
    """Return what generations of mutation and crossover add to the archive.

    The parents are rated again first, on this slice's seeds: a child has to beat most of them.
    """
    others = list(archive[_PARENTS:])
    parents = [*archive[:_PARENTS], *rng.sample(others, min(_EXPLORED, len(others)))]
    for level in range(TOP + 1):
        if level == 0 or arena.budget.share(BREEDING):
            arena.rate(parents, level)
    known, found = {member.mark for member in archive}, list[Member]()
    tried: list[Member] = []
    while not tried or arena.budget.share(BREEDING):
        pool = sorted([*parents, *found], key=lambda m: -m.ratings[max(m.ratings)])
        tried = children = _breed(arena, pool, archive, known, rng, slice_)
        for level, n in ((0, _CHILDREN // 2), (1, 3), (TOP, 3)):
            arena.rate(children, level)
            bar = sorted(member.ratings[level] for member in parents if level in member.ratings)
            least = bar[len(bar) // 3 if level < TOP else 0] - 1e-9 if bar else -1e9
            children = [c for c in _best(children, level, n) if c.ratings[level] >= least]
        found += children
    return found or _best(tried, 0, 1)


def _breed(
    arena: Arena,
    parents: Sequence[Member],
    mates: Sequence[Member],
    known: set[str],
    rng: random.Random,
    slice_: int,
) -> list[Member]:
    """Return new members: changed, crossed, a few drawn afresh; the better ones have more."""
    grammar, children = Grammar(arena.world, rng), list[Member]()
    for _ in range(40 * _CHILDREN):
        parent = parents[min(rng.randrange(len(parents)) for _ in range(2))]
        mate, is_fresh = rng.choice(mates), rng.random() < _FRESH
        program = grammar.program() if is_fresh else grammar.mutate(parent.program, mate.program)
        child = Member(program, born=slice_)
        if child.mark not in known:
            known.add(child.mark)
            children.append(child)
        if len(children) == _CHILDREN:
            break
    return children


def unlike(arena: Arena, own: Program, members: Sequence[Member]) -> list[Member]:
    """Return the first members that do not play as ``own`` does, or none."""
    for first in range(0, len(members), 2 * _FINALISTS):
        some = members[first : first + 2 * _FINALISTS]
        same = _same(arena, own, [member.program for member in some], _SCAN)
        found = [member for member, is_same in zip(some, same, strict=True) if not is_same]
        if found:
            return found
    return []


def race(arena: Arena, candidates: Sequence[Member]) -> Member:
    """Return the best of a few by successive halving, on seeds that none was selected on."""
    finalists, n_seeds = list(candidates[:_FINALISTS]), _RACE_SEEDS
    while len(finalists) > 1 and arena.budget.share(1.0):
        seeds = arena.seeds[_RACE_FIRST : _RACE_FIRST + n_seeds]
        finalists = finalists[: max(1, arena.budget.left // (_RACE_SEEDS * _RACE_STEPS))]
        arena.play_on(finalists, seeds, _RACE_STEPS)
        score = {id(m): arena.rating([m.episodes[seed] for seed in seeds]) for m in finalists}
        finalists.sort(key=lambda member: -score[id(member)])
        finalists, n_seeds = finalists[: (len(finalists) + 1) // 2], 2 * n_seeds
    return finalists[0]


class _Tuning:
    """Some constants of a leader under CMA-ES."""

    def __init__(self, leader: Member, rng_seed: int) -> None:
        self._leader, found = leader, constants(leader.program)
        rng = random.Random(rng_seed)  # noqa: S311 - no secret
        self._moved = sorted(rng.sample(range(len(found)), min(_TUNED, len(found))))
        self._values = [constant.value for constant in found]
        self._spread = list(leader.spread or (_FIRST_SPREAD,) * len(found))
        self.evolution = Evolution(
            [self._values[i] for i in self._moved],
            [max(found[i].scale, 1e-3) for i in self._moved],
            [self._spread[i] for i in self._moved],
            rng_seed,
        )

    def program(self, point: Iterable[float]) -> Program:
        """Return the leader's program with these values of the constants that are moved."""
        values = list(self._values)
        for i, value in zip(self._moved, point, strict=True):
            values[i] = float(value)
        return with_values(self._leader.program, values)

    def result(self) -> Member:
        """Return the program in the middle of the last generation."""
        for i, spread in zip(self._moved, self.evolution.spread, strict=True):
            self._spread[i] = spread
        program = self.program(self.evolution.mean)
        return Member(program, tuple(self._spread), born=self._leader.born)


def tune(
    arena: Arena, leader: Member, seeds: Sequence[int], rng_seed: int
) -> tuple[list[Member], int]:
    """Move the constants of the leader by CMA-ES while the budget lasts.

    Every generation plays fresh seeds, the same for all of its programs. There is time for few
    generations, so of many constants some are drawn to be moved.

    Args:
        seeds: What generations draw their seeds from, in order.

    Returns:
        The program in the middle of the last generation, if the leader has constants, and how
        many generations were played.
    """
    if not constants(leader.program):
        return [], 0
    tuning, n_generations = _Tuning(leader, rng_seed), 0
    evolution, longest = tuning.evolution, _tuning_steps(arena, leader)
    paid_for = arena.budget.left // (2 * _TUNING_SEEDS * evolution.size)
    steps = max(_TUNING_STEPS[0] // 6, min(paid_for, longest))
    while n_generations == 0 or arena.budget.share(_TUNING):
        first = n_generations * _TUNING_SEEDS % max(1, len(seeds) - _TUNING_SEEDS)
        programs = [tuning.program(point) for point in evolution.ask()]
        played = arena.episodes_of(programs, seeds[first : first + _TUNING_SEEDS], steps)
        evolution.tell([-arena.rating(episodes) for episodes in played])
        n_generations += 1
    tuned = tuning.result()
    for level in range(TOP + 1):
        if level == 0 or arena.budget.share(1.0):
            arena.rate([tuned], level)
    return [tuned], n_generations


def _tuning_steps(arena: Arena, leader: Member) -> int:
    """Return how long an episode has to be for the leader to see some rewards."""
    least, most = _TUNING_STEPS
    longest = max(least // 6, min(most, arena.budget.left // 10))
    [played] = arena.episodes_of([leader.program], arena.seeds[:2], longest)
    n_steps = sum(episode.n_steps for episode in played)
    n_rewards = sum(episode.n_rewards for episode in played)
    return round(min(longest, max(least, _REWARDS * n_steps / max(1, n_rewards))))


def prune(arena: Arena, program: Program) -> Program:
    """Return ``program`` without the rules, guards and triggers that change no action.

    "No action" on two seeds up to a horizon: what would matter only later is lost. Parts that do
    nothing alone are dropped together, as many in a row as still change nothing.
    """
    parts = parts_of(program)
    alone = [without(program, {part}) for part in parts]
    idle = [
        part for part, same in zip(parts, _same(arena, program, alone, _SCAN), strict=True) if same
    ]
    together = [without(program, set(idle[: i + 1])) for i in range(len(idle))]
    same = _same(arena, program, together, _PROOF)
    return [
        program,
        *(smaller for smaller, is_same in zip(together, same, strict=True) if is_same),
    ][-1]


def _same(
    arena: Arena, program: Program, others: Collection[Program], extent: tuple[int, int]
) -> list[bool]:
    """Return for each other program whether it plays as ``program`` does, over (seeds, steps)."""
    n_seeds, horizon = extent
    played = [
        [(episode.actions, episode.n_steps) for episode in episodes]
        for episodes in arena.episodes_of([program, *others], arena.seeds[:n_seeds], horizon)
    ]
    return [actions == played[0] for actions in played[1:]]
