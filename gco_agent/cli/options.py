"""What is typed: types of values, options that commands share, examples in their help.

Options that say how to play or print (``--workers``, ``--require-jail``, ``--json``, RUN ...) are
kept in the `CliContext`; a command gets only its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import click

from gco_agent.cli.errors import Command
from gco_agent.core.seeds import HIGHEST_SEED
from gco_agent.llm.prices import DEFAULT_MODEL

if TYPE_CHECKING:
    from gco_agent.cli.context import CliContext

Function = TypeVar("Function", bound=Callable[..., Any])
Decorator: TypeAlias = Callable[[Function], Function]
Given: TypeAlias = Any
"""Value of an option, as click has read it."""

_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?", re.I)
_HIGHEST = 10**12
_LONGEST_S = 366 * 24 * 3600
# as the enumerations elsewhere, which are not imported for this
_PROTOCOLS = ("default", "reference", "machado")
HINTS = ("none", "interface", "paper")
_OBJECTS = ("completed", "ocatari", "paper")
EFFORTS = ("low", "medium", "high", "xhigh", "max")
"""The values of the Messages API for how much a model is to think."""
_JAIL_LEVELS = ("none", "basic", "medium", "strong")


class Duration(click.ParamType[float]):
    """Seconds, or hours, minutes and seconds: ``90``, ``90s``, ``5m``, ``1h``, ``1h30m``."""

    name = "duration"

    def convert(
        self, value: Given, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Parse it as seconds."""
        if isinstance(value, float):
            return value
        match = _DURATION.fullmatch(str(value).strip())
        parts = [float(part or 0) for part in match.groups()] if match else [0.0]
        seconds = sum(n * unit for n, unit in zip(parts, (3600, 60, 1), strict=False))
        if not 0 < seconds <= _LONGEST_S:
            self.fail(f"{value!r} is not a duration such as 90, 90s, 5m or 1h30m.", param, ctx)
        return seconds


class AtLeast(click.ParamType[int]):
    """Integer in [least, most]."""

    name = "number"

    def __init__(self, least: int, most: int = _HIGHEST) -> None:
        self._least, self._most = least, most

    def convert(
        self, value: Given, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Parse it."""
        try:
            number = int(value)
        except ValueError:
            self.fail(f"{value!r} is not an integer.", param, ctx)
        if number < self._least and self._most == _HIGHEST:
            self.fail(f"{value} is less than {self._least:,}.", param, ctx)
        if not self._least <= number <= self._most:
            self.fail(f"{value} is not in the range {self._least:,} to {self._most:,}.", param, ctx)
        return number


def command(*examples: str, name: str | None = None) -> Callable[[Callable[..., Any]], Command]:
    """Make a function a command whose help ends in examples."""
    return click.command(name, cls=Command, epilog=epilog(*examples))


def epilog(*lines: str) -> str:
    """Return the Examples block that ends the help of a command."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def all_of(*decorators: Decorator[Any]) -> Decorator[Any]:
    """Combine decorators into one, the first outermost."""

    def decorate(function: Function) -> Function:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


def number_option(
    *names: str,
    least: int = 1,
    default: int | None = None,
    help: str,  # noqa: A002 - click's word
) -> Decorator[Any]:
    """Return an option that takes an integer."""
    return click.option(
        *names,
        type=AtLeast(least),
        default=default,
        show_default=default is not None,
        metavar="N",
        help=help,
    )


def file_option(*names: str, help: str, metavar: str = "FILE", **more: Given) -> Decorator[Any]:  # noqa: A002
    """Return an option that takes a path."""
    return click.option(*names, type=click.Path(path_type=Path), metavar=metavar, help=help, **more)


def _keep(context: click.Context, parameter: click.Parameter, value: Given) -> None:
    """Keep the value of an option in the `CliContext`."""
    if value is not None and parameter.name is not None:
        setattr(context.obj, parameter.name, value)


def _keep_run(context: click.Context, _: click.Parameter, value: str | None) -> None:
    place: CliContext = context.obj
    if value is None:
        return
    if place.run_name not in (None, value):
        raise click.UsageError(f"two runs are named: {place.run_name} and {value}")
    place.run_name = value


workers_option = click.option(
    "--workers",
    type=AtLeast(1),
    metavar="N",
    expose_value=False,
    callback=_keep,
    help="Worker processes.  [default: one per core]",
)
executor_option = click.option(
    "--executor",
    metavar="ADDRESS",
    expose_value=False,
    callback=_keep,
    help="Play on a Dask cluster instead, given as dask://host:port (extra `dask`).",
)
jail_option = click.option(
    "--require-jail",
    "jail",
    type=click.Choice(_JAIL_LEVELS),
    expose_value=False,
    callback=_keep,
    help="Refuse to play unless the jail of the policies is at least this strong; "
    "`gco-agent doctor` shows what this machine offers.  [default: none]",
)
json_option = click.option(
    "--json",
    "as_json",
    is_flag=True,
    expose_value=False,
    callback=_keep,
    help="Print the result as JSON on stdout, and nothing else.",
)
play_options = all_of(workers_option, jail_option, json_option)
hidden_run_option = click.option(
    "--run", "run_option", hidden=True, expose_value=False, callback=_keep_run
)
run_argument = all_of(
    click.argument(
        "run_name", metavar="[RUN]", required=False, expose_value=False, callback=_keep_run
    ),
    hidden_run_option,
)
"""RUN: a branch, a name, or a game that has one run; by default the run that is checked out."""
target_argument = click.argument("target", required=False)


def hints_option(default: str | None) -> Decorator[Any]:
    """Return the option for how much a prompt says about the game."""
    return click.option(
        "--hints",
        type=click.Choice(HINTS),
        default=default,
        show_default=default is not None,
        help="How much a language model is told about the game: the types alone; what fields and "
        "actions mean; or the paper's advice and coordinates too."
        + ("" if default else "  [default: as the run, else interface]"),
    )


protocol_option = click.option(
    "--protocol",
    type=click.Choice(_PROTOCOLS),
    help="Rules of play, as of `gco-agent run`.  [default: as the run, else default]",
)
max_steps_option = number_option(
    "--max-steps",
    help="Truncate episodes after this many steps; a lower limit of Gymnasium's applies too.  "
    "[default: as the protocol]",
)
env_option = click.option(
    "--env",
    "env_id",
    metavar="ID",
    help="Environment of a policy whose docstring names none, such as gco/Pong-v5.",
)
objects_option = click.option(
    "--objects",
    type=click.Choice(_OBJECTS),
    help="What a policy observes of an Atari game. completed: OCAtari's objects and those it "
    "lacks. ocatari: OCAtari's alone. paper: those that the paper's authors show to a policy.  "
    "[default: as the run or the protocol]",
)
tune_option = click.option(
    "--tune",
    "tune_seconds",
    type=Duration(),
    metavar="TIME",
    help="After each accepted candidate, tune its numeric constants with CMA-ES for this long, as "
    "an iteration of its own.",
)
seed_option = click.option(
    "--seed",
    type=AtLeast(0, HIGHEST_SEED),
    default=0,
    show_default=True,
    metavar="N",
    help="Seed of the optimizer. Runs with the same seed are the same, apart from the effect of "
    "time limits.",
)
candidates_option = number_option(
    "--candidates",
    default=1,
    help="Candidates that each iteration asks for and races; the best of the winners is taken. "
    "search, tune and simplify propose one.",
)
frames_option = number_option(
    "--frames",
    help="Begin no iteration once the run has used this many frames, earlier commands included. "
    "The initial policy and the report are counted, and played in any case.",
)
usd_option = click.option(
    "--usd",
    type=click.FloatRange(min=0.0),
    metavar="N",
    help="Most US dollars that the run may spend on a language model, earlier commands included. "
    "Checked against the worst case before each request.  [default: no limit]",
)
model_options = all_of(
    click.option(
        "--model",
        metavar="NAME",
        help="Language model, for the optimizers that ask one.  "
        f"[default: {DEFAULT_MODEL}, or that of the run]",
    ),
    click.option(
        "--effort",
        type=click.Choice(EFFORTS),
        help="How much the model is to think.  [default: the server's]",
    ),
    number_option(
        "--max-tokens",
        least=100,
        help="Most tokens of one reply, thinking included.  [default: 32,000]",
    ),
)
start_options = all_of(
    click.argument("game"),
    click.option(
        "--optimizer",
        default="search",
        show_default=True,
        metavar="NAME[,NAME...]",
        help="What proposes policies; of several, the next one takes over after three rejected "
        "iterations in a row.",
    ),
    number_option(
        "--horizon",
        least=0,
        default=0,
        help="Show optoprime the first N steps of an episode, as in the paper; 0 for the moments "
        "that decided several episodes.",
    ),
    candidates_option,
    hints_option("interface"),
    seed_option,
    number_option(
        "--trace-tokens",
        least=100,
        default=6_000,
        help="Most tokens, as estimated, of the results that a language model is shown; "
        "`gco-agent trace` prints them.",
    ),
    click.option(
        "--name", help="Name of the run; its branch is gco/GAME/NAME.  [default: date and 4 digits]"
    ),
    click.option(
        "--start",
        metavar="FILE|REV",
        help="The policy to start from: a file, a run, a revision, or REV:PATH.  "
        "[default: the initial policy of the game]",
    ),
    click.option(
        "--switch/--no-switch",
        default=True,
        help="Check the run's branch out, or leave the work tree alone.  [default: --switch]",
    ),
    click.option(
        "--create-repo", is_flag=True, help="Make a git repository here if there is none."
    ),
    click.option(
        "--slice-steps",
        type=AtLeast(100),
        metavar="N",
        help="Steps that the search may play in one iteration.  [default: 70,000 of an Atari game, "
        "1,000,000 of anything else]",
    ),
    click.option(
        "--protocol",
        type=click.Choice(_PROTOCOLS),
        default="default",
        show_default=True,
        help="Rules of play. default: sticky actions 0.25, all lives. reference: as the paper's "
        "authors play the game: no sticky actions, their step limit and rule for lives. machado: "
        "sticky actions 0.25, all 18 actions, five minutes.",
    ),
    tune_option,
    objects_option,
    max_steps_option,
    model_options,
    play_options,
    executor_option,
)
