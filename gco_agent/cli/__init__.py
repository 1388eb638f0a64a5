"""The command line: parse, call, print.

* `boundary`     the one place where errors and signals become messages and exit codes
* `interrupts`   Ctrl-C and SIGTERM
* `options`      what is typed: durations, shared options, examples
* `place`        the repository, its runs, the judge and the workers a command works with
* `words`        numbers and times as people read them
* `results`      what is printed at the end, as text and as JSON
* `display`      what is shown while it runs: `live` in a terminal, `plain` elsewhere
* `broadcast`    tells other processes of what is shown here
* `models`       the language model, its key and its prices
* `starting`     what a run is started with, and what would refuse it
* `concluding`   how a command ends that advances a run
* `targets`      which policy a person means
* `running`, `reading`, `showing`, `watching`, `reporting`, `evaluating`, `verifying`, `improving`,
  `tracing`, `exchanging`, `replaying`, `pricing`, `enjoying`, `carding`, `exporting`,
  `publishing`, `gaming`, `doctor`   the commands

Importing this package loads click and nothing else that is heavy: commands import what they use.
Results go to stdout, everything else to stderr.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from gco_agent.cli.boundary import Boundary, begin_logging
from gco_agent.cli.carding import card
from gco_agent.cli.doctor import doctor
from gco_agent.cli.enjoying import enjoy
from gco_agent.cli.evaluating import evaluate
from gco_agent.cli.exchanging import apply_, prompt
from gco_agent.cli.exporting import export
from gco_agent.cli.gaming import check_game, games
from gco_agent.cli.improving import simplify, tune
from gco_agent.cli.options import examples
from gco_agent.cli.place import Place
from gco_agent.cli.pricing import estimate
from gco_agent.cli.publishing import publish, rollback
from gco_agent.cli.reading import log
from gco_agent.cli.replaying import replay
from gco_agent.cli.reporting import report
from gco_agent.cli.running import init, run, step
from gco_agent.cli.showing import show
from gco_agent.cli.tracing import trace
from gco_agent.cli.verifying import verify
from gco_agent.cli.watching import watch

__all__ = ["main"]


def _show_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:  # noqa: FBT001
    if wanted:
        from importlib.metadata import version

        click.echo(f"gco-agent {version('gco-agent')}")
        context.exit()


@click.group(
    cls=Boundary,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "gco-agent run pong                 five minutes of search, then the score",
        "gco-agent log                      the iterations of the run that is checked out",
        "gco-agent step -n 5                five more iterations",
        "gco-agent eval policies/pong.py    what any policy file scores",
    ),
)
@click.option(
    "-C",
    "directory",
    metavar="DIR",
    default=".",
    type=click.Path(path_type=Path),
    help="Work in this folder and the git repository it belongs to.  [default: here]",
)
@click.option("-v", "--verbose", is_flag=True, help="Say more on stderr about what is being done.")
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
@click.pass_context
def main(context: click.Context, directory: Path, *, verbose: bool) -> None:
    """Improve game-playing policies by rewriting their code, one git commit an iteration.

    A run is a branch gco/GAME/NAME. Every iteration proposes a new version of the file
    policies/GAME.py, plays it against the present one on the same seeds, and commits what came of
    it. No key and no network are needed: the default optimizer is an embedded program search.
    """
    begin_logging(verbose=verbose)
    context.obj = Place(directory)
    sys.path.append(str(directory.absolute()))  # environments may be modules of that folder


for _command in (
    run,
    init,
    step,
    watch,
    log,
    show,
    report,
    evaluate,
    verify,
    enjoy,
    card,
    export,
    trace,
    tune,
    simplify,
    prompt,
    apply_,
    replay,
    estimate,
    rollback,
    publish,
    games,
    check_game,
    doctor,
):
    main.add_command(_command)
