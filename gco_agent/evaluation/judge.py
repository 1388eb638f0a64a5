"""The judge: owns the seeds, the environment and the score, and says what a policy is worth.

Episodes are played once and remembered: a policy on a seed under a protocol is always the same
episode. Another module docstring does not count as a change of the policy.
"""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from gco_agent.core.errors import PolicyError
from gco_agent.core.records import EpisodeResult, Evaluation, Outcome, PlayProtocol
from gco_agent.core.seeds import Stream
from gco_agent.core.statistics import (
    ALPHA,
    CHEAP_LOOKS,
    Aim,
    Gain,
    Verdict,
    judge_no_worse,
    judge_race,
    judge_survivor,
    loss_margin,
    paired_gain,
)
from gco_agent.evaluation.episode import Rollout, play_episodes
from gco_agent.evaluation.workers import WorkerPool
from gco_agent.jail.limits import JailLevel, read_level, weakest_jail
from gco_agent.policy import PolicySource, replace_docstring

if TYPE_CHECKING:
    from gco_agent.traces.records import ExecutionTrace

_GROUP = 2
"""Selection seeds that are played side by side, whatever the number of workers: seeds 0 and 1 of
the stream, 2 and 3, and so on."""
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
        asked: The p value that would have won at the last look; 0 where none would.
        shared: Where the parent failed: the gain on the seeds that it finished, if any.
        anchor: Where the child had to be no worse than an earlier policy: that, which decided.
    """

    child: Evaluation
    parent: Evaluation
    gain: Gain | None
    verdict: Verdict
    cut_short: bool = False
    margin: float | None = None
    asked: float = 0.0
    shared: Gain | None = None
    anchor: BaselinePolicy | None = None


@dataclass(frozen=True, slots=True)
class AcceptanceCriterion:
    """What a child has to show in a race.

    Attributes:
        aim: That it is better than its parent, or no worse.
        n_rivals: Candidates of the same parent of which the best is to be taken; the chance to take
            one that should not be is shared among them.
        anchor: What it must be no worse than, where that is not the parent: the last policy that
            had to be better. A row of simpler ones would else lose the margin again and again.
    """

    aim: Aim = Aim.BETTER
    n_rivals: int = 1
    anchor: PolicySource | None = None


@dataclass
class Judge:
    """Evaluates policies of one game under one protocol.

    Attributes:
        pool: Who plays.
        protocol: The rules.
        require: The jail must be at least this good, or nothing is played.
        n_steps: Steps played so far, by this judge.
        jail: The weakest level of jail that any episode it told of was played in, those that it
            took over included; empty before the first.
        traces: What was recorded of policies, by their text and the seeds, played once like the
            episodes.
        uncut: What policies scored where their episodes were not cut for a race, likewise.
    """

    pool: WorkerPool
    protocol: PlayProtocol
    require: JailLevel = JailLevel.NONE
    n_steps: int = 0
    jail: str = ""
    traces: dict[tuple[str, tuple[int, ...]], tuple[ExecutionTrace, Evaluation]] = field(
        default_factory=dict
    )
    uncut: dict[tuple[str, tuple[int, ...]], Evaluation] = field(default_factory=dict)
    _known: dict[tuple[str, int], EpisodeResult] = field(default_factory=dict)

    def evaluate(
        self, source: PolicySource, seeds: Sequence[int], watch: Watcher | None = None
    ) -> Evaluation:
        """Play ``source`` on ``seeds``; the same seeds give the same episodes with any workers.

        An episode has a jail of its own, but on selection seeds, which are played in pairs, alike
        in a race and wherever else they are asked for.
        """
        self._play([(source, seeds)], watch)
        return self._told(source, seeds)

    def looks(self, aim: Aim) -> tuple[int, ...]:
        """Pairs after which a race is looked at; more of them where no emulator is played."""
        return CHEAP_LOOKS if self.protocol.is_cheap and aim is Aim.BETTER else aim.looks

    def race(
        self,
        child: PolicySource,
        parent: PolicySource,
        terms: AcceptanceCriterion | None = None,
        *,
        deadline: float | None = None,
        watch: Callable[[Race], None] | None = None,
    ) -> Race:
        """Play child and parent on the same selection seeds until the verdict is clear.

        Args:
            child: The candidate.
            parent: What it has to beat.
            terms: Or to be no worse than.
            deadline: `time.perf_counter` value after which no further look is begun, once there
                was one that could be won; a race that is not decided then is lost.
            watch: Called after every look.
        """
        terms = terms or AcceptanceCriterion()
        race = None
        for look in self.looks(terms.aim):
            is_late = deadline is not None and time.perf_counter() >= deadline
            if race is not None and race.asked and is_late:
                lost = Verdict.NOT_BETTER if terms.aim is Aim.BETTER else Verdict.MAYBE_WORSE
                return replace(race, verdict=lost, cut_short=True)
            race = self._look(child, parent, terms, look)
            if watch is not None and race.gain is not None:
                watch(race)
            if race.verdict is not Verdict.UNDECIDED:
                break
        assert race is not None, terms
        return race

    def _look(
        self, child: PolicySource, parent: PolicySource, terms: AcceptanceCriterion, n_pairs: int
    ) -> Race:
        """What the first ``n_pairs`` selection seeds say."""
        seeds, aim = Stream.SELECTION.seeds(0, n_pairs), terms.aim
        anchor = terms.anchor if aim is Aim.NO_WORSE else None
        self._play([(one, seeds) for one in (child, parent, anchor) if one is not None])
        mine, theirs = self._told(child, seeds), self._told(parent, seeds)
        race = Race(mine, theirs, None, Verdict.NOT_BETTER)
        if not mine.is_valid:
            return race
        alpha = ALPHA / terms.n_rivals
        looks = self.looks(aim)
        race = replace(race, asked=aim.asked(n_pairs, alpha, looks))
        if not theirs.is_valid:
            return _race_survivor(race, looks)
        gain = paired_gain(mine.returns, theirs.returns)
        race = replace(race, gain=gain)
        if aim is Aim.BETTER:
            return replace(race, verdict=judge_race(gain, alpha, looks))
        base = self._told(anchor, seeds) if anchor is not None else theirs
        if anchor is not None and base.is_valid:
            gain = paired_gain(mine.returns, base.returns)
            race = replace(race, anchor=BaselinePolicy(anchor, base, gain))
        else:
            base = theirs
        margin = loss_margin(base.returns[: looks[0]])
        return replace(race, verdict=judge_no_worse(gain, margin, alpha), margin=margin)

    def known(self, source: PolicySource, seeds: Sequence[int] | None = None) -> Evaluation:
        """The episodes of ``source`` played so far, in the order of ``seeds``.

        Args:
            source: The policy.
            seeds: By default those of a race.
        """
        key = behaviour(source)
        wanted = Stream.SELECTION.seeds(0, self.looks(Aim.BETTER)[-1]) if seeds is None else seeds
        found = (self._known.get((key, seed)) for seed in wanted)
        return Evaluation(tuple(e for e in found if e is not None), self.protocol.stamp)

    def _play(
        self, wanted: Iterable[tuple[PolicySource, Sequence[int]]], watch: Watcher | None = None
    ) -> None:
        """Play whatever of ``wanted`` is not remembered, all at once."""
        keys, tasks, asked, n_asked = [], [], set(), 0
        for source, seeds in wanted:
            key = behaviour(source)
            missing = [s for s in dict.fromkeys(seeds) if (key, s) not in self._known]
            asked |= {(key, seed) for seed in missing}
            n_asked += len(seeds)
            groups = [g for g in dict.fromkeys(map(_group_of, missing)) if (key, g) not in keys]
            keys += [(key, group) for group in groups]
            tasks += [Rollout(source.text, g, self.protocol, self.require) for g in groups]
        done = n_asked - len(asked)
        for (key, _), played in zip(keys, self.pool.imap(play_episodes, tasks), strict=True):
            for episode in played.episodes:
                self._known[key, episode.seed] = episode
                self.n_steps += episode.n_steps
                done += (key, episode.seed) in asked
            if watch is not None:
                watch(done, n_asked)

    def _told(self, source: PolicySource, seeds: Sequence[int]) -> Evaluation:
        """What was played, in the order of ``seeds``."""
        key = behaviour(source)
        episodes = tuple(self._known[key, seed] for seed in seeds)
        self.note_jail(weakest_jail(episodes))
        return Evaluation(episodes, self.protocol.stamp)

    def remember(self, records: Mapping[str, Any]) -> None:
        """Take over episodes from `episodes_to_json`.

        Those of another protocol are passed by, and so are those of a weaker jail than is required
        now: they are played again where they are needed. Records of versions that played other
        seeds side by side are taken over, too: what they tell is another episode only for a policy
        that goes by the addresses of objects.
        """
        if records.get("protocol") != self.protocol.stamp:
            return
        for key, episodes in parse_episodes(records).items():
            self._take_over(key, episodes)

    def take_over(self, source: PolicySource, evaluation: Evaluation) -> None:
        """As `remember`, of what was played elsewhere by the same rules."""
        self._take_over(behaviour(source), evaluation.episodes)

    def _take_over(self, key: str, episodes: Iterable[EpisodeResult]) -> None:
        good = [e for e in episodes if read_level(e.jail) >= self.require]
        self._known.update({(key, episode.seed): episode for episode in good})

    def episodes_to_json(
        self, evaluations: Iterable[tuple[PolicySource, Evaluation]]
    ) -> dict[str, Any]:
        """Evaluations as JSON data, to be kept with an iteration."""
        told = [(behaviour(source), evaluation.episodes) for source, evaluation in evaluations]
        return {
            "schema": 1,
            "protocol": self.protocol.stamp,
            **conditions(episode for _, episodes in told for episode in episodes),
            "jails": {key: weakest_jail(episodes) for key, episodes in told},
            "policies": {key: [_episode_json(one) for one in episodes] for key, episodes in told},
        }

    def note_jail(self, level: str) -> None:
        """Keep the weakest level in mind."""
        if level:
            self.jail = min(self.jail or level, level, key=read_level)


def conditions(episodes: Iterable[EpisodeResult]) -> dict[str, str]:
    """What episodes were played in that is no rule of play: weakest jail, Python, machine."""
    return {
        "jail": weakest_jail(episodes),
        "python": "{}.{}".format(*sys.version_info),
        "machine": platform.machine(),
    }


def _group_of(seed: int) -> tuple[int, ...]:
    """The seeds that ``seed`` is played with, itself among them; it follows from the seed alone."""
    place = seed - Stream.SELECTION.value
    if not 0 <= place < Stream.REPORT.value - Stream.SELECTION.value:
        return (seed,)
    first = seed - place % _GROUP
    return tuple(range(first, first + _GROUP))


def _race_survivor(race: Race, looks: Sequence[int]) -> Race:
    """The verdict on a child that finished what its parent did not."""
    pairs = [
        (mine.episode_return, theirs.episode_return)
        for mine, theirs in zip(race.child.episodes, race.parent.episodes, strict=True)
        if theirs.outcome.is_scored
    ]
    shared, margin = None, 0.0
    if pairs:
        child, parent = zip(*pairs, strict=True)
        shared, margin = paired_gain(child, parent), loss_margin(parent)
    verdict = judge_survivor(shared, margin, len(race.child.episodes), race.asked, looks)
    return replace(race, verdict=verdict, shared=shared)


def parse_episodes(records: Mapping[str, Any]) -> dict[str, tuple[EpisodeResult, ...]]:
    """The episodes that `Judge.episodes_to_json` wrote, by `behaviour` of their policy.

    Records without a level for each policy have one for all.
    """
    levels, level = records.get("jails", {}), records.get("jail") or ""
    return {
        key: tuple(
            EpisodeResult(
                int(e["seed"]),
                float(e["return"]),
                int(e["steps"]),
                Outcome(e["outcome"]),
                str(e.get("detail", "")),
                str(e["digest"]),
                jail=str(levels.get(key, level)),
            )
            for e in episodes
        )
        for key, episodes in records["policies"].items()
    }


def behaviour(source: PolicySource) -> str:
    """Digest of what a policy does: its text without the module docstring, unless it reads that."""
    if "__doc__" in source.text:
        return source.digest
    try:
        return PolicySource(replace_docstring(source, "").text).digest
    except PolicyError:  # text that does not parse is its own behaviour
        return source.digest


def _episode_json(episode: EpisodeResult) -> dict[str, Any]:
    data: dict[str, Any] = {
        "seed": episode.seed,
        "return": episode.episode_return,
        "steps": episode.n_steps,
        "outcome": episode.outcome.value,
        "digest": episode.digest,
    }
    if episode.detail:
        data["detail"] = episode.detail
    return data
