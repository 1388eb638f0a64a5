"""``publish`` and ``rollback``: which policy is in force, here and on the user's branch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from gco_agent.cli.options import (
    Given,
    all_of,
    examples,
    jail_option,
    run_option,
    workers_option,
)
from gco_agent.cli.place import (
    CliContext,
    find_run,
    read_config,
    require_clean,
    require_writable,
    rules_here,
)
from gco_agent.cli.words import number_with_error
from gco_agent.core.errors import NotARun, PolicyError, UsageError

if TYPE_CHECKING:
    from gco_agent.core.records import Evaluation, PlayProtocol
    from gco_agent.policy import PolicySource
    from gco_agent.policy.header import Claim
    from gco_agent.store.entries import RunRef
    from gco_agent.store.git import GitRepo
    from gco_agent.store.run import Runs
    from gco_agent.store.view import RunView


@click.command(
    short_help="Go back to an earlier policy of a run.",
    epilog=examples(
        "gco-agent rollback HEAD~2",
        "gco-agent rollback 3 --reason 'easier to read'     to the policy of iteration 3",
        "gco-agent rollback 1a2b3c4 --run gco/pong/first",
    ),
)
@click.argument("rev")
@click.option("--reason", default="", metavar="TEXT", help="Why, for the commit's message.")
@run_option
@click.pass_obj
def rollback(place: CliContext, /, rev: str, reason: str, run_name: str | None) -> None:
    """Make an earlier policy of a run its policy again, by a new commit.

    REV is a git revision or the number of an iteration; a candidate that was turned down will do.
    History is never rewritten.
    """
    runs = place.runs()
    with runs.open(find_run(runs, run_name)) as opened:
        commit = opened.rollback(rev, reason=reason)
        step = opened.step(commit)
    click.echo(f"{step.subject}\n  branch {opened.ref.branch}, commit {commit[:9]}")


@click.command(
    short_help="Commit a run's policy to your own branch.",
    epilog=examples(
        "git switch main && gco-agent publish pong",
        "gco-agent publish gco/pong/first --episodes 100",
    ),
)
@click.argument("run_name", metavar="[RUN]", required=False)
@click.option(
    "--episodes",
    type=click.IntRange(2, 100_000),
    default=30,
    show_default=True,
    metavar="N",
    help="Episodes of the score that is published, on the first report seeds.",
)
@click.option(
    "--force",
    is_flag=True,
    help="Replace the policy that is there even if it states a better score, or none.",
)
@all_of(workers_option, jail_option)
@click.pass_obj
def publish(
    place: CliContext, /, run_name: str | None, episodes: int, *, force: bool, **given: Given
) -> None:
    """Commit a run's policy to the branch that is checked out, as policies/GAME.py.

    RUN is a run, or a game for the run of it that advanced last; the default is the only run there
    is. The policy is played on report seeds first, and its docstring states what it scored, under
    which rules and in which run. The branch must not be a run's own. Where it has such a file that
    states a better score, or none, or one by other rules, that is kept unless --force is given.
    """
    from gco_agent.policy import PolicySource, check_policy

    repo = place.repository()
    runs = place.runs()
    ref = _find_published(runs, run_name)
    _require_publishable(repo, ref)
    view = runs.view(ref)
    source = PolicySource(view.policy())
    check_policy(source)
    protocol = rules_here(read_config(view).protocol)
    there = None if force else _claim_there(repo, view.policy_path, protocol)
    given = {**given, "n": episodes, "there": there}
    commit, score = _measure_and_commit(runs, view, source, protocol, given)
    click.echo(f"{view.policy_path}: mean return {score}\n  from {ref.branch}, commit {commit[:9]}")


def _find_published(runs: Runs, name: str | None) -> RunRef:
    """The run to publish.

    Raises:
        NotARun: There is none, or the choice is not clear.
    """
    from gco_agent.games import every_game

    there_are = runs.list()
    if name is not None and (of_game := runs.of_game(name)):
        return of_game[0]  # that advanced last
    if name in every_game():
        raise NotARun(f"there is no run of {name}: start one with `gco-agent run {name}`")
    if name is not None:
        return runs.find(name)
    if len(there_are) == 1:
        return there_are[0]
    try:
        return runs.current()
    except NotARun:
        if not there_are:
            raise
        named = ", ".join(ref.branch for ref in there_are)
        raise NotARun(f"which run? There are {named}. Name one of them, or its game.") from None


def _require_publishable(repo: GitRepo, ref: RunRef) -> None:
    """Refuse before anything is played what the store would refuse after it.

    Raises:
        GcoError: The branch is a run's, or cannot be committed to.
    """
    from gco_agent.store.run import Runs

    branch = (repo.head_branch() or "").removeprefix("refs/heads/")
    if not branch:
        raise UsageError("HEAD is detached: `git switch` to the branch to publish on")
    if branch.startswith("gco/"):
        home = Runs(repo).home()
        switch = f"`git switch {home}`" if home else "`git switch` to it"
        raise UsageError(
            f"{branch} is the branch of a run, and a policy is published to one of yours: "
            f"{switch}, then `gco-agent publish {ref.branch}`"
        )
    require_writable(repo)
    require_clean(repo)


def _claim_there(repo: GitRepo, path: str, rules: PlayProtocol) -> Claim | None:
    """What the file states that a policy would replace; None where there is no such file.

    Raises:
        UsageError: It states no score, or one by other rules.
    """
    from gco_agent.policy import PolicySource
    from gco_agent.policy.header import claim_of, describe_rules

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
        raise UsageError(
            f"{where} states no score, so it may be of your own making: --force replaces it"
        )
    if claim.rules != (ours := f"{rules.env_id}, {describe_rules(rules)}"):
        raise UsageError(
            f"{where} states {claim.score} by other rules ({claim.rules}) than those of the run "
            f"({ours}), so nobody knows which is better: --force replaces it"
        )
    return claim


def _require_no_better(there: Claim | None, ours: Claim | None, path: str) -> None:
    """Compare as both are stated, so that rounding makes neither the better.

    Raises:
        UsageError: What is there states more.
    """
    if there is not None and ours is not None and there.mean > ours.mean:
        raise UsageError(
            f"the {path} that is there states {there.score}, and this policy has {ours.score}: "
            "--force publishes it all the same"
        )


def _measure_and_commit(
    runs: Runs, view: RunView, source: PolicySource, protocol: PlayProtocol, given: dict[str, Any]
) -> tuple[str, str]:
    """Play, write the docstring, commit; the commit id and the score in words."""
    from gco_agent.cli.evaluating import play
    from gco_agent.core.seeds import Stream
    from gco_agent.loop.improving import require_same_play
    from gco_agent.policy.header import claim_of, describe_score, with_measured_header

    n = given["n"]
    label = Stream.REPORT.label(0, n)
    played, _ = play(source, Stream.REPORT.seeds(0, n), protocol, given, f"policy on {label}")
    if not played.is_valid:
        failure = played.failures[0]
        raise PolicyError(
            f"the policy of {view.ref.branch} failed on seed {failure.seed}, step "
            f"{failure.n_steps} ({failure.outcome.value}), so nothing is published:\n"
            f"{failure.detail}"
        )
    origin = f"{view.ref.branch}, iteration {_made_in(view)}"
    told = with_measured_header(source, protocol, played, seeds=label, origin=origin)
    again, _ = play(told, Stream.REPORT.seeds(0, n), protocol, given, f"the file on {label}")
    require_same_play(again, played)
    _require_no_better(given["there"], claim_of(told), view.policy_path)
    score, text = describe_score(played, label), told.text
    commit = runs.publish_file(
        view.policy_path,
        text,
        f"Publish {view.policy_path}: mean return {number_with_error(played.mean_return, None)}",
        f"The policy of {origin}.\n\nMean return {score}, on seeds that neither the optimizer nor "
        "the selection has seen.",
        _facts(view, text, played, label),
    )
    return commit, score


def _made_in(view: RunView) -> str:
    """The iteration that made the run's policy: a report only measures it."""
    from gco_agent.store.entries import Verdict

    made = [step for step in view.history() if step.verdict and step.verdict.is_kept]
    found = [step.iteration for step in made if step.verdict is not Verdict.REPORTED]
    return str(found[-1])


def _facts(view: RunView, text: str, played: Evaluation, label: str) -> dict[str, str]:
    """The trailers of the commit."""
    from gco_agent.policy.complexity import measure

    size = measure(text)
    return {
        "Gco-Run": view.ref.branch,
        "Gco-Commit": view.tip,
        "Gco-Iteration": _made_in(view),
        "Gco-Return-Mean": f"{played.mean_return:.10g}",
        "Gco-Return-SE": f"{played.standard_error:.10g}",
        "Gco-Episodes": str(len(played.episodes)),
        "Gco-Seeds": label,
        "Gco-Protocol": played.protocol,
        "Gco-Digest": played.digest,
        "Gco-Loc": str(size.loc),
        "Gco-Cyclomatic": str(size.cyclomatic),
        "Gco-Nested-If": str(size.nested_if),
    }
