"""``tune`` and ``simplify``: better constants, and less text, for a file or for a run."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gco_agent.cli.options import (
    AtLeast,
    Duration,
    Given,
    all_of,
    env_option,
    examples,
    jail_option,
    json_option,
    workers_option,
)
from gco_agent.cli.place import CliContext, make_judge, open_workers, runs_or_file
from gco_agent.cli.results import print_json
from gco_agent.cli.words import count, gain_in_words, one_line, tell
from gco_agent.core.errors import ContractViolation, UsageError
from gco_agent.core.seeds import HIGHEST_SEED

if TYPE_CHECKING:
    from gco_agent.core.events import Progress
    from gco_agent.evaluation.judge import Judge, Race
    from gco_agent.loop.improving import SimplifiedFile, TunedFile
    from gco_agent.policy import PolicySource
    from gco_agent.store.config import RunConfig

_SELECTION_STEPS = 4_500
"""Steps after which an episode is cut, as in the races of a run."""
_MARK = b"\xef\xbb\xbf"

_shared_options = all_of(
    click.argument("target", required=False),
    click.option(
        "--time",
        "seconds",
        type=Duration(),
        default="3m",
        show_default=True,
        metavar="TIME",
        help="How long to play, before the race that decides: 90, 90s, 5m.",
    ),
    click.option(
        "--steps",
        type=AtLeast(1_000),
        metavar="N",
        help="Steps to play at most; a command that the time does not end repeats to the letter.  "
        "[default: what the time usually allows]",
    ),
    click.option(
        "--output",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Write here instead of over the file.",
    ),
    env_option,
    click.option(
        "--max-steps",
        type=AtLeast(1),
        metavar="N",
        help="Steps after which an episode of a file is cut (4 frames each).  "
        f"[default: {_SELECTION_STEPS:,}]",
    ),
)
_last_options = all_of(workers_option, jail_option, json_option)


@click.command(
    short_help="Move the numeric constants of a policy.",
    epilog=examples(
        "gco-agent tune policies/pong.py            writes the file if it is better",
        "gco-agent tune my.py --env gco/Pong-v5 --time 10m --output tuned.py",
        "gco-agent tune                             an iteration of the run that is checked out",
    ),
)
@all_of(
    _shared_options,
    click.option(
        "--seed",
        type=AtLeast(0, HIGHEST_SEED),
        default=0,
        show_default=True,
        metavar="N",
        help="Of the tuner's own chance.",
    ),
    _last_options,
)
@click.pass_obj
def tune(place: CliContext, /, target: str | None, **given: Given) -> None:
    """Move the numeric constants of a policy by CMA-ES.

    TARGET is a policy file, or a run, or nothing for the run that is checked out. Named constants
    of the module are moved first, then numbers in its functions; whole numbers stay whole, signs
    stay as they are. A file is written only if the new constants are significantly better on
    selection seeds, which the tuner does not play; not a byte of it changes but those numbers and,
    where the docstring states a score, that score. Of a run it is one more iteration.

    \b
    JSON of a file: policy, written (path or null), constants: [name, before,
    after], generations, steps, mean_return, parent_mean_return, gain, gain_se,
    p_value, pairs.
    """  # noqa: D301 - click wants the character
    path = _file(place, target)
    if path is None:
        _iterate(place, target, "tune", given)
        return
    from gco_agent.loop.improving import tune_file

    source = _read(path)
    with _at_work(place, source, path, given) as (judge, progress):
        found = tune_file(
            source, judge, _purse(given, judge), seed=given["seed"], progress=progress
        )
    written = _write(path, _goal(place, path, given["output"]), found.source)
    data = _tuned_json(str(target), written, found)
    if given["as_json"]:
        print_json(data)
    else:
        _print_tuned(data, found)


@click.command(
    short_help="Take away what a policy does not need.",
    epilog=examples(
        "gco-agent simplify policies/pong.py",
        "gco-agent simplify my.py --env gco/Pong-v5 --exact --output small.py",
        "gco-agent simplify                         an iteration of the run that is checked out",
    ),
)
@all_of(
    _shared_options,
    click.option(
        "--exact", is_flag=True, help="Remove only what changes no action, in no episode played."
    ),
    _last_options,
)
@click.pass_obj
def simplify(place: CliContext, /, target: str | None, **given: Given) -> None:
    """Take away from a policy what its play does not need.

    TARGET is a policy file, or a run, or nothing for the run that is checked out. Branches that
    never run, terms and constants that do not matter, duplicates and unused names go if every
    action in several whole episodes stays the same. Then what changes actions is tried, and goes
    if the episodes of both, paired by seed, show that less than a stated margin is lost. The file
    is written, formatted with black, if it got smaller. Of a run it is one more iteration.

    \b
    JSON of a file: policy, written (path or null), removed: [what, line, exact],
    lines_before, lines_after, nodes_before, nodes_after, same_actions,
    same_episodes, steps, complete, gain, gain_se, pairs, margin, p_value.
    """  # noqa: D301 - click wants the character
    path = _file(place, target)
    if path is None:
        _iterate(place, target, "simplify", given)
        return
    from gco_agent.loop.improving import simplify_file

    source = _read(path)
    with _at_work(place, source, path, given) as (judge, progress):
        purse = _purse(given, judge)
        found = simplify_file(source, judge, purse, exact_only=given["exact"], progress=progress)
    written = _write(path, _goal(place, path, given["output"]), found.source)
    data = _simplified_json(str(target), written, found)
    if given["as_json"]:
        print_json(data)
    else:
        _print_simplified(data, found)


# Files


def _file(place: CliContext, target: str | None) -> Path | None:
    """The file that ``target`` names; None if it can only be a run.

    Raises:
        UsageError: It is named like a file, and there is none.
    """
    if target is None:
        runs_or_file(place)
        return None
    path = place.directory / target
    if path.is_dir():
        raise UsageError(f"{target} is a folder; name a policy file in it")
    if path.exists():
        return path
    if path.suffix == ".py":
        raise UsageError(f"there is no file {target} in {place.directory.resolve()}")
    return None


def _read(path: Path) -> PolicySource:
    """The policy in a file.

    Raises:
        PolicyError: It cannot be read, or breaks the contract of a policy file.
    """
    from gco_agent.policy import PolicySource, check_policy

    source = PolicySource.from_file(path)
    try:
        check_policy(source)
    except ContractViolation as error:
        raise ContractViolation(
            f"{path} breaks the contract of a policy file:\n{error}", line=error.line
        ) from None
    return source


@contextlib.contextmanager
def _at_work(
    place: CliContext, source: PolicySource, path: Path, given: dict[str, Any]
) -> Iterator[tuple[Judge, Progress]]:
    """The judge and the display for a file, and workers for as long as they are needed."""
    from gco_agent.cli.display import open_display
    from gco_agent.cli.targets import Target, protocol_of

    most = given["max_steps"] or _SELECTION_STEPS
    rules = protocol_of(place, Target(str(path), source), given["env_id"], most)
    with open_display(None, following=0) as display, open_workers(given["workers"]) as pool:
        yield make_judge(pool, rules, given["jail"]), display


def _purse(given: dict[str, Any], judge: Judge) -> Any:  # noqa: ANN401 - a Purse, imported late
    from gco_agent.optimizers.cma import StepBudget

    return StepBudget.for_time(given["seconds"], judge.pool.n_workers, given["steps"])


def _goal(place: CliContext, path: Path, output: Path | None) -> Path:
    """Where the result goes: over the file, if nothing else is said."""
    return place.directory / output if output else path


def _write(path: Path, target: Path, source: PolicySource | None) -> Path | None:
    """Put ``source`` in the place of ``target`` at once; where it went, if there is any.

    Raises:
        UsageError: It cannot be written.
    """
    if source is None:
        return None
    data = source.text.encode()
    part = target.with_name(f".{target.name}.part")
    try:
        if path.read_bytes().startswith(_MARK):
            data = _MARK + data
        part.write_bytes(data)
        shutil.copymode(path, part)
        os.replace(part, target)  # noqa: PTH105 - the same, and says that it is at once
    except OSError as error:
        part.unlink(missing_ok=True)
        raise UsageError(f"{target} cannot be written: {error.strerror}") from error
    return target


# Runs


def _iterate(place: CliContext, target: str | None, optimizer: str, given: dict[str, Any]) -> None:
    """One iteration of a run with another optimizer than its own.

    Raises:
        UsageError: An option is given that is for files.
    """
    from gco_agent.cli.running import go_on
    from gco_agent.evaluation.workers import usable_cores
    from gco_agent.loop.budget import Budget
    from gco_agent.optimizers.cma import StepBudget

    for name in ("output", "env_id", "exact", "max_steps"):
        if given.get(name):
            option = "--" + {"env_id": "env", "max_steps": "max-steps"}.get(name, name)
            raise UsageError(f"{option} is for policy files; a run has its own rules and commits")
    seconds, n_workers = given["seconds"], given["workers"] or usable_cores()
    n_steps = StepBudget.for_time(seconds, n_workers, given["steps"]).n_steps

    def change(config: RunConfig) -> RunConfig:
        seed = given.get("seed", config.seed)
        return replace(
            config, optimizer=optimizer, slice_steps=n_steps, slice_seconds=seconds, seed=seed
        )

    given = {**given, "run_name": target, "again": f"gco-agent {optimizer} {{run}}"}
    go_on(place, given, Budget(iterations=1), change)


# What is printed


def _tuned_json(name: str, written: Path | None, found: TunedFile) -> dict[str, Any]:
    race = found.race
    return {
        "policy": name,
        "written": str(written) if written else None,
        "constants": [
            {"name": move.name, "before": move.before, "after": move.after}
            for move in found.tuned.moves
        ],
        "generations": found.tuned.generations,
        "steps": found.n_steps,
        "mean_return": race.child.mean_return if race else None,
        "parent_mean_return": race.parent.mean_return if race else None,
        **_gain_json(race),
        "p_value": race.gain.p_value if race and race.gain else None,
    }


def _gain_json(race: Race | None) -> dict[str, Any]:
    gain = race.gain if race else None
    return {
        "gain": gain.mean if gain else None,
        "gain_se": gain.standard_error if gain else None,
        "pairs": gain.n_pairs if gain else None,
    }


def _print_tuned(data: dict[str, Any], found: TunedFile) -> None:
    from gco_agent.loop.candidate import describe_race

    names = ", ".join(found.tuned.constants)
    played = f"{count(data['generations'], 'generation')}, {data['steps']:,} steps"
    click.echo(f"tuned {one_line(names)}: {played}")
    for move in found.tuned.moves:
        click.echo(f"  {one_line(str(move))}")
    if found.race is None:
        click.echo("nothing was found that is better than the constants there are; not written")
        return
    click.echo(describe_race(found.race))
    if data["written"]:
        click.echo(f"gain {gain_in_words(found.race.gain)}: written to {data['written']}")
    else:
        click.echo("that is no significant gain; not written")


def _simplified_json(name: str, written: Path | None, found: SimplifiedFile) -> dict[str, Any]:
    from gco_agent.core.statistics import no_worse_p_value
    from gco_agent.policy.removals import size_of

    simplified, race = found.simplified, found.race
    size = size_of(found.source) if found.source else simplified.before
    has_margin = race is not None and race.gain is not None and race.margin is not None
    return {
        "policy": name,
        "written": str(written) if written else None,
        "removed": [
            {"what": removed.what, "line": removed.line, "exact": removed.is_exact}
            for removed in simplified.kept(with_lossy=race is None or race.verdict.is_won)
        ],
        "lines_before": simplified.before.sloc,
        "lines_after": size.sloc,
        "nodes_before": simplified.before.nodes,
        "nodes_after": size.nodes,
        "same_actions": simplified.n_actions,
        "same_episodes": simplified.n_episodes,
        "steps": found.n_steps,
        "complete": not simplified.is_cut,
        **_gain_json(race),
        "margin": race.margin if race else None,
        "p_value": no_worse_p_value(race.gain, race.margin) if has_margin else None,  # type: ignore[union-attr, arg-type]
    }


def _print_simplified(data: dict[str, Any], found: SimplifiedFile) -> None:
    from gco_agent.loop.candidate import describe_race

    for removed in data["removed"]:
        note = "" if removed["exact"] else "  (judged by its returns)"
        click.echo(f"  line {removed['line']}: {one_line(removed['what'])}{note}")
    if data["written"]:
        click.echo(
            f"{data['lines_before']} lines of code to {data['lines_after']}, "
            f"{data['nodes_before']} nodes of the syntax tree to {data['nodes_after']}: "
            f"written to {data['written']}"
        )
        which = "without the removals that were judged by returns, " if found.race else ""
        click.echo(
            f"{which}all {data['same_actions']:,} actions in "
            f"{count(data['same_episodes'], 'episode')} are the same"
        )
    else:
        click.echo("nothing was found that the policy could do without; not written")
    if found.race is not None:
        won = found.race.verdict.is_won
        click.echo(("" if won else "removals that change actions were tried and not kept: ")
                   + describe_race(found.race))  # fmt: skip
    if not data["complete"]:
        tell("Not all was tried in the time; a longer --time may find more.")
