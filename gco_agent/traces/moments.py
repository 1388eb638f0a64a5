"""Which moments decided some episodes: in any game, from rewards, lives and ends alone. Pure.

Where nearly every step brings a reward, a single one decides nothing: then episodes are compared by
how they end, and by the stretches that brought least and most.
"""

from __future__ import annotations

import itertools
import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gco_agent.core.events import Playing, Progress, silent
from gco_agent.core.records import Evaluation, Outcome, PlayProtocol
from gco_agent.evaluation.episode import Rollout
from gco_agent.evaluation.workers import WorkerPool
from gco_agent.jail.limits import JailLevel
from gco_agent.traces.playing import (
    Replay,
    Trajectory,
    field_names,
    follow,
    merge_extents,
    merge_ranges,
)
from gco_agent.traces.records import ExecutionTrace, Window

BEFORE, AFTER = 40, 1
"""Steps of a window before and after what it is about."""
STALL_STEPS = 300
"""Steps in a row without a reward or a life lost that are looked at, where they are also at least a
quarter of the episode."""
_STALL_SHARE = 4
_DENSE = 0.5
"""Rewards are dense if more than this share of the steps brings one;"""
_UNUSUAL = 10.0
"""one among them is told if it is so many times as large as most."""
_MOST_FAILURES = 2
_MOST_WINDOWS = 5


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened in an episode.

    Attributes:
        seed: Of the episode.
        event: The step in which it happened.
        title: What.
        is_good: Whether it is to be repeated; None if it is neither good nor bad.
        size: How much: points, lives, or steps of a stall.
    """

    seed: int
    event: int
    title: str
    is_good: bool | None
    size: float = 1.0


def choose_moments(courses: Sequence[Trajectory]) -> tuple[Moment, ...]:
    """The moments to show, the most telling first; at least one if anything was played.

    Failures of the policy come first; then the first loss of the worst episode and the largest
    gain of the best, side by side; then the longest stall, the last loss of the best episode, and
    from the middle of the middle one another loss; and where there is little of that, the end of
    an episode. Where rewards are dense: the end, the stretch that brought least and the largest
    single loss of the worst, beside the end, the best stretch and the largest gain of the best.
    """
    ranked = sorted(courses, key=lambda c: c.result.episode_return)
    chosen: list[Moment] = _failures(ranked)[:_MOST_FAILURES]
    if any(map(_is_dense, courses)):
        return _apart([*chosen, *_compared(ranked)])[:_MOST_WINDOWS]
    losses = [list(_losses(course)) for course in ranked]
    gains = [moment for c in reversed(ranked) if (moment := _largest_gain(c)) is not None]
    stalls = sorted(
        (moment for c in ranked for moment in _stalls(c)), key=lambda m: m.size, reverse=True
    )
    chosen += next((lost[:1] for lost in losses if lost), [])
    chosen += gains[:1] + stalls[:1]
    if losses:
        middle = losses[len(losses) // 2]
        chosen += losses[-1][-1:] + middle[len(middle) // 2 :][:1]
    if len(set(chosen)) <= 1:
        chosen += [_end(c) for c in ranked[:1]]
    return tuple(dict.fromkeys(chosen))[:_MOST_WINDOWS]


def span_of(moment: Moment, n_steps: int, *, is_failure: bool = False) -> tuple[int, int]:
    """First step of the window, and the step after its last.

    Args:
        moment: What it is about.
        n_steps: Steps played in the episode.
        is_failure: The policy failed in the step after these, which belongs to the window.
    """
    end = min(moment.event + 1 + AFTER, n_steps + is_failure)
    return max(0, moment.event - BEFORE), end


def describe_all(courses: Sequence[Trajectory]) -> str:
    """How much happened in the episodes, so that a reader knows what is not shown."""
    n_gains = sum(reward > 0 for c in courses for _, reward in c.rewards)
    n_losses = sum(reward < 0 for c in courses for _, reward in c.rewards)
    n_lives = sum(int(moment.size) for c in courses for moment in _lost_lives(c))
    n_failures = sum(not c.result.outcome.is_scored for c in courses)
    counts = (
        (n_gains, "positive reward", "positive rewards"),
        (n_losses, "negative reward", "negative rewards"),
        (n_lives, "life lost", "lives lost"),
        (n_failures, "failure of the policy", "failures of the policy"),
    )
    parts = [f"{n:,} {one if n == 1 else many}" for n, one, many in counts if n]
    n = len(courses)
    episodes = f"In {n} episode{'s' if n != 1 else ''} there were "
    return episodes + (", ".join(parts) if parts else "no rewards and no losses") + "."


def _is_dense(course: Trajectory) -> bool:
    return len(course.rewards) > _DENSE * max(1, course.result.n_steps)


def _compared(ranked: Sequence[Trajectory]) -> Iterator[Moment]:
    """What tells the worst of some episodes with dense rewards from the best."""
    worst, best = ranked[0], ranked[-1]
    if worst.result.episode_return == best.result.episode_return:
        yield from (*_unusual(worst), _end(worst), *_stretches(worst))
        return
    lost, won = list(_unusual(worst)), list(_unusual(best))
    yield from [moment for moment in lost if moment.is_good is False][:1]
    yield _end(worst, "the worst episode", is_good=False)
    yield from [moment for moment in won if moment.is_good][:1]
    yield _end(best, "the best episode", is_good=True)
    yield from [moment for moment in _stretches(worst) if moment.is_good is False]
    yield from [moment for moment in _stretches(best) if moment.is_good]
    yield _end(ranked[len(ranked) // 2], "the middle episode")


def _unusual(course: Trajectory) -> Iterator[Moment]:
    """The rewards that stand out from those of all other steps, the largest first."""
    if not course.rewards:
        return
    usual = statistics.median(abs(reward) for _, reward in course.rewards)
    for step, reward in sorted(course.rewards, key=lambda pair: -abs(pair[1])):
        if abs(reward) > _UNUSUAL * usual:
            title = f"a reward of {reward:+.3g}"
            yield Moment(course.result.seed, step, title, is_good=reward > 0, size=abs(reward))


def _stretches(course: Trajectory) -> Iterator[Moment]:
    """The stretches of the length of a window that brought least and most, if they differ."""
    result = course.result
    rewards = dict(course.rewards)
    total = sum(rewards.get(step, 0.0) for step in range(min(BEFORE, result.n_steps)))
    sums = {BEFORE: total}
    for end in range(BEFORE + 1, result.n_steps + 1):
        total += rewards.get(end - 1, 0.0) - rewards.get(end - 1 - BEFORE, 0.0)
        sums[end] = total
    least, most = min(sums, key=lambda end: sums[end]), max(sums, key=lambda end: sums[end])
    if sums[most] - sums[least] <= 1e-6 * max(1.0, abs(sums[most])):
        return
    for end, word, is_good in ((least, "least", False), (most, "most", True)):
        title = f"the {BEFORE} steps that brought {word}, {sums[end]:+.4g} together"
        yield Moment(result.seed, end - 1, title, is_good=is_good)


def _apart(moments: Sequence[Moment]) -> tuple[Moment, ...]:
    """The moments without those whose window shows what an earlier one's does."""
    kept: list[Moment] = []
    for moment in moments:
        if not any(
            moment.seed == other.seed and abs(moment.event - other.event) < BEFORE // 2
            for other in kept
        ):
            kept.append(moment)
    return tuple(kept)


def _failures(courses: Sequence[Trajectory]) -> list[Moment]:
    """One for each kind of failure."""
    found: dict[str, Moment] = {}
    for course in courses:
        result = course.result
        if not result.outcome.is_scored:
            what = result.detail.rpartition("\n")[2] or result.outcome.value
            moment = Moment(
                result.seed, result.n_steps, f"the policy failed: {what}", is_good=False
            )
            found.setdefault(what, moment)
    return list(found.values())


def _losses(course: Trajectory) -> Iterator[Moment]:
    """Negative rewards and lives lost, in the order of time."""
    seed = course.result.seed
    punished = [
        Moment(seed, step, f"a reward of {reward:g}", is_good=False, size=-reward)
        for step, reward in course.rewards
        if reward < 0
    ]
    yield from sorted((*punished, *_lost_lives(course)), key=lambda moment: moment.event)


def _lost_lives(course: Trajectory) -> Iterator[Moment]:
    for (_, before, _), (step, after, in_play) in itertools.pairwise(course.lives):
        if after < before:
            title = f"a life is lost ({before} before, {after} after; counted in step {step})"
            yield Moment(course.result.seed, in_play, title, is_good=False, size=before - after)


def _largest_gain(course: Trajectory) -> Moment | None:
    gains = [(step, reward) for step, reward in course.rewards if reward > 0]
    if not gains:
        return None
    step, reward = max(gains, key=lambda gain: gain[1])
    return Moment(course.result.seed, step, f"a reward of {reward:+g}", is_good=True, size=reward)


def _stalls(course: Trajectory) -> Iterator[Moment]:
    """The longest stretch in which nothing was gained or lost, if it is long."""
    result = course.result
    changes = {step for step, _ in course.rewards} | {step for step, _, _ in course.lives[1:]}
    marks = sorted({0, result.n_steps, *changes})
    first, end = max(itertools.pairwise(marks), key=_length, default=(0, 0))
    length = end - first
    if length >= max(STALL_STEPS, result.n_steps // _STALL_SHARE):
        title = f"nothing is gained or lost for {length:,} steps ({first} to {end})"
        yield Moment(result.seed, (first + end) // 2, title, is_good=None, size=length)


def _length(stretch: tuple[int, int]) -> int:
    return stretch[1] - stretch[0]


def _end(course: Trajectory, whose: str = "", *, is_good: bool | None = None) -> Moment:
    result = course.result
    is_over = result.outcome is Outcome.GAME_OVER
    title = "the game is over" if is_over else "the episode is cut at its step limit"
    if whose:
        title = f"the end of {whose}: {title}"
    return Moment(result.seed, max(0, result.n_steps - 1), title, is_good=is_good)


_UNSTEADY = (
    "The policy did not repeat its own actions in the replay of seed {seed}, so that window may "
    "show what did not happen in the episode that was scored."
)

_FIRST, _AGAIN = "playing feedback", "recording moments"


@dataclass(frozen=True, slots=True)
class Captured:
    """A trace and the episodes that it is of.

    Attributes:
        trace: Their decisive moments.
        evaluation: What they scored.
        n_steps: Steps played, replays included.
    """

    trace: ExecutionTrace
    evaluation: Evaluation
    n_steps: int


def capture(
    pool: WorkerPool,
    text: str,
    seeds: Sequence[int],
    protocol: PlayProtocol,
    require: JailLevel = JailLevel.NONE,
    progress: Progress = silent,
) -> Captured:
    """Play ``text`` on ``seeds``, replay what decided these episodes, and tell ``progress``.

    The result depends on the arguments alone, and not on the workers.

    Raises:
        JailError: The jail cannot be built, or not as good as required.
    """
    tasks = {seed: Rollout(text, (seed,), protocol, require) for seed in dict.fromkeys(seeds)}
    played_once = _follow_all(pool, [Replay(t) for t in tasks.values()], _FIRST, progress)
    courses = dict(zip(tasks, played_once, strict=True))
    moments = choose_moments(list(courses.values()))
    spans: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for moment in moments:
        spans[moment.seed].append(_span(moment, courses[moment.seed]))
    wanted = [Replay(tasks[seed], tuple(parts), to_the_end=False) for seed, parts in spans.items()]
    replays = dict(zip(spans, _follow_all(pool, wanted, _AGAIN, progress), strict=True))
    notes = [describe_all(list(courses.values()))]
    notes += [
        _UNSTEADY.format(seed=seed)
        for seed, replay in replays.items()
        if not courses[seed].actions.startswith(replay.actions)
    ]
    if n_left_out := sum(replay.n_left_out for replay in replays.values()):
        notes.append(f"{n_left_out:,} calls in these steps were too many to be recorded.")
    played = (*courses.values(), *replays.values())
    return Captured(
        ExecutionTrace(
            tuple(_window(m, courses[m.seed], replays[m.seed]) for m in moments),
            tuple(notes),
            merge_ranges(list(courses.values())),
            merge_extents(list(courses.values())),
            field_names(protocol),
        ),
        Evaluation(tuple(courses[seed].result for seed in seeds), protocol.stamp),
        sum(course.result.n_steps for course in played),
    )


def _follow_all(
    pool: WorkerPool, wanted: Sequence[Replay], what: str, progress: Progress
) -> list[Trajectory]:
    followed: list[Trajectory] = []
    progress(Playing(what, 0, len(wanted)))
    for course in pool.imap(follow, wanted):
        followed.append(course)
        n_steps = sum(one.result.n_steps for one in followed)
        progress(Playing(what, len(followed), len(wanted), n_steps))
    return followed


def _span(moment: Moment, course: Trajectory) -> tuple[int, int]:
    result = course.result
    return span_of(moment, result.n_steps, is_failure=not result.outcome.is_scored)


def _window(moment: Moment, course: Trajectory, replay: Trajectory) -> Window:
    first, end = _span(moment, course)
    result = course.result
    return Window(
        moment.title,
        moment.is_good,
        moment.seed,
        moment.event,
        tuple(step for step in replay.recorded if first <= step.step < end),
        result.n_steps,
        result.episode_return,
        result.detail if moment.event >= result.n_steps else "",
    )
