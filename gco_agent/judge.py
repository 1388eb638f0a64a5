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

from gco_agent.errors import PolicyError
from gco_agent.jail.limits import JailLevel
from gco_agent.policy import PolicySource, replace_docstring
from gco_agent.records import EpisodeResult, Evaluation, Outcome, PlayProtocol
from gco_agent.rollout import Rollout, play_episodes
from gco_agent.seeds import Stream
from gco_agent.statistics import (
    ALPHA,
    CHEAP_LOOKS,
    Aim,
    Gain,
    Verdict,
    judge_no_worse,
    judge_race,
    loss_margin,
    paired_gain,
)
from gco_agent.workers import WorkerPool

if TYPE_CHECKING:
    from gco_agent.traces.records import ExecutionTrace

_MOST_LANES = 4
Watcher = Callable[[int, int], None]
"""Called with the episodes played so far and the number asked for."""


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
    """

    child: Evaluation
    parent: Evaluation
    gain: Gain | None
    verdict: Verdict
    cut_short: bool = False
    margin: float | None = None


@dataclass
class Judge:
    """Evaluates policies of one game under one protocol.

    Attributes:
        pool: Who plays.
        protocol: The rules.
        require: The jail must be at least this good, or nothing is played.
        n_steps: Steps played so far, by this judge.
        jail: The weakest level of jail that was played in; empty before the first episode.
        traces: What was recorded of policies, by their text and the seeds, played once like the
            episodes.
    """

    pool: WorkerPool
    protocol: PlayProtocol
    require: JailLevel = JailLevel.NONE
    n_steps: int = 0
    jail: str = ""
    traces: dict[tuple[str, tuple[int, ...]], tuple[ExecutionTrace, Evaluation]] = field(
        default_factory=dict
    )
    _known: dict[tuple[str, int], EpisodeResult] = field(default_factory=dict)

    def evaluate(
        self, source: PolicySource, seeds: Sequence[int], watch: Watcher | None = None
    ) -> Evaluation:
        """Play ``source`` on ``seeds``, each episode in a jail of its own."""
        return self._evaluate(source, seeds, lanes=1, watch=watch)

    def looks(self, aim: Aim) -> tuple[int, ...]:
        """Pairs after which a race is looked at; more of them where no emulator is played."""
        is_cheap = self.protocol.frame_skip == 1
        return CHEAP_LOOKS if is_cheap and aim is Aim.BETTER else aim.looks

    def race(
        self,
        child: PolicySource,
        parent: PolicySource,
        *,
        aim: Aim = Aim.BETTER,
        deadline: float | None = None,
        watch: Callable[[Race], None] | None = None,
        n_rivals: int = 1,
    ) -> Race:
        """Play child and parent on the same selection seeds until the verdict is clear.

        Args:
            child: The candidate.
            parent: What it has to beat.
            aim: Or to be no worse than.
            deadline: `time.perf_counter` value after which no further look is begun; a race that
                is not decided then is lost.
            watch: Called after every look.
            n_rivals: Candidates of the same parent of which the best is to be taken; the chance
                to take one that is no better is shared among them.
        """
        race = None
        for look in self.looks(aim):
            if race is not None and deadline is not None and time.perf_counter() >= deadline:
                lost = Verdict.NOT_BETTER if aim is Aim.BETTER else Verdict.MAYBE_WORSE
                return replace(race, verdict=lost, cut_short=True)
            race = self._look(child, parent, aim, look, n_rivals)
            if watch is not None and race.gain is not None:
                watch(race)
            if race.verdict is not Verdict.UNDECIDED:
                break
        assert race is not None, aim
        return race

    def _look(
        self, child: PolicySource, parent: PolicySource, aim: Aim, n_pairs: int, n_rivals: int
    ) -> Race:
        """What the first ``n_pairs`` selection seeds say."""
        seeds = Stream.SELECTION.seeds(0, n_pairs)
        mine = self._evaluate(child, seeds, lanes=_MOST_LANES)
        theirs = self._evaluate(parent, seeds, lanes=_MOST_LANES)
        if not (mine.is_valid and theirs.is_valid):
            is_better = mine.is_valid and not theirs.is_valid
            verdict = Verdict.BETTER if is_better else Verdict.NOT_BETTER
            return Race(mine, theirs, None, verdict)
        gain = paired_gain(mine.returns, theirs.returns)
        if aim is Aim.BETTER:
            verdict = judge_race(gain, self.looks(aim), ALPHA / n_rivals)
            return Race(mine, theirs, gain, verdict)
        margin = loss_margin(theirs.returns[: aim.looks[0]])
        return Race(mine, theirs, gain, judge_no_worse(gain, margin), margin=margin)

    def known(self, source: PolicySource) -> Evaluation:
        """The selection episodes of ``source`` played so far, in the order of the seeds."""
        key = behaviour(source)
        seeds = Stream.SELECTION.seeds(0, self.looks(Aim.BETTER)[-1])
        found = (self._known.get((key, seed)) for seed in seeds)
        return Evaluation(tuple(e for e in found if e is not None), self.protocol.stamp)

    def _evaluate(
        self,
        source: PolicySource,
        seeds: Sequence[int],
        *,
        lanes: int,
        watch: Watcher | None = None,
    ) -> Evaluation:
        key = behaviour(source)
        missing = [seed for seed in dict.fromkeys(seeds) if (key, seed) not in self._known]
        size = max(1, min(lanes, -(-len(missing) // self.pool.n_workers)))
        tasks = [
            Rollout(source.text, tuple(missing[i : i + size]), self.protocol, self.require)
            for i in range(0, len(missing), size)
        ]
        done = len(seeds) - len(missing)
        for played in self.pool.imap(play_episodes, tasks):
            self._note_jail(played.jail)
            for episode in played.episodes:
                self._known[key, episode.seed] = episode
                self.n_steps += episode.n_steps
            done += len(played.episodes)
            if watch is not None:
                watch(done, len(seeds))
        episodes = tuple(self._known[key, seed] for seed in seeds)
        return Evaluation(episodes, self.protocol.stamp)

    def remember(self, records: Mapping[str, Any]) -> None:
        """Take over episodes from `episodes_to_json`; those of another protocol are passed by."""
        if records.get("protocol") != self.protocol.stamp:
            return
        for key, episodes in parse_episodes(records).items():
            self._known.update({(key, episode.seed): episode for episode in episodes})

    def episodes_to_json(
        self, evaluations: Iterable[tuple[PolicySource, Evaluation]]
    ) -> dict[str, Any]:
        """Evaluations as JSON data, to be kept with an iteration."""
        return {
            "schema": 1,
            "protocol": self.protocol.stamp,
            "jail": self.jail,
            "python": "{}.{}".format(*sys.version_info),
            "machine": platform.machine(),
            "policies": {
                behaviour(source): [_episode_json(episode) for episode in evaluation.episodes]
                for source, evaluation in evaluations
            },
        }

    def _note_jail(self, level: str) -> None:
        if level:
            self.jail = min(self.jail or level, level, key=JailLevel.parse)


def parse_episodes(records: Mapping[str, Any]) -> dict[str, tuple[EpisodeResult, ...]]:
    """The episodes that `Judge.episodes_to_json` wrote, by `behaviour` of their policy."""
    return {
        key: tuple(
            EpisodeResult(
                int(e["seed"]),
                float(e["return"]),
                int(e["steps"]),
                Outcome(e["outcome"]),
                str(e.get("detail", "")),
                str(e["digest"]),
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
