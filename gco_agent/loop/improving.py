"""Tune or simplify a policy file without a run; the result has to win a race."""

from __future__ import annotations

from gco_agent.core.errors import PolicyError
from gco_agent.core.events import Progress, Racing, silent
from gco_agent.core.records import Evaluation
from gco_agent.core.seeds import format_seeds, seed_of_chance, trial_seeds
from gco_agent.core.statistics import Aim
from gco_agent.evaluation.judge import AcceptanceCriterion, Judge, Race
from gco_agent.optimizers.cma import StepBudget
from gco_agent.optimizers.simplify import Simplified, simplify_policy
from gco_agent.optimizers.trials import Trials
from gco_agent.optimizers.tune import Tuned, tune_policy
from gco_agent.policy.source import (
    PolicySource,
    docstring_of,
    replace_docstring,
    with_measured_header,
)

_CLAIM = "Mean return:"


def tune_file(
    source: PolicySource,
    judge: Judge,
    budget: StepBudget,
    *,
    seed: int,
    progress: Progress = silent,
) -> tuple[PolicySource | None, Tuned, Race | None]:
    """Tune the constants of ``source``; only they and a stated score change.

    Returns:
        The tuned policy, or None if it is not significantly better; what was tuned; and the race
        against the original, or None if nothing better was found.
    """
    trials = Trials(judge.pool, judge.protocol, judge.require, budget, progress)
    tuned = tune_policy(source, trials, trial_seeds(0), rng_seed=seed_of_chance(seed))
    if not tuned.moves:
        return None, tuned, None
    race = _race(tuned.source, source, judge, Aim.BETTER, progress)
    if not race.verdict.is_won:
        return None, tuned, race
    return _with_true_claim(tuned.source, judge, race.child, "gco-agent tune"), tuned, race


def simplify_file(
    source: PolicySource,
    judge: Judge,
    budget: StepBudget,
    *,
    exact_only: bool = False,
    progress: Progress = silent,
) -> tuple[PolicySource | None, Simplified, Race | None]:
    """Remove code that ``source`` does not need; the result is formatted.

    Returns:
        The smaller policy, or None if nothing could be removed; what was removed; and the race of
        removals that change actions, if any. The policy keeps that code if the race was lost.
    """
    trials = Trials(judge.pool, judge.protocol, judge.require, budget, progress)
    found = simplify_policy(source, trials, trial_seeds(0), exact_only=exact_only)
    race, smaller = None, found.exact
    if found.source != found.exact:
        race = _race(found.source, source, judge, Aim.NO_WORSE, progress)
        if race.verdict.is_won:
            smaller = _with_true_claim(found.source, judge, race.child, "gco-agent simplify")
    is_smaller = bool(found.kept(with_lossy=race is None or race.verdict.is_won))
    return smaller if is_smaller else None, found, race


def _race(
    child: PolicySource, parent: PolicySource, judge: Judge, aim: Aim, progress: Progress
) -> Race:
    progress(Racing(None, 0, judge.most_pairs(aim)))
    return judge.race(
        child,
        parent,
        AcceptanceCriterion(aim),
        watch=lambda r: progress(Racing(r.gain, r.n_pairs, judge.most_pairs(aim, r.n_pairs))),
    )


def _with_true_claim(
    source: PolicySource, judge: Judge, played: Evaluation, origin: str
) -> PolicySource:
    """Update the score in the docstring of ``source``, if it states one."""
    if _CLAIM not in (docstring_of(source) or ""):
        return source
    seeds = [episode.seed for episode in played.episodes]
    label = format_seeds(range(seeds[0], seeds[-1] + 1))
    told = with_measured_header(source, judge.protocol, played, seeds=label, origin=origin)
    told = replace_docstring(source, docstring_of(told) or "")
    require_same_play(judge.evaluate(told, seeds), played)
    return told


def require_same_play(with_header: Evaluation, without: Evaluation) -> None:
    """Check that a policy plays as before once its docstring states its score."""
    if with_header.digest != without.digest:
        raise PolicyError(
            "the policy plays differently once its docstring states its score: it acts by its own "
            "docstring or by line numbers. Remove that from the policy"
        )
