"""What an optimizer is told: a run's history, its evidence, and what the judge knows of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from gco_agent.budget import Budget
from gco_agent.config import RunConfig
from gco_agent.feedback import Feedback
from gco_agent.judge import Judge
from gco_agent.optimizers.base import Attempt, Request
from gco_agent.policy import PolicySource
from gco_agent.progress import Progress, silent
from gco_agent.rollout import Rollout
from gco_agent.seeds import FEEDBACK_EPISODES, Stream
from gco_agent.store.history import RunView, Step
from gco_agent.traces.course import Replay, follow
from gco_agent.traces.records import ExecutionTrace, Window

_MOST_SOURCES = 12
"""Attempts, the newest, whose texts are read: older ones are only counted."""


def compose_request(
    run: RunView, judge: Judge, config: RunConfig, budget: Budget, progress: Progress = silent
) -> Request:
    """Everything that may be known of ``run`` by whoever proposes its next iteration.

    Nothing is played, unless `Request.feedback` is called.
    """
    parent = PolicySource(run.policy())
    history = run.history()
    attempts = read_attempts(run, history)
    return Request(
        parent=parent,
        evaluation=judge.known(parent, Stream.FEEDBACK.seeds(0, FEEDBACK_EPISODES)),
        iteration=run.last_iteration + 1,
        config=config,
        attempts=attempts,
        recall=_recaller(run, history),
        deadline=budget.answer_by,
        progress=progress,
        feedback=lambda: _compose_feedback(judge, parent, attempts, config, progress),
        tip=run.tip,
    )


def read_attempts(run: RunView, history: Sequence[Step]) -> list[Attempt]:
    """What the iterations of a run came to, oldest first, a candidate each."""
    found: list[Attempt] = []
    for number, step in enumerate(history):
        if step.facts is None:
            continue
        with_source = number == 0 or number >= len(history) - _MOST_SOURCES
        is_kept = step.facts.verdict.is_kept
        for candidate in (step,) if is_kept or not step.candidates else step.candidates:
            facts = candidate.facts or step.facts
            found.append(
                Attempt(
                    step.facts.iteration,
                    facts.verdict.value,
                    step.subject if len(step.candidates) <= 1 else candidate.subject,
                    facts.gain,
                    facts.optimizer,
                    candidate.body,
                    _own_policy(run, candidate) if with_source else None,
                )
            )
    return found


def _own_policy(run: RunView, step: Step) -> str | None:
    """The policy that a commit made; None if it only has that of the commit before."""
    text = run.policy(step.commit)
    if step.facts is not None and step.facts.verdict.is_kept:
        return text
    before = run.policy(step.parents[0]) if step.parents else None
    return None if text == before else text


def _recaller(run: RunView, history: Sequence[Step]) -> Callable[[str], str | None]:
    def recall(name: str) -> str | None:
        for step in reversed(history):
            for candidate in range(-1, -1 - max(1, len(step.candidates)), -1):
                text = run.evidence(step, name, candidate=candidate)
                if text is not None:
                    return text
        return None

    return recall


def _compose_feedback(
    judge: Judge, parent: PolicySource, attempts: Sequence[Attempt], config: RunConfig,
    progress: Progress,
) -> Feedback:  # fmt: skip
    from gco_agent.briefing import compose_for

    feedback = compose_for(judge, parent, attempts, config, progress)
    if not config.horizon or "optoprime" not in config.optimizers:
        return feedback
    return replace(feedback, trace=_first_steps(judge, parent, config.horizon))


def _first_steps(judge: Judge, parent: PolicySource, horizon: int) -> ExecutionTrace:
    """The first steps of the first feedback seed, whatever happened in them."""
    (seed,) = Stream.FEEDBACK.seeds(0, 1)
    task = Rollout(parent.text, (seed,), judge.protocol, judge.require)
    (course,) = judge.pool.map(follow, [Replay(task, ((0, horizon),))])
    result = course.result
    judge.n_steps += result.n_steps
    if not course.recorded:
        return ExecutionTrace()
    window = Window(
        f"the first {len(course.recorded)} steps",
        None,
        seed,
        course.recorded[-1].step,
        course.recorded,
        result.n_steps,
        result.episode_return,
        result.detail,
    )
    return ExecutionTrace((window,))
