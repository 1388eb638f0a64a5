"""What is typed: durations, options that commands share, and the examples in their help."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import click

from gco_agent.core.seeds import HIGHEST_SEED

if TYPE_CHECKING:
    from gco_agent.games import Hints

Function = TypeVar("Function", bound=Callable[..., Any])
Given: TypeAlias = Any
"""Value of an option, as click has read it."""

_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?", re.I)
_HIGHEST = 10**12
_LONGEST_S = 366 * 24 * 3600
_PROTOCOLS = ("default", "reference", "machado")  # as envs.atari.PROTOCOLS, not imported for this
HINTS = ("none", "interface", "paper")  # as games.HINTS, which is not imported for this
_OBJECTS = ("completed", "ocatari", "paper")  # as records.OBJECTS
_JAIL_LEVELS = ("none", "basic", "medium", "strong")  # as JailLevel, which is not imported for this


class Duration(click.ParamType[float]):
    """Seconds, or hours, minutes and seconds: ``90``, ``90s``, ``5m``, ``1h``, ``1h30m``."""

    name = "duration"

    def convert(
        self, value: Given, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read it as seconds."""
        if isinstance(value, float):
            return value
        match = _DURATION.fullmatch(str(value).strip())
        parts = [float(part or 0) for part in match.groups()] if match else [0.0]
        seconds = sum(n * unit for n, unit in zip(parts, (3600, 60, 1), strict=False))
        if not 0 < seconds <= _LONGEST_S:
            self.fail(f"{value!r} is no time; give it as 90, 90s, 5m or 1h30m.", param, ctx)
        return seconds


class AtLeast(click.ParamType[int]):
    """A whole number with a lower bound, and one above that nobody meets."""

    name = "number"

    def __init__(self, least: int, most: int = _HIGHEST) -> None:
        self._least, self._most = least, most

    def convert(
        self, value: Given, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Read it."""
        try:
            number = int(value)
        except ValueError:
            self.fail(f"{value!r} is no whole number.", param, ctx)
        if not self._least <= number <= self._most:
            self.fail(f"{value} is not from {self._least:,} to {self._most:,}.", param, ctx)
        return number


def examples(*lines: str) -> str:
    """The Examples block that ends the help of a command."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def all_of(*decorators: Callable[[Function], Function]) -> Callable[[Function], Function]:
    """One decorator out of several, the first outermost."""

    def decorate(function: Function) -> Function:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


workers_option = click.option(
    "--workers",
    type=AtLeast(1),
    metavar="N",
    help="Worker processes.  [default: one a core]",
)
executor_option = click.option(
    "--executor",
    metavar="ADDRESS",
    help="Play on a Dask cluster instead, given as dask://host:port (extra `dask`).",
)
jail_option = click.option(
    "--require-jail",
    "jail",
    type=click.Choice(_JAIL_LEVELS),
    default="none",
    help="Refuse to play unless the jail of the policies is at least this good; "
    "`gco-agent doctor` says what this machine offers.  [default: take what there is]",
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print the result as JSON on stdout, and only that."
)


def hints_option(default: str | None) -> Callable[[Function], Function]:
    """How much a prompt tells of the game; with no default, as the run has it."""
    return click.option(
        "--hints",
        type=click.Choice(HINTS),
        default=default,
        show_default=default is not None,
        help="How much a language model is told of the game: the types alone; what fields and "
        "actions mean; or the paper's advice and coordinates too."
        + ("" if default else "  [default: as the run, else interface]"),
    )


protocol_option = click.option(
    "--protocol",
    type=click.Choice(_PROTOCOLS),
    help="Rules of play, as of `gco-agent run`.  [default: as the run, else default]",
)
max_steps_option = click.option(
    "--max-steps",
    type=AtLeast(1),
    metavar="N",
    help="Steps after which an episode is cut; where Gymnasium cuts earlier, that holds.  "
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
    help="What is observed of an Atari game. completed: OCAtari's objects and what they lack. "
    "ocatari: those alone. paper: those of them that the paper's authors show to a policy.  "
    "[default: as the run or the protocol]",
)
run_option = click.option(
    "--run",
    "run_name",
    metavar="RUN",
    help="The run, by branch or name, or by its game if there is no other run of it.  [default: "
    "the run that is checked out]",
)


tune_option = click.option(
    "--tune",
    "tune_seconds",
    type=Duration(),
    metavar="TIME",
    help="After each accepted candidate, let CMA-ES move its numeric constants for so long, as an "
    "iteration of its own.",
)


optimizer_option = click.option(
    "--optimizer",
    metavar="NAME",
    help="Who proposes policies this time.  [default: as the run was started]",
)


@dataclass(frozen=True, slots=True)
class StartOptions:
    """What a new run is made of; see the help of the options."""

    game: str
    optimizer: str
    seed: int
    name: str | None
    switch: bool
    create_repo: bool
    slice_steps: int | None
    protocol: str
    max_steps: int | None
    workers: int | None
    executor: str | None
    jail: str
    candidates: int = 1
    hints: Hints = "interface"
    horizon: int = 0
    trace_tokens: int = 6_000
    tune_seconds: float | None = None
    model: str | None = None
    effort: str | None = None
    max_tokens: int | None = None
    objects: str | None = None
    start: str | None = None

    @property
    def model_options(self) -> dict[str, Given]:
        """What was said of the language model."""
        return {"model": self.model, "effort": self.effort, "max_tokens": self.max_tokens}


start_options = all_of(
    click.argument("game"),
    click.option(
        "--optimizer",
        default="search",
        show_default=True,
        metavar="NAME[,NAME...]",
        help="Who proposes policies; of several, the next takes over when three iterations in a "
        "row were turned down.",
    ),
    click.option(
        "--horizon",
        type=AtLeast(0),
        default=0,
        metavar="N",
        help="Show optoprime the first N steps of an episode, as in the paper.  [default: the "
        "moments that decided several episodes]",
    ),
    click.option(
        "--candidates",
        type=AtLeast(1),
        default=1,
        show_default=True,
        metavar="N",
        help="Candidates that each iteration asks for and races; the best of those that win is "
        "taken. search, tune and simplify have one.",
    ),
    hints_option("interface"),
    click.option(
        "--seed",
        type=AtLeast(0, HIGHEST_SEED),
        default=0,
        show_default=True,
        metavar="N",
        help="Of the optimizer's own chance. Runs of the same seed are the same, but for what "
        "time limits do.",
    ),
    click.option(
        "--trace-tokens",
        type=AtLeast(100),
        default=6_000,
        show_default=True,
        metavar="N",
        help="Most tokens, as estimated, of what a language model is told of results; "
        "`gco-agent trace` shows it.",
    ),
    click.option(
        "--name", help="Name of the run; its branch is gco/GAME/NAME.  [default: date and 4 digits]"
    ),
    click.option(
        "--start",
        metavar="FILE|REV",
        help="A policy of your own to begin with: a file, a run, a revision, or REV:PATH.  "
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
        "authors play the game: no sticky actions, their cap and their rule for lives. machado: "
        "sticky actions 0.25, all 18 actions, five minutes.",
    ),
    tune_option,
    objects_option,
    max_steps_option,
    workers_option,
    executor_option,
    jail_option,
)
