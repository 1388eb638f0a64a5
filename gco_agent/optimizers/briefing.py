"""The results of a policy, played for an optimizer and composed as feedback.

The judge plays, counts the steps and keeps what it played: nothing is played twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gco_agent.core.errors import PolicyError
from gco_agent.core.events import Playing, Progress, silent
from gco_agent.core.records import Evaluation, PlayProtocol
from gco_agent.core.seeds import FEEDBACK_EPISODES, Stream, format_seeds
from gco_agent.envs.environment import spec_of
from gco_agent.evaluation.episode import Rollout
from gco_agent.evaluation.judge import Judge
from gco_agent.optimizers.base import PastIteration
from gco_agent.optimizers.feedback import Feedback, Results, compose_feedback
from gco_agent.policy import PolicySource
from gco_agent.store.config import RunConfig
from gco_agent.traces.moments import Captured, capture
from gco_agent.traces.playing import Replay, follow
from gco_agent.traces.records import ExecutionTrace, Window

_MOST_UNCUT = 2
"""Episodes cut by the race's step limit that are played to their end."""
_WHOLE = "playing whole games"


def brief(
    judge: Judge, parent: PolicySource, attempts: Sequence[PastIteration], config: RunConfig,
    progress: Progress = silent,
) -> Feedback:  # fmt: skip
    """Play ``parent`` on feedback seeds and compose what an optimizer is told of the results.

    The policy before it is played on the same seeds, and where the race's step limit cut episodes,
    the first of these are played to their end. The result does not depend on the workers.

    Raises:
        JailError: The jail cannot be built, or not as good as required.
    """
    seeds = Stream.FEEDBACK.seeds(0, FEEDBACK_EPISODES)
    results, trace = collect_results(judge, parent, attempts, config.protocol, seeds, progress)
    results = replace(results, hints=config.hints)
    feedback = compose_feedback(results, trace, config.trace_tokens)
    if config.horizon:
        return replace(feedback, trace=_first_steps(judge, parent, config.horizon))
    return feedback


def collect_results(
    judge: Judge,
    source: PolicySource,
    attempts: Sequence[PastIteration],
    rules: PlayProtocol,
    seeds: range,
    progress: Progress = silent,
) -> tuple[Results, ExecutionTrace]:
    """Play ``source`` and return what feedback on it is composed of; raises as `brief`.

    Args:
        judge: Plays by rules that may cut episodes earlier than ``rules``.
        source: The policy.
        attempts: What was tried before it, oldest first.
        rules: Those of whole episodes.
        seeds: What to play.
        progress: Called with events.
    """
    trace, evaluation = trace_policy(judge, source, seeds, progress)
    results = Results(
        spec_of(rules),
        source.text,
        evaluation,
        format_seeds(seeds),
        _evaluate_predecessor(judge, attempts, seeds),
        attempts,
        limit=judge.protocol.max_steps,
        longest=rules.max_steps,
    )
    return replace(results, uncut=_play_on(judge, source, results, rules, progress)), trace


def trace_policy(
    judge: Judge, source: PolicySource, seeds: Sequence[int], progress: Progress = silent
) -> tuple[ExecutionTrace, Evaluation]:
    """Return the decisive moments of ``source`` on ``seeds``, and its evaluation there.

    Raises:
        JailError: The jail cannot be built, or not as good as required.
    """

    def play() -> Captured:
        return capture(judge.pool, source.text, seeds, judge.protocol, judge.require, progress)

    got = judge.record(source, ("trace", *seeds), play)
    return got.trace, got.evaluation


def _play_on(
    judge: Judge, source: PolicySource, results: Results, rules: PlayProtocol, progress: Progress
) -> Evaluation | None:
    """Play the first episodes that the judge's step limit cut to their end by ``rules``."""
    seeds = tuple(episode.seed for episode in results.cut[:_MOST_UNCUT])
    if not seeds or results.limit >= results.longest or not results.evaluation.is_valid:
        return None
    whole = judge.under(rules)
    before = whole.n_steps
    return whole.evaluate(
        source, seeds, lambda done, n: progress(Playing(_WHOLE, done, n, whole.n_steps - before))
    )


def _evaluate_predecessor(
    judge: Judge, attempts: Sequence[PastIteration], seeds: Sequence[int]
) -> Evaluation | None:
    """Evaluate the policy that was in force before the present one; None if it is not known."""
    kept = [attempt.source for attempt in attempts if attempt.gave_policy]
    before = kept[-2] if len(kept) > 1 else None
    if before is None:
        return None
    try:
        return judge.evaluate(PolicySource(before), seeds)
    except PolicyError:  # a commit made by hand may hold anything
        return None


@dataclass(frozen=True, slots=True)
class _Beginning:
    """The first steps of an episode, with what the judge counts."""

    trace: ExecutionTrace
    evaluation: Evaluation
    n_steps: int


def _first_steps(judge: Judge, parent: PolicySource, horizon: int) -> ExecutionTrace:
    """Record the first ``horizon`` steps on the first feedback seed."""
    (seed,) = Stream.FEEDBACK.seeds(0, 1)

    def play() -> _Beginning:
        task = Rollout(parent.text, (seed,), judge.protocol, judge.require)
        (course,) = judge.pool.map(follow, [Replay(task, ((0, horizon),))])
        result, steps = course.result, course.recorded
        windows: tuple[Window, ...] = ()
        if steps:
            title = f"the first {len(steps)} steps"
            end = (result.n_steps, result.episode_return, result.detail)
            windows = (Window(title, None, seed, steps[-1].step, steps, *end),)
        played = Evaluation((result,), judge.protocol.stamp)
        return _Beginning(ExecutionTrace(windows), played, result.n_steps)

    return judge.record(parent, ("first steps", horizon), play).trace
