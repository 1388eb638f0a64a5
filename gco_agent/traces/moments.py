"""Play episodes, choose the moments that decided them, and record these call by call.

Moments follow from rewards, lives and ends. Where nearly every step brings a reward, a single one
decides nothing: then episodes are compared by how they end, and by the segments that brought least
and most.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from gco_agent.core.events import Playing, Progress, silent
from gco_agent.core.observation import ObjectBox, Row, build_observation
from gco_agent.core.records import EpisodeResult, Evaluation, Outcome, Plain, PlayProtocol, Shown
from gco_agent.envs.environment import spec_of
from gco_agent.envs.gymnasium_env import Action
from gco_agent.evaluation.episode import (
    Episode,
    RecordedPlayer,
    Rollout,
    actions_of,
    begin_episode,
    open_jail,
    play_steps,
    start_policy,
    with_jail,
)
from gco_agent.evaluation.workers import WorkerPool
from gco_agent.jail import Jail, PolicyFailure
from gco_agent.jail.limits import JailLevel
from gco_agent.jail.reports import Recording
from gco_agent.traces.losses import PLAYER, Contacts, LossFinder, explain
from gco_agent.traces.records import (
    POINTS_STEPS,
    Ending,
    ExecutionTrace,
    Loss,
    Stall,
    TracedStep,
    Window,
)

BEFORE, AFTER = 40, 1
"""Steps of a window before and after what it is about."""
STALL_STEPS = 300
"""Steps in a row without a reward or a life lost that are looked at, where they are also at least a
quarter of the episode, or `_DROUGHT` times as many as usual."""
_STALL_SHARE, _DROUGHT = 4, 10
_DENSE = 0.5
"""Rewards are dense if more than this share of the steps brings one;"""
_UNUSUAL = 10.0
"""one among them is shown if it is so many times as large as most."""
_MOST_FAILURES, _MOST_OF_A_KIND, _MOST_WINDOWS, _MOST_REWARDS = 2, 2, 5, 6
_MOST_NUMBERS, _MOST_PARTS, _MOST_TEXT = 400, 8, 60
_FEW, _SELDOM = 6, 16
"""Of what there are more than a few at once, positions are noted every so many steps."""
_STEADY = 0.6
"""A category of one object belongs to the play, as a player or a ball does, if the object is there
in this share of the steps since it was first seen, and in half of that of all steps."""
_PAUSE, _RESUMED = 3, 8
"""Play pauses when for so many steps nothing moves, or something is missing that belongs to it; and
has begun again so many steps after the pause."""
_MOST_OFTEN, _STEPS = 6, "steps"
"""Actions that are told of a stall, half of what was in view, and the count of all steps."""
_ACTIONS = 3
"""Last actions that are shown with a loss."""
_PAUSED_AT_MOST = 60
"""Steps that a game may show the end of before it is over."""
_UNSTEADY = (
    "The policy did not repeat its own actions in the replay of seed {seed}, so that window may "
    "show what did not happen in the episode that was scored."
)


@dataclass(frozen=True, slots=True)
class Captured:
    """A trace and its episodes.

    Attributes:
        n_steps: Steps played, replays included.
    """

    trace: ExecutionTrace
    evaluation: Evaluation
    n_steps: int


def capture(  # noqa: PLR0913 - the last is seldom given
    pool: WorkerPool,
    text: str,
    seeds: Sequence[int],
    protocol: PlayProtocol,
    require: JailLevel = JailLevel.NONE,
    progress: Progress = silent,
    *,
    until: float | None = None,
) -> Captured:
    """Play ``text`` on ``seeds`` and record the moments that decided these episodes.

    The result depends on the arguments alone, and not on the workers, unless the time is up.

    Args:
        until: `time.perf_counter` value after which no episode is awaited: what is returned then
            are those of the first seeds, if any.

    Raises:
        JailError: The jail cannot be built, or not as good as required.
    """
    tasks = {seed: Rollout(text, (seed,), protocol, require) for seed in dict.fromkeys(seeds)}
    wanted = [Replay(task) for task in tasks.values()]
    played = _follow_all(pool, wanted, "playing feedback", progress, until)
    trajectories = dict(zip(tasks, played, strict=until is None))
    seeds = [seed for seed in seeds if seed in trajectories]
    moments = choose_moments(played)
    spans: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for moment in moments:
        spans[moment.seed].append(span_of(moment, trajectories[moment.seed].result))
    wanted = [Replay(tasks[seed], tuple(parts), to_the_end=False) for seed, parts in spans.items()]
    recorded = _follow_all(pool, wanted, "recording moments", progress, until)
    replays = dict(zip(spans, recorded, strict=until is None))
    moments = tuple(moment for moment in moments if moment.seed in replays)
    notes = [describe_all(played), *describe_stays(played)]
    notes += [
        _UNSTEADY.format(seed=seed)
        for seed, replay in replays.items()
        if not trajectories[seed].actions.startswith(replay.actions)
    ]
    if with_nan := sorted(set().union(*(trajectory.with_nan for trajectory in played))):
        notes.append(f"The environment returned NaN in {', '.join(with_nan)}.")
    if n_left_out := sum(replay.n_left_out for replay in recorded):
        notes.append(f"{n_left_out:,} calls in these steps are not recorded: a step has too many.")
    trace = ExecutionTrace(
        tuple(_window(m, trajectories[m.seed].result, replays[m.seed]) for m in moments),
        tuple(notes),
        merge_extents(played),
        field_names(protocol),
        tuple(trajectories[seed].ending for seed in seeds),
        explain_losses(played),
        _longest(played),
    )
    evaluation = Evaluation(tuple(trajectories[seed].result for seed in seeds), protocol.stamp)
    return Captured(trace, evaluation, sum(c.result.n_steps for c in (*played, *recorded)))


def _follow_all(
    pool: WorkerPool,
    wanted: Sequence[Replay],
    what: str,
    progress: Progress,
    until: float | None = None,
) -> list[Trajectory]:
    followed: list[Trajectory] = []
    progress(Playing(what, 0, len(wanted)))
    for trajectory in pool.imap(follow, wanted, until):
        followed.append(trajectory)
        n_steps = sum(one.result.n_steps for one in followed)
        progress(Playing(what, len(followed), len(wanted), n_steps))
    return followed


def capture_losses(
    pool: WorkerPool, tasks: Sequence[Rollout], progress: Progress = silent
) -> Captured:
    """Play episodes of one policy and find losses and stalls; no moment is recorded.

    Args:
        tasks: One for each episode.

    Raises:
        JailError: The jail cannot be built, or not as good as required.
    """
    wanted = [Replay(task) for task in tasks]
    played = _follow_all(pool, wanted, "playing candidates that were turned down", progress)
    endings = tuple(trajectory.ending for trajectory in played)
    trace = ExecutionTrace(endings=endings, losses=explain_losses(played), stalls=_longest(played))
    evaluation = Evaluation(
        tuple(trajectory.result for trajectory in played), tasks[0].protocol.stamp
    )
    return Captured(trace, evaluation, sum(trajectory.result.n_steps for trajectory in played))


def explain_losses(trajectories: Sequence[Trajectory]) -> tuple[Loss, ...]:
    """Return what was lost in some episodes, and why; negative rewards only where they are rare."""
    is_dense = any(map(_is_dense, trajectories))
    losses = [loss for trajectory in trajectories for loss in trajectory.losses]
    told = [loss for loss in losses if loss.lives is not None or not is_dense]
    by_seed = {trajectory.result.seed: trajectory for trajectory in trajectories}
    return tuple(
        replace(loss, actions=by_seed[loss.seed].actions_before(loss.step + 1))
        for loss in explain(told, [trajectory.contacts for trajectory in trajectories])
    )


def _window(moment: Moment, result: EpisodeResult, replay: Trajectory) -> Window:
    first, end = span_of(moment, result)
    return Window(
        moment.title,
        moment.is_good,
        moment.seed,
        moment.event,
        tuple(step for step in replay.recorded if first <= step.step < end),
        result.n_steps,
        result.episode_return,
        result.detail if moment.kind == "failure" else "",
        is_ending=moment.kind == "end" and result.outcome is Outcome.GAME_OVER,
    )


@dataclass(frozen=True, slots=True)
class Moment:
    """An event of an episode.

    Attributes:
        is_good: Whether it is to be repeated; None if it is neither good nor bad.
        size: Points, lives, or steps of a stall.
        kind: "failure", "end", "life", "loss", "gain", "stall" or "segment".
    """

    seed: int
    event: int
    title: str
    is_good: bool | None
    size: float = 1.0
    kind: str = "end"


def choose_moments(trajectories: Sequence[Trajectory]) -> tuple[Moment, ...]:
    """Return the moments to show, the most telling first; at least one if anything was played.

    Failures of the policy come first, then the end of the worst episode that was over; then the
    first loss of the worst episode, one from the middle of the median episode, the largest gain of
    the best, the longest stall, and the last loss of the best. Where rewards are dense, the
    segments that brought least and most and unusual rewards of the worst and the best instead.
    At most two are of one kind, and none shows what an earlier one does.
    """
    ranked = sorted(trajectories, key=lambda c: c.result.episode_return)
    chosen: list[Moment] = _failures(ranked)[:_MOST_FAILURES]
    chosen += _worst_end(ranked)
    chosen += _compared(ranked) if any(map(_is_dense, trajectories)) else _sparse(ranked)
    chosen += [_end(c) for c in ranked[:1] if not chosen]
    return tuple(_distinct(chosen))[:_MOST_WINDOWS]


def _sparse(ranked: Sequence[Trajectory]) -> Iterator[Moment]:
    losses = [lost for c in ranked if (lost := list(_losses(c)))]
    gains = [moment for c in reversed(ranked) if (moment := _largest_gain(c)) is not None]
    yield from (lost[0] for lost in losses[:1])
    if len(losses) > 2:  # noqa: PLR2004
        middle = losses[len(losses) // 2]
        moment = middle[len(middle) // 2]
        yield replace(moment, title=f"the median episode: {moment.title}")
    yield from gains[:1]
    for stall in _longest(ranked)[:1]:
        length, event = stall.end - stall.first, (stall.first + stall.end) // 2
        title = f"nothing is gained or lost for {length:,} steps ({stall.first} to {stall.end})"
        yield Moment(stall.seed, event, title, None, length, "stall")
    yield from (lost[-1] for lost in losses[-1:])


def _distinct(moments: Sequence[Moment]) -> Iterator[Moment]:
    """Drop what an earlier window shows, and the third of a kind."""
    kept: list[Moment] = []
    for moment in moments:
        is_near = any(
            moment.seed == other.seed and abs(moment.event - other.event) < BEFORE // 2
            for other in kept
        )
        if not is_near and [m.kind for m in kept].count(moment.kind) < _MOST_OF_A_KIND:
            kept.append(moment)
            yield moment


def span_of(moment: Moment, result: EpisodeResult) -> tuple[int, int]:
    """Return the first step of the window, and the step after its last.

    Where the policy failed, the step in which it did belongs to the window.
    """
    end = min(moment.event + 1 + AFTER, result.n_steps + (not result.outcome.is_scored))
    return max(0, moment.event - BEFORE), end


def describe_all(trajectories: Sequence[Trajectory]) -> str:
    """Return how much happened in the episodes, shown or not, and what brought the points."""
    rewards = Counter(reward for trajectory in trajectories for _, reward in trajectory.rewards)
    counts = (
        (sum(n for reward, n in rewards.items() if reward > 0), "positive reward"),
        (sum(n for reward, n in rewards.items() if reward < 0), "negative reward"),
        (sum(int(moment.size) for c in trajectories for moment in _lost_lives(c)), "life lost"),
        (sum(not c.result.outcome.is_scored for c in trajectories), "failure of the policy"),
    )
    many = {"life lost": "lives lost", "failure of the policy": "failures of the policy"}
    parts = [f"{n:,} {what if n == 1 else many.get(what, what + 's')}" for n, what in counts if n]
    n = len(trajectories)
    told = f"In {n} episode{'s' if n != 1 else ''} there were "
    told += (", ".join(parts) if parts else "no rewards and no losses") + "."
    if 1 < len(rewards) <= _MOST_REWARDS:
        sizes = sorted(rewards.items(), key=lambda pair: -abs(pair[0] * pair[1]))
        told += " Rewards: " + ", ".join(f"{n:,} of {reward:+.4g}" for reward, n in sizes) + "."
    return told


def describe_stays(trajectories: Sequence[Trajectory]) -> Iterator[str]:
    """Yield which objects never move, and which stand still although others like them move."""
    moving = frozenset[str]().union(*(trajectory.moving for trajectory in trajectories))
    longest: dict[str, tuple[Stay, int]] = {}
    for trajectory in trajectories:
        for category, stay in trajectory.stays.items():
            longest[category] = max(
                longest.get(category, (stay, 0)), (stay, trajectory.result.seed)
            )
    if never := [category for category in longest if category not in moving]:
        yield f"Never seen to move: {', '.join(sorted(never))}."
    told = [
        f"{category} at {x},{y} for {n_steps:,} steps (seed {seed}, from step {first:,})"
        for category, ((n_steps, first, x, y), seed) in sorted(longest.items())
        if category in moving
    ]
    if told:
        yield (
            f"Stand at one place for long, though others of the category move: {'; '.join(told)}. "
            "These may be leftovers that are no longer in the game."
        )


def _is_dense(trajectory: Trajectory) -> bool:
    return len(trajectory.rewards) > _DENSE * max(1, trajectory.result.n_steps)


def _compared(ranked: Sequence[Trajectory]) -> Iterator[Moment]:
    """Yield what distinguishes the worst from the best of some episodes with dense rewards."""
    worst, best = ranked[0], ranked[-1]
    if worst.result.episode_return == best.result.episode_return:
        yield from (*_unusual(worst), _end(worst), *_segments(worst))
        return
    yield from [moment for moment in _unusual(worst) if moment.is_good is False][:1]
    yield _end(worst, "the worst episode", is_good=False)
    yield from [moment for moment in _unusual(best) if moment.is_good][:1]
    yield _end(best, "the best episode", is_good=True)
    yield from [moment for moment in _segments(worst) if moment.is_good is False]
    yield from [moment for moment in _segments(best) if moment.is_good]


def _unusual(trajectory: Trajectory) -> Iterator[Moment]:
    """Yield the rewards that stand out from those of all other steps, the largest first."""
    usual = _usual(trajectory)
    for step, reward in sorted(trajectory.rewards, key=lambda pair: -abs(pair[1])):
        if abs(reward) > _UNUSUAL * usual:
            yield _reward(trajectory, step, reward)


def _usual(trajectory: Trajectory) -> float:
    return (
        statistics.median(abs(reward) for _, reward in trajectory.rewards)
        if trajectory.rewards
        else 0.0
    )


def _reward(trajectory: Trajectory, step: int, reward: float) -> Moment:
    kind = "gain" if reward > 0 else "loss"
    title = f"a reward of {reward:+.4g}"
    return Moment(trajectory.result.seed, step, title, reward > 0, abs(reward), kind)


def _segments(trajectory: Trajectory) -> Iterator[Moment]:
    """Yield the segments of a window's length that brought least and most, if they differ."""
    result, rewards = trajectory.result, dict(trajectory.rewards)
    each = (rewards.get(step, 0.0) for step in range(result.n_steps))
    totals = list(itertools.accumulate(each, initial=0.0))
    ends = range(min(BEFORE, result.n_steps), result.n_steps + 1)
    sums = {end: totals[end] - totals[max(0, end - BEFORE)] for end in ends}
    least, most = min(sums, key=lambda end: sums[end]), max(sums, key=lambda end: sums[end])
    if sums[most] - sums[least] <= 1e-6 * max(1.0, abs(sums[most])):
        return
    for end, word, is_good in ((least, "least", False), (most, "most", True)):
        title = f"the {BEFORE} steps that brought {word}, {sums[end]:+.4g} together"
        yield Moment(result.seed, end - 1, title, is_good, kind="segment")


def _failures(trajectories: Sequence[Trajectory]) -> list[Moment]:
    """Return one moment for each kind of failure."""
    found: dict[str, Moment] = {}
    for result in (trajectory.result for trajectory in trajectories):
        if not result.outcome.is_scored:
            what = result.detail.rpartition("\n")[2] or result.outcome.value
            title = f"the policy failed: {what}"
            moment = Moment(result.seed, result.n_steps, title, is_good=False, kind="failure")
            found.setdefault(what, moment)
    return list(found.values())


def _losses(trajectory: Trajectory) -> Iterator[Moment]:
    """Yield negative rewards and lives lost, in the order of time."""
    punished = [
        _reward(trajectory, step, reward) for step, reward in trajectory.rewards if reward < 0
    ]
    yield from sorted((*punished, *_lost_lives(trajectory)), key=lambda moment: moment.event)


def _lost_lives(trajectory: Trajectory) -> Iterator[Moment]:
    for (_, before, _), (step, after, in_play) in itertools.pairwise(trajectory.lives):
        if after < before:
            title = f"a life is lost ({before} before, {after} after; counted in step {step})"
            size = before - after
            yield Moment(
                trajectory.result.seed, in_play, title, is_good=False, size=size, kind="life"
            )


def _largest_gain(trajectory: Trajectory) -> Moment | None:
    gains = [(step, reward) for step, reward in trajectory.rewards if reward > 0]
    return _reward(trajectory, *max(gains, key=lambda gain: gain[1])) if gains else None


def _longest(trajectories: Sequence[Trajectory]) -> tuple[Stall, ...]:
    """Return the stalls of some episodes, the longest first."""
    stalls = [stall for trajectory in trajectories if (stall := trajectory.stall) is not None]
    return tuple(sorted(stalls, key=lambda stall: stall.first - stall.end))


def _end(trajectory: Trajectory, whose: str = "", *, is_good: bool | None = None) -> Moment:
    result, lives = trajectory.result, trajectory.lives_left
    is_over = result.outcome is Outcome.GAME_OVER
    title = "the game is over" if is_over else "the episode is truncated at its step limit"
    if is_over and lives:
        title += f" with {lives} {'life' if lives == 1 else 'lives'} left"
    last = dict(trajectory.rewards).get(result.n_steps - 1)
    if last and (not _is_dense(trajectory) or abs(last) > _UNUSUAL * _usual(trajectory)):
        title += f", and the last step brings {last:+.4g}"
    event = trajectory.last_step if is_over else max(0, result.n_steps - 1)
    return Moment(result.seed, event, f"the end of {whose}: {title}" if whose else title, is_good)


def _worst_end(ranked: Sequence[Trajectory]) -> list[Moment]:
    """Return the end of the worst episode that was over, if one was."""
    over = [trajectory for trajectory in ranked if trajectory.result.outcome is Outcome.GAME_OVER]
    if not over:
        return []
    worst = "the worst episode" if over[0] is ranked[0] else "the worst episode that was over"
    is_worse = over[0].result.episode_return < ranked[-1].result.episode_return
    has_cost = dict(over[0].rewards).get(over[0].result.n_steps - 1, 0.0) < 0
    is_good = False if is_worse or has_cost else None
    return [_end(over[0], worst if len(ranked) > 1 else "", is_good=is_good)]


Extent = tuple[float, float]
"""Least and largest value."""
Stay = tuple[int, int, int, int]
"""Steps that an object stood at one place, the first of them, and the place."""


@dataclass(frozen=True, slots=True)
class Trajectory:
    """How one episode went.

    Attributes:
        rewards: Step and reward, where it is not 0.
        lives: Step, lives left, and the last step before it in which there was play; at the start
            and at each change. Games count a lost life up to thirty steps late: until then what
            was hit is gone, or everything stands still.
        extents: Least and largest positions of objects ("Ball x"), or numbers of an observation.
        with_nan: Parts of the observation that were NaN in some step.
        lives_left: Lives at the end; 0 where the game has none.
        values: What a probe returned for each observation.
        losses: What was lost, with what was near the player.
        contacts: How often things touched the player.
        action_names: Names of the actions.
        view: As of `Stall`, in the longest stretch without a reward or a life lost.
        stays: Category to the longest stay of an object of it at one place, where that is long.
        moving: Categories of which an object was seen to move.
    """

    result: EpisodeResult
    rewards: tuple[tuple[int, float], ...]
    lives: tuple[tuple[int, int, int], ...]
    extents: Mapping[str, Extent]
    actions: bytes = b""
    recorded: tuple[TracedStep, ...] = ()
    n_left_out: int = 0
    with_nan: frozenset[str] = frozenset()
    lives_left: int = 0
    in_play: int | None = None
    values: tuple[float, ...] = ()
    losses: tuple[Loss, ...] = ()
    contacts: Contacts = field(default_factory=Contacts)
    action_names: tuple[str, ...] = ()
    view: Mapping[str, int] = field(default_factory=dict)
    stays: Mapping[str, Stay] = field(default_factory=dict)
    moving: frozenset[str] = frozenset()

    @property
    def stall(self) -> Stall | None:
        """The longest stretch in which nothing was gained or lost, if it is long."""
        n_steps = self.result.n_steps
        changes = {step for step, _ in self.rewards} | {step for step, _, _ in self.lives[1:]}
        gaps = list(itertools.pairwise(sorted({0, n_steps, *changes})))
        if not gaps:
            return None
        first, end = max(gaps, key=lambda gap: gap[1] - gap[0])
        usual = statistics.median(end - first for first, end in gaps)
        if end - first < max(STALL_STEPS, min(n_steps // _STALL_SHARE, _DROUGHT * usual)):
            return None
        has_names = bool(self.action_names) and len(self.actions) == n_steps
        played = Counter(self.action_names[n] for n in self.actions[first:end] if has_names)
        return Stall(
            self.result.seed, first, end, n_steps, dict(played.most_common(_MOST_OFTEN)), self.view
        )

    def actions_before(self, end: int) -> tuple[str, ...]:
        """Return the names of the last actions before the step ``end``."""
        if not self.action_names or len(self.actions) != self.result.n_steps:
            return ()
        return tuple(self.action_names[n] for n in self.actions[max(0, end - _ACTIONS) : end])

    @property
    def deaths(self) -> tuple[int, ...]:
        """Steps in which a life was lost, the last one included where it ended the game."""
        lost = [b[2] for a, b in itertools.pairwise(self.lives) if b[1] < a[1]]
        if self.lives and self.lives_left < self.lives[-1][1]:
            lost.append(self.last_step)
        return tuple(lost)

    @property
    def last_step(self) -> int:
        """The last step in which there was play, if that was shortly before the end."""
        last = max(0, self.result.n_steps - 1)
        if self.in_play is not None and last - self.in_play <= _PAUSED_AT_MOST:
            return self.in_play
        return last

    @property
    def ending(self) -> Ending:
        """How the episode ended."""
        has_lives = any(lives for _, lives, _ in self.lives)
        result, last = self.result, self.rewards[-1][0] if self.rewards else 0
        least = max(STALL_STEPS, result.n_steps // _STALL_SHARE)
        is_cut = result.outcome is Outcome.TRUNCATED
        points = [0.0] * -(-result.n_steps // POINTS_STEPS)
        for step, reward in self.rewards:
            points[step // POINTS_STEPS] += reward
        return Ending(
            self.result.seed,
            self.result.episode_return,
            self.result.n_steps,
            self.result.outcome,
            self.lives_left if has_lives else None,
            tuple(points),
            last if is_cut and result.n_steps - last >= least else None,
        )


@dataclass(frozen=True, slots=True)
class Replay:
    """A request to play an episode, recorded in some of its steps.

    Attributes:
        task: The policy, one seed and the rules.
        to_the_end: Play the rest of the episode after the last of them, too.
        actions: Play these again, as `Trajectory.actions` has them, whatever the policy returns: it
            is a probe, whose ``act`` returns a number about the observation.
    """

    task: Rollout
    spans: tuple[tuple[int, int], ...] = ()
    to_the_end: bool = True
    actions: bytes | None = None

    @property
    def n_steps(self) -> int:
        """Steps to play at most."""
        longest = self.task.protocol.max_steps
        return longest if self.to_the_end else min(longest, max(end for _, end in self.spans))


def follow(replay: Replay) -> Trajectory:
    """Play the episode; the same request gives the same trajectory, recorded or not.

    What a policy does wrong is the outcome, never an exception.

    Raises:
        JailError: The jail cannot be built, or not as good as required.
    """
    task = replay.task
    [seed] = task.seeds
    episode = begin_episode(task.protocol, seed)
    notes = _Notes(spec_of(task.protocol).words_for(episode.env.action_names))
    jail, level = None, ""
    values: list[float] = []
    try:
        with open_jail(task, [episode], n_floats=None if replay.actions is None else 1) as jail:
            level = jail.level.word
            start_policy(jail, [episode])
            if replay.actions is None:
                player = _SpanPlayer(jail, replay.spans)
            else:
                player = _ProbePlayer(
                    jail, actions_of(replay.actions, episode.env.n_floats), values
                )
            notes.play(episode, player, replay.n_steps)
    except PolicyFailure as failure:
        episode.end(failure.outcome, failure.detail)
    result = episode.result
    assert result is not None
    view = max(notes.views.values(), key=lambda view: view[_STEPS], default=Counter())
    return Trajectory(
        with_jail(result, jail, episode.lane, level) if jail is not None else result,
        tuple(notes.rewards),
        tuple(notes.lives),
        notes.extents,
        bytes(episode.actions),
        tuple(notes.recorded),
        notes.n_left_out,
        frozenset(notes.with_nan),
        episode.lives,
        None if episode.objects is None else notes.in_play,
        tuple(values),
        tuple(notes.finder.losses),
        notes.finder.contacts,
        notes.names,
        {what: n for what, n in view.most_common(2 * _MOST_OFTEN) if what != _STEPS},
        notes.stays,
        frozenset(notes.finder.moving),
    )


class _SpanPlayer(RecordedPlayer):
    """Records the steps of some spans."""

    def __init__(self, jail: Jail, spans: Sequence[tuple[int, int]]) -> None:
        super().__init__(jail)
        self._wanted = frozenset(step for first, end in spans for step in range(first, end))

    def is_wanted(self, step: int) -> bool:
        """Return whether the step is in one of the spans."""
        return step in self._wanted


class _ProbePlayer(_SpanPlayer):
    """Plays given actions, and asks the policy in the jail for a number about each observation."""

    def __init__(self, jail: Jail, actions: Sequence[Action], values: list[float]) -> None:
        super().__init__(jail, ())
        self._actions, self._values = actions, values

    def act(self, episodes: Sequence[Episode]) -> Sequence[Any]:
        """Return the action of the step, or how the probe failed."""
        [answer] = super().act(episodes)
        if isinstance(answer, PolicyFailure):
            return [answer]
        self._values.append(float(answer[0]))
        return [self._actions[episodes[0].n_steps]]


@dataclass(slots=True)
class _Notes:
    """What is known of an episode under way."""

    names: tuple[str, ...]
    rewards: list[tuple[int, float]] = field(default_factory=list)
    lives: list[tuple[int, int, int]] = field(default_factory=list)
    extents: dict[str, Extent] = field(default_factory=dict)
    with_nan: set[str] = field(default_factory=set)
    alone: Counter[str] = field(default_factory=Counter)
    first_seen: dict[str, int] = field(default_factory=dict)
    n_quiet: int = 0
    n_lively: int = _RESUMED
    in_play: int = 0
    recorded: list[TracedStep] = field(default_factory=list)
    n_left_out: int = 0
    finder: LossFinder = field(default_factory=LossFinder)
    views: dict[int, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    standing: dict[tuple[str, int, int], int] = field(default_factory=dict)
    stays: dict[str, Stay] = field(default_factory=dict)

    def play(self, episode: Episode, player: _SpanPlayer, max_steps: int) -> None:
        """Play the episode, unless its start failed, and note what happens."""
        if episode.result is not None:
            return
        step, before = 0, self._see(episode, player)
        for _ in play_steps(player, [episode], max_steps):
            if player.recording is not None and before is not None:
                self._keep(before, player.recording, episode)
            if isinstance(episode.answer, PolicyFailure):
                return
            if episode.reward:
                self.rewards.append((step, episode.reward))
            if episode.objects is not None:
                self._note_loss(step, episode)
            if episode.result is None:
                step, before = episode.n_steps, self._see(episode, player)

    def _note_loss(self, step: int, episode: Episode) -> None:
        """Note whether something was lost in the step."""
        has_lives = any(lives for _, lives, _ in self.lives)
        is_over = episode.result is not None and episode.result.outcome is Outcome.GAME_OVER
        in_play = self.in_play if step - self.in_play <= _PAUSED_AT_MOST else step
        lives = episode.lives if has_lives else None
        if has_lives and episode.lives < self.lives[-1][1]:
            what = "life"
        elif not has_lives and episode.reward < 0:
            what, in_play = f"{episode.reward:+.4g}", step
        elif is_over and (episode.lives or not has_lives) and episode.reward <= 0:
            what = "game over"
        else:
            return
        n_lost = self.lives[-1][1] - episode.lives if what == "life" else 1
        loss = Loss(episode.seed, what, episode.n_steps, lives, episode.total, n_lost)
        self.finder.lose(loss, in_play)

    def _see(self, episode: Episode, player: _SpanPlayer) -> TracedStep | None:
        """Note what the policy sees; return the step to come, without calls, if it is wanted."""
        step, lives = episode.n_steps, episode.lives
        if not self.lives or self.lives[-1][1] != lives:
            self.lives.append((step, lives, self.in_play))
        objects: dict[str, tuple[ObjectBox, ...]] = {}
        values: dict[str, Plain] = {}
        if (rows := episode.objects) is not None:
            self._see_objects(step, rows)
            if player.is_wanted(step):
                built = build_observation(rows, lives)
                objects = {name: tuple(boxes) for name, boxes in built.items()}
        else:
            values = values_of(episode.seen)
            self._see_values(values)
        if not player.is_wanted(step):
            return None
        return TracedStep(step, objects, lives, (), None, "", 0.0, values)

    def _see_values(self, values: Mapping[str, Plain]) -> None:
        for name, value in values.items():
            numbers = value if isinstance(value, tuple) else (value,)
            if any(isinstance(number, float) and math.isnan(number) for number in numbers):
                self.with_nan.add(name)
            elif isinstance(value, int | float):
                _widen(self.extents, name, (value,))

    def _see_objects(self, step: int, rows: Mapping[str, Sequence[Row]]) -> None:
        is_moving = False
        self.finder.see(step, rows)
        view = self.views[len(self.rewards) + len(self.lives)]
        view.update([_STEPS, *(category for category, members in rows.items() if members)])
        if players := rows.get(PLAYER):
            view["{} at {},{}".format(PLAYER, *players[0])] += 1
        for category, members in rows.items():
            if members and (len(members) <= _FEW or step % _SELDOM == 0):
                _widen(self.extents, f"{category} x", [row[0] for row in members])
                _widen(self.extents, f"{category} y", [row[1] for row in members])
            if len(members) == 1:
                self.alone[category] += 1
                self.first_seen.setdefault(category, step)
            is_moving = is_moving or any(row[4] or row[5] for row in members)
        self._note_play(step, rows, is_lively=is_moving)
        self._note_stays(step, rows)

    def _note_stays(self, step: int, rows: Mapping[str, Sequence[Row]]) -> None:
        """Keep the longest stay of an object at one place, of each category with few objects."""
        standing = {}
        for category, members in rows.items():
            for row in members if category != PLAYER and len(members) <= _FEW else ():
                place = (category, row[0], row[1])
                first = standing[place] = self.standing.get(place, step)
                n_steps = step + 1 - first
                if n_steps >= max(STALL_STEPS, self.stays.get(category, (0,))[0]):
                    self.stays[category] = (n_steps, first, row[0], row[1])
        self.standing = standing

    def _note_play(self, step: int, rows: Mapping[str, Sequence[Row]], *, is_lively: bool) -> None:
        """Keep `in_play` at the last step before a pause until play has been resumed."""
        for category, n in self.alone.items():
            since = step + 1 - self.first_seen[category]
            if n >= _STEADY * max(since, step / 2) and not rows.get(category):
                is_lively = False
        self.n_quiet = 0 if is_lively else self.n_quiet + 1
        self.n_lively = self.n_lively + 1 if self.n_quiet < _PAUSE else 0
        if is_lively and self.n_lively > _RESUMED:
            self.in_play = step

    def _keep(self, before: TracedStep, recording: Recording, episode: Episode) -> None:
        """Keep a recorded step; without an action the policy failed in it."""
        self.n_left_out += recording.n_left_out
        step, answer = replace(before, calls=recording.calls), episode.answer
        if isinstance(answer, int):
            step = replace(step, action=answer, action_name=self.names[answer])
        elif not isinstance(answer, PolicyFailure):
            name = " ".join(f"{number:.3g}" for number in answer)
            step = replace(step, action=answer, action_name=name)
        self.recorded.append(replace(step, reward=episode.reward if step.action_name else 0.0))


def merge_extents(trajectories: Sequence[Trajectory]) -> dict[str, Extent]:
    """Merge the extents of several episodes."""
    merged: dict[str, Extent] = {}
    for trajectory in trajectories:
        for name, extent in trajectory.extents.items():
            _widen(merged, name, extent)
    return merged


def _widen(extents: dict[str, Extent], name: str, seen: Sequence[float]) -> None:
    low, high = extents.get(name, (seen[0], seen[0]))
    extents[name] = (min(low, *seen), max(high, *seen))


def field_names(protocol: PlayProtocol) -> dict[str, str]:
    """Return the names of an observation's numbers, by the keys of `values_of`."""
    named = {f"obs[{n}]": part.name for n, part in enumerate(spec_of(protocol).fields)}
    return {words: name for words, name in named.items() if name != words}


def values_of(obs: object, path: str = "obs") -> dict[str, Plain]:
    """Return the values of an observation without objects by expression, "obs[2]"; cut short."""
    if isinstance(obs, np.ndarray):
        if obs.ndim != 1 or obs.size > _MOST_NUMBERS:
            return {path: Shown(f"<array {' x '.join(map(str, obs.shape))}>")}
        obs = obs.tolist()
    if isinstance(obs, tuple | list):
        shown = enumerate(itertools.islice(obs, _MOST_NUMBERS))
        return {f"{path}[{number}]": _short(part) for number, part in shown}
    if isinstance(obs, dict):
        return dict(itertools.islice(_parts(obs, path), _MOST_NUMBERS))
    return {path: _short(obs)}


def _parts(obs: Mapping[Any, Any], path: str) -> Iterator[tuple[str, Plain]]:
    for key, part in obs.items():
        name = f"{path}[{key!r}]"
        if isinstance(part, dict):
            yield from _parts(part, name)
        else:
            yield name[:_MOST_TEXT], _short(part)


def _short(value: Any) -> Plain:  # noqa: ANN401 - whatever an environment gives
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return value[:_MOST_TEXT]
    if isinstance(value, tuple | list):
        is_flat = all(isinstance(part, bool | int | float) for part in value)
        if is_flat and len(value) <= _MOST_PARTS:
            return tuple(value)
        return Shown(f"<{len(value)} parts>")
    return Shown(f"<{type(value).__name__}>")
