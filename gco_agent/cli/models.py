"""``note``, ``prompt``, ``apply`` and ``replay``: answers of people and models."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gco_agent.cli import options as o
from gco_agent.cli.context import CliContext
from gco_agent.cli.display import open_display
from gco_agent.cli.options import Given, command, option
from gco_agent.cli.output import Result, count, echo, pick, say, tell
from gco_agent.cli.run import advance, explain_interruption
from gco_agent.core.errors import GcoError, UsageError
from gco_agent.core.text import format_score

if TYPE_CHECKING:
    from gco_agent.api import Run
    from gco_agent.core.records import PlayProtocol
    from gco_agent.loop.replay import Outcome, Recording, Replayed
    from gco_agent.optimizers.base import Request
    from gco_agent.optimizers.exchange import PromptFiles
    from gco_agent.store.entries import RunRef
    from gco_agent.store.run import Runs
    from gco_agent.store.view import RunView

_DEMO = "demo"
_AGAIN = "The same command continues it.\nTo remove this unfinished one: git branch -D {run}"
_STDIO = "-"


@command(
    click.argument(
        "names", nargs=-1, required=True, metavar="[RUN] TEXT", shell_complete=o.complete_runs
    ),
    o.json_option,
)
def note(place: CliContext, /, names: tuple[str, ...]) -> Result:
    """Leave a note that the next prompt of a run shows."""
    from gco_agent.store.control import leave_note, read_notes

    *run_name, text = names
    if run_name:
        place.run_and_rev([*run_name, ""])
    view = place.view()
    leave_note(view, text)
    data = {"run": view.ref.branch, "notes": list(read_notes(view).values())}
    waiting = count(len(data["notes"]), "note")
    return Result(data, f"{waiting} for the next prompt of {view.ref.branch}")


@command(o.run_argument, option("-o", "--output", kind=o.OutputFile()), o.play_options)
def prompt(place: CliContext, /, output: Path | None) -> Result:
    """Write everything that is needed to improve a run's policy into one Markdown file."""
    run = place.open_run()
    with _asking(place, run) as (request, paths):
        text = paths.compose(request)
    path = str(output or paths.prompt)
    data = {"run": run.name, "iteration": request.iteration, "path": path, "prompt": text}
    if path == _STDIO:
        return Result({**data, "path": None}, lambda: echo(text, nl=False))
    if output is not None:
        place.write(output, text)
    # where `apply` finds it, to be kept with the iteration
    if aside := paths.write_prompt(text):
        tell(f"There was an answer to another prompt; it is now {aside}")
    tell(
        "Give this file to any chat, coding agent or person. Then:\n"
        f"  gco-agent apply ANSWER {run.name}"
    )
    return Result(data, lambda: echo(path))


@contextlib.contextmanager
def _asking(place: CliContext, run: Run) -> Iterator[tuple[Request, PromptFiles]]:
    """Open what the next iteration of a run is asked with, and the files of its prompt."""
    from gco_agent.loop import checks
    from gco_agent.loop.budget import Budget
    from gco_agent.loop.recording import recall_episodes
    from gco_agent.loop.selection import Archive
    from gco_agent.loop.session import compose_request
    from gco_agent.optimizers.exchange import files_for

    view = run.runs.view(run.ref)
    checks.require_same_versions(run.config)
    with open_display() as display, place.players.judge(run.config.selection_protocol) as judge:
        recall_episodes(view, judge)
        request = compose_request(Archive(view), judge, run.config, Budget(), display)
        yield request, files_for(run.exchange_folder, request)


def _answer_questions(place: CliContext, run: Run, reply: str) -> Result:
    """Add the answers to the questions in a reply to the prompt; the run stays as it is."""
    with _asking(place, run) as (request, paths):
        text = paths.compose(request)
        paths.write_prompt(text)
        answers = paths.answer(request, text, reply)
    if answers is None:
        raise UsageError("no more questions are answered in this iteration: reply with a policy")
    tell("Its questions are answered: give the file to its author again.")
    data = {"run": run.name, "iteration": request.iteration, "path": str(paths.prompt)}
    return Result({**data, "prompt": answers}, lambda: echo(str(paths.prompt)))


@command(
    click.argument("reply", metavar="[ANSWER]", required=False),
    o.run_argument,
    o.play_options,
    name="apply",
)
def apply_(place: CliContext, /, reply: str | None) -> Result:
    """Race an answer to `gco-agent prompt` against the present policy, and commit the result."""
    from gco_agent.loop.budget import Budget
    from gco_agent.loop.selection import REVISIT, Archive
    from gco_agent.optimizers.questions import read_questions
    from gco_agent.optimizers.replies import parse_reply

    is_file = reply in (None, _STDIO) or place.path(reply).exists()
    if reply and not is_file and not place.run_name and place.is_run(reply):
        place.run_name, reply = reply, None
    run = place.open_run()
    view = run.runs.view(run.ref)
    text = _read_answer(place, run, view, reply)
    if read_questions(text):
        return _answer_questions(place, run, text)
    # an answer of no use is no iteration
    parse_reply(text, REVISIT.parents(Archive(view))[0])
    return advance(
        place,
        Budget(iterations=1),
        lambda config: replace(config, optimizer="exchange", candidates=1, horizon=0),
        "Go on with: gco-agent apply ANSWER {run}",
        reply=text,
    )


def _read_answer(place: CliContext, run: Run, view: RunView, name: str | None) -> str:
    from gco_agent.optimizers.exchange import decode_reply, newest_files, read_reply

    if name == _STDIO:
        return decode_reply(sys.stdin.buffer.read(), "standard input")
    if name is not None:
        return read_reply(place.path(name))
    paths = newest_files(run.exchange_folder, view.last_iteration + 1)
    if not paths.reply.exists():
        raise UsageError(
            f"there is no answer in {paths.reply}: name the file that holds it, or write the "
            "prompt first with `gco-agent prompt`"
        )
    if not paths.is_written_for(view.tip):
        raise UsageError(
            f"the answer in {paths.reply} is to a prompt for another state of the run: write the "
            "present one with `gco-agent prompt`, or name the file if you mean this answer"
        )
    return paths.read_reply()


# Replay


@command(
    click.argument("recording", metavar="RECORDING", shell_complete=o.complete_targets),
    option("--record", kind=o.OutputFile()),
    option("--name"),
    option("--switch/--no-switch", default=False),
    o.create_option,
    o.play_options,
)
def replay(place: CliContext, /, recording: str, record: Path | None, **given: Given) -> Result:
    """Repeat a recorded run: the same proposals, raced and committed again."""
    from gco_agent.loop.replay import format_recording

    found = _find_recording(place, recording)
    if record is not None:
        place.write(record, format_recording(found))
        tell(f"{count(found.n_iterations, 'iteration')} of {found.run} recorded")
        data = {"run": found.run, "path": record, "iterations": found.n_iterations}
        return Result(data, str(record))
    ref, compared = _play(place, found, given)
    is_same = all(each.is_same for each in compared)
    data = {
        "run": ref.branch,
        "recorded": found.run,
        "is_same": is_same,
        "iterations": [pick(each, "iteration commit is_same recorded now") for each in compared],
        "left_out": found.left_out,
    }
    return Result(data, lambda: _print_replay(data, compared), is_same)


def _find_recording(place: CliContext, name: str) -> Recording:
    """Return the recording that is meant; files come first."""
    from gco_agent.loop.replay import demo, parse_recording, record_run

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
    from gco_agent.loop import checks
    from gco_agent.loop.replay import play_back
    from gco_agent.store.run import Runs

    repo = place.repository(create=given["create_repo"])
    checks.require_writable(repo)
    if given["switch"]:
        Runs(repo).require_clean()
    checks.require_trusted(repo, found.settings.protocol, f"the recording of {found.run}")
    here = checks.rules_here(found.settings.protocol)
    runs = Runs(repo)
    ref = _name(runs, found, here, given["name"])
    installed = dict(here.versions)
    for name, version in found.settings.protocol.versions:
        if installed.get(name) != version:
            tell(
                f"Recorded with {name} {version}, and {installed.get(name)} is installed: "
                "the numbers may differ."
            )
    tell(f"{found.run}, {count(found.n_iterations, 'iteration')}, as {ref.branch}")
    if found.left_out:
        tell(f"The recording ends early: {found.left_out}.")
    rules = replace(found.settings, protocol=here).selection_protocol
    with (
        explain_interruption(runs, ref, _AGAIN),
        open_display() as display,
        place.players.judge(rules) as judge,
    ):
        compared = play_back(found, runs, ref, judge, switch=given["switch"], progress=display)
    return ref, compared


def _name(runs: Runs, found: Recording, rules: PlayProtocol, name: str | None) -> RunRef:
    """Return the first run that is a part of the recording or that does not exist yet."""
    from gco_agent.loop.replay import is_part
    from gco_agent.store.entries import RunRef

    recorded, taken = RunRef.parse(found.run), runs.list()

    def is_free(ref: RunRef) -> bool:
        return ref not in taken or is_part(runs.view(ref), found, rules)

    if name is not None:
        ref = RunRef(recorded.game, name)
        if not is_free(ref):
            raise UsageError(f"there is a run {ref.branch} already: choose another --name")
        return ref
    ref, number = recorded, 2
    while not is_free(ref):
        ref, number = RunRef(recorded.game, f"{recorded.run_id}-{number}"), number + 1
    return ref


def _print_replay(data: dict[str, Any], compared: list[Replayed]) -> None:
    for each in compared:
        verdict = "as recorded"
        if not each.is_same:
            now, recorded = asdict(each.now), asdict(each.recorded)
            parts = ", ".join(name for name, value in now.items() if value != recorded[name])
            verdict = f"DIFFERS in {parts}: recorded {_outcome_text(each.recorded)}"
        say(f"iteration {each.iteration:>3}  {_outcome_text(each.now):<28}  {verdict}")
    n_same = sum(each.is_same for each in compared)
    run = data["run"]
    say(f"{n_same} of {len(compared)} as recorded; run {run}: gco-agent log {run}")


def _outcome_text(outcome: Outcome) -> str:
    gain = "" if outcome.gain is None else f" ({format_score(outcome.gain, None, '+')})"
    return f"{outcome.verdict} {format_score(outcome.return_mean, None)}{gain}"
