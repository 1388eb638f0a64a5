"""``publish``, ``rollback``, ``export`` and ``report``: take a policy or a report out of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gco_agent.cli import options as o
from gco_agent.cli.context import CliContext
from gco_agent.cli.options import Given, command, flag, number, option
from gco_agent.cli.output import Result, count, echo, evaluation_json, score_json, tell
from gco_agent.core.errors import GcoError, UsageError
from gco_agent.core.seeds import Stream

if TYPE_CHECKING:
    from gco_agent.api import Target
    from gco_agent.core.records import Evaluation
    from gco_agent.policy.source import PolicySource
    from gco_agent.report.export import Subject
    from gco_agent.report.summary import RunReport


@command(
    click.argument(
        "names", nargs=-1, required=True, metavar="[RUN] REV", shell_complete=o.complete_runs
    ),
    option("--reason", default="", metavar="TEXT"),
    o.json_option,
)
def rollback(place: CliContext, /, names: tuple[str, ...], reason: str) -> Result:
    """Make an earlier policy of a run its policy again, by a new commit."""
    rev = place.run_and_rev(names, is_rev_needed=True) or ""
    with place.runs().open(place.ref()) as opened:
        commit = opened.rollback(rev, reason=reason)
        step = opened.step(commit)
    data = {
        "run": opened.ref.branch,
        "commit": commit,
        "iteration": step.iteration,
        "subject": step.subject,
        **score_json(step.facts, None),
    }
    return Result(data, f"{step.subject}\n  branch {opened.ref.branch}, commit {commit[:9]}")


@command(
    o.run_argument,
    option("--episodes", kind=o.AtLeast(2, 100_000), default=30),
    flag("--force"),
    o.play_options,
)
def publish(place: CliContext, /, episodes: int, *, force: bool) -> Result:
    """Commit a run's policy to the branch that is checked out, as policies/GAME.py."""
    from gco_agent.api import Target
    from gco_agent.loop.checks import read_config, rules_here
    from gco_agent.loop.publish import claim_there, require_publishable
    from gco_agent.loop.publish import publish as publish_policy

    repo, runs = place.repository(), place.runs()
    ref = place.ref()
    require_publishable(repo)
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

    score = f"{view.policy_path}: mean return {done.score}"
    return Result(data, f"{score}\n  from {ref.branch}, commit {done.commit[:9]}")


# Export


@click.group(epilog=o.epilog(o.help_texts()["export"]["examples"]))
def export() -> None:
    """Write a run or a policy in the form of another tool: TensorBoard, Minari, a model card."""


@command(
    o.run_argument,
    option("-o", "--output", kind=o.OutputFolder(), required=True, metavar="DIR"),
    o.json_option,
    name="tensorboard",
    group=export,
)
def tensorboard(place: CliContext, /, output: Path) -> Result:
    """Write the curves of a run as TensorBoard scalars."""
    from gco_agent.report.export import write_scalars

    view, folder = place.view(), place.path(output)
    n = write_scalars(view, folder)
    data = {"path": folder, "run": view.ref.branch, "scalars": n}
    return Result(data, f"{folder}: {count(n, 'number')} of {view.ref.branch}")


@command(
    o.target_argument,
    number("--episodes", default=10),
    option("--name", metavar="ID"),
    option("-o", "--output", kind=o.OutputFolder(), metavar="DIR"),
    o.max_steps_option,
    o.env_option,
    o.jail_option,
    o.json_option,
    name="minari",
    group=export,
)
def minari(place: CliContext, /, target: str | None, episodes: int, **given: Given) -> Result:
    """Play a policy and keep its episodes as a Minari data set."""
    from gco_agent.envs.environment import spec_of
    from gco_agent.report.export import data_sets, record, require_new, write_dataset

    wanted = place.find_target(target)
    rules = place.rules_of(wanted, given)
    dataset = given["name"] or f"{spec_of(rules).name}/gco-agent-v0"
    folder = data_sets() if given["output"] is None else place.path(given["output"])
    require_new(dataset, folder)
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
    return Result(data, f"{path}: {episodes_text}")


@command(
    o.target_argument,
    number("--episodes", default=30),
    option("-o", "--output", kind=o.OutputFile()),
    o.max_steps_option,
    o.env_option,
    o.play_options,
    name="model-card",
    group=export,
)
def model_card(
    place: CliContext, /, target: str | None, episodes: int, output: Path | None, **given: Given
) -> Result:
    """Measure a policy on report seeds and write a card to share it with."""
    from gco_agent.report.export import compose_card

    if output is not None and place.path(output).exists():
        raise UsageError(f"{place.path(output)} exists already; name another file")
    subject = _measured(place, target, episodes, given)
    text = compose_card(subject)
    path = None if output is None else place.write(output, text)
    data = {"path": path, "card": text, **evaluation_json(subject.evaluation)}
    data["seeds"] = subject.seeds
    return Result(data, lambda: echo(text, nl=False) if path is None else echo(str(path)))


@command(
    o.target_argument_needed,
    click.argument("repo", metavar="OWNER/NAME"),
    number("--episodes", default=30),
    flag("--private"),
    o.max_steps_option,
    o.env_option,
    o.play_options,
)
def push(place: CliContext, /, target: str, repo: str, episodes: int, **given: Given) -> Result:
    """Measure a policy and put it on the Hugging Face hub, with a model card."""
    from gco_agent.report.export import compose_card
    from gco_agent.report.hub import CARD, FILE, SCHEME, require_access
    from gco_agent.report.hub import push as push_files

    tell(f"To {SCHEME}{repo}, as {require_access(repo)}")
    subject = _measured(place, target, episodes, given, repo)
    files = {FILE: subject.source.text, CARD: compose_card(subject)}
    about = f"{subject.spec.title}: {subject.name}"
    url = push_files(repo, files, about, private=given["private"])
    data = {"repo": repo, "url": url, **evaluation_json(subject.evaluation)}
    data["seeds"] = subject.seeds
    return Result(data, f"{url}\nTo play it anywhere: gco-agent eval {SCHEME}{repo}")


def _measured(
    place: CliContext, target: str | None, episodes: int, given: dict[str, Any], repo: str = ""
) -> Subject:
    """Play a policy on report seeds, for a model card."""
    from gco_agent.envs.environment import spec_of
    from gco_agent.report.export import Subject
    from gco_agent.report.page import load_template

    load_template("model_card.md")  # a missing extra is noticed before anything is played
    wanted = place.find_target(target)
    rules = place.rules_of(wanted, given)
    played, _, _ = place.play(wanted, Stream.REPORT.seeds(0, episodes), rules)
    label, run = Stream.REPORT.label(0, episodes), _run_of(place, wanted)
    return Subject(wanted.name, wanted.source, spec_of(rules), played, label, run, repo)


def _run_of(place: CliContext, target: Target) -> RunReport | None:
    """Return the run whose policy in force this is, if it is checked out or named."""
    from gco_agent.api import find_run
    from gco_agent.report.summary import read_report

    if target.protocol is None:
        return None
    try:
        runs = place.runs()
        branch = target.name.partition(":")[0]
        found = [ref for ref in runs.list() if ref.branch == branch]
        report = read_report(runs.view(found[0] if found else find_run(runs, None)))
    except GcoError:
        return None
    return report if report.policy == target.source.text else None


# Report


@command(
    click.argument("names", nargs=-1, metavar="[RUN]...", shell_complete=o.complete_runs),
    option("-o", "--output", kind=o.OutputFile()),
    option("--clips", "n_clips", kind=o.AtLeast(0, 20)),
    option("--trace/--no-trace", "is_traced", default=True),
    o.jail_option,
    flag("--force"),
    o.json_option,
)
def report(
    place: CliContext,
    /,
    names: tuple[str, ...],
    output: Path | None,
    **given: Given,
) -> Result:
    """Write one or several runs as one HTML file, which opens in any browser without a network."""
    from gco_agent.api import write_report

    place.run_name = names[0] if names else None
    path = place.path(output or Path(f"{place.ref().stem}.html"))
    pages = write_report(
        path, names, repo=place.directory, clips=given["n_clips"], traces=given["is_traced"],
        force=given["force"], require=place.jail_level, workers=1, tell=tell,
    )  # fmt: skip
    size = path.stat().st_size
    data = {
        "path": path,
        "bytes": size,
        "runs": [
            {"run": r.branch, "commit": r.commit, "iterations": r.n_tried}
            for r in (page.report for page in pages)
        ],
        "shortened": sum(page.n_cut for page in pages),
        "clips": sum(len(page.clips) for page in pages),
        "traces": sum(len(page.failures) for page in pages),
    }
    return Result(data, f"{path} ({size / 1e6:.1f} MB): open it in a browser")
