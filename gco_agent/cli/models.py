"""``prompt``, ``apply``, ``estimate`` and ``replay``: answers, and what they cost."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gco_agent.cli import options as o
from gco_agent.cli.context import CliContext
from gco_agent.cli.display import open_display
from gco_agent.cli.options import Given, command, number, option
from gco_agent.cli.output import Result, count, echo, pick, say, tell
from gco_agent.cli.run import advance, config_of, explain_interruption
from gco_agent.core.errors import GcoError, UsageError
from gco_agent.core.text import format_score

if TYPE_CHECKING:
    from gco_agent.api import Run
    from gco_agent.core.records import PlayProtocol, Usage
    from gco_agent.llm.prices import Plan, Price
    from gco_agent.loop.replay import Outcome, Recording, Replayed
    from gco_agent.optimizers.base import Request
    from gco_agent.optimizers.exchange import PromptFiles
    from gco_agent.store.config import RunConfig
    from gco_agent.store.entries import RunRef
    from gco_agent.store.run import Runs
    from gco_agent.store.view import RunView

_DEMO = "demo"
_AGAIN = "The same command continues it.\nTo remove this unfinished one: git branch -D {run}"
_STDIO = "-"
_BYTES_A_TOKEN = 8
"""More bytes than a token of a trace has on the whole, as its length is estimated."""


@command(
    click.argument(
        "names", nargs=-1, required=True, metavar="[RUN] TEXT", shell_complete=o.complete_runs
    ),
    o.json_option,
)
def note(place: CliContext, /, names: tuple[str, ...]) -> Result:
    """Leave a note that the next prompt of a run shows."""
    from gco_agent.store.control import leave_note, read_notes

    *run_name, text = names
    if run_name:
        place.run_and_rev([*run_name, ""])
    view = place.view()
    leave_note(view, text)
    data = {"run": view.ref.branch, "notes": list(read_notes(view).values())}
    waiting = count(len(data["notes"]), "note")
    return Result(data, f"{waiting} for the next prompt of {view.ref.branch}")


@command(o.run_argument, option("-o", "--output", kind=o.OutputFile()), o.play_options)
def prompt(place: CliContext, /, output: Path | None) -> Result:
    """Write everything that is needed to improve a run's policy into one Markdown file."""
    run = place.open_run()
    with _asking(place, run) as (request, paths):
        text = paths.compose(request)
    path = str(output or paths.prompt)
    data = {"run": run.name, "iteration": request.iteration, "path": path, "prompt": text}
    if path == _STDIO:
        return Result({**data, "path": None}, lambda: echo(text, nl=False))
    if output is not None:
        place.write(output, text)
    # where `apply` finds it, to be kept with the iteration
    if aside := paths.write_prompt(text):
        tell(f"There was an answer to another prompt; it is now {aside}")
    tell(
        "Give this file to any chat, coding agent or person. Then:\n"
        f"  gco-agent apply ANSWER {run.name}"
    )
    return Result(data, lambda: echo(path))


@contextlib.contextmanager
def _asking(place: CliContext, run: Run) -> Iterator[tuple[Request, PromptFiles]]:
    """Open what the next iteration of a run is asked with, and the files of its prompt."""
    from gco_agent.loop import checks
    from gco_agent.loop.budget import Budget
    from gco_agent.loop.recording import recall_episodes
    from gco_agent.loop.selection import Archive
    from gco_agent.loop.session import compose_request
    from gco_agent.optimizers.exchange import files_for

    view = run.runs.view(run.ref)
    checks.require_same_versions(run.config)
    with open_display() as display, place.players.judge(run.config.selection_protocol) as judge:
        recall_episodes(view, judge)
        request = compose_request(Archive(view), judge, run.config, Budget(), display)
        yield request, files_for(run.exchange_folder, request)


def _answer_questions(place: CliContext, run: Run, reply: str) -> Result:
    """Add the answers to the questions in a reply to the prompt; the run stays as it is."""
    with _asking(place, run) as (request, paths):
        text = paths.compose(request)
        paths.write_prompt(text)
        answers = paths.answer(request, text, reply)
    if answers is None:
        raise UsageError("no more questions are answered in this iteration: reply with a policy")
    tell("Its questions are answered: give the file to its author again.")
    data = {"run": run.name, "iteration": request.iteration, "path": str(paths.prompt)}
    return Result({**data, "prompt": answers}, lambda: echo(str(paths.prompt)))


@command(
    click.argument("reply", metavar="[ANSWER]", required=False),
    o.run_argument,
    o.play_options,
    name="apply",
)
def apply_(place: CliContext, /, reply: str | None) -> Result:
    """Race an answer to `gco-agent prompt` against the present policy, and commit the result."""
    from gco_agent.loop.budget import Budget
    from gco_agent.loop.selection import REVISIT, Archive
    from gco_agent.optimizers.questions import read_questions
    from gco_agent.optimizers.replies import parse_reply

    is_file = reply in (None, _STDIO) or place.path(reply).exists()
    if reply and not is_file and not place.run_name and place.is_run(reply):
        place.run_name, reply = reply, None
    run = place.open_run()
    view = run.runs.view(run.ref)
    text = _read_answer(place, run, view, reply)
    if read_questions(text):
        return _answer_questions(place, run, text)
    # an answer of no use is no iteration
    parse_reply(text, REVISIT.parents(Archive(view))[0])
    return advance(
        place,
        Budget(iterations=1),
        lambda config: replace(config, optimizer="exchange", candidates=1, horizon=0),
        "Go on with: gco-agent apply ANSWER {run}",
        reply=text,
    )


def _read_answer(place: CliContext, run: Run, view: RunView, name: str | None) -> str:
    from gco_agent.optimizers.exchange import decode_reply, newest_files, read_reply

    if name == _STDIO:
        return decode_reply(sys.stdin.buffer.read(), "standard input")
    if name is not None:
        return read_reply(place.path(name))
    paths = newest_files(run.exchange_folder, view.last_iteration + 1)
    if not paths.reply.exists():
        raise UsageError(
            f"there is no answer in {paths.reply}: name the file that holds it, or write the "
            "prompt first with `gco-agent prompt`"
        )
    if not paths.is_written_for(view.tip):
        raise UsageError(
            f"the answer in {paths.reply} is to a prompt for another state of the run: write the "
            "present one with `gco-agent prompt`, or name the file if you mean this answer"
        )
    return paths.read_reply()


@command(
    o.game_argument,
    o.hints_option("interface"),
    number("-n", "iterations", default=10),
    o.candidates_option,
    o.model_options,
    o.json_option,
)
def estimate(place: CliContext, /, game: str, iterations: int, **given: Given) -> Result:
    """Estimate the cost of a run of GAME with the optimizer reflect, before it is started."""
    from gco_agent.llm.prices import AS_OF, DEFAULT_MODEL, REPLY_TOKENS
    from gco_agent.llm.providers import model_price, split_models

    given |= {"optimizer": "reflect", "model": given["model"] or DEFAULT_MODEL}
    config = config_of(place.find_spec(game), given)
    if len(split_models(config.model)) > 1:
        raise UsageError("name one model at a time: each has its own price")
    plan, price = _plan(config, iterations), model_price(config.model)
    usual, most = plan.usual(price), plan.most(price)

    def of(usage: Usage) -> dict[str, Any]:
        return {"tokens_in": usage.tokens_in, "tokens_out": usage.output_tokens, "usd": usage.usd}

    data = {
        "model": config.model,
        "price": price,
        "as_of": AS_OF.isoformat(),
        "prompt": {"lasting_tokens": plan.lasting_tokens, "new_tokens": plan.new_tokens},
        "iterations": plan.iterations,
        "candidates": plan.candidates,
        "usual": of(usual),
        "most": of(most),
    }
    prompt = plan.lasting_tokens + plan.new_tokens
    lines = [
        _price_text(config.model, price),
        f"Prompt: about {prompt:,} tokens, {plan.lasting_tokens:,} of them the same each time.",
        f"{count(plan.iterations, 'iteration')} of {count(plan.candidates, 'candidate')}:",
        f"  about {_cost(usual)}, with replies of {min(REPLY_TOKENS, plan.max_tokens):,} tokens",
        f"  up to {_cost(most)}, with replies of {plan.max_tokens:,} tokens and a repair each",
    ]
    if price is not None:
        lines.append("`gco-agent run --usd N` sets a limit that is checked before each request.")
    return Result(data, "\n".join(lines))


def _plan(config: RunConfig, iterations: int) -> Plan:
    """Measure the prompt of the first iteration, without playing for its feedback."""
    from gco_agent.core.records import Evaluation
    from gco_agent.envs.environment import initial_policy
    from gco_agent.llm.base import ModelRequest
    from gco_agent.llm.prices import Plan
    from gco_agent.optimizers.base import Request
    from gco_agent.optimizers.feedback import Feedback
    from gco_agent.optimizers.prompts import compose_prompt
    from gco_agent.optimizers.reflect import HOW, TOOL
    from gco_agent.policy.source import PolicySource, format_policy
    from gco_agent.traces.records import ExecutionTrace
    from gco_agent.traces.render import estimate_tokens

    request = Request(
        PolicySource(format_policy(initial_policy(config.protocol))),
        Evaluation((), config.protocol.stamp),
        1,
        config,
        [],
        lambda _: None,
        float("inf"),
        feedback=lambda: Feedback("", "", ExecutionTrace(())),
    )
    prompt = compose_prompt(request, HOW)
    asked = ModelRequest(prompt.system, prompt.cached, prompt.user, TOOL, config.max_tokens)
    return Plan(
        iterations,
        config.candidates,
        estimate_tokens(f"{prompt.system}{prompt.cached}{TOOL}"),
        estimate_tokens(prompt.user) + config.trace_tokens,
        asked.most_input_tokens + _BYTES_A_TOKEN * config.trace_tokens,
        config.max_tokens,
    )


def _price_text(model: str, price: Price | None) -> str:
    from gco_agent.llm.prices import AS_OF, PRICES, find_price

    if price is None:
        return (
            f"The price of the model {model} is not known: what follows is in tokens, and --usd is "
            "refused.\nState it in a file that GCO_AGENT_PRICES names, in US dollars for a million "
            f'tokens:\n  ["{model}"]\n  input = 0.0\n  output = 0.0'
        )
    is_listed = price == find_price(model, PRICES)
    source = f"list price of {AS_OF}" if is_listed else "by the file that GCO_AGENT_PRICES names"
    return f"{model}: ${price.input:g} in and ${price.output:g} out per million tokens ({source})."


def _cost(usage: Usage) -> str:
    return f"{usage.total_tokens:,} tokens" if usage.usd is None else f"${usage.usd:.2f}"


# Replay


@command(
    click.argument("recording", metavar="RECORDING", shell_complete=o.complete_targets),
    option("--record", kind=o.OutputFile()),
    option("--name"),
    option("--switch/--no-switch", default=False),
    o.create_option,
    o.play_options,
)
def replay(place: CliContext, /, recording: str, record: Path | None, **given: Given) -> Result:
    """Repeat a recorded run: the same proposals, raced and committed again."""
    from gco_agent.loop.replay import format_recording

    found = _find_recording(place, recording)
    if record is not None:
        place.write(record, format_recording(found))
        tell(f"{count(found.n_iterations, 'iteration')} of {found.run} recorded")
        data = {"run": found.run, "path": record, "iterations": found.n_iterations}
        return Result(data, str(record))
    ref, compared = _play(place, found, given)
    is_same = all(each.is_same for each in compared)
    data = {
        "run": ref.branch,
        "recorded": found.run,
        "is_same": is_same,
        "iterations": [pick(each, "iteration commit is_same recorded now") for each in compared],
        "left_out": found.left_out,
    }
    return Result(data, lambda: _print_replay(data, compared), is_same)


def _find_recording(place: CliContext, name: str) -> Recording:
    """Return the recording that is meant; files come first."""
    from gco_agent.loop.replay import demo, parse_recording, record_run

    path = place.path(name)
    if path.is_file():
        try:
            return parse_recording(path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot read {name}: {error}") from error
    if name == _DEMO:
        return demo()
    try:
        runs = place.runs()
        ref = runs.find(name)
    except GcoError as error:
        raise UsageError(f"there is no file {name}, and no such run: {error}") from error
    return record_run(runs.view(ref))


def _play(
    place: CliContext, found: Recording, given: dict[str, Any]
) -> tuple[RunRef, list[Replayed]]:
    from gco_agent.loop import checks
    from gco_agent.loop.replay import play_back
    from gco_agent.store.run import Runs

    repo = place.repository(create=given["create_repo"])
    checks.require_writable(repo)
    if given["switch"]:
        Runs(repo).require_clean()
    checks.require_trusted(repo, found.settings.protocol, f"the recording of {found.run}")
    here = checks.rules_here(found.settings.protocol)
    runs = Runs(repo)
    ref = _name(runs, found, here, given["name"])
    installed = dict(here.versions)
    for name, version in found.settings.protocol.versions:
        if installed.get(name) != version:
            tell(
                f"Recorded with {name} {version}, and {installed.get(name)} is installed: "
                "the numbers may differ."
            )
    tell(f"{found.run}, {count(found.n_iterations, 'iteration')}, as {ref.branch}")
    if found.left_out:
        tell(f"The recording ends early: {found.left_out}.")
    rules = replace(found.settings, protocol=here).selection_protocol
    with (
        explain_interruption(runs, ref, _AGAIN),
        open_display() as display,
        place.players.judge(rules) as judge,
    ):
        compared = play_back(found, runs, ref, judge, switch=given["switch"], progress=display)
    return ref, compared


def _name(runs: Runs, found: Recording, rules: PlayProtocol, name: str | None) -> RunRef:
    """Return the first run that is a part of the recording or that does not exist yet."""
    from gco_agent.loop.replay import is_part
    from gco_agent.store.entries import RunRef

    recorded, taken = RunRef.parse(found.run), runs.list()

    def is_free(ref: RunRef) -> bool:
        return ref not in taken or is_part(runs.view(ref), found, rules)

    if name is not None:
        ref = RunRef(recorded.game, name)
        if not is_free(ref):
            raise UsageError(f"there is a run {ref.branch} already: choose another --name")
        return ref
    ref, number = recorded, 2
    while not is_free(ref):
        ref, number = RunRef(recorded.game, f"{recorded.run_id}-{number}"), number + 1
    return ref


def _print_replay(data: dict[str, Any], compared: list[Replayed]) -> None:
    for each in compared:
        verdict = "as recorded"
        if not each.is_same:
            now, recorded = asdict(each.now), asdict(each.recorded)
            parts = ", ".join(name for name, value in now.items() if value != recorded[name])
            verdict = f"DIFFERS in {parts}: recorded {_outcome_text(each.recorded)}"
        say(f"iteration {each.iteration:>3}  {_outcome_text(each.now):<28}  {verdict}")
    n_same = sum(each.is_same for each in compared)
    run = data["run"]
    say(f"{n_same} of {len(compared)} as recorded; run {run}: gco-agent log {run}")


def _outcome_text(outcome: Outcome) -> str:
    gain = "" if outcome.gain is None else f" ({format_score(outcome.gain, None, '+')})"
    return f"{outcome.verdict} {format_score(outcome.return_mean, None)}{gain}"
