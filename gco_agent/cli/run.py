"""``run``, ``init`` and ``step``: start a run, and advance it."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gco_agent.cli.context import CliContext, exchange_folder, find_run, status_file, with_model
from gco_agent.cli.display import Broadcast, Display, open_display
from gco_agent.cli.errors import Interrupted
from gco_agent.cli.options import (
    AtLeast,
    Duration,
    Given,
    all_of,
    command,
    executor_option,
    frames_option,
    model_options,
    number_option,
    play_options,
    run_argument,
    start_options,
    tune_option,
    usd_option,
)
from gco_agent.cli.output import command_lines, count, duration, echo, fit, score_text, tell
from gco_agent.core.errors import GcoError, ModelError, UsageError
from gco_agent.core.records import Verdict
from gco_agent.core.text import clean_line, format_score
from gco_agent.llm.providers import open_model
from gco_agent.loop.budget import Budget
from gco_agent.policy import environment_of
from gco_agent.store.config import RunConfig, default_slice
from gco_agent.store.entries import Facts, RunRef, new_run_id
from gco_agent.store.run import Run, Runs, is_same_game
from gco_agent.store.view import RunView, Step, frames_of, policy_path, returns_of

if TYPE_CHECKING:
    from gco_agent.evaluation.judge import Judge
    from gco_agent.games import GameSpec
    from gco_agent.optimizers.base import Optimizer
    from gco_agent.policy import PolicySource
    from gco_agent.store.git import GitRepo

_GO_ON = "Go on with: gco-agent step {run}"


@dataclass(frozen=True, slots=True)
class Extras:
    """What an optimizer may need beside the configuration of the run.

    Attributes:
        tune_seconds: Tune each accepted candidate for so long.
        files_in: Folder of optimizer files, if the user named the optimizer.
        reply: The answer of a person or a chat.
    """

    tune_seconds: float | None = None
    files_in: Path | None = None
    reply: str | None = None


_NO_EXTRAS = Extras()


@command(
    "gco-agent run pong",
    "gco-agent run breakout --time 20m --seed 3",
    "gco-agent run freeway --iterations 5 --name first --no-switch",
    "gco-agent run pong --start my.py            a policy of your own, contract checked",
    "gco-agent run pong --create-repo --json > result.json",
)
@all_of(
    start_options,
    click.option(
        "--time",
        "seconds",
        type=Duration(),
        default="5m",
        show_default=True,
        metavar="TIME",
        help="Wall time of the command, of which at most a third is kept for the report: 90, 90s, "
        "5m, 1h30m. One iteration is made in any case.",
    ),
    number_option("--iterations", help="Stop after this many iterations."),
    frames_option,
    usd_option,
    click.option(
        "--report-episodes",
        type=AtLeast(0, 100_000),
        default=30,
        show_default=True,
        metavar="N",
        help="Episodes of the final score, on seeds that the search never sees; 0 for none. "
        "Fewer are played if the time does not suffice.",
    ),
)
@click.pass_obj
def run(
    place: CliContext,
    /,
    seconds: float,
    iterations: int | None,
    report_episodes: int,
    **given: Given,
) -> None:
    """Start a run of GAME, improve its policy until a budget is spent, and measure the result.

    The run is a new branch gco/GAME/NAME, checked out unless --no-switch is given. Its first
    commit holds an initial policy, that of the game or, with --start, one of your own; every
    iteration adds a commit. The last one states the score on report seeds. Ctrl-C ends it at any
    time; every finished iteration is saved.

    \b
    JSON: run, game, commit, policy, policy_commit, iterations, seed, mean_return,
    standard_error, confidence_interval (95 %), episodes, seeds, protocol, frames,
    loc, cyclomatic, stopped_by, seconds.
    """  # noqa: D301 - click wants the character
    budget = Budget(
        iterations, seconds, given["frames"], given["usd"], report_episodes=report_episodes
    )
    start = _prepare(place, given)
    _announce(place, start, f"{duration(seconds)}, " if not iterations else "")
    with _saved_is_told(start.runs, start.ref):
        stopped_by = _begin(place, start, budget)
    _conclude(place, start.runs, start.ref, budget, stopped_by, start.back)


@command("gco-agent init pong", "gco-agent init space_invaders --name first --no-switch")
@start_options
@click.pass_obj
def init(place: CliContext, /, **given: Given) -> None:
    """Start a run of GAME: its branch, with the measured initial policy as the first commit.

    Then advance it with gco-agent step. JSON as of run.
    """
    start = _prepare(place, given)
    _announce(place, start, "")
    budget = Budget()
    with _saved_is_told(start.runs, start.ref):
        _begin(place, start, budget, only_begin=True)
    _conclude(place, start.runs, start.ref, budget, "", start.back)


@command(
    "gco-agent step                      one iteration of the run that is checked out",
    "gco-agent step -n 5",
    "gco-agent step gco/pong/first --time 10m",
    "gco-agent step --optimizer exchange      waits for an answer by a chat or a person",
)
@all_of(
    run_argument,
    number_option(
        "-n",
        "iterations",
        help="How many iterations.  [default: 1, or as many as --time and --frames allow]",
    ),
    click.option(
        "--time", "seconds", type=Duration(), metavar="TIME", help="Wall time: 90, 90s, 5m, 1h30m."
    ),
    frames_option,
    usd_option,
    click.option(
        "--optimizer",
        metavar="NAME",
        help="What proposes policies this time.  [default: as the run was started]",
    ),
    model_options,
    tune_option,
    play_options,
    executor_option,
)
@click.pass_obj
def step(
    place: CliContext,
    /,
    iterations: int | None,
    seconds: float | None,
    frames: int | None,
    usd: float | None,
    tune_seconds: float | None,
    **given: Given,
) -> None:
    """Advance a run by one iteration, or by several.

    RUN is a branch, a name, or a game that has one run; by default the run that is checked out.
    A run that was interrupted is continued in the same way: every finished iteration is on the
    branch. JSON as of run.
    """
    if iterations is None and seconds is None and frames is None:
        iterations = 1
    name = given.pop("optimizer")
    advance(
        place,
        Budget(iterations, seconds, frames, usd),
        lambda config: with_model(replace(config, optimizer=name or config.optimizer), given),
        extras=Extras(tune_seconds, place.directory if name else None),
        again=f"Go on with: gco-agent step --optimizer {name} {{run}}" if name else _GO_ON,
    )


def advance(
    place: CliContext,
    budget: Budget,
    change: Callable[[RunConfig], RunConfig],
    *,
    extras: Extras = _NO_EXTRAS,
    again: str = _GO_ON,
) -> None:
    """Advance the run that was named, and print how it stands then.

    Args:
        place: Where.
        budget: When to stop.
        change: Makes the configuration to go by this time out of the run's.
        extras: What else the optimizer needs.
        again: How to go on if the command is interrupted; "{run}" is the run's branch.
    """
    from gco_agent.loop import checks

    runs = place.runs()
    ref = find_run(runs, place.run_name)
    config = change(checks.read_config(runs.view(ref)))
    checks.require_optimizer(
        config.optimizer, budget.usd, files_in=extras.files_in, model=config.model
    )
    with _saved_is_told(runs, ref, again), runs.open(ref) as opened:
        checks.require_same_versions(config)
        tell(
            f"Branch {ref.branch}, optimizer {clean_line(config.optimizer)}, mean return now "
            f"{_score(opened.standing.facts)}"
        )
        following = opened.last_iteration + 1
        with _work(place, ref, config, budget, following, extras) as work:
            stopped_by = work.train(opened)
    _conclude(place, runs, ref, budget, stopped_by)


@dataclass(frozen=True, slots=True)
class _Work:
    """What works on an iteration, and the display."""

    config: RunConfig
    budget: Budget
    judge: Judge
    optimizer: Optimizer
    display: Display

    def train(self, opened: Run) -> str:
        """Advance a run until the budget is spent; which limit ended it."""
        from gco_agent.loop.train import train

        spent = train(opened, self.optimizer, self.judge, self.config, self.budget, self.display)
        return spent.limit


@contextlib.contextmanager
def _work(
    place: CliContext,
    ref: RunRef,
    config: RunConfig,
    budget: Budget,
    following: int,
    extras: Extras,
) -> Iterator[_Work]:
    """Open the display, the workers, the judge and the optimizer."""
    from gco_agent.optimizers.base import Tools
    from gco_agent.optimizers.registry import make_optimizer, tuned_between

    shown = open_display(budget, following=following)
    status = status_file(place.repository(), ref)
    opening = place.open_workers(seconds=budget.seconds)
    with Broadcast(shown, status, budget, following) as display, opening as pool:
        judge = place.judge(pool, config.selection_protocol)
        tools = Tools(
            pool,
            lambda: open_model(config.model, config.effort),
            require=judge.require,
            folder=exchange_folder(place, ref),
            tell=tell,
            reply=extras.reply,
        )
        optimizer = make_optimizer(config.optimizer, tools, files_in=extras.files_in)
        if extras.tune_seconds:
            optimizer = tuned_between(optimizer, tools, extras.tune_seconds)
        yield _Work(config, budget, judge, optimizer, display)


# Starting


@dataclass(frozen=True, slots=True)
class _Start:
    """A run that is about to begin.

    Attributes:
        runs: Of the repository.
        ref: Its name.
        spec: What it plays.
        config: How.
        switch: Whether it is to be checked out.
        back: The command that checks out again what is checked out now.
        initial: The policy to begin with, if not that of the game.
        tune_seconds: Tune each accepted candidate for so long.
        notes: What the user may not expect.
    """

    runs: Runs
    ref: RunRef
    spec: GameSpec
    config: RunConfig
    switch: bool
    back: str | None
    initial: PolicySource | None
    tune_seconds: float | None
    notes: tuple[str, ...]


_PATIENT_SLICE_S = 3_600.0


def config_of(spec: GameSpec, given: dict[str, Any]) -> RunConfig:
    """Return the configuration of a run of a game, by the options of the command."""
    from gco_agent.envs.environment import make_protocol

    protocol = make_protocol(given["protocol"], spec.env_id, given["max_steps"], given["objects"])
    same = ("optimizer", "seed", "candidates", "horizon", "hints", "trace_tokens")
    config = RunConfig(
        spec.name,
        protocol,
        slice_steps=given["slice_steps"] or default_slice(protocol),
        **{name: given[name] for name in same},
    )
    if given.get("frames"):  # where frames are the budget, the speed of the machine decides nothing
        config = dataclasses.replace(config, slice_seconds=_PATIENT_SLICE_S)
    return with_model(config, given)


def _prepare(place: CliContext, given: dict[str, Any]) -> _Start:
    """Refuse now whatever would be refused after the first episodes."""
    from gco_agent.loop import checks

    spec = place.find_spec(given["game"])
    spec.require_rules(given["protocol"], given["objects"])
    checks.require_optimizer(
        given["optimizer"],
        given.get("usd"),
        files_in=place.directory,
        horizon=given["horizon"],
        model=given["model"] or "",
    )
    name = given["name"] or new_run_id(today=date.today(), entropy=secrets.token_hex(2))  # noqa: DTZ011 - the user's day
    ref = RunRef(spec.name, name)
    initial = _initial(place, given["start"], spec)
    repo = place.repository(create=given["create_repo"])
    checks.require_writable(repo)
    switch = given["switch"] and repo.root is not None
    if switch:
        checks.require_clean(repo)
    Runs(repo).require_free(ref)
    if switch:
        checks.require_room(repo, ref)
    checks.trust_own(repo, spec.env_id)  # the user named it
    runs = Runs(repo)
    return _Start(
        runs,
        ref,
        spec,
        config_of(spec, given),
        switch,
        _way_back(repo) if switch else None,
        initial,
        given["tune_seconds"],
        _notes(repo, runs, ref, given["start"]),
    )


def _initial(place: CliContext, start: str | None, spec: GameSpec) -> PolicySource | None:
    """Return the policy that the user wants to start from; None for that of the game."""
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


def _notes(repo: GitRepo, runs: Runs, ref: RunRef, start: str | None) -> tuple[str, ...]:
    """Say which policy and which commit the run starts from, where the user may not expect it."""
    base, below = runs.beginning()
    path, notes = policy_path(ref.game), []
    is_there = (repo.root is not None and (repo.root / path).is_file()) or (
        base is not None and repo.read_file(base, path) is not None
    )
    if start is not None:
        notes.append(f"It starts from the policy {start}.")
    elif is_there:
        notes.append(
            f"The existing {path} is not used: the run starts from the initial policy of the game "
            f"(`--start {path}` starts from that file)."
        )
    if below is not None:
        where = f"at {base[:9]}, where {below.branch} starts" if base else "on no commit"
        notes.append(f"It starts {where}, not on top of that run.")
    return tuple(notes)


def _way_back(repo: GitRepo) -> str:
    """Return the command that checks out again what is checked out now."""
    head = repo.head()
    if head.branch is None:
        return f"git switch --detach {(head.commit or '')[:9]}"
    return f"git switch {head.branch.removeprefix('refs/heads/')}"


def _announce(place: CliContext, start: _Start, limit: str) -> None:
    from gco_agent.evaluation.workers import usable_cores

    tell(
        f"{start.spec.title}: {start.spec.goal}\n"
        f"Branch {start.ref.branch}, optimizer {start.config.optimizer}, {limit}"
        + (place.executor or count(place.workers or usable_cores(), "worker"))
        + (f". Back to where you were: {start.back}" if start.back else "")
        + "".join(f"\n{note}" for note in start.notes)
    )


def _begin(place: CliContext, start: _Start, budget: Budget, *, only_begin: bool = False) -> str:
    """Begin a run, and unless that is all, advance and report it; what stopped it."""
    from gco_agent.loop.train import report, start_run

    extras = Extras(start.tune_seconds, place.directory)
    with _work(place, start.ref, start.config, budget, 0, extras) as work:
        begun = time.perf_counter()
        start_run(
            start.runs, start.ref, start.config, work.judge, switch=start.switch,
            progress=work.display, initial=start.initial,
        )  # fmt: skip
        if only_begin:
            return ""
        budget.note_play(work.judge.n_steps, time.perf_counter() - begun)
        with start.runs.open(start.ref) as opened:
            stopped_by = work.train(opened)
            if wanted := budget.report_episodes:
                played = report(opened, work.judge, start.config, budget, work.display)
                if (n := len(played.episodes)) < wanted:
                    tell(
                        f"The time is up: {n} of {wanted} report episodes were played.\n"
                        f"For all of them: gco-agent eval {start.ref.branch} --episodes {wanted}"
                    )
    return stopped_by


# Concluding


def _score(facts: Facts | None) -> str:
    return format_score(facts.return_mean, facts.return_se) if facts else "not measured"


@contextlib.contextmanager
def _saved_is_told(runs: Runs, ref: RunRef, again: str = _GO_ON) -> Iterator[None]:
    """When a signal or a language model ends the command, say what is saved and how to go on."""
    try:
        yield
    except Interrupted as stop:
        with contextlib.suppress(GcoError):
            runs.open(ref).close()  # brings files along that a commit in the making left behind
        tell(_what_is_saved(runs, ref, stop.signal.name, again))
        raise
    except ModelError:
        tell(_what_is_saved(runs, ref, "no answer from the language model", again))
        raise


saved_is_told = _saved_is_told


def _what_is_saved(runs: Runs, ref: RunRef, why: str, again: str) -> str:
    try:
        view = runs.view(ref)
        score = _score(view.standing.facts)
    except GcoError:
        return f"Stopped ({why}) before the first commit; nothing was changed."
    done = view.last_iteration
    saved = f"the initial policy and {count(done, 'iteration')}" if done else "the initial policy"
    return (
        f"Stopped ({why}). Saved on {ref.branch}: {saved}. Mean return now: {score}.\n"
        + again.format(run=ref.branch)
    )


def score_json(facts: Facts | None, interval: tuple[float, float] | None) -> dict[str, Any]:
    """Return the score of a policy, by the keys that every command uses."""
    return {
        "mean_return": facts.return_mean if facts else None,
        "standard_error": facts.return_se if facts else None,
        "confidence_interval": list(interval) if interval else None,
        "episodes": facts.episodes if facts else None,
        "seeds": facts.seeds if facts else None,
        "protocol": facts.protocol if facts else None,
    }


def interval_in(text: str | None, step: Step) -> tuple[float, float] | None:
    """Return the 95 % interval of the mean return of a step, from the text of its episodes.

    Raises:
        StoreError: That text has another schema, or is garbled.
    """
    from gco_agent.core.statistics import confidence_interval

    returns = returns_of(step, text)
    return confidence_interval(returns) if returns is not None else None


def _config(view: RunView) -> RunConfig | None:
    """Return the configuration, to be looked at only; None if it cannot be read."""
    try:
        return view.config()
    except GcoError:
        return None


def _run_json(view: RunView, stopped_by: str, seconds: float) -> dict[str, Any]:
    step, config, interval = view.standing, _config(view), None
    with contextlib.suppress(GcoError):  # damaged episodes do not hide the result
        interval = interval_in(view.evidence(step, "evaluation.json"), step)
    facts = step.facts
    return {
        "run": view.ref.branch,
        "game": view.ref.game,
        "commit": view.tip,
        "policy": view.policy_path,
        "policy_commit": step.commit,
        "iterations": view.last_iteration,
        "seed": config.seed if config else None,
        **score_json(facts, interval),
        "frames": frames_of(view.history()),
        "loc": facts.loc if facts else None,
        "cyclomatic": facts.cyclomatic if facts else None,
        "stopped_by": stopped_by,
        "seconds": round(seconds, 1),
    }


def _conclude(
    place: CliContext,
    runs: Runs,
    ref: RunRef,
    budget: Budget,
    stopped_by: str,
    back: str | None = None,
) -> None:
    """Print how a run stands, and what to type next."""
    view = runs.view(ref)
    data = _run_json(view, stopped_by, time.perf_counter() - budget.started)
    is_here = False
    with contextlib.suppress(GcoError):
        is_here = runs.current() == ref

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
        hints += _to_leave(data, back, runs.home(), is_here=is_here)
        tell("")
        echo(fit("\n".join(lines)) + "\n\nNext:\n" + "\n".join(command_lines(hints)))

    place.emit(data, text)


def _how_it_went(data: dict[str, Any], view: RunView) -> list[str]:
    """Describe the iterations in two lines; none for a run that has just begun."""
    verdicts = [step.verdict for step in view.history()]
    n_accepted = sum(verdict is Verdict.ACCEPTED for verdict in verdicts)
    n_tried = sum(verdict.is_trial for verdict in verdicts)
    first, limit = view.history()[0].facts, data["stopped_by"]
    if not limit or first is None:
        return []
    began = format_score(first.return_mean, None)
    used = f"{duration(data['seconds'])}, {data['frames']:,} frames"
    if seconds := re.fullmatch(r"(\d+) s", limit):
        limit = duration(int(seconds[1]))
    is_asked_for = re.fullmatch(r"[\d,]+ iterations?", limit)  # so many, and no more: no limit
    return [
        f"  started at {began}; {n_accepted} of {count(n_tried, 'iteration')} accepted",
        f"  used {used}" if is_asked_for else f"  stopped by its limit of {limit}; used {used}",
    ]


def _to_look(data: dict[str, Any], view: RunView, *, is_here: bool) -> list[tuple[str, str]]:
    """List commands that look at the run, or go on with it, and what each is for."""
    branch, first = data["run"], view.history()[0]
    which = "" if is_here else f" {branch}"
    base = f"{first.parents[0][:9]}.." if first.parents else ""
    hints = [(f"git log --first-parent {base}{branch}", "the story, one commit an iteration")]
    if data["iterations"]:
        difference = f"git diff {first.commit[:9]} {data['commit'][:9]} -- :/{data['policy']}"
        hints.append((difference, "first policy against last"))
    hints.append((f"gco-agent log{which}", "the iterations as a table"))
    config = _config(view)
    if config and "exchange" in config.optimizers:
        hints.append((f"gco-agent prompt{which}", "the prompt for a chat, an agent or a person"))
    else:
        hints.append((f"gco-agent step{which} -n 5", "go on"))
    hints.append((f"gco-agent eval{which} --episodes 100", "measure the policy more exactly"))
    return hints


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
    what = f"{there}: commit the policy as {data['policy']}"
    return [*hints, (f"gco-agent publish {data['game']}", what)]
