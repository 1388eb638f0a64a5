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

__all__ = ["main"]

_COMMANDS = {
    "run": ("run:run", "Start a run, improve its policy, and measure it."),
    "init": ("run:init", "Only start a run."),
    "step": ("run:step", "Advance a run by one iteration, or by several."),
    "baseline": ("run:baseline", "Run a simple method on the same budget, to compare with."),
    "watch": ("look:watch", "Follow a run in another terminal."),
    "dashboard": ("look:dashboard", "Show the runs on a live page."),
    "runs": ("look:runs", "List the runs."),
    "log": ("look:log", "Show the iterations of a run."),
    "show": ("look:show", "Show one iteration: reason, scores, differences."),
    "compare": ("look:compare", "Compare runs: scores, curves, tests."),
    "report": ("publish:report", "Write a run as one HTML file."),
    "eval": ("evaluate:evaluate", "Play a policy and print what it scores."),
    "verify": ("evaluate:verify", "Play again what a commit claims."),
    "enjoy": ("evaluate:enjoy", "Watch a policy play, in a window or a video."),
    "card": ("evaluate:card", "Play a policy under harder conditions."),
    "export": ("publish:export", "Write a run or a policy for other tools."),
    "trace": ("look:trace", "Show what a language model is told of a policy's results."),
    "tune": ("improve:tune", "Tune the numeric constants of a policy."),
    "simplify": ("improve:simplify", "Remove what a policy does not need."),
    "note": ("models:note", "Tell the model something in the middle of a run."),
    "prompt": ("models:prompt", "Write the prompt that asks for a better policy."),
    "apply": ("models:apply_", "Race an answer to the prompt."),
    "replay": ("models:replay", "Play a recorded run back, without asking a model again."),
    "estimate": ("models:estimate", "Estimate the cost of a run with a language model."),
    "bisect": ("look:bisect", "Find the commit that won or lost a skill."),
    "fork": ("look:fork", "Start another run from an iteration of a run."),
    "rollback": ("publish:rollback", "Go back to an earlier policy of a run."),
    "publish": ("publish:publish", "Commit a run's policy to your own branch."),
    "push": ("publish:push", "Put a policy on the Hugging Face hub."),
    "games": ("games:games", "List the games, or describe one."),
    "check-game": ("games:check_game", "Check whether a game's specification is true."),
    "doctor": ("games:doctor", "Show what this machine offers."),
}
"""Name of a command to where it is, below this package, and its short help; in listed order."""


def _show_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:  # noqa: FBT001
    if wanted:
        from importlib.metadata import version

        click.echo(f"gco-agent {version('gco-agent')}")
        context.exit()


@click.group(
    cls=CommandGroup,
    homes={name: (f"{__name__}.{home}", short) for name, (home, short) in _COMMANDS.items()},
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
