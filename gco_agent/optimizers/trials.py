"""Policy texts tried out in the jail: what they score, and whether they still act the same.

For texts that anybody may have written; the search plays its own programs without a jail, faster.
Seeds of feedback only: what is found here is for the judge to confirm.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gco_agent.core.observation import Row
from gco_agent.core.records import EpisodeResult, Outcome, PlayProtocol
from gco_agent.core.seeds import Stream
from gco_agent.evaluation.episode import (
    Episode,
    JailedPlayer,
    Rollout,
    action_bytes,
    begin_episode,
    open_jail,
    play_episodes,
    play_steps,
    start_policy,
)
from gco_agent.evaluation.workers import WorkerPool
from gco_agent.jail.host import Jail, PolicyFailure
from gco_agent.jail.limits import JailLevel, JailLimits
from gco_agent.optimizers.base import Request, Tools
from gco_agent.optimizers.cma import StepBudget

STEP_SECONDS = 0.25
"""Processor time of a step in a trial. A bound that was moved can make a loop endless, and each of
those costs as much."""
_SEEDS_A_RUN, _FIRST_SEED = 10_000, 20_000_000
_HOLE = 0.02
"""Chance of a category to be hidden in a step of `Retrace.with_holes`."""
_HOLE_STEPS = (1, 12)
"""For how many steps it stays hidden."""


@dataclass
class Trials:
    """Plays texts on seeds, in lock step and in all workers, and books the steps.

    Attributes:
        pool: Who plays.
        protocol: The rules.
        require: The jail must be at least this good, or nothing is played.
        purse: What may be used.
    """

    pool: WorkerPool
    protocol: PlayProtocol
    require: JailLevel
    purse: StepBudget
    limits: JailLimits = field(default_factory=lambda: JailLimits(step_seconds=STEP_SECONDS))

    def play(
        self, texts: Sequence[str], seeds: Sequence[int], horizon: int
    ) -> list[tuple[EpisodeResult, ...]]:
        """For each text its episodes on ``seeds``, cut at ``horizon`` steps."""
        rules = replace(self.protocol, max_steps=min(horizon, self.protocol.max_steps))
        tasks = [
            Rollout(text, tuple(seeds), rules, self.require, self.limits)
            for text in dict.fromkeys(texts)
        ]
        results = {}
        for task, played in zip(tasks, self.pool.imap(play_episodes, tasks), strict=True):
            results[task.source] = played.episodes
            self.purse.used += sum(episode.n_steps for episode in played.episodes)
        return [results[text] for text in texts]

    def play_apart(
        self, text: str, seeds: Sequence[int], horizon: int
    ) -> tuple[EpisodeResult, ...]:
        """The episodes of one text, shared out among all workers."""
        rules = replace(self.protocol, max_steps=min(horizon, self.protocol.max_steps))
        tasks = [Rollout(text, (seed,), rules, self.require, self.limits) for seed in seeds]
        episodes = tuple(p.episodes[0] for p in self.pool.map(play_episodes, tasks))
        self.purse.used += sum(episode.n_steps for episode in episodes)
        return episodes

    def record(self, text: str, seeds: Sequence[int], horizon: int) -> list[Recording]:
        """The actions of ``text`` on each seed."""
        return self._retrace([self._task(text, Recording(s), horizon) for s in seeds])

    def acts_the_same(
        self, texts: Sequence[str], recordings: Sequence[Recording], horizon: int
    ) -> list[bool]:
        """For each text whether it acts as recorded on every seed, up to ``horizon`` steps."""
        tasks = [self._task(text, wanted, horizon) for text in texts for wanted in recordings]
        found, n = self._retrace(tasks), len(recordings)
        return [all(f.is_whole for f in found[i * n : i * n + n]) for i in range(len(texts))]

    def retraced(self, text: str, recordings: Sequence[Recording], horizon: int) -> list[Recording]:
        """How far ``text`` acts as recorded on each seed."""
        return self._retrace([self._task(text, wanted, horizon) for wanted in recordings])

    def survives_holes(self, text: str, seeds: Sequence[int], horizon: int) -> bool:
        """Whether ``text`` plays on where categories of objects go missing now and then."""
        tasks = [self._task(text, Recording(s), horizon, with_holes=True) for s in seeds]
        return all(found.is_whole for found in self._retrace(tasks))

    def _task(
        self, text: str, wanted: Recording, horizon: int, *, with_holes: bool = False
    ) -> Retrace:
        rules = replace(self.protocol, max_steps=min(horizon, self.protocol.max_steps))
        return Retrace(text, wanted, rules, self.require, self.limits, with_holes=with_holes)

    def _retrace(self, tasks: Sequence[Retrace]) -> list[Recording]:
        found = self.pool.map(retrace, tasks)
        self.purse.used += sum(recording.n_steps for recording in found)
        return found


@dataclass(frozen=True, slots=True)
class Recording:
    """The actions of one episode; as a request, those that are expected.

    Attributes:
        seed: Of the episode.
        actions: As the digest of an episode takes them in; empty where none are expected.
        n_steps: Steps played.
        is_whole: The policy did not fail, and did nothing that was not expected.
        total: Sum of rewards.
    """

    seed: int
    actions: bytes = b""
    n_steps: int = 0
    is_whole: bool = True
    total: float = 0.0


@dataclass(frozen=True, slots=True)
class Retrace:
    """A request to play one text on one seed, for as long as it acts as expected.

    Attributes:
        with_holes: Hide categories of objects now and then, as chance on the seed has it.
    """

    source: str
    wanted: Recording
    protocol: PlayProtocol
    require: JailLevel
    limits: JailLimits
    with_holes: bool = False


def trials_of(request: Request, tools: Tools, seconds: float | None = None) -> Trials:
    """Trials by the rules of the run's races, for the time given, or else with a slice's purse."""
    config, now = request.config, time.perf_counter()
    if seconds is None:
        purse = StepBudget(config.slice_steps, now + config.slice_seconds, begun=now)
    else:
        purse = StepBudget.for_time(seconds, tools.pool.n_workers)
    purse.deadline = min(purse.deadline, request.deadline)
    return Trials(tools.pool, config.selection_protocol, tools.require, purse)


def seeds_of(iteration: int) -> range:
    """Feedback seeds that belong to one iteration alone."""
    first = _FIRST_SEED + _SEEDS_A_RUN * iteration
    return Stream.FEEDBACK.cycle(first, _SEEDS_A_RUN)


def retrace(task: Retrace) -> Recording:
    """Play until the end, a failure, or the first action that is not the expected one."""
    seed = task.wanted.seed
    episode = begin_episode(task.protocol, seed)
    rollout = Rollout(task.source, (seed,), task.protocol, task.require, task.limits)
    try:
        with open_jail(rollout, [episode]) as jail:
            start_policy(jail, [episode])
            for _ in play_steps(_Retracer(jail, task), [episode], task.protocol.max_steps):
                pass
    except PolicyFailure:
        return Recording(seed, is_whole=False)
    is_whole = episode.result is not None and episode.result.outcome.is_scored
    return Recording(seed, bytes(episode.actions), episode.n_steps, is_whole, episode.total)


class _Retracer(JailedPlayer):
    """Fails at the first action that is not the expected one; shows observations with holes."""

    def __init__(self, jail: Jail, task: Retrace) -> None:
        super().__init__(jail)
        self._expected = task.wanted.actions
        self._holes = _Holes(task.wanted.seed) if task.with_holes else None

    def act(self, episodes: Sequence[Episode]) -> Sequence[Any]:
        """Return the policy's answer."""
        [episode] = episodes
        if self._holes is not None and episode.env.has_objects:
            episode.seen = self._holes.hide(episode.seen)
        [answer] = super().act(episodes)
        if self._expected and not isinstance(answer, PolicyFailure):
            done, new = len(episode.actions), action_bytes(answer)
            if new != self._expected[done : done + len(new)]:
                return [PolicyFailure(Outcome.BAD_ACTION, "another action than expected")]
        return [answer]


class _Holes:
    """Hides categories, each on its own, for a few steps at a time."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)  # noqa: S311 - no secret
        self._left: dict[str, int] = {}

    def hide(self, rows: Mapping[str, Sequence[Row]]) -> dict[str, Sequence[Row]]:
        shown = dict(rows)
        for category in rows:
            left = self._left.get(category, 0)
            if not left and self._rng.random() < _HOLE:
                left = self._rng.randint(*_HOLE_STEPS)
            if left:
                shown[category] = ()
            self._left[category] = max(0, left - 1)
        return shown
