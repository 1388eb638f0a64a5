"""``verify``: play what a commit claims again, and say whether it holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from gco_agent.cli.options import (
    Given,
    all_of,
    examples,
    executor_option,
    jail_option,
    json_option,
    workers_option,
)
from gco_agent.cli.place import CliContext, find_run, open_workers, read_config, rules_here
from gco_agent.cli.words import count, duration, number_with_error, one_line
from gco_agent.core.errors import NotARun, UsageError

if TYPE_CHECKING:
    from gco_agent.core.events import Progress
    from gco_agent.core.records import PlayProtocol
    from gco_agent.loop.verify import Claim, Difference, Verified
    from gco_agent.store.run import Runs
    from gco_agent.store.view import RunView


@click.command(
    short_help="Play again what a commit claims.",
    epilog=examples(
        "gco-agent verify                    the policy in force of the run that is checked out",
        "gco-agent verify 7                  its iteration 7",
        "gco-agent verify gco/pong/first     the policy in force of a run",
        "gco-agent verify --all              every commit of the run that is checked out",
        "gco-agent verify --all gco/pong/first --require-jail strong --json",
    ),
)
@click.argument("target", required=False)
@click.option("--all", "is_all", is_flag=True, help="Verify every commit; TARGET is a run then.")
@all_of(workers_option, executor_option, jail_option, json_option)
@click.pass_context
def verify(context: click.Context, /, target: str | None, *, is_all: bool, **given: Given) -> None:
    """Play again what commits claim, and answer to the digit.

    TARGET is a run, a git revision or the number of an iteration; what a file scores, `gco-agent
    eval` says. A claim holds if every number of the message and every episode of its evidence come
    out as they stand there; it differs, and then the first seed and step are named; or it cannot be
    compared, because a part of the protocol is another one here, or because it lacks what it could
    be played again by. Unless all hold, the exit code is 2.

    \b
    JSON: run, holds, differs, incomparable (how many), seconds, claims:
    [iteration, verdict, commit, answer, mean_return, seeds, protocol, digest,
    claimed_in, played_in (jail, python, machine), played_mean_return,
    played_digest, differences: [what, claimed, here], first_difference:
    {what, seed, step, claimed, here} or null].
    """  # noqa: D301 - click wants the character
    import time

    from gco_agent.cli.results import print_json
    from gco_agent.jail.limits import JailLevel
    from gco_agent.loop.verify import Answer, Verifier, read_claims

    place: CliContext = context.obj
    _refuse_file(place, target)
    view, rev = _find(place.runs(), target, is_all=is_all)
    claims = read_claims(view, None if is_all else rev or view.standing.commit)
    rules = _rules(view)
    begun = time.perf_counter()
    with _display() as display, open_workers(given["workers"], given["executor"]) as pool:
        verifier = Verifier(pool, JailLevel.parse(given["jail"]))
        found = []
        for claim in claims:
            found.append(verifier.verify(claim, rules, _watch(display, claim)))
            if not given["as_json"]:
                _print(found[-1])
    data = _as_json(view, found, time.perf_counter() - begun)
    if given["as_json"]:
        print_json(data)
    else:
        _print_sum(data, found)
    if any(one.answer is not Answer.HOLDS for one in found):
        context.exit(2)


def _refuse_file(place: CliContext, target: str | None) -> None:
    """A file says what it scores in words for people; what a claim takes, only a commit has.

    Raises:
        UsageError: ``target`` is one.
    """
    if target is not None and (place.directory / target).is_file():
        raise UsageError(
            f"{target} is a file, and claims are made by commits, with seeds and actions: "
            f"`gco-agent eval {target}` plays it on the first report seeds, to be compared with "
            "what its docstring says; `gco-agent verify RUN` plays what its run claims"
        )


def _find(runs: Runs, target: str | None, *, is_all: bool) -> tuple[RunView, str | None]:
    """The run that is meant, and the revision in it; None for the policy in force.

    Raises:
        GcoError: There is none.
    """
    if target is None or is_all:
        return runs.view(find_run(runs, target)), None
    try:
        return runs.view(runs.find(target)), None
    except NotARun:
        pass  # no run is called so: it is a revision
    try:
        return runs.view(runs.current()), target
    except NotARun:
        if target.isdigit():
            raise
    for ref in runs.list():
        view = runs.view(ref)
        try:
            view.step(target)
        except NotARun:
            continue
        return view, target
    raise UsageError(f"{target} is no commit of any run; `gco-agent log --run RUN` shows those")


def _rules(view: RunView) -> tuple[PlayProtocol, ...]:
    """What a run may have been played by: races, and reports; with the versions of here."""
    config = read_config(view)
    return rules_here(config.selection_protocol), rules_here(config.protocol)


def _display() -> Any:  # noqa: ANN401 - a context manager of either display
    from gco_agent.cli.display import open_display

    return open_display(None, following=0)


def _watch(display: Progress, claim: Claim) -> Callable[[int, int], None]:
    from gco_agent.core.events import Playing

    what = f"iteration {claim.facts.iteration}"
    return lambda done, n: display(Playing(what, done, n))


def _print(found: Verified) -> None:
    facts = found.claim.facts
    score = number_with_error(facts.return_mean, facts.return_se)
    episodes = f"{count(facts.episodes or 0, 'episode')}, {facts.seeds}"
    click.echo(
        f"iteration {facts.iteration:<4} {facts.verdict.value:<11} {score:>16} "
        f"({one_line(episodes)})  {found.answer.value}"
    )
    for difference in found.differences:
        click.echo(f"    {_in_words(difference)}")
    if found.first is not None:
        click.echo(f"    first difference: {_in_words(found.first)}")
    if found.played is not None and (found.differences or found.first):
        for name, there in found.claim.made_in.items():
            if there != found.played_in.get(name):
                here = found.played_in.get(name, "none")
                click.echo(f"    it was claimed under {name} {one_line(there)}; here is {here}")


def _in_words(difference: Difference) -> str:
    where = "" if difference.seed is None else f"seed {difference.seed}, "
    where += "" if difference.step is None else f"step {difference.step}, "
    claimed, here = (_value(v, difference.what) for v in (difference.claimed, difference.here))
    return one_line(f"{where}{difference.what}: {claimed} claimed, {here} here")


def _value(value: object, what: str) -> str:
    if value is None:
        return "the end of the episode" if what == "action" else "nothing"
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _as_json(view: RunView, found: list[Verified], seconds: float) -> dict[str, Any]:
    from gco_agent.loop.verify import Answer

    counts = {answer: sum(one.answer is answer for one in found) for answer in Answer}
    return {
        "run": view.ref.branch,
        "holds": counts[Answer.HOLDS],
        "differs": counts[Answer.DIFFERS],
        "incomparable": counts[Answer.INCOMPARABLE],
        "seconds": round(seconds, 2),
        "claims": [_claim_json(one) for one in found],
    }


def _claim_json(found: Verified) -> dict[str, Any]:
    facts, first, played = found.claim.facts, found.first, found.played
    keys = ("what", "claimed", "here")
    return {
        "iteration": facts.iteration,
        "verdict": facts.verdict.value,
        "commit": found.claim.commit,
        "answer": found.answer.name.lower(),
        "mean_return": facts.return_mean,
        "seeds": facts.seeds,
        "protocol": facts.protocol,
        "digest": facts.digest,
        "claimed_in": found.claim.made_in,
        "played_in": found.played_in,
        "played_mean_return": played.mean_return if played else None,
        "played_digest": played.digest if played else None,
        "differences": [{key: getattr(one, key) for key in keys} for one in found.differences],
        "first_difference": first
        and {key: getattr(first, key) for key in ("what", "seed", "step", "claimed", "here")},
    }


def _print_sum(data: dict[str, Any], found: list[Verified]) -> None:
    levels = {one.played_in["jail"] for one in found if one.played_in.get("jail")}
    holds = "holds" if data["holds"] == 1 else "hold"
    parts = [f"of {count(len(found), 'claim')} of {data['run']}, {data['holds']} {holds}"]
    if data["differs"]:
        parts.append(f"{data['differs']} {'differs' if data['differs'] == 1 else 'differ'}")
    if data["incomparable"]:
        parts.append(f"{data['incomparable']} cannot be compared")
    jails = f", jail {' and '.join(sorted(levels))}" if levels else ""
    click.echo(f"{', '.join(parts)} ({duration(data['seconds'])}{jails})")
