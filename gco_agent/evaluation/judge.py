"""The judge: it owns the seeds, the environment and the score.

Episodes are played once and cached: the same text of a policy on the same seed under the same
protocol is always the same episode.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from gco_agent.core.records import EpisodeResult, Evaluation, PlayProtocol
from gco_agent.core.seeds import Stream
from gco_agent.core.statistics import (
    CHEAP_INTERIM_ANALYSES,
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
from gco_agent.policy import PolicySource

_GROUP = 2
"""Seeds that are played side by side, of races and of reports alike: a policy that counts the
episodes beside its own learns nothing from it."""
_LEAST_S = 5.0
"""Seconds that a race has, however late it begins."""
Watcher = Callable[[int, int], None]
"""Called with the episodes played so far and the number asked for."""


@dataclass(frozen=True, slots=True)
class BaselinePolicy:
    """An earlier policy that a child must be no worse than.

    Attributes:
        source: The policy.
        evaluation: On the seeds of the race.
        gain: Child minus this.
    """

    source: PolicySource
    evaluation: Evaluation
    gain: Gain


@dataclass(frozen=True, slots=True)
class Race:
    """A child against its parent on selection seeds.

    Attributes:
        child: Its evaluation; not valid if an episode failed.
        parent: On the same seeds.
        gain: Child minus parent; None if either is not valid.
        verdict: `Verdict.is_won` means accepted.
        cut_short: The deadline ended it before it was decided.
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
    cut_short: bool = False
    margin: float | None = None
    critical_p: float = 0.0
    shared: Gain | None = None
    baseline: BaselinePolicy | None = None

    @property
    def n_pairs(self) -> int:
        """Seeds that both played."""
        return len(self.child.episodes)


@dataclass(frozen=True, slots=True)
class AcceptanceCriterion:
    """What a child has to show in a race.

    Attributes:
        aim: That it is better than its parent, or no worse.
        n_rivals: Candidates of the same parent of which the best is to be taken; the chance to take
            one that should not be is shared among them.
        baseline: What it must be no worse than, where that is not the parent: the last policy that
            had to be better. A row of simpler ones would else lose the margin again and again.
    """

    aim: Aim = Aim.BETTER
    n_rivals: int = 1
    baseline: PolicySource | None = None

    @property
    def baseline_of_race(self) -> PolicySource | None:
        """The baseline, where the aim has one."""
        return self.baseline if self.aim is Aim.NO_WORSE else None


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
    """Evaluates policies of one game under one protocol, and caches what it played.

    Attributes:
        pool: Plays the episodes.
        protocol: The rules.
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
            source: The policy.
            seeds: One episode each.
            watch: Called with the episodes played so far, and how many there are.
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

    def race(  # noqa: PLR0913 - the last are seldom given
        self,
        child: PolicySource,
        parent: PolicySource,
        criterion: AcceptanceCriterion | None = None,
        *,
        first_seed: int = 0,
        deadline: float | None = None,
        most_pairs: int | None = None,
        watch: Callable[[Race], None] | None = None,
    ) -> Race:
        """Play child and parent on the same selection seeds until the verdict is clear.

        Args:
            child: The candidate.
            parent: The policy that it has to beat.
            criterion: What it has to show; by default that it is better.
            first_seed: Place in the selection stream from which seeds are drawn.
            deadline: `time.perf_counter` value after which no episode is awaited, but for a few
                seconds that every race has, and no analysis is begun but the first two; the last
                one before it decides.
            most_pairs: Cut the race short after so many pairs, to repeat one that a deadline cut.
            watch: Called after every interim analysis.
        """
        criterion = criterion or AcceptanceCriterion()
        until = None if deadline is None else max(deadline, time.perf_counter() + _LEAST_S)
        first_group = Stream.SELECTION.seeds(first_seed, first_seed + _GROUP)
        self._play([(child, first_group), (parent, first_group)])
        mine, theirs = (self._played(one, first_group) for one in (child, parent))
        if not mine.is_valid:  # nothing more has to be played
            return Race(mine, theirs, None, Verdict.NOT_BETTER)
        race, analyses = None, self.interim_analyses(criterion.aim)
        for n_pairs in analyses:
            is_late = deadline is not None and time.perf_counter() >= deadline
            if race is not None and race.n_pairs >= analyses[1] and is_late:
                return self._cut_short(race, criterion)
            seeds = Stream.SELECTION.seeds(first_seed, first_seed + n_pairs)
            n_played = self._play_pairs(child, parent, criterion, seeds[:most_pairs], until)
            if n_played < n_pairs:
                if race is not None:
                    return self._cut_short(race, criterion)
                return self._first_pairs(child, parent, criterion, seeds[:n_played])
            race = self._analyse(child, parent, criterion, seeds)
            if watch is not None and race.gain is not None:
                watch(race)
            if race.verdict is not Verdict.UNDECIDED:
                break
        assert race is not None, criterion
        return race

    def _play_pairs(
        self,
        child: PolicySource,
        parent: PolicySource,
        criterion: AcceptanceCriterion,
        seeds: range,
        until: float | None,
    ) -> int:
        """Play what a race needs; return how many of the first seeds all have played.

        However late it is, these are one group at least.
        """
        racers = [one for one in (child, parent, criterion.baseline_of_race) if one is not None]
        self._play([(one, seeds) for one in racers], until=until)
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

    def _cut_short(self, race: Race, criterion: AcceptanceCriterion) -> Race:
        verdict = self._verdict(race, criterion, is_final=True)
        return replace(race, verdict=verdict, cut_short=True)

    def _first_pairs(
        self,
        child: PolicySource,
        parent: PolicySource,
        criterion: AcceptanceCriterion,
        seeds: range,
    ) -> Race:
        """Return a race that was cut before its first interim analysis."""
        mine, theirs = self._played(child, seeds), self._played(parent, seeds)
        race = Race(mine, theirs, None, Verdict.NOT_BETTER, cut_short=True)
        if not (mine.is_valid and theirs.is_valid):
            return race
        gain = paired_gain(mine.returns, theirs.returns, low=self._least)
        verdict = Verdict.INCONCLUSIVE if gain.mean > 0 else Verdict.NOT_BETTER
        if criterion.aim is Aim.NO_WORSE:
            verdict = Verdict.MAYBE_WORSE
        return replace(race, gain=gain, verdict=verdict)

    def _analyse(
        self,
        child: PolicySource,
        parent: PolicySource,
        criterion: AcceptanceCriterion,
        seeds: range,
    ) -> Race:
        aim, baseline = criterion.aim, criterion.baseline_of_race
        mine, theirs = self._played(child, seeds), self._played(parent, seeds)
        race = Race(mine, theirs, None, Verdict.NOT_BETTER)
        if not mine.is_valid:
            return race
        analyses = self.interim_analyses(aim)
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
        return replace(race, verdict=self._verdict(race, criterion))

    def _verdict(
        self, race: Race, criterion: AcceptanceCriterion, *, is_final: bool = False
    ) -> Verdict:
        analyses, n_rivals = self.interim_analyses(criterion.aim), criterion.n_rivals
        if not race.child.is_valid:
            return Verdict.NOT_BETTER
        if race.gain is None:
            return judge_survivor(race.shared, race.n_pairs, n_rivals, analyses, is_final=is_final)
        if race.margin is None:
            return judge_race(race.gain, n_rivals, analyses, is_final=is_final)
        gain = race.baseline.gain if race.baseline else race.gain
        return judge_no_worse(gain, race.margin, n_rivals, is_final=is_final)

    def _no_loss(self, child: Evaluation, base: Evaluation, margin: float) -> Gain:
        is_same = all(
            bool(mine.digest) and mine.digest == theirs.digest
            for mine, theirs in zip(child.episodes, base.episodes, strict=True)
        )
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
            source: The policy.
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
            source: The policy.
            what: Identifies the recording among those of the policy.
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

        Episodes of other rules, or of a weaker jail than is required, are left out: they are played
        when they are needed.

        Args:
            policy: Digest of the policy's text.
            evaluation: Its episodes, from a source that can be believed.
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
        """Play whatever of ``wanted`` is not cached, all at once, the first seeds of each first."""
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
            for episode in played.episodes:
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
