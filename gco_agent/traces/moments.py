"""The moments that decided some episodes: chosen from rewards, lives and ends, then recorded.

Where nearly every step brings a reward, a single one decides nothing: then episodes are compared by
how they end, and by the segments that brought least and most.
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
_MOST_OF_A_KIND = 2
_MOST_WINDOWS = 5


@dataclass(frozen=True, slots=True)
class Moment:
    """An event of an episode.

    Attributes:
        seed: Of the episode.
        event: The step in which it happened.
        title: What happened.
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


def choose_moments(courses: Sequence[Trajectory]) -> tuple[Moment, ...]:
    """Return the moments to show, the most telling first; at least one if anything was played.

    Failures of the policy come first, then the end of the worst episode that was over; then the
    first loss of the worst episode and the largest gain of the best, the longest stall, the last
    loss of the best episode and one from the middle of the middle one. Where rewards are dense, the
    segments that brought least and most and unusual rewards of the worst and the best instead.
    At most two are of one kind, and none shows what an earlier one does.
    """
    ranked = sorted(courses, key=lambda c: c.result.episode_return)
    chosen: list[Moment] = _failures(ranked)[:_MOST_FAILURES]
    chosen += _worst_end(ranked)
    chosen += _compared(ranked) if any(map(_is_dense, courses)) else _sparse(ranked)
    chosen += [_end(c) for c in ranked[:1] if not chosen]
    return tuple(_distinct(chosen))[:_MOST_WINDOWS]


def _sparse(ranked: Sequence[Trajectory]) -> Iterator[Moment]:
    losses = [lost for c in ranked if (lost := list(_losses(c)))]
    gains = [moment for c in reversed(ranked) if (moment := _largest_gain(c)) is not None]
    stalls = [moment for c in ranked for moment in _stalls(c)]
    yield from (lost[0] for lost in losses[:1])
    yield from gains[:1]
    yield from sorted(stalls, key=lambda moment: -moment.size)[:1]
    if losses:
        middle = losses[len(losses) // 2]
        yield from (losses[-1][-1], middle[len(middle) // 2])


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


def span_of(moment: Moment, n_steps: int, *, is_failure: bool = False) -> tuple[int, int]:
    """Return the first step of the window, and the step after its last.

    Args:
        moment: Its event.
        n_steps: Steps played in the episode.
        is_failure: The policy failed in the step after these, which belongs to the window.
    """
    end = min(moment.event + 1 + AFTER, n_steps + is_failure)
    return max(0, moment.event - BEFORE), end


def describe_all(courses: Sequence[Trajectory]) -> str:
    """Return how much happened in the episodes, shown or not."""
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


def _unusual(course: Trajectory) -> Iterator[Moment]:
    """Yield the rewards that stand out from those of all other steps, the largest first."""
    usual = _usual(course)
    for step, reward in sorted(course.rewards, key=lambda pair: -abs(pair[1])):
        if abs(reward) > _UNUSUAL * usual:
            yield _reward(course, step, reward)


def _usual(course: Trajectory) -> float:
    return statistics.median(abs(reward) for _, reward in course.rewards) if course.rewards else 0.0


def _reward(course: Trajectory, step: int, reward: float) -> Moment:
    kind = "gain" if reward > 0 else "loss"
    title = f"a reward of {reward:+.4g}"
    return Moment(course.result.seed, step, title, reward > 0, abs(reward), kind)


def _segments(course: Trajectory) -> Iterator[Moment]:
    """Yield the segments of a window's length that brought least and most, if they differ."""
    result, rewards = course.result, dict(course.rewards)
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
        yield Moment(result.seed, end - 1, title, is_good, kind="segment")


def _failures(courses: Sequence[Trajectory]) -> list[Moment]:
    """Return one moment for each kind of failure."""
    found: dict[str, Moment] = {}
    for result in (course.result for course in courses):
        if not result.outcome.is_scored:
            what = result.detail.rpartition("\n")[2] or result.outcome.value
            title = f"the policy failed: {what}"
            moment = Moment(result.seed, result.n_steps, title, is_good=False, kind="failure")
            found.setdefault(what, moment)
    return list(found.values())


def _losses(course: Trajectory) -> Iterator[Moment]:
    """Yield negative rewards and lives lost, in the order of time."""
    punished = [_reward(course, step, reward) for step, reward in course.rewards if reward < 0]
    yield from sorted((*punished, *_lost_lives(course)), key=lambda moment: moment.event)


def _lost_lives(course: Trajectory) -> Iterator[Moment]:
    for (_, before, _), (step, after, in_play) in itertools.pairwise(course.lives):
        if after < before:
            title = f"a life is lost ({before} before, {after} after; counted in step {step})"
            yield Moment(
                course.result.seed, in_play, title, is_good=False, size=before - after, kind="life"
            )


def _largest_gain(course: Trajectory) -> Moment | None:
    gains = [(step, reward) for step, reward in course.rewards if reward > 0]
    return _reward(course, *max(gains, key=lambda gain: gain[1])) if gains else None


def _stalls(course: Trajectory) -> Iterator[Moment]:
    """Yield the longest stretch in which nothing was gained or lost, if it is long."""
    result = course.result
    changes = {step for step, _ in course.rewards} | {step for step, _, _ in course.lives[1:]}
    marks = sorted({0, result.n_steps, *changes})
    first, end = max(itertools.pairwise(marks), key=lambda pair: pair[1] - pair[0], default=(0, 0))
    length = end - first
    if length >= max(STALL_STEPS, result.n_steps // _STALL_SHARE):
        title = f"nothing is gained or lost for {length:,} steps ({first} to {end})"
        yield Moment(result.seed, (first + end) // 2, title, None, length, "stall")


def _end(course: Trajectory, whose: str = "", *, is_good: bool | None = None) -> Moment:
    result, lives = course.result, course.lives_left
    is_over = result.outcome is Outcome.GAME_OVER
    title = "the game is over" if is_over else "the episode is truncated at its step limit"
    if is_over and lives:
        title += f" with {lives} {'life' if lives == 1 else 'lives'} left"
    last = dict(course.rewards).get(result.n_steps - 1)
    if last and (not _is_dense(course) or abs(last) > _UNUSUAL * _usual(course)):
        title += f", and the last step brings {last:+.4g}"
    event = course.last_step if is_over else max(0, result.n_steps - 1)
    return Moment(result.seed, event, f"the end of {whose}: {title}" if whose else title, is_good)


def _worst_end(ranked: Sequence[Trajectory]) -> list[Moment]:
    """Return the end of the worst episode that was over, if one was."""
    over = [course for course in ranked if course.result.outcome is Outcome.GAME_OVER]
    if not over:
        return []
    worst = "the worst episode" if over[0] is ranked[0] else "the worst episode that was over"
    is_worse = over[0].result.episode_return < ranked[-1].result.episode_return
    has_cost = dict(over[0].rewards).get(over[0].result.n_steps - 1, 0.0) < 0
    is_good = False if is_worse or has_cost else None
    return [_end(over[0], worst if len(ranked) > 1 else "", is_good=is_good)]


_UNSTEADY = (
    "The policy did not repeat its own actions in the replay of seed {seed}, so that window may "
    "show what did not happen in the episode that was scored."
)

_FIRST, _AGAIN = "playing feedback", "recording moments"


@dataclass(frozen=True, slots=True)
class Captured:
    """A trace and its episodes.

    Attributes:
        trace: Their decisive moments.
        evaluation: The episodes.
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
    """Play ``text`` on ``seeds`` and record the moments that decided these episodes.

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
            tuple(courses[seed].ending for seed in seeds),
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
        result.detail if moment.kind == "failure" else "",
        is_ending=moment.kind == "end" and result.outcome is Outcome.GAME_OVER,
    )
