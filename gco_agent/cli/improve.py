"""``tune`` and ``simplify``: better constants, and less text, for a file or for a run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gco_agent.cli import options as o
from gco_agent.cli.context import CliContext
from gco_agent.cli.display import open_display
from gco_agent.cli.options import Given, command, flag, number, option
from gco_agent.cli.output import Result, count, gain_text, pick, say, tell
from gco_agent.cli.run import advance
from gco_agent.core.errors import StoreError, UsageError

if TYPE_CHECKING:
    from gco_agent.core.events import Progress
    from gco_agent.evaluation.judge import Judge, Race
    from gco_agent.optimizers.cma import StepBudget
    from gco_agent.optimizers.simplify import Simplified
    from gco_agent.optimizers.tune import Tuned
    from gco_agent.policy.source import PolicySource, Size
    from gco_agent.store.config import RunConfig

_SELECTION_STEPS = 4_500
_MARK = b"\xef\xbb\xbf"

_shared_options = o.all_of(
    o.target_argument,
    option("--time", "seconds", kind=o.Duration(), default="3m"),
    number("--steps", least=1_000),
    option("--output", kind=o.OutputFile()),
    o.env_option,
    number("--max-steps"),
    o.play_options,
)


@command(_shared_options, o.seed_option)
def tune(place: CliContext, /, target: str | None, **given: Given) -> Result:
    """Tune the numeric constants of a policy with CMA-ES."""
    from gco_agent.loop.improving import tune_file
    from gco_agent.policy.source import PolicySource

    path = _file(place, target)
    if path is None:
        return _iterate(place, target, "tune", given)
    source = PolicySource.from_file(path)
    with _at_work(place, source, path, given) as (judge, budget, progress):
        tuned_policy, tuned, race = tune_file(
            source, judge, budget, seed=given["seed"], progress=progress
        )
    data = {
        "policy": target,
        "written": _write(place, path, given["output"], tuned_policy),
        "constants": [pick(move, "name before after") for move in tuned.moves],
        "generations": tuned.generations,
        "steps": budget.used,
        "mean_return": race.child.mean_return if race else None,
        "parent_mean_return": race.parent.mean_return if race else None,
        **_gain_json(race),
        "p_value": race.gain.p_value if race and race.gain else None,
    }
    return Result(data, lambda: _print_tuned(data, tuned, race))


@command(_shared_options, flag("--exact"))
def simplify(place: CliContext, /, target: str | None, **given: Given) -> Result:
    """Remove from a policy the code that does not matter to how it plays."""
    from gco_agent.loop.improving import simplify_file
    from gco_agent.policy.source import PolicySource, size_of

    path = _file(place, target)
    if path is None:
        return _iterate(place, target, "simplify", given)
    source = PolicySource.from_file(path)
    with _at_work(place, source, path, given) as (judge, budget, progress):
        smaller, simplified, race = simplify_file(
            source, judge, budget, exact_only=given["exact"], progress=progress
        )
    data = {
        "policy": target,
        "written": _write(place, path, given["output"], smaller),
        **_simplified_json(simplified, size_of(smaller) if smaller else simplified.before, race),
        "steps": budget.used,
    }
    return Result(data, lambda: _print_simplified(data, race))


def _file(place: CliContext, target: str | None) -> Path | None:
    """Return the file that ``target`` names; None if it can only be a run."""
    from gco_agent.api import policy_file

    if target is not None:
        return policy_file(target, place.directory)
    try:
        place.repository()
    except StoreError as error:
        raise UsageError(f"{error} Or name a policy file.") from None
    return None


@contextlib.contextmanager
def _at_work(
    place: CliContext, source: PolicySource, path: Path, given: dict[str, Any]
) -> Iterator[tuple[Judge, StepBudget, Progress]]:
    """Open the judge, the step budget and the display for a file, and the workers."""
    from gco_agent.api import Target
    from gco_agent.loop import checks
    from gco_agent.optimizers.cma import StepBudget

    checks.require_contract(source, str(path))
    most = given["max_steps"] or _SELECTION_STEPS
    rules = place.rules_of(Target(str(path), source), {**given, "max_steps": most})
    with open_display() as display, place.players.judge(rules) as judge:
        budget = StepBudget.for_time(given["seconds"], judge.pool.n_workers, given["steps"])
        yield judge, budget, display


def _write(
    place: CliContext, path: Path, output: Path | None, source: PolicySource | None
) -> Path | None:
    """Write ``source``, if any, with the byte order mark of ``path``; return where."""
    if source is None:
        return None
    mark = _MARK if path.read_bytes().startswith(_MARK) else b""
    return place.write(output or path.absolute(), mark + source.text.encode())


def _iterate(
    place: CliContext, target: str | None, optimizer: str, given: dict[str, Any]
) -> Result:
    """Make one iteration of a run with another optimizer than its own."""
    from gco_agent.evaluation.workers import usable_cores
    from gco_agent.loop.budget import Budget
    from gco_agent.optimizers.cma import StepBudget

    options = {"output": "output", "env_id": "env", "exact": "exact", "max_steps": "max-steps"}
    for name, option_name in options.items():
        if given.get(name):
            raise UsageError(
                f"--{option_name} is for policy files; a run has its own rules and commits"
            )
    seconds, n_workers = given["seconds"], place.workers or usable_cores()
    n_steps = StepBudget.for_time(seconds, n_workers, given["steps"]).n_steps

    def change(config: RunConfig) -> RunConfig:
        seed = given.get("seed", config.seed)
        return replace(
            config, optimizer=optimizer, slice_steps=n_steps, slice_seconds=seconds, seed=seed
        )

    place.run_name = target
    return advance(
        place, Budget(iterations=1), change, f"Go on with: gco-agent {optimizer} {{run}}"
    )


def _gain_json(race: Race | None) -> dict[str, Any]:
    gain = race.gain if race else None
    return {
        "gain": gain.mean if gain else None,
        "gain_se": gain.standard_error if gain else None,
        "pairs": gain.n_pairs if gain else None,
    }


def _print_tuned(data: dict[str, Any], tuned: Tuned, race: Race | None) -> None:
    from gco_agent.loop.candidate import describe_result

    played = f"{count(data['generations'], 'generation')}, {data['steps']:,} steps"
    say(f"tuned {', '.join(tuned.constants)}: {played}")
    for move in tuned.moves:
        say(f"  {move}")
    if race is None:
        say("no better constants were found; not written")
        return
    say(describe_result(race))
    if data["written"]:
        say(f"gain {gain_text(race.gain)}: written to {data['written']}")
    else:
        say("that is not a significant gain; not written")


def _simplified_json(simplified: Simplified, size: Size, race: Race | None) -> dict[str, Any]:
    p_value = None
    if race is not None and race.gain is not None and race.margin is not None:
        p_value = (race.decisive or race.gain).p_value
    return {
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
        "complete": not simplified.is_cut,
        **_gain_json(race),
        "margin": race.margin if race else None,
        "p_value": p_value,
    }


def _print_simplified(data: dict[str, Any], race: Race | None) -> None:
    from gco_agent.loop.candidate import describe_result

    for removed in data["removed"]:
        note = "" if removed["exact"] else "  (judged by its returns)"
        say(f"  line {removed['line']}: {removed['what']}{note}")
    if data["written"]:
        say(
            f"{data['lines_before']} lines of code to {data['lines_after']}, "
            f"{data['nodes_before']} nodes of the syntax tree to {data['nodes_after']}: "
            f"written to {data['written']}"
        )
        which = "without the removals that were judged by returns, " if race else ""
        say(
            f"{which}all {data['same_actions']:,} actions in "
            f"{count(data['same_episodes'], 'episode')} are the same"
        )
    else:
        say("nothing was found that the policy can do without; not written")
    if race is not None:
        won = race.verdict.is_won
        lead = "" if won else "removals that change actions were tried and not kept: "
        say(lead + describe_result(race))
    if not data["complete"]:
        tell("The time was too short to try everything; a longer --time may find more.")
