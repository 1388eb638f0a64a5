"""``export``: runs and policies in the forms of other tools."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gco_agent.cli.options import (
    AtLeast,
    Given,
    all_of,
    env_option,
    examples,
    jail_option,
    json_option,
    max_steps_option,
    run_option,
    workers_option,
)
from gco_agent.cli.place import CliContext, find_shown
from gco_agent.cli.targets import find_target, protocol_of, require_contract
from gco_agent.cli.words import count
from gco_agent.core.errors import GcoError, UsageError

if TYPE_CHECKING:
    from gco_agent.cli.targets import Target
    from gco_agent.report.summary import RunReport

_EPISODES = 30


@click.group(
    short_help="Write a run or a policy for other tools.",
    epilog=examples(
        "gco-agent export tensorboard -o runs/pong",
        "gco-agent export minari policies/pong.py --episodes 10 -o datasets",
        "gco-agent export model-card policies/pong.py -o README.md",
    ),
)
def export() -> None:
    """Write a run or a policy in the form of another tool: TensorBoard, Minari, a model card."""


@export.command(short_help="The curves of a run as TensorBoard scalars.")
@run_option
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    metavar="DIR",
    help="Folder of the event file.",
)
@json_option
@click.pass_obj
def tensorboard(place: CliContext, /, run_name: str | None, output: Path, *, as_json: bool) -> None:
    """Write the curves of a run as TensorBoard scalars.

    Tags: return/in_force, return/candidate, return/report (each with _half_interval, of 95 %),
    search/gain, complexity/lines, /cyclomatic, /nested_if, used/hours, /million_frames, /usd.
    The step is the iteration. JSON: path, run, scalars (how many).
    """
    from gco_agent.report.export import write_scalars
    from gco_agent.report.summary import read_report

    runs = place.runs()
    report = read_report(runs.view(find_shown(runs, run_name)))
    folder = place.directory / output
    n = write_scalars(report, folder)
    if as_json:
        from gco_agent.cli.results import print_json

        print_json({"path": str(folder), "run": report.branch, "scalars": n})
        return
    click.echo(f"{folder}: {count(n, 'number')} of {report.branch}")


@export.command(short_help="Episodes of a policy as a Minari data set.")
@click.argument("target", required=False)
@click.option(
    "--episodes", type=AtLeast(1), default=10, show_default=True, metavar="N",
    help="How many, on the first feedback seeds.",
)  # fmt: skip
@click.option("--name", metavar="ID", help="Id of the data set.  [default: GAME/gco-agent-v0]")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder of data sets.  [default: Minari's own, ~/.minari/datasets]",
)
@all_of(max_steps_option, env_option, jail_option, json_option)
@click.pass_obj
def minari(
    place: CliContext,
    /,
    target: str | None,
    episodes: int,
    name: str | None,
    output: Path | None,
    **given: Given,
) -> None:
    """Play a policy and keep its episodes as a Minari data set.

    TARGET is as for eval. Observations are the console's 128 bytes of RAM, actions indices into the
    minimal action set; of other environments both are as the environment has them. JSON:
    path, id, episodes, steps, mean_return.
    """
    from gco_agent.core.seeds import Stream
    from gco_agent.envs.environment import spec_of
    from gco_agent.jail.limits import JailLevel
    from gco_agent.report.export import record, require_id, write_dataset

    wanted = find_target(place, target)
    require_contract(wanted)
    rules = protocol_of(place, wanted, given["env_id"], given["max_steps"])
    dataset = name or f"{spec_of(rules).name}/gco-agent-v0"
    require_id(dataset)
    folder = Path.home() / ".minari" / "datasets" if output is None else place.directory / output
    require = JailLevel.parse(given["jail"])
    seeds = Stream.FEEDBACK.seeds(0, episodes)
    kept = [record(wanted.source.text, rules, seed, require) for seed in seeds]
    about = (
        f"Episodes of {wanted.name} on seeds {Stream.FEEDBACK.label(0, episodes)}. {rules.stamp}"
    )
    path = write_dataset(kept, dataset, folder.absolute(), rules, about)
    n_steps = sum(trajectory.result.n_steps for trajectory in kept)
    mean = sum(trajectory.result.episode_return for trajectory in kept) / len(kept)
    if given["as_json"]:
        from gco_agent.cli.results import print_json

        print_json({"path": str(path), "id": dataset, "episodes": len(kept), "steps": n_steps,
                    "mean_return": mean})  # fmt: skip
        return
    click.echo(f"{path}: {count(len(kept), 'episode')}, {count(n_steps, 'step')}, return {mean:g}")


@export.command("model-card", short_help="What a policy is worth, as Markdown.")
@click.argument("target", required=False)
@click.option(
    "--episodes", type=AtLeast(1), default=_EPISODES, show_default=True, metavar="N",
    help="Episodes of its score, on the first report seeds.",
)  # fmt: skip
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The file; it must not be there.  [default: print it]",
)
@all_of(max_steps_option, env_option, workers_option, jail_option)
@click.pass_obj
def model_card(
    place: CliContext, /, target: str | None, episodes: int, output: Path | None, **given: Given
) -> None:
    """Measure a policy on report seeds and write a card to share it with.

    TARGET is as for eval. The card has the score with its interval, the protocol, how to use the
    policy, where it is from if it is from a run, its limits, and its text.
    """
    from gco_agent.cli.evaluating import play
    from gco_agent.core.seeds import Stream
    from gco_agent.envs.environment import spec_of
    from gco_agent.report.model_card import Subject, compose

    path = None if output is None else place.directory / output
    if path is not None and path.exists():
        raise UsageError(f"{path} is there already; name another file")
    wanted = find_target(place, target)
    require_contract(wanted)
    rules = protocol_of(place, wanted, given["env_id"], given["max_steps"])
    label = Stream.REPORT.label(0, episodes)
    seeds = Stream.REPORT.seeds(0, episodes)
    played, _ = play(wanted.source, seeds, rules, given, f"{wanted.name} on {label}")
    spec = spec_of(rules)
    run = _run_of(place, wanted)
    text = compose(Subject(wanted.name, wanted.source, spec, played, label, run))
    if path is None:
        click.echo(text, nl=False)
        return
    try:
        path.write_text(text, "utf-8", newline="\n")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
    click.echo(str(path))


def _run_of(place: CliContext, target: Target) -> RunReport | None:
    """The run whose policy in force this is, if there is one and it is checked out or named."""
    from gco_agent.report.summary import read_report

    if target.protocol is None:
        return None
    try:
        runs = place.runs()
        branch = target.name.partition(":")[0]
        found = [ref for ref in runs.list() if ref.branch == branch]
        report = read_report(runs.view(found[0] if found else runs.current()))
    except GcoError:
        return None
    return report if report.policy == target.source.text else None
