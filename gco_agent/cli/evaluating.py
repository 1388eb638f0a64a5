"""``eval``: what a policy scores."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from gco_agent.cli.options import (
    AtLeast,
    Given,
    all_of,
    env_option,
    examples,
    executor_option,
    jail_option,
    json_option,
    max_steps_option,
    objects_option,
    protocol_option,
    workers_option,
)
from gco_agent.cli.place import CliContext, make_judge, open_workers
from gco_agent.cli.targets import Target, find_target, observed_as, protocol_of, require_contract
from gco_agent.cli.words import count, duration, fit
from gco_agent.core.errors import UsageError

if TYPE_CHECKING:
    from gco_agent.core.records import Evaluation, PlayProtocol
    from gco_agent.policy import PolicySource

_EPISODES = 30
_MOST_EPISODES = 100_000
_MOST_FAILURES = 3


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
@all_of(env_option, protocol_option, objects_option, max_steps_option)
@all_of(workers_option, executor_option, jail_option, json_option)
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
    place: CliContext = context.obj
    seeds, label = _seeds(given["episodes"], given["seed_text"])
    wanted = find_target(place, target)
    require_contract(wanted)
    protocol = protocol_of(place, wanted, given["env_id"], given["max_steps"], given["protocol"])
    protocol = observed_as(protocol, given["objects"])
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
    from gco_agent.core.events import Playing

    with (
        open_display(None, following=0) as display,
        open_workers(given["workers"], given.get("executor"), n_tasks=len(seeds)) as pool,
    ):
        judge = make_judge(pool, protocol, given["jail"])
        display(Playing(what, 0, len(seeds)))
        played = judge.evaluate(
            source, seeds, lambda k, n: display(Playing(what, k, n, judge.n_steps))
        )
        return played, judge.jail


def _seeds(episodes: int | None, text: str | None) -> tuple[range, str]:
    """The seeds to play, and what they are called.

    Raises:
        UsageError: Both ways to choose them were used, or they hold nothing, or too many.
    """
    from gco_agent.core.seeds import Stream, format_seeds, parse_seed_range

    if text is not None and episodes is not None:
        raise UsageError("--episodes and --seeds exclude each other: --seeds A:B plays B - A")
    seeds = parse_seed_range(text) if text else range(episodes or _EPISODES)
    if len(seeds) > _MOST_EPISODES:
        raise UsageError(f"{len(seeds):,} episodes are too many; at most {_MOST_EPISODES:,}")
    if text is None:
        seeds = Stream.REPORT.seeds(0, len(seeds))
    return seeds, format_seeds(seeds)


def _as_json(
    target: Target, played: Evaluation, label: str, jail: str, seconds: float
) -> dict[str, Any]:
    from gco_agent.core.statistics import confidence_interval

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
    from gco_agent.core.text import clean_text

    episodes = f"{count(data['episodes'], 'episode')}, seeds {data['seeds']}"
    if data["failures"]:
        _print_failures(data)
    else:
        low, high = min(data["returns"]), max(data["returns"])
        click.echo(f"mean return {score_in_words(data)}")
        spread = f"; returns from {low:g} to {high:g}" if low < high else ""
        click.echo(f"  {episodes}{spread}")
    click.echo(fit(f"  policy {clean_text(data['policy'])}"))
    click.echo(fit(f"  protocol {clean_text(data['protocol'])}"))
    click.echo(
        fit(
            f"  jail {data['jail'] or 'not reached'}, {duration(data['seconds'])}, "
            f"{data['steps_per_second']:,} steps/s, digest of all actions {data['digest']}"
        )
    )


def _print_failures(data: dict[str, Any]) -> None:
    """No score: say in which episodes the policy failed, and where in its text."""
    from gco_agent.core.text import clean_text

    failures = data["failures"]
    click.echo(f"no score: the policy failed in {len(failures)} of {data['episodes']} episodes")
    for failure in failures[:_MOST_FAILURES]:
        click.echo(f"  seed {failure['seed']}, step {failure['step']}: {failure['outcome']}")
        for line in clean_text(failure["detail"]).splitlines():
            click.echo(f"    {line}")
    if len(failures) > _MOST_FAILURES:
        click.echo(f"  and {len(failures) - _MOST_FAILURES} more")
