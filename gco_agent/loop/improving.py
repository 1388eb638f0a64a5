"""Tune or simplify a policy file without a run; the result has to win a race."""

from __future__ import annotations

from dataclasses import dataclass

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
from gco_agent.policy import PolicySource, docstring_of, replace_docstring, with_measured_header

_CLAIM = "Mean return:"


@dataclass(frozen=True, slots=True)
class TunedFile:
    """The result of tuning a policy file.

    Attributes:
        source: The tuned policy; None if it is not significantly better.
        race: Against the original; None if nothing better was found.
    """

    source: PolicySource | None
    tuned: Tuned
    race: Race | None
    n_steps: int


@dataclass(frozen=True, slots=True)
class SimplifiedFile:
    """The result of simplifying a policy file.

    Attributes:
        source: The smaller policy; None if nothing could be removed.
        race: Of the removals that change actions, if any; ``source`` keeps them if it was lost.
    """

    source: PolicySource | None
    simplified: Simplified
    race: Race | None
    n_steps: int


def tune_file(
    source: PolicySource,
    judge: Judge,
    budget: StepBudget,
    *,
    seed: int,
    progress: Progress = silent,
) -> TunedFile:
    """Tune the constants of ``source``; only they and a stated score change."""
    trials = Trials(judge.pool, judge.protocol, judge.require, budget, progress)
    tuned = tune_policy(source, trials, trial_seeds(0), rng_seed=seed_of_chance(seed))
    if not tuned.moves:
        return TunedFile(None, tuned, None, budget.used)
    race = _race(tuned.source, source, judge, Aim.BETTER, progress)
    if not race.verdict.is_won:
        return TunedFile(None, tuned, race, budget.used)
    told = _with_true_claim(tuned.source, judge, race.child, "gco-agent tune")
    return TunedFile(told, tuned, race, budget.used)


def simplify_file(
    source: PolicySource,
    judge: Judge,
    budget: StepBudget,
    *,
    exact_only: bool = False,
    progress: Progress = silent,
) -> SimplifiedFile:
    """Remove code that ``source`` does not need; the result is formatted."""
    trials = Trials(judge.pool, judge.protocol, judge.require, budget, progress)
    found = simplify_policy(source, trials, trial_seeds(0), exact_only=exact_only)
    race, smaller = None, found.exact
    if found.source != found.exact:
        race = _race(found.source, source, judge, Aim.NO_WORSE, progress)
        if race.verdict.is_won:
            smaller = _with_true_claim(found.source, judge, race.child, "gco-agent simplify")
    is_smaller = bool(found.kept(with_lossy=race is None or race.verdict.is_won))
    return SimplifiedFile(smaller if is_smaller else None, found, race, budget.used)


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
