"""``replay``: make a recorded run again, without asking a model."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import click

from gco_agent.cli.context import CliContext
from gco_agent.cli.display import open_display
from gco_agent.cli.options import Given, command, play_options
from gco_agent.cli.output import count, echo, say, tell
from gco_agent.cli.run import saved_is_told
from gco_agent.core.errors import GcoError, UsageError
from gco_agent.core.text import format_score
from gco_agent.loop import checks
from gco_agent.loop.replay import (
    Recording,
    Replayed,
    demo,
    format_recording,
    parse_recording,
    play_back,
    record_run,
)
from gco_agent.store.entries import RunRef
from gco_agent.store.run import Runs

if TYPE_CHECKING:
    from gco_agent.store.git import GitRepo

_DEMO = "demo"
_AGAIN = (
    "A replay cannot be continued: run it again, which makes another run.\n"
    "To remove this unfinished one: git branch -D {run}"
)


@command(
    "gco-agent replay demo                        the run that comes with the package",
    "gco-agent replay gco/pong/first              a run of this repository, again",
    "gco-agent replay gco/pong/first --record run.json",
    "gco-agent replay run.json --name again",
)
@click.argument("recording", metavar="RECORDING")
@click.option(
    "--record",
    metavar="FILE",
    help="Only write the recording to FILE, from which others can play it back.",
)
@click.option(
    "--name", help="Name of the run that is made.  [default: as recorded, if that is free]"
)
@click.option(
    "--switch/--no-switch",
    default=False,
    help="Check the run's branch out, or leave the work tree alone.  [default: --no-switch]",
)
@click.option("--create-repo", is_flag=True, help="Make a git repository here if there is none.")
@play_options
@click.pass_context
def replay(context: click.Context, /, recording: str, record: str | None, **given: Given) -> None:
    """Make a recorded run again: the same proposals, raced and committed anew.

    RECORDING is a file, a run of this repository, or the word demo for the run that comes with the
    package. The answers of optimizers are taken from it, so no model is asked or paid. All
    episodes are played again, and each iteration is compared with the recorded one; the exit code
    is 2 if anything differs. An iteration takes about ten seconds, more on a busy machine; a replay
    that is interrupted starts from the beginning. With the name of the recorded run, every file of
    every commit is the same to the byte; the messages differ in Gco-Seconds alone.

    \b
    JSON: run, recorded, is_same, iterations: [iteration, commit, is_same,
    recorded and now: {verdict, return_mean, gain, digest, policy}], left_out;
    with --record: run, path, iterations (how many).
    """  # noqa: D301 - click wants the character
    place: CliContext = context.obj
    found = _find_recording(place, recording)
    if record is not None:
        n = len(found.iterations)
        place.write(record, format_recording(found))
        tell(f"{count(n, 'iteration')} of {found.run} recorded")
        place.emit({"run": found.run, "path": record, "iterations": n}, lambda: echo(record))
        return
    ref, compared = _play(place, found, given)
    data = {
        "run": ref.branch,
        "recorded": found.run,
        "is_same": all(each.is_same for each in compared),
        "iterations": [
            {
                "iteration": each.iteration,
                "commit": each.commit,
                "is_same": each.is_same,
                "recorded": asdict(each.recorded),
                "now": asdict(each.now),
            }
            for each in compared
        ],
        "left_out": found.left_out,
    }
    place.emit(data, lambda: _print(data))
    if not data["is_same"]:
        context.exit(2)


def _find_recording(place: CliContext, name: str) -> Recording:
    """Return the recording that is meant; files come first."""
    path = place.path(name)
    if path.is_file():
        try:
            return parse_recording(path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot read {name}: {error}") from error
    if name == _DEMO:
        return demo()
    try:
        runs = place.runs()
        ref = runs.find(name)
    except GcoError as error:
        raise UsageError(f"there is no file {name}, and no such run: {error}") from error
    return record_run(runs.view(ref))


def _play(
    place: CliContext, found: Recording, given: dict[str, Any]
) -> tuple[RunRef, list[Replayed]]:
    repo = place.repository(create=given["create_repo"])
    checks.require_writable(repo)
    if given["switch"]:
        checks.require_clean(repo)
    ref = _free_name(repo, found, given["name"])
    checks.require_trusted(repo, found.settings.protocol, f"the recording of {found.run}")
    here = checks.rules_here(found.settings.protocol)
    installed = dict(here.versions)
    for name, version in found.settings.protocol.versions:
        if installed.get(name) != version:
            tell(
                f"Recorded with {name} {version}, and {installed.get(name)} is installed: "
                "the numbers may differ."
            )
    tell(f"{found.run}, {count(len(found.iterations), 'iteration')}, as {ref.branch}")
    if found.left_out:
        tell(f"The recording ends early: {found.left_out}.")
    runs = Runs(repo)
    rules = replace(found.settings, protocol=here).selection_protocol
    with (
        saved_is_told(runs, ref, _AGAIN),
        open_display() as display,
        place.open_workers() as pool,
    ):
        judge = place.judge(pool, rules)
        compared = play_back(found, runs, ref, judge, switch=given["switch"], progress=display)
    return ref, compared


def _free_name(repo: GitRepo, found: Recording, name: str | None) -> RunRef:
    """Return the name to make the run under."""
    recorded = RunRef.parse(found.run)
    if name is not None:
        ref = RunRef(recorded.game, name)
        if repo.ref(str(ref)):
            raise UsageError(f"there is a run {ref.branch} already: choose another --name")
        return ref
    ref, number = recorded, 2
    while repo.ref(str(ref)):
        ref, number = RunRef(recorded.game, f"{recorded.run_id}-{number}"), number + 1
    return ref


def _print(data: dict[str, Any]) -> None:
    for each in data["iterations"]:
        now, recorded = each["now"], each["recorded"]
        verdict = "as recorded"
        if not each["is_same"]:
            parts = [name for name, value in now.items() if value != recorded[name]]
            verdict = f"DIFFERS in {', '.join(parts)}: recorded {_outcome_text(recorded)}"
        say(f"iteration {each['iteration']:>3}  {_outcome_text(now):<28}  {verdict}")
    n_same = sum(each["is_same"] for each in data["iterations"])
    say(
        f"{n_same} of {len(data['iterations'])} as recorded; run {data['run']}: "
        f"gco-agent log {data['run']}"
    )


def _outcome_text(outcome: dict[str, Any]) -> str:
    score = format_score(outcome["return_mean"], None)
    gain = "" if outcome["gain"] is None else f" ({format_score(outcome['gain'], None, '+')})"
    return f"{outcome['verdict']} {score}{gain}"
