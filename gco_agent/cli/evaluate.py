"""``eval``, ``verify`` and ``card``: what a policy scores, and whether what is claimed holds."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gco_agent.cli.context import CliContext, Target, find_run, pick_seeds
from gco_agent.cli.display import open_display
from gco_agent.cli.look import evaluation_json
from gco_agent.cli.options import (
    Given,
    all_of,
    command,
    env_option,
    executor_option,
    file_option,
    max_steps_option,
    number_option,
    objects_option,
    play_options,
    protocol_option,
    target_argument,
)
from gco_agent.cli.output import Column, count, duration, echo, print_table, say, score_text
from gco_agent.core.errors import NotARun, UsageError
from gco_agent.core.events import Playing
from gco_agent.core.seeds import Stream, format_seeds
from gco_agent.core.text import clean_line, format_points, format_score
from gco_agent.loop import checks

if TYPE_CHECKING:
    from gco_agent.core.records import Evaluation
    from gco_agent.loop.verify import Difference, Verified
    from gco_agent.report.robustness import Line
    from gco_agent.store.run import Runs
    from gco_agent.store.view import RunView

_EPISODES = 30
_MOST_FAILURES = 3


@command(
    "gco-agent eval                              the policy of the run that is checked out",
    "gco-agent eval policies/pong.py --episodes 100",
    "gco-agent eval HEAD~3                       that run, three iterations ago",
    "gco-agent eval main:policies/pong.py --seeds 0:30 --json",
    "gco-agent eval my.py --env gco/Pong-v5 --max-steps 2000",
    name="eval",
)
@target_argument
@all_of(
    number_option(
        "--episodes", help=f"How many episodes, on the first report seeds.  [default: {_EPISODES}]"
    ),
    click.option(
        "--seeds", "seed_text", metavar="A:B", help="Play the plain seeds A to B - 1 instead."
    ),
    env_option,
    protocol_option,
    objects_option,
    max_steps_option,
    play_options,
    executor_option,
)
@click.pass_context
def evaluate(context: click.Context, /, target: str | None, **given: Given) -> None:
    """Play a policy and print what it scores.

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
    if given["seed_text"] is not None and given["episodes"] is not None:
        raise UsageError("--episodes and --seeds exclude each other: --seeds A:B plays B - A")
    n = pick_seeds(None, range(given["episodes"] or _EPISODES))
    seeds = pick_seeds(given["seed_text"], Stream.REPORT.seeds(0, len(n)))
    wanted = place.find_target(target)
    protocol = place.protocol_of(
        wanted, given["env_id"], given["max_steps"], given["protocol"], given["objects"]
    )
    played, jail, seconds = place.play(wanted, seeds, protocol)
    data = {
        "policy": wanted.name,
        "policy_sha256": wanted.source.digest,
        **evaluation_json(played),
        "episodes": len(played.episodes),
        "seeds": format_seeds(seeds),
        "failures": _failures_json(played),
        "protocol": played.protocol,
        "jail": jail,
        "digest": played.digest,
        "seconds": round(seconds, 2),
        "steps_per_second": round(played.n_steps / seconds),
    }
    place.emit(data, lambda: _print_score(data))
    if not played.is_valid:
        context.exit(2)


def _failures_json(played: Evaluation) -> list[dict[str, Any]]:
    return [
        {"seed": e.seed, "step": e.n_steps, "outcome": e.outcome.value, "detail": e.detail}
        for e in played.failures
    ]


def _print_score(data: dict[str, Any]) -> None:
    failures = data["failures"]
    if failures:
        say(f"no score: the policy failed in {len(failures)} of {data['episodes']} episodes")
        for failure in failures[:_MOST_FAILURES]:
            say(f"  seed {failure['seed']}, step {failure['step']}: {failure['outcome']}")
            say("\n".join(f"    {line}" for line in failure["detail"].splitlines()))
        if len(failures) > _MOST_FAILURES:
            say(f"  and {len(failures) - _MOST_FAILURES} more")
    else:
        low, high = min(data["returns"]), max(data["returns"])
        say(f"mean return {score_text(data)}")
        spread = f"; returns from {low:g} to {high:g}" if low < high else ""
        say(f"  {count(data['episodes'], 'episode')}, seeds {data['seeds']}{spread}")
    say(f"  policy {data['policy']}")
    say(f"  protocol {data['protocol']}")
    say(
        f"  jail {data['jail'] or 'not reached'}, {duration(data['seconds'])}, "
        f"{data['steps_per_second']:,} steps/s, digest of all actions {data['digest']}"
    )


# Verify


@command(
    "gco-agent verify                    the policy in force of the run that is checked out",
    "gco-agent verify 7                  its iteration 7",
    "gco-agent verify gco/pong/first     the policy in force of a run",
    "gco-agent verify --all              every commit of the run that is checked out",
    "gco-agent verify --all gco/pong/first --require-jail strong --json",
)
@target_argument
@click.option("--all", "is_all", is_flag=True, help="Verify every commit; TARGET is a run then.")
@all_of(play_options, executor_option)
@click.pass_context
def verify(context: click.Context, /, target: str | None, *, is_all: bool) -> None:
    """Play again what commits claim, and compare every digit.

    TARGET is a run, a git revision or the number of an iteration; for a file, see `gco-agent
    eval`. A claim holds if every number of the message and every episode of its evidence come out
    as they stand there; it differs, and then the first seed and step are named; or it cannot be
    compared, because a part of the protocol is different here, or because something is missing
    that it takes to play it again. Unless all hold, the exit code is 2.

    \b
    JSON: run, holds, differs, incomparable (how many), seconds, claims:
    [iteration, verdict, commit, answer, mean_return, seeds, protocol, digest,
    claimed_in, played_in (jail, python, machine), played_mean_return,
    played_digest, differences: [what, claimed, here], first_difference:
    {what, seed, step, claimed, here} or null].
    """  # noqa: D301 - click wants the character
    from gco_agent.loop.verify import Answer, Verifier, read_claims

    place: CliContext = context.obj
    if target is not None and place.path(target).is_file():
        raise UsageError(
            f"{target} is a file, and only commits make claims that can be verified. "
            f"`gco-agent eval {target}` plays it on the first report seeds, to be compared with "
            "its docstring; `gco-agent verify RUN` plays what a run claims"
        )
    view, rev = _find_claims(place.runs(), target, is_all=is_all)
    claims = read_claims(view, None if is_all else rev or view.standing.commit)
    config = checks.read_config(view)
    rules = (checks.rules_here(config.selection_protocol), checks.rules_here(config.protocol))
    begun, found = time.perf_counter(), []
    with open_display() as display, place.open_workers() as pool:
        verifier = Verifier(pool, place.jail_level)
        for claim in claims:
            watch = _watch(display, f"iteration {claim.facts.iteration}")
            found.append(verifier.verify(claim, rules, watch))
            if not place.as_json:
                _print_claim(found[-1])
    counts = {answer: sum(one.answer is answer for one in found) for answer in Answer}
    data = {
        "run": view.ref.branch,
        "holds": counts[Answer.HOLDS],
        "differs": counts[Answer.DIFFERS],
        "incomparable": counts[Answer.INCOMPARABLE],
        "seconds": round(time.perf_counter() - begun, 2),
        "claims": [_claim_json(one) for one in found],
    }
    place.emit(data, lambda: _print_sum(data, found))
    if counts[Answer.HOLDS] < len(found):
        context.exit(2)


def _find_claims(runs: Runs, target: str | None, *, is_all: bool) -> tuple[RunView, str | None]:
    """Return the run that is meant, and the revision in it; None for the policy in force."""
    if target is None or is_all:
        return runs.view(find_run(runs, target)), None
    try:
        return runs.view(runs.find(target)), None
    except NotARun:
        pass  # no run has that name: it is a revision
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
    raise UsageError(f"{target} is no commit of any run; `gco-agent log RUN` lists those of one")


def _watch(display: Callable[[Playing], None], what: str) -> Callable[[int, int], None]:
    return lambda done, n: display(Playing(what, done, n))


def _print_claim(found: Verified) -> None:
    facts = found.claim.facts
    score = format_score(facts.return_mean, facts.return_se)
    episodes = clean_line(f"{count(facts.episodes or 0, 'episode')}, {facts.seeds}")
    say(
        f"iteration {facts.iteration:<4} {facts.verdict:<11} {score:>16} ({episodes})  "
        f"{found.answer.value}"
    )
    for difference in found.differences:
        say(f"    {_difference_text(difference)}")
    if found.first is not None:
        say(f"    first difference: {_difference_text(found.first)}")
    if found.played is not None and (found.differences or found.first):
        for name, there in found.claim.made_in.items():
            here = found.played_in.get(name, "none")
            if there != here:
                say(f"    it was claimed under {name} {clean_line(there)}; here is {here}")


def _difference_text(difference: Difference) -> str:
    where = "" if difference.seed is None else f"seed {difference.seed}, "
    where += "" if difference.step is None else f"step {difference.step}, "
    claimed, here = (_value_text(v, difference.what) for v in (difference.claimed, difference.here))
    return clean_line(f"{where}{difference.what}: {claimed} claimed, {here} here")


def _value_text(value: object, what: str) -> str:
    if value is None:
        return "the end of the episode" if what == "action" else "nothing"
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _claim_json(found: Verified) -> dict[str, Any]:
    facts, first, played = found.claim.facts, found.first, found.played
    return {
        "iteration": facts.iteration,
        "verdict": facts.verdict,
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
        "differences": [
            {"what": d.what, "claimed": d.claimed, "here": d.here} for d in found.differences
        ],
        "first_difference": first,
    }


def _print_sum(data: dict[str, Any], found: list[Verified]) -> None:
    levels = {one.played_in["jail"] for one in found if one.played_in.get("jail")}
    counts = [f"{data['holds']} {'holds' if data['holds'] == 1 else 'hold'}"]
    if data["differs"]:
        counts.append(f"{data['differs']} {'differs' if data['differs'] == 1 else 'differ'}")
    if data["incomparable"]:
        counts.append(f"{data['incomparable']} cannot be compared")
    jails = f", jail {' and '.join(sorted(levels))}" if levels else ""
    lead = f"of {count(len(found), 'claim')} of {data['run']}, "
    say(f"{lead}{', '.join(counts)} ({duration(data['seconds'])}{jails})")


# Card


@command(
    "gco-agent card                                     the policy of the run here",
    "gco-agent card policies/pong.py --episodes 20 --picture pong-card.svg",
    "gco-agent card HEAD~3 --json",
)
@target_argument
@all_of(
    number_option(
        "--episodes",
        least=2,
        default=10,
        help="Episodes under each condition, on the first report seeds.",
    ),
    file_option("--picture", help="Also draw the card (.svg, .png or .pdf)."),
    max_steps_option,
    env_option,
    play_options,
)
@click.pass_obj
def card(
    place: CliContext, /, target: str | None, episodes: int, picture: Path | None, **given: Given
) -> None:
    """Play a policy under harder conditions and print what is left of its score.

    TARGET is as for eval. The conditions: sticky actions 0 and 0.25, starts after up to 30 frames
    of doing nothing, frame skip 3 and 5, ALE's other difficulties and modes, objects displaced by
    1 and 2 pixels (velocities with them), objects missed in 5 % and 20 % of the steps. In an
    environment that is not an Atari game: sticky actions 0.25, every number of an observation off
    by 1 % and 5 %, the observation before instead of the present one in 5 % and 20 % of the steps.
    Every condition is played on the same seeds; the change is against the first line, paired by
    seed, ± standard error. A condition under which the policy fails has no score.

    \b
    JSON: policy, episodes, seeds, picture (null for none), conditions: [name,
    mean_return, standard_error, confidence_interval (95 %), change, change_se,
    returns, failures, protocol].
    """  # noqa: D301 - click wants the character
    from gco_agent.report.pictures import draw_card, require_picture

    path = None if picture is None else place.path(picture)
    if path is not None:
        require_picture(path)
    wanted = place.find_target(target)
    lines = _measure(place, wanted, episodes, given)
    if path is not None:
        draw_card(lines, f"{wanted.name}, {episodes} episodes a row", path)
    seeds = Stream.REPORT.label(0, episodes)
    data = {
        "policy": wanted.name,
        "episodes": episodes,
        "seeds": seeds,
        "picture": path,
        "conditions": [_line_json(line) for line in lines],
    }

    def text() -> None:
        columns = [
            Column("condition"),
            Column("mean return", "right"),
            Column("95 % interval", "right", 1),
            Column("change", "right"),
        ]
        heading = f"{clean_line(wanted.name)}: {episodes} episodes a line, seeds {seeds}"
        print_table(columns, [_cells(line) for line in lines], heading=heading)
        if path is not None:
            echo(str(path))

    place.emit(data, text)


def _measure(place: CliContext, target: Target, episodes: int, given: dict[str, Any]) -> list[Line]:
    from gco_agent.report.robustness import conditions, measure

    found = conditions(place.protocol_of(target, given["env_id"], given["max_steps"]))
    what = f"{target.name} under {len(found)} conditions"
    with open_display() as display, place.open_workers() as pool:
        watch = _watch(display, what)
        watch(0, len(found) * episodes)
        seeds = Stream.REPORT.seeds(0, episodes)
        return list(measure(target.source, found, seeds, pool, place.jail_level, watch=watch))


def _line_json(line: Line) -> dict[str, Any]:
    played, change = line.evaluation, line.change
    return {
        "name": line.name,
        **evaluation_json(played),
        "change": change.mean if change else None,
        "change_se": change.standard_error if change else None,
        "failures": _failures_json(played),
        "protocol": played.protocol,
    }


def _cells(line: Line) -> tuple[str, str, str, str]:
    played, change = line.evaluation, line.change
    if played.is_valid:
        score = format_score(played.mean_return, played.standard_error)
    else:
        score = f"failed in {len(played.failures)} of {len(played.episodes)}"
    between = " to ".join(map(format_points, line.interval)) if line.interval else ""
    told = format_score(change.mean, change.standard_error, "+") if change else ""
    return line.name, score, between, told
