"""``replay``: a recorded run, made again without asking anybody."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gco_agent.cli.concluding import told_what_is_saved
from gco_agent.cli.options import (
    Given,
    all_of,
    examples,
    jail_option,
    json_option,
    workers_option,
)
from gco_agent.cli.place import (
    CliContext,
    make_judge,
    open_workers,
    require_clean,
    require_trusted,
    require_writable,
    rules_here,
)
from gco_agent.cli.words import count, number_with_error, one_line, tell
from gco_agent.core.errors import GcoError, UsageError

if TYPE_CHECKING:
    from gco_agent.loop.replay import Recording, Replayed
    from gco_agent.store.entries import RunRef
    from gco_agent.store.git import GitRepo

_DEMO = "demo"
_BEGIN_ANEW = (
    "A replay does not go on where it was stopped: run it again, which makes another run.\n"
    "To do away with this unfinished one: git branch -D {run}"
)


@click.command(
    short_help="Play a recorded run back, without asking a model again.",
    epilog=examples(
        "gco-agent replay demo                        the run that comes with the package",
        "gco-agent replay gco/pong/first              a run of this repository, again",
        "gco-agent replay gco/pong/first --record run.json",
        "gco-agent replay run.json --name again",
    ),
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
@all_of(workers_option, jail_option, json_option)
@click.pass_context
def replay(context: click.Context, /, recording: str, record: str | None, **given: Given) -> None:
    """Make a recorded run again: the same proposals, raced and committed anew.

    RECORDING is a file, a run of this repository, or the word demo for the run that comes with the
    package. What optimizers answered is taken from it, so nothing is asked, paid or waited for.
    All episodes are played again, and each iteration is compared with what it came to when it was
    recorded; the exit code is 2 if anything differs. An iteration takes some ten seconds, more on
    a busy machine, and what is stopped begins anew. With the name of the recorded run, every file
    of every commit is the same to the byte; the messages differ in Gco-Seconds alone.

    \b
    JSON: run, recorded, is_same, iterations: [iteration, commit, is_same,
    recorded and now: {verdict, return_mean, gain, digest, policy}], left_out.
    """  # noqa: D301 - click wants the character
    place: CliContext = context.obj
    found = _find_recording(place, recording)
    if record is not None:
        from gco_agent.loop.replay import format_recording

        _write(place.directory / record, format_recording(found))
        tell(f"{count(len(found.iterations), 'iteration')} of {found.run} recorded")
        click.echo(record)
        return
    ref, compared = _play(place, found, given)
    data = _as_json(ref, found, compared)
    if given["as_json"]:
        from gco_agent.cli.results import print_json

        print_json(data)
    else:
        _print(data)
    if not data["is_same"]:
        context.exit(2)


def _find_recording(place: CliContext, name: str) -> Recording:
    """The recording that is meant; files come first.

    Raises:
        GcoError: There is none.
    """
    from gco_agent.loop.replay import demo, parse_recording, record_run

    path = place.directory / name
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
    from gco_agent.cli.display import open_display
    from gco_agent.loop.replay import play_back
    from gco_agent.store.run import Runs

    repo = place.repository(create=given["create_repo"])
    require_writable(repo)
    if given["switch"]:
        require_clean(repo)
    ref = _free_name(repo, found, given["name"])
    require_trusted(repo, found.settings.protocol, f"the recording of {found.run}")
    here = rules_here(found.settings.protocol)
    for name, version in found.settings.protocol.versions:
        if dict(here.versions).get(name) != version:
            tell(
                f"Recorded with {name} {version}, and here is {dict(here.versions).get(name)}: "
                "the numbers may differ."
            )
    tell(f"{found.run}, {count(len(found.iterations), 'iteration')}, as {ref.branch}")
    if found.left_out:
        tell(f"Not recorded to its end: {found.left_out}.")
    runs = Runs(repo)
    rules = replace(found.settings, protocol=here).selection_protocol
    with (
        told_what_is_saved(runs, ref, _BEGIN_ANEW),
        open_display(None, following=0) as display,
        open_workers(given["workers"]) as pool,
    ):
        judge = make_judge(pool, rules, given["jail"])
        compared = play_back(found, runs, ref, judge, switch=given["switch"], progress=display)
    return ref, compared


def _free_name(repo: GitRepo, found: Recording, name: str | None) -> RunRef:
    """The name to make the run under.

    Raises:
        UsageError: The name that was asked for is taken.
    """
    from gco_agent.store.entries import RunRef

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


def _as_json(ref: RunRef, found: Recording, compared: list[Replayed]) -> dict[str, Any]:
    return {
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


def _print(data: dict[str, Any]) -> None:
    for each in data["iterations"]:
        now, recorded = each["now"], each["recorded"]
        verdict = "as recorded"
        if not each["is_same"]:
            parts = [name for name, value in now.items() if value != recorded[name]]
            verdict = f"DIFFERS in {', '.join(parts)}: recorded {_words(recorded)}"
        click.echo(f"iteration {each['iteration']:>3}  {_words(now):<28}  {verdict}")
    n_same = sum(each["is_same"] for each in data["iterations"])
    click.echo(
        f"{n_same} of {len(data['iterations'])} as recorded; run {data['run']}: "
        f"gco-agent log --run {data['run']}"
    )


def _words(outcome: dict[str, Any]) -> str:
    score = number_with_error(outcome["return_mean"], None)
    gain = "" if outcome["gain"] is None else f" ({number_with_error(outcome['gain'], None, '+')})"
    return one_line(f"{outcome['verdict']} {score}{gain}")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
