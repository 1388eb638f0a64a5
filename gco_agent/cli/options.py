"""What is typed: types of values, options that commands share, and the decorator of commands.

Options that say how to play or print (``--workers``, ``--require-jail``, ``--json``, RUN ...) are
kept in the `CliContext`; a command gets only its own.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import textwrap
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import click
from click.shell_completion import CompletionItem

from gco_agent.cli.errors import Command
from gco_agent.core.errors import GcoError
from gco_agent.core.seeds import HIGHEST_SEED

Decorator: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]
Given: TypeAlias = Any
"""Value of an option, as click has read it."""

_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?", re.I)
_HIGHEST = 10**12
_LONGEST_S = 366 * 24 * 3600
# as the enumerations elsewhere, which are not imported for this
_PROTOCOLS = ("default", "reference", "machado")
HINTS = ("none", "interface", "paper")
EFFORTS = ("low", "medium", "high", "xhigh", "max")
"""The values of the Messages API for how much a model is to think."""
PATH = click.Path(path_type=Path)
"""A file or folder that may not exist; for those to write see `OutputFile`, `OutputFolder`."""


def _folder_of(context: click.Context | None) -> Path:
    """Return the folder that ``-C`` names."""
    found = context.find_root().params.get("directory") if context else None
    return found or Path()


class OutputFile(click.Path):
    """A file to write, of which the folder exists; checked before anything is played."""

    name = "file"

    def convert(
        self, value: Given, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path:
        """Return it as it was typed."""
        path = (_folder_of(ctx) / value).absolute()
        if path.is_dir():
            self.fail(f"{path} is a folder", param, ctx)
        if not path.parent.is_dir():
            self.fail(f"there is no folder {path.parent}", param, ctx)
        if not os.access(path.parent, os.W_OK):
            self.fail(f"the folder {path.parent} cannot be written to", param, ctx)
        return Path(value)


class OutputFolder(click.Path):
    """A folder to write into, made if there is none; checked before anything is played."""

    name = "dir"

    def convert(
        self, value: Given, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path:
        """Return it as it was typed."""
        if not str(value):
            self.fail("it has no name", param, ctx)
        path = (_folder_of(ctx) / value).absolute()
        there = next(folder for folder in (path, *path.parents) if os.path.lexists(folder))
        if not there.is_dir():
            self.fail(f"{there} is not a folder", param, ctx)
        if not os.access(there, os.W_OK):
            self.fail(f"the folder {there} cannot be written to", param, ctx)
        return Path(value)


class Duration(click.ParamType[float]):
    """Seconds, or hours, minutes and seconds: ``90``, ``90s``, ``5m``, ``1h``, ``1h30m``."""

    name = "time"

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


class AtLeast(click.IntRange):
    """Integer in [least, most]."""

    name = "integer"

    def __init__(self, least: int, most: int = _HIGHEST) -> None:
        super().__init__(least, most)

    def _describe_range(self) -> str:
        return f"{self.min:,} to {self.max:,}" if self.max != _HIGHEST else f"{self.min:,} or more"


@functools.cache
def help_texts() -> dict[str, Any]:
    """Return what ``--help`` says, from help.toml: by command, and "options" that they share."""
    return tomllib.loads(Path(__file__).with_name("help.toml").read_text("utf-8"))


@functools.cache
def result_schema() -> dict[str, Any]:
    """Return the JSON schema of the output of ``--json``, by command."""
    text = Path(__file__).with_name("results.schema.json").read_text("utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def keys_text(command: str) -> str:
    """Return the paragraph of ``--help`` that lists the keys; "" if the command has no results."""
    found = result_schema()["properties"].get(command)
    if found is None:
        return ""
    first, *others = found.get("anyOf", [found])
    lead = found.get("title", "JSON, of each" if "items" in first else "JSON")
    texts = [f"{lead}: {', '.join(_keys(first))}"]
    if "description" in found:
        texts.append(found["description"])
    elif "items" not in first:
        texts += ["or " + ", ".join(_keys(kind)) for kind in others]
    return "; ".join(texts) + "."


def _keys(kind: Mapping[str, Any]) -> Iterator[str]:
    shape = result_schema()["$defs"][kind.get("items", kind)["$ref"].rpartition("/")[2]]
    for base in shape.get("allOf", ()):
        yield from _keys(base)
    for key, value in shape["properties"].items():
        inner = value.get("anyOf", [value])[0]
        if "$ref" in inner.get("items", {}):
            yield f"{key}: [{', '.join(_keys(inner))}]"
        elif "$ref" in (part := inner.get("additionalProperties", inner)):
            yield f"{key}: {{{', '.join(_keys(part))}}}"
        else:
            note = f" ({value['description']})" if "description" in value else ""
            yield key + note


def command(
    *params: Decorator, name: str | None = None, group: click.Group | None = None
) -> Callable[[Callable[..., Any]], Command]:
    """Make a function a command, with its help from help.toml.

    It is called with the `CliContext` and its parameters, and returns a `Result`, or None if it has
    printed everything itself.
    """

    def decorate(function: Callable[..., Any]) -> Command:
        called = name or function.__name__
        made = click.command(called, cls=Command)(all_of(*params)(click.pass_obj(function)))
        texts = help_texts()[f"{group.name} {called}" if group else called]
        made.help = f"{texts['help']}\n{keys_text(f'{group.name} {called}' if group else called)}"
        made.epilog = epilog(texts.get("examples", ""))
        made.short_help = texts.get("short")
        own = {**help_texts()["options"], **texts.get("options", {})}
        for each in made.params:
            if isinstance(each, click.Option) and not each.hidden:
                each.help = own[each.opts[0]]
        if group:
            group.add_command(made)
        return made

    return decorate


def epilog(examples: str) -> str:
    """Return the Examples block that ends the help of a command."""
    return "\b\nExamples:\n" + textwrap.indent(examples, "  ") if examples else ""


def all_of(*decorators: Decorator) -> Decorator:
    """Combine decorators into one, the first outermost."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


def option(
    *names: str,
    kind: click.ParamType[Any] | Sequence[str] | None = None,
    default: Given = None,
    **more: Given,
) -> Decorator:
    """Return an option.

    Args:
        names: As they are typed; a name without dashes is that of the parameter.
        kind: Its type, or the values to choose from; text by default.
    """
    if isinstance(kind, Sequence):
        kind = click.Choice(kind)
    elif kind is not None:
        more.setdefault("metavar", "FILE" if isinstance(kind, click.Path) else kind.name.upper())
    shows = default not in (None, "") and not isinstance(default, bool)
    if not more.get("required"):  # with a default, even None, click would not ask for it
        more["default"] = default
    return click.option(*names, type=kind, show_default=shows, **more)


def flag(*names: str, **more: Given) -> Decorator:
    """Return an option without a value."""
    return click.option(*names, is_flag=True, **more)


def number(*names: str, least: int = 1, default: int | None = None) -> Decorator:
    """Return an option that takes an integer."""
    return option(*names, kind=AtLeast(least), default=default)


def _keep(context: click.Context, parameter: click.Parameter, value: Given) -> None:
    """Keep the value of an option in the `CliContext`."""
    if value is not None and parameter.name is not None:
        setattr(context.obj, parameter.name, value)


# Completion in the shell; nothing is printed there and nothing raised

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _completer(names: Callable[[Path], Iterable[str]], *, with_files: bool = False) -> Complete:
    """Return a completer that offers names, and files where ``with_files``."""

    def complete(
        context: click.Context, _: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        folder = _folder_of(context)
        found: list[CompletionItem] = []
        with contextlib.suppress(GcoError, OSError):
            found = [CompletionItem(name) for name in names(folder) if name.startswith(incomplete)]
        if with_files:
            found.append(CompletionItem(incomplete, type="file"))
        return found

    return complete


def _runs(folder: Path) -> list[str]:
    from gco_agent.store.git import GitRepo
    from gco_agent.store.run import Runs

    return [ref.branch for ref in Runs(GitRepo.find(folder.absolute())).list()]


def _games(_: Path) -> list[str]:
    from gco_agent.games.registry import every_game

    return sorted(every_game())


def _optimizers(_: Path) -> list[str]:
    from gco_agent.optimizers.registry import optimizer_names

    return optimizer_names()


complete_runs = _completer(_runs)
complete_targets = _completer(_runs, with_files=True)
complete_games = _completer(_games, with_files=True)
complete_optimizers = _completer(_optimizers, with_files=True)


# Shared options


def hints_option(default: str | None) -> Decorator:
    """Return the option for how much a prompt says about the game."""
    return option("--hints", kind=HINTS, default=default)


def seeds_option(default: str | None = None) -> Decorator:
    """Return the option for the seeds to play."""
    return option("--seeds", "seed_text", metavar="A:B", default=default)


KEPT: dict[str, Given] = {"expose_value": False, "callback": _keep}
workers_option = option("--workers", kind=AtLeast(1), **KEPT)
executor_option = option("--executor", metavar="ADDRESS", **KEPT)
jail_option = option("--require-jail", "jail", kind=("none", "basic", "medium", "strong"), **KEPT)
json_option = flag("--json", "as_json", **KEPT)
play_options = all_of(workers_option, jail_option, json_option)
run_argument = click.argument(
    "run_name", metavar="[RUN]", required=False, shell_complete=complete_runs, **KEPT
)
"""RUN: a branch, ``game/name``, or a name or game that one run has; by default `api.find_run`'s."""
target_argument = click.argument("target", required=False, shell_complete=complete_targets)
target_argument_needed = click.argument("target", shell_complete=complete_targets)
game_argument = click.argument("game", shell_complete=complete_games)
protocol_option = option("--protocol", kind=_PROTOCOLS)
max_steps_option = number("--max-steps")
env_option = option("--env", "env_id", metavar="ID")
objects_option = option("--objects", kind=("completed", "ocatari", "paper"))
tune_option = option("--tune", "tune_seconds", kind=Duration())
simplify_option = option("--simplify", "simplify_seconds", kind=Duration())
answer_option = option("--answer", metavar="CMD")
seed_option = option("--seed", kind=AtLeast(0, HIGHEST_SEED), default=0)
candidates_option = number("--candidates", default=1)
frames_option = number("--frames")
log_option = option("--log", kind=("wandb", "mlflow", "tensorboard"))
usd_option = option("--usd", kind=click.FloatRange(min=0.0), metavar="N")
create_option = flag("--create-repo")
model_options = all_of(
    option("--model", metavar="NAME"),
    option("--effort", kind=EFFORTS),
    number("--max-tokens", least=100),
)
start_options = all_of(
    game_argument,
    option(
        "--optimizer",
        default="search",
        metavar="NAME[,NAME...]",
        shell_complete=complete_optimizers,
    ),  # fmt: skip,
    number("--horizon", least=0, default=0),
    candidates_option,
    hints_option("interface"),
    seed_option,
    number("--trace-tokens", least=100, default=6_000),
    option("--name"),
    option("--start", metavar="FILE|REV"),
    option("--switch/--no-switch", default=True),
    create_option,
    number("--slice-steps", least=100),
    option("--protocol", kind=_PROTOCOLS, default="default"),
    tune_option,
    objects_option,
    max_steps_option,
    model_options,
    play_options,
    executor_option,
)
