"""``run``, ``init`` and ``step``: start a run, and advance it."""

from __future__ import annotations

import contextlib
import re
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from gco_agent.cli import options as o
from gco_agent.cli.context import CliContext
from gco_agent.cli.display import Broadcast, open_display
from gco_agent.cli.errors import Interrupted
from gco_agent.cli.options import Given, command, number, option
from gco_agent.cli.output import (
    Result,
    command_lines,
    count,
    duration,
    echo,
    fit,
    pick,
    races_note,
    score_json,
    score_text,
    tell,
)
from gco_agent.core.errors import GcoError, ModelError, UsageError
from gco_agent.core.records import Verdict
from gco_agent.core.seeds import HIGHEST_SEED
from gco_agent.core.statistics import confidence_interval
from gco_agent.core.text import clean_line, format_points, format_score

if TYPE_CHECKING:
    from gco_agent.api import Run, Session
    from gco_agent.games.spec import GameSpec
    from gco_agent.loop.budget import Budget
    from gco_agent.optimizers.exchange import AnswerCommand
    from gco_agent.policy.source import PolicySource
    from gco_agent.store.config import RunConfig
    from gco_agent.store.entries import Facts, RunRef
    from gco_agent.store.git import GitRepo
    from gco_agent.store.run import Run as OpenRun
    from gco_agent.store.run import Runs
    from gco_agent.store.view import RunView, Step

_METHODS = ("best-of-n", "random-search", "ppo")
_MOST_SEEDS = 100
_FEW = 3
"""Iterations that tell nothing about those to come."""
_GO_ON = "Go on with: gco-agent step {run}"


@command(
    o.start_options,
    option("--time", "seconds", kind=o.Duration()),
    number("--iterations"),
    o.frames_option,
    o.usd_option,
    o.answer_option,
    o.simplify_option,
    o.log_option,
    option("--report-episodes", kind=o.AtLeast(0, 100_000), default=30),
    o.seeds_option(),
)
def run(
    place: CliContext,
    /,
    seconds: float | None,
    iterations: int | None,
    seed_text: str | None,
    **given: Given,
) -> Result:
    """Start a run of GAME, improve its policy until a budget is spent, and measure the result."""
    from gco_agent.loop.budget import Budget

    def limits() -> Budget:
        return Budget(
            iterations,
            seconds,
            given["frames"],
            given["usd"],
            report_episodes=given["report_episodes"],
        ).or_default()

    if seed_text is not None:
        return _run_seeds(place, seed_text, given, limits)
    return _begin(place, _prepare(place, given), limits())


def _run_seeds(
    place: CliContext, seed_text: str, given: dict[str, Any], limits: Callable[[], Budget]
) -> Result:
    """Make a run for each seed; finished ones are left as they are, others are continued."""
    from gco_agent.core.seeds import parse_seed_range
    from gco_agent.report.comparison import seed_name

    seeds = parse_seed_range(seed_text)
    if " " in seed_text or not 1 <= len(seeds) <= _MOST_SEEDS or seeds[-1] > HIGHEST_SEED:
        raise UsageError(f"--seeds {seed_text}: give 1 to {_MOST_SEEDS} seeds, as in 0:5")
    if given["name"] is None:
        raise UsageError("--seeds needs --name, which finds the runs again: --name NAME")
    if click.get_current_context().get_parameter_source("seed") is ParameterSource.COMMANDLINE:
        raise UsageError("--seed and --seeds exclude each other")
    results = []
    for seed in seeds:
        each = {**given, "seed": seed, "switch": False, "name": seed_name(given["name"], seed)}
        budget = limits()
        start = _prepare(place, each, resumes=True)
        if not start.is_new and _is_finished(start.run, budget):
            tell(f"{start.run.name} is finished")
            results.append(_run_json(start.run.runs.view(start.run.ref), "", 0.0))
            continue
        if not start.is_new:
            budget = _what_is_left(start.run, budget)
        results.append(_begin(place, start, budget).data)

    def text() -> None:
        for data in results:
            echo(fit(f"{data['run']}: mean return {score_text(data)}"))
        name, game = given["name"], results[0]["game"]
        lines = command_lines([(f"gco-agent compare {game}/{name}", "scores over seeds, curves")])
        echo("\nNext:\n" + "\n".join(lines))

    return Result(results, text)


def _is_finished(run: Run, budget: Budget) -> bool:
    view = run.runs.view(run.ref)
    if budget.report_episodes:
        return view.history()[-1].verdict is Verdict.REPORTED
    return budget.iterations is not None and view.n_iterations >= budget.iterations


def _what_is_left(run: Run, budget: Budget) -> Budget:
    """Return what an interrupted run may still use; time and iterations were for all of it."""
    view = run.runs.view(run.ref)
    spent = sum(step.facts.seconds or 0.0 for step in view.history() if step.facts)
    iterations = budget.iterations
    return replace(
        budget,
        iterations=None if iterations is None else max(0, iterations - view.n_iterations),
        seconds=None if budget.seconds is None else max(1.0, budget.seconds - spent),
    )


@command(
    click.argument("target", metavar="GAME|RUN", shell_complete=o.complete_targets),
    option("--method", kind=_METHODS, required=True),
    option("--name"),
    o.seed_option,
    number("--iterations"),
    o.frames_option,
    number("--slice-steps", least=100),
    option("--report-episodes", kind=o.AtLeast(2, 100_000), default=30),
    o.play_options,
    o.executor_option,
)
def baseline(place: CliContext, /, target: str, **given: Given) -> Result:
    """Run a simple method on the same budget, to compare with."""
    from gco_agent.loop.budget import Budget

    is_run = _names_run(place, target)
    if given["method"] == "ppo":
        return _ppo(place, target, given, is_run=is_run)
    if given["frames"] is None and given["iterations"] is None and not is_run:
        raise UsageError(
            f"a baseline needs a budget: --frames N or --iterations N, or name a run instead of "
            f"{target} for what that used"
        )
    start = _prepare_baseline(place, target, given, is_run=is_run)
    budget = Budget(
        given["iterations"], None, given["frames"], report_episodes=given["report_episodes"]
    )
    return _begin(place, start, budget)


def _names_run(place: CliContext, target: str) -> bool:
    """Return whether ``target`` is a run, and not a game or an environment."""
    try:
        place.find_spec(target)
    except UsageError:
        return "/" in target or place.is_run(target)
    return False


def _ppo(place: CliContext, target: str, given: dict[str, Any], *, is_run: bool) -> Result:
    """Train PPO on the frames that are given, or those of a run, and measure it."""
    from gco_agent.api import train_ppo

    for name in ("iterations", "slice_steps"):
        if given[name] is not None:
            wrong = f"--{name.replace('_', '-')}"
            raise UsageError(f"PPO has no iterations of the search: give --frames, not {wrong}")
    if given["frames"] is None and not is_run:
        raise UsageError(
            f"a baseline needs a budget: --frames N, or name a run instead of {target} for what "
            "that used"
        )
    with open_display() as display:
        found, commit = train_ppo(
            None if is_run else place.find_spec(target).env_id,
            place.directory,
            run=target if is_run else None,
            frames=given["frames"],
            seed=given["seed"],
            episodes=given["report_episodes"],
            name=given["name"] or "ppo",
            callbacks=[display],
        )
    n = len(found.returns)
    data = {
        "run": found.branch,
        "game": found.game,
        "commit": commit,
        "policy": None,
        "policy_commit": None,
        "iterations": 0,
        "seed": found.seed,
        **pick(found, "mean_return standard_error"),
        "confidence_interval": confidence_interval(found.returns),
        "episodes": n,
        "seeds": f"report 0:{n}",
        **pick(found, "protocol frames"),
        "loc": None,
        "cyclomatic": None,
        "stopped_by": f"{found.frames:,} frames",
        "seconds": found.seconds,
    }
    hints = [(f"gco-agent compare {found.game}", "beside the runs of the game")]
    beside = [ref.branch for ref in place.runs().list() if ref.game == found.game]
    if beside:
        hints.append((f"gco-agent report {beside[0]}", "in the report of a run"))

    def text() -> None:
        score = f"{score_text(data)} ({count(n, 'episode')}, {data['seeds']})"
        lines = [f"{found.game}: PPO, mean return {score}",
                 f"  used {duration(found.seconds)}, {found.frames:,} frames",
                 f"  branch {found.branch}, commit {commit[:9]}"]  # fmt: skip
        echo(fit("\n".join(lines)) + "\n\nNext:\n" + "\n".join(command_lines(hints)))

    return Result(data, text)


def _prepare_baseline(
    place: CliContext, target: str, given: dict[str, Any], *, is_run: bool
) -> _Start:
    """Return the run of a baseline: of a game, or as a run began, by its settings and budget."""
    from gco_agent.api import Run, Setup, free_name
    from gco_agent.envs.environment import spec_of
    from gco_agent.loop import checks
    from gco_agent.policy.source import PolicySource
    from gco_agent.store.config import PATIENT_SLICE_S
    from gco_agent.store.view import frames_of

    method = given["method"]
    fixed = {"optimizer": method, "switch": False, "name": given["name"] or method}
    if not is_run:
        return _prepare(place, {**given, **fixed, "game": target})
    runs = place.runs()
    view = runs.view(runs.find(target))
    config = checks.read_config(view)
    if given["frames"] is None and given["iterations"] is None:
        given["frames"] = frames_of(view.history(), with_reports=False)
    config = replace(
        config,
        optimizer=method,
        candidates=1,
        seed=given["seed"],
        slice_steps=given["slice_steps"] or config.slice_steps,
        slice_seconds=PATIENT_SLICE_S,
    )
    repo, spec = place.repository(), spec_of(config.protocol)
    ref = free_name(repo, spec, fixed["name"], switch=False)
    made = Run(repo, ref, config, Setup(place.players, files_in=place.directory, tell=tell))
    initial = PolicySource(view.policy(view.history()[0].commit))
    notes = _notes(made, view.ref.branch)
    return _Start(made, spec, initial, switch=False, back=None, again=_GO_ON, notes=notes)


@command(o.start_options)
def init(place: CliContext, /, **given: Given) -> Result:
    """Start a run of GAME: its branch, with the measured initial policy as the first commit."""
    from gco_agent.loop.budget import Budget

    return _begin(place, _prepare(place, given), Budget(), only_begin=True)


@command(
    o.run_argument,
    number("-n", "iterations", least=0),
    option("--time", "seconds", kind=o.Duration()),
    o.frames_option,
    o.usd_option,
    option("--optimizer", metavar="NAME", shell_complete=o.complete_optimizers),
    o.answer_option,
    o.log_option,
    o.model_options,
    o.tune_option,
    option("--report-episodes", kind=o.AtLeast(0, 100_000), default=0),
    o.play_options,
    o.executor_option,
)
def step(
    place: CliContext, /, iterations: int | None, seconds: float | None, **given: Given
) -> Result:
    """Advance a run by one iteration, or by several."""
    from gco_agent.loop.budget import Budget

    name, frames, command_line = given["optimizer"], given["frames"], given["answer"]
    if iterations is None and seconds is None and frames is None:
        iterations = 1
    return advance(
        place,
        Budget(iterations, seconds, frames, given["usd"], report_episodes=given["report_episodes"]),
        lambda config: _with_options(config, given),
        again=_go_on(name, command_line),
        answer=_answering(place, command_line),
        log=given["log"] or "",
        tune_seconds=given["tune_seconds"],
        files_in=place.directory if name else None,
    )


def _go_on(optimizer: str | None, answer: str | None) -> str:
    """Return the command that continues a run, "{run}", with the same options."""
    options = {"--optimizer": optimizer, "--answer": answer}
    told = [f"{name} {shlex.quote(value)} " for name, value in options.items() if value]
    return f"Go on with: gco-agent step {''.join(told)}{{run}}"


def _answering(place: CliContext, command_line: str | None) -> AnswerCommand | None:
    """Return the command that answers prompts; only the user names one, never a run."""
    from gco_agent.optimizers.exchange import AnswerCommand

    return AnswerCommand.parse(command_line, place.directory) if command_line is not None else None


def advance(
    place: CliContext,
    budget: Budget,
    change: Callable[[RunConfig], RunConfig],
    again: str = _GO_ON,
    **extras: Given,
) -> Result:
    """Advance the run that was named, and return how it stands then.

    Args:
        again: Command that continues after an interruption; "{run}" is the run's branch.
        extras: Further fields of `api.Setup`.
    """
    from gco_agent.api import Run, Setup
    from gco_agent.loop import checks

    repo, ref = place.repository(), place.ref()
    config = change(checks.read_config(place.runs().view(ref)))
    checks.require_optimizer(
        config.optimizer, budget.usd, files_in=extras.get("files_in"), model=config.model
    )
    if extras.get("answer") is not None:
        checks.require_exchange(config.optimizer)
    advanced = Run(repo, ref, config, Setup(place.players, tell=tell, **extras))
    with explain_interruption(advanced.runs, ref, again), advanced.open() as opened:
        tell(
            f"Branch {ref.branch}, optimizer {clean_line(config.optimizer)}, mean return now "
            f"{_score(opened.standing.facts)}"
        )
        with (
            _broadcast(advanced, budget, opened.last_iteration + 1) as display,
            advanced.session(budget, display) as session,
        ):
            _train_and_report(session, opened, budget)
    return _conclude(advanced, budget)


def _train_and_report(session: Session, opened: OpenRun, budget: Budget) -> None:
    if budget.iterations != 0:
        session.train(opened, budget)
    if wanted := budget.report_episodes:
        n, name = len(session.report(opened, budget).episodes), opened.ref.branch
        if n < wanted:
            tell(
                f"The time is up: {n} of {wanted} report episodes were played.\n"
                f"For all of them: gco-agent step {name} -n 0 --report-episodes {wanted}"
            )


def _broadcast(run: Run, budget: Budget, first: int) -> Broadcast:
    from gco_agent.store.control import status_path

    return Broadcast(status_path(run.repo.common_dir, run.ref.stem), budget, first)


# Starting


@dataclass(frozen=True, slots=True)
class _Start:
    """A run that is about to begin.

    Attributes:
        back: The command that checks out again what is checked out now.
    """

    run: Run
    spec: GameSpec
    initial: PolicySource | None
    switch: bool
    back: str | None
    again: str
    notes: list[str]
    is_new: bool = True


def config_of(spec: GameSpec, given: dict[str, Any]) -> RunConfig:
    """Return the configuration of a run of a game, by the options of the command."""
    from gco_agent.envs.environment import make_protocol
    from gco_agent.store.config import RunConfig, default_slice

    rules = (given.get(name) for name in ("max_steps", "objects"))
    protocol = make_protocol(given.get("protocol", "default"), spec.env_id, *rules)
    n_steps, seconds = default_slice(protocol, given.get("frames"))
    config = RunConfig(spec.name, protocol, slice_steps=n_steps, slice_seconds=seconds)
    return _with_options(config, given)


def _with_options(config: RunConfig, given: dict[str, Any]) -> RunConfig:
    """Return the configuration with the options of the same names that were given."""
    names = {field.name for field in fields(config)} - {"game", "protocol"}
    options = {name: given[name] for name in names & given.keys() if given[name] is not None}
    return replace(config, **options)


def _prepare(place: CliContext, given: dict[str, Any], *, resumes: bool = False) -> _Start:
    """Raise errors that would otherwise come only after the first episodes.

    Args:
        resumes: A run of that name is continued, if it was started with the same options.
    """
    from gco_agent.api import Run, Setup, free_name
    from gco_agent.loop import checks
    from gco_agent.store.entries import RunRef
    from gco_agent.store.run import Runs

    spec = place.find_spec(given["game"])
    spec.require_rules(given.get("protocol", "default"), given.get("objects"))
    checks.require_optimizer(
        given["optimizer"],
        given.get("usd"),
        files_in=place.directory,
        horizon=given.get("horizon", 0),
        model=given.get("model") or "",
    )
    answer, start = given.get("answer"), given.get("start")
    if answer is not None:
        checks.require_exchange(given["optimizer"])
    initial = _initial(place, start, spec)
    repo = place.repository(create=given.get("create_repo", False))
    switch = given["switch"] and repo.root is not None
    config = config_of(spec, given)
    ref = RunRef(spec.name, given["name"]) if resumes else None
    is_new = ref is None or repo.ref(str(ref)) is None
    if ref is None or is_new:
        ref = free_name(repo, spec, given["name"], switch=switch)
    else:
        _require_same(checks.read_config(Runs(repo).view(ref)), config, ref)
    setup = Setup(
        place.players,
        files_in=place.directory,
        tune_seconds=given.get("tune_seconds"),
        simplify_seconds=given.get("simplify_seconds"),
        answer=_answering(place, answer),
        log=given.get("log") or "",
        tell=tell,
    )
    made = Run(repo, ref, config, setup)
    back = _way_back(repo) if switch else None
    again = _go_on(None, answer)
    notes = _notes(made, start)
    return _Start(made, spec, initial, switch, back, again, notes, is_new)


def _require_same(there: RunConfig, wanted: RunConfig, ref: RunRef) -> None:
    """Check that a run was started with the options that are given now."""
    from gco_agent.store.config import RunConfig

    names = [f.name for f in fields(RunConfig)]
    if differing := [n for n in names if getattr(there, n) != getattr(wanted, n)]:
        raise UsageError(
            f"there is a run {ref.branch} with another {', '.join(differing)}: choose another "
            "--name, or give the options that it was started with"
        )


def _initial(place: CliContext, start: str | None, spec: GameSpec) -> PolicySource | None:
    """Return the policy that the user wants to start from; None for that of the game."""
    from gco_agent.policy.source import environment_of
    from gco_agent.store.run import is_same_game

    if start is None:
        return None
    target = place.find_target(start)
    named = environment_of(target.source)
    if named is not None and not is_same_game(named, spec.env_id):
        raise UsageError(
            f"the docstring of {target.name} says `Environment: {named}`, and the run plays "
            f"{spec.env_id}: start from a policy for that, or run the other game"
        )
    return target.source


def _notes(run: Run, start: str | None) -> list[str]:
    """Say which policy and which commit the run starts from, where the user may not expect it."""
    from gco_agent.store.view import policy_path

    base, below = run.runs.beginning()
    repo, path, notes = run.repo, policy_path(run.ref.game), []
    if start is not None:
        notes.append(f"It starts from the policy {start}.")
    elif (repo.root is not None and (repo.root / path).is_file()) or (
        base is not None and repo.read_file(base, path) is not None
    ):
        notes.append(
            f"The existing {path} is not used: the run starts from the initial policy of the game "
            f"(`--start {path}` starts from that file)."
        )
    if below is not None:
        where = f"at {base[:9]}, where {below.branch} starts" if base else "on no commit"
        notes.append(f"It starts {where}, not on top of that run.")
    return notes


def _way_back(repo: GitRepo) -> str:
    """Return the command that checks out again what is checked out now."""
    head = repo.head()
    if head.branch is None:
        return f"git switch --detach {(head.commit or '')[:9]}"
    return f"git switch {head.branch.removeprefix('refs/heads/')}"


def _announce(place: CliContext, start: _Start, budget: Budget) -> None:
    from gco_agent.evaluation.workers import usable_cores

    if not start.is_new:
        tell(f"{start.run.name} is continued")
        return
    limit = "" if budget.seconds is None else f"{duration(budget.seconds)}, "
    players = place.executor or count(place.workers or usable_cores(), "worker")
    back = f". Back to where you were: {start.back}" if start.back else ""
    tell(
        f"{start.spec.title}: {start.spec.goal}\n"
        f"Branch {start.run.name}, optimizer {start.run.config.optimizer}, {limit}{players}{back}"
        + "".join(f"\n{note}" for note in start.notes)
    )


def _begin(place: CliContext, start: _Start, budget: Budget, *, only_begin: bool = False) -> Result:
    """Begin a run, and unless that is all, advance and report it; how it stands then."""
    run = start.run
    with (
        explain_interruption(run.runs, run.ref, start.again),
        _broadcast(run, budget, 0) as display,
        run.session(budget, display) as session,
    ):
        _announce(place, start, budget)  # once loggers and clusters have not refused
        if start.is_new:
            session.start(start.initial, budget, switch=start.switch)
        if not only_begin:
            with run.open() as opened:
                _train_and_report(session, opened, budget)
    return _conclude(run, budget, start.back)


# Concluding


def _score(facts: Facts | None) -> str:
    return format_score(facts.return_mean, facts.return_se) if facts else "not measured"


@contextlib.contextmanager
def explain_interruption(runs: Runs, ref: RunRef, again: str = _GO_ON) -> Iterator[None]:
    """When a signal or a language model ends the command, say what is saved and how to continue."""
    try:
        yield
    except (Interrupted, ModelError) as stop:
        why = "no answer from the language model"
        if isinstance(stop, Interrupted):
            why = str(stop)
            with contextlib.suppress(GcoError):
                runs.open(ref).close()  # brings along files that a commit in the making left behind
        tell(_what_is_saved(runs, ref, why, again))
        raise


def _what_is_saved(runs: Runs, ref: RunRef, why: str, again: str) -> str:
    try:
        view = runs.view(ref)
        score = _score(view.standing.facts)
    except GcoError:
        return f"Stopped ({why}) before the first commit; nothing was changed."
    done = view.n_iterations
    saved = f"the initial policy and {count(done, 'iteration')}" if done else "the initial policy"
    return (
        f"Stopped ({why}). Saved on {ref.branch}: {saved}. Mean return now: {score}.\n"
        + again.replace("{run}", ref.branch)
    )


def _config(view: RunView) -> RunConfig | None:
    """Return the configuration, not to be played; None if it cannot be read."""
    try:
        return view.config()
    except GcoError:
        return None


def interval_in(text: str | None, step: Step) -> tuple[float, float] | None:
    """Return the 95 % interval of the mean return of a step, from the text of its episodes."""
    from gco_agent.store.view import returns_of

    returns = returns_of(step, text)
    return None if returns is None else confidence_interval(returns)


def _run_json(view: RunView, stopped_by: str, seconds: float) -> dict[str, Any]:
    from gco_agent.store.view import frames_of

    step, config, interval = view.standing, _config(view), None
    with contextlib.suppress(GcoError):  # damaged episodes do not hide the result
        interval = interval_in(view.evidence(step, "evaluation.json"), step)
    return {
        "run": view.ref.branch,
        "game": view.ref.game,
        "commit": view.tip,
        "policy": view.policy_path,
        "policy_commit": step.commit,
        "iterations": view.n_iterations,
        "seed": config.seed if config else None,
        **score_json(step.facts, interval),
        "frames": frames_of(view.history()),
        **pick(step.facts, "loc cyclomatic"),
        "stopped_by": stopped_by,
        "seconds": round(seconds, 1),
    }


def _conclude(run: Run, budget: Budget, back: str | None = None) -> Result:
    """Return how a run stands, and what to type next."""
    view = run.runs.view(run.ref)
    data = _run_json(view, run.stopped_by, time.perf_counter() - budget.started)
    is_here = run.repo.head_branch() == str(run.ref)

    def text() -> None:
        here = "" if is_here else "not "
        episodes = f" ({count(data['episodes'], 'episode')}, {data['seeds']})"
        lines = [
            f"{data['game']}: mean return {score_text(data)}" + episodes * bool(data["episodes"]),
            *_how_it_went(data, view),
            f"  branch {data['run']} ({here}checked out), commit {data['commit'][:9]}",
            f"  policy {data['policy']}" + f", {data['loc']} lines of code" * bool(data["loc"]),
        ]
        hints = _to_look(data, view, is_here=is_here)
        hints += _to_leave(data, back, run.runs.home(), is_here=is_here)
        tell("")
        echo(fit("\n".join(lines)) + "\n\nNext:\n" + "\n".join(command_lines(hints)))

    return Result(data, text)


def _how_it_went(data: dict[str, Any], view: RunView) -> list[str]:
    """Describe the iterations in some lines; none for a run that has just begun."""
    from gco_agent.store.view import frames_of

    verdicts = [step.verdict for step in view.history()]
    n_accepted = sum(verdict is Verdict.ACCEPTED for verdict in verdicts)
    n_tried = sum(verdict.is_trial for verdict in verdicts)
    first, limit = view.history()[0].facts, data["stopped_by"]
    if not limit or first is None:
        return []
    began = format_score(first.return_mean, None)
    note = races_note(view.history())
    frames = frames_of(view.history(), with_reports=False)
    used = f"{duration(data['seconds'])}, {frames:,} frames"
    if n_more := data["frames"] - frames:
        used += f" and {n_more:,} in the report"
    if seconds := re.fullmatch(r"(\d+) s", limit):
        limit = duration(int(seconds[1]))
    is_asked_for = re.fullmatch(r"[\d,]+ iterations?", limit)  # so many, and no more: no limit
    return [
        f"  started at {began}; {n_accepted} of {count(n_tried, 'iteration')} accepted",
        *([f"  {note}"] if note else ()),
        f"  used {used}" if is_asked_for else f"  stopped by its limit of {limit}; used {used}",
        "  " + _outlook(view.history(), f"gco-agent step {data['run']} --frames {2 * frames}"),
    ]


def _outlook(history: Sequence[Step], again: str) -> str:
    """Say what as many frames again can be expected to bring, by what the later half brought."""
    tried = [step.facts for step in history if step.verdict.is_trial and step.facts]
    if len(tried) < _FEW:
        return f"too few iterations to say what more frames would bring; to go on: {again}"
    used = [facts.frames or 0 for facts in tried]
    later = [facts for facts, frames in zip(tried, used, strict=True) if 2 * frames > used[-1]]
    gains = [facts.gain or 0.0 for facts in later if facts.verdict is Verdict.ACCEPTED]
    if not gains:
        return f"the later half of the frames brought nothing; to go on all the same: {again}"
    brought = f"{format_points(sum(gains), '+')} points in {count(len(gains), 'race')}"
    return f"the later half of the frames brought {brought}; expect no more of as many: {again}"


def _to_look(data: dict[str, Any], view: RunView, *, is_here: bool) -> list[tuple[str, str]]:
    """List commands that show or continue the run, with their purpose."""
    branch, first = data["run"], view.history()[0]
    which = "" if is_here else f" {branch}"
    base = f"{first.parents[0][:9]}.." if first.parents else ""
    hints = [(f"git log --first-parent {base}{branch}", "the history, one commit an iteration")]
    if data["iterations"]:
        difference = f"git diff {first.commit[:9]} {data['commit'][:9]} -- :/{data['policy']}"
        hints.append((difference, "first policy against last"))
    hints.append((f"gco-agent log{which}", "the iterations as a table"))
    config = _config(view)
    if config and "exchange" in config.optimizers:
        hints.append((f"gco-agent prompt{which}", "the prompt for a chat, an agent or a person"))
    else:
        hints.append((f"gco-agent step{which} -n 5", "go on"))
    return [*hints, (f"gco-agent eval{which} --episodes 100", "measure the policy more exactly")]


def _to_leave(
    data: dict[str, Any], back: str | None, home: str | None, *, is_here: bool
) -> list[tuple[str, str]]:
    """List commands that take the policy to a branch of the user's, and what each is for."""
    hints = []
    if is_here and back:
        hints.append((back, "back to where you were"))
    if is_here and home and (not back or back.startswith("git switch gco/")):
        hints.append((f"git switch {home}", "to a branch of your own"))
    there = "from there" if hints else "from a branch of your own"
    what = f"{there}: commit the policy as {data['policy']}, unless that states a higher score"
    return [*hints, (f"gco-agent publish {data['run']}", what)]
