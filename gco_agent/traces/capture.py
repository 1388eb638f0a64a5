"""From a policy and some seeds to its execution trace: play fast, choose, replay recorded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from gco_agent.jail.limits import JailLevel
from gco_agent.progress import Playing, Progress, silent
from gco_agent.records import Evaluation, PlayProtocol
from gco_agent.rollout import Rollout
from gco_agent.traces.course import Course, Replay, follow, merge_extents, merge_ranges
from gco_agent.traces.playing import field_names
from gco_agent.traces.records import ExecutionTrace, Window
from gco_agent.traces.windows import Moment, choose_moments, describe_all, span_of
from gco_agent.workers import WorkerPool

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
) -> list[Course]:
    followed: list[Course] = []
    progress(Playing(what, 0, len(wanted)))
    for course in pool.imap(follow, wanted):
        followed.append(course)
        n_steps = sum(one.result.n_steps for one in followed)
        progress(Playing(what, len(followed), len(wanted), n_steps))
    return followed


def _span(moment: Moment, course: Course) -> tuple[int, int]:
    result = course.result
    return span_of(moment, result.n_steps, is_failure=not result.outcome.is_scored)


def _window(moment: Moment, course: Course, replay: Course) -> Window:
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
