"""From a run's policy to what an optimizer is told of it: the judge plays, the rest is composed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gco_agent.config import RunConfig
from gco_agent.envs.opening import spec_of
from gco_agent.errors import PolicyError
from gco_agent.feedback import Feedback, Results, compose_feedback
from gco_agent.jail.limits import weakest_jail
from gco_agent.judge import Judge
from gco_agent.optimizers.base import Attempt
from gco_agent.policy import PolicySource
from gco_agent.progress import Playing, Progress, silent
from gco_agent.records import Evaluation, PlayProtocol
from gco_agent.seeds import FEEDBACK_EPISODES, Stream, format_seeds
from gco_agent.traces.capture import capture
from gco_agent.traces.records import ExecutionTrace

_MOST_UNCUT = 2
"""Of the episodes that the race's limit cuts, so many are played to their end."""
_WHOLE = "playing whole games"


def compose_for(
    judge: Judge, parent: PolicySource, attempts: Sequence[Attempt], config: RunConfig,
    progress: Progress = silent,
) -> Feedback:  # fmt: skip
    """Play ``parent`` on feedback seeds, replay what decided these episodes, and compose it all.

    The policy that it replaced is played on the same seeds, unless the judge remembers that, and
    where the race's limit cut episodes, the first of these are played to their end. Steps are
    counted with the judge's. The result depends on the arguments alone, and not on the workers.

    Raises:
        JailError: The jail cannot be built, or not as good as required.
    """
    seeds = Stream.FEEDBACK.seeds(0, FEEDBACK_EPISODES)
    results, trace = gather(judge, parent, attempts, config.protocol, seeds, progress)
    results = replace(results, hints=config.hints)
    return compose_feedback(results, trace, config.trace_tokens)


def gather(
    judge: Judge,
    source: PolicySource,
    attempts: Sequence[Attempt],
    rules: PlayProtocol,
    seeds: range,
    progress: Progress = silent,
) -> tuple[Results, ExecutionTrace]:
    """What feedback on ``source`` is composed of; plays, and raises, as `compose_for`.

    Args:
        judge: Plays by rules that may cut episodes earlier.
        source: The policy.
        attempts: What was tried before it, oldest first.
        rules: Those of whole episodes.
        seeds: What to play.
        progress: Told how far that is.
    """
    trace, evaluation = trace_policy(judge, source, seeds, progress)
    results = Results(
        spec_of(rules),
        source.text,
        evaluation,
        format_seeds(seeds),
        _before(judge, attempts, seeds),
        attempts,
        limit=judge.protocol.max_steps,
        longest=rules.max_steps,
    )
    return replace(results, uncut=_uncut(judge, source, results, rules, progress)), trace


def _uncut(
    judge: Judge, source: PolicySource, results: Results, rules: PlayProtocol, progress: Progress
) -> Evaluation | None:
    """The first episodes that the judge's limit cut, played to their end; played once."""
    seeds = tuple(episode.seed for episode in results.cut[:_MOST_UNCUT])
    if not seeds or results.limit >= results.longest or not results.evaluation.is_valid:
        return None
    key = (source.text, seeds)
    if key not in judge.uncut:
        whole = Judge(judge.pool, rules, judge.require)
        progress(Playing(_WHOLE, 0, len(seeds)))
        judge.uncut[key] = whole.evaluate(
            source, seeds, lambda done, n: progress(Playing(_WHOLE, done, n, whole.n_steps))
        )
        judge.n_steps += whole.n_steps
    return judge.uncut[key]


def trace_policy(
    judge: Judge, source: PolicySource, seeds: Sequence[int], progress: Progress = silent
) -> tuple[ExecutionTrace, Evaluation]:
    """The decisive moments of ``source`` on ``seeds``, and what it scored there; played once.

    Raises:
        JailError: The jail cannot be built, or not as good as required.
    """
    key = (source.text, tuple(seeds))
    if key not in judge.traces:
        got = capture(judge.pool, source.text, seeds, judge.protocol, judge.require, progress)
        judge.n_steps += got.n_steps
        judge.note_jail(weakest_jail(got.evaluation.episodes))
        judge.take_over(source, got.evaluation)
        judge.traces[key] = got.trace, got.evaluation
    return judge.traces[key]


def _before(judge: Judge, attempts: Sequence[Attempt], seeds: Sequence[int]) -> Evaluation | None:
    """What the policy scores that the run had before its present one."""
    kept = [attempt.source for attempt in attempts if attempt.gave_policy]
    before = kept[-2] if len(kept) > 1 else None
    if before is None:  # there was none, or it is too long ago for its text to have been read
        return None
    try:
        return judge.evaluate(PolicySource(before), seeds)
    except PolicyError:  # a commit that a person made by hand may hold anything
        return None
