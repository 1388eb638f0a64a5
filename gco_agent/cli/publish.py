"""``publish``, ``rollback`` and ``export``: take a policy out of its run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gco_agent.cli.context import CliContext, Target, find_run
from gco_agent.cli.errors import Command
from gco_agent.cli.look import evaluation_json
from gco_agent.cli.options import (
    AtLeast,
    Given,
    all_of,
    command,
    env_option,
    epilog,
    file_option,
    hidden_run_option,
    jail_option,
    json_option,
    max_steps_option,
    number_option,
    play_options,
    run_argument,
    target_argument,
)
from gco_agent.cli.output import count, echo, say
from gco_agent.cli.run import score_json
from gco_agent.core.errors import GcoError, NotARun, UsageError
from gco_agent.core.seeds import Stream

if TYPE_CHECKING:
    from gco_agent.core.records import Evaluation
    from gco_agent.policy import PolicySource
    from gco_agent.report.summary import RunReport
    from gco_agent.store.entries import RunRef
    from gco_agent.store.run import Runs


@command(
    "gco-agent rollback HEAD~2",
    "gco-agent rollback 3 --reason 'easier to read'     to the policy of iteration 3",
    "gco-agent rollback gco/pong/first 1a2b3c4",
)
@click.argument("names", nargs=-1, required=True, metavar="[RUN] REV")
@click.option("--reason", default="", metavar="TEXT", help="Why, for the commit's message.")
@all_of(hidden_run_option, json_option)
@click.pass_obj
def rollback(place: CliContext, /, names: tuple[str, ...], reason: str) -> None:
    """Make an earlier policy of a run its policy again, by a new commit.

    REV is a git revision or the number of an iteration; a rejected candidate will do. History is
    never rewritten. JSON: run, commit, iteration, subject, the keys of a score.
    """
    rev = place.run_and_rev(names, is_rev_needed=True) or ""
    runs = place.runs()
    with runs.open(find_run(runs, place.run_name)) as opened:
        commit = opened.rollback(rev, reason=reason)
        step = opened.step(commit)
    data = {
        "run": opened.ref.branch,
        "commit": commit,
        "iteration": step.iteration,
        "subject": step.subject,
        **score_json(step.facts, None),
    }
    place.emit(
        data, lambda: say(f"{step.subject}\n  branch {opened.ref.branch}, commit {commit[:9]}")
    )


@command("git switch main && gco-agent publish pong", "gco-agent publish first --episodes 100")
@run_argument
@click.option(
    "--episodes",
    type=AtLeast(2, 100_000),
    default=30,
    show_default=True,
    metavar="N",
    help="Episodes of the score that is published, on the first report seeds.",
)
@click.option(
    "--force",
    is_flag=True,
    help="Replace the present policy even if it states a better score, or none.",
)
@play_options
@click.pass_obj
def publish(place: CliContext, /, episodes: int, *, force: bool) -> None:
    """Commit a run's policy to the branch that is checked out, as policies/GAME.py.

    RUN is a run, or a game for the run of it that advanced last; the default is the only run there
    is. The policy is played on report seeds first, and its docstring states what it scored, under
    which rules and in which run. The branch must not be a run's own. A file on it that states a
    better score, or none, or one by other rules, is kept unless --force is given.

    \b
    JSON: policy, run, commit, mean_return, standard_error, confidence_interval
    (95 %), returns, seeds, protocol.
    """  # noqa: D301 - click wants the character
    from gco_agent.loop.checks import read_config, rules_here
    from gco_agent.loop.publish import claim_there, require_publishable
    from gco_agent.loop.publish import publish as publish_policy

    repo, runs = place.repository(), place.runs()
    ref = _find_published(runs, place.run_name)
    require_publishable(repo, ref.branch)
    view = runs.view(ref)
    protocol = rules_here(read_config(view).protocol)
    there = None if force else claim_there(repo, view.policy_path, protocol)

    def play(source: PolicySource, seeds: range) -> Evaluation:
        return place.play(Target("policy", source), seeds, protocol)[0]

    done = publish_policy(runs, view, protocol, episodes, there, play)
    data = {
        "policy": view.policy_path,
        "run": ref.branch,
        "commit": done.commit,
        **evaluation_json(done.played),
        "seeds": Stream.REPORT.label(0, episodes),
        "protocol": done.played.protocol,
    }

    def text() -> None:
        say(f"{view.policy_path}: mean return {done.score}")
        say(f"  from {ref.branch}, commit {done.commit[:9]}")

    place.emit(data, text)


def _find_published(runs: Runs, name: str | None) -> RunRef:
    """Return the run to publish."""
    from gco_agent.games import every_game

    if name is not None:
        if of_game := runs.of_game(name):
            return of_game[0]  # that advanced last
        if name in every_game():
            raise NotARun(f"there is no run of {name}: start one with `gco-agent run {name}`")
        return runs.find(name)
    there_are = runs.list()
    if len(there_are) == 1:
        return there_are[0]
    try:
        return runs.current()
    except NotARun:
        if not there_are:
            raise
        named = ", ".join(ref.branch for ref in there_are)
        raise NotARun(f"which run? There are {named}. Name one of them, or its game.") from None


# Export


@click.group(
    epilog=epilog(
        "gco-agent export tensorboard -o runs/pong",
        "gco-agent export minari policies/pong.py --episodes 10 -o datasets",
        "gco-agent export model-card policies/pong.py -o README.md",
    ),
)
def export() -> None:
    """Write a run or a policy in the form of another tool: TensorBoard, Minari, a model card."""


@export.command(cls=Command, short_help="The curves of a run as TensorBoard scalars.")
@run_argument
@file_option("-o", "--output", required=True, metavar="DIR", help="Folder of the event file.")
@json_option
@click.pass_obj
def tensorboard(place: CliContext, /, output: Path) -> None:
    """Write the curves of a run as TensorBoard scalars.

    Tags: return/in_force, return/candidate, return/report (each with _half_interval, of 95 %),
    search/gain, complexity/lines, /cyclomatic, /nested_if, used/hours, /million_frames, /usd.
    The step is the iteration. JSON: path, run, scalars (how many).
    """
    from gco_agent.report.export import write_scalars
    from gco_agent.report.summary import read_report

    report = read_report(place.shown_view())
    folder = place.path(output)
    n = write_scalars(report, folder)
    data = {"path": folder, "run": report.branch, "scalars": n}
    place.emit(data, lambda: say(f"{folder}: {count(n, 'number')} of {report.branch}"))


@export.command(cls=Command, short_help="Episodes of a policy as a Minari data set.")
@target_argument
@all_of(
    number_option("--episodes", default=10, help="How many, on the first feedback seeds."),
    click.option("--name", metavar="ID", help="Id of the data set.  [default: GAME/gco-agent-v0]"),
    file_option(
        "-o",
        "--output",
        metavar="DIR",
        help="Folder of data sets.  [default: Minari's own, ~/.minari/datasets]",
    ),
    max_steps_option,
    env_option,
    jail_option,
    json_option,
)
@click.pass_obj
def minari(place: CliContext, /, target: str | None, episodes: int, **given: Given) -> None:
    """Play a policy and keep its episodes as a Minari data set.

    TARGET is as for eval. Observations are the console's 128 bytes of RAM, actions indices into the
    minimal action set; in other environments both are as the environment has them. JSON:
    path, id, episodes, steps, mean_return.
    """
    from gco_agent.envs.environment import spec_of
    from gco_agent.report.export import record, require_id, write_dataset

    wanted = place.find_target(target)
    rules = place.protocol_of(wanted, given["env_id"], given["max_steps"])
    dataset = given["name"] or f"{spec_of(rules).name}/gco-agent-v0"
    require_id(dataset)
    output = given["output"]
    folder = Path.home() / ".minari" / "datasets" if output is None else place.path(output)
    seeds, label = Stream.FEEDBACK.seeds(0, episodes), Stream.FEEDBACK.label(0, episodes)
    kept = [record(wanted.source.text, rules, seed, place.jail_level) for seed in seeds]
    about = f"Episodes of {wanted.name} on seeds {label}. {rules.stamp}"
    path = write_dataset(kept, dataset, folder.absolute(), rules, about)
    n_steps = sum(trajectory.result.n_steps for trajectory in kept)
    mean = sum(trajectory.result.episode_return for trajectory in kept) / len(kept)
    data = {
        "path": path,
        "id": dataset,
        "episodes": len(kept),
        "steps": n_steps,
        "mean_return": mean,
    }
    episodes_text = f"{count(len(kept), 'episode')}, {count(n_steps, 'step')}, return {mean:g}"
    place.emit(data, lambda: say(f"{path}: {episodes_text}"))


@export.command("model-card", cls=Command, short_help="A policy's score as Markdown.")
@target_argument
@all_of(
    number_option(
        "--episodes", default=30, help="Episodes of its score, on the first report seeds."
    ),
    file_option("-o", "--output", help="The file; it must not exist.  [default: print it]"),
    max_steps_option,
    env_option,
    play_options,
)
@click.pass_obj
def model_card(
    place: CliContext, /, target: str | None, episodes: int, output: Path | None, **given: Given
) -> None:
    """Measure a policy on report seeds and write a card to share it with.

    TARGET is as for eval. The card has the score with its interval, the protocol, how to use the
    policy, its origin if it is from a run, its limits, and its text. JSON: path (null if it is
    printed), card, the keys of a score.
    """
    from gco_agent.envs.environment import spec_of
    from gco_agent.report.export import Subject, compose_card

    if output is not None and place.path(output).exists():
        raise UsageError(f"{place.path(output)} exists already; name another file")
    wanted = place.find_target(target)
    rules = place.protocol_of(wanted, given["env_id"], given["max_steps"])
    label = Stream.REPORT.label(0, episodes)
    played, _, _ = place.play(wanted, Stream.REPORT.seeds(0, episodes), rules)
    run = _run_of(place, wanted)
    text = compose_card(Subject(wanted.name, wanted.source, spec_of(rules), played, label, run))
    path = None if output is None else place.write(output, text)
    data = {"path": path, "card": text, **evaluation_json(played), "seeds": label}
    place.emit(data, lambda: echo(text, nl=False) if path is None else echo(str(path)))


def _run_of(place: CliContext, target: Target) -> RunReport | None:
    """Return the run whose policy in force this is, if it is checked out or named."""
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
