"""Play policy texts in the jail: their scores, and whether they still act the same.

For texts of any origin; the search plays its own programs without a jail, faster. Only feedback
seeds are played: the judge confirms the result on its own seeds.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gco_agent.core.errors import ProposalError
from gco_agent.core.events import Progress, Searching, silent
from gco_agent.core.observation import Row
from gco_agent.core.records import EpisodeResult, Outcome, PlayProtocol
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
from gco_agent.jail import Jail, PolicyFailure
from gco_agent.jail.limits import JailLevel, JailLimits
from gco_agent.optimizers.base import Request, Tools
from gco_agent.optimizers.cma import StepBudget

_LIMITS = JailLimits(step_seconds=0.25)
"""Processor time of a step in a trial. A bound that was moved can make a loop endless, and each of
those costs as much."""
_GAP = 0.02
"""Probability that a category starts to be hidden in a step of `Trials.survives_gaps`."""
_GAP_STEPS = (1, 12)
"""For how many steps it stays hidden."""


@dataclass(frozen=True, slots=True)
class ActionRecord:
    """The actions of one episode; as a request, those that are expected.

    Attributes:
        actions: As the digest of an episode takes them in; empty where any are accepted.
        is_whole: The policy did not fail, and did nothing that was not expected.
    """

    seed: int
    actions: bytes = b""
    n_steps: int = 0
    is_whole: bool = True
    total: float = 0.0


@dataclass
class Trials:
    """Plays texts on seeds in all workers, and counts the steps."""

    pool: WorkerPool
    protocol: PlayProtocol
    require: JailLevel
    budget: StepBudget
    progress: Progress = silent

    def tell(self, activity: str) -> None:
        """Report what is done now, and how much of the budget is used."""
        used = self.budget.used
        self.progress(Searching(activity, min(1.0, used / self.budget.n_steps), used, ""))

    def play(
        self, texts: Sequence[str], seeds: Sequence[int], horizon: int
    ) -> list[tuple[EpisodeResult, ...]]:
        """Return for each text its episodes on ``seeds``, truncated at ``horizon`` steps."""
        unique = list(dict.fromkeys(texts))
        n_parts = max(1, min(len(seeds), self.pool.n_workers // len(unique)))
        size = max(1, -(-len(seeds) // n_parts))
        parts = [seeds[first : first + size] for first in range(0, len(seeds), size)]
        tasks = [self._rollout(text, part, horizon) for text in unique for part in parts]
        played: dict[str, list[EpisodeResult]] = {text: [] for text in unique}
        for task, done in zip(tasks, self.pool.imap(play_episodes, tasks), strict=True):
            played[task.source] += done
            self.budget.used += sum(episode.n_steps for episode in done)
        return [tuple(played[text]) for text in texts]

    def record(self, text: str, seeds: Sequence[int], horizon: int) -> list[ActionRecord]:
        """Return the actions of ``text`` on each seed."""
        return self.retrace([text], [ActionRecord(seed) for seed in seeds], horizon)[0]

    def acts_the_same(
        self, texts: Sequence[str], expected: Sequence[ActionRecord], horizon: int
    ) -> list[bool]:
        """Return for each text whether it acts as recorded on every seed, up to ``horizon``."""
        rows = self.retrace(texts, expected, horizon)
        return [all(record.is_whole for record in row) for row in rows]

    def survives_gaps(self, text: str, seeds: Sequence[int], horizon: int) -> bool:
        """Return whether ``text`` does not fail where objects go missing now and then."""
        records = [ActionRecord(seed) for seed in seeds]
        (row,) = self.retrace([text], records, horizon, with_gaps=True)
        return all(record.is_whole for record in row)

    def retrace(
        self,
        texts: Sequence[str],
        expected: Sequence[ActionRecord],
        horizon: int,
        *,
        with_gaps: bool = False,
    ) -> list[list[ActionRecord]]:
        """Return for each text how far it acts as recorded on each seed."""
        tasks = [
            _Retracing(self._rollout(text, [record.seed], horizon), record.actions, with_gaps)
            for text in texts
            for record in expected
        ]
        found, n = self.pool.map(_play_expected, tasks), len(expected)
        self.budget.used += sum(record.n_steps for record in found)
        return [found[first : first + n] for first in range(0, len(found), n)]

    def _rollout(self, text: str, seeds: Sequence[int], horizon: int) -> Rollout:
        rules = replace(self.protocol, max_steps=min(horizon, self.protocol.max_steps))
        return Rollout(text, tuple(seeds), rules, self.require, _LIMITS)


def trials_of(request: Request, tools: Tools, seconds: float | None = None) -> Trials:
    """Return trials by the rules of the run's races, for ``seconds``, or else for a slice."""
    config, now = request.config, time.perf_counter()
    if seconds is None:
        budget = StepBudget(config.slice_steps, now + config.slice_seconds, begun=now)
    else:
        budget = StepBudget.for_time(seconds, tools.pool.n_workers)
        budget.n_steps = min(budget.n_steps, request.most_steps or budget.n_steps)
    budget.deadline = min(budget.deadline, request.deadline)
    rules = config.selection_protocol
    return Trials(tools.pool, rules, tools.require, budget, request.progress)


def fails_already(seed: int, n_steps: int, why: str) -> ProposalError:
    """Return the error for a policy that fails before anything is changed in it."""
    return ProposalError(
        f"the policy fails as it is (feedback seed {seed}, step {n_steps}): {why}; correct it "
        "first: `gco-agent eval` shows where it fails"
    )


@dataclass(frozen=True, slots=True)
class _Retracing:
    """A request to play one text on one seed for as long as it acts as expected.

    Attributes:
        expected: Its actions; empty where any are accepted.
        with_gaps: Hide categories of objects now and then; the seed decides when.
    """

    rollout: Rollout
    expected: bytes
    with_gaps: bool = False


def _play_expected(task: _Retracing) -> ActionRecord:
    """Play until the end, a failure, or the first action that is not the expected one."""
    (seed,) = task.rollout.seeds
    rules = task.rollout.protocol
    episode = begin_episode(rules, seed)
    try:
        with open_jail(task.rollout, [episode]) as jail:
            start_policy(jail, [episode])
            for _ in play_steps(_RetracingPlayer(jail, task), [episode], rules.max_steps):
                pass
    except PolicyFailure:
        return ActionRecord(seed, is_whole=False)
    is_whole = episode.result is not None and episode.result.outcome.is_scored
    return ActionRecord(seed, bytes(episode.actions), episode.n_steps, is_whole, episode.total)


class _RetracingPlayer(JailedPlayer):
    """Fails at the first action that is not the expected one; hides objects if asked to."""

    def __init__(self, jail: Jail, task: _Retracing) -> None:
        super().__init__(jail)
        self._expected, self._with_gaps = task.expected, task.with_gaps
        self._rng = random.Random(task.rollout.seeds[0])  # noqa: S311 - no secret
        self._hidden: dict[str, int] = {}

    def act(self, episodes: Sequence[Episode]) -> Sequence[Any]:
        """Return the policy's answer."""
        [episode] = episodes
        if self._with_gaps and episode.objects is not None:
            episode.seen = self._hide(episode.objects)
        [answer] = super().act(episodes)
        if self._expected and not isinstance(answer, PolicyFailure):
            done, new = len(episode.actions), action_bytes(answer)
            if new != self._expected[done : done + len(new)]:
                return [PolicyFailure(Outcome.BAD_ACTION, "another action than expected")]
        return [answer]

    def _hide(self, rows: Mapping[str, Sequence[Row]]) -> dict[str, Sequence[Row]]:
        """Return an observation without the categories that are hidden in this step."""
        shown = dict(rows)
        for category in rows:
            left = self._hidden.get(category, 0)
            if not left and self._rng.random() < _GAP:
                left = self._rng.randint(*_GAP_STEPS)
            if left:
                shown[category] = ()
            self._hidden[category] = max(0, left - 1)
        return shown
