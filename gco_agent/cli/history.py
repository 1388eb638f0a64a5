"""``bisect`` and ``fork``: what a run could do when, and another run from there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from gco_agent.cli import options as o
from gco_agent.cli.completion import complete_runs
from gco_agent.cli.context import CliContext, pick_seeds
from gco_agent.cli.display import open_display
from gco_agent.cli.options import Given, command, flag, option
from gco_agent.cli.output import Column, Result, count, print_table, say
from gco_agent.core.seeds import Stream, format_seeds
from gco_agent.core.text import format_score

if TYPE_CHECKING:
    from gco_agent.loop.bisect import Bisection

_EPISODES, _MOST = 8, 1_000


@command(
    o.run_argument,
    option("--skill", metavar="EXPR", required=True),
    flag("--scan"),
    o.seeds_option(),
    o.max_steps_option,
    o.play_options,
)
def bisect(place: CliContext, /, skill: str, *, scan: bool, **given: Given) -> Result:
    """Find the commit of a run that won or lost a skill."""
    from gco_agent.loop.bisect import bisect as find_change
    from gco_agent.loop.bisect import parse_skill
    from gco_agent.loop.checks import read_config, rules_here

    wanted = parse_skill(skill, place.directory)
    seeds = pick_seeds(given["seed_text"], Stream.FEEDBACK.seeds(0, _EPISODES), _MOST)
    view = place.view()
    rules = rules_here(read_config(view).protocol)
    limited = replace(rules, max_steps=min(rules.max_steps, given["max_steps"] or rules.max_steps))
    with open_display() as display, place.players.judge(limited) as judge:
        found = find_change(view, wanted, judge, rules, seeds, display, scan=scan)
    data = {
        "run": view.ref.branch,
        "skill": found.skill,
        "seeds": format_seeds(seeds),
        "policies": found.policies,
        "is_scan": found.is_scan,
        "tested": found.tested,
        "changes": found.changes,
    }
    return Result(data, lambda: _print(found, view.ref.branch))


def _print(found: Bisection, branch: str) -> None:
    rows = [
        [
            "by hand" if one.iteration is None else str(one.iteration),
            "yes" if one.has_skill else "no",
            format_score(one.mean_return, None) if one.mean_return is not None else "failed",
            one.summary,
        ]
        for one in found.tested
    ]
    columns = [*Column.row("it>|skill|return>"), Column("summary", text="cut")]
    print_table(columns, rows)
    for change in found.changes:
        word = "won" if change.has_skill else "lost"
        say(f"{word} in iteration {change.iteration}, commit {change.commit[:9]}: {change.summary}")
        say(f"  gco-agent show {branch} {change.commit[:9]}")
    is_whole = len(found.tested) == found.policies
    if not found.changes:
        has = found.tested[0].has_skill
        if is_whole:
            say(f"every policy {'has' if has else 'lacks'} it")
        else:
            say(f"the first and the last policy {'have' if has else 'lack'} it: try --scan")
    elif not is_whole:
        say(
            f"{len(found.tested)} of {found.policies} policies were played, assuming that there is "
            "one change; --scan plays all"
        )


@command(
    click.argument("names", nargs=-1, metavar="[RUN] [REV]", shell_complete=complete_runs),
    option("--name", required=True),
    o.json_option,
)
def fork(place: CliContext, /, names: tuple[str, ...], name: str) -> Result:
    """Start another run from an iteration of a run, with all that its optimizer remembers."""
    rev = place.run_and_rev(names)
    ref = place.runs().fork(place.ref(), rev, name)
    view = place.runs().view(ref)
    data = {
        "run": ref.branch,
        "forked_from": place.ref().branch,
        "commit": view.tip,
        "iterations": view.n_iterations,
    }
    lines = (
        f"{ref.branch}: {count(view.n_iterations, 'iteration')} of {data['forked_from']}, "
        f"commit {view.tip[:9]}\n  gco-agent step {ref.branch}"
    )
    return Result(data, lines)
