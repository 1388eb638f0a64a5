"""``runs``, ``log``, ``show``, ``watch`` and ``trace``: look at runs."""

from __future__ import annotations

import csv
import math
import re
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import click

from gco_agent.cli.context import CliContext, find_shown, pick_seeds, status_file
from gco_agent.cli.options import (
    AtLeast,
    Given,
    all_of,
    command,
    env_option,
    hidden_run_option,
    hints_option,
    json_option,
    number_option,
    play_options,
    run_argument,
    target_argument,
)
from gco_agent.cli.output import (
    VERDICT_STYLES,
    Column,
    count,
    duration,
    echo,
    fit,
    outcome_text,
    print_table,
    results_stream,
    say,
    sparkline,
    tell,
)
from gco_agent.cli.run import interval_in, score_json
from gco_agent.core.errors import NotARun, StoreError, UsageError
from gco_agent.core.events import Committed
from gco_agent.core.records import Usage, Verdict
from gco_agent.core.statistics import Gain, confidence_interval
from gco_agent.core.text import clean_line, clean_text, format_points, format_score
from gco_agent.report.details import count_changes, difference
from gco_agent.store.entries import Entry, Facts, RunRef
from gco_agent.store.run import Status, live_runs, read_status
from gco_agent.store.view import (
    Details,
    OptimizerStats,
    RunSummary,
    RunView,
    Step,
    Trial,
    evidence_folder,
    optimizer_stats,
)

if TYPE_CHECKING:
    from gco_agent.core.records import Evaluation
    from gco_agent.loop.budget import Budget
    from gco_agent.store.git import GitRepo

_FORMULA = ("=", "+", "-", "@", "\t")
_COUNTED = ("gain", "gain_se", "pairs", "loc", "cyclomatic", "nested_if")
_DIFF_STYLES = {"+": "green", "-": "red", "@": "cyan", " ": ""}
_NUMBER = re.compile(r"\d{1,6}")  # git never shortens an id below seven digits
_POLL_S = 0.5
_TRACE_EPISODES, _MOST_TRACED, _TRACE_STEPS = 8, 1000, 4_500


@command("gco-agent runs", "gco-agent runs --json | jq -r '.[].run'")
@json_option
@click.pass_obj
def runs(place: CliContext, /) -> None:
    """List the runs of the repository, the one that advanced last first.

    The run that is checked out is marked with *. The return is that of the policy in force.

    \b
    JSON, of each: run, game, commit, checked_out, running, optimizer, seed,
    iterations, accepted, frames, tokens, usd, the keys of a score, updated; problem (why it
    cannot be read, or null).
    """  # noqa: D301 - click wants the character
    repo, all_runs = place.repository(), place.runs()
    head = repo.head_branch()
    live = live_runs(repo.common_dir)
    data = [
        {
            **_summary_json(row),
            "checked_out": head == str(row.ref),
            "running": row.ref in live,
        }
        for row in (all_runs.view(ref).summary() for ref in all_runs.list())
    ]

    def text() -> None:
        if not data:
            say("There is no run here. Start one with `gco-agent run GAME`.")
            return
        columns = (
            Column(""),
            Column("run"),
            Column("iterations", "right", 1),
            Column("accepted", "right", 3),
            Column("return", "right"),
            Column("optimizer", rank=2),
            Column("seed", "right", 5),
            Column("updated", rank=4),
        )
        rows = [
            (
                "*" if row["checked_out"] else "",
                row["run"] + (" (running)" if row["running"] else ""),
                "" if row["iterations"] is None else str(row["iterations"]),
                "" if row["accepted"] is None else str(row["accepted"]),
                format_score(row["mean_return"], row["standard_error"]),
                row["optimizer"] or "",
                "" if row["seed"] is None else str(row["seed"]),
                row["problem"] or row["updated"][:16].replace("T", " "),
            )
            for row in data
        ]
        print_table(columns, rows)

    place.emit(data, text)


def _summary_json(row: RunSummary) -> dict[str, Any]:
    return {
        "run": row.ref.branch,
        "game": row.ref.game,
        "commit": row.commit,
        **{name: getattr(row, name) for name in ("optimizer", "seed", "iterations", "accepted")},
        **{name: getattr(row, name) for name in ("frames", "tokens", "usd")},
        **score_json(row.facts, None),
        "updated": row.advanced.isoformat() if row.advanced else "",
        "problem": clean_line(row.error) or None,
    }


@command(
    "gco-agent log",
    "gco-agent log gco/pong/first",
    "gco-agent log --json | jq '.iterations[].mean_return'",
    "gco-agent log --csv > pong.csv",
)
@all_of(run_argument, json_option)
@click.option(
    "--csv", "as_csv", is_flag=True, help="Print the table as CSV, with its numbers bare."
)
@click.pass_obj
def log(place: CliContext, /, *, as_csv: bool) -> None:
    """Show the iterations of a run as a table; the policy in force is marked with *.

    Returns are of the iteration's own candidate, ± standard error; the gain is over the policy it
    was raced against, on the same seeds. LOC are lines of code, CC the cyclomatic complexity. The
    bars above show the return of the policy in force. Where more than one optimizer took part, a
    second table says what each tried, gained and used. A narrow terminal shows fewer columns.

    \b
    JSON: run, commit, policy_commit, seed, iterations: [iteration, verdict,
    commit, in_force, mean_return, standard_error, confidence_interval (95 %),
    episodes, seeds, protocol, gain, gain_se, pairs, loc, cyclomatic, nested_if,
    steps, frames, seconds, optimizer, tokens_in, tokens_out, usd, summary],
    optimizers: [optimizer, iterations, candidates, accepted, gain (sum of the
    accepted, in points an episode), tokens, usd, steps, seconds].
    CSV: the columns of these, except the interval.
    """  # noqa: D301 - click wants the character
    if place.as_json and as_csv:
        raise UsageError("--json and --csv exclude each other")
    view = place.shown_view()
    if as_csv:
        _print_csv(_steps_json(view))
        return
    earned = optimizer_stats(view.history())
    if not place.as_json:
        _print_log(view, has_several=len(earned) > 1)
        if len(earned) > 1:
            _print_optimizers(earned)
        return
    seed = view.summary().seed
    data = {
        "run": view.ref.branch,
        "commit": view.tip,
        "policy_commit": view.standing.commit,
        "seed": seed,
        "iterations": _steps_json(view),
        "optimizers": [asdict(row) for row in earned],
    }
    place.emit(data, lambda: None)


def _steps_json(view: RunView) -> list[dict[str, Any]]:
    steps = view.history()
    texts = view.evidence_of_all(steps, "evaluation.json")
    standing = view.standing.commit
    own = (*_COUNTED, "steps", "frames", "seconds", "optimizer", "tokens_in", "tokens_out", "usd")
    return [
        {
            "iteration": step.iteration,
            "verdict": step.verdict,
            "commit": step.commit,
            "in_force": step.commit == standing,
            **score_json(step.facts, interval_in(text, step)),
            **{name: getattr(step.facts, name, None) for name in own},
            "summary": step.summary,
        }
        for step, text in zip(steps, texts, strict=True)
    ]


def _print_csv(rows: list[dict[str, Any]]) -> None:
    """Print a row per iteration and a column per key of the JSON."""
    for row in rows:
        del row["confidence_interval"]
        if row["summary"].startswith(_FORMULA):  # a spreadsheet would run it
            row["summary"] = "'" + row["summary"]
    writer = csv.DictWriter(results_stream(), fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


def _print_log(view: RunView, *, has_several: bool) -> None:
    history, standing = view.history(), view.standing.commit
    is_paid = any(step.facts and step.facts.tokens_in for step in history)
    columns = [
        Column(""),
        Column("it", "right"),
        Column("verdict"),
        Column("return", "right"),
        Column("gain", "right"),
        Column("LOC", "right", 7),
        Column("CC", "right", 8),
        Column("steps", "right", 6),
        Column("time", "right", 5),
    ]
    if is_paid:
        columns += [Column("tokens", "right", 4), Column("$", "right", 2)]
    if has_several:
        columns.append(Column("by", rank=1))
    columns.append(Column("summary", text="cut"))
    rows = []
    for step in history:
        cells = _cells(step)
        used = [*cells[:8], *(cells[8:10] if is_paid else ()), *(cells[10:] if has_several else ())]
        rows.append(["*" if step.commit == standing else "", *used, step.summary])
    styles = [VERDICT_STYLES.get(step.verdict, "") for step in history]
    print_table(columns, rows, heading=_heading(view), styles=styles)


def _cells(step: Step) -> list[str]:
    facts = step.facts
    if facts is None:
        return ["", step.verdict, *[""] * 9]
    tokens = (facts.tokens_in or 0) + (facts.tokens_out or 0)
    return [
        str(facts.iteration),
        facts.verdict,
        format_score(facts.return_mean, facts.return_se),
        "" if facts.gain is None else format_score(facts.gain, facts.gain_se, "+"),
        "" if facts.loc is None else str(facts.loc),
        "" if facts.cyclomatic is None else str(facts.cyclomatic),
        "" if facts.steps is None else f"{facts.steps:,}",
        "" if facts.seconds is None else duration(facts.seconds),
        f"{tokens:,}" if tokens else "",
        "" if facts.usd is None else f"{facts.usd:.4f}",
        facts.optimizer or "",
    ]


def _heading(view: RunView) -> str:
    """Return the run, and bars of how the return of the policy in force went."""
    measured = [  # a report is on other seeds, and of longer episodes
        step.facts.return_mean
        for step in view.history()
        if step.facts
        and step.facts.verdict.is_kept
        and step.facts.verdict is not Verdict.REPORTED
        and step.facts.return_mean is not None
    ]
    heading = f"{view.ref.branch}, commit {view.tip[:9]}"
    if len(measured) > 1:
        first, last = (format_points(value) for value in (measured[0], measured[-1]))
        heading += f"\nreturn {sparkline(measured)} {first} to {last}"
    return heading


def _print_optimizers(earned: Sequence[OptimizerStats]) -> None:
    columns = [
        Column("optimizer"),
        Column("iterations", "right", 1),
        Column("candidates", "right", 6),
        Column("accepted", "right"),
        Column("gain of the accepted", "right"),
        Column("steps", "right", 5),
        Column("time", "right", 4),
    ]
    is_paid = any(row.tokens or row.usd for row in earned)
    if is_paid:
        columns += [Column("tokens", "right", 3), Column("$", "right", 2)]
    rows = [
        [
            row.optimizer,
            f"{row.iterations:,}",
            f"{row.candidates:,}",
            f"{row.accepted:,}",
            format_points(row.gain, "+") if row.accepted else "",
            f"{row.steps:,}",
            duration(row.seconds),
            *((f"{row.tokens:,}", f"{row.usd:.4f}") if is_paid else ()),
        ]
        for row in earned
    ]
    print_table(columns, rows, heading="\nby optimizer")


@command(
    "gco-agent show                  the last iteration of the run that is checked out",
    "gco-agent show 7",
    "gco-agent show gco/pong/first 7",
    "gco-agent show 7 --file evaluation.json",
    "gco-agent show 7 --json | jq '.trials[0].seeds'",
)
@click.argument("names", nargs=-1, metavar="[RUN] [REV]")
@all_of(hidden_run_option, json_option)
@click.option(
    "--file", "name", metavar="NAME", help="Print one file of the iteration's evidence instead."
)
@click.pass_obj
def show(place: CliContext, /, names: tuple[str, ...], name: str | None) -> None:
    """Show one iteration whole: what was tried and why, what it scored, what changed in the code.

    REV is the number of an iteration, or any revision of the run. An iteration may have tried
    several candidates; each is shown. Differences are to the policy that it was raced against.

    \b
    JSON: run, iteration, trials: [commit, verdict, summary, reason, in_force, the
    keys of a score, gain, gain_se, pairs, loc, cyclomatic, nested_if, optimizer,
    seconds, seeds: [seed, return, parent_return, steps, outcome, detail],
    difference (unified), policy, feedback, evidence (names of files)].
    """  # noqa: D301 - click wants the character
    rev = place.run_and_rev(names)
    view = place.shown_view()
    trials = view.trials_of(rev)
    if name is not None:
        _print_file(view, trials, name)
        return
    details = list(view.details(trials))
    if not place.as_json:
        for trial, detail in zip(trials, details, strict=True):
            _print_trial(view, trial, detail)
        return
    found = [_trial_json(view, t, d) for t, d in zip(trials, details, strict=True)]
    data = {"run": view.ref.branch, "iteration": trials[-1].iteration, "trials": found}
    place.emit(data, lambda: None)


def _print_file(view: RunView, trials: list[Trial], name: str) -> None:
    """Print a file of the evidence, unchanged."""
    for trial in reversed(trials):
        if name in view.evidence_names(trial.commit, trial.iteration):
            text = view.read(evidence_folder(trial.iteration or 0) + name, trial.commit)
            echo(text or "", nl=False)
            return
    kept = ", ".join(view.evidence_names(trials[-1].commit, trials[-1].iteration)) or "none"
    raise UsageError(f"that iteration has no file {name!r}; its files: {kept}")


def _trial_json(view: RunView, trial: Trial, details: Details) -> dict[str, Any]:
    facts = trial.facts
    returns = [seed.episode_return for seed in details.played]
    is_whole = (
        facts is not None and len(returns) == facts.episodes and facts.return_mean is not None
    )
    lines = [] if details.after is None else difference(details.before, details.after)
    return {
        "commit": trial.commit,
        "verdict": trial.verdict,
        "summary": trial.summary,
        "reason": trial.body,
        "in_force": trial.in_force,
        **score_json(facts, confidence_interval(returns) if is_whole else None),
        "seed_range": facts.seeds if facts else None,
        **{name: getattr(facts, name, None) for name in (*_COUNTED, "optimizer", "seconds")},
        "seeds": [
            {
                "seed": played.seed,
                "return": played.episode_return,
                "parent_return": played.parent_return,
                "steps": played.n_steps,
                "outcome": played.outcome,
                "detail": played.detail,
            }
            for played in details.played
        ],
        "difference": "".join(f"{line}\n" for line in lines),
        "policy": details.after,
        "feedback": details.feedback,
        "evidence": view.evidence_names(trial.commit, trial.iteration),
    }


def _print_trial(view: RunView, trial: Trial, details: Details) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(
        file=results_stream(), highlight=False, markup=False, emoji=False, soft_wrap=True
    )
    number = "a commit by hand" if trial.iteration is None else f"iteration {trial.iteration}"
    style = VERDICT_STYLES.get(trial.verdict, "")
    console.print(f"{view.ref.branch}, {number}: {trial.verdict}", style=f"bold {style}".strip())
    say(clean_line(trial.summary))
    for line in _facts(trial):
        say(f"  {line}")
    if trial.body:
        say(f"\n{trial.body}")
    _print_seeds(details)
    echo()
    lines = [] if details.after is None else difference(details.before, details.after)
    if details.after is None:
        say("No candidate: nothing was changed.")
    elif not lines:
        say("The text is the same.")
    else:
        added, removed = count_changes(lines)
        console.print(f"{added} lines added, {removed} removed", style="bold")
    for line in lines:
        kind, text = line[0], line[1:]
        indent = text[: len(text) - len(text.lstrip(" "))]
        console.print(Text(f"{kind}{indent}{clean_line(text)}", style=_DIFF_STYLES[kind]))
    if details.feedback:
        console.print("\nwhat the optimizer was told", style="bold")
        echo(clean_text(details.feedback))
    if files := view.evidence_names(trial.commit, trial.iteration):
        console.print(fit(f"\nevidence: {', '.join(files)}"), style="dim")


def _facts(trial: Trial) -> list[str]:
    facts = trial.facts
    lines = [f"commit {trial.commit}" + (", in force" if trial.in_force else "")]
    if facts is None:
        return lines
    if facts.return_mean is not None:
        of = f" ({facts.episodes} episodes, {facts.seeds})" if facts.episodes else ""
        lines.append(f"return {format_score(facts.return_mean, facts.return_se)}{of}")
    if facts.gain is not None:
        gain = format_score(facts.gain, facts.gain_se, "+")
        lines.append(f"gain {gain} over the policy it was raced against, {facts.pairs} pairs")
    if facts.loc is not None:
        lines.append(
            f"{facts.loc} lines of code, cyclomatic complexity {facts.cyclomatic}, "
            f"ifs nested {facts.nested_if} deep"
        )
    if facts.tokens_in or facts.usd:
        price = "" if facts.usd is None else f", ${facts.usd:.4f}"
        lines.append(f"{facts.tokens_in or 0:,} tokens in, {facts.tokens_out or 0:,} out{price}")
    if facts.protocol:
        lines.append(f"protocol {facts.protocol}")
    return lines


def _print_seeds(details: Details) -> None:
    """Print a row per seed: the candidate's return, the other policy's, their difference."""
    if not details.played:
        return
    echo()
    columns = [Column(h, "right") for h in ("seed", "return", "parent", "gain", "steps")]
    rows = [
        [
            str(p.seed),
            f"{p.episode_return:g}",
            "" if p.parent_return is None else f"{p.parent_return:g}",
            "" if p.difference is None else f"{p.difference:+g}",
            f"{p.n_steps:,}",
            outcome_text(p.outcome),
        ]
        for p in details.played
    ]
    print_table([*columns, Column("outcome")], rows)
    for p in details.played:
        if p.detail:
            say(f"seed {p.seed}:")
            say("\n".join(f"  {line}" for line in clean_text(p.detail).splitlines()))


# Watch


@command("gco-agent watch", "gco-agent watch gco/pong/first --keep")
@run_argument
@click.option("--keep", is_flag=True, help="Stay when no process advances the run.")
@click.option(
    "--last",
    type=AtLeast(0, 10_000),
    default=5,
    show_default=True,
    metavar="N",
    help="Iterations before now to show first.",
)
@click.pass_obj
def watch(place: CliContext, /, last: int, *, keep: bool) -> None:
    """Follow a run that another process of this machine advances.

    Shows what `run` and `step` show: a line for every iteration, and what is under way. RUN is by
    default the run that is checked out, or the one that is being advanced. Ends when the other
    process has ended, unless --keep is given; Ctrl-C ends it at any time, and the run goes on.
    """
    repo = place.repository()
    ref = _watched(place, repo)
    path = status_file(repo, ref)
    status = read_status(path)
    tell(f"{ref.branch}: " + (f"process {status.pid} advances it" if status else "not running"))
    budget = _budget(status)
    display = _open_display(status, budget)
    follower = _Follower(repo, ref, display)
    with display:
        follower.catch_up(last)
        while status is not None or keep:
            if status is not None and budget is not None:
                _update(budget, status)
            if status is not None and status.event is not None:
                display(status.event)
            time.sleep(_POLL_S)
            status = read_status(path)
            follower.catch_up()
        follower.catch_up()  # what came between the last look and the end
    if repo.ref(str(ref)) is None:
        tell(f"{ref.branch} was not started: its initial policy was not measured.")
        return
    tell(f"{count(RunView(repo, ref).last_iteration, 'iteration')} on {ref.branch}.")


def _watched(place: CliContext, repo: GitRepo) -> RunRef:
    """Return the run to follow; one that has no commit yet has a status file already."""
    all_runs = place.runs()
    live = list(live_runs(repo.common_dir))
    if place.run_name is not None:
        named = [ref for ref in live if place.run_name in (ref.branch, ref.run_id, ref.game)]
        try:
            return all_runs.find(place.run_name)
        except NotARun:
            if len(named) != 1:
                raise
            return named[0]
    if len(live) == 1:
        return live[0]
    if live and repo.head_branch() not in [str(ref) for ref in live]:
        named_all = ", ".join(ref.branch for ref in live)
        raise NotARun(f"several runs are being advanced: {named_all}. Name one of them.")
    return find_shown(all_runs, None)


class _Follower:
    """Shows the steps of a run that have not been shown."""

    def __init__(self, repo: GitRepo, ref: RunRef, display: Any) -> None:  # noqa: ANN401
        self._repo, self._ref, self._display = repo, ref, display
        self._tip: str | None = None
        self._shown: set[str] = set()

    def catch_up(self, most: int | None = None) -> None:
        """Show what is new, or of that only the last ``most``."""
        if self._repo.ref(str(self._ref)) == self._tip:
            return
        view = RunView(self._repo, self._ref)
        fresh = [e for e in _events(view) if e.commit not in self._shown]
        for event in fresh[len(fresh) - most :] if most is not None else fresh:
            self._display(event)
        self._tip = view.tip
        self._shown.update(event.commit for event in fresh)


def _events(view: RunView) -> list[Committed]:
    """Return the steps of a run as the events of the process that made them."""
    from gco_agent.loop.recording import committed_event

    standing: Facts | None = None
    events = []
    for step in view.history():
        facts = step.facts
        if facts is None:
            continue
        if facts.verdict.is_kept or standing is None:
            standing = facts
        gain = None
        if facts.gain is not None:
            gain = Gain(facts.gain, facts.gain_se, facts.pairs or 0, math.nan)
        entry = Entry(step.subject, step.body, facts)
        events.append(committed_event(standing, entry, step.commit, gain, step.summary))
    return events


def _budget(status: Status | None) -> Budget | None:
    """Return the limits of the process that advances the run."""
    from gco_agent.loop.budget import Budget

    if status is None:
        return None
    budget = Budget(**asdict(status.limits), started=status.started)
    _update(budget, status)
    return budget


def _update(budget: Budget, status: Status) -> None:
    """Take over what is kept for the end, and what the run has spent by now."""
    from gco_agent.llm import Spending

    budget.reserve_s = status.reserve_s
    spent = Usage(input_tokens=status.tokens, usd=status.usd)
    budget.spending = Spending(budget.usd, budget.tokens, spent=spent)


def _open_display(status: Status | None, budget: Budget | None) -> Any:  # noqa: ANN401
    from gco_agent.cli.display import open_display

    if status is None:
        return open_display()
    parting = "Ctrl-C stops watching; the run goes on"
    return open_display(budget, following=status.first, parting=parting)


# Trace


@command(
    "gco-agent trace                           the policy of the run that is checked out",
    "gco-agent trace policies/breakout.py --tokens 3000",
    "gco-agent trace HEAD~3 --seeds 0:4",
    "gco-agent trace my.py --env gco/Pong-v5 --json | jq '.windows[0].steps[0]'",
)
@target_argument
@click.option(
    "--seeds",
    "seed_text",
    metavar="A:B",
    help=f"Play these seeds.  [default: the first {_TRACE_EPISODES} feedback seeds, as a run does]",
)
@all_of(
    number_option(
        "--tokens",
        least=100,
        default=6_000,
        help="Length of the text in tokens, as estimated without a tokenizer.",
    ),
    number_option(
        "--max-steps", default=_TRACE_STEPS, help="Truncate episodes after this many steps."
    ),
    hints_option(None),
    env_option,
    play_options,
)
@click.pass_obj
def trace(place: CliContext, /, target: str | None, **given: Given) -> None:
    """Show what a language model is told of a policy's results.

    Plays the policy, chooses the moments that decided its episodes, and plays these again with
    every call of its components recorded: inputs, output, the lines that ran. TARGET is as for
    `gco-agent eval`. For a run, the text also shows what was tried and not accepted.

    \b
    JSON: policy, policy_sha256, stage, text, tokens, mean_return (null if an
    episode failed), standard_error, confidence_interval (95 %), returns, seeds,
    protocol, jail, notes, ranges, extents, names, windows: [title, is_good, seed,
    event, n_steps, episode_return, failure, steps: [step, lives, objects, values,
    calls: [name, depth, inputs, output, lines, error], action, action_name,
    reward]].
    """  # noqa: D301 - click wants the character
    from gco_agent.cli.display import open_display
    from gco_agent.core.seeds import Stream
    from gco_agent.loop.checks import read_config
    from gco_agent.loop.session import read_attempts
    from gco_agent.optimizers.feedback import collect_results, compose_feedback
    from gco_agent.traces.records import trace_json
    from gco_agent.traces.render import estimate_tokens

    default = Stream.FEEDBACK.seeds(0, _TRACE_EPISODES)
    seeds = pick_seeds(given["seed_text"], default, _MOST_TRACED)
    wanted = place.find_target(target)
    rules = place.protocol_of(wanted, given["env_id"], None)
    limited = replace(rules, max_steps=min(rules.max_steps, given["max_steps"]))
    view = _traced_run(place, target)
    with open_display() as display, place.open_workers() as pool:
        judge = place.judge(pool, limited)
        attempts = read_attempts(view) if view else ()
        results, found = collect_results(judge, wanted.source, attempts, rules, seeds, display)
        hints = given["hints"] or (read_config(view).hints if view else "interface")
        results = replace(results, hints=hints)
        feedback = compose_feedback(results, found, given["tokens"])
    played = results.evaluation
    data = {
        "policy": wanted.name,
        "policy_sha256": wanted.source.digest,
        "stage": feedback.stage,
        "text": feedback.text,
        "tokens": estimate_tokens(feedback.text),
        **evaluation_json(played),
        "protocol": played.protocol,
        **trace_json(feedback.trace),
        "seeds": results.seeds,
        "jail": judge.jail,
    }
    place.emit(data, lambda: echo(feedback.text, nl=False))


def _traced_run(place: CliContext, target: str | None) -> RunView | None:
    """Return the run, where the target is one and not a file or a single revision."""
    if target is not None and place.path(target).exists():
        return None
    place.run_name = target
    try:
        return place.view()
    except (NotARun, StoreError):
        return None


def evaluation_json(played: Evaluation) -> dict[str, Any]:
    """Return the score of an evaluation, by the keys that every command uses."""
    interval = confidence_interval(played.returns) if played.is_valid else None
    return {
        "mean_return": played.mean_return,
        "standard_error": played.standard_error,
        "confidence_interval": list(interval) if interval else None,
        "returns": list(played.returns),
    }
