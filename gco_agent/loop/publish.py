"""Commit a run's policy to a branch of the user's, with its score on report seeds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gco_agent.core.errors import PolicyError, UsageError
from gco_agent.core.records import Evaluation, PlayProtocol, Verdict
from gco_agent.core.seeds import Stream
from gco_agent.core.text import format_score
from gco_agent.loop import checks
from gco_agent.loop.improving import require_same_play
from gco_agent.policy.source import (
    Claim,
    PolicySource,
    claim_of,
    describe_rules,
    describe_score,
    measure,
    with_measured_header,
)
from gco_agent.store.git import GitRepo
from gco_agent.store.run import Runs
from gco_agent.store.view import RunView


@dataclass(frozen=True, slots=True)
class Published:
    """A policy that was published."""

    commit: str
    score: str
    played: Evaluation


def require_publishable(repo: GitRepo) -> None:
    """Refuse a branch that cannot be published on, before anything is played."""
    Runs(repo).require_publishable()
    checks.require_writable(repo)


def claim_there(repo: GitRepo, path: str, rules: PlayProtocol) -> Claim | None:
    """Return what the file states that a policy would replace; None where there is no such file."""
    head = repo.head()
    content = repo.read_file(head.commit, path) if head.commit else None
    if content is None:
        return None
    where = f"{path} on {(head.branch or '').removeprefix('refs/heads/')}"
    try:
        claim = claim_of(PolicySource.from_bytes(content, path))
    except PolicyError:
        claim = None
    if claim is None:
        raise UsageError(f"{where} states no score; it may be your own: --force replaces it")
    if claim.rules != (ours := f"{rules.env_id}, {describe_rules(rules)}"):
        raise UsageError(
            f"{where} states {claim.score} by other rules ({claim.rules}) than those of the run "
            f"({ours}), so the two cannot be compared: --force replaces it"
        )
    return claim


def publish(
    runs: Runs,
    view: RunView,
    protocol: PlayProtocol,
    n_episodes: int,
    there: Claim | None,
    play: Callable[[PolicySource, range], Evaluation],
) -> Published:
    """Measure a run's policy on report seeds and commit it to the branch that is checked out.

    Args:
        there: What the present file states; a lower score does not replace it.
    """
    source, path = PolicySource(view.policy()), view.policy_path
    checks.require_contract(source, f"the policy of {view.ref.branch}")
    label = Stream.REPORT.label(0, n_episodes)
    played = play(source, Stream.REPORT.seeds(0, n_episodes))
    if not played.is_valid:
        failure = played.failures[0]
        raise PolicyError(
            f"the policy of {view.ref.branch} failed on seed {failure.seed}, step "
            f"{failure.n_steps} ({failure.outcome.value}), so nothing is published:\n"
            f"{failure.detail}"
        )
    made_in = _made_in(view)
    origin = f"{view.ref.branch}, iteration {made_in}"
    stated = with_measured_header(source, protocol, played, seeds=label, origin=origin)
    ours = claim_of(stated)
    if there is not None and ours is not None and there.mean > ours.mean:  # as both are rounded
        raise UsageError(
            f"the present {path} states {there.score}, and this policy has {ours.score}: "
            "--force publishes it anyway"
        )
    require_same_play(play(stated, Stream.REPORT.seeds(0, n_episodes)), played)
    score = describe_score(played, label)
    size = measure(stated.text)
    commit = runs.publish_file(
        path,
        stated.text,
        f"Publish {path}: mean return {format_score(played.mean_return, None)}",
        f"The policy of {origin}.\n\nMean return {score}, on seeds that neither the optimizer nor "
        "the selection has seen.",
        {
            "Gco-Run": view.ref.branch,
            "Gco-Commit": view.tip,
            "Gco-Iteration": made_in,
            "Gco-Return-Mean": f"{played.mean_return:.10g}",
            "Gco-Return-SE": f"{played.standard_error:.10g}",
            "Gco-Episodes": str(len(played.episodes)),
            "Gco-Seeds": label,
            "Gco-Protocol": played.protocol,
            "Gco-Digest": played.digest,
            "Gco-Loc": str(size.loc),
            "Gco-Cyclomatic": str(size.cyclomatic),
            "Gco-Nested-If": str(size.nested_if),
        },
    )
    return Published(commit, score, played)


def _made_in(view: RunView) -> str:
    """Return the iteration that made the run's policy: a report only measures it."""
    made = [step for step in view.history() if step.facts and step.verdict.is_kept]
    return str([s.iteration for s in made if s.verdict is not Verdict.REPORTED][-1])
