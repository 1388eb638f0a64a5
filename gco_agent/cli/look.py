"""Commands that look at runs, and ``fork``, which starts another from an iteration of one."""

from __future__ import annotations

import contextlib
import csv
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gco_agent.cli import options as o
from gco_agent.cli.context import CliContext, pick_seeds
from gco_agent.cli.display import PlainDisplay, open_display
from gco_agent.cli.options import Given, command, flag, number, option
from gco_agent.cli.output import (
    VERDICT_STYLES,
    Column,
    Result,
    age,
    count,
    duration,
    echo,
    evaluation_json,
    fit,
    pick,
    print_json,
    print_table,
    races_note,
    results_stream,
    say,
    score_json,
    sparkline,
    tell,
)
from gco_agent.cli.run import interval_in
from gco_agent.core.errors import NotARun, StoreError, UsageError
from gco_agent.core.records import Usage, Verdict
from gco_agent.core.seeds import Stream, format_seeds
from gco_agent.core.statistics import confidence_interval
from gco_agent.core.text import (
    clean_line,
    clean_text,
    count_changes,
    difference,
    format_points,
    format_score,
)

if TYPE_CHECKING:
    from gco_agent.loop.bisect import Bisection
    from gco_agent.loop.budget import Budget
    from gco_agent.report.comparison import Comparison
    from gco_agent.store.control import Status
    from gco_agent.store.entries import RunRef
    from gco_agent.store.git import GitRepo
    from gco_agent.store.view import Details, OptimizerStats, RunSummary, RunView, Step, Trial

_FORMULA = ("=", "+", "-", "@", "\t")
_COUNTED = "gain gain_se pairs loc cyclomatic nested_if"
_DIFF_STYLES = {"+": "green", "-": "red", "@": "cyan", " ": ""}
_POLL_S = 0.5
_TRACE_EPISODES, _BISECTED, _MOST_TRACED, _TRACE_STEPS = 8, 8, 1_000, 4_500


@command(o.json_option)
def runs(place: CliContext, /) -> Result:
    """List the runs of the repository, the one that advanced last first."""
    from gco_agent.store.control import live_runs

    repo, there = place.repository(), place.runs()
    head, live = repo.head_branch(), live_runs(repo.common_dir)
    data = [
        {**_summary_json(row), "checked_out": head == str(row.ref), "running": row.ref in live}
        for row in (there.view(ref).summary() for ref in there.list())
    ]
    if not data:
        return Result(data, "There is no run here. Start one with `gco-agent run GAME`.")

    def text() -> None:
        headings = "<9|run|iterations>1|accepted>3|return>|optimizer<2|seed>5|age>4"
        headings += "|tokens>6|$>3" * (is_paid := any(row["tokens"] or row["usd"] for row in data))
        now = datetime.now(UTC)
        rows = [
            (
                "*" if row["checked_out"] else "",
                row["run"] + (" (running)" if row["running"] else ""),
                _number(row["iterations"]),
                _number(row["accepted"]),
                format_score(row["mean_return"], row["standard_error"]),
                row["optimizer"] or "",
                _number(row["seed"], ""),
                age(now - datetime.fromisoformat(row["updated"])) if row["updated"] else "",
                *((f"{row['tokens']:,}", f"{row['usd']:.2f}") if is_paid else ()),
            )
            for row in data
        ]
        print_table(Column.row(headings), rows)
        for row in data:
            if row["problem"]:
                say(f"{row['run']}: {row['problem']}")

    return Result(data, text)


def _number(value: float | None, form: str = ",") -> str:
    return "" if value is None else format(value, form)


def _summary_json(row: RunSummary) -> dict[str, Any]:
    return {
        "run": row.ref.branch,
        "game": row.ref.game,
        "commit": row.commit,
        **pick(row, "optimizer seed iterations accepted frames tokens usd"),
        **score_json(row.facts, None),
        "updated": row.advanced.isoformat() if row.advanced else "",
        "problem": clean_line(row.error) or None,
    }


@command(o.run_argument, o.json_option, flag("--csv", "as_csv"))
def log(place: CliContext, /, *, as_csv: bool) -> Result:
    """Show the iterations of a run as a table; the policy in force is marked with *."""
    from gco_agent.store.view import optimizer_stats

    if place.as_json and as_csv:
        raise UsageError("--json and --csv exclude each other")
    view = place.view()
    if not place.as_json and not as_csv:  # damaged episodes do not matter to the tables
        return Result(None, lambda: _print_log(view))
    data = {
        "run": view.ref.branch,
        "commit": view.tip,
        "policy_commit": view.standing.commit,
        "seed": view.summary().seed,
        "iterations": (rows := _steps_json(view)),
        "optimizers": optimizer_stats(view.history()),
    }
    return Result(data, lambda: _print_csv(rows))


def _steps_json(view: RunView) -> list[dict[str, Any]]:
    steps, standing = view.history(), view.standing.commit
    return [
        {
            **pick(step, "iteration verdict commit"),
            "in_force": step.commit == standing,
            **score_json(step.facts, interval_in(text, step)),
            **pick(step.facts, f"{_COUNTED} steps cpu_ms_mean frames seconds optimizer"),
            **pick(step.facts, "tokens_in tokens_out usd"),
            "summary": step.summary,
        }
        for step, text in zip(steps, view.evidence_of_all(steps, "evaluation.json"), strict=True)
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


def _print_log(view: RunView) -> None:
    from gco_agent.store.view import optimizer_stats

    history, earned = view.history(), optimizer_stats(view.history())
    is_paid = any(step.facts and step.facts.tokens_in for step in history)
    headings = "|it>|verdict|return>|gain>|LOC>7|CC>8|steps>6|time>5"
    headings += "|tokens>4|$>2" * is_paid + "|by<1" * (len(earned) > 1)
    columns = [*Column.row(headings), Column("summary", text="cut")]
    rows = []
    for step in history:
        number, *cells = _cells(step)
        paid, by = cells[7:9], cells[9:]
        mark = "*" if step.commit == view.standing.commit else ""
        rows.append([mark, number, *cells[:7], *(paid if is_paid else ()),
                     *(by if len(earned) > 1 else ()), step.summary])  # fmt: skip
    styles = [VERDICT_STYLES.get(step.verdict, "") for step in history]
    print_table(columns, rows, heading=_heading(view), styles=styles)
    if note := races_note(history):
        echo(fit(note))
    if len(earned) > 1:
        _print_optimizers(earned)


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
        _number(facts.loc),
        _number(facts.cyclomatic),
        _number(facts.steps),
        "" if facts.seconds is None else duration(facts.seconds),
        f"{tokens:,}" if tokens else "",
        _number(facts.usd, ".4f"),
        facts.optimizer or "",
    ]


def _heading(view: RunView) -> str:
    """Return the run, and a bar chart of the return of the policy in force."""
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
    is_paid = any(row.tokens or row.usd for row in earned)
    headings = "optimizer|iterations>1|candidates>6|accepted>|gain of the accepted>|steps>5|time>4"
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
    columns = Column.row(headings + "|tokens>3|$>2" * is_paid)
    print_table(columns, rows, heading="\nby optimizer")


@command(
    click.argument("names", nargs=-1, metavar="[RUN] [REV]", shell_complete=o.complete_runs),
    o.json_option,
    option("--file", "name", metavar="NAME"),
)
def show(place: CliContext, /, names: tuple[str, ...], name: str | None) -> Result:
    """Show one iteration: the proposal, the scores, the differences."""
    rev = place.run_and_rev(names)
    view = place.view()
    trials = view.trials_of(rev)
    if name is not None:
        text = _read_file(view, trials, name)
        return Result({"name": name, "text": text}, lambda: echo(text, nl=False))
    found = list(zip(trials, view.details(trials), strict=True))
    data = {
        "run": view.ref.branch,
        "iteration": trials[-1].iteration,
        "trials": [_trial_json(view, trial, details) for trial, details in found],
    }

    def print_all() -> None:
        for trial, details in found:
            _print_trial(view, trial, details)

    return Result(data, print_all)


def _read_file(view: RunView, trials: list[Trial], name: str) -> str:
    """Return a file of the evidence, unchanged."""
    from gco_agent.store.view import evidence_folder

    for trial in reversed(trials):
        if name in view.evidence_names(trial.commit, trial.iteration):
            return view.read(evidence_folder(trial.iteration or 0) + name, trial.commit) or ""
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
        **pick(trial, "commit verdict summary in_force"),
        "reason": trial.body,
        **score_json(facts, confidence_interval(returns) if is_whole else None),
        "seed_range": facts.seeds if facts else None,
        **pick(facts, f"{_COUNTED} optimizer seconds"),
        "seeds": [
            {
                "seed": played.seed,
                "return": played.episode_return,
                "steps": played.n_steps,
                **pick(played, "parent_return outcome detail"),
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
    if facts.cpu_ms_mean is not None:
        lines.append(f"{facts.cpu_ms_mean:g} ms of processor time a step")
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
    rows = [
        [
            str(p.seed),
            f"{p.episode_return:g}",
            _number(p.parent_return, "g"),
            _number(p.difference, "+g"),
            f"{p.n_steps:,}",
            p.outcome,
        ]
        for p in details.played
    ]
    echo()
    print_table(Column.row("seed>|return>|parent>|gain>|steps>|outcome"), rows)
    for p in details.played:
        if p.detail:
            say(f"seed {p.seed}:")
            say("\n".join(f"  {line}" for line in clean_text(p.detail).splitlines()))


# Watch


@command(
    o.run_argument,
    flag("--keep"),
    option("--last", kind=o.AtLeast(0, 10_000), default=5),
    o.json_option,
)
def watch(place: CliContext, /, last: int, *, keep: bool) -> None:
    """Follow a run that another process of this machine advances."""
    from gco_agent.store.control import read_status, status_path
    from gco_agent.store.view import RunView

    repo = place.repository()
    ref = _watched(place, repo)
    path = status_path(repo.common_dir, ref.stem)
    status = read_status(path)
    tell(f"{ref.branch}: " + (f"process {status.pid} advances it" if status else "not running"))
    budget, display = None, open_display()
    if status is not None:
        parting = "Ctrl-C stops watching; the run goes on"
        budget = _budget(status)
        display = open_display(budget, status.first, parting)
    follower = _Follower(repo, ref, None if place.as_json else display)
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
    tell(f"{count(RunView(repo, ref).n_iterations, 'iteration')} on {ref.branch}.")


@command(number("--port", least=0, default=0), o.jail_option)
def dashboard(place: CliContext, /, port: int) -> None:
    """Serve a live page of the runs until Ctrl-C."""
    from gco_agent.api import dashboard as serve

    with serve(place.directory, port=port, require=place.jail_level) as server:
        say(f"to look:     {server.url}")
        say(f"to control:  {server.full_url}")
        tell("Ctrl-C ends the page; runs go on.")
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


def _watched(place: CliContext, repo: GitRepo) -> RunRef:
    """Return the run to follow; one that has no commit yet has a status file already."""
    from gco_agent.store.control import live_runs

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
    return place.ref()


class _Follower:
    """Shows the steps of a run that have not been shown; without a display, as lines of JSON."""

    def __init__(self, repo: GitRepo, ref: RunRef, display: PlainDisplay | None) -> None:
        self._repo, self._ref, self._display = repo, ref, display
        self._tip: str | None = None
        self._shown: set[str] = set()

    def catch_up(self, most: int | None = None) -> None:
        """Show what is new, or of that only the last ``most``."""
        from gco_agent.loop.recording import committed_events
        from gco_agent.store.view import RunView

        if self._repo.ref(str(self._ref)) == self._tip:
            return
        view = RunView(self._repo, self._ref)
        fresh = [e for e in committed_events(view) if e.commit not in self._shown]
        shown = fresh[len(fresh) - most :] if most is not None else fresh
        self._tip = view.tip
        self._shown.update(event.commit for event in fresh)
        if self._display is None:
            commits = {event.commit for event in shown}
            for row in _steps_json(view):
                if row["commit"] in commits:
                    print_json(row, indent=None)
            return
        for event in shown:
            self._display(event)


def _budget(status: Status) -> Budget:
    """Return the limits of the process that advances the run."""
    from gco_agent.loop.budget import Budget

    budget = Budget(**asdict(status.limits), started=status.started)
    _update(budget, status)
    return budget


def _update(budget: Budget, status: Status) -> None:
    """Take over what is kept for the end, and what the run has spent by now."""
    from gco_agent.llm.asking import Spending

    budget.reserve_s = status.reserve_s
    spent = Usage(input_tokens=status.tokens, usd=status.usd)
    budget.spending = Spending(budget.usd, budget.tokens, spent=spent)


# Trace


@command(
    o.target_argument,
    o.seeds_option(),
    number("--tokens", least=100, default=6_000),
    number("--max-steps", default=_TRACE_STEPS),
    o.hints_option(None),
    o.env_option,
    o.play_options,
)
def trace(place: CliContext, /, target: str | None, **given: Given) -> Result:
    """Show what a language model is told of a policy's results."""
    from gco_agent.loop.checks import read_config
    from gco_agent.loop.session import read_attempts
    from gco_agent.optimizers.feedback import collect_results, compose_feedback
    from gco_agent.traces.records import trace_json
    from gco_agent.traces.render import estimate_tokens

    default = Stream.FEEDBACK.seeds(0, _TRACE_EPISODES)
    seeds = pick_seeds(given["seed_text"], default, _MOST_TRACED)
    most = given.pop("max_steps")
    wanted = place.find_target(target)
    rules = place.rules_of(wanted, given)
    limited = replace(rules, max_steps=min(rules.max_steps, most))
    view = _traced_run(place, target)
    with open_display() as display, place.players.judge(limited) as judge:
        attempts = read_attempts(view) if view else ()
        results, found = collect_results(judge, wanted.source, attempts, rules, seeds, display)
        hints = given["hints"] or (read_config(view).hints if view else "interface")
        feedback = compose_feedback(replace(results, hints=hints), found, given["tokens"])
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
    return Result(data, lambda: echo(feedback.text, nl=False))


def _traced_run(place: CliContext, target: str | None) -> RunView | None:
    """Return the run, where the target is one and not a file or a single revision."""
    if target is not None and place.path(target).exists():
        return None
    place.run_name = target
    try:
        return place.view()
    except (NotARun, StoreError):
        return None


# Compare

_RANKS = {
    "runs": 1,
    "probability of improvement": 1,
    "frames": 2,
    "mean": 3,
    "iterations": 3,
    "paired by": 3,
    "median": 4,
    "pairs": 4,
    "$": 4,
    "optimality gap": 5,
    "episodes": 5,
    "seed": 6,
}
"""Ranks of columns; a narrow terminal drops the highest first."""
_FORMATS = ("text", "markdown", "latex", "csv", "json")


@command(
    click.argument("names", nargs=-1, metavar="[RUN]...", shell_complete=o.complete_runs),
    option("--format", "form", kind=_FORMATS, default="text"),
    option("-o", "--output", kind=o.OutputFile()),
    o.json_option,
)
def compare(place: CliContext, /, names: tuple[str, ...], form: str, output: Path | None) -> Result:
    """Compare runs by their scores on report seeds."""
    from gco_agent.api import compare as compare_runs
    from gco_agent.report.pictures import require_picture

    path = None if output is None else place.path(output)
    if path is not None:
        require_picture(path, (".html",))
    place.as_json = place.as_json or form == "json"
    found = compare_runs(names, repo=place.directory)
    if path is not None:
        found.report(path)
        tell(f"{path} is written")
    if form in ("markdown", "latex", "csv"):
        return Result(found, lambda: echo(found.table(form)))
    return Result(found, lambda: _print_comparison(found))


def _print_comparison(found: Comparison) -> None:
    for heading, cells in (
        (f"report seeds; aggregates in {found.unit}", found.cells()),
        ("\npairs", found.pair_cells()),
        ("\nruns", found.run_cells()),
    ):
        head, *rows = cells
        columns = [
            Column(name, "right" if i else "left", _RANKS.get(name, 0))
            for i, name in enumerate(head)
        ]
        if rows:
            print_table(columns, rows, heading=heading)


# Bisect and fork


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
    from gco_agent.loop.bisect import parse_skill

    wanted = parse_skill(skill, place.directory)
    seeds = pick_seeds(given["seed_text"], Stream.FEEDBACK.seeds(0, _BISECTED), _MOST_TRACED)
    with open_display() as display:
        run = place.open_run(display)
        found = run.bisect(wanted, seeds=seeds, scan=scan, max_steps=given["max_steps"])
    data = {
        "run": run.name,
        "skill": found.skill,
        "seeds": format_seeds(seeds),
        "policies": found.policies,
        "is_scan": found.is_scan,
        "tested": found.tested,
        "changes": found.changes,
    }
    return Result(data, lambda: _print_bisection(found, run.name))


def _print_bisection(found: Bisection, branch: str) -> None:
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
    click.argument("names", nargs=-1, metavar="[RUN] [REV]", shell_complete=o.complete_runs),
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
