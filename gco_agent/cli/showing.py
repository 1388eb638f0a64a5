"""``show``: one iteration, whole."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from gco_agent.cli.options import examples, json_option, run_option
from gco_agent.cli.place import CliContext, find_shown
from gco_agent.cli.words import fit, number_with_error, one_line
from gco_agent.core.errors import UsageError

if TYPE_CHECKING:
    from rich.text import Text

    from gco_agent.report.story import Details, Trial
    from gco_agent.store.view import RunView

_NUMBER = re.compile(r"\d{1,6}")  # git never shortens an id below seven digits
_OUTCOMES = {"horizon": "cut here"}
_DIFF_STYLES = {"+": "green", "-": "red", "@": "cyan", " ": ""}


@click.command(
    short_help="Show one iteration whole: reason, scores, differences.",
    epilog=examples(
        "gco-agent show                  the last iteration of the run that is checked out",
        "gco-agent show 7",
        "gco-agent show HEAD~3 --run gco/pong/first",
        "gco-agent show 7 --file evaluation.json",
        "gco-agent show 7 --json | jq '.trials[0].seeds'",
    ),
)
@click.argument("rev", required=False)
@run_option
@click.option(
    "--file", "name", metavar="NAME", help="Print one file of the iteration's evidence instead."
)
@json_option
@click.pass_obj
def show(
    place: CliContext, /, rev: str | None, run_name: str | None, name: str | None, *, as_json: bool
) -> None:
    """Show one iteration whole: what was tried and why, what it scored, what changed in the code.

    REV is the number of an iteration, or any revision of the run. An iteration may have tried
    several candidates; each is shown. Differences are to the policy that it was raced against.

    \b
    JSON: run, iteration, trials: [commit, verdict, summary, reason, in_force, the
    keys of a score, gain, gain_se, pairs, loc, cyclomatic, nested_if, optimizer,
    seconds, seeds: [seed, return, parent_return, steps, outcome, detail],
    difference (unified), policy, feedback, evidence (names of files)].
    """  # noqa: D301 - click wants the character
    from gco_agent.report.story import read_details

    runs = place.runs()
    view = runs.view(find_shown(runs, run_name))
    trials = _trials(view, rev)
    if name is not None:
        _print_file(view, trials, name)
        return
    details = list(read_details(view, trials))
    if as_json:
        from gco_agent.cli.results import print_json

        found = [_as_json(view, t, d) for t, d in zip(trials, details, strict=True)]
        print_json({"run": view.ref.branch, "iteration": trials[-1].iteration, "trials": found})
        return
    for trial, detail in zip(trials, details, strict=True):
        _print(view, trial, detail)


def _trials(view: RunView, rev: str | None) -> list[Trial]:
    """The trials of an iteration, or the one that a revision names."""
    from gco_agent.report.story import find_trials, read_trials

    trials = read_trials(view)
    if rev is None:
        return [trial for trial in trials if trial.line_commit == trials[-1].line_commit]
    if _NUMBER.fullmatch(rev) and (found := find_trials(trials, int(rev))):
        return found
    commit = view.step(rev).commit
    exact = [trial for trial in trials if trial.commit == commit]
    return exact or [trial for trial in trials if trial.line_commit == commit]


def _print_file(view: RunView, trials: list[Trial], name: str) -> None:
    """Print a file of the evidence to the byte.

    Raises:
        UsageError: There is no such file.
    """
    from gco_agent.report.story import evidence_files
    from gco_agent.store.view import evidence_folder

    for trial in reversed(trials):
        if name in evidence_files(view, trial):
            text = view.read(evidence_folder(trial.iteration or 0) + name, trial.commit)
            click.echo(text or "", nl=False)
            return
    kept = ", ".join(evidence_files(view, trials[-1])) or "no file"
    raise UsageError(f"that iteration keeps no file {name!r}; it keeps {kept}")


def _as_json(view: RunView, trial: Trial, details: Details) -> dict[str, Any]:
    from gco_agent.cli.results import score_json
    from gco_agent.core.statistics import confidence_interval
    from gco_agent.report.story import evidence_files

    facts = trial.facts
    returns = [seed.episode_return for seed in details.played]
    is_whole = (
        facts is not None and len(returns) == facts.episodes and facts.return_mean is not None
    )
    own = ("gain", "gain_se", "pairs", "loc", "cyclomatic", "nested_if", "optimizer", "seconds")
    return {
        "commit": trial.commit,
        "verdict": trial.verdict,
        "summary": trial.summary,
        "reason": trial.reason,
        "in_force": trial.in_force,
        **score_json(facts, confidence_interval(returns) if is_whole else None),
        "seed_range": facts.seeds if facts else None,
        **{name: getattr(facts, name, None) for name in own},
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
        "difference": _unified(details),
        "policy": details.after,
        "feedback": details.feedback,
        "evidence": evidence_files(view, trial),
    }


def _unified(details: Details) -> str:
    from gco_agent.report.diffs import difference

    if details.after is None:
        return ""
    lines = difference(details.before, details.after)
    return "".join(f"{line.kind}{line.text}\n" for line in lines)


def _print(view: RunView, trial: Trial, details: Details) -> None:
    """The trial as a person reads it, on stdout."""
    import sys

    from rich.console import Console

    from gco_agent.cli.live import VERDICT_STYLES
    from gco_agent.core.text import clean_text
    from gco_agent.report.story import evidence_files

    width = None if sys.stdout.isatty() else 10_000
    console = Console(highlight=False, markup=False, emoji=False, width=width, soft_wrap=True)
    number = "a commit by hand" if trial.iteration is None else f"iteration {trial.iteration}"
    style = VERDICT_STYLES.get(trial.verdict, "")
    console.print(f"{view.ref.branch}, {number}: {trial.verdict}", style=f"bold {style}".strip())
    console.print(fit(one_line(trial.summary)))
    for line in _facts(trial):
        console.print(fit(f"  {line}"))
    if trial.reason:
        console.print(fit(f"\n{clean_text(trial.reason)}"))
    for text in (*_seed_rows(details), "", *_diff_rows(details)):
        console.print(text)
    if details.feedback:
        console.print("\nwhat the optimizer was told", style="bold")
        console.print(clean_text(details.feedback))
    if files := evidence_files(view, trial):
        console.print(fit(f"\nevidence: {', '.join(files)}"), style="dim")


def _facts(trial: Trial) -> list[str]:
    facts = trial.facts
    lines = [f"commit {trial.commit}" + (", in force" if trial.in_force else "")]
    if facts is None:
        return lines
    if facts.return_mean is not None:
        of = f" ({facts.episodes} episodes, {facts.seeds})" if facts.episodes else ""
        lines.append(f"return {number_with_error(facts.return_mean, facts.return_se)}{of}")
    if facts.gain is not None:
        gain = number_with_error(facts.gain, facts.gain_se, "+")
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


def _seed_rows(details: Details) -> list[str]:
    """A row a seed: the candidate's return, the other policy's, their difference."""
    from gco_agent.core.text import clean_text

    if not details.played:
        return []
    rows = ["", f"{'seed':>12}  {'return':>9}  {'parent':>9}  {'gain':>9}  {'steps':>7}  outcome"]
    for p in details.played:
        parent = "" if p.parent_return is None else f"{p.parent_return:g}"
        gain = "" if p.difference is None else f"{p.difference:+g}"
        rows.append(
            f"{p.seed:>12}  {p.episode_return:>9g}  {parent:>9}  {gain:>9}  {p.n_steps:>7,}  "
            f"{_OUTCOMES.get(p.outcome) or one_line(p.outcome)}"
        )
        rows += [f"{'':>14}{line}" for line in clean_text(p.detail).splitlines()]
    return rows


def _diff_rows(details: Details) -> list[Text]:
    from rich.text import Text

    from gco_agent.core.text import clean_line
    from gco_agent.report.diffs import count_changes, difference

    if details.after is None:
        return [Text("No candidate: nothing was changed.")]
    lines = difference(details.before, details.after)
    if not lines:
        return [Text("The text is the same.")]
    added, removed = count_changes(lines)
    rows = [Text(f"{added} lines added, {removed} removed", style="bold")]
    for line in lines:
        indent = line.text[: len(line.text) - len(line.text.lstrip(" "))]
        shown = f"{line.kind}{indent}{clean_line(line.text)}"
        rows.append(Text(shown, style=_DIFF_STYLES[line.kind]))
    return rows
