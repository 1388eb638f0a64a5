"""The command line: parse, call, print.

* `errors`    the one place where errors and signals become messages and exit codes
* `options`   what is typed: types of values, shared options, examples
* `context`   the repository, its runs, the workers, the policy that a command works with
* `output`    what is printed, as text and as JSON
* `display`   what is shown while it runs
* the other modules hold the commands

Importing this package loads click and nothing else that is heavy; a command is imported when it is
called. Results go to stdout, everything else to stderr.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from gco_agent.cli.context import CliContext
from gco_agent.cli.errors import CommandGroup, Refusal, begin_logging
from gco_agent.cli.options import help_texts

__all__ = ["main"]


def _show_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:  # noqa: FBT001
    if wanted:
        from importlib.metadata import version

        click.echo(f"gco-agent {version('gco-agent')}")
        context.exit()


@click.group(
    cls=CommandGroup,
    homes={name: texts for name, texts in help_texts().items() if "home" in texts},
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Examples:
  gco-agent run pong                 five minutes of search, then the score
  gco-agent log                      the iterations of the run that is checked out
  gco-agent step -n 5                five more iterations
  gco-agent eval policies/pong.py    what any policy file scores""",
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
    help="Let runs of this repository load the Python module NAME, which some of them play; "
    "remembered in the repository's git config. Its code runs outside the jail: read it first.",
)
@click.option("-v", "--verbose", is_flag=True, help="Show more on stderr.")
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
    policies/GAME.py, plays it against the present one on the same seeds, and commits the result.
    No key and no network are needed: the default optimizer is an embedded program search.
    """
    if sys.flags.optimize > 1:
        raise Refusal(
            "Python runs without docstrings, which libraries of gco-agent need: unset "
            "PYTHONOPTIMIZE, and start Python without -OO"
        )
    begin_logging(verbose=verbose)
    context.obj = place = CliContext(directory)
    for module in trusted:
        place.trust(module)
