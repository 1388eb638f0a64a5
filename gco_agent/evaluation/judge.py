"""The judge: it owns the seeds, the environment and the score.

Episodes are played once and cached: the same text of a policy on the same seed under the same
protocol is always the same episode.
"""

from __future__ import annotations

import enum
import functools
import math
import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from gco_agent.core.records import EpisodeResult, Evaluation, PlayProtocol
from gco_agent.core.seeds import Stream
from gco_agent.core.statistics import (
    CHEAP_INTERIM_ANALYSES,
    CLEAR_INTERIM_ANALYSES,
    RACE_CPU_S,
    Aim,
    Gain,
    Verdict,
    judge_no_worse,
    judge_race,
    judge_survivor,
    loss_margin,
    paired_gain,
)
from gco_agent.envs.environment import spec_of
from gco_agent.evaluation.episode import Rollout, play_episodes
from gco_agent.evaluation.workers import WorkerPool
from gco_agent.jail.limits import JailLevel, read_level, weakest_jail
from gco_agent.policy.source import PolicySource

_GROUP = 2
"""Seeds that are played side by side, of races and of reports alike: a policy that counts the
episodes beside its own learns nothing from it."""
_LEAST_S = 5.0
"""Seconds that a race has, however late it begins."""
RACE_STEPS = 864_000
"""Steps that a race of more than ten pairs may take, of all policies: 16 pairs of whole games of
27,000 steps. It is no limit for episodes of 4,500 steps."""
CLEAR_RACE_STEPS = 2 * RACE_STEPS
"""The same where a gain is significant and only rare losses are left to rule out, or where so many
are expected to decide."""
FREE_CPU_MS = 3.0
"""Milliseconds a step up to which `RACE_CPU_S` is no limit."""
_BEHIND_Z = 1.5
"""Standard errors behind the best of its rivals at which a candidate is not raced on."""
Watcher = Callable[[int, int], None]
"""Called with the episodes played so far and the number asked for."""


@dataclass(frozen=True, slots=True)
class BaselinePolicy:
    """An earlier policy that a child must be no worse than."""

    source: PolicySource
    evaluation: Evaluation
    gain: Gain


class Stop(enum.Enum):
    """Why a race ended before it was decided, as a sentence for the candidate's author."""

    TIME = "The time was up before the race was decided."
    FRAMES = "The frames were used up before the race was decided."
    STEPS = (
        f"The race ended there, as a race plays {RACE_STEPS:,} steps at most, and "
        f"{CLEAR_RACE_STEPS:,} where these are expected to decide it."
    )
    SLOW = (
        f"The race ended there, as the candidate takes more than {FREE_CPU_MS:g} ms of processor "
        f"time a step, and more than {RACE_CPU_S / 60:g} minutes for more pairs: make it faster."
    )
    RIVAL = "It was not raced on, as another candidate of the iteration is clearly ahead."


@dataclass(frozen=True, slots=True)
class Race:
    """A child against its parent on selection seeds.

    Attributes:
        child: Its evaluation; not valid if an episode failed.
        gain: Child minus parent; None if either is not valid.
        verdict: `Verdict.is_won` means accepted.
        margin: Where the child only had to be no worse: the loss, in points an episode, that it
            was tested against.
        critical_p: The p value that wins at the last interim analysis; 0 where none does.
        shared: Where the parent failed: the gain on the seeds that it finished, if any.
        baseline: Where the child had to be no worse than an earlier policy: that, which decided.
    """

    child: Evaluation
    parent: Evaluation
    gain: Gain | None
    verdict: Verdict
    stop: Stop | None = None
    margin: float | None = None
    critical_p: float = 0.0
    shared: Gain | None = None
    baseline: BaselinePolicy | None = None

    @property
    def n_pairs(self) -> int:
        """Seeds that both played."""
        return len(self.child.episodes)

    @property
    def decisive(self) -> Gain | None:
        """The gain that the verdict goes by, if there is one."""
        return self.baseline.gain if self.baseline else self.gain


@dataclass(frozen=True, slots=True)
class AcceptanceCriterion:
    """What a child has to show in a race.

    Attributes:
        n_rivals: Candidates of the same parent of which the best is to be taken; the chance to take
            one that should not be is shared among them.
        baseline: Earlier policy that it must be no worse than, instead of the parent: the last one
            that had to be better. Otherwise a series of simpler ones would lose the margin again
            and again.
    """

    aim: Aim = Aim.BETTER
    n_rivals: int = 1
    baseline: PolicySource | None = None

    @property
    def baseline_of_race(self) -> PolicySource | None:
        """The baseline, where the aim has one."""
        return self.baseline if self.aim is Aim.NO_WORSE else None


@dataclass
class _Heat:
    child: PolicySource
    criterion: AcceptanceCriterion
    analyses: tuple[int, ...]
    race: Race | None = None

    @property
    def planned(self) -> tuple[int, ...]:
        """All analyses that there may be, those of a clear gain included."""
        if self.criterion.aim is not Aim.BETTER:
            return self.analyses
        return (*self.analyses, *(n for n in CLEAR_INTERIM_ANALYSES if n > self.analyses[-1]))

    @property
    def n_pairs(self) -> int:
        """Pairs that were analysed."""
        return self.race.n_pairs if self.race else 0

    @property
    def is_open(self) -> bool:
        """Whether it is not decided."""
        return self.race is None or self.race.verdict is Verdict.UNDECIDED

    @property
    def is_won(self) -> bool:
        """Whether it may take its parent's place."""
        return self.race is not None and self.race.verdict.is_won


class Recorded(Protocol):
    """What a recorder of episodes returns."""

    @property
    def evaluation(self) -> Evaluation:
        """The episodes that were recorded."""

    @property
    def n_steps(self) -> int:
        """Steps played, replays included."""


Recording = TypeVar("Recording", bound=Recorded)


class Judge:
    """Evaluates policies of one game under one protocol, and caches their episodes.

    Attributes:
        require: The jail must be at least this good, or nothing is played.
        jail: The weakest level of jail of any episode returned so far; empty before the first.
    """

    def __init__(
        self, pool: WorkerPool, protocol: PlayProtocol, require: JailLevel = JailLevel.NONE
    ) -> None:
        self.pool, self.protocol, self.require = pool, protocol, require
        self.jail = ""
        self._n_steps = 0
        self._episodes: dict[tuple[str, int], EpisodeResult] = {}
        self._recordings: dict[tuple[str, Hashable], Any] = {}
        self._others: dict[str, Judge] = {}

    @functools.cached_property
    def _least(self) -> float | None:
        """Least return that the game has, if known."""
        return spec_of(self.protocol).least

    @property
    def n_steps(self) -> int:
        """Steps played so far, those under other rules included."""
        return self._n_steps + sum(other.n_steps for other in self._others.values())

    def evaluate(
        self,
        source: PolicySource,
        seeds: Sequence[int],
        watch: Watcher | None = None,
        *,
        until: float | None = None,
    ) -> Evaluation:
        """Play ``source`` on ``seeds``; the same seeds give the same episodes with any workers.

        Args:
            until: `time.perf_counter` value after which no episode is awaited: what is returned
                then are those of the first seeds, one group at least.
        """
        self._play([(source, seeds)], watch, until, least=1)
        if until is None:
            return self._played(source, seeds)
        return self._played(source, seeds[: self._n_ready([source], seeds)])

    def interim_analyses(self, aim: Aim) -> tuple[int, ...]:
        """Return after how many pairs a race is analysed; more where a step costs little."""
        is_cheap = not self.protocol.has_objects and aim is Aim.BETTER
        return CHEAP_INTERIM_ANALYSES if is_cheap else aim.interim_analyses

    def most_pairs(self, aim: Aim, n_played: int = 0) -> int:
        """Return how many pairs a race plays at most; more once its gain has proved to be clear."""
        most = self.interim_analyses(aim)[-1]
        return CLEAR_INTERIM_ANALYSES[-1] if n_played >= most else most

    def race(  # noqa: PLR0913 - the last are seldom given
        self,
        child: PolicySource,
        parent: PolicySource,
        criterion: AcceptanceCriterion | None = None,
        *,
        first_seed: int = 0,
        deadline: float | None = None,
        cpu_s: float | None = None,
        most_pairs: int | None = None,
        most_steps: int | None = None,
        watch: Callable[[Race], None] | None = None,
    ) -> Race:
        """Play child and parent on the same selection seeds until the verdict is clear.

        Args:
            first_seed: Place in the selection stream from which seeds are drawn.
            deadline: `time.perf_counter` value after which no episode is awaited and no analysis is
                begun, except for the first two analyses and a minimum of a few seconds. The last
                analysis before it decides.
            most_pairs: End the race after this many pairs, to repeat a race that was cut short.
            most_steps: Steps after which no block of two seeds is begun, except for the first; the
                last analysis before decides.
        """
        (race,) = self.race_all(
            [(child, criterion or AcceptanceCriterion())], parent, first_seed=first_seed,
            deadline=deadline, cpu_s=cpu_s, most_pairs=most_pairs, most_steps=most_steps,
            watch=watch,
        )  # fmt: skip
        return race

    def race_all(  # noqa: PLR0913 - the last are seldom given
        self,
        entrants: Sequence[tuple[PolicySource, AcceptanceCriterion]],
        parent: PolicySource,
        *,
        first_seed: int = 0,
        deadline: float | None = None,
        cpu_s: float | None = None,
        most_pairs: int | None = None,
        most_steps: int | None = None,
        watch: Callable[[Race], None] | None = None,
    ) -> list[Race]:
        """Race several candidates against one parent, all on the same seeds.

        A candidate that is clearly behind the best of them or a winner is not raced on. The
        arguments are those of `race`; ``watch`` gets the best race of each interim analysis.
        """
        until = None if deadline is None else max(deadline, time.perf_counter() + _LEAST_S)
        last_step = math.inf if most_steps is None else self.n_steps + most_steps
        stop = Stop.TIME
        heats = [_Heat(child, one, self.interim_analyses(one.aim)) for child, one in entrants]
        self._play_first_group(heats, parent, first_seed, cpu_s)
        for n_pairs in sorted({n for heat in heats for n in heat.planned}):
            racing = [heat for heat in heats if heat.is_open and n_pairs in heat.planned]
            if not racing:
                continue
            is_late = deadline is not None and time.perf_counter() >= deadline
            if is_late and all(heat.n_pairs >= heat.analyses[1] for heat in racing):
                break
            seeds = Stream.SELECTION.seeds(first_seed, first_seed + n_pairs)
            n_played = self._play_pairs(racing, parent, seeds[:most_pairs], until, last_step)
            if n_played < n_pairs:
                stop = Stop.TIME if self.n_steps < last_step else Stop.FRAMES
                for heat in heats:
                    if heat.race is None:
                        n = self._play_pairs([heat], parent, seeds[:n_played], until)
                        heat.race = self._first_pairs(heat, parent, seeds[:n], stop)
                break
            for heat in racing:
                heat.race = self._analyse(heat, parent, seeds, cpu_s)
            self._drop_those_behind(heats, n_pairs)
            best = max((heat.race for heat in racing if heat.race is not None), key=_gain_of)
            if watch is not None and best.gain is not None:
                watch(best)
        races = [(heat.race, heat.criterion) for heat in heats if heat.race is not None]
        return [
            self._stopped(race, criterion, stop) if race.verdict is Verdict.UNDECIDED else race
            for race, criterion in races
        ]

    def _play_first_group(
        self, heats: Sequence[_Heat], parent: PolicySource, first_seed: int, cpu_s: float | None
    ) -> None:
        """Play the first seeds of all, and end the races of those that fail or are very slow."""
        seeds = Stream.SELECTION.seeds(first_seed, first_seed + _GROUP)
        self._play([*((heat.child, seeds) for heat in heats), (parent, seeds)])
        for heat in heats:
            race = self._first_pairs(heat, parent, seeds, Stop.SLOW)
            if not race.child.is_valid:
                heat.race = replace(race, stop=None)
            elif _stop_of(race, heat.planned, cpu_s) is Stop.SLOW:
                heat.race = race

    def _play_pairs(
        self, racing: Sequence[_Heat], parent: PolicySource, seeds: range, until: float | None,
        last_step: float = math.inf,
    ) -> int:  # fmt: skip
        """Play what races need; return how many of the first seeds all have played.

        However late it is, these are one group at least. Where not all surely fit in before
        ``last_step``, they are played block by block, so the workers do not change what is played.
        """
        baselines = [heat.criterion.baseline_of_race for heat in racing]
        wanted = [*(heat.child for heat in racing), parent, *baselines]
        racers = list(dict.fromkeys(one for one in wanted if one is not None))
        n = 0
        while n < len(seeds) and self.n_steps < last_step:
            n_sure = (last_step - self.n_steps) // (len(racers) * self.protocol.max_steps)
            n = int(min(len(seeds), n + max(_GROUP, n_sure - n_sure % _GROUP)))
            self._play([(one, seeds[:n]) for one in racers], until=until)
        self._play([(one, seeds[:_GROUP]) for one in racers])
        return self._n_ready(racers, seeds)

    def _n_ready(self, sources: Sequence[PolicySource], seeds: Sequence[int]) -> int:
        """Return how many of the first seeds all of ``sources`` have played."""
        absent = (
            number
            for number, seed in enumerate(seeds)
            if any((one.digest, seed) not in self._episodes for one in sources)
        )
        return next(absent, len(seeds))

    def _stopped(self, race: Race, criterion: AcceptanceCriterion, stop: Stop) -> Race:
        """Return a race that ends undecided, with the present verdict."""
        return replace(race, verdict=self._verdict(race, criterion, race.n_pairs), stop=stop)

    def _drop_those_behind(self, heats: Sequence[_Heat], n_pairs: int) -> None:
        """Stop the races of candidates that are clearly behind another one of them."""
        known = [
            heat for heat in heats if heat.race and heat.race.gain and heat.race.margin is None
        ]
        rivals = [heat for heat in known if heat.n_pairs == n_pairs or heat.is_won]
        for heat in rivals:
            is_behind = any(_is_behind(heat, other) for other in rivals if other is not heat)
            if heat.race is not None and heat.is_open and is_behind:
                heat.race = self._stopped(heat.race, heat.criterion, Stop.RIVAL)

    def _first_pairs(self, heat: _Heat, parent: PolicySource, seeds: range, stop: Stop) -> Race:
        """Return a race that was cut before its first interim analysis."""
        mine, theirs = self._played(heat.child, seeds), self._played(parent, seeds)
        race = Race(mine, theirs, None, Verdict.NOT_BETTER, stop)
        if not (mine.is_valid and theirs.is_valid):
            return race
        gain = paired_gain(mine.returns, theirs.returns, low=self._least)
        verdict = Verdict.INCONCLUSIVE if gain.mean > 0 else Verdict.NOT_BETTER
        if heat.criterion.aim is Aim.NO_WORSE:
            verdict = Verdict.MAYBE_WORSE
        return replace(race, gain=gain, verdict=verdict)

    def _analyse(
        self, heat: _Heat, parent: PolicySource, seeds: range, cpu_s: float | None
    ) -> Race:
        criterion, analyses = heat.criterion, heat.analyses
        aim, baseline = criterion.aim, criterion.baseline_of_race
        mine, theirs = self._played(heat.child, seeds), self._played(parent, seeds)
        race = Race(mine, theirs, None, Verdict.NOT_BETTER)
        if not mine.is_valid:
            return race
        critical_p = aim.critical_p(len(seeds), criterion.n_rivals, analyses)
        race = replace(race, critical_p=critical_p)
        if not theirs.is_valid:
            race = replace(race, shared=self._shared_gain(race))
        elif aim is Aim.BETTER:
            race = replace(race, gain=paired_gain(mine.returns, theirs.returns, low=self._least))
        else:
            base = self._played(baseline, seeds) if baseline is not None else theirs
            base = base if base.is_valid else theirs
            margin = loss_margin(base.returns[: analyses[0]])
            race = replace(race, gain=self._no_loss(mine, theirs, margin), margin=margin)
            if baseline is not None and base is not theirs:
                held_to = BaselinePolicy(baseline, base, self._no_loss(mine, base, margin))
                race = replace(race, baseline=held_to)
        race = replace(race, verdict=self._verdict(race, criterion))
        stop = _stop_of(race, heat.planned, cpu_s) if race.verdict is Verdict.UNDECIDED else None
        return race if stop is None else self._stopped(race, criterion, stop)

    def _verdict(
        self, race: Race, criterion: AcceptanceCriterion, ends_at: int | None = None
    ) -> Verdict:
        analyses, n_rivals = self.interim_analyses(criterion.aim), criterion.n_rivals
        if not race.child.is_valid:
            return Verdict.NOT_BETTER
        if race.gain is None:
            return judge_survivor(race.shared, race.n_pairs, n_rivals, analyses, ends_at=ends_at)
        if race.margin is None:
            if _is_same_play(race.child, race.parent):
                return Verdict.NOT_BETTER
            return judge_race(race.gain, n_rivals, analyses, ends_at=ends_at)
        return judge_no_worse(race.decisive or race.gain, race.margin, n_rivals, ends_at=ends_at)

    def _no_loss(self, child: Evaluation, base: Evaluation, margin: float) -> Gain:
        is_same = _is_same_play(child, base)
        return paired_gain(
            child.returns, base.returns, low=self._least, margin=margin, is_same_play=is_same
        )

    def _shared_gain(self, race: Race) -> Gain | None:
        """Return the gain on the seeds that the parent finished; None if it finished none."""
        pairs = [
            (mine.episode_return, theirs.episode_return)
            for mine, theirs in zip(race.child.episodes, race.parent.episodes, strict=True)
            if theirs.outcome.is_scored
        ]
        if not pairs:
            return None
        child, parent = zip(*pairs, strict=True)
        return paired_gain(child, parent, low=self._least, margin=loss_margin(parent))

    def cached(self, source: PolicySource, seeds: Iterable[int] | None = None) -> Evaluation:
        """Return the episodes of ``source`` played so far, in the order of ``seeds``.

        Args:
            seeds: By default all selection seeds that it played.
        """
        key = source.digest
        if seeds is None:
            stream = range(Stream.SELECTION.value, Stream.REPORT.value)
            seeds = sorted(seed for digest, seed in self._episodes if digest == key)
            seeds = [seed for seed in seeds if seed in stream]
        found = (self._episodes.get((key, seed)) for seed in seeds)
        return Evaluation(tuple(e for e in found if e is not None), self.protocol.stamp)

    def under(self, protocol: PlayProtocol) -> Judge:
        """Return the judge of the same policies under other rules; its steps count here, too."""
        if protocol == self.protocol:
            return self
        other = Judge(self.pool, protocol, self.require)
        return self._others.setdefault(protocol.stamp, other)

    def record(
        self, source: PolicySource, what: Hashable, play: Callable[[], Recording]
    ) -> Recording:
        """Return a recording of ``source``, played once; its steps and episodes count here.

        Args:
            play: Plays under the rules of this judge, and records.
        """
        key = (source.digest, what)
        if key not in self._recordings:
            made = self._recordings[key] = play()
            self._n_steps += made.n_steps
            self._note_jail(made.evaluation.episodes)
            self.import_episodes(source.digest, made.evaluation)
        found: Recording = self._recordings[key]
        return found

    def import_episodes(self, policy: str, evaluation: Evaluation) -> None:
        """Take over episodes that were played elsewhere by the rules of this judge.

        Episodes of other rules, or of a weaker jail than required, are ignored.
        """
        if evaluation.protocol != self.protocol.stamp:
            return
        for episode in evaluation.episodes:
            if read_level(episode.jail) >= self.require:
                self._episodes[policy, episode.seed] = episode

    def _play(
        self,
        wanted: Iterable[tuple[PolicySource, Sequence[int]]],
        watch: Watcher | None = None,
        until: float | None = None,
        least: int = 0,
    ) -> None:
        """Play the episodes of ``wanted`` that are not cached, all at once, first seeds first."""
        tasks: dict[tuple[str, tuple[int, ...]], Rollout] = {}
        missing, n_wanted = set(), 0
        for source, seeds in wanted:
            absent = [seed for seed in seeds if (source.digest, seed) not in self._episodes]
            missing |= {(source.digest, seed) for seed in absent}
            n_wanted += len(seeds)
            for group in map(_group_of, absent):
                task = Rollout(source.text, group, self.protocol, self.require)
                tasks.setdefault((source.digest, group), task)
        keys = list(tasks) if until is None else sorted(tasks, key=lambda key: key[1])
        done = n_wanted - len(missing)
        results = self.pool.imap(play_episodes, [tasks[key] for key in keys], until, least)
        for (key, _), played in zip(keys, results, strict=until is None):
            for episode in played:
                self._episodes[key, episode.seed] = episode
                self._n_steps += episode.n_steps
                done += (key, episode.seed) in missing
            if watch is not None:
                watch(done, n_wanted)

    def _played(self, source: PolicySource, seeds: Iterable[int]) -> Evaluation:
        episodes = tuple(self._episodes[source.digest, seed] for seed in seeds)
        self._note_jail(episodes)
        return Evaluation(episodes, self.protocol.stamp)

    def _note_jail(self, episodes: Iterable[EpisodeResult]) -> None:
        if level := weakest_jail(episodes):
            self.jail = min(self.jail or level, level, key=read_level)


def _group_of(seed: int) -> tuple[int, ...]:
    """Return the seeds that ``seed`` is played with; it follows from the seed alone."""
    stream = range(Stream.SELECTION.value, 2 * Stream.REPORT.value - Stream.SELECTION.value)
    if seed not in stream:
        return (seed,)
    first = seed - (seed - stream.start) % _GROUP
    return tuple(range(first, first + _GROUP))


def _is_same_play(child: Evaluation, parent: Evaluation) -> bool:
    """Return whether both took the same actions in every episode."""
    return all(
        bool(mine.digest) and mine.digest == theirs.digest
        for mine, theirs in zip(child.episodes, parent.episodes, strict=True)
    )


def _gain_of(race: Race) -> float:
    """Sort key by which the best race is shown."""
    return race.gain.mean if race.gain is not None else float("-inf")


def _is_behind(heat: _Heat, other: _Heat) -> bool:
    """Return whether ``other`` is clearly ahead of ``heat``, or has won and is not behind it."""
    assert heat.race is not None, heat
    assert other.race is not None, other
    n = min(heat.n_pairs, other.n_pairs)
    ahead = paired_gain(other.race.child.returns[:n], heat.race.child.returns[:n])
    return ahead.z >= _BEHIND_Z or (other.is_won and ahead.mean >= 0)


def _stop_of(race: Race, analyses: Sequence[int], cpu_s: float | None) -> Stop | None:
    """Return the reason not to play on to the next analysis, by the pairs played so far.

    It goes on to its second analysis with episodes of any length, unless the candidate is slow.
    """
    n, child = race.n_pairs, race.child
    growth = next((one for one in analyses if one > n), n) / n
    used = sum(episode.cpu_seconds for episode in child.episodes)
    is_slow = 1000 * used > FREE_CPU_MS * child.n_steps
    if is_slow and cpu_s is not None and used * growth > cpu_s:
        return Stop.SLOW
    n_steps = child.n_steps + race.parent.n_steps
    if race.baseline is not None:
        n_steps += race.baseline.evaluation.n_steps
    gain, most = race.decisive, RACE_STEPS
    if gain is not None and n_steps * _needed(gain, race.critical_p) / n <= CLEAR_RACE_STEPS:
        most = CLEAR_RACE_STEPS
    return Stop.STEPS if n >= analyses[1] and n_steps * growth > most else None


def _needed(gain: Gain, critical_p: float) -> float:
    """Estimate after how many pairs a race is decided; now, where only rare losses are left."""
    if gain.p_value <= critical_p:
        return gain.n_pairs
    return math.inf if gain.n_more_pairs is None else gain.n_pairs + gain.n_more_pairs
