"""``eval``: what a policy scores."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gco_agent.cli.options import (
    AtLeast,
    Given,
    all_of,
    examples,
    jail_option,
    json_option,
    max_steps_option,
    protocol_option,
    workers_option,
)
from gco_agent.cli.place import Place, make_judge, open_workers, read_config, rules_here
from gco_agent.cli.words import count, duration
from gco_agent.errors import ContractViolation, NotARun, StoreError, UsageError

if TYPE_CHECKING:
    from gco_agent.policy import PolicySource
    from gco_agent.records import Evaluation, PlayProtocol
    from gco_agent.store.history import RunView
    from gco_agent.store.runs import Runs

_EPISODES = 30
_MOST_EPISODES = 100_000
_MOST_FAILURES = 3


@dataclass(frozen=True, slots=True)
class _Target:
    """A policy to play: what it is called, its text, and the rules it was made for, if known."""

    name: str
    source: PolicySource
    protocol: PlayProtocol | None = None


@click.command(
    "eval",
    short_help="Play a policy and say what it scores.",
    epilog=examples(
        "gco-agent eval                              the policy of the run that is checked out",
        "gco-agent eval policies/pong.py --episodes 100",
        "gco-agent eval HEAD~3                       that run, three iterations ago",
        "gco-agent eval main:policies/pong.py --seeds 0:30 --json",
        "gco-agent eval my.py --env gco/Pong-v5 --max-steps 2000",
    ),
)
@click.argument("target", required=False)
@click.option(
    "--episodes",
    type=AtLeast(1),
    metavar="N",
    help=f"How many episodes, on the first report seeds.  [default: {_EPISODES}]",
)
@click.option(
    "--seeds", "seed_text", metavar="A:B", help="Play the plain seeds A to B - 1 instead."
)
@click.option(
    "--env",
    "env_id",
    metavar="ID",
    help="Environment of a policy whose docstring names none, such as gco/Pong-v5.",
)
@all_of(protocol_option, max_steps_option, workers_option, jail_option, json_option)
@click.pass_context
def evaluate(context: click.Context, /, target: str | None, **given: Given) -> None:
    """Play a policy and say what it scores.

    TARGET is a file; or a run, a git revision or the number of an iteration, for the policy there;
    or REV:PATH; or nothing, for the policy of the run that is checked out. The file is never
    loaded into this process: it plays in a jail. A policy that fails in an episode has no score,
    and the exit code is 2.

    \b
    JSON: policy, policy_sha256, mean_return (null if an episode failed),
    standard_error, confidence_interval (95 %), episodes (how many), seeds,
    returns, failures: [seed, step, outcome, detail], protocol, jail, digest
    (of all actions), seconds, steps_per_second.
    """  # noqa: D301 - click wants the character
    from gco_agent.policy import check_policy

    place: Place = context.obj
    seeds, label = _seeds(given["episodes"], given["seed_text"])
    wanted = _find_target(place, target)
    try:
        check_policy(wanted.source)
    except ContractViolation as error:
        raise ContractViolation(
            f"{wanted.name} breaks the contract of a policy file:\n{error}", line=error.line
        ) from None
    protocol = _protocol(wanted, given)
    begun = time.perf_counter()
    played, jail = play(wanted.source, seeds, protocol, given, f"{wanted.name} on {label}")
    data = _as_json(wanted, played, label, jail, time.perf_counter() - begun)
    if given["as_json"]:
        from gco_agent.cli.results import print_json

        print_json(data)
    else:
        _print(data)
    if not played.is_valid:
        context.exit(2)


def play(
    source: PolicySource, seeds: range, protocol: PlayProtocol, given: dict[str, Any], what: str
) -> tuple[Evaluation, str]:
    """Play ``source`` on ``seeds`` and show how far it is; the episodes and the jail's level."""
    from gco_agent.cli.display import open_display
    from gco_agent.progress import Playing

    with (
        open_display(None, following=0) as display,
        open_workers(given["workers"]) as pool,
    ):
        judge = make_judge(pool, protocol, given["jail"])
        played = judge.evaluate(source, seeds, lambda k, n: display(Playing(what, k, n)))
        return played, judge.jail


def _seeds(episodes: int | None, text: str | None) -> tuple[range, str]:
    """The seeds to play, and what they are called.

    Raises:
        UsageError: Both ways to choose them were used, or they hold nothing, or too many.
    """
    from gco_agent.seeds import Stream, format_seeds, parse_seed_range

    if text is not None and episodes is not None:
        raise UsageError("--episodes and --seeds exclude each other: --seeds A:B plays B - A")
    seeds = parse_seed_range(text) if text else range(episodes or _EPISODES)
    if len(seeds) > _MOST_EPISODES:
        raise UsageError(f"{len(seeds):,} episodes are too many; at most {_MOST_EPISODES:,}")
    if text is None:
        seeds = Stream.REPORT.seeds(0, len(seeds))
    return seeds, format_seeds(seeds)


def _find_target(place: Place, target: str | None) -> _Target:
    """The policy that ``target`` means; files come first.

    Raises:
        GcoError: There is none.
    """
    from gco_agent.policy import PolicySource

    if target is None:
        runs = place.runs()
        return _of_run(runs.view(runs.current()), None)
    path = place.directory / target
    if path.is_dir():
        raise UsageError(f"{target} is a folder; name a policy file in it")
    if path.exists():
        return _Target(target, PolicySource.from_file(path))
    try:
        runs = place.runs()
    except StoreError:
        raise UsageError(f"there is no file {target}, and no git repository here") from None
    if ":" in target:
        return _of_revision(place, target)
    if Path(target).suffix == ".py":
        raise UsageError(f"there is no file {target} in {place.directory.resolve()}")
    return _of_run(*_find_revision(runs, target))


def _find_revision(runs: Runs, rev: str) -> tuple[RunView, str | None]:
    """The run that a revision is of, and the revision; None for the run's tip."""
    try:
        return runs.view(runs.find(rev)), None
    except NotARun:
        return runs.view(runs.current()), rev


def _of_run(view: RunView, rev: str | None) -> _Target:
    from gco_agent.policy import PolicySource

    commit = view.tip if rev is None else _commit_of(view, rev)
    name = f"{view.ref.branch if rev is None else rev}:{view.policy_path}"
    source = PolicySource.from_bytes(view.policy(commit).encode(), name)
    return _Target(name, source, read_config(view).protocol)


def _commit_of(view: RunView, rev: str) -> str:
    """A revision, or the number of an iteration, as a commit."""
    try:
        return view.step(rev).commit
    except NotARun:
        return rev  # a commit of another branch may have a policy for the same game


def _of_revision(place: Place, target: str) -> _Target:
    from gco_agent.policy import PolicySource

    rev, _, path = target.partition(":")
    repo = place.repository()
    content = repo.read_file(repo.resolve(rev or "HEAD"), path)
    if content is None:
        raise UsageError(f"{rev or 'HEAD'} has no file {path}")
    return _Target(target, PolicySource.from_bytes(content, target))


def _protocol(target: _Target, given: dict[str, Any]) -> PlayProtocol:
    """The rules to play by: of the run, or those of the environment that the file names.

    Raises:
        UsageError: No environment is named, or it is not known.
    """
    from gco_agent.envs.opening import make_protocol
    from gco_agent.policy import environment_of

    rules, env_id, max_steps = target.protocol, given["env_id"], given["max_steps"]
    if env_id is not None or rules is None:
        env_id = env_id or environment_of(target.source)
        if env_id is None:
            raise UsageError(
                f"the docstring of {target.name} has no line `Environment: ID`; "
                "say what it plays with --env, such as --env gco/Pong-v5"
            )
        rules = make_protocol("default", env_id)
    if given["protocol"] is not None:
        rules = make_protocol(given["protocol"], rules.env_id)
    rules = rules_here(rules)
    return rules if max_steps is None else replace(rules, max_steps=max_steps)


def _as_json(
    target: _Target, played: Evaluation, label: str, jail: str, seconds: float
) -> dict[str, Any]:
    from gco_agent.statistics import confidence_interval

    interval = confidence_interval(played.returns) if played.is_valid else None
    return {
        "policy": target.name,
        "policy_sha256": target.source.digest,
        "mean_return": played.mean_return,
        "standard_error": played.standard_error,
        "confidence_interval": list(interval) if interval else None,
        "episodes": len(played.episodes),
        "seeds": label,
        "returns": list(played.returns),
        "failures": [
            {"seed": e.seed, "step": e.n_steps, "outcome": e.outcome.value, "detail": e.detail}
            for e in played.failures
        ],
        "protocol": played.protocol,
        "jail": jail,
        "digest": played.digest,
        "seconds": round(seconds, 2),
        "steps_per_second": round(played.n_steps / seconds),
    }


def _print(data: dict[str, Any]) -> None:
    from gco_agent.cli.results import score_in_words
    from gco_agent.store.text import clean_text

    episodes = f"{count(data['episodes'], 'episode')}, seeds {data['seeds']}"
    if data["failures"]:
        _print_failures(data)
    else:
        low, high = min(data["returns"]), max(data["returns"])
        click.echo(f"mean return {score_in_words(data)}")
        click.echo(f"  {episodes}; returns from {low:g} to {high:g}")
    click.echo(f"  policy {clean_text(data['policy'])}")
    click.echo(f"  protocol {clean_text(data['protocol'])}")
    click.echo(
        f"  jail {data['jail'] or 'not reached'}, {duration(data['seconds'])}, "
        f"{data['steps_per_second']:,} steps/s, actions {data['digest']}"
    )


def _print_failures(data: dict[str, Any]) -> None:
    """No score: say in which episodes the policy failed, and where in its text."""
    from gco_agent.store.text import clean_text

    failures = data["failures"]
    click.echo(f"no score: the policy failed in {len(failures)} of {data['episodes']} episodes")
    for failure in failures[:_MOST_FAILURES]:
        click.echo(f"  seed {failure['seed']}, step {failure['step']}: {failure['outcome']}")
        for line in clean_text(failure["detail"]).splitlines():
            click.echo(f"    {line}")
    if len(failures) > _MOST_FAILURES:
        click.echo(f"  and {len(failures) - _MOST_FAILURES} more")
