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

Importing this package loads click and nothing else that is heavy, not even the commands: a command
is imported when it is called, and imports what it uses when it does.
Results go to stdout, everything else to stderr.
"""

from __future__ import annotations

from pathlib import Path

import click

from gco_agent.cli.boundary import Boundary, begin_logging
from gco_agent.cli.options import examples
from gco_agent.cli.place import CliContext

__all__ = ["main"]

_COMMANDS = {
    "run": "running:run",
    "init": "running:init",
    "step": "running:step",
    "watch": "watching:watch",
    "log": "reading:log",
    "show": "showing:show",
    "report": "reporting:report",
    "eval": "evaluating:evaluate",
    "verify": "verifying:verify",
    "enjoy": "enjoying:enjoy",
    "card": "carding:card",
    "export": "exporting:export",
    "trace": "tracing:trace",
    "tune": "improving:tune",
    "simplify": "improving:simplify",
    "prompt": "exchanging:prompt",
    "apply": "exchanging:apply_",
    "replay": "replaying:replay",
    "estimate": "pricing:estimate",
    "rollback": "publishing:rollback",
    "publish": "publishing:publish",
    "games": "gaming:games",
    "check-game": "gaming:check_game",
    "doctor": "doctor:doctor",
}
"""Name of a command to where it is, below this package; in the order of ``--help``."""


def _show_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:  # noqa: FBT001
    if wanted:
        from importlib.metadata import version

        click.echo(f"gco-agent {version('gco-agent')}")
        context.exit()


@click.group(
    cls=Boundary,
    homes={name: f"{__name__}.{home}" for name, home in _COMMANDS.items()},
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
@click.option(
    "--trust-module",
    "trusted",
    metavar="NAME",
    multiple=True,
    help="Let runs of this repository load the Python module NAME, which some of them play; it is "
    "remembered in the repository's git config. Its code runs outside the jail: read it first.",
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
def main(
    context: click.Context, directory: Path, *, trusted: tuple[str, ...], verbose: bool
) -> None:
    """Improve game-playing policies by rewriting their code, one git commit an iteration.

    A run is a branch gco/GAME/NAME. Every iteration proposes a new version of the file
    policies/GAME.py, plays it against the present one on the same seeds, and commits what came of
    it. No key and no network are needed: the default optimizer is an embedded program search.
    """
    begin_logging(verbose=verbose)
    context.obj = place = CliContext(directory)
    for module in trusted:
        place.trust(module)
