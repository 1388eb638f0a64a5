"""``run``, ``init`` and ``step``: what advances a run."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from gco_agent.cli.concluding import conclude, told_what_is_saved
from gco_agent.cli.models import model_for, model_options, usd_option, with_model
from gco_agent.cli.options import (
    AtLeast,
    Duration,
    Given,
    StartOptions,
    all_of,
    examples,
    executor_option,
    jail_option,
    json_option,
    optimizer_option,
    run_option,
    start_options,
    tune_option,
    workers_option,
)
from gco_agent.cli.place import (
    CliContext,
    exchange_folder,
    find_run,
    make_judge,
    open_workers,
    read_config,
    require_same_versions,
    status_file,
)
from gco_agent.cli.starting import Start, announce, prepare, require_optimizer
from gco_agent.cli.words import duration, number_with_error, one_line, tell

if TYPE_CHECKING:
    from gco_agent.core.events import Progress
    from gco_agent.evaluation.judge import Judge
    from gco_agent.games import GameSpec
    from gco_agent.loop.budget import Budget
    from gco_agent.optimizers.base import Optimizer
    from gco_agent.store.config import RunConfig
    from gco_agent.store.run import Run

_frames_option = click.option(
    "--frames",
    type=AtLeast(1),
    metavar="N",
    help="Begin no iteration once the run has used this many emulator frames, earlier commands "
    "included; the initial policy and the report are counted, and played all the same.",
)


@click.command(
    short_help="Start a run, improve its policy, and measure it.",
    epilog=examples(
        "gco-agent run pong",
        "gco-agent run breakout --time 20m --seed 3",
        "gco-agent run freeway --iterations 5 --name first --no-switch",
        "gco-agent run pong --start my.py            a policy of your own, contract checked",
        "gco-agent run pong --create-repo --json > result.json",
    ),
)
@all_of(
    start_options,
    model_options,
    click.option(
        "--time",
        "seconds",
        type=Duration(),
        default="5m",
        show_default=True,
        metavar="TIME",
        help="Wall time of the command, report included, for which a third is kept at most: 90, "
        "90s, 5m, 1h30m. One iteration is made in any case.",
    ),
    click.option(
        "--iterations", type=AtLeast(1), metavar="N", help="Stop after this many iterations."
    ),
    _frames_option,
    usd_option,
    click.option(
        "--report-episodes",
        type=click.IntRange(0, 100_000),
        default=30,
        show_default=True,
        metavar="N",
        help="Episodes of the final score, on seeds that the search never sees; 0 for none. "
        "They end by the clock, so fewer are played if the time does not suffice.",
    ),
    json_option,
)
@click.pass_obj
def run(
    place: CliContext, /, seconds: float, iterations: int | None, frames: int | None, **given: Given
) -> None:
    """Start a run of GAME, improve its policy until a budget is spent, and measure what came out.

    The run is a new branch gco/GAME/NAME, checked out unless --no-switch says otherwise. Its first
    commit holds an initial policy, that of the game or, with --start, one of your own; every
    iteration adds a commit. The last one states the score on report seeds. Ctrl-C ends it at any
    time; every finished iteration is saved.
    """
    from gco_agent.loop.budget import Budget

    n_report, as_json = given.pop("report_episodes"), given.pop("as_json")
    budget = Budget(iterations, seconds, frames, given.pop("usd"), report_episodes=n_report)
    options = StartOptions(**given)
    start = prepare(place, options, budget.usd)
    announce(start, options, f"{duration(seconds)}, " if not iterations else "")
    with told_what_is_saved(start.runs, start.ref):
        stopped_by = _run_all(start, options, budget)
    conclude(start.runs, start.ref, budget, stopped_by, back=start.back, as_json=as_json)


@click.command(
    short_help="Only start a run.",
    epilog=examples(
        "gco-agent init pong",
        "gco-agent init space_invaders --name first --no-switch",
    ),
)
@all_of(start_options, model_options)
@click.pass_obj
def init(place: CliContext, /, **given: Given) -> None:
    """Start a run of GAME: its branch, with the measured initial policy as the first commit.

    Then advance it with gco-agent step.
    """
    from gco_agent.loop.budget import Budget

    options = StartOptions(**given)
    start = prepare(place, options)
    announce(start, options, "")
    budget = Budget()
    with told_what_is_saved(start.runs, start.ref):
        _run_all(start, options, budget, only_begin=True)
    conclude(start.runs, start.ref, budget, "", back=start.back, as_json=False)


@click.command(
    short_help="Advance a run by one iteration, or by several.",
    epilog=examples(
        "gco-agent step                      one iteration of the run that is checked out",
        "gco-agent step -n 5",
        "gco-agent step --time 10m --run gco/pong/first",
        "gco-agent step --optimizer exchange      waits for an answer by a chat or a person",
    ),
)
@click.option(
    "-n",
    "iterations",
    type=AtLeast(1),
    metavar="N",
    help="How many iterations.  [default: 1, or as many as --time and --frames allow]",
)
@click.option(
    "--time", "seconds", type=Duration(), metavar="TIME", help="Wall time: 90, 90s, 5m, 1h30m."
)
@_frames_option
@all_of(usd_option, run_option, optimizer_option, model_options, tune_option)
@all_of(workers_option, executor_option, jail_option, json_option)
@click.pass_obj
def step(
    place: CliContext,
    /,
    iterations: int | None,
    seconds: float | None,
    frames: int | None,
    **given: Given,
) -> None:
    """Advance a run by one iteration, or by several.

    What was killed goes on here too: every finished iteration is on the branch.
    """
    from gco_agent.loop.budget import Budget

    if iterations is None and seconds is None and frames is None:
        iterations = 1
    name = given["optimizer"]
    if name:
        given["again"] = f"gco-agent step --optimizer {name} --run {{run}}"
    go_on(
        place,
        given,
        Budget(iterations, seconds, frames, given["usd"]),
        lambda config: with_model(replace(config, optimizer=name or config.optimizer), given),
    )


def go_on(
    place: CliContext,
    given: dict[str, Any],
    budget: Budget,
    change: Callable[[RunConfig], RunConfig] = lambda config: config,
) -> None:
    """Advance the run that was asked for, and print how it stands then.

    Args:
        place: Where.
        given: Options of the command.
        budget: When to stop.
        change: Makes of the run's configuration the one to go by this time.
    """
    runs = place.runs()
    ref = find_run(runs, given["run_name"])
    config = change(read_config(runs.view(ref)))
    files_in = place.directory if given.get("optimizer") else None
    require_optimizer(config.optimizer, budget.usd, files_in=files_in, model=config.model)
    again = f"Go on with: {given.get('again') or 'gco-agent step --run {run}'}"
    with told_what_is_saved(runs, ref, again), runs.open(ref) as opened:
        require_same_versions(config)
        facts = opened.standing.facts
        score = number_with_error(facts.return_mean, facts.return_se) if facts else "not measured"
        optimizer = one_line(config.optimizer)
        tell(f"Branch {ref.branch}, optimizer {optimizer}, mean return now {score}")
        given = {
            **given,
            "files_in": files_in,
            "folder": exchange_folder(place, ref),
            "status": status_file(place.repository(), ref),
        }
        with _at_work(config, given, budget, opened.last_iteration + 1) as work:
            stopped_by = _advance(opened, work, config, budget)
    conclude(runs, ref, budget, stopped_by, back=None, as_json=given["as_json"])


@dataclass(frozen=True, slots=True)
class _Work:
    """Who works on an iteration, and who is told."""

    judge: Judge
    optimizer: Optimizer
    progress: Progress


@contextlib.contextmanager
def _at_work(
    config: RunConfig, given: dict[str, Any], budget: Budget, following: int
) -> Iterator[_Work]:
    """The display, the workers, the judge and the optimizer, for as long as they are needed."""
    from gco_agent.cli.broadcast import Broadcast
    from gco_agent.cli.display import open_display
    from gco_agent.optimizers.base import Tools
    from gco_agent.optimizers.registry import make_optimizer, tuned_between

    shown = open_display(budget, following=following)
    with (
        Broadcast(shown, given["status"], budget, following) as display,
        open_workers(given["workers"], given.get("executor")) as pool,
    ):
        judge = make_judge(pool, config.selection_protocol, given["jail"])
        tools = Tools(
            pool,
            model_for(config),
            require=judge.require,
            folder=given.get("folder"),
            tell=tell,
            reply=given.get("reply"),
        )
        optimizer = make_optimizer(config.optimizer, tools, files_in=given.get("files_in"))
        if given.get("tune_seconds"):
            optimizer = tuned_between(optimizer, tools, given["tune_seconds"])
        yield _Work(judge, optimizer, display)


def _advance(opened: Run, work: _Work, config: RunConfig, budget: Budget) -> str:
    from gco_agent.loop.train import train

    return train(opened, work.optimizer, work.judge, config, budget, work.progress).limit


def config_of(spec: GameSpec, options: StartOptions) -> RunConfig:
    """What a run of a game is started with, by the options of the command."""
    from gco_agent.envs.environment import make_protocol
    from gco_agent.store.config import RunConfig, default_slice

    protocol = make_protocol(options.protocol, spec.env_id, options.max_steps, options.objects)
    config = RunConfig(
        spec.name,
        protocol,
        optimizer=options.optimizer,
        seed=options.seed,
        slice_steps=options.slice_steps or default_slice(protocol),
        candidates=options.candidates,
        horizon=options.horizon,
        hints=options.hints,
        trace_tokens=options.trace_tokens,
    )
    return with_model(config, options.model_options)


def _run_all(
    start: Start, options: StartOptions, budget: Budget, *, only_begin: bool = False
) -> str:
    """Begin a run, advance it and report it; what stopped it."""
    from gco_agent.loop.train import start_run

    config = config_of(start.spec, options)
    given = {
        "workers": options.workers,
        "executor": options.executor,
        "jail": options.jail,
        "tune_seconds": options.tune_seconds,
        "folder": start.folder,
        "files_in": start.files_in,
        "status": start.status,
    }
    with _at_work(config, given, budget, 0) as work:
        begun = time.perf_counter()
        start_run(
            start.runs, start.ref, config, work.judge, switch=start.switch, progress=work.progress,
            initial=start.initial,
        )  # fmt: skip
        if only_begin:
            return ""
        budget.note_play(work.judge.n_steps, time.perf_counter() - begun)
        with start.runs.open(start.ref) as opened:
            stopped_by = _advance(opened, work, config, budget)
            _report(opened, work, config, budget)
    return stopped_by


def _report(opened: Run, work: _Work, config: RunConfig, budget: Budget) -> None:
    """Measure the run's policy, on fewer report seeds if the time does not suffice."""
    from gco_agent.loop.train import report

    wanted = budget.report_episodes
    if not wanted:
        return
    n = len(report(opened, work.judge, config, budget, work.progress).episodes)
    if n < wanted:
        tell(
            f"The time is up: {n} of {wanted} report episodes were played.\n"
            f"For all of them: gco-agent eval {opened.ref.branch} --episodes {wanted}"
        )
