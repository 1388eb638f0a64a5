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

from gco_agent.cli.context import CliContext, Target
from gco_agent.cli.display import open_display
from gco_agent.cli.options import (
    Duration,
    Given,
    all_of,
    command,
    env_option,
    file_option,
    number_option,
    play_options,
    seed_option,
    target_argument,
)
from gco_agent.cli.output import count, gain_text, say, tell
from gco_agent.cli.run import advance
from gco_agent.core.errors import UsageError
from gco_agent.loop import checks
from gco_agent.loop.budget import Budget
from gco_agent.policy import PolicySource

if TYPE_CHECKING:
    from gco_agent.core.events import Progress
    from gco_agent.evaluation.judge import Judge, Race
    from gco_agent.loop.improving import SimplifiedFile, TunedFile
    from gco_agent.optimizers.cma import StepBudget
    from gco_agent.store.config import RunConfig

_SELECTION_STEPS = 4_500
"""Steps after which an episode is truncated, as in the races of a run."""
_MARK = b"\xef\xbb\xbf"

_shared_options = all_of(
    target_argument,
    click.option(
        "--time",
        "seconds",
        type=Duration(),
        default="3m",
        show_default=True,
        metavar="TIME",
        help="How long to play, before the race that decides: 90, 90s, 5m.",
    ),
    number_option(
        "--steps",
        least=1_000,
        help="Steps to play at most; a command that does not run out of time is reproducible.  "
        "[default: what the time usually allows]",
    ),
    file_option("--output", help="Write here instead of over the file."),
    env_option,
    number_option(
        "--max-steps",
        help=f"Truncate episodes of a file after this many steps.  [default: {_SELECTION_STEPS:,}]",
    ),
    play_options,
)


@command(
    "gco-agent tune policies/pong.py            writes the file if it is better",
    "gco-agent tune my.py --env gco/Pong-v5 --time 10m --output tuned.py",
    "gco-agent tune                             an iteration of the run that is checked out",
)
@all_of(_shared_options, seed_option)
@click.pass_obj
def tune(place: CliContext, /, target: str | None, **given: Given) -> None:
    """Tune the numeric constants of a policy with CMA-ES.

    TARGET is a policy file, or a run, or nothing for the run that is checked out. Named constants
    of the module are tuned first, then numbers in its functions; integers stay integers, signs
    stay as they are. A file is written only if the new constants are significantly better on
    selection seeds, which the tuner does not play; nothing else in it changes, except the score
    that its docstring states. For a run it is one more iteration.

    \b
    JSON of a file: policy, written (path or null), constants: [name, before,
    after], generations, steps, mean_return, parent_mean_return, gain, gain_se,
    p_value, pairs. JSON of a run as of run.
    """  # noqa: D301 - click wants the character
    path = _file(place, target)
    if path is None:
        _iterate(place, target, "tune", given)
        return
    from gco_agent.loop.improving import tune_file

    source = PolicySource.from_file(path)
    with _at_work(place, source, path, given) as (judge, budget, progress):
        found = tune_file(source, judge, budget, seed=given["seed"], progress=progress)
    written = _write(path, place.path(given["output"] or path), found.source)
    race = found.race
    data = {
        "policy": target,
        "written": written,
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
    place.emit(data, lambda: _print_tuned(data, found))


@command(
    "gco-agent simplify policies/pong.py",
    "gco-agent simplify my.py --env gco/Pong-v5 --exact --output small.py",
    "gco-agent simplify                         an iteration of the run that is checked out",
)
@_shared_options
@click.option(
    "--exact", is_flag=True, help="Remove only what changes no action, in any episode played."
)
@click.pass_obj
def simplify(place: CliContext, /, target: str | None, **given: Given) -> None:
    """Remove from a policy what its play does not need.

    TARGET is a policy file, or a run, or nothing for the run that is checked out. Branches that
    never run, terms and constants that do not matter, duplicates and unused names are removed if
    every action in several whole episodes stays the same. Then what changes actions is tried, and
    removed if the episodes of both, paired by seed, show that less than a stated margin is lost.
    The file is written, formatted with black, if it got smaller. For a run it is one more
    iteration.

    \b
    JSON of a file: policy, written (path or null), removed: [what, line, exact],
    lines_before, lines_after, nodes_before, nodes_after, same_actions,
    same_episodes, steps, complete, gain, gain_se, pairs, margin, p_value.
    JSON of a run as of run.
    """  # noqa: D301 - click wants the character
    path = _file(place, target)
    if path is None:
        _iterate(place, target, "simplify", given)
        return
    from gco_agent.loop.improving import simplify_file

    source = PolicySource.from_file(path)
    with _at_work(place, source, path, given) as (judge, budget, progress):
        found = simplify_file(source, judge, budget, exact_only=given["exact"], progress=progress)
    written = _write(path, place.path(given["output"] or path), found.source)
    data = _simplified_json(target, written, found)
    place.emit(data, lambda: _print_simplified(data, found))


def _file(place: CliContext, target: str | None) -> Path | None:
    """Return the file that ``target`` names; None if it can only be a run."""
    if target is None:
        place.runs_or_file()
    return place.policy_file(target)


@contextlib.contextmanager
def _at_work(
    place: CliContext, source: PolicySource, path: Path, given: dict[str, Any]
) -> Iterator[tuple[Judge, StepBudget, Progress]]:
    """Open the judge, the step budget and the display for a file, and the workers."""
    from gco_agent.optimizers.cma import StepBudget

    checks.require_contract(source, str(path))
    most = given["max_steps"] or _SELECTION_STEPS
    rules = place.protocol_of(Target(str(path), source), given["env_id"], most)
    with open_display() as display, place.open_workers() as pool:
        budget = StepBudget.for_time(given["seconds"], pool.n_workers, given["steps"])
        yield place.judge(pool, rules), budget, display


def _write(path: Path, target: Path, source: PolicySource | None) -> Path | None:
    """Replace ``target`` with ``source`` at once, if there is one; where it went.

    Mode and byte order mark are those of ``path``.
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


def _iterate(place: CliContext, target: str | None, optimizer: str, given: dict[str, Any]) -> None:
    """Make one iteration of a run with another optimizer than its own."""
    from gco_agent.evaluation.workers import usable_cores
    from gco_agent.optimizers.cma import StepBudget

    options = {"output": "output", "env_id": "env", "exact": "exact", "max_steps": "max-steps"}
    for name, option in options.items():
        if given.get(name):
            raise UsageError(f"--{option} is for policy files; a run has its own rules and commits")
    seconds, n_workers = given["seconds"], place.workers or usable_cores()
    n_steps = StepBudget.for_time(seconds, n_workers, given["steps"]).n_steps

    def change(config: RunConfig) -> RunConfig:
        seed = given.get("seed", config.seed)
        return replace(
            config, optimizer=optimizer, slice_steps=n_steps, slice_seconds=seconds, seed=seed
        )

    place.run_name = target
    again = f"Go on with: gco-agent {optimizer} {{run}}"
    advance(place, Budget(iterations=1), change, again=again)


def _gain_json(race: Race | None) -> dict[str, Any]:
    gain = race.gain if race else None
    return {
        "gain": gain.mean if gain else None,
        "gain_se": gain.standard_error if gain else None,
        "pairs": gain.n_pairs if gain else None,
    }


def _print_tuned(data: dict[str, Any], found: TunedFile) -> None:
    from gco_agent.loop.candidate import describe_race

    played = f"{count(data['generations'], 'generation')}, {data['steps']:,} steps"
    say(f"tuned {', '.join(found.tuned.constants)}: {played}")
    for move in found.tuned.moves:
        say(f"  {move}")
    if found.race is None:
        say("no better constants were found; not written")
        return
    say(describe_race(found.race))
    if data["written"]:
        say(f"gain {gain_text(found.race.gain)}: written to {data['written']}")
    else:
        say("that is not a significant gain; not written")


def _simplified_json(
    name: str | None, written: Path | None, found: SimplifiedFile
) -> dict[str, Any]:
    from gco_agent.policy import size_of

    simplified, race = found.simplified, found.race
    size = size_of(found.source) if found.source else simplified.before
    p_value = None
    if race is not None and race.gain is not None and race.margin is not None:
        p_value = (race.baseline.gain if race.baseline else race.gain).p_value
    return {
        "policy": name,
        "written": written,
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
        "p_value": p_value,
    }


def _print_simplified(data: dict[str, Any], found: SimplifiedFile) -> None:
    from gco_agent.loop.candidate import describe_race

    for removed in data["removed"]:
        note = "" if removed["exact"] else "  (judged by its returns)"
        say(f"  line {removed['line']}: {removed['what']}{note}")
    if data["written"]:
        say(
            f"{data['lines_before']} lines of code to {data['lines_after']}, "
            f"{data['nodes_before']} nodes of the syntax tree to {data['nodes_after']}: "
            f"written to {data['written']}"
        )
        which = "without the removals that were judged by returns, " if found.race else ""
        say(
            f"{which}all {data['same_actions']:,} actions in "
            f"{count(data['same_episodes'], 'episode')} are the same"
        )
    else:
        say("nothing was found that the policy can do without; not written")
    if found.race is not None:
        won = found.race.verdict.is_won
        lead = "" if won else "removals that change actions were tried and not kept: "
        say(lead + describe_race(found.race))
    if not data["complete"]:
        tell("The time was too short to try everything; a longer --time may find more.")
