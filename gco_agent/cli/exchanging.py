"""``prompt`` and ``apply``: a chat, a coding agent or a person as the optimizer."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gco_agent.cli.options import (
    Given,
    all_of,
    examples,
    jail_option,
    json_option,
    run_option,
    workers_option,
)
from gco_agent.cli.place import (
    CliContext,
    exchange_folder,
    find_run,
    make_judge,
    open_workers,
    read_config,
    require_same_versions,
)
from gco_agent.cli.running import go_on
from gco_agent.cli.words import tell
from gco_agent.core.errors import UsageError

if TYPE_CHECKING:
    from gco_agent.store.view import RunView

_STDIO = "-"


@click.command(
    short_help="Write the prompt that asks for a better policy.",
    epilog=examples(
        "gco-agent prompt                    writes a file, prints its name",
        "gco-agent prompt -o -               prints the prompt itself",
        "gco-agent prompt -o ask.md --run gco/pong/first",
    ),
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="Where to write it; - for standard output.  "
    "[default: gco-exchange/GAME-RUN/NNNN-prompt.md]",
)
@all_of(run_option, workers_option, jail_option)
@click.pass_obj
def prompt(place: CliContext, /, output: str | None, run_name: str | None, **given: Given) -> None:
    """Write everything that is needed to improve a run's policy into one Markdown file.

    It holds the contract of a policy file, the interface of the game, the present policy, how it
    scores, a trace of the moments that decided its episodes, and what was tried before. Give it to
    any chat, coding agent or person, and what comes back to `gco-agent apply`. The policy is
    played for the trace; the run stays as it is.
    """
    from gco_agent.cli.display import open_display
    from gco_agent.loop.budget import Budget
    from gco_agent.loop.recording import recall_episodes
    from gco_agent.loop.selection import Archive
    from gco_agent.loop.session import compose_request
    from gco_agent.optimizers.exchange import compose_letter, letter_for

    runs = place.runs()
    view = runs.view(find_run(runs, run_name))
    config = read_config(view)
    require_same_versions(config)
    with (
        open_display(None, following=0) as display,
        open_workers(given["workers"]) as pool,
    ):
        judge = make_judge(pool, config.selection_protocol, given["jail"])
        recall_episodes(view, judge)
        request = compose_request(Archive(view), judge, config, Budget(), display)
        letter = letter_for(exchange_folder(place, view.ref), request)
        text = compose_letter(letter, request)
    if output == _STDIO:
        click.echo(text, nl=False)
        return
    if output is not None:
        _write(place.directory / output, text)
    # where `apply` finds it, to be kept with the iteration
    if aside := letter.write_prompt(text):
        tell(f"An answer to another prompt was there; it is now {aside}")
    click.echo(output or str(letter.prompt))
    tell(
        "Give this file to any chat, coding agent or person. Then:\n"
        f"  gco-agent apply ANSWER --run {view.ref.branch}"
    )


@click.command(
    "apply",
    short_help="Take an answer to the prompt, and run the iteration.",
    epilog=examples(
        "gco-agent apply answer.md",
        "gco-agent apply policies/pong.py        a whole policy file will do",
        "gco-agent apply change.diff --run gco/pong/first",
        "pbpaste | gco-agent apply -",
    ),
)
@click.argument("reply", metavar="[ANSWER]", required=False)
@all_of(run_option, workers_option, jail_option, json_option)
@click.pass_obj
def apply_(place: CliContext, /, reply: str | None, **given: Given) -> None:
    """Take an answer to `gco-agent prompt`, race it against the present policy, and commit.

    ANSWER is a file, - for standard input, or nothing for the file that the newest prompt, be it
    for a correction, asks to be written. It may hold a whole policy file, the functions that
    changed, or a diff; bare, or in fenced blocks with words around them, of which the summary and
    the reason become the message of the commit. An answer that holds no usable policy is refused
    with the reason, and the run stays as it is.
    """
    from dataclasses import replace

    from gco_agent.loop.budget import Budget
    from gco_agent.optimizers.replies import parse_reply
    from gco_agent.policy import PolicySource

    runs = place.runs()
    view = runs.view(find_run(runs, given["run_name"]))
    text = _read_answer(place, view, reply)
    parse_reply(text, PolicySource(view.policy()))  # an answer of no use is no iteration
    go_on(
        place,
        {**given, "reply": text, "again": "gco-agent apply ANSWER --run {run}"},
        Budget(iterations=1),
        lambda config: replace(config, optimizer="exchange", candidates=1, horizon=0),
    )


def _read_answer(place: CliContext, view: RunView, name: str | None) -> str:
    """The text of an answer.

    Raises:
        UsageError: There is none.
    """
    from gco_agent.optimizers.exchange import newest_letter, read_reply

    if name == _STDIO:
        return sys.stdin.buffer.read().decode("utf-8", "replace")
    if name is not None:
        return read_reply(place.directory / name)
    letter = newest_letter(exchange_folder(place, view.ref), view.last_iteration + 1)
    if not letter.reply.exists():
        raise UsageError(
            f"there is no answer in {letter.reply}: name the file that it is in, or write the "
            "prompt first with `gco-agent prompt`"
        )
    if not letter.is_written_for(view.tip):
        raise UsageError(
            f"the answer in {letter.reply} is to a prompt for another state of the run: write the "
            "present one with `gco-agent prompt`, or name the file if you mean this answer"
        )
    return read_reply(letter.reply)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8", "backslashreplace")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
