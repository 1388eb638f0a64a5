"""From a run's policy to what an optimizer is told of it: the judge plays, the rest is composed."""

from __future__ import annotations

from collections.abc import Sequence

from gco_agent.config import RunConfig
from gco_agent.errors import PolicyError
from gco_agent.feedback import Feedback, Results, compose_feedback
from gco_agent.jail.limits import weakest_jail
from gco_agent.judge import Judge
from gco_agent.optimizers.base import Attempt
from gco_agent.policy import PolicySource
from gco_agent.records import Evaluation
from gco_agent.seeds import FEEDBACK_EPISODES, Stream, format_seeds
from gco_agent.traces.capture import capture
from gco_agent.traces.records import ExecutionTrace

_KEPT = ("accepted", "initial", "rolled-back")


def compose_for(
    judge: Judge, parent: PolicySource, attempts: Sequence[Attempt], config: RunConfig
) -> Feedback:
    """Play ``parent`` on feedback seeds, replay what decided these episodes, and compose it all.

    The policy that it replaced is played on the same seeds, unless the judge remembers that. Steps
    are counted with the judge's. The result depends on the arguments alone, and not on the workers.

    Raises:
        JailError: The jail cannot be built, or not as good as required.
    """
    seeds = Stream.FEEDBACK.seeds(0, FEEDBACK_EPISODES)
    results, trace = gather(judge, parent, attempts, config.game, seeds)
    return compose_feedback(results, trace, config.trace_tokens)


def gather(
    judge: Judge, source: PolicySource, attempts: Sequence[Attempt], game: str, seeds: range
) -> tuple[Results, ExecutionTrace]:
    """What feedback on ``source`` is composed of; plays, and raises, as `compose_for`."""
    trace, evaluation = trace_policy(judge, source, seeds)
    before = _before(judge, attempts, seeds)
    label = format_seeds(seeds)
    return Results(game, source.text, evaluation, label, before, attempts), trace


def trace_policy(
    judge: Judge, source: PolicySource, seeds: Sequence[int]
) -> tuple[ExecutionTrace, Evaluation]:
    """The decisive moments of ``source`` on ``seeds``, and what it scored there; played once.

    Raises:
        JailError: The jail cannot be built, or not as good as required.
    """
    key = (source.text, tuple(seeds))
    if key not in judge.traces:
        got = capture(judge.pool, source.text, seeds, judge.protocol, judge.require)
        judge.n_steps += got.n_steps
        judge.note_jail(weakest_jail(got.evaluation.episodes))
        judge.take_over(source, got.evaluation)
        judge.traces[key] = got.trace, got.evaluation
    return judge.traces[key]


def _before(judge: Judge, attempts: Sequence[Attempt], seeds: Sequence[int]) -> Evaluation | None:
    """What the policy scores that the run had before its present one."""
    kept = [attempt.source for attempt in attempts if attempt.verdict in _KEPT]
    before = kept[-2] if len(kept) > 1 else None
    if before is None:  # there was none, or it is too long ago for its text to have been read
        return None
    try:
        return judge.evaluate(PolicySource(before), seeds)
    except PolicyError:  # a commit that a person made by hand may hold anything
        return None
